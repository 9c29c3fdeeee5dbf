package main

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"emperor/emperor/control"
	"emperor/internal/testport"
)

// crowd is many open streams of which each has to stay as it is.
type crowd struct {
	t     *testing.T
	conns []net.Conn
}

// join opens n streams; a greeting has come on each.
func (c *crowd) join(n int, open func() net.Conn) {
	c.t.Helper()
	var joining sync.WaitGroup
	room := make(chan struct{}, 20)
	opened := make([]net.Conn, n)
	for i := range n {
		room <- struct{}{}
		joining.Go(func() {
			defer func() { <-room }()
			conn := open()
			if text, err := line(conn); err != nil || !strings.HasPrefix(text, "220 ") {
				c.t.Errorf("stream %d: %q, %v", i, text, err)
				return
			}
			opened[i] = conn
		})
	}
	joining.Wait()
	if c.t.Failed() {
		c.t.FailNow()
	}
	c.conns = append(c.conns, opened...)
}

// talk has a word with each, there and back; who was cut is an error.
func (c *crowd) talk(when string) {
	c.t.Helper()
	cut := 0
	for i, conn := range c.conns {
		_ = conn.SetDeadline(time.Now().Add(patience))
		said := fmt.Sprintf("%s %d\n", when, i)
		_, err := io.WriteString(conn, said)
		var heard string
		if err == nil {
			heard, err = line(conn)
		}
		if err != nil || heard+"\n" != said {
			if cut++; cut <= 3 {
				c.t.Errorf("stream %d said %q and heard %q, %v", i, said, heard, err)
			}
		}
	}
	if cut > 0 {
		c.t.Errorf("%s: %d of %d streams were cut", when, cut, len(c.conns))
	}
}

// leave says good bye to each, and wants its good bye.
func (c *crowd) leave() {
	c.t.Helper()
	for i, conn := range c.conns {
		_ = conn.SetDeadline(time.Now().Add(patience))
		_ = closeWrite(conn)
		if text, err := io.ReadAll(conn); err != nil || !bytes.HasPrefix(text, []byte("221 ")) {
			c.t.Errorf("stream %d ended with %q, %v", i, text, err)
		}
		_ = conn.Close()
	}
	c.conns = nil
}

const changingStreams = `[uwsgi]
https = 127.0.0.1:PORT,DIR/own.crt,DIR/own.key
sni-timeout = 60
route-sni = pass.test pass:PASS
route-sni = plain.test tcp:PLAIN
stream-default = PLAIN
rawrouter = 127.0.0.1:RAW
rawrouter-to = PLAIN
route-run = return:204
`

