package listening

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"golang.org/x/sys/unix"
)

func TestOverlap(t *testing.T) {
	for _, test := range []struct {
		a, b string
		want bool
	}{
		{"127.0.0.1:80", "127.0.0.1:80", true},
		{"127.0.0.1:80", "127.0.0.1:81", false},
		{"127.0.0.1:80", "127.0.0.2:80", false},
		{"0.0.0.0:80", "127.0.0.1:80", true},
		{"[::]:80", "127.0.0.1:80", true},
		{"[::]:80", "0.0.0.0:80", true},
		{"[::]:80", "[::1]:80", true},
		{"0.0.0.0:80", "[::1]:80", false},
		{"[::ffff:127.0.0.1]:80", "127.0.0.1:80", true},
	} {
		a, b := netip.MustParseAddrPort(test.a), netip.MustParseAddrPort(test.b)
		if Overlap(a, b) != test.want || Overlap(b, a) != test.want {
			t.Errorf("%s and %s: %t and %t, want %t", test.a, test.b, Overlap(a, b), Overlap(b, a), test.want)
		}
	}
}

func TestWhoListensOnTCP(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	at := netip.MustParseAddrPort(l.Addr().String())
	everywhere := netip.AddrPortFrom(netip.IPv6Unspecified(), at.Port())
	for _, asked := range []netip.AddrPort{at, everywhere} {
		if o, ok := AtTCP(asked); !ok || o.PID != os.Getpid() || o.Program == "" {
			t.Errorf("%s: %v, %t", asked, o, ok)
		}
		if err := TryTCP(asked); !errors.Is(err, unix.EADDRINUSE) {
			t.Errorf("%s is taken: %v", asked, err)
		}
	}
	other := netip.AddrPortFrom(netip.MustParseAddr("127.0.0.9"), at.Port())
	if o, ok := AtTCP(other); ok {
		t.Errorf("%s: %v", other, o)
	}
	if err := TryTCP(other); err != nil {
		t.Errorf("%s is free: %v", other, err)
	}
	l.Close()
	if o, ok := AtTCP(at); ok {
		t.Errorf("closed: %v", o)
	}
	if err := TryTCP(netip.MustParseAddrPort("192.0.2.1:80")); !errors.Is(err, unix.EADDRNOTAVAIL) {
		t.Errorf("no address of this machine: %v", err)
	}
}

func TestWhoTakesDatagrams(t *testing.T) {
	l, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	at := netip.MustParseAddrPort(l.LocalAddr().String())
	for _, asked := range []netip.AddrPort{at, netip.AddrPortFrom(netip.IPv6Unspecified(), at.Port())} {
		if o, ok := AtUDP(asked); !ok || o.PID != os.Getpid() {
			t.Errorf("%s: %v, %t", asked, o, ok)
		}
		if err := TryUDP(asked); !errors.Is(err, unix.EADDRINUSE) {
			t.Errorf("%s is taken: %v", asked, err)
		}
	}
	l.Close()
	if err := TryUDP(at); err != nil {
		t.Errorf("closed: %v", err)
	}
	path := filepath.Join(t.TempDir(), "a b")
	if l, err = net.ListenPacket("unixgram", path); err != nil {
		t.Fatal(err)
	}
	if o, err := AtUnixgram(path); err != nil || o.PID != os.Getpid() {
		t.Errorf("%v, %v", o, err)
	}
	l.Close()
	if _, err := AtUnixgram(path); !errors.Is(err, unix.ECONNREFUSED) {
		t.Errorf("left over: %v", err)
	}
}

func TestWhoListensOnAUnixSocket(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	if _, err := AtUnix(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("nothing there: %v", err)
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	if o, err := AtUnix(path); err != nil || o.PID != os.Getpid() {
		t.Errorf("%v, %v", o, err)
	}
	l.(*net.UnixListener).SetUnlinkOnClose(false)
	l.Close()
	if _, err := AtUnix(path); !errors.Is(err, unix.ECONNREFUSED) {
		t.Errorf("left over: %v", err)
	}
}

// TestSocketsOfAPort: the kernel says the same of a port, asked by sock_diag and by the
// lists in /proc, which are read where there is no sock_diag.
func TestSocketsOfAPort(t *testing.T) {
	for _, address := range []string{"127.0.0.1:0", "0.0.0.0:0", "[::1]:0", "[::]:0"} {
		l, err := net.Listen("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		at := netip.MustParseAddrPort(l.Addr().String())
		c, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		accepted, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		defer accepted.Close()
		for _, state := range []int{stateListens, stateEstablished} {
			asked, err := inState(state, int(at.Port()))
			read, readErr := listed(state, int(at.Port()), "/proc/net/tcp", "/proc/net/tcp6")
			if err != nil || readErr != nil || len(asked) != 1 || !slices.Equal(asked, read) || asked[0].Inode == 0 {
				t.Errorf("%s, state %d: %v (%v), in /proc %v (%v)", address, state, asked, err, read, readErr)
			}
			if state == stateListens && asked[0].Address != at {
				t.Errorf("%s listens at %s", at, asked[0].Address)
			}
		}
	}
}
