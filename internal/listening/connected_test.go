package listening

import (
	"net"
	"path/filepath"
	"testing"
)

// TestConnected: who is connected counts; whose client has gone does not.
func TestConnected(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	for _, test := range []struct {
		network, address string
		count            func(net.Listener) int
	}{
		{"unix", path, func(net.Listener) int { return ConnectedUnix(path) }},
		{"unix", "@listening-test" + t.TempDir(), func(l net.Listener) int { return ConnectedUnix(l.Addr().String()) }},
		{"tcp", "127.0.0.1:0", func(l net.Listener) int { return ConnectedTCP(l.Addr().(*net.TCPAddr).Port) }},
	} {
		l, err := net.Listen(test.network, test.address)
		if err != nil {
			t.Fatal(err)
		}
		want := func(n int, when string) {
			t.Helper()
			if got := test.count(l); got != n {
				t.Errorf("%s, %s: %d connections, want %d", l.Addr(), when, got, n)
			}
		}
		want(0, "nobody")
		var clients, accepted []net.Conn
		for range 2 {
			c, err := net.Dial(test.network, l.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			clients = append(clients, c)
		}
		for range 2 {
			c, err := l.Accept()
			if err != nil {
				t.Fatal(err)
			}
			accepted = append(accepted, c)
		}
		want(2, "two accepted")
		clients[0].Close()
		want(1, "one client gone, its connection kept")
		clients[1].Close()
		for _, c := range accepted {
			c.Close()
		}
		l.Close()
	}
	if n := ConnectedUnix(""); n != 0 {
		t.Error(n)
	}
}
