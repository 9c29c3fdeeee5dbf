package upstream

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"emperor/internal/testport"
	"emperor/router/resolve"
)

// book is Names that a test writes.
type book struct {
	mu      sync.Mutex
	known   map[string][]netip.Addr
	pending chan struct{}               // not known yet
	poked   []netip.Addr                // in their order
	asked   func(*book) <-chan struct{} // what Poke does
}

func (b *book) Addresses(host string) ([]netip.Addr, <-chan struct{}, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.pending != nil {
		return nil, b.pending, nil
	}
	if addresses := b.known[host]; addresses != nil {
		return addresses, nil, nil
	}
	return nil, nil, errNoHost
}

func (b *book) Poke(host string, failed netip.Addr) <-chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.poked = append(b.poked, failed)
	if b.asked != nil {
		return b.asked(b)
	}
	return nil
}

var errNoHost = errors.New("no such host")

func addresses(texts ...string) (all []netip.Addr) {
	for _, text := range texts {
		all = append(all, netip.MustParseAddr(text))
	}
	return all
}

// port is where a test's listener on all of 127.0.0.0/8 is.
func port(t *testing.T, f func(net.Conn)) string {
	t.Helper()
	l := serve(t, "tcp", "127.0.0.1:0", f)
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return port
}

func echo(conn net.Conn) { _, _ = io.Copy(conn, conn) }

func wantEcho(t *testing.T, c *Conn) {
	t.Helper()
	if _, err := c.Write([]byte("hello")); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 5)
	for n := 0; n < len(b); {
		if err := c.AwaitReadable(); err != nil {
			t.Fatal(err)
		}
		got, err := c.Read(b[n:])
		if err != nil {
			t.Fatal(err)
		}
		n += got
	}
	if string(b) != "hello" {
		t.Errorf("%q came back", b)
	}
}

func TestNamesAreResolved(t *testing.T) {
	d := newDialer(t)
	at := port(t, echo)
	c := newConn(t, d)
	if err := c.Dial(parse(t, "site.test:"+at)); !errors.Is(err, ErrName) || c.Open() {
		t.Errorf("nobody resolves: %v", err)
	}
	b := &book{known: map[string][]netip.Addr{
		"site.test": addresses("127.0.0.1"),
		// The first refuse; what was not reached is reported.
		"some.test": addresses("127.0.0.2", "127.0.0.3", "127.0.0.1", "127.0.0.4"),
		"none.test": addresses("127.0.0.2", "127.0.0.3"),
	}}
	d.SetNames(b)
	for _, test := range []struct {
		host  string
		err   error
		poked []netip.Addr
	}{
		{"site.test", nil, nil},
		{"some.test", nil, addresses("127.0.0.2", "127.0.0.3")},
		{"none.test", syscall.ECONNREFUSED, addresses("127.0.0.2", "127.0.0.3")},
		{"other.test", errNoHost, nil},
	} {
		b.poked = nil
		c.Deadline.Set(patience)
		err := c.Dial(parse(t, test.host+":"+at))
		if !errors.Is(err, test.err) || !slices.Equal(b.poked, test.poked) {
			t.Errorf("%s: %v, poked %v; want %v, %v", test.host, err, b.poked, test.err, test.poked)
		}
		if err == nil {
			wantEcho(t, c)
			c.Close()
		}
	}
	b.known["localhost"] = addresses("127.0.0.2")
	err := c.Dial(parse(t, "localhost:"+at))
	if want := "localhost (127.0.0.2): connect: connection refused"; err == nil || err.Error() != want {
		t.Errorf("%v, want %s", err, want)
	}
}

// TestMovedName: a name whose addresses are all dead is asked for again before
// the request fails.
func TestMovedName(t *testing.T) {
	d := newDialer(t)
	at := port(t, echo)
	b := &book{known: map[string][]netip.Addr{"site.test": addresses("127.0.0.2", "127.0.0.3")}}
	d.SetNames(b)
	b.asked = func(b *book) <-chan struct{} {
		b.known["site.test"] = addresses("127.0.0.3", "127.0.0.1")
		asked := make(chan struct{})
		close(asked)
		return asked
	}
	c := newConn(t, d)
	if err := c.Dial(parse(t, "site.test:"+at)); err != nil {
		t.Fatal(err)
	}
	wantEcho(t, c)
	if want := addresses("127.0.0.2", "127.0.0.3"); !slices.Equal(b.poked, want) {
		t.Errorf("poked %v, want %v", b.poked, want)
	}
}

