package router

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"strconv"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"emperor/router/limit"
	"emperor/router/relay"
	"emperor/router/socket"
	"emperor/router/static"
	"emperor/router/upstream"
)

// client is one accepted connection that speaks HTTP/1, and the goroutine that
// serves it. It is the downstream of one request after the other.
type client struct {
	router  *Router
	socket  *socket.Conn // as it was accepted; limits are set here
	conn    net.Conn     // what is read and written: the socket, or TLS on it
	tls     *tls.Conn    // conn, on an https listener
	peer    peer
	x       *exchange     // nil while idle
	input   bodyReader    // of the request under way
	framing answerFraming // of its answer

	sentHead, sentAll int64       // of the answer under way
	meter             limit.Meter // of how fast it is taken

	closeAfterThis bool                          // this request is the connection's last
	failed         bool                          // the client takes no more bytes
	knocked        bool                          // it was asked whether it is still there (gone)
	interrupted    atomic.Bool                   // reading the rest of a body was given up
	aborting       atomic.Bool                   // the router closes
	sending        atomic.Pointer[upstream.Conn] // the vassal's side of the request under way
	flowing        atomic.Pointer[relay.Relay]   // of a connection that goes on as it is
	upgraded       atomic.Pointer[relay.Relay]   // of one that has switched protocols

	counted   bool                               // against http-limit-peer,
	countedAs netip.Addr                         // as this address
	served    bool                               // it has been looked whether the first bytes are HTTP/2's
	shared    atomic.Bool                        // HTTP/2: net/http reads and writes
	broken    bool                               // the end of the connection must not look like an end
	alone     bool                               // no goroutine serves it any more
	begun     *flow                              // by whoever accepted it
	first     [1]byte                            // of a request on a TLS connection
	from      [longestAddress + longestPort]byte // where the texts in peer stand

	// idle is set while the connection waits for the first byte of a request:
	// that is when it may be closed without harm.
	idle atomic.Bool
}

// How much text addresses and ports are at the most, but for a zone of a long name.
const (
	longestAddress = len("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff")
	longestPort    = len("65535")
)

func newClient(r *Router, l *listener, conn *socket.Conn) *client {
	c := &client{router: r, socket: conn, conn: conn}
	c.peer = peer{port: l.port, scheme: "http", option: l.described.Option, listener: l.described.Address}
	if from := conn.Remote(); from.IsValid() {
		c.peer.remote = from.Addr().Unmap()
		c.peer.remoteAddr = c.peer.remote.AppendTo(c.from[:0:longestAddress])
		c.peer.port16 = from.Port()
		c.peer.remotePort = strconv.AppendUint(c.from[longestAddress:longestAddress], uint64(from.Port()), 10)
	} else {
		c.peer.remoteAddr, c.peer.remotePort = []byte("0.0.0.0"), []byte("0")
	}
	return c
}

// discard closes a connection that is not served.
func (c *client) discard() { _ = c.conn.Close() }

