package router

import (
	"crypto/tls"
	"net"
	"strings"
	"testing"
)

// TestNoHostName: who asks for what is no host name asks for nothing, and gets by no rule
// that is for everybody; nor does one that does not speak TLS by one for its address.
func TestNoHostName(t *testing.T) {
	other := serveBehind(t, nil, parrot("default"))
	f := newFront(t)
	ask := func(name string) string {
		conn, err := tls.Dial("tcp", f.tcp.Addr().String(), &tls.Config{ServerName: name, InsecureSkipVerify: true})
		if err != nil {
			return err.Error()
		}
		defer conn.Close()
		return talk(t, conn, "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
	}
	strange := []string{"127.1", "../a", "a b", "a..test", strings.Repeat("a", 255), "[::1%eth0]"}
	for _, test := range []struct {
		rule, want string
	}{
		{"route-remote-addr = 127.0.0.0/8 reject", "unrecognized name"},
		{"route-sni = default reject", "unrecognized name"},
		{"route-sni = default tcp:" + other.Addr().String(), "default\nGET / "},
		{"route-sni = a.test reject", "HTTP/1.1 204 "},
	} {
		f.secured("route-run = return:204", test.rule)
		for _, name := range strange {
			if got := ask(name); !strings.Contains(got, test.want) {
				t.Errorf("%s: %q gets %q", test.rule, name, got)
			}
		}
	}
	f.secured("route-remote-addr = 127.0.0.0/8 reject", "stream-default = "+other.Addr().String())
	raw, err := net.Dial("tcp", f.tcp.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer raw.Close()
	if got := talk(t, raw, "SSH-2.0-client\r\n"); strings.Contains(got, "default") {
		t.Errorf("no TLS, from an address that may not come in: %q", got)
	}
}
