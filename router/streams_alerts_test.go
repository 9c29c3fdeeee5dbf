package router

import (
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"syscall"
	"testing"
	"time"

	"emperor/internal/testcert"
	"emperor/router/hello"
)

// TestNamesThatLeadNowhere: whoever asks for a name that leads nowhere, or for none where
// one is needed, is told so in TLS's words, unrecognized_name and nothing else, before the
// connection ends: a client that just sees an end tries again, or blames the network. Where
// the name is right and its server is not there, that is not said.
func TestNamesThatLeadNowhere(t *testing.T) {
	passed := serveBehind(t, []string{"passed.test"}, parrot("passed"))
	dead := deadPort(t)
	f := newFront(t)
	bare := f.listen(optionSSLRouter, "127.0.0.1:0").String()
	ending := f.listen(optionSSLRouter, "127.0.0.1:0").String()
	secure := f.listen(optionHTTPS, "127.0.0.1:0").String() // without a certificate of its own
	path := t.TempDir() + "/front"
	testcert.SelfSigned(t, testcert.Wanted{Names: []string{"own.test"}}).Put(t, path)
	if err := f.configure(
		"sslrouter = "+bare, "sslrouter = "+ending+","+path+".crt,"+path+".key", "https = "+secure,
		"sni = own.test "+path+".crt,"+path+".key",
		"route-sni = passed.test pass:"+passed.Addr().String(),
		"route-sni = dead.test pass:"+dead,
		"route-sni = dead-default.test pass:vassal:missing",
		"route-sni = no.test reject",
		`route-sni = ^port-(\d+)\.test$ pass:127.0.0.1:$1`,
		"route-sni = conditional.test pass:"+passed.Addr().String()+",remote-addr=192.0.2.0/24",
		"stream-default = reject,remote-addr=192.0.2.0/24"); err != nil {
		t.Fatal(err)
	}
	const alert = "\x15\x03\x01\x00\x02\x02" // fatal
	names := map[string]string{
		"unknown.test":      "no rule and no address for it",
		"":                  "no rule and no address for it",
		"no.test":           "reject",
		"port-0.test":       "no port",
		"port-70000.test":   "no port",
		"conditional.test":  "no rule and no address for it",
		"dead.test":         "connection refused",
		"missing.test":      "no rule and no address for it",
		"dead-default.test": "there is no such vassal",
	}
	for _, address := range []string{bare, ending, secure} {
		for name, why := range names {
			if address == secure && strings.HasPrefix(why, "no rule") {
				why = "TLS handshake" // there a certificate of the name would do
			}
			mark := len(f.log.String())
			conn, err := net.Dial("tcp", address)
			if err != nil {
				t.Fatal(err)
			}
			_ = conn.SetDeadline(time.Now().Add(patience))
			if _, err := io.WriteString(conn, clientHello(t, name)); err != nil {
				t.Fatal(err)
			}
			got, err := io.ReadAll(conn)
			_ = conn.Close()
			want := alert + "\x70" // unrecognized_name, 112
			if strings.HasPrefix(name, "dead") {
				want = alert + "\x50" // internal_error, 80
			}
			if address == secure && strings.HasPrefix(why, "TLS") {
				// A handshake has begun: crypto/tls says it in the version that was agreed upon.
				want = "\x15\x03\x03\x00\x02\x02\x70"
			}
			if err != nil || string(got) != want {
				t.Errorf("%s, %q: %x, %v; want the alert %x and an end", address, name, got, err, want)
			}
			eventually(t, fmt.Sprintf("a line on %q that says %q", name, why), func() bool {
				text := f.log.String()[mark:]
				return strings.Contains(text, why) && (name == "" || strings.Contains(text, name))
			})
		}
	}
}

// TestMalformedHello: what begins as TLS and can't become a ClientHello any more is told
// so at the byte that shows it, decode_error and nothing else, whatever comes behind it.
// One that ends before it is whole is told nothing.
func TestMalformedHello(t *testing.T) {
	f := newFront(t)
	ssl := f.listen(optionSSLRouter, "127.0.0.1:0").String()
	f.secured("sslrouter = "+ssl, "sslrouter-to = 127.0.0.1:1", "route-sni = no.test reject")
	whole := clientHello(t, "no.test")
	altered := func(at int, to byte) string { return whole[:at] + string([]byte{to}) + whole[at+1:] }
	const message, session = 5, 5 + 4 + 2 + 32 // where its type stands, and the length of the session
	malformed := map[string]string{
		"another message":            altered(message, 2),
		"a session beyond the end":   altered(session, 255),
		"a record without content":   "\x16\x03\x01\x00\x00",
		"a record that is too long":  "\x16\x03\x01\xff\xff",
		"a message that is too long": "\x16\x03\x01\x40\x00\x01\xff\xff\xff",
		"an alert in the middle":     "\x16\x03\x01\x00\x05\x01\x00\x01\x00\x03\x15",
	}
	const decodeError = "\x15\x03\x01\x00\x02\x02\x32"
	for _, address := range []string{f.tcp.Addr().String(), ssl} {
		told := func(what, want, text string, cut int) {
			t.Helper()
			conn, err := net.Dial("tcp", address)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = conn.Close() }()
			_ = conn.SetDeadline(time.Now().Add(patience))
			if _, err := (&inTwo{Conn: conn, at: cut}).Write([]byte(text)); err != nil {
				t.Errorf("%s, %s: %v", address, what, err)
			}
			_ = conn.(*net.TCPConn).CloseWrite()
			if got, err := io.ReadAll(conn); err != nil || string(got) != want {
				t.Errorf("%s, %s: %x, %v; want %x and an end", address, what, got, err, want)
			}
		}
		for what, text := range malformed {
			var h hello.Hello
			shown := 1 // how many bytes show it
			for _, err := h.Parse([]byte(text[:shown])); err == nil; _, err = h.Parse([]byte(text[:shown])) {
				shown++
			}
			told(what+", byte by byte", decodeError, text[:shown], 0)
			told(what+", and more", decodeError, text+strings.Repeat("x", 100_000), shown)
		}
		told("half a hello", "", whole[:len(whole)/2], 0)
	}
}

// TestNobodyBehindTLS: where TLS ends here and its server can't be reached, or there are
// too many streams, the client does not see the end of an empty answer.
func TestNobodyBehindTLS(t *testing.T) {
	plain := serveBehind(t, nil, parrot("plain"))
	dead := deadPort(t)
	f := newFront(t)
	f.secured("stream-connections = 1", "route-sni = plain.test tcp:"+plain.Addr().String(), "route-sni = dead.test tcp:"+dead)
	wantReset := func(name string) {
		t.Helper()
		conn := overTLS(t, f.tcp.Addr().String(), name, nil)
		_ = conn.SetDeadline(time.Now().Add(patience))
		if got, err := io.ReadAll(conn); !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("%s: %q, %v; want a reset", name, got, err)
		}
	}
	wantReset("dead.test")
	greeted(t, overTLS(t, f.tcp.Addr().String(), "plain.test", nil), "plain")
	wantReset("plain.test")
}
