package router

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"emperor/router/proxyproto"
)

// version2 is a PROXY header in binary, for a visitor at 192.0.2.9, with or without
// TLS between him and the proxy.
func version2(t *testing.T, secured bool, local bool) string {
	t.Helper()
	h, _, err := proxyproto.Parse([]byte("PROXY TCP4 192.0.2.9 198.51.100.1 4242 443\r\n"))
	if err != nil {
		t.Fatal(err)
	}
	h.Version, h.Local = 2, local
	if secured {
		h.TLVs = proxyproto.AppendSSL(nil, &proxyproto.SSL{TLS: true, Version: []byte("TLSv1.3")})
	}
	header, err := h.AppendV2(nil, true)
	if err != nil {
		t.Fatal(err)
	}
	return string(header)
}

// TestProxyProtocol: who the visitor is, and that nobody but the peers that send
// these headers can say so.
func TestProxyProtocol(t *testing.T) {
	const on = "http-enable-proxy-protocol = true"
	request := "GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 6.6.6.6\r\n\r\n"
	const stud = "http-stud-prefix = 127.0.0.1"
	const v1 = "PROXY TCP4 192.0.2.9 198.51.100.1 4242 443\r\n"
	for _, test := range []struct {
		name    string
		options []string
		sent    string
		status  int // 0: closed without an answer
		vars    map[string]string
		log     string
	}{
		{name: "version 1", options: []string{on}, sent: v1 + request, status: 200,
			vars: map[string]string{"REMOTE_ADDR": "192.0.2.9", "REMOTE_PORT": "4242", "HTTP_X_FORWARDED_FOR": "192.0.2.9", "HTTPS": ""}},
		{name: "version 1, IPv6", options: []string{on}, sent: "PROXY TCP6 2001:db8::9 ::1 4242 443\r\n" + request, status: 200, vars: map[string]string{"REMOTE_ADDR": "2001:db8::9"}},
		{name: "version 1, unknown", options: []string{on}, sent: "PROXY UNKNOWN\r\n" + request, status: 200, vars: map[string]string{"REMOTE_ADDR": "127.0.0.1", "HTTP_X_FORWARDED_FOR": "6.6.6.6, 127.0.0.1"}},
		{name: "version 2", options: []string{on}, sent: version2(t, false, false) + request, status: 200, vars: map[string]string{"REMOTE_ADDR": "192.0.2.9", "REMOTE_PORT": "4242", "HTTPS": ""}},
		{name: "version 2, TLS at the proxy", options: []string{on}, sent: version2(t, true, false) + request, status: 200, vars: map[string]string{"REMOTE_ADDR": "192.0.2.9", "HTTPS": "on"}},
		{name: "version 2, a check of the proxy's own", options: []string{on}, sent: version2(t, false, true) + request, status: 200, vars: map[string]string{"REMOTE_ADDR": "127.0.0.1"}},
		{name: "a visitor who is trusted himself", options: []string{on, "http-trusted-proxies = 127.0.0.1 192.0.2.9"}, sent: v1 + request, status: 200, vars: map[string]string{"HTTP_X_FORWARDED_FOR": "6.6.6.6, 192.0.2.9"}},
		{name: "missing", options: []string{on}, sent: request, log: "no PROXY protocol header"},
		{name: "wrong", options: []string{on}, sent: "PROXY TCP4 foo bar x y\r\n" + request, log: "wants a PROXY header"},
		{name: "two", options: []string{on}, sent: v1 + v1 + request, status: 400},
		{name: "cut", options: []string{on}, sent: v1[:20], log: "ended before its PROXY header"},
		{name: "slow", options: []string{on}, sent: v1[:20] + "…", log: "did not come in time"},
		{name: "not from this peer", options: []string{on, "http-proxy-protocol-from = 192.0.2.0/24"}, sent: request, status: 200, vars: map[string]string{"REMOTE_ADDR": "127.0.0.1"}},
		{name: "from a stranger", options: []string{on, "http-proxy-protocol-from = 192.0.2.0/24"}, sent: v1 + request, status: 400},
		{name: "from nobody by default", options: []string{on, "http-trusted-proxies = none"}, sent: v1 + request, status: 400},
		{name: "stud", options: []string{stud}, sent: "\x02\xc0\x00\x02\x09" + request, status: 200, vars: map[string]string{"REMOTE_ADDR": "192.0.2.9", "HTTPS": "on"}},
		{name: "stud, IPv6", options: []string{stud}, sent: "\x0a\x20\x01\x0d\xb8" + strings.Repeat("\x00", 11) + "\x09" + request, status: 200, vars: map[string]string{"REMOTE_ADDR": "2001:db8::9", "HTTPS": "on"}},
		{name: "stud, missing", options: []string{stud}, sent: request, log: "http-stud-prefix wants a stud header"},
		{name: "stud, cut", options: []string{stud}, sent: "\x02\xc0\x00", log: "ended before"},
		{name: "stud, not from this peer", options: []string{"http-stud-prefix = 192.0.2.1"}, sent: request, status: 200, vars: map[string]string{"REMOTE_ADDR": "127.0.0.1", "HTTPS": ""}},
		{name: "switched off", sent: v1 + request, status: 400},
	} {
		t.Run(test.name, func(t *testing.T) {
			v := uwsgiVassal(t, answering(okResponse))
			f := newFront(t, append(test.options, "http-to = "+v.address)...)
			f.adjust(func(s *Settings) { s.proxyHeaderTime = time.Second })
			visitor := f.visit()
			sent, slow := strings.CutSuffix(test.sent, "…")
			visitor.send(sent)
			if !slow {
				visitor.closeWrite()
			}
			if test.status == 0 {
				_, _ = visitor.in.ReadByte() // a close with unread bytes is a reset
			} else if r, _ := visitor.receive("GET"); r.StatusCode != test.status {
				t.Errorf("got %d %q, want %d", r.StatusCode, r.text, test.status)
			}
			if test.status == 200 {
				c := v.only(t)
				for name, want := range test.vars {
					if got := c.vars[name]; got != want {
						t.Errorf("%s is %q, want %q", name, got, want)
					}
				}
			} else if n := len(v.calls()); n > 0 {
				t.Errorf("the vassal got %d requests", n)
			}
			eventually(t, "the log to say "+test.log, func() bool { return strings.Contains(f.log.String(), test.log) })
		})
	}
}

