package rights

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"emperor/internal/config"
)

// Chooser is with whose rights is opened what a line of by names; nil: by the rule,
// as root. It may be given to NewReader later, when this Reader is closed.
func (r *Reader) Chooser(by config.Author) *User {
	if r.as != nil || by == 0 {
		return r.as
	}
	return r.users[by-1]
}

// OpenFolder opens a directory that a line of by names, and the one it is in, as
// places to begin from (O_PATH), close-on-exec: they are the caller's to close.
// Whoever chose it must be able to enter it.
func (r *Reader) OpenFolder(path string, by config.Author) (directory, parent int, err error) {
	path = filepath.Clean(path)
	for range replaced {
		u, w := r.chooser(path, by)
		if u != nil {
			failure := r.thread(u).do(func() { directory, parent, err = openFolder(u, path) })
			if failure != nil {
				return -1, -1, &config.Refusal{Text: failure.Error()}
			}
			return directory, parent, err
		}
		var st unix.Stat_t
		if directory, parent, err = openFolder(ourselves(), path); err == nil {
			err = unix.Fstat(directory, &st)
		}
		if err != nil || !r.able || w.found && st.Dev == w.dev && st.Ino == w.ino {
			return directory, parent, err
		}
		_ = unix.Close(directory) // not what is known to be root's choice
		_ = unix.Close(parent)
	}
	return -1, -1, &os.PathError{Op: "open", Path: path, Err: errors.New("it is replaced again and again while it is opened")}
}

// openFolder opens both with the rights of the calling thread, which are u's.
func openFolder(u *User, path string) (directory, parent int, err error) {
	open := func(path string) int {
		if err != nil {
			return -1
		}
		var fd int
		if fd, err = unix.Open(path, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0); err != nil {
			err = refused(&os.PathError{Op: "open", Path: path, Err: err}, u, path)
			return -1
		}
		return fd
	}
	directory, parent = open(path), open(filepath.Dir(path))
	if err == nil {
		err = mayServe(u, path, directory)
	}
	if err != nil {
		for _, fd := range []int{directory, parent} {
			if fd >= 0 {
				_ = unix.Close(fd)
			}
		}
		return -1, -1, err
	}
	return directory, parent, nil
}

// mayServe tells why files below a directory may not be shown in u's name.
func mayServe(u *User, path string, directory int) error {
	var system unix.Statfs_t
	if err := unix.Fstatfs(directory, &system); err != nil {
		return &os.PathError{Op: "stat", Path: path, Err: err}
	}
	if system.Type == unix.PROC_SUPER_MAGIC {
		return &config.Refusal{Text: "what is below /proc is not opened: it would show the process that serves it"}
	}
	err := unix.Faccessat(directory, ".", unix.X_OK, unix.AT_EACCESS)
	if !errors.Is(err, unix.EACCES) {
		return err
	}
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		return &config.Refusal{Text: fmt.Sprintf("user %s may not enter it", u)}
	}
	return &config.Refusal{Text: fmt.Sprintf("user %s may not enter it (owner %s, mode %04o)", u, userName(st.Uid), st.Mode&0o7777)}
}