// serve is the connection's life, up to its end or until it goes on alone.
func (c *client) serve() {
	defer func() {
		if v := recover(); v != nil {
			c.faulty(v)
		}
		if !c.alone {
			c.depart()
		}
	}()
	if c.begun != nil {
		c.begun.run()
		return
	}
	if !c.expectProxyHeader() {
		return
	}
	if s := c.router.current(); s.streams.diverts && c.divert(s) == toEnd {
		return
	}
	if isSecure(c.peer.option) && !c.secure(c.router.current(), false) {
		return
	}
	for !c.closeAfterThis && (c.x != nil || c.tls != nil && c.speaksHTTP2() || c.awaitRequest()) {
		if c.speaksHTTP2() {
			c.serveHTTP2()
			return
		}
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

// faulty is what is left to do after a mistake of ours.
func (c *client) faulty(v any) {
	c.router.logPanic(v, &c.peer)
	if c.framing.untilClose {
		c.resetAtEnd()
	}
	if c.x != nil {
		c.x.own.Release() // nobody knows what the exchange looks like: it is not used again
		c.x = nil
	}
}

// goAlone leaves the connection to a flow, which calls depart: it needs no goroutine from
// now on, which must not touch it any more.
func (c *client) goAlone() {
	c.alone = true
	c.router.serving.Add(1)
}

// depart closes the connection, and it is counted no more.
func (c *client) depart() {
	if c.x != nil {
		c.x.own.Close()
		c.router.exchanges.giveBack(c.x)
		c.x = nil
	}
	if c.broken {
		_ = c.socket.Close() // without TLS's goodbye
	}
	_ = c.conn.Close()
	c.router.forget(c)
}

// serveRequest reads one request and has it answered. It returns whether the
// connection can carry another.
func (c *client) serveRequest() bool {
	x := c.x
	x.settings = c.router.current()
	if err := c.readHead(); err != nil {
		c.refuseHead(err)
		return false
	}
	x.headEnd = x.start
	if x.request.Close || x.request.Minor == 0 || !x.settings.keepAlive || c.router.leaving.Load() {
		c.closeAfterThis = true
	}
	c.input.expect(c)
	c.sentHead, c.sentAll, c.meter = 0, 0, limit.Meter{}
	if !x.serve(c, &c.peer) {
		// Nobody wanted the rest of the body: the connection can't be used again,
		// and the client should still get to read the answer.
		c.closeAfter()
		c.linger()
	}
	return !c.closeAfterThis
}

// resetAtEnd makes the end of the connection look like the failure that it is.
func (c *client) resetAtEnd() {
	c.broken = true
	_ = c.socket.SetLinger(0)
}

// closeAfter makes this request the connection's last.
func (c *client) closeAfter() { c.closeAfterThis = true }

func (c *client) aborted() bool { return c.aborting.Load() }

func (c *client) version() int { return 1 }

func (c *client) lost() bool { return c.failed }

// awaitRequest waits, holding no buffer, until the first bytes of a request are
// there.
func (c *client) awaitRequest() bool {
	c.idle.Store(true)
	defer c.idle.Store(false)
	wait := c.router.idleTime()
	if wait <= 0 {
		return false
	}
	c.socket.Reading.Set(wait)
	defer c.socket.Reading.Clear()
	if c.tls != nil {
		return c.awaitSecured()
	}
	for c.socket.AwaitReadable() == nil {
		x := c.router.exchanges.borrow()
		n, err := c.socket.TryRead(x.in)
		if n > 0 {
			c.x, x.end = x, n
			return true
		}
		c.router.exchanges.giveBack(x)
		if err != unix.EAGAIN {
			return false
		}
	}
	return false
}

// read reads from the client under the limit that is set.
func (c *client) read(b []byte) (int, error) { return c.conn.Read(b) }

// write writes all of b, giving up when the client takes nothing for as long as
// a vassal may be silent, or a long answer more slowly than the least rate.
func (c *client) write(b []byte) error {
	_, err := c.push(b, nil)
	return err
}

// push is write, or, with a file, one moveFile.
func (c *client) push(b []byte, file *static.Answer) (n int, err error) {
	pace := limit.Pace{BytesPerSecond: c.x.settings.protection.readRate, Grace: c.x.settings.responseTimeout}
	// What the kernel takes at once tells nothing of the client, and so small
	// answers need no clock.
	long := c.sentAll > 64<<10
	defer c.socket.Writing.Clear()
	for {
		var before time.Time
		if long {
			before = time.Now()
		}
		patience := c.meter.Patience(pace)
		if c.tls != nil {
			patience = pace.Grace
		}
		c.socket.Writing.Set(patience)
		if file != nil {
			n, err = c.moveFile(file)
		} else {
			n, err = c.conn.Write(b)
			b = b[n:]
		}
		c.sentAll += int64(n)
		if long {
			c.meter.Waited(time.Since(before))
		}
		if err == nil {
			return n, nil
		}
		if !errors.Is(err, os.ErrDeadlineExceeded) || c.aborting.Load() {
			c.failed = !errors.Is(err, static.ErrChanged)
			return n, err
		}
		if c.socket.Writing.Expired() {
			if !long {
				long = true
				c.meter.Waited(c.meter.Patience(pace))
			}
			c.meter.Took(pace, c.sentAll-c.unacknowledged())
			if c.tls != nil || c.meter.TooSlow(pace) { // a TLS connection can't go on after that
				c.failed = true
				return n, err
			}
		}
	}
}

// unacknowledged is how many bytes the kernel still holds for the client.
func (c *client) unacknowledged() int64 {
	n := 0
	c.socket.Control(func(fd int) { n, _ = unix.IoctlGetInt(fd, unix.SIOCOUTQ) })
	return int64(n)
}

// sent is part of downstream.
func (c *client) sent() (head, all int64) { return c.sentHead, c.sentAll }

// stopReading makes another goroutine's read return; revive undoes it.
func (c *client) stopReading() {
	c.interrupted.Store(true)
	c.socket.StopReading()
}

// revive makes reading possible again after a limit or stopReading.
func (c *client) revive() {
	c.interrupted.Store(false)
	c.socket.Reading.Clear()
	c.socket.ResumeReading()
	if c.aborting.Load() {
		c.socket.StopReading()
	}
}

// sends names the vassal's side of the request under way, so that abort can
// reach it.
func (c *client) sends(conn *upstream.Conn) {
	c.sending.Store(conn)
	if conn != nil && c.aborting.Load() {
		conn.Abort()
	}
}

// readHead reads until the request head is complete. Its error is an
// *http1.Error to answer, os.ErrDeadlineExceeded, or the end of the connection.
func (c *client) readHead() error {
	x := c.x
	x.compact()
	limited := false
	for {
		n, err := x.request.Parse(x.in[x.start:x.end], &c.x.settings.head)
		if err != nil {
			return err
		}
		if n > 0 {
			x.start += n
			if limited {
				c.socket.Reading.Clear()
			}
			return nil
		}
		if !limited {
			// A total, from the first byte on: a drip does not extend it.
			c.socket.Reading.Set(c.x.settings.headTimeout)
			limited = true
		}
		if x.end == len(x.in) {
			x.makeRoom(c.x.settings.head.Head)
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

// compact moves a pipelined request to the front of in before it is read: in
// would grow with every body that follows a head near its end.
func (x *exchange) compact() {
	if x.start >= inSize/2 {
		x.end = copy(x.in, x.in[x.start:x.end])
		x.start = 0
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

// gone tells that the client will read no answer any more, while its request is
// being held back. Some clients end what they send and wait for the answer
// (shutdown(2); nc -N does); TCP shows that and a close in the same way, until
// something is written: a client that has closed answers with a reset, and one
// that waits passes over an interim answer (RFC 9110, 15.2). HTTP/1.0 has none, so
// there who might be waiting is served.
func (c *client) gone() bool {
	over, ended := c.hungUp()
	if over || !ended || c.knocked || c.x == nil || c.x.request.Minor == 0 {
		return over
	}
	c.knocked = true
	c.sentHead += int64(len(continueBytes))
	return c.write(continueBytes) != nil
}

// hungUp tells whether the connection is over, and whether the client has ended
// its own direction of it.
func (c *client) hungUp() (over, ended bool) {
	fds := []unix.PollFd{{Events: unix.POLLRDHUP}}
	c.socket.Control(func(fd int) {
		fds[0].Fd = int32(fd)
		for {
			if _, err := unix.Poll(fds, 0); err != unix.EINTR {
				return
			}
		}
	})
	return fds[0].Revents&(unix.POLLHUP|unix.POLLERR) != 0, fds[0].Revents&unix.POLLRDHUP != 0
}

// linger lets the client read an answer that was given before it had sent
// everything: closing with unread bytes would reset the connection and take the
// answer with it. Bounded in time; the bytes go nowhere.
func (c *client) linger() {
	half, ok := c.conn.(interface{ CloseWrite() error })
	if !ok || half.CloseWrite() != nil {
		return
	}
	c.revive()
	for begun := time.Now(); ; {
		total := lingerTotal
		if c.router.hurried.Load() {
			total = lingerSilence
		}
		c.socket.Reading.Set(min(lingerSilence, total-time.Since(begun)))
		if n, err := c.read(c.x.in); err != nil || n == 0 {
			return
		}
	}
}

const (
	lingerTotal   = 30 * time.Second
	lingerSilence = 5 * time.Second
)

// abort ends the connection whatever it is doing.
func (c *client) abort() {
	c.aborting.Store(true)
	if running := c.flowing.Load(); running != nil {
		running.Stop(endShutDown)
	}
	if running := c.upgraded.Load(); running != nil {
		running.Stop(endShutDown)
	}
	c.socket.StopReading()
	c.socket.StopWriting()
	if c.shared.Load() {
		_ = c.socket.Close()
	}
	if conn := c.sending.Load(); conn != nil {
		conn.Abort()
	}
}
