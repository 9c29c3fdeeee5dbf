package errorpage

import (
	"errors"
	"net/netip"
	"strings"
	"testing"
)

func closures(t testing.TB, values ...string) *Maintenance {
	t.Helper()
	var list []Closure
	for _, v := range values {
		v, content, _ := strings.Cut(v, " = ")
		c, err := ParseClosure(v)
		if err != nil {
			t.Fatal(err)
		}
		c.Content = []byte(content)
		list = append(list, c)
	}
	m, err := CompileMaintenance(list)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestClosed(t *testing.T) {
	m := closures(t,
		"shop.example.com /srv/shop.html retry-after=60 allow=192.0.2.7,10.0.0.0/8 = <p>shop</p>",
		"shop.example.com allow=2001:db8::/32",
		"*.example.org",
		"status.example.org off",
	)
	for _, test := range []struct {
		host, visitor string
		retry         int // 0: open
		body          string
	}{
		{"shop.example.com", "198.51.100.1", 60, "<p>shop</p>"},
		{"shop.example.com", "192.0.2.7", 0, ""},
		{"shop.example.com", "::ffff:192.0.2.7", 0, ""},
		{"shop.example.com", "10.1.2.3", 0, ""},
		{"shop.example.com", "2001:db8::1", 0, ""},
		{"shop.example.com", "", 60, "<p>shop</p>"}, // over a unix socket
		{"www.shop.example.com", "198.51.100.1", 0, ""},
		{"a.example.org", "10.1.2.3", 300, "<b>503</b>"},
		{"status.example.org", "10.1.2.3", 0, ""},
		{"other.net", "10.1.2.3", 0, ""},
	} {
		var visitor netip.Addr
		if test.visitor != "" {
			visitor = netip.MustParseAddr(test.visitor)
		}
		n := m.Closed([]byte(test.host), visitor)
		if (n != nil) != (test.retry > 0) {
			t.Errorf("%s from %s: %+v", test.host, test.visitor, n)
		}
		if n == nil {
			continue
		}
		a := Answer{Host: []byte(test.host), Accept: []byte(browser)}
		body, _ := n.Append(nil, &a, compile(t, "5xx /x.html = <b>%(status)</b>"))
		if a.Status != 503 || a.RetryAfter != test.retry || string(body) != test.body {
			t.Errorf("%s from %s: %+v, %q", test.host, test.visitor, a, body)
		}
	}
	if (*Maintenance)(nil).Closed([]byte("x"), netip.Addr{}) != nil {
		t.Error("closed by nothing")
	}
	n := closures(t, "*").Closed(nil, netip.Addr{})
	a := Answer{Accept: []byte(curl)}
	if body, _ := n.Append(nil, &a, nil); string(body) != "this site is being worked on\n" {
		t.Errorf("%q", body)
	}
	a.Accept = []byte(axios)
	if body, _ := n.Append(nil, &a, nil); string(body) != `{"status":503,"title":"Service Unavailable","detail":"this site is being worked on","retry_after":300}`+"\n" {
		t.Errorf("%q", body)
	}
}

func TestParseClosureErrors(t *testing.T) {
	for _, test := range []struct{ value, want string }{
		{"", "want HOST [FILE]"},
		{"a..b", "want a name like example.com"},
		{"^(", "missing closing"},
		{"x.org retry-after=soon", `retry-after: want seconds, 1 to 65535, got "soon"`},
		{"x.org retry-after=0", "retry-after: want seconds"},
		{"x.org allow=10.0.0.0/33", `allow: want addresses like 192.0.2.1, 10.0.0.0/8 or 2001:db8::/32, got "10.0.0.0/33"`},
		{"x.org allow=1.2.3.4,", `got ""`},
		{"x.org allow=fe80::1%eth0", `got "fe80::1%eth0"`},
		{"x.org /a.html /b.html", `got "/b.html"`},
		{"x.org on", `got "on"`},
		{"x.org off now", `got "off"`},
	} {
		if _, err := ParseClosure(test.value); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%q: %v, want %q", test.value, err, test.want)
		}
	}
	_, err := CompileMaintenance([]Closure{{Host: host(t, "x.org"), File: "/x.html", Content: []byte("%(x)")}})
	var e *Error
	if !errors.As(err, &e) || !strings.HasPrefix(err.Error(), "/x.html:1: ") {
		t.Error(err)
	}
}
