package main

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"

	"emperor/internal/testport"
	"emperor/router/proxyproto"
)

// TestBothFamilies: a listener on [::] takes clients of both families, and one by IPv4
// is known by its IPv4 address: to rules, in headers, to servers behind, in every line.
func TestBothFamilies(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.certify("own", 1, "any.test", "four.test", "mapped.test")
	told := behind(t, func(conn net.Conn) {
		header := make([]byte, 1000)
		n, err := conn.Read(header) // it comes in one piece, before anything else
		if err != nil {
			return
		}
		h, _, err := proxyproto.Parse(header[:n])
		if err != nil {
			t.Errorf("no PROXY header: %v", err)
		}
		_, _ = fmt.Fprintln(conn, h.Source, h.Destination)
	})
	greeter := behind(t, greeting("raw"))
	decrypted, raw := testport.Free(t), testport.Free(t)
	m.write("main.ini", `[uwsgi]
https = [::]:PORT,DIR/own.crt,DIR/own.key
sslrouter = [::]:`+decrypted+`,DIR/own.crt,DIR/own.key
rawrouter = [::]:`+raw+`
rawrouter-to = `+greeter.address+`
route-sni = four.test tcp:`+told.address+`,proxy=v2,remote-addr=127.0.0.0/8
route-sni = four.test reject
route-sni = any.test tcp:`+told.address+`,proxy=v1
stream-default = `+told.address+`,proxy=v1,remote-addr=127.0.0.1
stream-default = reject
route-remote-addr = ^127\.0\.0\.1$ return:200 text/plain four
route-remote-addr = ^::1$ return:200 text/plain six
route-run = return:403
stream-log = DIR/streams.log
http-log = DIR/requests.log
`)
	m.start("main.ini")
	m.waitReady()
	for _, host := range []string{"127.0.0.1", "::1"} {
		four := host == "127.0.0.1"
		for _, port := range []string{m.port, decrypted} {
			address := net.JoinHostPort(host, port)
			for _, name := range []string{"any.test", "four.test", ""} {
				conn := dialStream(t, address)
				want := conn.LocalAddr().String() + " " + conn.RemoteAddr().String()
				var said string
				var err error
				if name == "" { // no TLS
					_, _ = io.WriteString(conn, "SSH-2.0-client\r\n")
					said, err = line(conn)
				} else {
					said, err = line(tls.Client(conn, by(name)))
				}
				switch welcome := four || name == "any.test"; {
				case !welcome && err == nil:
					t.Errorf("%q at %s is let in: %q", name, address, said)
				case welcome && (err != nil || said != want):
					t.Errorf("%q at %s: the server is told %q, %v; want %q", name, address, said, err, want)
				case welcome:
					_ = conn.Close()
					m.untilStreamEnds(conn, "listener=[::]:"+port)
				}
			}
		}
		conn := dialStream(t, net.JoinHostPort(host, raw))
		if _, err := speakFirst(conn, "hello"); err != nil {
			t.Error(err)
		}
		m.untilStreamEnds(conn, "listener=[::]:"+raw)
		site := tls.Client(dialStream(t, net.JoinHostPort(host, m.port)), by("site.example"))
		_, _ = io.WriteString(site, "GET / HTTP/1.1\r\nHost: site.example\r\nConnection: close\r\n\r\n")
		if text, err := io.ReadAll(site); err != nil || bytes.HasSuffix(text, []byte("four")) != four || bytes.HasSuffix(text, []byte("six")) == four {
			t.Errorf("a site, from %s: %q, %v", host, text, err)
		}
	}
	m.stop()
	for name, text := range map[string]string{"stream-log": m.file("streams.log"), "http-log": m.file("requests.log")} {
		if strings.Contains(text, "ffff:") {
			t.Errorf("%s has another address for a client by IPv4:\n%s", name, text)
		}
		if !strings.Contains(text, "127.0.0.1") || !strings.Contains(text, "::1") {
			t.Errorf("%s should have clients of both families:\n%s", name, text)
		}
	}
	if m.logged("ffff:") || !m.logged("stream refused", "client=::1") {
		t.Error("want lines about what was refused, by the address that the client has")
	}
}
