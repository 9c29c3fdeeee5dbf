package socket

import (
	"io"
	"net"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"emperor/router/deadline"
)

// Conn is an accepted connection, as a net.Conn: any goroutine may call its methods.
//
// Its limits are Deadlines, which fire within deadline.Tick: SetDeadline and its
// like set the same ones.
type Conn struct {
	// Reading and Writing limit the waits under way. After one is over, what waits
	// and what begins to returns os.ErrDeadlineExceeded, until it is set or cleared.
	Reading, Writing deadline.Deadline

	socket   Socket
	watching sync.Mutex // held while the poller is told what is wanted
	guard    guard
	reads    sync.Mutex // held by the one that reads, and waits for it
	writes   sync.Mutex // likewise
	drained  bool       // guarded by reads; the last read emptied the socket
	sawEnd   bool       // guarded by reads; a read came to the end
	// Stop: whatever the limits say, until Resume.
	readStopped, writeStopped atomic.Bool
	remote                    netip.AddrPort // invalid for a unix socket
	local                     net.Addr
}

// NewConn takes over an accepted, non-blocking descriptor. local is the listener's
// address. The poller is not told before somebody waits: the first bytes are often
// there already, and what is read at once need not be reported.
func (p *Poller) NewConn(fd int, remote netip.AddrPort, local net.Addr) *Conn {
	c := &Conn{remote: remote, local: local}
	c.socket.Prepare(p)
	c.socket.Open(fd)
	p.sweeper.Add(&c.Reading, c)
	p.sweeper.Add(&c.Writing, c)
	return c
}

// Expired is for the sweeper: whoever waits is woken.
func (c *Conn) Expired(d *deadline.Deadline) {
	if d == &c.Reading {
		c.socket.WakeReader()
	} else {
		c.socket.WakeWriter()
	}
}

// Remote is the peer's address, invalid for a unix socket.
func (c *Conn) Remote() netip.AddrPort { return c.remote }

// RemoteAddr and LocalAddr are part of net.Conn.
func (c *Conn) RemoteAddr() net.Addr {
	if !c.remote.IsValid() {
		return &net.UnixAddr{Net: "unix"}
	}
	return net.TCPAddrFromAddrPort(c.remote)
}

func (c *Conn) LocalAddr() net.Addr { return c.local }

// StopReading and StopWriting make what waits, and what begins to, return
// os.ErrDeadlineExceeded until Resume.
func (c *Conn) StopReading() {
	c.readStopped.Store(true)
	c.socket.WakeReader()
}

func (c *Conn) StopWriting() {
	c.writeStopped.Store(true)
	c.socket.WakeWriter()
}

// ResumeReading and ResumeWriting take these back.
func (c *Conn) ResumeReading() { c.readStopped.Store(false) }
func (c *Conn) ResumeWriting() { c.writeStopped.Store(false) }

func (c *Conn) readOver() error {
	switch {
	case c.guard.isClosed():
		return net.ErrClosed
	case c.readStopped.Load() || c.Reading.Expired():
		return os.ErrDeadlineExceeded
	}
	return nil
}

func (c *Conn) writeOver() error {
	switch {
	case c.guard.isClosed():
		return net.ErrClosed
	case c.writeStopped.Load() || c.Writing.Expired():
		return os.ErrDeadlineExceeded
	}
	return nil
}

// AwaitReadable returns when TryRead may find something.
func (c *Conn) AwaitReadable() error {
	c.reads.Lock()
	defer c.reads.Unlock()
	return c.awaitReadable()
}

func (c *Conn) awaitReadable() error {
	if err := c.readOver(); err != nil || !c.drained || c.socket.Ended() {
		return err
	}
	return c.sleep()
}

// sleep waits for the poller's word that there is something to read.
func (c *Conn) sleep() error {
	if err := c.watch(ToRead); err != nil {
		return err
	}
	<-c.socket.Readable()
	// There will be no second word of what this one was about: even if the wait was
	// stopped just now, the next read has to look.
	c.drained = false
	return c.readOver()
}

// watch has the poller report what is wanted.
func (c *Conn) watch(wanted Interest) error {
	if !c.guard.enter() {
		return net.ErrClosed
	}
	c.watching.Lock()
	err := c.socket.Watch(wanted)
	c.watching.Unlock()
	c.leave()
	return err
}

// TryRead reads what is there. unix.EAGAIN: nothing yet.
func (c *Conn) TryRead(b []byte) (int, error) {
	c.reads.Lock()
	defer c.reads.Unlock()
	return c.tryRead(b)
}

func (c *Conn) tryRead(b []byte) (int, error) {
	if !c.guard.enter() {
		return 0, net.ErrClosed
	}
	n, errno := c.socket.Read(b)
	c.leave()
	c.drained = n < len(b)
	switch {
	case errno == unix.EAGAIN:
		return 0, unix.EAGAIN
	case errno != 0:
		return 0, os.NewSyscallError("read", errno)
	case n == 0:
		c.sawEnd = true
		return 0, io.EOF
	}
	return n, nil
}

