package testport

import (
	"net/netip"
	"testing"

	"golang.org/x/sys/unix"
)

// Silent is a TCP address that answers nothing, not even no: a machine that is
// down, or behind a firewall. (Its queue is full, so the kernel drops what comes.)
func Silent(t testing.TB) string { return SilentAt(t, [4]byte{127, 0, 0, 1}, 0) }

// SilentAt is Silent at an address of this machine's, and a port; 0: any.
func SilentAt(t testing.TB, at [4]byte, port int) string {
	t.Helper()
	socket := func() int {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = unix.Close(fd) })
		return fd
	}
	l := socket()
	if err := unix.Bind(l, &unix.SockaddrInet4{Addr: at, Port: port}); err != nil {
		t.Fatal(err)
	}
	if err := unix.Listen(l, 0); err != nil {
		t.Fatal(err)
	}
	name, err := unix.Getsockname(l)
	if err != nil {
		t.Fatal(err)
	}
	for {
		one := socket()
		if err := unix.Connect(one, name); err != nil && err != unix.EINPROGRESS {
			t.Fatal(err)
		}
		// Loopback is connected at once or, when the queue is full, not at all.
		fds := []unix.PollFd{{Fd: int32(one), Events: unix.POLLOUT}}
		if n, err := unix.Poll(fds, 100); err == nil && n == 0 {
			return netip.AddrPortFrom(netip.AddrFrom4(at), uint16(name.(*unix.SockaddrInet4).Port)).String()
		}
	}
}