// TestThousandStreamsStayThroughChanges: a thousand open streams, of all kinds, over
// edits of the main file that take away every rule they came by, over a mistake in it,
// and over upgrades of the emperor and the loss of nothing.
func TestThousandStreamsStayThroughChanges(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.certify("own", 1, "plain.test", "site.test")
	p := certified(t, 2, "pass.test")
	secret, plain, later := behind(t, overTLS(t, p, greeting("pass"))), behind(t, greeting("plain")), behind(t, greeting("later"))
	raw := testport.Free(t)
	write := func(text string) {
		m.write("main.ini", strings.NewReplacer("RAW", raw, "PASS", secret.address, "PLAIN", plain.address, "LATER", later.address).Replace(text))
	}
	write(changingStreams)
	m.start("main.ini")
	m.waitReady()
	c := &crowd{t: t}
	c.join(400, func() net.Conn { return tls.Client(dialStream(t, m.address()), by("pass.test")) })
	c.join(200, func() net.Conn { return tls.Client(dialStream(t, m.address()), by("plain.test")) })
	// No TLS: the server speaks only after it is known that the client speaks none.
	c.join(400, func() net.Conn {
		conn := dialStream(t, m.address())
		_, _ = io.WriteString(conn, "hello\n")
		return &early{TCPConn: conn}
	})
	c.talk("at first")
	flows := map[*current]string{
		flow(t, "passed bytes", tls.Client(dialStream(t, m.address()), by("pass.test"))):              "pass",
		flow(t, "bytes that are decrypted", tls.Client(dialStream(t, m.address()), by("plain.test"))): "plain",
		flow(t, "plain bytes", dialStream(t, "127.0.0.1:"+raw)):                                       "plain",
	}

	// A mistake in one line: the file is not applied, and everything goes on.
	mark := m.mark()
	write(strings.Replace(changingStreams, "tcp:PLAIN", "tcp:", 1))
	m.waitLog(mark, "main.ini:5", "route-sni")
	m.waitLog(mark, "the main file was not applied")
	m.wantStream("pass.test", 2, "pass")
	m.wantStream("plain.test", 1, "plain")
	c.talk("after a mistake")

	mark = m.mark()
	m.signal(syscall.SIGHUP)
	m.waitLog(mark, "the main file was not applied")
	c.talk("after a reload with that mistake")

	// New rules are for those who come.
	mark = m.mark()
	write(strings.Replace(changingStreams, "tcp:PLAIN", "tcp:LATER", 1))
	m.waitLog(mark, "the main file was applied")
	m.eventually("the new rule is followed", func() bool { return converse(t, m.address(), by("plain.test"), "").greeting == "220 later" })
	mark = m.mark()
	write("[uwsgi]\nhttps = 127.0.0.1:PORT,DIR/own.crt,DIR/own.key\nroute-run = return:204\n")
	m.waitLog(mark, "the main file was applied")
	m.eventually("no rule is left", func() bool {
		status, err := siteStatus(dialStream(t, m.address()), by("plain.test"))
		return err == nil && status == 204
	})
	c.talk("without their rules")
	write(changingStreams)
	m.eventually("the rules are back", func() bool {
		_, err := siteStatus(dialStream(t, m.address()), by("plain.test"))
		return err != nil // it is no site any more
	})
	m.wantStream("plain.test", 1, "plain")
	mark = m.mark()
	m.signal(syscall.SIGHUP)
	m.waitLog(mark, "SIGHUP")
	c.talk("after a reload")

	// A new binary, whose router takes the port.
	first := m.router()
	upgrade := func() {
		mark := m.mark()
		m.upgrade()
		m.waitLog(mark, "the router is replaced by that of the new version")
	}
	upgrade()
	c.talk("after an upgrade")
	c.join(50, func() net.Conn { return tls.Client(dialStream(t, m.address()), by("pass.test")) })
	upgrade()
	c.talk("after two upgrades")

	// A router that is told to end is followed by another, and ends when its streams do.
	mark = m.mark()
	if err := syscall.Kill(m.router(), syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	m.waitLog(mark, "the router is back")
	m.wantStream("pass.test", 2, "pass")
	c.talk("after the router's end")
	for f, server := range flows {
		f.end(t, server)
	}

	// Of each the kernel asks both ends, sooner or later, whether they are still there.
	m.eventually("the kernel looks after every stream", func() bool {
		clients, servers := keptAlive(t, m.port, secret.port(), plain.port())
		for _, conn := range c.conns {
			_, port, _ := net.SplitHostPort(conn.LocalAddr().String())
			if !clients[port] {
				return false
			}
		}
		return servers >= len(c.conns)
	})
	c.leave()
	m.eventually("the first router is gone", func() bool { return errors.Is(syscall.Kill(first, 0), syscall.ESRCH) })
	m.stop()
}

// router is the process that has the ports now.
func (m *machine) router() int {
	m.t.Helper()
	status, err := control.NewClient(m.path("control.sock")).Status(m.t.Context())
	if err != nil || status.Router == nil {
		m.t.Fatal("there is no router", err)
	}
	return status.Router.PID
}

// early is a connection whose client has spoken before the greeting came, of which the
// server's echo comes after it.
type early struct {
	*net.TCPConn
	greeted bool
}

// Read hides the echo of what was said first.
func (e *early) Read(b []byte) (int, error) {
	n, err := e.TCPConn.Read(b)
	if !e.greeted && n == 1 && b[0] == '\n' {
		e.greeted = true
		if _, err := line(e.TCPConn); err != nil {
			return n, err
		}
	}
	return n, err
}

// TestStreamsHaveAnEnd: a router that was replaced waits stream-drain for its streams,
// and no longer; one that stops for good keeps nobody waiting.
func TestStreamsHaveAnEnd(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	b := behind(t, overTLS(t, certified(t, 2, "pass.test"), greeting("pass")))
	m.write("main.ini", "[uwsgi]\nsslrouter = 127.0.0.1:PORT\nstream-drain = 1\nstream-log = DIR/streams.log\nroute-sni = pass.test pass:"+b.address+"\n")
	m.start("main.ini")
	m.waitReady()
	open := func() net.Conn {
		conn := tls.Client(dialStream(t, m.address()), by("pass.test"))
		if _, err := line(conn); err != nil {
			t.Fatal(err)
		}
		return conn.NetConn()
	}
	drained := open()
	first := m.router()
	m.upgrade()
	if _, err := io.ReadAll(drained); err != nil && !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("a stream of the router that was replaced: %v", err)
	}
	m.untilStreamEnds(drained, "drained")
	m.eventually("the router that was replaced is gone", func() bool { return errors.Is(syscall.Kill(first, 0), syscall.ESRCH) })
	last := open()
	m.signal(syscall.SIGTERM)
	if _, err := io.ReadAll(last); err != nil && !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("a stream at the end: %v", err)
	}
	if code := m.waitExit(); code != 0 {
		t.Errorf("exit %d", code)
	}
	m.untilStreamEnds(last)
}

