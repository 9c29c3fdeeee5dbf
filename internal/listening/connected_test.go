package listening

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"syscall"
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

// TestConnectedUnixAt: of two sockets with one name each has its own; who waits does not count.
func TestConnectedUnixAt(t *testing.T) {
	t.Chdir(t.TempDir())
	var inodes []uint64
	for _, moved := range []string{"first", "second"} {
		l, err := net.Listen("unix", "s")
		if err != nil {
			t.Fatal(err)
		}
		l.(*net.UnixListener).SetUnlinkOnClose(false)
		defer l.Close()
		var st syscall.Stat_t
		if err := errors.Join(os.Rename("s", moved), syscall.Stat(moved, &st)); err != nil {
			t.Fatal(err)
		}
		inodes = append(inodes, st.Ino)
		if moved == "second" {
			continue
		}
		for range 2 {
			c, err := net.Dial("unix", moved)
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
		}
		accepted, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		defer accepted.Close()
	}
	for i, want := range []int{1, 0} {
		if n, known := ConnectedUnixAt(inodes[i]); n != want || !known {
			t.Errorf("socket %d: %d connections, known %t; want %d", i+1, n, known, want)
		}
	}
}
