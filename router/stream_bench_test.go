package router

import (
	"net"
	"testing"

	"golang.org/x/sys/unix"
)

// steadyServer is a TCP server that allocates nothing: it answers what it is told with so
// many bytes, and closes.
func steadyServer(b testing.TB, answer int) net.Addr {
	b.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	file, err := l.(*net.TCPListener).File()
	if err != nil {
		b.Fatal(err)
	}
	fd := int(file.Fd()) // which blocks from now on
	done := make(chan struct{})
	go func() {
		defer close(done)
		in, out := make([]byte, 1<<16), make([]byte, answer)
		for {
			conn, _, errno := unix.Syscall6(unix.SYS_ACCEPT4, uintptr(fd), 0, 0, unix.SOCK_CLOEXEC, 0, 0)
			if errno != 0 {
				return
			}
			_, _ = unix.Read(int(conn), in)
			_, _ = unix.Write(int(conn), out)
			_ = unix.Close(int(conn))
		}
	}()
	b.Cleanup(func() {
		_ = unix.Shutdown(fd, unix.SHUT_RDWR)
		<-done
		_ = file.Close()
		_ = l.Close()
	})
	return l.Addr()
}

// BenchmarkNewStream is a connection that is passed through by its name: a hello, an
// answer, and the end.
func BenchmarkNewStream(b *testing.B) {
	const answer = 93
	f := newFront(b)
	f.secured("route-run = return:204", "route-sni = passed.test pass:"+steadyServer(b, answer).String())
	said, heard := []byte(clientHello(b, "passed.test")), make([]byte, 4096)
	to := f.tcp.Addr().(*net.TCPAddr)
	address := &unix.SockaddrInet4{Port: to.Port, Addr: [4]byte(to.IP.To4())}
	b.ReportAllocs()
	for b.Loop() {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		if err == nil {
			err = unix.Connect(fd, address)
		}
		if err == nil {
			_, err = unix.Write(fd, said)
		}
		if err != nil {
			b.Fatal(err)
		}
		n := 0
		for {
			more, err := unix.Read(fd, heard[n:])
			if err != nil {
				b.Fatal(err)
			}
			if n += more; more == 0 {
				break
			}
		}
		if n != answer {
			b.Fatalf("%d bytes, want %d", n, answer)
		}
		_ = unix.Close(fd)
	}
}
