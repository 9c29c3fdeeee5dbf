package socket

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/net/nettest"
	"golang.org/x/sys/unix"

	"emperor/router/deadline"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func newPoller(t *testing.T) *Poller {
	t.Helper()
	sweeper := deadline.NewSweeper()
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { sweeper.Run(ctx) })
	p, err := NewPoller(sweeper)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
		cancel()
		running.Wait()
	})
	return p
}

// pair is two ends of a connection, of which the first is a Conn.
func pair(t *testing.T, p *Poller) (*Conn, *os.File) {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	c := p.NewConn(fds[0], netip.AddrPort{}, &net.UnixAddr{Net: "unix"})
	other := os.NewFile(uintptr(fds[1]), "peer")
	t.Cleanup(func() { _, _ = c.Close(), other.Close() })
	return c, other
}

// TestNetConn: what the library's own tests demand of a net.Conn.
func TestNetConn(t *testing.T) {
	p := newPoller(t)
	for network, address := range map[string]string{"tcp": "127.0.0.1:0", "unix": filepath.Join(t.TempDir(), "s")} {
		t.Run(network, func(t *testing.T) {
			listening, l := listen(t, p, network, address)
			nettest.TestConn(t, func() (accepted, dialled net.Conn, stop func(), err error) {
				dialled, err = net.Dial(network, listening.Addr().String())
				if err != nil {
					return nil, nil, nil, err
				}
				accepted, err = l.Accept()
				return accepted, dialled, func() { _, _ = accepted.Close(), dialled.Close() }, err
			})
		})
	}
}

// listen returns a listening socket as somebody else has it, and our Listener on it.
func listen(t *testing.T, p *Poller, network, address string) (net.Listener, *Listener) {
	t.Helper()
	listening, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listening.Close() })
	l := listenAgain(t, p, listening)
	return listening, l
}

func listenAgain(t *testing.T, p *Poller, listening net.Listener) *Listener {
	t.Helper()
	raw, err := listening.(syscall.Conn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	fd := -1
	if controlErr := raw.Control(func(of uintptr) { fd, err = unix.FcntlInt(of, unix.F_DUPFD_CLOEXEC, 0) }); err != nil || controlErr != nil {
		t.Fatal(err, controlErr)
	}
	l, err := p.Listen(fd)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l
}

// TestEndIsSeen: the end of a connection is noticed whether it comes with the last
// bytes, before they are read or after, and whoever was told of it first.
func TestEndIsSeen(t *testing.T) {
	p := newPoller(t)
	buffer := make([]byte, 100)
	say := func(t *testing.T, other *os.File, text string) {
		t.Helper()
		if _, err := other.WriteString(text); err != nil {
			t.Fatal(err)
		}
	}
	read := func(t *testing.T, c *Conn, want string) {
		t.Helper()
		n, err := c.Read(buffer)
		if string(buffer[:n]) != want || (err == io.EOF) != (want == "") {
			t.Fatalf("read %q, %v; want %q", buffer[:n], err, want)
		}
	}
	t.Run("with the bytes", func(t *testing.T) {
		c, other := pair(t, p)
		say(t, other, "last")
		_ = other.Close()
		read(t, c, "last")
		read(t, c, "")
		read(t, c, "")
	})
	t.Run("while waiting", func(t *testing.T) {
		c, other := pair(t, p)
		say(t, other, "first")
		read(t, c, "first")
		var writing sync.WaitGroup
		writing.Go(func() {
			_, _ = other.WriteString("last")
			_ = other.Close()
		})
		read(t, c, "last")
		read(t, c, "")
		writing.Wait()
	})
	t.Run("again and again", func(t *testing.T) {
		for i := range 2000 {
			c, other := pair(t, p)
			var writing sync.WaitGroup
			writing.Go(func() {
				for j := range i % 5 {
					_, _ = fmt.Fprint(other, j)
				}
				_ = other.Close()
			})
			text, err := io.ReadAll(c)
			if want := "01234"[:i%5]; string(text) != want || err != nil {
				t.Fatalf("%q, %v; want %q", text, err, want)
			}
			writing.Wait()
			_ = c.Close()
		}
	})
}

// TestEmptiedSocket: after a read that emptied the socket a read waits for the
// kernel's word, and what came before it began is not waited for in vain.
func TestEmptiedSocket(t *testing.T) {
	c, other := pair(t, newPoller(t))
	for _, text := range []string{"a", "bc", strings.Repeat("d", 100), strings.Repeat("e", 250), "f"} {
		if _, err := other.WriteString(text); err != nil {
			t.Fatal(err)
		}
		got := make([]byte, 0, len(text))
		for len(got) < len(text) {
			buffer := make([]byte, 100)
			n, err := c.Read(buffer)
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, buffer[:n]...)
		}
		if string(got) != text {
			t.Fatalf("read %q, want %q", got, text)
		}
	}
	if _, err := c.TryRead(make([]byte, 1)); err != unix.EAGAIN {
		t.Errorf("an empty socket: %v", err)
	}
}

