package rights

import (
	"errors"
	"fmt"
	"os"
	"syscall"

	"golang.org/x/sys/unix"

	"emperor/internal/config"
)

// Reader opens the files of one configuration. It is not safe for concurrent use.
type Reader struct {
	as      *User // who opens everything; nil: by the rule
	able    bool
	users   []*User // Author n is users[n-1]
	threads map[*User]*thread
}

var _ config.Opener = (*Reader)(nil)

// nobody may do what everybody may.
var nobody = &User{UID: overflow, GID: overflow, Name: "nobody", unknown: true}

// NewReader makes a Reader. With as, everything is opened as that user; for root
// that makes no difference.
func NewReader(as *User) *Reader {
	if as != nil && as.UID == 0 {
		as = nil
	}
	return &Reader{as: as, able: able(), threads: map[*User]*thread{}}
}

// Close ends its threads.
func (r *Reader) Close() {
	for _, t := range r.threads {
		t.close()
	}
	r.threads = nil
}

// Both implements config.Opener: what two tenants have written together may open
// what everybody may.
func (r *Reader) Both(a, b config.Author) config.Author { return r.author(nobody) }

// author is the number of a user.
func (r *Reader) author(u *User) config.Author {
	if u == nil {
		return 0
	}
	for i, known := range r.users {
		if known == u {
			return config.Author(i + 1)
		}
	}
	r.users = append(r.users, u)
	return config.Author(len(r.users))
}

// owner is the user with that number.
func (r *Reader) owner(uid uint32) *User {
	if uid == overflow {
		return nobody
	}
	for _, known := range r.users {
		if known.UID == uid {
			return known
		}
	}
	u := ownerOf(uid)
	r.author(u)
	return u
}

// chooser is with whose rights a path is opened that a line of by names; nil:
// with ours, and then w is the way that was looked at.
func (r *Reader) chooser(path string, by config.Author) (u *User, w way) {
	switch {
	case !r.able:
		return nil, way{}
	case r.as != nil:
		return r.as, way{}
	case by != 0:
		return r.users[by-1], way{}
	}
	w = wayOf(path, r.owner)
	return w.chosen, w
}

func (r *Reader) thread(u *User) *thread {
	t := r.threads[u]
	if t == nil {
		t = newThread(u)
		r.threads[u] = t
	}
	return t
}

// Look implements config.Opener.
func (r *Reader) Look(path string, by config.Author, f func()) {
	if u, _ := r.chooser(path, by); u != nil {
		_ = r.thread(u).do(f) // not run: to whoever asks, there is nothing
		return
	}
	f()
}

// replaced is how often a path is looked at again that changes meanwhile.
const replaced = 5

// Open implements config.Opener.
func (r *Reader) Open(path string, by config.Author) (*os.File, config.Author, error) {
	for range replaced {
		u, w := r.chooser(path, by)
		if u != nil {
			file, err := r.openAs(u, path)
			return file, r.author(u), err
		}
		file, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK|syscall.O_NOCTTY, 0)
		if !r.able {
			return file, 0, refused(err, ourselves(), path)
		}
		var st unix.Stat_t
		if err == nil {
			err = stat(file, &st)
		}
		switch {
		case err != nil && w.found && errors.Is(err, os.ErrNotExist), err == nil && (!w.found || st.Dev != w.dev || st.Ino != w.ino):
			if file != nil {
				file.Close() // not what is known to be root's choice
			}
			continue
		case err != nil:
			return nil, 0, refused(err, ourselves(), path)
		}
		return file, r.author(r.writer(file, &st)), nil
	}
	return nil, 0, &os.PathError{Op: "open", Path: path, Err: errors.New("it is replaced again and again while it is opened")}
}

// openAs opens a path with the rights of a user. /proc is closed to it: to a
// thread of ours its files show more than the user's own processes would see.
func (r *Reader) openAs(u *User, path string) (file *os.File, err error) {
	how := &unix.OpenHow{Flags: unix.O_RDONLY | unix.O_NONBLOCK | unix.O_NOCTTY | unix.O_CLOEXEC, Resolve: unix.RESOLVE_NO_MAGICLINKS}
	failure := r.thread(u).do(func() {
		var fd int
		for fd, err = -1, unix.EINTR; err == unix.EINTR; {
			fd, err = unix.Openat2(unix.AT_FDCWD, path, how)
		}
		if err == unix.ENOSYS || err == unix.EPERM { // an old kernel, or a filter that knows only old ones
			fd, err = unix.Open(path, int(how.Flags), 0)
		}
		if err != nil {
			err = refused(&os.PathError{Op: "open", Path: path, Err: err}, u, path)
			return
		}
		var system unix.Statfs_t
		if err = unix.Fstatfs(fd, &system); err == nil && system.Type == unix.PROC_SUPER_MAGIC {
			err = &config.Refusal{Text: fmt.Sprintf("what is below /proc is not opened for user %s", u)}
		}
		if err != nil {
			unix.Close(fd)
			return
		}
		file = os.NewFile(uintptr(fd), path)
	})
	if failure != nil {
		return nil, &config.Refusal{Text: failure.Error()}
	}
	return file, err
}

// writer is who has written an open file that root has chosen, nil for root.
func (r *Reader) writer(file *os.File, st *unix.Stat_t) *User {
	others, group := st.Mode&0o002 != 0, st.Mode&0o020 != 0
	switch {
	case st.Uid != 0:
		return r.owner(st.Uid)
	case others || group && hasACL(file):
		return nobody
	case group && st.Gid != 0:
		return r.member(st.Gid)
	}
	return nil
}

// member is somebody of whom only the group is known.
func (r *Reader) member(gid uint32) *User {
	for _, known := range r.users {
		if known.UID == overflow && known.GID == gid {
			return known
		}
	}
	return &User{UID: overflow, GID: gid, Groups: []uint32{gid}, Name: "nobody, group " + groupName(gid), unknown: true}
}

// hasACL: the group's bits of the mode may stand for anybody's.
func hasACL(file *os.File) (yes bool) {
	raw, err := file.SyscallConn()
	if err != nil {
		return true
	}
	err = raw.Control(func(fd uintptr) {
		n, err := unix.Fgetxattr(int(fd), "system.posix_acl_access", nil)
		yes = err == nil && n > 0
	})
	return yes || err != nil
}

func stat(file *os.File, st *unix.Stat_t) error {
	raw, err := file.SyscallConn()
	if err != nil {
		return err
	}
	var failure error
	if err := raw.Control(func(fd uintptr) { failure = unix.Fstat(int(fd), st) }); err != nil {
		return err
	}
	return failure
}
