package upstream

import (
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// busyPort is a TCP port whose queue is full, and what empties it by one.
func busyPort(t *testing.T) (address string, accept func() net.Conn) {
	t.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err == nil {
		err = errors.Join(unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}), unix.Listen(fd, 0))
	}
	if err != nil {
		t.Fatal(err)
	}
	file := os.NewFile(uintptr(fd), "listener")
	l, err := net.FileListener(file)
	file.Close()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	waiting, err := net.Dial("tcp", l.Addr().String()) // the queue takes one more than it is long
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = waiting.Close() })
	return l.Addr().String(), func() net.Conn {
		conn, err := l.Accept()
		if err != nil {
			t.Error(err)
			return nil
		}
		t.Cleanup(func() { _ = conn.Close() })
		return conn
	}
}

// TestDialNow: what can be connected to at once is, and has the bytes; anything else is
// left to DialWith, which goes on with what was begun, or says what is wrong.
func TestDialNow(t *testing.T) {
	d := newDialer(t)
	heard := make(chan string, 1)
	hear := func(conn net.Conn) {
		text, _ := io.ReadAll(conn)
		heard <- string(text)
	}
	said := func(c *Conn, want string) {
		t.Helper()
		_ = c.CloseWrite()
		if got := <-heard; got != want {
			t.Errorf("%d bytes came, want %d", len(got), len(want))
		}
		c.Close()
	}
	short, long := "hello", strings.Repeat("hello", 10<<20)

	for _, l := range []net.Listener{serve(t, "unix", t.TempDir()+"/s", hear), serve(t, "tcp", "127.0.0.1:0", hear)} {
		c := newConn(t, d)
		if !c.DialNow(parse(t, l.Addr().String()), nil, []byte(short)) {
			t.Fatalf("%v: not at once", l.Addr())
		}
		said(c, short)
		// More than fits has a reader waited for.
		if c.DialNow(parse(t, l.Addr().String()), nil, []byte(long)) {
			t.Fatalf("%v: all at once", l.Addr())
		}
		if heard := <-heard; len(heard) >= len(long) {
			t.Errorf("%v: all came", l.Addr())
		}
		if err := c.DialWith(parse(t, l.Addr().String()), nil, []byte(long)); err != nil {
			t.Fatal(err)
		}
		said(c, long)
	}

	c, refused := newConn(t, d), serve(t, "tcp", "127.0.0.1:0", nil)
	_ = refused.Close()
	for text, want := range map[string]error{
		refused.Addr().String():  syscall.ECONNREFUSED,
		t.TempDir() + "/missing": syscall.ENOENT,
	} {
		if c.DialNow(parse(t, text), nil, []byte(short)) {
			t.Errorf("%s: connected", text)
		}
		if err := c.DialWith(parse(t, text), nil, []byte(short)); !errors.Is(err, want) || c.Open() {
			t.Errorf("%s: %v, want %v", text, err, want)
		}
	}
	if c.DialNow(parse(t, "localhost:80"), nil, []byte(short)) || c.Open() {
		t.Error("a name was looked up at once")
	}

	address, accept := busyPort(t)
	if c.DialNow(parse(t, address), nil, []byte(short)) || !c.Open() {
		t.Fatal("a full queue has taken another")
	}
	before := c.socket.FD()
	go func() { // its place is taken when it asks again
		accept()
		hear(accept())
	}()
	if err := c.DialWith(parse(t, address), nil, []byte(short)); err != nil || c.socket.FD() != before {
		t.Fatalf("waiting for a place: %v", err)
	}
	said(c, short)
}
