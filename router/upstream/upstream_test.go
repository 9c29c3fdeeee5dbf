package upstream

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"emperor/internal/testport"
	"emperor/router/socket/sockettest"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const patience = 30 * time.Second

func newDialer(t *testing.T) *Dialer {
	t.Helper()
	return NewDialer(sockettest.NewPoller(t))
}

func newConn(t *testing.T, d *Dialer) *Conn {
	t.Helper()
	c := d.NewConn()
	c.Deadline.Set(patience)
	t.Cleanup(c.Release)
	return c
}

func parse(t *testing.T, text string) *Address {
	t.Helper()
	var a Address
	if err := a.Parse([]byte(text)); err != nil {
		t.Fatal(err)
	}
	return &a
}

// serve answers every connection to a new socket with f.
func serve(t *testing.T, network, address string, f func(net.Conn)) net.Listener {
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
			working.Go(func() {
				defer func() { _ = conn.Close() }()
				_ = conn.SetDeadline(time.Now().Add(patience))
				f(conn)
			})
		}
	})
	t.Cleanup(func() { _ = l.Close(); working.Wait() })
	return l
}

func TestAddresses(t *testing.T) {
	longest := "/" + strings.Repeat("p", maxUnixPath-1)
	for _, test := range []struct {
		text   string
		family int
		err    string
	}{
		{"/run/a.sock", unix.AF_UNIX, ""},
		{"run/a.sock", unix.AF_UNIX, ""},
		{"a.sock", unix.AF_UNIX, ""},
		{"a:80/b", unix.AF_UNIX, ""},
		{"/run/a:80", unix.AF_UNIX, ""},
		{"@abstract", unix.AF_UNIX, ""},
		{longest, unix.AF_UNIX, ""},
		{longest + "p", 0, "unix socket path of 108 bytes, the limit is 107"},
		{"/a\x00b", 0, "unix socket path with a NUL byte"},
		{"127.0.0.1:80", unix.AF_INET, ""},
		{":80", unix.AF_INET, ""},
		{"[::1]:80", unix.AF_INET6, ""},
		{"[::ffff:127.0.0.1]:80", unix.AF_INET, ""},
		{"localhost:80", 0, ""},
		{"Web_1.example.org.:80", 0, ""},
		{"127.0.0.300:80", 0, `"127.0.0.300" is neither an IP address nor the name of a host`},
		{"a..b:80", 0, `"a..b" is neither an IP address nor the name of a host`},
		{"a b:80", 0, `"a b" is neither an IP address nor the name of a host`},
		{"[a]:80", 0, `"[a]" is neither an IP address nor the name of a host`},
		{"127.0.0.1:0", 0, `port "0", want 1 to 65535`},
		{"127.0.0.1:", 0, `port "", want 1 to 65535`},
		{"127.0.0.1:65536", 0, `port "65536", want 1 to 65535`},
		{"", 0, "empty address"},
	} {
		var a Address
		err := a.Parse([]byte(test.text))
		switch {
		case test.err != "":
			if err == nil || err.Error() != test.err {
				t.Errorf("%.20q: %v, want %s", test.text, err, test.err)
			}
		case err != nil || a.socket.family != test.family || a.Unix() != (test.family == unix.AF_UNIX):
			t.Errorf("%.20q: %v, family %d, want %d", test.text, err, a.socket.family, test.family)
		}
	}
}

func TestConversations(t *testing.T) {
	d := newDialer(t)
	longest := filepath.Join(t.TempDir(), "s")
	longest += strings.Repeat("s", maxUnixPath-len(longest))
	for _, test := range []struct{ network, address string }{
		{"unix", longest}, {"tcp", "127.0.0.1:0"}, {"tcp", "[::1]:0"},
		{"unix", "@" + filepath.Base(t.TempDir()) + "-emperor-test\x00"}, // uWSGI's abstract names end in a NUL
		{"unix", "@" + filepath.Base(t.TempDir()) + "-emperor-test-2"},   // nobody else's do
	} {
		l := serve(t, test.network, test.address, func(conn net.Conn) { _, _ = io.Copy(conn, conn) })
		text := strings.TrimRight(l.Addr().String(), "\x00")
		c := newConn(t, d)
		for range 3 { // a Conn is used again
			if err := c.Dial(parse(t, text)); err != nil {
				t.Fatalf("%s: %v", text, err)
			}
			if !c.Open() || c.Stale(true) {
				t.Errorf("%s: open %v, stale %v", text, c.Open(), c.Stale(true))
			}
			sent := bytes.Repeat([]byte("hello"), 1<<20)
			var sending sync.WaitGroup
			if err := c.Share(); err != nil {
				t.Fatal(err)
			}
			sending.Go(func() {
				if n, err := c.Write(sent); n != len(sent) || err != nil {
					t.Errorf("%s: wrote %d, %v", text, n, err)
				}
				if err := c.CloseWrite(); err != nil {
					t.Error(err)
				}
			})
			got, err := io.ReadAll(reader{c})
			sending.Wait()
			if !bytes.Equal(got, sent) || err != nil {
				t.Errorf("%s: %d bytes came back, %v", text, len(got), err)
			}
			if !c.Stale(true) {
				t.Error("a closed connection is not stale")
			}
			c.Close()
			c.Close()
		}
	}
}

