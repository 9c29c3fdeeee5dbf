package router

import (
	"errors"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"runtime/debug"
	"strconv"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"emperor/router/deadline"
	"emperor/router/http1"
	"emperor/router/upstream"
)

// client is one accepted connection and the goroutine that serves it.
type client struct {
	router   *Router
	listener *listener
	conn     net.Conn
	raw      syscall.RawConn
	limit    deadline.Deadline // whatever the connection is waiting for now
	x        *exchange         // nil while idle
	settings *Settings         // of the request under way

	closeAfterThis bool                          // this request is the connection's last
	interrupted    atomic.Bool                   // reading the rest of a body was given up
	aborted        atomic.Bool                   // the router closes
	sending        atomic.Pointer[upstream.Conn] // the vassal's side of the request under way
	remote         netip.Addr                    // invalid on a unix socket
	remoteAddr     []byte                        // REMOTE_ADDR
	remotePort     []byte                        // REMOTE_PORT

	// idle is set while the connection waits for the first byte of a request:
	// that is when it may be closed without harm.
	idle atomic.Bool

	try    func(fd uintptr) bool // tryRead, bound once so that waiting allocates nothing
	tryN   int
	tryErr error
}

func newClient(r *Router, l *listener, conn net.Conn) (*client, error) {
	raw, err := conn.(syscall.Conn).SyscallConn()
	if err != nil {
		return nil, err
	}
	c := &client{router: r, listener: l, conn: conn, raw: raw}
	c.try = c.tryRead
	c.remoteAddr, c.remotePort = []byte("0.0.0.0"), []byte("0")
	if tcp, ok := conn.RemoteAddr().(*net.TCPAddr); ok {
		peer := tcp.AddrPort()
		c.remote = peer.Addr().Unmap()
		c.remoteAddr = c.remote.AppendTo(nil)
		c.remotePort = strconv.AppendUint(nil, uint64(peer.Port()), 10)
	}
	r.sweeper.Add(&c.limit, c.interrupt)
	return c, nil
}

// interrupt makes reads and writes of the connection return at once. It runs on
// the sweeper's goroutine when a limit is over.
func (c *client) interrupt() { _ = c.conn.SetDeadline(time.Unix(1, 0)) }

// serve is the connection's life.
func (c *client) serve() {
	defer func() {
		if v := recover(); v != nil {
			// A fault of ours costs one connection, not the front.
			c.router.log.Error("internal error while serving a request", slog.Any("panic", v), slog.String("client", string(c.remoteAddr)), slog.String("stack", string(debug.Stack())))
		}
		c.router.sweeper.Remove(&c.limit)
		if c.x != nil {
			c.sending.Store(nil)
			c.x.own.Close()
			c.router.exchanges.giveBack(c.x)
			c.x = nil
		}
		_ = c.conn.Close()
	}()
	for !c.closeAfterThis && c.awaitRequest() {
		// As long as the next request is in the buffer already (pipelined), the
		// exchange stays.
		for c.serveRequest() && c.x.start < c.x.end {
		}
		if c.closeAfterThis {
			return
		}
		c.router.exchanges.giveBack(c.x)
		c.x = nil
	}
}

// closeAfter makes this request the connection's last.
func (c *client) closeAfter() { c.closeAfterThis = true }

// awaitRequest waits, holding no buffer, until the first bytes of a request are
// there.
func (c *client) awaitRequest() bool {
	c.idle.Store(true)
	defer c.idle.Store(false)
	switch wait := c.router.idleTime(); {
	case wait > 0:
		c.limit.Set(wait)
	default:
		return false
	}
	for {
		c.tryN, c.tryErr = 0, nil
		err := c.raw.Read(c.try)
		if errors.Is(err, os.ErrDeadlineExceeded) && !c.limit.Expired() {
			_ = c.conn.SetDeadline(time.Time{})
			continue
		}
		if err != nil || c.tryErr != nil || c.tryN == 0 {
			return false
		}
		c.limit.Clear()
		return true
	}
}

// tryRead reads into a borrowed exchange, or gives it back when nothing is
// there yet.
func (c *client) tryRead(fd uintptr) bool {
	x := c.router.exchanges.borrow()
	n, err := ignoringEINTR(int(fd), x.in)
	if err == unix.EAGAIN {
		c.router.exchanges.giveBack(x)
		return false
	}
	if n <= 0 {
		c.router.exchanges.giveBack(x)
		c.tryErr = err
		return true
	}
	c.x, c.tryN = x, n
	x.end = n
	return true
}

