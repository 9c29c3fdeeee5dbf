package static

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

var (
	errNotFound = errors.New("there is no such file")
	errHidden   = errors.New("names that begin with a dot are not served")
	errSkipped  = errors.New("names with this ending are not served (static-skip-ext)")
	errSpecial  = errors.New("neither a file nor a folder")
	errOutside  = errors.New("a symbolic link leads out of the folder (static-safe allows where to)")
	errGone     = errors.New("the folder was removed")
	errClosed   = errors.New("the site is closed")
)

// file is an open regular file, or a folder, which is never read from.
type file struct {
	descriptor int
	open       bool
	stat       unix.Stat_t
}

func (f *file) close() {
	if f.open {
		_ = unix.Close(f.descriptor)
		f.open = false
	}
}

func (f *file) folder() bool { return f.stat.Mode&unix.S_IFMT == unix.S_IFDIR }

// forFile: without O_NONBLOCK, opening a FIFO would wait for its writer.
var (
	forFile = unix.OpenHow{
		Flags:   unix.O_RDONLY | unix.O_NONBLOCK | unix.O_NOCTTY | unix.O_CLOEXEC,
		Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_MAGICLINKS,
	}
	forFolder = unix.OpenHow{
		Flags:   unix.O_PATH | unix.O_DIRECTORY | unix.O_CLOEXEC,
		Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_MAGICLINKS,
	}
	forAnywhere = unix.OpenHow{
		Flags:   unix.O_PATH | unix.O_CLOEXEC,
		Resolve: unix.RESOLVE_NO_MAGICLINKS,
	}
)

// mostRaces bounds how often a name is tried that is being moved.
const mostRaces = 32

// open opens name, relative to the root, without slash at its start and with a NUL
// at its end. f is a regular file or a folder if err is nil.
func (s *Site) open(r *root, name []byte, f *file) error {
	var err error
	if r.portable != nil {
		f.descriptor, err = r.openPortably(name)
	} else {
		f.descriptor, err = openat2(r.directory, name, &forFile)
		for races := 0; races < mostRaces && (err == unix.EAGAIN || err == unix.EINTR); races++ {
			f.descriptor, err = openat2(r.directory, name, &forFile)
		}
		if err == unix.EACCES {
			// A folder that can't be listed can have files that can be read.
			if descriptor, failed := openat2(r.directory, name, &forFolder); failed == nil {
				f.descriptor, err = descriptor, nil
			}
		}
	}
	if err == unix.EXDEV && r.portable == nil {
		f.descriptor, err = s.openOutside(r, name)
	}
	if err != nil {
		return meaning(err)
	}
	f.open = true
	if err := unix.Fstat(f.descriptor, &f.stat); err != nil {
		f.close()
		return err
	}
	switch f.stat.Mode & unix.S_IFMT {
	case unix.S_IFREG, unix.S_IFDIR:
		return nil
	}
	f.close()
	return errSpecial
}

// meaning makes of the kernel's many ways to say that there is no such file one.
func meaning(err error) error {
	switch err {
	case unix.ENOENT, unix.ENOTDIR, unix.ENAMETOOLONG, unix.EINVAL:
		return errNotFound
	case unix.ENXIO, unix.ENODEV:
		return errSpecial // a socket, a device without a driver
	case unix.EXDEV:
		return errOutside
	case unix.EACCES, unix.EPERM:
		return fmt.Errorf("the user %d, which serves it, may not read it: %w", os.Geteuid(), err)
	}
	return err
}

// openOutside opens a name that an absolute symbolic link, or one that leads
// upwards, takes out of the root, if it ends where it may: in the root after all, or
// where static-safe says. First only a handle on it is taken: where it is, and what
// it is, is known for sure before it is opened.
func (s *Site) openOutside(r *root, name []byte) (int, error) {
	handle, err := openat2(r.directory, name, &forAnywhere)
	if err != nil {
		return -1, err
	}
	path, err := os.Readlink(self(handle))
	if err != nil || !s.allowed(r, path) {
		_ = unix.Close(handle)
		return -1, unix.EXDEV
	}
	var stat unix.Stat_t
	if err := unix.Fstat(handle, &stat); err != nil || stat.Mode&unix.S_IFMT != unix.S_IFREG {
		return handle, err // nothing is read from what is no file, so the handle will do
	}
	defer unix.Close(handle)
	return unix.Open(self(handle), unix.O_RDONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
}

// self is a name for what a descriptor is open on.
func self(descriptor int) string { return "/proc/self/fd/" + strconv.Itoa(descriptor) }

// allowed tells whether a path is beneath the root or a folder of static-safe.
func (s *Site) allowed(r *root, path string) bool {
	if here, err := os.Readlink(self(r.directory)); err == nil && beneath(path, here) {
		return true
	}
	return slices.ContainsFunc(s.options.Outside, func(folder string) bool { return beneath(path, folder) })
}

func beneath(path, folder string) bool {
	rest, ok := strings.CutPrefix(path, strings.TrimRight(folder, "/"))
	return ok && (rest == "" || rest[0] == '/')
}

// openPortably does without openat2 (before Linux 5.6, gVisor, old container
// filters): os.Root resolves names part by part and has the same rules.
func (r *root) openPortably(name []byte) (int, error) {
	text := strings.TrimRight(string(name[:len(name)-1]), "/")
	opened, err := r.portable.OpenFile(text, unix.O_RDONLY|unix.O_NONBLOCK|unix.O_NOCTTY, 0)
	if err != nil {
		var errno unix.Errno
		if errors.As(err, &errno) {
			return -1, errno
		}
		return -1, unix.EXDEV // os: "path escapes from parent"
	}
	defer opened.Close()
	raw, err := opened.SyscallConn()
	if err != nil {
		return -1, err
	}
	descriptor, failure := -1, error(nil)
	err = raw.Control(func(fd uintptr) {
		descriptor, failure = unix.FcntlInt(fd, unix.F_DUPFD_CLOEXEC, 0)
	})
	return descriptor, errors.Join(err, failure)
}
