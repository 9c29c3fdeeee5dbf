package upstream

import (
	"errors"
	"net"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
)

func networks(texts string) (all []netip.Prefix) {
	for _, text := range strings.Fields(texts) {
		all = append(all, netip.MustParsePrefix(text))
	}
	return all
}

// TestNetworks: whoever runs a name's zone may let it stand for any machine; only
// those in the networks are connected to, and the others are not even tried.
func TestNetworks(t *testing.T) {
	d := newDialer(t)
	var connections atomic.Int64
	at := port(t, func(conn net.Conn) {
		connections.Add(1)
		echo(conn)
	})
	path := filepath.Join(t.TempDir(), "s")
	serve(t, "unix", path, echo)
	b := &book{known: map[string][]netip.Addr{
		"own.test":    addresses("127.0.0.1"),
		"mapped.test": addresses("::ffff:127.0.0.1"),
		"mixed.test":  addresses("127.0.0.1", "127.0.0.2", "::1"),
		"many.test":   addresses("127.0.0.1", "127.0.0.1", "127.0.0.1", "127.0.0.1", "::1", "127.0.0.1"),
		"zone.test":   addresses("fe80::1%lo"),
	}}
	d.SetNames(b)
	const mine = "127.0.0.0/8"
	for _, test := range []struct {
		address, networks string
		err               error
		text              string
	}{
		{"own.test:" + at, "", nil, ""},
		{"own.test:" + at, "10.0.0.0/8 " + mine, nil, ""},
		{"own.test:" + at, "::ffff:127.0.0.0/104", nil, ""},
		{"mapped.test:" + at, mine, nil, ""},
		{"127.0.0.1:" + at, mine, nil, ""},
		{"[::ffff:127.0.0.1]:" + at, mine, nil, ""},
		{path, "10.0.0.0/8", nil, ""},

		{"own.test:" + at, "10.0.0.0/8 ::/0", ErrOutside, "own.test (127.0.0.1): outside of the networks that are allowed"},
		{"mapped.test:" + at, "10.0.0.0/8 ::/0", ErrOutside, "mapped.test (::ffff:127.0.0.1): outside of"},
		{"127.0.0.1:" + at, "10.0.0.0/8", ErrOutside, ""},
		{"[::ffff:127.0.0.1]:" + at, "10.0.0.0/8 ::/0", ErrOutside, ""},
		{"[::1]:" + at, "10.0.0.0/8 127.0.0.0/8", ErrOutside, ""},
		{"many.test:" + at, "10.0.0.0/8", ErrOutside, "many.test (127.0.0.1, 127.0.0.1, 127.0.0.1, 127.0.0.1 and 2 more): outside of"},
		// The allowed one of several refuses, and nobody else is asked.
		{"mixed.test:" + at, "127.0.0.2/32", syscall.ECONNREFUSED, "mixed.test (127.0.0.2): connect: connection refused"},
		{"zone.test:" + at, "127.0.0.0/8", ErrOutside, ""},
	} {
		c := newConn(t, d)
		c.Deadline.Set(patience)
		before := connections.Load()
		err := c.DialWithin(parse(t, test.address), networks(test.networks))
		if !errors.Is(err, test.err) || test.text != "" && !strings.Contains(err.Error(), test.text) {
			t.Errorf("%s in %q: %v, want %v %s", test.address, test.networks, err, test.err, test.text)
		}
		switch {
		case err == nil:
			wantEcho(t, c)
			c.Close()
		case connections.Load() != before || c.Open():
			t.Errorf("%s in %q: connected", test.address, test.networks)
		}
	}
	if want := addresses("127.0.0.2"); !slices.Equal(b.poked, want) {
		t.Errorf("poked %v, want %v", b.poked, want)
	}
	if !contains(networks("fe80::/10"), netip.MustParseAddr("fe80::1%lo")) {
		t.Error("a zone takes an address out of its network")
	}
}

// TestNetworksOfAMovedName: the answer that is asked for when a connection fails is
// judged as the first one was.
func TestNetworksOfAMovedName(t *testing.T) {
	d := newDialer(t)
	var connections atomic.Int64
	at := port(t, func(net.Conn) { connections.Add(1) })
	b := &book{known: map[string][]netip.Addr{"site.test": addresses("127.0.0.2")}}
	d.SetNames(b)
	b.asked = func(b *book) <-chan struct{} {
		b.known["site.test"] = addresses("127.0.0.1", "::ffff:127.0.0.1")
		asked := make(chan struct{})
		close(asked)
		return asked
	}
	c := newConn(t, d)
	c.Deadline.Set(patience)
	if err := c.DialWithin(parse(t, "site.test:"+at), networks("127.0.0.2/32")); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("%v", err)
	}
	if n := connections.Load(); n != 0 || len(b.poked) != 1 {
		t.Errorf("%d connections, poked %v", n, b.poked)
	}
}
