package router

import (
	"net"
	"net/netip"
	"testing"

	"golang.org/x/sys/unix"

	"emperor/router/upstream"
)

// TestStreamsThatLast: the kernel asks both ends of a stream that has gone on for a while
// whether they are still there.
func TestStreamsThatLast(t *testing.T) {
	r := newFront(t).Router
	server, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	var to upstream.Address
	if err := to.Parse([]byte(server.Addr().String())); err != nil {
		t.Fatal(err)
	}
	f := &flow{conn: r.dialer.NewConn()}
	defer f.conn.Release()
	f.conn.Deadline.Set(patience)
	if err := f.conn.Dial(&to); err != nil {
		t.Fatal(err)
	}
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	f.c = &client{socket: r.poller.NewConn(fd, netip.AddrPort{}, server.Addr())}
	defer f.c.socket.Close()
	f.Lasts()
	asked := func(fd int) {
		for option, want := range map[[2]int]int{{unix.SOL_SOCKET, unix.SO_KEEPALIVE}: 1, {unix.IPPROTO_TCP, unix.TCP_KEEPIDLE}: keepAliveTime} {
			if got, err := unix.GetsockoptInt(fd, option[0], option[1]); got != want || err != nil {
				t.Errorf("option %v is %d (%v), want %d", option, got, err, want)
			}
		}
	}
	f.c.socket.Control(asked)
	f.conn.Control(asked)
}
