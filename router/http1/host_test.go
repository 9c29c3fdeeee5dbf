package http1

import (
	"bytes"
	"net/netip"
	"strings"
	"testing"
)

func TestHost(t *testing.T) {
	for _, test := range []struct{ value, name, port string }{
		{"example.com", "example.com", ""},
		{"Example.COM", "example.com", ""},
		{"example.com.", "example.com", ""},
		{"EXAMPLE.com.:80", "example.com", "80"},
		{"example.com:8080", "example.com", "8080"},
		{"example.com:", "example.com", ""},
		{"example.com:0", "example.com", "0"},
		{"example.com:65535", "example.com", "65535"},
		{"my_site-1.example", "my_site-1.example", ""},
		{"xn--bcher-kva.example", "xn--bcher-kva.example", ""},
		{"127.0.0.1:80", "127.0.0.1", "80"},
		{"a", "a", ""},
		{"[::1]", "[::1]", ""},
		{"[::1]:80", "[::1]", "80"},
		{"[::]", "[::]", ""},
		{"[2001:DB8::A]:443", "[2001:db8::a]", "443"},
		{"[1:2:3:4:5:6:7:8]", "[1:2:3:4:5:6:7:8]", ""},
		{"[::ffff:192.0.2.1]", "[::ffff:192.0.2.1]", ""},
		{"[1:2:3:4:5:6:192.0.2.1]", "[1:2:3:4:5:6:192.0.2.1]", ""},
		{strings.Repeat("A", 255), strings.Repeat("a", 255), ""},
	} {
		h, ok := ParseHost(nil, []byte(test.value))
		if !ok || string(h.Name) != test.name || string(h.Port) != test.port {
			t.Errorf("%q: %v %q %q, want %q %q", test.value, ok, h.Name, h.Port, test.name, test.port)
		}
	}
	for _, value := range []string{
		"", ".", "..", ".a", "a..b", "a..", ":80", ".:80", "a:80:81", "a:http", "a:-1", "a:+1", "a:080", "a:65536", "a:123456", "a: 80",
		"u@h", "u:p@h", "a b", "a/b", "../out", "a\\b", "a,b", "a%62", "a;b", "a'b", "a~b", "bücher.example", "a\x00", "a\tb", "a#", "a?", "*",
		"[", "[]", "[::1", "::1", "[::1]x", "[::1]80", "[::1]:x", "[:::]", "[1::2::3]", "[1:2:3:4:5:6:7]", "[1:2:3:4:5:6:7:8:9]", "[12345::]",
		"[1:2:3:4:5:6:7:8::]", "[:1::]", "[1:]", "[fe80::1%eth0]", "[fe80::1%25eth0]", "[v1.x]", "[::1.2.3]", "[::1.2.3.256]", "[::01.2.3.4]",
		"[1.2.3.4]", "[1:2:3:4:5:6:7:1.2.3.4]", "[1:2:3:4:5:1.2.3.4]", "[g::]", "[::1]]", "[[::1]]",
		strings.Repeat("a", 256),
	} {
		if h, ok := ParseHost(nil, []byte(value)); ok {
			t.Errorf("%q accepted as %q %q", value, h.Name, h.Port)
		}
	}
}

func FuzzHost(f *testing.F) {
	for _, s := range []string{"example.com", "A.b.:80", "[::1]:80", "[1:2::3.4.5.6]", "a..b", "[::ffff:1.2.3.4]", "[1:2:3:4:5:6:7::]"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, value []byte) {
		before := bytes.Clone(value)
		h, ok := ParseHost(make([]byte, 0, MaxHost), value)
		if !bytes.Equal(before, value) {
			t.Fatalf("%q was changed to %q", before, value)
		}
		if len(value) > 2 && value[0] == '[' {
			// The standard library says what an address is.
			if end := bytes.IndexByte(value, ']'); end > 0 {
				addr, err := netip.ParseAddr(string(value[1:end]))
				valid := err == nil && addr.Is6() && addr.Zone() == ""
				if valid != validIPv6(value[1:end]) {
					t.Fatalf("%q: netip says %v (%v)", value[1:end], valid, err)
				}
			}
		}
		if !ok {
			return
		}
		// Canonical means: once more changes nothing.
		again, ok := ParseHost(nil, h.Name)
		if !ok || !bytes.Equal(again.Name, h.Name) || len(again.Port) != 0 {
			t.Fatalf("%q gives %q, which gives %q %q %v", value, h.Name, again.Name, again.Port, ok)
		}
		if !bytes.Equal(bytes.ToLower(h.Name), h.Name) || bytes.ContainsAny(h.Name, "/\x00@ %") || bytes.HasSuffix(h.Name, []byte(".")) {
			t.Fatalf("%q gives %q", value, h.Name)
		}
	})
}