// TestStop: stopping ends a wait and keeps the next from beginning, in its own
// direction only, until it is taken back.
func TestStop(t *testing.T) {
	c, other := pair(t, newPoller(t))
	ended := make(chan error)
	go func() {
		_, err := c.Read(make([]byte, 1))
		ended <- err
	}()
	c.StopReading()
	for range 2 {
		if err := <-ended; !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Error(err)
		}
		go func() {
			_, err := c.Read(make([]byte, 1))
			ended <- err
		}()
	}
	<-ended
	c.Reading.Set(time.Hour) // changes nothing
	if _, err := c.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Error(err)
	}
	if _, err := c.Write([]byte("x")); err != nil {
		t.Error(err)
	}
	c.ResumeReading()
	if _, err := other.WriteString("y"); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Read(make([]byte, 1)); err != nil {
		t.Error(err)
	}
	// A writer that waits for room.
	go func() {
		_, err := c.Write(make([]byte, 10<<20))
		ended <- err
	}()
	c.StopWriting()
	if err := <-ended; !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Error(err)
	}
}

// TestStoppedWhenBytesCame: a wait that is stopped just as bytes come does not lose
// the word of them.
func TestStoppedWhenBytesCame(t *testing.T) {
	c, other := pair(t, newPoller(t))
	buffer := make([]byte, 10)
	for i := range 3000 {
		if _, err := c.TryRead(buffer); err != unix.EAGAIN { // from here on reads wait
			t.Fatal(err)
		}
		ended := make(chan int)
		go func() {
			n, _ := c.Read(buffer)
			ended <- n
		}()
		if _, err := other.WriteString("x"); err != nil {
			t.Fatal(err)
		}
		for range i % 30 {
			runtime.Gosched()
		}
		c.StopReading()
		if <-ended == 0 {
			c.ResumeReading()
			if n, err := c.Read(buffer); n != 1 || err != nil {
				t.Fatal(n, err)
			}
		}
		c.ResumeReading()
	}
}

// TestPush: who brings bytes by himself is asked again when there is room.
func TestPush(t *testing.T) {
	c, other := pair(t, newPoller(t))
	const all = 4 << 20
	received := make(chan int64)
	go func() {
		n, _ := io.Copy(io.Discard, other)
		received <- n
	}()
	piece := make([]byte, 64<<10)
	for sent := 0; sent < all; {
		n, err := c.Push(func(fd int) (int, error) { return unix.Write(fd, piece) })
		if err != nil {
			t.Fatal(err)
		}
		sent += n
	}
	_ = c.CloseWrite()
	if n := <-received; n < all {
		t.Errorf("%d bytes arrived", n)
	}
	_ = c.Close()
	if _, err := c.Push(func(int) (int, error) { t.Error("called"); return 0, nil }); !errors.Is(err, net.ErrClosed) {
		t.Error(err)
	}
	c.Control(func(int) { t.Error("called") })
}

// TestDrain: a listener that leaves takes whom the kernel has queued, and another one
// on the same socket goes on.
func TestDrain(t *testing.T) {
	p := newPoller(t)
	listening, l := listen(t, p, "tcp", "127.0.0.1:0")
	const queued = 5
	for range queued {
		conn, err := net.Dial("tcp", listening.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = conn.Close() }()
	}
	l.Drain()
	for range queued {
		conn, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		if !conn.Remote().IsValid() || conn.LocalAddr().String() != listening.Addr().String() {
			t.Errorf("from %v to %v", conn.Remote(), conn.LocalAddr())
		}
		_ = conn.Close()
	}
	if _, err := l.Accept(); err != io.EOF {
		t.Error(err)
	}
	next := listenAgain(t, p, listening)
	_ = l.Close() // its number in epoll must not stay: the next one's may be the same
	again := listenAgain(t, p, listening)
	waiting := make(chan error)
	for _, l := range []*Listener{next, again} {
		go func() {
			conn, err := l.Accept()
			if err == nil {
				_ = conn.Close()
			}
			waiting <- err
		}()
	}
	conn, err := net.Dial("tcp", listening.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	if err := <-waiting; err != nil {
		t.Error(err)
	}
	_, _ = conn.Close(), next.Close()
	_ = again.Close()
	if err := <-waiting; !errors.Is(err, net.ErrClosed) {
		t.Error(err)
	}
}
