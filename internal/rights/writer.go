package rights

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"emperor/internal/config"
	"emperor/internal/proc"
)

// Writer opens files for writing (logs) with the rights of whoever named them. It
// outlives the Reader that it comes from, is plain data, and may be used by many
// goroutines.
type Writer struct {
	user *User // nil: whoever is not root on the way to the file, else root
	able bool
}

// Writer is for files that a line of that author names.
func (r *Reader) Writer(by config.Author) *Writer {
	w := &Writer{able: r.able}
	switch {
	case !r.able:
	case r.as != nil:
		w.user = r.as
	case by != 0:
		w.user = r.users[by-1]
	}
	return w
}

// WriterAs is for files of that user; nil: of ours, by the rule.
func WriterAs(u *User) *Writer {
	if u != nil && u.UID == 0 {
		u = nil
	}
	return &Writer{user: u, able: able()}
}

// String says whose rights they are; equal rights have equal names.
func (w *Writer) String() string {
	if w == nil || w.user == nil || !w.able {
		return ""
	}
	return fmt.Sprint(*w.user)
}

// Who names the user with whose rights a path is reached.
func (w *Writer) Who(path string) string {
	u, _ := w.chooser(path)
	return orOurselves(u).String()
}

// chooser is with whose rights a path is reached; nil: with ours.
func (w *Writer) chooser(path string) (*User, way) {
	switch {
	case !w.able:
		return nil, way{}
	case w.user != nil:
		return w.user, way{}
	}
	found := wayOf(path, func(uid uint32) *User { return ownerOf(uid) })
	return found.chosen, found
}

// as runs f with the rights of a user; nil: with ours.
func as(u *User, f func() error) (err error) {
	if u == nil {
		return f()
	}
	failure := errors.New("its user's rights cannot be had")
	Apart(func() {
		if failure = u.Assume(); failure == nil {
			err = f()
		}
	})
	return errors.Join(failure, err)
}

// Do runs f, which does something to what is at path or beside it.
func (w *Writer) Do(path string, f func() error) error {
	u, _ := w.chooser(path)
	return denied(as(u, f), orOurselves(u), path)
}

// denied says of an error that stems from missing rights whose they are.
func denied(err error, u *User, path string) error {
	if err == nil || !errors.Is(err, fs.ErrPermission) {
		return err
	}
	if refusal := new(config.Refusal); errors.As(err, &refusal) {
		return err
	}
	var st unix.Stat_t
	what, at := "write it", path
	if unix.Stat(path, &st) != nil {
		at = filepath.Dir(path)
		if what = "make files in " + at; unix.Stat(at, &st) != nil {
			return &config.Refusal{Text: fmt.Sprintf("%s: user %s may not enter its directory", path, u)}
		}
	}
	text := fmt.Sprintf("%s: user %s may not %s (owner %s, mode %04o)", path, u, what, userName(st.Uid), st.Mode&0o7777)
	if u.unknown {
		text += "; others than root can write the file that names it, or have put it there"
	}
	return &config.Refusal{Text: text}
}

func orOurselves(u *User) *User {
	if u == nil {
		return ourselves()
	}
	return u
}

const appendFlags = unix.O_WRONLY | unix.O_APPEND | unix.O_NONBLOCK | unix.O_NOCTTY | unix.O_CLOEXEC

// Append opens a file for writing at its end; where there is none it is made, in a
// directory that is there. Nobody else's link leads root's hand elsewhere.
func (w *Writer) Append(path string, mode fs.FileMode) (*os.File, error) {
	for range replaced {
		u, found := w.chooser(path)
		if u != nil {
			return appendAs(u, path, mode)
		}
		flags := appendFlags | unix.O_CREAT
		if w.able {
			// What is there must be what was looked at; what is not must not come just now.
			if flags |= unix.O_EXCL | unix.O_NOFOLLOW; found.found {
				flags = appendFlags
			}
		}
		fd, err := retry(func() (int, error) { return unix.Open(path, flags, uint32(mode.Perm())) })
		if w.able && (found.found && err == unix.ENOENT || !found.found && (err == unix.EEXIST || err == unix.ELOOP)) {
			if !found.found && dangling(path) {
				return nil, &os.PathError{Op: "open", Path: path, Err: errors.New("it is a symbolic link to a file that is not there")}
			}
			continue
		}
		if err != nil {
			return nil, denied(&os.PathError{Op: "open", Path: path, Err: proc.ExplainLimit(err)}, ourselves(), path)
		}
		var st unix.Stat_t
		if w.able && found.found && (unix.Fstat(fd, &st) != nil || st.Dev != found.dev || st.Ino != found.ino) {
			unix.Close(fd)
			continue
		}
		return os.NewFile(uintptr(fd), path), nil
	}
	return nil, &os.PathError{Op: "open", Path: path, Err: errors.New("it is replaced again and again while it is opened")}
}

// dangling: the path is a symbolic link to nothing.
func dangling(path string) bool {
	info, err := os.Lstat(path)
	return err == nil && info.Mode().Type() == fs.ModeSymlink
}

func appendAs(u *User, path string, mode fs.FileMode) (file *os.File, err error) {
	how := &unix.OpenHow{Flags: appendFlags | unix.O_CREAT, Mode: uint64(mode.Perm()), Resolve: unix.RESOLVE_NO_MAGICLINKS}
	err = as(u, func() error {
		fd, err := retry(func() (int, error) { return unix.Openat2(unix.AT_FDCWD, path, how) })
		if err == unix.ENOSYS || err == unix.EPERM { // an old kernel, or a filter that knows only old ones
			fd, err = unix.Open(path, int(how.Flags), uint32(mode.Perm()))
		}
		if err != nil {
			return denied(&os.PathError{Op: "open", Path: path, Err: proc.ExplainLimit(err)}, u, path)
		}
		var system unix.Statfs_t
		if err = unix.Fstatfs(fd, &system); err == nil && system.Type == unix.PROC_SUPER_MAGIC {
			err = &config.Refusal{Text: fmt.Sprintf("what is below /proc is not opened for user %s", u)}
		}
		if err != nil {
			unix.Close(fd)
			return err
		}
		file = os.NewFile(uintptr(fd), path)
		return nil
	})
	return file, err
}

func retry(open func() (int, error)) (fd int, err error) {
	for {
		if fd, err = open(); err != unix.EINTR {
			return fd, err
		}
	}
}