// TestProxyProtocolInPieces: the header may come in any pieces, and requests after
// the first are of the same visitor. A peer that says nothing at all is a port
// check, which nobody is told of.
func TestProxyProtocolInPieces(t *testing.T) {
	v := uwsgiVassal(t, answering(okResponse))
	f := newFront(t, "http-enable-proxy-protocol = true", "http-to = "+v.address)
	for _, header := range []string{"PROXY TCP4 192.0.2.9 198.51.100.1 4242 443\r\n", version2(t, true, false)} {
		visitor := f.visit()
		for i := range len(header) {
			visitor.send(header[i : i+1])
		}
		for range 2 {
			visitor.send(get("a"))
			visitor.want("GET", 200, "ok")
		}
	}
	for _, c := range v.calls() {
		if c.vars["REMOTE_ADDR"] != "192.0.2.9" {
			t.Errorf("REMOTE_ADDR is %s", c.vars["REMOTE_ADDR"])
		}
	}
	visitor := f.visit()
	visitor.closeWrite()
	visitor.wantEnd()
	if log := f.log.String(); strings.Contains(log, "PROXY") {
		t.Errorf("a port check is logged:\n%s", log)
	}
}

// TestPeerLimitBehindProxy: a proxy that names visitors may have any number of
// connections; each visitor is counted for himself, and given back.
func TestPeerLimitBehindProxy(t *testing.T) {
	v := uwsgiVassal(t, answering(okResponse))
	f := newFront(t, "http-enable-proxy-protocol = true", "http-trusted-proxies = none", "http-proxy-protocol-from = 127.0.0.1", "http-limit-peer = 2", "http-to = "+v.address)
	from := func(n int) *visitor {
		visitor := f.visit()
		visitor.send(fmt.Sprintf("PROXY TCP4 192.0.2.%d 198.51.100.1 4242 443\r\n", n) + get("a"))
		return visitor
	}
	for i := range 4 {
		from(i).want("GET", 200, "ok")
	}
	first := from(9)
	first.want("GET", 200, "ok")
	from(9).want("GET", 200, "ok")
	if _, err := from(9).in.ReadByte(); err == nil {
		t.Error("a visitor's third connection was served")
	}
	_ = first.Close()
	eventually(t, "the visitor's connection to be given back", func() bool {
		visitor := from(9)
		defer func() { _ = visitor.Close() }()
		_, err := visitor.in.ReadByte()
		return err == nil
	})
}
