package emperor

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"emperor/internal/link"
	"emperor/internal/sysd"
	"emperor/internal/testport"
)

func listener(address string) link.Listener {
	return link.Listener{Option: "http", Address: address, File: "main.ini", Line: 3}
}

func open(t *testing.T, held []*bound, wanted ...link.Listener) []*bound {
	t.Helper()
	next, _, err := openListeners(wanted, held, nil, frontMode)
	if err != nil {
		t.Fatal(err)
	}
	return next
}

func connects(t *testing.T, network, address string) bool {
	t.Helper()
	c, err := net.Dial(network, address)
	if err == nil {
		c.Close()
	}
	return err == nil
}

func TestParseListener(t *testing.T) {
	for address, want := range map[string]endpoint{
		":8080":          {network: "tcp", text: ":8080", port: "8080"},
		"127.0.0.1:80":   {network: "tcp", text: "127.0.0.1:80", host: "127.0.0.1", port: "80"},
		"[::1]:80":       {network: "tcp", text: "[::1]:80", host: "::1", port: "80"},
		"/run/x.sock":    {network: "unix", text: "/run/x.sock"},
		"@name":          {network: "unix", text: "@name"},
		"fd://3":         {network: "fd", text: "3"},
		"fd://http":      {network: "fd", text: "http"},
		"localhost:8080": {network: "tcp", text: "localhost:8080", host: "localhost", port: "8080"},
	} {
		if got, err := parseListener(listener(address)); err != nil || got != want {
			t.Errorf("%s: %+v, %v; want %+v", address, got, err, want)
		}
	}
	for _, address := range []string{"", "8080", "fd://", "host", "1.2.3.4:", ":0", ":70000", "::1:80", "/" + strings.Repeat("x", 107)} {
		if got, err := parseListener(listener(address)); err == nil {
			t.Errorf("%q was taken as %+v", address, got)
		}
	}
}

func TestAllAddressesAreIPv4AndIPv6(t *testing.T) {
	port := testport.Free(t)
	held := open(t, nil, listener(":"+port))
	defer func() { closeListeners(held) }()
	for _, address := range []string{"127.0.0.1:" + port, "[::1]:" + port} {
		if !connects(t, "tcp", address) {
			t.Errorf("nobody listens on %s", address)
		}
	}
	// What is held stays as it is; only its place in the file moves.
	moved := listener(":" + port)
	moved.Line = 9
	next := open(t, held, moved)
	if next[0].fd != held[0].fd || next[0].Line != 9 {
		t.Errorf("the listener was opened again: %+v, was %+v", next[0], held[0])
	}
}

// TestPlainTCP: multipath sockets, which Go prefers, refuse TCP's options, and cost more.
func TestPlainTCP(t *testing.T) {
	held := open(t, nil, listener("127.0.0.1:"+testport.Free(t)))
	defer func() { closeListeners(held) }()
	protocol, err := unix.GetsockoptInt(held[0].fd, unix.SOL_SOCKET, unix.SO_PROTOCOL)
	if err != nil || protocol != unix.IPPROTO_TCP {
		t.Errorf("protocol %d, %v", protocol, err)
	}
}

func TestIPv6BesideIPv4(t *testing.T) {
	port := testport.Free(t)
	for _, order := range [][]link.Listener{
		{listener("0.0.0.0:" + port), listener("[::]:" + port)},
		{listener("[::]:" + port), listener("0.0.0.0:" + port)},
	} {
		closeListeners(open(t, nil, order...))
	}
}

func TestListenersThatCannotBe(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	dir := t.TempDir()
	live, err := net.Listen("unix", filepath.Join(dir, "live.sock"))
	if err != nil {
		t.Fatal(err)
	}
	defer live.Close()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, []byte("precious"), 0o644); err != nil {
		t.Fatal(err)
	}
	port := testport.Free(t)
	tests := []struct {
		name   string
		wanted []link.Listener
		want   string
	}{
		{"in use", []link.Listener{listener(taken.Addr().String())}, "main.ini:3: http = " + taken.Addr().String() + ": the address is in use"},
		{"live socket", []link.Listener{listener(filepath.Join(dir, "live.sock"))}, "another server answers"},
		{"other file", []link.Listener{listener(file)}, "not a socket"},
		{"twice", []link.Listener{listener(":" + port), listener(":" + port)}, "named twice"},
		{"no such name", []link.Listener{listener("fd://web")}, "no socket of that name"},
		{"no listener", []link.Listener{listener("fd://0")}, "not a listening socket"},
		{"good before bad", []link.Listener{listener(":" + port), listener(file)}, "not a socket"},
	}
	for _, test := range tests {
		_, _, err := openListeners(test.wanted, nil, nil, frontMode)
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v, want %q", test.name, err, test.want)
		}
	}
	if connects(t, "tcp", "127.0.0.1:"+port) {
		t.Error("a listener stayed open although another failed")
	}
	if text, _ := os.ReadFile(file); string(text) != "precious" || !connects(t, "unix", filepath.Join(dir, "live.sock")) {
		t.Error("something that is not ours was touched")
	}
}