// TestWaitingForAName ends by the limit, by Abort, and by the answer.
func TestWaitingForAName(t *testing.T) {
	d := newDialer(t)
	at := port(t, echo)
	b := &book{known: map[string][]netip.Addr{"site.test": addresses("127.0.0.1")}, pending: make(chan struct{})}
	d.SetNames(b)
	c := newConn(t, d)
	c.Deadline.Set(10 * time.Millisecond)
	if err := c.Dial(parse(t, "site.test:"+at)); !errors.Is(err, ErrTimeout) {
		t.Errorf("a limit: %v", err)
	}
	c.Deadline.Set(patience)
	var beside sync.WaitGroup
	ended := make(chan struct{})
	beside.Go(func() {
		for {
			c.Abort()
			select {
			case <-ended:
				return
			case <-time.After(time.Millisecond):
			}
		}
	})
	err := c.Dial(parse(t, "site.test:"+at))
	close(ended)
	beside.Wait()
	if !errors.Is(err, ErrAborted) {
		t.Errorf("Abort: %v", err)
	}
	c.Deadline.Set(patience)
	beside.Go(func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		close(b.pending)
		b.pending = nil
	})
	if err := c.Dial(parse(t, "site.test:"+at)); err != nil {
		t.Fatal(err)
	}
	beside.Wait()
	wantEcho(t, c)
}

// TestSilentAddress: one that swallows connections costs a moment, not the
// request.
func TestSilentAddress(t *testing.T) {
	d := newDialer(t)
	at := port(t, echo)
	n, err := strconv.Atoi(at)
	if err != nil {
		t.Fatal(err)
	}
	testport.SilentAt(t, [4]byte{127, 0, 0, 2}, n)
	b := &book{known: map[string][]netip.Addr{"site.test": addresses("127.0.0.2", "127.0.0.1")}}
	d.SetNames(b)
	c := newConn(t, d)
	if err := c.Dial(parse(t, "site.test:"+at)); err != nil {
		t.Fatal(err)
	}
	wantEcho(t, c)
	if want := addresses("127.0.0.2"); !slices.Equal(b.poked, want) {
		t.Errorf("poked %v, want %v", b.poked, want)
	}
	// Alone, it takes what time there is.
	b.known["site.test"] = addresses("127.0.0.2")
	c.Close()
	c.Deadline.Set(1500 * time.Millisecond)
	if err := c.Dial(parse(t, "site.test:"+at)); !errors.Is(err, ErrTimeout) || errors.Is(err, errSlow) {
		t.Errorf("alone: %v", err)
	}
}

// TestRealNames: the Resolver that the router has.
func TestRealNames(t *testing.T) {
	d := newDialer(t)
	at := port(t, echo)
	r := resolve.New(resolve.ParseConfig(nil, []byte("127.0.0.1 site.test\n127.0.0.2 other.test\n127.0.0.1 other.test")), slog.New(slog.DiscardHandler))
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { r.Run(ctx) })
	defer running.Wait()
	defer cancel()
	d.SetNames(r)
	for _, host := range []string{"site.test", "Other.Test", "localhost"} {
		c := newConn(t, d)
		if err := c.Dial(parse(t, host+":"+at)); err != nil {
			t.Errorf("%s: %v", host, err)
			continue
		}
		wantEcho(t, c)
	}
}

func FuzzAddress(f *testing.F) {
	for _, s := range []string{"/run/a", "@a", ":80", "[::1%lo]:80", "host.name:80", "1.2.3.4:5", "a:80/b"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		var a, again Address
		if a.Parse(text) != nil {
			return
		}
		if a.Unix() && a.Host() != "" || a.Host() != "" && a.port == 0 || a.Host() == "" && a.socket.size == 0 {
			t.Fatalf("%q: %+v", text, a)
		}
		if err := again.Parse(text); err != nil || again != a {
			t.Fatalf("%q: %v", text, err)
		}
	})
}

func TestAddressIsUsedAgain(t *testing.T) {
	var a Address
	text := []byte("site.test:80")
	if err := a.Parse(text); err != nil || a.Host() != "site.test" {
		t.Fatal(a.Host(), err)
	}
	if n := testing.AllocsPerRun(100, func() { _ = a.Parse(text) }); n > 0 {
		t.Errorf("%v allocations", n)
	}
	for _, text := range []string{"127.0.0.1:80", ":80", "/run/a.sock"} {
		if err := errors.Join(a.Parse([]byte("site.test:80")), a.Parse([]byte(text))); err != nil || a.Host() != "" {
			t.Errorf("%s: %q, %v", text, a.Host(), err)
		}
	}
}
