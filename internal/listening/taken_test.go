package listening

import (
	"net"
	"path/filepath"
	"testing"
)

// TestTaken: a connection is taken when it was accepted and not before, at every kind of
// address, whatever else waits there.
func TestTaken(t *testing.T) {
	for _, at := range []struct{ network, address, from string }{
		{"unix", filepath.Join(t.TempDir(), "s"), "unix"},
		{"unix", "@taken-test" + t.TempDir(), "unix"},
		{"tcp", "127.0.0.1:0", "tcp"},
		{"tcp", "[::1]:0", "tcp"},
		{"tcp", "[::]:0", "tcp4"}, // IPv4 at a socket of IPv6
	} {
		t.Run(at.address, func(t *testing.T) {
			l, err := net.Listen(at.network, at.address)
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			to := l.Addr().String()
			if at.from == "tcp4" {
				_, port, _ := net.SplitHostPort(to)
				to = net.JoinHostPort("127.0.0.1", port)
			}
			dial := func() net.Conn {
				t.Helper()
				c, err := net.Dial(at.from, to)
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { c.Close() })
				return c
			}
			want := func(c net.Conn, want bool, when string) {
				t.Helper()
				if got, err := Taken(c); got != want || err != nil {
					t.Errorf("%s: %t, %v; want %t", when, got, err, want)
				}
				if local, ok := c.LocalAddr().(*net.TCPAddr); ok { // as where there is no sock_diag
					if got := listedAsTaken(unmapped(c.RemoteAddr().(*net.TCPAddr)), unmapped(local)); got != want {
						t.Errorf("%s: %t, want %t, by /proc/net/tcp", when, got, want)
					}
				}
			}
			first, second := dial(), dial()
			want(first, false, "in the queue")
			accepted, err := l.Accept()
			if err != nil {
				t.Fatal(err)
			}
			defer accepted.Close()
			want(first, true, "accepted")
			want(second, false, "in the queue behind it")
			if at.network != "unix" {
				return
			}
			// As where there is no sock_diag.
			if !waitsAt(to) {
				t.Error("nobody waits in the queue, although one does")
			}
			last, err := l.Accept()
			if err != nil {
				t.Fatal(err)
			}
			defer last.Close()
			if waitsAt(to) {
				t.Error("somebody waits in the empty queue")
			}
		})
	}
}