func TestUnixListener(t *testing.T) {
	path := filepath.Join(t.TempDir(), "front.sock")
	stale, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	stale.SetUnlinkOnClose(false)
	stale.Close() // nobody answers there any more
	held := open(t, nil, listener(path))
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != frontMode {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	if !connects(t, "unix", path) {
		t.Error("nobody listens")
	}
	closeListeners(held)
	if _, err := os.Stat(path); !os.IsNotExist(err) {
		t.Errorf("the file is still there: %v", err)
	}
}

func TestSocketsOfTheServiceManager(t *testing.T) {
	tests := []struct {
		address string
		in      sysd.Inherited
		want    bool
	}{
		{"fd://web", sysd.Inherited{Name: "web", FD: 3}, true},
		{"fd://3", sysd.Inherited{Name: "web", FD: 3}, true},
		{"fd://other", sysd.Inherited{Name: "web", FD: 3}, false},
		{":8080", sysd.Inherited{Network: "tcp", Address: "[::]:8080"}, true},
		{":8080", sysd.Inherited{Network: "tcp", Address: "0.0.0.0:8080"}, true},
		{":8080", sysd.Inherited{Network: "tcp", Address: "127.0.0.1:8080"}, false},
		{":8080", sysd.Inherited{Network: "tcp", Address: "[::]:8081"}, false},
		{"127.0.0.1:80", sysd.Inherited{Network: "tcp", Address: "127.0.0.1:80"}, true},
		{"127.0.0.1:80", sysd.Inherited{Network: "tcp", Address: "0.0.0.0:80"}, false},
		{"/run/x.sock", sysd.Inherited{Network: "unix", Address: "/run/x.sock"}, true},
		{"/run/x.sock", sysd.Inherited{Network: "unix", Address: "/run/y.sock"}, false},
		{":8080", sysd.Inherited{Network: "udp", Address: "[::]:8080"}, false},
	}
	for _, test := range tests {
		e, err := parseListener(listener(test.address))
		if err != nil {
			t.Fatal(err)
		}
		if got := e.matches(&test.in); got != test.want {
			t.Errorf("%s and %+v: %t", test.address, test.in, got)
		}
	}
	// One that was handed over is never closed: nobody could open it again.
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer syscall.Close(fds[1])
	next, _, err := openListeners([]link.Listener{listener("fd://web")}, nil, []*sysd.Inherited{{Name: "web", FD: fds[0], Kind: sysd.Listener}}, frontMode)
	if err != nil || len(next) != 1 || next[0].fd != fds[0] {
		t.Fatalf("%v, %v", next, err)
	}
	closeListeners(next)
	if err := syscall.Close(fds[0]); err != nil {
		t.Errorf("it was closed: %v", err)
	}
}

// TestDatagrams: a socket for datagrams at the port of one for connections, and at
// a path, opened again only when it has to be.
func TestDatagrams(t *testing.T) {
	address, path := "127.0.0.1:"+testport.Free(t), filepath.Join(t.TempDir(), "s")
	datagrams := func(address string) link.Listener {
		return link.Listener{Option: "http-subscription-server", Address: address, Datagrams: true}
	}
	held := open(t, nil, datagrams(address), listener(address), datagrams(path))
	if on, err := syscall.GetsockoptInt(held[2].fd, syscall.SOL_SOCKET, syscall.SO_PASSCRED); on == 0 {
		t.Errorf("nobody is told who sends to the path: %v", err)
	}
	if again := open(t, held, datagrams(address), datagrams(path)); again[0].fd != held[0].fd || again[1].fd != held[2].fd {
		t.Error("opened again")
	}
	for i, network := range []string{"udp", "", "unixgram"} {
		if network == "" {
			continue
		}
		c, err := net.Dial(network, held[i].Address)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Write([]byte("word")); err != nil {
			t.Error(err)
		}
		c.Close()
		b := make([]byte, 10)
		if n, err := syscall.Read(held[i].fd, b); err != nil || string(b[:n]) != "word" {
			t.Errorf("%s: %q, %v", network, b[:n], err)
		}
	}
	closeListeners(held)
	if isSocket(path) {
		t.Error("the path is left")
	}
	for _, wrong := range []string{"7000", "fd://3", ":0"} {
		if _, err := parseListener(datagrams(wrong)); err == nil {
			t.Errorf("%q was taken", wrong)
		}
	}
}

// TestAddressOfTheDying: the router of an emperor that was killed a moment ago still has
// its address, and is on its way out.
func TestAddressOfTheDying(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	time.AfterFunc(50*time.Millisecond, func() { _ = taken.Close() })
	all, err := openFirst(t.Context(), []link.Listener{{Option: "http", Address: taken.Addr().String()}}, nil, 0)
	if err != nil || len(all) != 1 {
		t.Fatalf("%v, %v", all, err)
	}
	closeListeners(all)
}