func ignoringEINTR(fd int, b []byte) (int, error) {
	for {
		n, err := unix.Read(fd, b)
		if err != unix.EINTR {
			return n, err
		}
	}
}

// read reads from the client under the limit that is set.
func (c *client) read(b []byte) (int, error) {
	for {
		n, err := c.conn.Read(b)
		if err != nil && c.spurious(err) && n == 0 {
			continue
		}
		return n, err
	}
}

// write writes all of b, giving up when the client takes nothing for as long as
// a vassal may be silent.
func (c *client) write(b []byte) error {
	c.limit.Set(c.router.current().responseTimeout)
	defer c.limit.Clear()
	for {
		n, err := c.conn.Write(b)
		if err == nil {
			return nil
		}
		b = b[n:]
		if !c.spurious(err) {
			return err
		}
	}
}

// spurious tells that a limit fired just as it was being replaced: the error is
// not meant for the wait that got it.
func (c *client) spurious(err error) bool {
	if !errors.Is(err, os.ErrDeadlineExceeded) || c.limit.Expired() || c.interrupted.Load() || c.aborted.Load() {
		return false
	}
	_ = c.conn.SetDeadline(time.Time{})
	return true
}

// revive lifts an expired limit so that an answer can still be written.
func (c *client) revive() {
	c.interrupted.Store(false)
	c.limit.Clear()
	if !c.aborted.Load() {
		_ = c.conn.SetDeadline(time.Time{})
	}
}

// dial connects to a vassal, so that abort can reach it.
func (c *client) dial(conn *upstream.Conn, to *upstream.Address) error {
	c.sending.Store(conn)
	if err := conn.Dial(to); err != nil {
		return err
	}
	if c.aborted.Load() {
		conn.Abort()
	}
	return nil
}

// readHead reads until the request head is complete. Its error is an
// *http1.Error to answer, os.ErrDeadlineExceeded, or the end of the connection.
func (c *client) readHead() error {
	x := c.x
	limited := false
	for {
		n, err := x.request.Parse(x.in[x.start:x.end], &c.settings.head)
		if err != nil {
			return err
		}
		if n > 0 {
			x.start += n
			if limited {
				c.limit.Clear()
			}
			return nil
		}
		if !limited {
			// A total, from the first byte on: a drip does not extend it.
			c.limit.Set(c.settings.headTimeout)
			limited = true
		}
		if x.end == len(x.in) {
			x.makeRoom(c.settings.head.Head)
		}
		got, err := c.read(x.in[x.end:])
		x.end += got
		if got == 0 {
			if err == nil {
				err = io.ErrNoProgress
			}
			return err
		}
	}
}

// makeRoom moves what is not consumed to the front of in and grows in, if that
// is not enough, to hold a head of that size.
func (x *exchange) makeRoom(head int) {
	if x.start > 0 {
		copy(x.in, x.in[x.start:x.end])
		x.end -= x.start
		x.start = 0
	}
	if x.end == len(x.in) {
		// One byte more than the limit lets Parse see that it was passed.
		grown := make([]byte, max(2*len(x.in), head+1))
		copy(grown, x.in[:x.end])
		x.in = grown
	}
}

// gone tells whether the client has closed its connection while nothing was
// expected from it. A half-close is not told from a close, so it is only asked
// for requests that have not been sent yet.
func (c *client) gone() bool {
	var b [1]byte
	closed := false
	_ = c.raw.Control(func(fd uintptr) {
		n, _, err := unix.Recvfrom(int(fd), b[:], unix.MSG_PEEK|unix.MSG_DONTWAIT)
		closed = err == unix.ECONNRESET || err == nil && n == 0
	})
	return closed
}

// refuse answers a request that is not acceptable HTTP; the connection ends.
func (c *client) refuse(bad *http1.Error) {
	c.closeAfter()
	c.answer(bad.Status, bad.Reason, nil)
	c.linger()
}

// linger lets the client read an answer that was given before it had sent
// everything: closing with unread bytes would reset the connection and take the
// answer with it. Bounded in bytes and time.
func (c *client) linger() {
	half, ok := c.conn.(interface{ CloseWrite() error })
	if !ok || half.CloseWrite() != nil {
		return
	}
	c.revive()
	c.limit.Set(2 * time.Second)
	for total := 0; total < 1<<20; {
		n, err := c.read(c.x.in)
		if err != nil || n == 0 {
			return
		}
		total += n
	}
}

// abort ends the connection whatever it is doing.
func (c *client) abort() {
	c.aborted.Store(true)
	c.interrupt()
	if conn := c.sending.Load(); conn != nil {
		conn.Abort()
	}
}