type reader struct{ c *Conn }

func (r reader) Read(b []byte) (int, error) { return r.c.Read(b) }

func TestDialErrors(t *testing.T) {
	d := newDialer(t)
	dir := t.TempDir()
	old, err := net.Listen("unix", dir+"/old")
	if err != nil {
		t.Fatal(err)
	}
	old.(*net.UnixListener).SetUnlinkOnClose(false)
	_ = old.Close()
	if err := os.WriteFile(dir+"/file", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		address string
		want    error
	}{
		{dir + "/missing", syscall.ENOENT},
		{dir + "/old", syscall.ECONNREFUSED},
		{dir + "/file", syscall.ECONNREFUSED},
		{"127.0.0.1:" + testport.Free(t), syscall.ECONNREFUSED},
	} {
		c := newConn(t, d)
		if err := c.Dial(parse(t, test.address)); !errors.Is(err, test.want) || c.Open() {
			t.Errorf("%s: %v, open %v; want %v", test.address, err, c.Open(), test.want)
		}
	}
}

// TestWaitsEnd: by a limit and by Abort, reading, writing and connecting; and the
// Conn works again after it.
func TestWaitsEnd(t *testing.T) {
	d := newDialer(t)
	over := make(chan struct{})
	l := serve(t, "unix", t.TempDir()+"/s", func(net.Conn) { <-over })
	t.Cleanup(func() { close(over) })
	busy := busySocket(t)
	waits := map[string]func(c *Conn) error{
		"read": func(c *Conn) error {
			if err := c.Dial(parse(t, l.Addr().String())); err != nil {
				t.Fatal(err)
			}
			_, err := c.Read(make([]byte, 1))
			return err
		},
		"write": func(c *Conn) error {
			if err := c.Dial(parse(t, l.Addr().String())); err != nil {
				t.Fatal(err)
			}
			_, err := c.Write(make([]byte, 16<<20))
			return err
		},
		"connect": func(c *Conn) error { return c.Dial(parse(t, busy)) },
	}
	for name, wait := range waits {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newConn(t, d)
			c.Deadline.Set(300 * time.Millisecond)
			if err := wait(c); !errors.Is(err, ErrTimeout) || errors.Is(err, ErrBusy) != (name == "connect") {
				t.Errorf("a limit: %v", err)
			}
			c.Close()
			if name != "connect" { // Dial forgets an Abort that came before it
				c.Deadline.Set(patience)
				var aborting sync.WaitGroup
				var ended atomic.Bool
				aborting.Go(func() {
					for !ended.Load() {
						c.Abort()
						time.Sleep(time.Millisecond)
					}
				})
				err := wait(c)
				ended.Store(true)
				aborting.Wait()
				if !errors.Is(err, ErrAborted) {
					t.Errorf("Abort: %v", err)
				}
				c.Close()
			}
			c.Deadline.Set(patience)
			if err := c.Dial(parse(t, l.Addr().String())); err != nil {
				t.Errorf("afterwards: %v", err)
			}
			if _, err := c.Write([]byte("x")); err != nil {
				t.Errorf("afterwards: %v", err)
			}
		})
	}
}

func TestResume(t *testing.T) {
	d := newDialer(t)
	l := serve(t, "unix", t.TempDir()+"/s", func(conn net.Conn) { _, _ = io.Copy(conn, conn) })
	c := newConn(t, d)
	if err := c.Dial(parse(t, l.Addr().String())); err != nil {
		t.Fatal(err)
	}
	c.Abort()
	if err := c.AwaitReadable(); !errors.Is(err, ErrAborted) {
		t.Errorf("after Abort: %v", err)
	}
	c.Resume()
	if _, err := c.Write([]byte("x")); err != nil {
		t.Error(err)
	}
	if n, err := c.Read(make([]byte, 1)); n != 1 || err != nil {
		t.Errorf("after Resume: %d, %v", n, err)
	}
}

