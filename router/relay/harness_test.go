package relay

import (
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"emperor/internal/testcert"
	"emperor/router/socket"
	"emperor/router/socket/sockettest"
	"emperor/router/upstream"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience is more than anything takes here.
const patience = 30 * time.Second

// machine is what connections are made on.
type machine struct {
	poller *socket.Poller
	dialer *upstream.Dialer
	pair   tls.Certificate
	trusts string // the CA, in PEM
}

func newMachine(t testing.TB) *machine {
	t.Helper()
	p := sockettest.NewPoller(t)
	ca := testcert.NewAuthority(t, "relay")
	pair := ca.Issue(t, testcert.Wanted{Names: []string{"relay.test"}}).TLS(t)
	return &machine{poller: p, dialer: upstream.NewDialer(p), pair: pair, trusts: ca.PEM}
}

// peer is the far end of a connection, a client's or an upstream's.
type peer interface {
	net.Conn
	CloseWrite() error
}

// route is a pair of connections and their far ends.
type route struct {
	client          Side
	upstream        *upstream.Conn
	visitor, server peer
	alone           bool
}

// kind is how the two connections are made.
type kind struct {
	name    string
	network string
	client  uint16 // version of TLS on the client's connection, 0: plain
	beyond  bool   // the upstream speaks TLS
	alone   bool   // nobody waits for the end
}

var kinds = []kind{
	{name: "tcp", network: "tcp"},
	{name: "unix", network: "unix"},
	{name: "tls 1.3", network: "tcp", client: tls.VersionTLS13},
	{name: "tls 1.2", network: "tcp", client: tls.VersionTLS12},
	{name: "tls to tls", network: "tcp", client: tls.VersionTLS13, beyond: true},
	{name: "tcp alone", network: "tcp", alone: true},
	{name: "unix alone", network: "unix", alone: true},
}

func (k kind) secure() bool { return k.client != 0 || k.beyond }

// connect makes a route, which is closed at the test's end.
func (m *machine) connect(t testing.TB, k kind) *route {
	t.Helper()
	front, behind := listen(t, k.network), listen(t, k.network)
	r := &route{upstream: m.dialer.NewConn(), alone: k.alone}
	t.Cleanup(r.upstream.Release)
	r.upstream.Deadline.Set(patience)
	var a upstream.Address
	if err := a.Parse([]byte(behind.Addr().String())); err != nil {
		t.Fatal(err)
	}
	if err := r.upstream.Dial(&a); err != nil {
		t.Fatal(err)
	}
	server, err := behind.Accept()
	if err != nil {
		t.Fatal(err)
	}
	r.server = keep(t, server)
	visitor, err := net.Dial(k.network, front.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	r.visitor = keep(t, visitor)
	accepted := m.accept(t, front)
	r.client = accepted
	var shaking sync.WaitGroup
	if k.client != 0 {
		roots := x509.NewCertPool()
		roots.AppendCertsFromPEM([]byte(m.trusts))
		ours := tls.Server(accepted, &tls.Config{Certificates: []tls.Certificate{m.pair}})
		theirs := tls.Client(r.visitor, &tls.Config{ServerName: "relay.test", RootCAs: roots, MaxVersion: k.client})
		r.client, r.visitor = ours, theirs
		shaking.Go(func() { handshake(t, theirs) })
		handshake(t, ours)
	}
	if k.beyond {
		theirs := tls.Server(r.server, &tls.Config{Certificates: []tls.Certificate{m.pair}})
		r.server = theirs
		shaking.Go(func() { handshake(t, theirs) })
		options, err := upstream.NewTLS(upstream.TLSOptions{ServerName: "relay.test", Roots: []byte(m.trusts)})
		if err != nil {
			t.Fatal(err)
		}
		if err := r.upstream.StartTLS(options); err != nil {
			t.Fatal(err)
		}
	}
	shaking.Wait()
	r.upstream.Deadline.Clear()
	return r
}

func handshake(t testing.TB, c *tls.Conn) {
	if err := c.Handshake(); err != nil {
		t.Error(err)
	}
}

func keep(t testing.TB, c net.Conn) peer {
	t.Cleanup(func() { c.Close() })
	if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	return c.(peer)
}

func listen(t testing.TB, network string) net.Listener {
	t.Helper()
	address := "127.0.0.1:0"
	if network == "unix" {
		address = filepath.Join(t.TempDir(), "s")
	}
	l, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

// accept takes a connection as the front does.
func (m *machine) accept(t testing.TB, from net.Listener) *socket.Conn {
	t.Helper()
	f, err := from.(interface{ File() (*os.File, error) }).File()
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	fd, err := unix.FcntlInt(f.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	l, err := m.poller.Listen(fd)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// owner is whose Relay it is, in a test.
type owner struct {
	spawn func(func())
	over  func(Result)
	lasts func()
}

func (o *owner) Spawn(carry func()) { o.spawn(carry) }
func (o *owner) Over(result Result) { o.over(result) }
func (o *owner) Lasts() {
	if o.lasts != nil {
		o.lasts()
	}
}

// run runs a Relay on the route, and then closes both connections, as the front does.
func (r *route) run(t testing.TB, o Options) (*Relay, <-chan Result) {
	t.Helper()
	done := make(chan Result, 1)
	var running sync.WaitGroup
	over := func(got Result) {
		r.client.(io.Closer).Close()
		r.upstream.Close()
		done <- got
	}
	o.Owner = &owner{spawn: running.Go, over: func(got Result) { over(got); running.Done() }}
	relay := New(r.client, r.upstream, o)
	if r.alone {
		running.Add(1)
		if !relay.Start() {
			t.Fatal("two plain sockets need somebody to wait for them")
		}
	} else {
		running.Go(func() { over(relay.Run()) })
	}
	t.Cleanup(func() {
		relay.Stop("the test's end")
		running.Wait()
	})
	return relay, done
}

// result is how it ended.
func result(t testing.TB, done <-chan Result) Result {
	t.Helper()
	select {
	case r := <-done:
		return r
	case <-time.After(patience):
		t.Fatal("the relay goes on")
		return Result{}
	}
}

func send(t testing.TB, to io.Writer, text string) {
	t.Helper()
	if _, err := io.WriteString(to, text); err != nil {
		t.Fatal(err)
	}
}

func expect(t testing.TB, from io.Reader, text string) {
	t.Helper()
	b := make([]byte, len(text))
	if _, err := io.ReadFull(from, b); err != nil || string(b) != text {
		t.Fatalf("got %q, %v; want %q", b, err, text)
	}
}

// expectEnd reads the end of what the other side sends.
func expectEnd(t testing.TB, from io.Reader) {
	t.Helper()
	var b [1]byte
	if n, err := from.Read(b[:]); n != 0 || err != io.EOF {
		t.Fatalf("got %d bytes, %v; want the end", n, err)
	}
}
