package proc

import (
	"syscall"

	"golang.org/x/sys/unix"

	"emperor/internal/shim"
)

// SealDescriptors marks every descriptor from 3 on close-on-exec, but those in
// keep. Go does so for its own; what the program's parent left open would
// otherwise reach every child. Call it at the start of the program, after
// sockets handed over were collected.
func SealDescriptors(keep ...int) error { return shim.SealDescriptors(keep...) }

// SetBlocking clears O_NONBLOCK. The flag belongs to the socket, not to the
// descriptor: whoever holds a duplicate, in whatever process, is affected.
func SetBlocking(fd int) error { return unix.SetNonblock(fd, false) }

// SetNonblocking sets O_NONBLOCK, for every holder; a child may have cleared it.
func SetNonblocking(fd int) error { return unix.SetNonblock(fd, true) }

// Duplicate gives a close-on-exec duplicate of a listener's, connection's or
// file's descriptor, which the caller closes. Unlike os.File.Fd and File methods
// it does not touch O_NONBLOCK, which would make an Accept elsewhere block for ever.
func Duplicate(c syscall.Conn) (int, error) {
	connection, err := c.SyscallConn()
	if err != nil {
		return -1, err
	}
	duplicate := -1
	var dupErr error
	if err := connection.Control(func(fd uintptr) {
		duplicate, dupErr = unix.FcntlInt(fd, unix.F_DUPFD_CLOEXEC, 3)
	}); err != nil {
		return -1, err
	}
	return duplicate, dupErr
}

// DuplicateDescriptor is Duplicate for a raw descriptor.
func DuplicateDescriptor(fd int) (int, error) {
	return unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 3)
}
