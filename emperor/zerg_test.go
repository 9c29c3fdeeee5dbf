package emperor

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"emperor/internal/link"
)

// zergServer answers everybody who connects to a path with that word and these sockets.
func zergServer(t *testing.T, path, word string, sockets ...syscall.Conn) {
	t.Helper()
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan struct{})
	t.Cleanup(func() { _ = l.Close(); <-served })
	go func() {
		defer close(served)
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			var descriptors []int
			for _, s := range sockets {
				raw, _ := s.SyscallConn()
				_ = raw.Control(func(fd uintptr) { descriptors = append(descriptors, int(fd)) })
			}
			_, _, _ = conn.(*net.UnixConn).WriteMsgUnix([]byte(word), syscall.UnixRights(descriptors...), nil)
			_ = conn.Close()
		}
	}()
}

// TestZergServers: what comes from something that is no zerg server, or is nothing to
// listen at, is refused and leaves no descriptor open. (cmd/emperor has a real one.)
func TestZergServers(t *testing.T) {
	dir := t.TempDir()
	path := func(name string) string { return filepath.Join(dir, name) }
	listening := func() *net.TCPListener {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = l.Close() })
		return l.(*net.TCPListener)
	}
	good, other := listening(), listening()
	packets, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer packets.Close()
	connected, err := net.Dial("tcp", good.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer connected.Close()
	zergServer(t, path("one"), zergWord+"\x01\x00\x00\x00", good)
	zergServer(t, path("two"), zergWord+"\x02\x00\x00\x00", good, other)
	zergServer(t, path("none"), zergWord+"\x00\x00\x00\x00")
	zergServer(t, path("stranger"), "who are you?  ", good)
	zergServer(t, path("curt"), "uwsgi", good)
	zergServer(t, path("silent"), "")
	zergServer(t, path("packets"), zergWord+"\x02\x00\x00\x00", good, packets.(*net.UDPConn))
	zergServer(t, path("connection"), zergWord+"\x01\x00\x00\x00", connected.(*net.TCPConn))
	zergServer(t, "@"+path("abstract")+"\x00", zergWord+"\x01\x00\x00\x00", good) // as uWSGI binds it
	passed := []syscall.Conn{good, other, packets.(*net.UDPConn), connected.(*net.TCPConn)}
	before := descriptorsOf(t, passed...)
	for _, test := range []struct {
		address string
		sockets int
		want    string
	}{
		{path("one"), 1, ""},
		{path("two"), 2, ""},
		{"@" + path("abstract"), 1, ""},
		{path("nobody"), 0, "main.ini:3: http-zerg = " + path("nobody") + ": connect: no such file or directory: want a uWSGI that runs with zerg-server = " + path("nobody")},
		{path("none"), 0, "is no zerg server"},
		{path("stranger"), 0, "is no zerg server"},
		{path("curt"), 0, "is no zerg server"},
		{path("silent"), 0, "is no zerg server"},
		{path("packets"), 0, "one of its sockets is not listening for connections"},
		{path("connection"), 0, "one of its sockets is not listening for connections"},
		{"127.0.0.1:3031", 0, "want the path of a unix socket"},
		{"", 0, "want the path of a unix socket"},
		{"/" + strings.Repeat("x", 107), 0, "a socket's can have 107"},
	} {
		line := link.Listener{Option: "http-zerg", Address: test.address, Zerg: true, File: "main.ini", Line: 3}
		held, _, err := openListeners([]link.Listener{line}, nil, nil, frontMode)
		if test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) || test.want == "" && err != nil || len(held) != test.sockets {
			t.Errorf("%q: %d sockets, %v; want %d, %q", test.address, len(held), err, test.sockets, test.want)
		}
		// What is held is not fetched again, and is given up when nobody wants it.
		if again, fresh, err := openListeners([]link.Listener{line}, held, nil, frontMode); test.sockets > 0 && (err != nil || len(again) != test.sockets || len(fresh) > 0) {
			t.Errorf("%q: a second time: %d sockets, %d of them fetched, %v", test.address, len(again), len(fresh), err)
		}
		closeListeners(held)
		if after := descriptorsOf(t, passed...); after != before {
			t.Errorf("%q: %d descriptors of the sockets, %d before", test.address, after, before)
		}
	}
	if !connects(t, "tcp", good.Addr().String()) {
		t.Error("the server's own socket was closed")
	}
}

// descriptorsOf is how many descriptors of this process are of those sockets.
func descriptorsOf(t *testing.T, sockets ...syscall.Conn) (count int) {
	t.Helper()
	wanted := map[string]bool{}
	for _, s := range sockets {
		raw, err := s.SyscallConn()
		if err == nil {
			err = raw.Control(func(fd uintptr) {
				name, _ := os.Readlink(fmt.Sprint("/proc/self/fd/", fd))
				wanted[name] = true
			})
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	all, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range all {
		if name, _ := os.Readlink("/proc/self/fd/" + entry.Name()); wanted[name] {
			count++
		}
	}
	return count
}