// SawEnd tells whether a read has come to the end: what is above TLS may have come to
// its own before.
func (c *Conn) SawEnd() bool {
	c.reads.Lock()
	defer c.reads.Unlock()
	return c.sawEnd
}

// Read is part of net.Conn.
func (c *Conn) Read(b []byte) (int, error) {
	if len(b) == 0 {
		return 0, nil
	}
	c.reads.Lock()
	defer c.reads.Unlock()
	err := c.awaitReadable()
	for err == nil {
		n, failed := c.tryRead(b)
		if failed != unix.EAGAIN {
			return n, failed
		}
		// Also where the peer is said to have ended: nothing is there.
		if err = c.readOver(); err == nil {
			err = c.sleep()
		}
	}
	return 0, err
}

// Write is part of net.Conn.
func (c *Conn) Write(b []byte) (int, error) {
	c.writes.Lock()
	defer c.writes.Unlock()
	written := 0
	for written < len(b) {
		n, err := c.send(b[written:])
		if written += n; err == unix.EAGAIN {
			err = c.awaitRoom()
		}
		if err != nil {
			return written, err
		}
	}
	return written, nil
}

func (c *Conn) send(b []byte) (int, error) {
	if err := c.writeOver(); err != nil {
		return 0, err
	}
	if !c.guard.enter() {
		return 0, net.ErrClosed
	}
	n, errno := c.socket.Send(b)
	c.leave()
	switch errno {
	case 0:
		return n, nil
	case unix.EAGAIN:
		return 0, unix.EAGAIN
	}
	return 0, os.NewSyscallError("write", errno)
}

// awaitRoom waits until the socket takes more.
func (c *Conn) awaitRoom() error {
	err := c.watch(ToRead | ToWrite)
	if err == nil {
		err = c.writeOver()
	}
	if err == nil {
		<-c.socket.Writable()
		err = c.writeOver()
	}
	return err
}

// Push has move bring bytes into the descriptor by itself, a file for example, and
// waits for room as long as it says unix.EAGAIN.
func (c *Conn) Push(move func(fd int) (int, error)) (int, error) {
	c.writes.Lock()
	defer c.writes.Unlock()
	for {
		if err := c.writeOver(); err != nil {
			return 0, err
		}
		if !c.guard.enter() {
			return 0, net.ErrClosed
		}
		n, err := move(c.socket.fd)
		c.leave()
		if err == unix.EAGAIN && n <= 0 {
			n = 0
			err = c.awaitRoom()
			if err == nil {
				continue
			}
		}
		if err != unix.EINTR {
			return n, err
		}
	}
}

// Control gives the descriptor to f, for socket options. f is not called when the
// connection is closed.
func (c *Conn) Control(f func(fd int)) {
	if c.guard.enter() {
		f(c.socket.fd)
		c.leave()
	}
}

// Confirm tells the client's kernel at once what has come so far: one that sends small
// pieces may hold the next one back until then (RFC 1122 §4.2.3.4, Nagle).
func (c *Conn) Confirm() {
	c.Control(func(fd int) { _ = unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_QUICKACK, 1) })
}

// CloseWrite ends our direction (a half-close).
func (c *Conn) CloseWrite() error {
	if !c.guard.enter() {
		return net.ErrClosed
	}
	defer c.leave()
	return c.socket.CloseWrite()
}

// SetLinger is net.TCPConn's.
func (c *Conn) SetLinger(seconds int) error {
	l := unix.Linger{Linger: int32(seconds)}
	if seconds >= 0 {
		l.Onoff = 1
	}
	err := net.ErrClosed
	c.Control(func(fd int) {
		err = os.NewSyscallError("setsockopt", unix.SetsockoptLinger(fd, unix.SOL_SOCKET, unix.SO_LINGER, &l))
	})
	return err
}

// Close ends the connection, and whatever waits on it with net.ErrClosed.
func (c *Conn) Close() error {
	first, last := c.guard.close()
	if !first {
		return net.ErrClosed
	}
	c.socket.poller.sweeper.Remove(&c.Reading)
	c.socket.poller.sweeper.Remove(&c.Writing)
	c.socket.WakeReader()
	c.socket.WakeWriter()
	if last {
		c.socket.HangUp()
	}
	return nil
}

func (c *Conn) leave() {
	if c.guard.leave() {
		c.socket.HangUp()
	}
}

// SetDeadline, SetReadDeadline and SetWriteDeadline are part of net.Conn.
func (c *Conn) SetDeadline(t time.Time) error {
	_ = c.SetReadDeadline(t)
	return c.SetWriteDeadline(t)
}

func (c *Conn) SetReadDeadline(t time.Time) error {
	limit(&c.Reading, t)
	c.socket.WakeReader()
	return nil
}

func (c *Conn) SetWriteDeadline(t time.Time) error {
	limit(&c.Writing, t)
	c.socket.WakeWriter()
	return nil
}

func limit(d *deadline.Deadline, t time.Time) {
	if t.IsZero() {
		d.Clear()
		return
	}
	if left := time.Until(t); left > 0 {
		d.Set(left)
		return
	}
	d.Expire()
}