// TestHalfOfAStream: each side can end its direction and still hear the other, with and
// without TLS before it; who breaks a stream breaks it for the other, too.
func TestHalfOfAStream(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.certify("own", 1, "echo.test", "last.test", "reset.test", "breaks.test")
	long := bytes.Repeat([]byte("all that the server has to say after that. "), 50_000)
	heard := make(chan string, 1)
	// Ends its own direction at once, and listens then.
	last := behind(t, func(conn net.Conn) {
		_, _ = conn.Write(long)
		_ = closeWrite(conn)
		text, err := io.ReadAll(conn)
		heard <- fmt.Sprint(string(text), err)
	})
	// Begins to speak when the client has ended.
	echo := behind(t, func(conn net.Conn) {
		text, err := io.ReadAll(conn)
		if err != nil {
			return
		}
		_, _ = conn.Write(append(text, long...))
	})
	broken := make(chan error, 1)
	reset := behind(t, func(conn net.Conn) {
		_, _ = io.WriteString(conn, "ready\n")
		_, err := io.ReadAll(conn)
		broken <- err
	})
	breaks := behind(t, func(conn net.Conn) {
		_, _ = io.ReadFull(conn, make([]byte, 1))
		_ = conn.(*net.TCPConn).SetLinger(0)
	})
	m.write("main.ini", `[uwsgi]
https = 127.0.0.1:PORT,DIR/own.crt,DIR/own.key
route-sni = breaks.test tcp:`+breaks.address+`
route-sni = passbreaks.test pass:`+breaks.address+`
route-sni = echo.test tcp:`+echo.address+`
route-sni = last.test tcp:`+last.address+`
route-sni = reset.test tcp:`+reset.address+`
route-sni = passlast.test pass:`+last.address+`
route-sni = passecho.test pass:`+echo.address+`
`)
	m.start("main.ini")
	m.waitReady()
	dial := func(name string) net.Conn {
		conn := dialStream(t, m.address())
		if !strings.HasPrefix(name, "pass") {
			name, old, _ := strings.Cut(name, ", ")
			c := by(name)
			if old != "" {
				c.MaxVersion = tls.VersionTLS12
			}
			return tls.Client(conn, c)
		}
		if _, err := conn.Write(helloFor(t, by(name))); err != nil {
			t.Fatal(err)
		}
		return conn
	}
	for _, name := range []string{"echo.test", "passecho.test", "echo.test, TLS 1.2"} {
		conn := dial(name)
		_, _ = io.WriteString(conn, "the last word")
		_ = closeWrite(conn)
		text, err := io.ReadAll(conn)
		if err != nil || !bytes.HasSuffix(text, append([]byte("the last word"), long...)) {
			t.Errorf("%s: after the client's end came %d bytes, %v", name, len(text), err)
		}
	}
	for _, name := range []string{"last.test", "passlast.test", "last.test, TLS 1.2"} {
		conn := dial(name)
		if tlsConn, ok := conn.(*tls.Conn); ok {
			if err := tlsConn.Handshake(); err != nil {
				t.Fatal(err)
			}
		}
		text, err := io.ReadAll(conn)
		if err != nil || !bytes.Equal(text, long) {
			t.Errorf("%s: %d bytes of %d, %v", name, len(text), len(long), err)
		}
		if _, err := io.WriteString(conn, "and now the client"); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		_ = closeWrite(conn)
		if got := <-heard; !strings.HasSuffix(got, "and now the client<nil>") {
			t.Errorf("%s: the server heard %q", name, got)
		}
	}
	// Who breaks off has not said all, and the other side must be able to tell.
	conn := dial("reset.test").(*tls.Conn)
	if _, err := line(conn); err != nil {
		t.Fatal(err)
	}
	_ = conn.NetConn().(*net.TCPConn).SetLinger(0)
	_ = conn.NetConn().Close()
	select {
	case err := <-broken:
		if err == nil {
			t.Error("a client that broke the stream off looks to the server like one that has ended it")
		}
	case <-time.After(patience):
		t.Error("the server was not told that its client is gone")
	}
	for _, name := range []string{"breaks.test", "passbreaks.test"} {
		conn := dial(name)
		if _, err := io.WriteString(conn, "x"); err != nil {
			continue // the client knows already
		}
		if text, err := io.ReadAll(conn); err == nil {
			t.Errorf("%s: a server that broke the stream off looks to the client like one that has ended it, after %q", name, text)
		}
	}
}

