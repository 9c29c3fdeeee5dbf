package probe

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"emperor/internal/link"
)

// heldSocket is a socket as the emperor holds it: bound and listening, and nobody accepts.
func heldSocket(t *testing.T, kind string) (fd int, network, to string) {
	t.Helper()
	network = kind
	switch kind {
	case "unix":
		to = filepath.Join(t.TempDir(), "s")
	case "tcp":
		to = "127.0.0.1:0"
	case "tcp6":
		to = "[::1]:0"
	}
	l, err := net.Listen(network, to)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	file, err := l.(interface{ File() (*os.File, error) }).File()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { file.Close() })
	return int(file.Fd()), network, l.Addr().String()
}

// awaitVisitor returns when somebody has connected who was not accepted yet.
func awaitVisitor(t *testing.T, fd int) {
	t.Helper()
	for {
		waiting := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
		n, err := unix.Poll(waiting, int(deadline.Milliseconds()))
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if n != 1 {
			t.Fatalf("nobody connects: %v", err)
		}
		return
	}
}

// TestTCP: connections to a held socket wait there, whether or not a program will
// take them: only one that was taken is a proof. The program notices a visitor who says
// nothing and leaves.
func TestTCP(t *testing.T) {
	t.Parallel()
	accept := func(t *testing.T, listening int) int {
		t.Helper()
		fd, _, err := unix.Accept4(listening, unix.SOCK_CLOEXEC)
		if err != nil {
			t.Fatal(err)
		}
		return fd
	}
	programs := map[string]func(t *testing.T, fd int){
		"says nothing":          func(*testing.T, int) {},
		"greets":                func(_ *testing.T, fd int) { unix.Write(fd, []byte("220 hello\r\n")) },
		"closes what is silent": func(_ *testing.T, fd int) { unix.Shutdown(fd, unix.SHUT_RDWR) },
	}
	for _, kind := range []string{"unix", "tcp", "tcp6"} {
		for name, program := range programs {
			t.Run(kind+" "+name, func(t *testing.T) {
				listening, network, to := heldSocket(t, kind)
				probed := make(chan error, 1)
				go func() { probed <- Ask(t.Context(), network, to, link.TCP, "", "") }()
				awaitVisitor(t, listening)
				select {
				case err := <-probed:
					t.Fatalf("%v, before anybody accepts", err)
				default:
				}
				fd := accept(t, listening)
				program(t, fd)
				var got [16]byte
				if n, err := unix.Read(fd, got[:]); n != 0 || err != nil {
					t.Errorf("the program reads %q, %v; want the end", got[:max(n, 0)], err)
				}
				unix.Close(fd)
				if err := <-probed; err != nil {
					t.Error(err)
				}
			})
		}
		t.Run(kind+" never accepts", func(t *testing.T) {
			listening, network, to := heldSocket(t, kind)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			probed := make(chan error, 1)
			go func() { probed <- Ask(ctx, network, to, link.TCP, "", "") }()
			awaitVisitor(t, listening)
			cancel()
			if err := <-probed; err == nil {
				t.Error("nobody has accepted, and it is ready")
			}
		})
	}
}
