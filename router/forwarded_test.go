package router

import (
	"net"
	"net/http"
	"strings"
	"testing"
)

// TestForwarded: what becomes of each field that speaks of connections before the
// client's own, from a proxy we trust and from a stranger, for a vassal that speaks
// uwsgi and one that speaks HTTP. "-": it gets no such field.
func TestForwarded(t *testing.T) {
	for _, test := range []struct {
		field, sent       string // lines, or none
		trusted, stranger [2]string
	}{
		{"X-Forwarded-For", "", [2]string{"-", "127.0.0.1"}, [2]string{"-", "127.0.0.1"}},
		{"X-Forwarded-For", "X-Forwarded-For: 1.1.1.1\r\n", [2]string{"1.1.1.1, 127.0.0.1", "1.1.1.1, 127.0.0.1"}, [2]string{"127.0.0.1", "127.0.0.1"}},
		{"X-Forwarded-For", "X-Forwarded-For: 1.1.1.1\r\nX-Forwarded-For: 2.2.2.2, ::1\r\n", [2]string{"1.1.1.1, 2.2.2.2, ::1, 127.0.0.1", "1.1.1.1, 2.2.2.2, ::1, 127.0.0.1"}, [2]string{"127.0.0.1", "127.0.0.1"}},
		{"X-Forwarded-For", "X-Forwarded-For:\r\n", [2]string{"127.0.0.1", "127.0.0.1"}, [2]string{"127.0.0.1", "127.0.0.1"}},
		{"X-Forwarded-Proto", "", [2]string{"-", "http"}, [2]string{"-", "http"}},
		{"X-Forwarded-Proto", "X-Forwarded-Proto: https\r\n", [2]string{"https", "https"}, [2]string{"http", "http"}},
		{"X-Forwarded-Host", "", [2]string{"-", "Visited:81"}, [2]string{"-", "Visited:81"}},
		{"X-Forwarded-Host", "X-Forwarded-Host: public.test\r\n", [2]string{"public.test", "public.test"}, [2]string{"-", "Visited:81"}},
		{"X-Forwarded-Port", "", [2]string{"-", "-"}, [2]string{"-", "-"}},
		{"X-Forwarded-Port", "X-Forwarded-Port: 443\r\n", [2]string{"443", "443"}, [2]string{"-", "-"}},
		{"X-Forwarded-Ssl", "X-Forwarded-SSL: on\r\n", [2]string{"on", "on"}, [2]string{"-", "-"}},
		{"X-Forwarded-Prefix", "X-Forwarded-Prefix: /p\r\n", [2]string{"/p", "/p"}, [2]string{"-", "-"}},
		{"Forwarded", "", [2]string{"-", "-"}, [2]string{"-", "-"}},
		{"Forwarded", "Forwarded: for=1.1.1.1;proto=https\r\n", [2]string{"for=1.1.1.1;proto=https, for=127.0.0.1", "for=1.1.1.1;proto=https, for=127.0.0.1"}, [2]string{"-", "-"}},
		{"Forwarded", "Forwarded: for=a\r\nForwarded: for=b, for=c\r\n", [2]string{"for=a, for=b, for=c, for=127.0.0.1", "for=a, for=b, for=c, for=127.0.0.1"}, [2]string{"-", "-"}},
		{"X-Request-Start", "X-Request-Start: t=1\r\n", [2]string{"t=1", "t=1"}, [2]string{"-", "-"}},
		{"X-Request-Start", "", [2]string{"-", "-"}, [2]string{"-", "-"}},
		{"X-Forwarded-For", "X_Forwarded_For: 6.6.6.6\r\n", [2]string{"-", "127.0.0.1"}, [2]string{"-", "127.0.0.1"}},
		{"X-Real-Ip", "X-Real-IP: 6.6.6.6\r\n", [2]string{"6.6.6.6", "6.6.6.6"}, [2]string{"6.6.6.6", "6.6.6.6"}},
	} {
		for peer, want := range map[string][2]string{"127.0.0.1": test.trusted, "192.0.2.0/24": test.stranger} {
			for i, vassal := range []*vassal{uwsgiVassal(t, answering(okResponse)), httpVassal(t, answering(okResponse))} {
				f := newFront(t, "http-trusted-proxies = "+peer, "route-run = "+map[string]string{"uwsgi": "uwsgi:" + vassal.address + ",0,0", "http": "http:" + vassal.address + ",other.test"}[vassal.protocol])
				if r := f.ask("GET / HTTP/1.1\r\nHost: Visited:81\r\n" + test.sent + "\r\n"); r.StatusCode != 200 {
					t.Fatal(r.StatusCode)
				}
				if got := forwarded(vassal.only(t), test.field); got != want[i] {
					t.Errorf("%q, trusted %s, %s: the vassal gets %s: %s, want %s", test.sent, peer, vassal.protocol, test.field, got, want[i])
				}
				f.Close()
			}
		}
	}
}

// forwarded is the value of a field as the vassal got it, "-" if it did not.
func forwarded(c *call, field string) string {
	for name, value := range c.vars {
		if http.CanonicalHeaderKey(strings.ReplaceAll(strings.TrimPrefix(name, "HTTP_"), "_", "-")) == field {
			return value
		}
	}
	return "-"
}

// TestForwardedFromUnixSocket: there is no address to append, and without a proxy
// that is believed none to tell but uWSGI's.
func TestForwardedFromUnixSocket(t *testing.T) {
	const sent = "GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 1.1.1.1\r\nForwarded: for=1.1.1.1\r\n\r\n"
	for option, want := range map[string][2]string{
		"http-trusted-proxies = unix": {"1.1.1.1", "for=1.1.1.1"},
		"http-trusted-proxies = none": {"0.0.0.0", "-"},
	} {
		both(t, answering(okResponse), func(t *testing.T, f *front, v *vassal) {
			visitor := visit(t, f.unix.Addr())
			visitor.send(sent)
			visitor.want("GET", 200, "ok")
			c := v.only(t)
			if got := [2]string{forwarded(c, "X-Forwarded-For"), forwarded(c, "Forwarded")}; got != want {
				t.Errorf("%s: %q, want %q", option, got, want)
			}
		}, option)
	}
}

// TestForwardedIPv6: RFC 7239 wants brackets and quotes, X-Forwarded-For has the
// bare address; a proxy's IPv4 in IPv6 is what it is in IPv4.
func TestForwardedIPv6(t *testing.T) {
	v := httpVassal(t, answering(okResponse))
	f := newFront(t)
	l := f.listen("http", "[::1]:0")
	if err := f.configure("http-to = "+v.address, "http-backend-http = true"); err != nil {
		t.Fatal(err)
	}
	for address, want := range map[net.Addr][2]string{
		l:            {"1.1.1.1, ::1", `for=a, for="[::1]"`},
		f.tcp.Addr(): {"1.1.1.1, 127.0.0.1", "for=a, for=127.0.0.1"},
	} {
		visitor := visit(t, address)
		visitor.send("GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 1.1.1.1\r\nForwarded: for=a\r\n\r\n")
		visitor.want("GET", 200, "ok")
		calls := v.calls()
		c := calls[len(calls)-1]
		if got := [2]string{c.vars["X-Forwarded-For"], c.vars["Forwarded"]}; got != want {
			t.Errorf("%v: %q, want %q", address, got, want)
		}
	}
}
