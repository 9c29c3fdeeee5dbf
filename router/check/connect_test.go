package check

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"emperor/router/balance"
	"emperor/router/resolve"
	"emperor/router/socket/sockettest"
	"emperor/router/upstream"
)

func newDialer(t *testing.T) *upstream.Dialer {
	t.Helper()
	d := upstream.NewDialer(sockettest.NewPoller(t))
	r := resolve.New(resolve.ParseConfig(nil, []byte("127.0.0.1 site.test")), slog.New(slog.DiscardHandler))
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { r.Run(ctx) })
	t.Cleanup(func() {
		cancel()
		running.Wait()
	})
	d.SetNames(r)
	return d
}

// accept takes connections and waits for their end.
func accept(t *testing.T, network, address string) string {
	t.Helper()
	l, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	var working sync.WaitGroup
	working.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			_ = conn.Close()
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		working.Wait()
	})
	return l.Addr().String()
}

// full is a unix socket whose queue has no room.
func full(t *testing.T) string {
	t.Helper()
	at := &syscall.SockaddrUnix{Name: filepath.Join(t.TempDir(), "full")}
	socket := func() int {
		fd, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_NONBLOCK|syscall.SOCK_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = syscall.Close(fd) })
		return fd
	}
	l := socket()
	if err := errors.Join(syscall.Bind(l, at), syscall.Listen(l, 0)); err != nil {
		t.Fatal(err)
	}
	for {
		switch err := syscall.Connect(socket(), at); err {
		case nil:
		case syscall.EAGAIN:
			return at.Name
		default:
			t.Fatal(err)
		}
	}
}

// TestConnecting is what checks do on the wire, and what it says about a node.
func TestConnecting(t *testing.T) {
	connect := connector(newDialer(t))
	tcp := accept(t, "tcp", "127.0.0.1:0")
	_, port, _ := net.SplitHostPort(tcp)
	path := accept(t, "unix", filepath.Join(t.TempDir(), "s"))
	for _, test := range []struct {
		address, network string
		timeout          time.Duration
		err              error
		result           balance.Result
	}{
		{tcp, "", time.Minute, nil, balance.Works},
		{path, "", time.Minute, nil, balance.Works},
		{"site.test:" + port, "", time.Minute, nil, balance.Works},
		{"127.0.0.2:" + port, "", time.Minute, syscall.ECONNREFUSED, balance.Fails},
		{path + ".gone", "", time.Minute, syscall.ENOENT, balance.Fails},
		{"site.test:" + port, "10.0.0.0/8", time.Minute, upstream.ErrOutside, balance.Unknown},
		{full(t), "", time.Millisecond, upstream.ErrBusy, balance.Unknown},
	} {
		var a upstream.Address
		if err := a.Parse([]byte(test.address)); err != nil {
			t.Fatal(err)
		}
		var networks []netip.Prefix
		if test.network != "" {
			networks = append(networks, netip.MustParsePrefix(test.network))
		}
		err := connect(t.Context(), &a, networks, test.timeout)
		if !errors.Is(err, test.err) || resultOf(err) != test.result {
			t.Errorf("%s: %v (%v), want %v (%v)", test.address, err, resultOf(err), test.err, test.result)
		}
	}
	// The end of the front ends it, also when it comes first.
	var a upstream.Address
	if err := a.Parse([]byte(full(t))); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var canceling sync.WaitGroup
	canceling.Go(cancel)
	if err := connect(ctx, &a, nil, time.Hour); err == nil {
		t.Error("connected to a full queue")
	}
	canceling.Wait()
}

// TestWhole: a Checker with nothing replaced marks a node that is not there.
func TestWhole(t *testing.T) {
	book := balance.NewBook(time.Now)
	there := accept(t, "tcp", "127.0.0.1:0")
	gone := strings.Replace(there, "127.0.0.1", "127.0.0.2", 1)
	g := book.Group([]balance.Spec{{Address: "there"}, {Address: "gone"}}, balance.Options{})
	c := New(book, newDialer(t), func(string) bool { return false }, slog.New(slog.DiscardHandler))
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { c.Run(ctx) })
	defer running.Wait()
	defer cancel()
	c.Set([]Node{{Key: "there", Address: there}, {Key: "gone", Address: gone}}, Plan{Every: 50 * time.Millisecond, Timeout: time.Minute})
	for g.Status()[1].Failures < 2 {
		time.Sleep(time.Millisecond)
	}
	if s := g.Status()[0]; s.Failures != 0 {
		t.Errorf("%+v", s)
	}
}