// TestLastWordsOfAClient: a client behind TLS that has said all and left is heard to the
// end, also by a server that answers meanwhile, whose answers nobody takes any more.
func TestLastWordsOfAClient(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.certify("own", 1, "log.test")
	const size = 16 << 10 // no more than is on its way at once: a client that leaves takes back what is not
	gone, heard := make(chan struct{}), make(chan string, 1)
	b := behind(t, func(conn net.Conn) {
		<-gone
		total, buffer := 0, make([]byte, 4096)
		for {
			n, err := conn.Read(buffer)
			if total += n; err != nil {
				heard <- fmt.Sprint(total, err)
				return
			}
			_, _ = io.WriteString(conn, "ack\n")
		}
	})
	m.write("main.ini", "[uwsgi]\nhttps = 127.0.0.1:PORT,DIR/own.crt,DIR/own.key\nroute-sni = log.test tcp:"+b.address+"\n")
	m.start("main.ini")
	m.waitReady()
	conn := tls.Client(dialStream(t, m.address()), by("log.test"))
	if _, err := conn.Write(make([]byte, size)); err != nil {
		t.Fatal(err)
	}
	if err := conn.Close(); err != nil {
		t.Fatal(err)
	}
	close(gone)
	if got, want := <-heard, fmt.Sprint(size, io.EOF); got != want {
		t.Errorf("the server heard %s, want %s", got, want)
	}
}