// busySocket is a unix socket whose queue is full.
func busySocket(t *testing.T) (path string) {
	t.Helper()
	path = t.TempDir() + "/busy"
	socket := func() int {
		fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = unix.Close(fd) })
		return fd
	}
	l := socket()
	if err := errors.Join(unix.Bind(l, &unix.SockaddrUnix{Name: path}), unix.Listen(l, 0)); err != nil {
		t.Fatal(err)
	}
	for {
		switch err := unix.Connect(socket(), &unix.SockaddrUnix{Name: path}); err {
		case nil:
		case unix.EAGAIN:
			return path
		default:
			t.Fatal(err)
		}
	}
}

// TestBusySocketIsWaitedFor: a full queue is no error.
func TestBusySocketIsWaitedFor(t *testing.T) {
	d := newDialer(t)
	path := t.TempDir() + "/s"
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = unix.Close(fd) }()
	if err := errors.Join(unix.Bind(fd, &unix.SockaddrUnix{Name: path}), unix.Listen(fd, 0)); err != nil {
		t.Fatal(err)
	}
	first := newConn(t, d)
	if err := first.Dial(parse(t, path)); err != nil {
		t.Fatal(err)
	}
	var accepting sync.WaitGroup
	accepting.Go(func() {
		for range 2 {
			conn, _, err := unix.Accept(fd)
			if err != nil {
				t.Error(err)
				return
			}
			_ = unix.Close(conn)
		}
	})
	second := newConn(t, d)
	if err := second.Dial(parse(t, path)); err != nil {
		t.Error(err)
	}
	accepting.Wait()
}

// awaitBytes returns when there is something to read: a report of the poller's may be
// about the past.
func awaitBytes(t *testing.T, c *Conn) {
	t.Helper()
	c.Deadline.Set(patience)
	for !c.socket.ReadyToRead() {
		if err := c.awaitReadable(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestPool(t *testing.T) {
	d := newDialer(t)
	var offset atomic.Int64
	pool := NewPool(d, func() time.Time { return time.Unix(1000, offset.Load()) })
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { pool.Run(ctx) })
	defer func() { cancel(); running.Wait() }()
	l := serve(t, "unix", t.TempDir()+"/s", func(conn net.Conn) { _, _ = io.Copy(conn, conn) })
	at := parse(t, l.Addr().String())
	const name = "the address"
	open := func(generation uint64) *Pooled {
		t.Helper()
		c := pool.Take(name, nil, generation, time.Minute, true)
		if c.Open() {
			t.Fatal("got an open connection, wanted a new one")
		}
		c.Deadline.Set(patience)
		if err := c.Dial(at); err != nil {
			t.Fatal(err)
		}
		return c
	}
	first, second := open(1), open(1)
	pool.Put(first, time.Minute)
	pool.Put(second, time.Minute)
	if c := pool.Take("", []byte(name), 1, time.Minute, true); c != second || !c.Reused {
		t.Error("the most recent one is not taken first, or not by bytes")
	}
	if c := pool.Take("another", nil, 1, time.Minute, true); c.Open() {
		t.Error("a connection for another address")
	} else {
		pool.Discard(c)
	}
	if c := pool.Take(name, nil, 2, time.Minute, true); c.Open() {
		t.Error("a connection to another generation")
	} else {
		pool.Discard(c)
	}
	offset.Add(int64(2 * time.Second))
	if c := pool.Take(name, nil, 1, time.Second, true); c.Open() {
		t.Error("one that was idle for longer than wanted")
	} else {
		pool.Discard(c)
	}
	offset.Add(int64(59 * time.Second))
	if c := pool.Take(name, nil, 1, time.Hour, true); c.Open() {
		t.Error("one that was idle for longer than it may be")
	} else {
		pool.Discard(c)
	}
	pool.Put(second, time.Minute)
	third := open(3)
	pool.Put(third, time.Minute)
	pool.Retire(name, 3)
	if first.Open() || second.Open() || !third.Open() {
		t.Errorf("after Retire: %v %v %v", first.Open(), second.Open(), third.Open())
	}
	if c := pool.Take(name, nil, 3, time.Minute, true); c != third {
		t.Error("Retire took a newer generation")
	}
	if _, err := third.Write([]byte("unasked")); err != nil {
		t.Fatal(err)
	}
	awaitBytes(t, third.Conn)
	pool.Put(third, time.Minute)
	unread := pool.Take(name, nil, 3, time.Minute, true)
	if unread.Open() {
		t.Error("a connection with unread bytes was handed out")
	}
	pool.Discard(unread)
	if c := open(4); true {
		pool.Put(c, 0)
		if c.Open() {
			t.Error("kept for no time")
		}
	}
	pool.mu.Lock()
	defer pool.mu.Unlock()
	for key, list := range pool.idle {
		if len(list) > 0 {
			t.Errorf("%v is left", key)
		}
	}
}
