package router

import (
	"crypto/tls"
	"fmt"
	"net"
	"testing"
)

// TestStreamsFollowNames: a server that has moved is found when nobody answers where it
// was, and not when the TTL ends, by a stream that is passed on as by one that is
// decrypted. What was open before goes on where it is.
func TestStreamsFollowNames(t *testing.T) {
	for _, action := range []string{"pass", "tcp"} {
		dns := newNameServer(t) // with a TTL of a minute
		var names []string
		if action == "pass" {
			names = []string{"moving.test"}
		}
		before := serveBehind(t, names, parrot("before"))
		_, port, _ := net.SplitHostPort(before.Addr().String())
		dns.set("moving.test", "127.0.0.1")
		f := newFront(t)
		f.secured("resolver = "+dns.address, "route-sni = moving.test "+action+":moving.test:"+port)
		stays := greeted(t, overTLS(t, f.tcp.Addr().String(), "moving.test", nil), "before")

		after := serveBehindAt(t, "127.0.0.3:"+port, names, parrot("after"))
		dns.set("moving.test", "127.0.0.3")
		_ = before.Close()
		eventually(t, "the server to be found where it is now, by "+action, func() bool {
			conn, err := tls.Dial("tcp", f.tcp.Addr().String(), &tls.Config{ServerName: "moving.test", InsecureSkipVerify: true})
			if err != nil {
				return false
			}
			defer func() { _ = conn.Close() }()
			return talk(t, conn, "hello") == "after\nhello"
		})
		stays.exchange("still there")
		_ = after.Close()
	}
}

// TestSystemNameServers: without resolver the name servers are those of the machine, and
// they are read again whenever the configuration is.
func TestSystemNameServers(t *testing.T) {
	f := newFront(t)
	for _, test := range []struct{ machine, option, want string }{
		{"nameserver 192.0.2.53\nnameserver 2001:db8::53\n", "route-run = return:204", "192.0.2.53:53 [2001:db8::53]:53"},
		{"nameserver 192.0.2.54\n", "route-run = return:204", "192.0.2.54:53"},
		{"nameserver 192.0.2.54\n", "resolver = 192.0.2.1 192.0.2.2:5353", "192.0.2.1:53 192.0.2.2:5353"},
	} {
		f.system = map[string]string{"/etc/resolv.conf": test.machine}
		if err := f.configure(test.option); err != nil {
			t.Fatal(err)
		}
		if got := fmt.Sprint(f.settings.Load().resolver.Servers); got != "["+test.want+"]" {
			t.Errorf("%q and %s: %s, want %s", test.machine, test.option, got, test.want)
		}
	}
}
