package upstream

import (
	"crypto/tls"
	"errors"
	"io"
	"os"
	"sync/atomic"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"

	"emperor/router/deadline"
)

// ErrAborted is what a wait returns after Abort.
var ErrAborted = errors.New("aborted")

// ErrTimeout is what a wait returns when the Deadline fired.
var ErrTimeout = os.ErrDeadlineExceeded

// Conn is one connection to a vassal, reusable for the next after Close. One
// goroutine may read and another write at the same time; Dial and Close belong
// to the owner, when nobody reads or writes.
type Conn struct {
	// Deadline limits whatever wait is under way. The owner sets and clears it.
	Deadline deadline.Deadline

	tls        *tls.Conn // nil without TLS
	wire       wire      // what it reads from and writes to
	poller     *Poller
	fd         int
	registered interest // what the poller reports; 0: not registered
	aborted    atomic.Bool
	readable   latch
	writable   latch
}

// NewConn returns a closed Conn; Release it when it is not needed any more.
func (p *Poller) NewConn() *Conn {
	c := &Conn{poller: p, fd: -1, readable: newLatch(), writable: newLatch()}
	p.sweeper.Add(&c.Deadline, c.wake)
	return c
}

// Release closes c for good.
func (c *Conn) Release() {
	c.Close()
	c.poller.sweeper.Remove(&c.Deadline)
}

// Open tells whether c is connected (or was, and has not been closed).
func (c *Conn) Open() bool { return c.fd >= 0 }

func (c *Conn) wake() {
	c.readable.set()
	c.writable.set()
}

// Abort makes every wait, now and until the next Dial or Resume, return
// ErrAborted. Any goroutine may call it.
func (c *Conn) Abort() {
	c.aborted.Store(true)
	c.wake()
}

// Resume takes an Abort back that interrupted nothing: all that was written is
// whole. Only the owner may call it, when nobody reads or writes.
func (c *Conn) Resume() { c.aborted.Store(false) }

// The raw forms below spare the scheduler's bookkeeping around a system call:
// none of these can block, the socket is non-blocking.

// check says why a wait is over, if it is.
func (c *Conn) check() error {
	if c.aborted.Load() {
		return ErrAborted
	}
	if c.Deadline.Expired() {
		return ErrTimeout
	}
	return nil
}

// watch has the poller report what is wanted, unless the wait is over already.
func (c *Conn) watch(wanted interest) error {
	if c.registered&wanted != wanted {
		if err := c.poller.register(c, c.registered|wanted); err != nil {
			return err
		}
	}
	return c.check()
}

func (c *Conn) await(l latch, wanted interest) error {
	if err := c.watch(wanted); err != nil {
		return err
	}
	<-l
	return c.check()
}

// AwaitReadable returns when a read may find something. It saves the read that
// would only say "not yet" right after a request was sent.
func (c *Conn) AwaitReadable() error {
	if c.tls != nil {
		return c.check() // what is decrypted already makes no socket readable
	}
	return c.awaitReadable()
}

func (c *Conn) awaitReadable() error { return c.await(c.readable, toRead) }

func (c *Conn) awaitWritable() error { return c.await(c.writable, toWrite) }

// Read reads what is there, waiting for the first byte.
func (c *Conn) Read(b []byte) (int, error) {
	if len(b) == 0 {
		return 0, nil
	}
	if c.tls != nil {
		return c.tls.Read(b)
	}
	return c.read(b)
}

func (c *Conn) read(b []byte) (int, error) {
	for {
		n, _, errno := syscall.RawSyscall(unix.SYS_READ, uintptr(c.fd), uintptr(unsafe.Pointer(&b[0])), uintptr(len(b)))
		switch errno {
		case 0:
			if n == 0 {
				return 0, io.EOF
			}
			return int(n), nil
		case unix.EINTR:
		case unix.EAGAIN:
			if err := c.awaitReadable(); err != nil {
				return 0, err
			}
		default:
			return 0, os.NewSyscallError("read", errno)
		}
	}
}

// Write writes all of b.
func (c *Conn) Write(b []byte) (int, error) {
	if c.tls != nil {
		return c.tls.Write(b)
	}
	return c.write(b)
}

func (c *Conn) write(b []byte) (int, error) {
	written := 0
	for written < len(b) {
		n, err := c.writeOnce(b[written:])
		if err != nil {
			return written, err
		}
		written += n
	}
	return written, nil
}

// writeNow writes what the socket takes at once.
func (c *Conn) writeNow(b []byte) (int, error) {
	n, errno := c.send(b)
	if errno != 0 {
		return 0, os.NewSyscallError("write", errno)
	}
	return n, nil
}

// send: with MSG_NOSIGNAL, a vassal that went away is an error, not a signal.
func (c *Conn) send(b []byte) (int, syscall.Errno) {
	n, _, errno := syscall.RawSyscall6(unix.SYS_SENDTO, uintptr(c.fd), uintptr(unsafe.Pointer(&b[0])), uintptr(len(b)), unix.MSG_NOSIGNAL, 0, 0)
	return int(n), errno
}

func (c *Conn) writeOnce(b []byte) (int, error) {
	for {
		n, errno := c.send(b)
		switch errno {
		case 0:
			return n, nil
		case unix.EINTR:
		case unix.EAGAIN:
			if err := c.awaitWritable(); err != nil {
				return 0, err
			}
		default:
			return 0, os.NewSyscallError("write", errno)
		}
	}
}

// CloseWrite tells the vassal that no more bytes come (a half-close).
func (c *Conn) CloseWrite() error {
	if c.tls != nil {
		return c.tls.CloseWrite()
	}
	return os.NewSyscallError("shutdown", unix.Shutdown(c.fd, unix.SHUT_WR))
}

// Close closes the connection; c can dial again. Closing twice is fine.
func (c *Conn) Close() {
	c.Deadline.Clear()
	if c.fd < 0 {
		return
	}
	if c.tls != nil {
		c.endTLS()
	}
	c.hangUp()
}

// hangUp closes the socket and nothing else.
func (c *Conn) hangUp() {
	if c.registered != 0 {
		c.poller.unregister(c)
	}
	_, _, _ = syscall.RawSyscall(unix.SYS_CLOSE, uintptr(c.fd), 0, 0)
	c.fd = -1
	c.registered = 0
}

// Stale tells whether an idle connection cannot carry another request: the
// vassal closed it, or sent bytes nobody asked for.
func (c *Conn) Stale() bool {
	if c.tls != nil {
		return c.staleTLS()
	}
	return c.readyToRead()
}

// readyToRead tells that a read would not wait.
func (c *Conn) readyToRead() bool {
	var b [1]byte
	_, _, errno := syscall.RawSyscall6(unix.SYS_RECVFROM, uintptr(c.fd), uintptr(unsafe.Pointer(&b[0])), 1, unix.MSG_PEEK, 0, 0)
	return errno != unix.EAGAIN
}

// Share prepares for two goroutines, one that reads and one that writes.
func (c *Conn) Share() error {
	if c.registered&toWrite != 0 {
		return nil
	}
	return c.poller.register(c, toRead|toWrite)
}
