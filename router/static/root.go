package static

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Root is the folder of a site. The descriptors become the Site's, which closes
// them, also when it refuses them.
type Root struct {
	// Directory is an open directory; O_PATH is enough.
	Directory int
	// Parent is the directory that has it under Name; -1: none. With it the Site
	// looks at every request whether Name has become another directory of the same
	// owner (a new one was moved there, a symbolic link was turned), and goes on with
	// that one. Where the new one has another owner, or can't be read, Site.Moved
	// tells.
	Parent int
	Name   string
	// Path is the folder's name for errors and the patterns of static-expires.
	Path string
}

// OpenRoot opens a folder and its parent by name, with the rights of this process.
func OpenRoot(path string) (Root, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return Root{}, err
	}
	open := func(path string) (int, error) {
		fd, err := unix.Open(path, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
		if err != nil {
			return -1, &os.PathError{Op: "open", Path: path, Err: err}
		}
		return fd, nil
	}
	directory, err := open(path)
	if err != nil {
		return Root{}, err
	}
	r := Root{Directory: directory, Parent: -1, Name: filepath.Base(path), Path: path}
	if path != "/" {
		if r.Parent, err = open(filepath.Dir(path)); err != nil {
			_ = unix.Close(directory)
			return Root{}, err
		}
	}
	return r, nil
}

// identity tells one directory from another, as long as one of them is held open.
type identity struct {
	device, inode uint64
	owner         uint32
}

// root is a folder in use. Whoever uses it has borrowed it; with the last the
// descriptors are closed.
type root struct {
	directory int
	parent    int    // -1: none
	name      []byte // NUL-terminated
	path      string
	identity  identity
	portable  *os.Root // in place of openat2, where the kernel or a container's filter has none

	users atomic.Int64
}

func newRoot(at Root) (*root, error) {
	r := &root{directory: at.Directory, parent: at.Parent, name: append([]byte(at.Name), 0), path: at.Path}
	r.users.Store(1)
	if err := r.prepare(); err != nil {
		r.release()
		return nil, err
	}
	return r, nil
}

func (r *root) prepare() error {
	var st unix.Statx_t
	if err := statx(r.directory, empty, unix.AT_EMPTY_PATH, &st); err != nil {
		return r.errorf("%w", err)
	}
	if st.Mode&unix.S_IFMT != unix.S_IFDIR {
		return r.errorf("%w", unix.ENOTDIR)
	}
	r.identity = identityOf(&st)
	// Entering and reading are asked apart: a folder that can't be listed (mode
	// 0711) can be served. What open refuses although the mode allows it is refused
	// by a confinement, and will be for every file.
	if err := unix.Faccessat(r.directory, ".", unix.X_OK, unix.AT_EACCESS); err != nil {
		return r.errorf("the user %d, which serves it, may not enter it: %w", os.Geteuid(), err)
	}
	fd, err := openat2(r.directory, here, &unix.OpenHow{Flags: unix.O_RDONLY | unix.O_DIRECTORY | unix.O_CLOEXEC, Resolve: unix.RESOLVE_BENEATH})
	switch {
	case err == nil:
		_ = unix.Close(fd)
	case errors.Is(err, unix.ENOSYS) || errors.Is(err, unix.EPERM):
		if r.portable, err = os.OpenRoot(fmt.Sprintf("/proc/self/fd/%d", r.directory)); err != nil {
			return r.errorf("there is no openat2 here, and without it: %w", err)
		}
	case errors.Is(err, unix.EACCES):
		if unix.Faccessat(r.directory, ".", unix.R_OK, unix.AT_EACCESS) == nil {
			return r.errorf("this process is confined and may not read there: %w", err)
		}
	default:
		return r.errorf("%w", err)
	}
	return nil
}

func (r *root) errorf(format string, a ...any) error {
	return fmt.Errorf("the folder %q: "+format, append([]any{r.path}, a...)...)
}

// borrow is false when the root is closed already.
func (r *root) borrow() bool {
	for {
		n := r.users.Load()
		if n == 0 {
			return false
		}
		if r.users.CompareAndSwap(n, n+1) {
			return true
		}
	}
}

func (r *root) release() {
	if r.users.Add(-1) > 0 {
		return
	}
	_ = unix.Close(r.directory)
	if r.parent >= 0 {
		_ = unix.Close(r.parent)
	}
	if r.portable != nil {
		_ = r.portable.Close()
	}
}

// look tells what the root's name stands for now.
func (r *root) look() (identity, error) {
	if r.parent < 0 {
		return r.identity, nil
	}
	var st unix.Statx_t
	if err := statx(r.parent, r.name, 0, &st); err != nil {
		return identity{}, err
	}
	return identityOf(&st), nil
}

// reopen opens what the root's name stands for now. It must have the same owner:
// the first was opened with the owner's rights, and by ours alone nobody may lead
// us to what is somebody else's.
func (r *root) reopen() (*root, error) {
	at := Root{Parent: -1, Name: string(r.name[:len(r.name)-1]), Path: r.path}
	var err error
	if at.Directory, err = unix.Openat(r.parent, at.Name, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0); err != nil {
		return nil, err
	}
	if at.Parent, err = unix.FcntlInt(uintptr(r.parent), unix.F_DUPFD_CLOEXEC, 0); err != nil {
		_ = unix.Close(at.Directory)
		return nil, err
	}
	next, err := newRoot(at)
	if err != nil {
		return nil, err
	}
	if next.identity.owner != r.identity.owner {
		next.release()
		return nil, unix.EPERM
	}
	return next, nil
}

// gone tells whether the folder was removed.
func (r *root) gone() bool {
	var st unix.Statx_t
	return statx(r.directory, empty, unix.AT_EMPTY_PATH, &st) == nil && st.Nlink == 0
}

func identityOf(st *unix.Statx_t) identity {
	return identity{device: unix.Mkdev(st.Dev_major, st.Dev_minor), inode: st.Ino, owner: st.Uid}
}

var (
	empty = []byte{0}
	here  = []byte(".\x00")
)

// statx is unix.Statx without an allocation for the name, which must end in NUL.
func statx(directory int, name []byte, flags int, st *unix.Statx_t) error {
	const mask = unix.STATX_TYPE | unix.STATX_INO | unix.STATX_UID | unix.STATX_NLINK
	_, _, errno := unix.Syscall6(unix.SYS_STATX, uintptr(directory), uintptr(unsafe.Pointer(&name[0])),
		uintptr(flags), mask, uintptr(unsafe.Pointer(st)), 0)
	if errno != 0 {
		return errno
	}
	return nil
}

// openat2 is unix.Openat2 without an allocation for the name, which must end in
// NUL.
func openat2(directory int, name []byte, how *unix.OpenHow) (int, error) {
	fd, _, errno := unix.Syscall6(unix.SYS_OPENAT2, uintptr(directory), uintptr(unsafe.Pointer(&name[0])),
		uintptr(unsafe.Pointer(how)), unsafe.Sizeof(*how), 0, 0)
	if errno != 0 {
		return -1, errno
	}
	return int(fd), nil
}
