package upstream

import (
	"crypto/tls"
	"errors"
	"io"
	"os"
	"runtime"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"emperor/router/deadline"
	"emperor/router/socket"
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

	tls     *tls.Conn // nil without TLS
	wire    wire      // what it reads from and writes to
	dialer  *Dialer
	socket  socket.Socket
	aborted atomic.Bool
}

// NewConn returns a closed Conn; Release it when it is not needed any more.
func (d *Dialer) NewConn() *Conn {
	c := &Conn{dialer: d}
	c.socket.Prepare(d.poller)
	d.poller.Sweeper().Add(&c.Deadline, c)
	return c
}

// Release closes c for good.
func (c *Conn) Release() {
	c.Close()
	c.dialer.poller.Sweeper().Remove(&c.Deadline)
}

// Open tells whether c is connected (or was, and has not been closed).
func (c *Conn) Open() bool { return c.socket.IsOpen() }

// Expired is for the sweeper: whoever waits is woken.
func (c *Conn) Expired(*deadline.Deadline) { c.wake() }

func (c *Conn) wake() {
	c.socket.WakeReader()
	c.socket.WakeWriter()
}

// Control gives the descriptor to f, for socket options. Only the owner may call it,
// while the Conn is open.
func (c *Conn) Control(f func(fd int)) { f(c.socket.FD()) }

// Abort makes every wait, now and until the next Dial or Resume, return
// ErrAborted. Any goroutine may call it.
func (c *Conn) Abort() {
	c.aborted.Store(true)
	c.wake()
}

// Resume takes an Abort back that interrupted nothing: all that was written is
// whole. Only the owner may call it, when nobody reads or writes.
func (c *Conn) Resume() { c.aborted.Store(false) }

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
func (c *Conn) watch(wanted socket.Interest) error {
	if err := c.socket.Watch(wanted); err != nil {
		return err
	}
	return c.check()
}

// AwaitReadable returns when a read should be tried. It saves the read that would
// only say "not yet" right after a request was sent.
//
// On a connection that the poller does not know it lets everybody else have a turn
// first, and no more: under load the answer is there by then, and neither
// registering the socket nor the poller's word is needed (a sixth of the processor
// time of a request by uwsgi). Otherwise the read finds nothing, and waits.
func (c *Conn) AwaitReadable() error {
	switch {
	case c.tls != nil:
		return c.check() // what is decrypted already makes no socket readable
	case c.socket.Ended():
		return c.check()
	case !c.socket.Registered():
		runtime.Gosched()
		return c.check()
	}
	return c.awaitReadable()
}

func (c *Conn) awaitReadable() error {
	if err := c.watch(socket.ToRead); err != nil {
		return err
	}
	<-c.socket.Readable()
	err := c.check()
	if err != nil {
		c.socket.WakeReader() // there will be no second word of what this one was about
	}
	return err
}

func (c *Conn) awaitWritable() error {
	if err := c.watch(socket.ToWrite); err != nil {
		return err
	}
	<-c.socket.Writable()
	return c.check()
}

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
		n, errno := c.socket.Read(b)
		switch errno {
		case 0:
			if n == 0 {
				return 0, io.EOF
			}
			return n, nil
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
	n, errno := c.socket.Send(b)
	if errno != 0 {
		return 0, os.NewSyscallError("write", errno)
	}
	return n, nil
}

func (c *Conn) writeOnce(b []byte) (int, error) {
	for {
		n, errno := c.socket.Send(b)
		switch errno {
		case 0:
			return n, nil
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
	return c.socket.CloseWrite()
}

// Close closes the connection; c can dial again. Closing twice is fine.
func (c *Conn) Close() {
	c.Deadline.Clear()
	if !c.socket.IsOpen() {
		return
	}
	if c.tls != nil {
		c.endTLS()
	}
	c.socket.HangUp()
}

// Stale tells whether an idle connection cannot carry another request: the
// vassal closed it, or sent bytes nobody asked for. The kernel is asked if that is
// to be certain; otherwise what the poller has reported so far is enough.
func (c *Conn) Stale(certain bool) bool {
	switch {
	case c.tls != nil:
		return c.staleTLS()
	case !certain && c.socket.Quiet():
		return false
	}
	return c.socket.ReadyToRead()
}

// Share prepares for two goroutines, one that reads and one that writes.
func (c *Conn) Share() error { return c.socket.Watch(socket.ToRead | socket.ToWrite) }

// Socket is what c reads from and writes to, for who does that by himself: without
// the Deadline, and without Abort. nil behind TLS, where that can't be.
func (c *Conn) Socket() *socket.Socket {
	if c.tls != nil || !c.socket.IsOpen() {
		return nil
	}
	return &c.socket
}
