package main

import (
	"bytes"
	"crypto/tls"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"emperor/internal/testport"
)

// TestOnePortForSitesAndStreams: one port serves a site, passes names through untouched,
// hands others to plain TCP, refuses some, and takes what is no TLS at all.
func TestOnePortForSitesAndStreams(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.certify("default", 1, "site.test")
	m.certify("plain", 2, "plain.test")
	exact := behind(t, overTLS(t, certified(t, 3, "exact.wild.test"), greeting("exact")))
	wild := behind(t, overTLS(t, certified(t, 4, "*.wild.test"), greeting("wild")))
	deep := behind(t, overTLS(t, certified(t, 5, "*.deep.wild.test"), greeting("deep")))
	behindAt(t, "unix", m.path("shop-7.sock"), overTLS(t, certified(t, 6, "shop-7.pattern.test"), greeting("pattern")))
	plain := behind(t, greeting("plain"))
	other := behind(t, greeting("no TLS"))
	plainHTTP := testport.Free(t)
	m.write("main.ini", `[uwsgi]
http-to-https = 127.0.0.1:`+plainHTTP+`
https = 127.0.0.1:PORT,DIR/default.crt,DIR/default.key
https = [::1]:PORT,DIR/default.crt,DIR/default.key
sni = plain.test DIR/plain.crt,DIR/plain.key
route-sni = ~^(?<app>[a-z]+)-(?<number>[0-9]+)\.pattern\.test$ pass:DIR/${app}-${number}.sock
route-sni = *.wild.test pass:`+wild.address+`
route-sni = exact.wild.test pass:`+exact.address+`
route-sni = *.deep.wild.test pass:`+deep.address+`
route-sni = plain.test tcp:`+plain.address+`
route-sni = refused.test reject
route-sni = site.wild.test http
stream-default = `+other.address+`
route-run = return:204
`)
	m.start("main.ini")
	m.waitReady()
	for range 2 {
		m.wantStream("exact.wild.test", 3, "exact")
		m.wantStream("EXACT.Wild.Test", 3, "exact")
		m.wantStream("a.wild.test", 4, "wild")
		m.wantStream("a.b.wild.test", 4, "wild")
		m.wantStream("a.deep.wild.test", 5, "deep")
		m.wantStream("shop-7.pattern.test", 6, "pattern")
		m.wantStream("plain.test", 2, "plain")
		m.wantStreamOf("[::1]:"+m.port, by("exact.wild.test"), 3, "exact")
		m.wantStreamOf("[::1]:"+m.port, by("plain.test"), 2, "plain")
	}
	for _, name := range []string{"site.test", "site.wild.test", "unknown.test", "wild.test"} {
		for _, protocol := range []string{"http/1.1", "h2"} {
			if status, err := siteStatus(dialStream(t, m.address()), by(name, protocol)); err != nil || status != 204 {
				t.Errorf("the site, by %s and %s: %d, %v", name, protocol, status, err)
			}
		}
	}
	if s := converse(t, m.address(), by("refused.test"), ""); !toldOfTheName(s.err) {
		t.Errorf("a refused name: %+v", s)
	}
	if said, err := speakFirst(dialStream(t, m.address()), "SSH-2.0-client\r\n"); said != "220 no TLS\r\nSSH-2.0-client\r\n221 no TLS\r\n" || err != nil {
		t.Errorf("no TLS: %q, %v", said, err)
	}
	// 80 beside it leads to https.
	conn := dialStream(t, "127.0.0.1:"+plainHTTP)
	_, _ = io.WriteString(conn, "GET /x HTTP/1.1\r\nHost: site.test\r\nConnection: close\r\n\r\n")
	if answer, _ := io.ReadAll(conn); !bytes.HasPrefix(answer, []byte("HTTP/1.1 301 ")) || !bytes.Contains(answer, []byte("https://site.test:"+m.port+"/x")) && !bytes.Contains(answer, []byte("https://site.test/x")) {
		t.Errorf("port 80: %q", answer)
	}
	m.stop()
}

// TestPassedBytesAreTheClients: a passed stream reaches the backend as it was sent, from
// the first byte, whatever its pieces, and the answer comes back likewise.
func TestPassedBytesAreTheClients(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	received := make(chan []byte, 1)
	answer := bytes.Repeat([]byte("no TLS, but who looks? "), 20_000)
	b := behind(t, func(conn net.Conn) {
		text, _ := io.ReadAll(conn)
		received <- text
		_, _ = conn.Write(answer)
	})
	m.write("main.ini", "[uwsgi]\nsslrouter = 127.0.0.1:PORT\nroute-sni = pass.test pass:"+b.address+"\n")
	m.start("main.ini")
	m.waitReady()
	hello := helloFor(t, by("pass.test", "h2", "http/1.1"))
	if len(hello) < 1500 {
		t.Errorf("the ClientHello has %d bytes; that of a client of today does not fit into one segment", len(hello))
	}
	body := bytes.Repeat([]byte("\x17\x03\x03 what follows, be it TLS or not"), 20_000)
	whole := func(b []byte) [][]byte { return [][]byte{b} }
	for name, cut := range map[string]func([]byte) [][]byte{
		"one piece": whole, "bytes": bytesOf(1), "hundreds": bytesOf(100), "behind the record's head": bytesOf(5),
		"records of a byte": recordsOf(1), "records of 50": recordsOf(50),
	} {
		conn := dialStream(t, m.address())
		var sent []byte
		for _, piece := range append(cut(hello), body) {
			if _, err := conn.Write(piece); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			sent = append(sent, piece...)
		}
		_ = conn.CloseWrite()
		got, err := io.ReadAll(conn)
		if err != nil || !bytes.Equal(got, answer) {
			t.Errorf("%s: %d bytes came back of %d, %v", name, len(got), len(answer), err)
		}
		if got := <-received; !bytes.Equal(got, sent) {
			t.Errorf("%s: %d bytes arrived of %d", name, len(got), len(sent))
		}
	}
}

// TestHellosInPieces: real handshakes whose ClientHello comes byte by byte, or in many
// records, or is larger than usual, end at the right place, passed and terminated.
func TestHellosInPieces(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.certify("own", 1, "site.test", "plain.test")
	secret := behind(t, overTLS(t, certified(t, 2, "pass.test"), greeting("pass")))
	plain := behind(t, greeting("plain"))
	m.write("main.ini", `[uwsgi]
https = 127.0.0.1:PORT,DIR/own.crt,DIR/own.key
route-sni = pass.test pass:`+secret.address+`
route-sni = plain.test tcp:`+plain.address+`
route-run = return:204
`)
	m.start("main.ini")
	m.waitReady()
	var large []string // 20 KiB of protocols: more than one full record
	for range 100 {
		large = append(large, strings.Repeat("p", 200))
	}
	var clients sync.WaitGroup
	for name, cut := range map[string]func([]byte) [][]byte{"bytes": bytesOf(1), "records of a byte": recordsOf(1), "records of 30": recordsOf(30)} {
		for _, protocols := range [][]string{nil, {"h2", "http/1.1"}} {
			conn := func() net.Conn { return &pieces{TCPConn: dialStream(t, m.address()), cut: cut} }
			clients.Go(func() {
				for sni, want := range map[string]conversation{
					"pass.test":  {2, "220 pass", "a221 pass\r\n", nil},
					"plain.test": {1, "220 plain", "a221 plain\r\n", nil},
				} {
					if got := converseOn(conn(), by(sni, protocols...), "a"); got != want {
						t.Errorf("%s, %s, %q: %+v", sni, name, protocols, got)
					}
				}
				if status, err := siteStatus(conn(), by("site.test", protocols...)); err != nil || status != 204 {
					t.Errorf("site, %s, %q: %d, %v", name, protocols, status, err)
				}
			})
		}
	}
	clients.Wait()
	m.wantStreamOf(m.address(), by("pass.test", large...), 2, "pass")
	if got := converse(t, m.address(), by("plain.test", large...), "a"); got.greeting != "220 plain" {
		t.Errorf("a large ClientHello, terminated: %+v", got)
	}
}

// TestHellosThatLeadNowhere: no name, an unknown one, no TLS, too much of it, nothing
// and not enough are ended, soon, and said in the log, where there is no stream-default.
// What has been sent may take its time on a busy machine: sni-timeout is short only for
// what never comes.
func TestHellosThatLeadNowhere(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	b := behind(t, overTLS(t, certified(t, 2, "pass.test"), greeting("pass")))
	main := "[uwsgi]\nsslrouter = 127.0.0.1:PORT\nroute-sni = pass.test pass:" + b.address + "\nsni-timeout = "
	m.write("main.ini", main+"60\n")
	m.start("main.ini")
	m.waitReady()
	m.wantStream("pass.test", 2, "pass")
	hello := helloFor(t, by("pass.test"))
	endless := append([]byte{22, 3, 1, 0x40, 0, 1, 0xff, 0xff, 0xff}, bytes.Repeat([]byte{'x'}, 70_000)...)
	unknown := helloFor(t, by("unknown.test"))
	nameless := helloFor(t, by(""))
	type nowhere struct {
		logged []string
		send   []byte
		told   string // before the end
	}
	wants := func(test nowhere) {
		t.Helper()
		mark := m.mark()
		conn := dialStream(t, m.address())
		go func() { _, _ = conn.Write(test.send) }() // ends with the connection at the latest
		wantEnd(t, conn, test.told)
		m.waitLog(mark, append(test.logged, "client=127.0.0.1")...)
	}
	for _, test := range []nowhere{
		{[]string{"stream refused", "sni=unknown.test"}, unknown, unrecognizedName},
		{[]string{"stream refused"}, nameless, unrecognizedName},
		{[]string{"does not begin with TLS"}, []byte("GET / HTTP/1.1\r\nHost: pass.test\r\n\r\n"), ""},
		{[]string{"does not begin with TLS"}, []byte("SSH-2.0-OpenSSH_9.2\r\n"), ""},
		{[]string{"no ClientHello"}, endless, decodeError},
	} {
		wants(test)
	}
	mark := m.mark()
	m.write("main.ini", main+"1\n")
	m.waitLog(mark, "the main file was applied")
	for _, test := range []nowhere{
		{[]string{"no ClientHello"}, nil, ""},
		{[]string{"no ClientHello"}, hello[:len(hello)/2], ""},
	} {
		wants(test)
	}
	// One that never stops to send, and never comes to an end either.
	mark = m.mark()
	drip := dialStream(t, m.address())
	over := make(chan struct{})
	go func() { // ends with the connection
		defer close(over)
		slowly := time.NewTicker(time.Millisecond)
		defer slowly.Stop()
		for _, one := range bytesOf(1)(hello[:len(hello)-1]) {
			if _, err := drip.Write(one); err != nil {
				return
			}
			<-slowly.C
		}
	}()
	wantEnd(t, drip, "")
	_ = drip.Close()
	<-over
	m.waitLog(mark, "no ClientHello")
	if n := b.accepted.Load(); n != 1 {
		t.Errorf("%d connections reached the backend", n)
	}
}

// TestNamelessStreams: with stream-default, who names nobody ends there, with TLS that
// nobody has touched.
func TestNamelessStreams(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	b := behind(t, overTLS(t, certified(t, 2, "other.test"), greeting("default")))
	named := behind(t, overTLS(t, certified(t, 3, "pass.test"), greeting("pass")))
	m.write("main.ini", "[uwsgi]\nsslrouter = 127.0.0.1:PORT\nroute-sni = pass.test pass:"+named.address+"\nstream-default = "+b.address+"\n")
	m.start("main.ini")
	m.waitReady()
	m.wantStream("pass.test", 3, "pass")
	m.wantStream("", 2, "default")
	if s := converse(t, m.address(), by("unknown.test"), ""); !toldOfTheName(s.err) {
		t.Errorf("who names somebody else: %+v", s)
	}
}

// TestDefaultName: `default` is for names that no other line has.
func TestDefaultName(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	b := behind(t, overTLS(t, certified(t, 2, "other.test"), greeting("default")))
	named := behind(t, overTLS(t, certified(t, 3, "pass.test"), greeting("pass")))
	http1 := behind(t, overTLS(t, certified(t, 4, "pass.test"), greeting("http/1.1")))
	acme := behind(t, overTLS(t, certified(t, 5, "acme"), greeting("acme")))
	m.write("main.ini", `[uwsgi]
sslrouter = 127.0.0.1:PORT
route-sni = default pass:`+b.address+`
route-sni = pass.test pass:`+named.address+`
route-sni = versions.test pass:`+http1.address+`,alpn=http/1.1
route-alpn = acme-tls/1 pass:`+acme.address+`
`)
	m.start("main.ini")
	m.waitReady()
	m.wantStream("pass.test", 3, "pass")
	m.wantStream("unknown.test", 2, "default")
	for protocol, want := range map[string]conversation{"http/1.1": {4, "220 http/1.1", "221 http/1.1\r\n", nil}, "acme-tls/1": {5, "220 acme", "221 acme\r\n", nil}} {
		c := by("versions.test", protocol)
		if s := converse(t, m.address(), c, ""); s != want {
			t.Errorf("%s: %+v", protocol, s)
		}
	}
	if s, want := converse(t, m.address(), by("versions.test", "h2"), ""), (conversation{2, "220 default", "221 default\r\n", nil}); s != want {
		t.Errorf("h2, where the name's own line is for http/1.1: %+v, want %+v", s, want)
	}
}

// TestPatternsToNames: parts of the name make the name of the service, which is asked of
// a resolver; nobody can leave the domain, and what a capture may decide has to be said.
func TestPatternsToNames(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	shop := behindAt(t, "tcp", "127.0.1.1:"+testport.Free(t), overTLS(t, certified(t, 2, "shop-staging.apps.test"), greeting("shop")))
	port := shop.port()
	behindAt(t, "tcp", "127.0.1.2:"+port, overTLS(t, certified(t, 3, "www.cloud.test"), greeting("cloud")))
	known := startNames(t, "shop-public.staging.svc.cluster.local", "127.0.1.1", "www.cloud.test", "127.0.1.2", "dns.test", "127.0.0.1", "inside.evil.test", "127.0.1.1", "outside.evil.test", "127.0.1.2")
	rules := `[uwsgi]
sslrouter = 127.0.0.1:PORT
resolver = ` + known.address + `
route-sni = ~^(?<app>.+)-(?<ns>[^-]+)\.apps\.test$ pass:${app}-public.${ns}.svc.cluster.local:` + port + `
route-sni = ~^(?<service>.+)-(?<ns>[^-]+)-(?<port>\d+)\.ports\.test$ pass:${service}-public.${ns}.svc.cluster.local:${port}
`
	m.write("main.ini", rules+"route-sni = ~^(.+\\.cloud\\.test)$ pass:$1:"+port+"\nstream-allow = .cloud.test\n"+
		// Any name at all, as long as it stands for an address that is allowed.
		"route-sni = ~^(.+)\\.any\\.test$ pass:$1:"+port+"\nstream-allow = 127.0.1.1/32\n")
	m.start("main.ini")
	m.waitReady()
	m.wantStream("shop-staging.apps.test", 2, "shop")
	m.wantStream("shop-staging-"+port+".ports.test", 2, "shop")
	m.wantStream("www.cloud.test", 3, "cloud")
	m.wantStream("inside.evil.test.any.test", 2, "shop")
	for _, name := range []string{
		"shop-unknown.apps.test", "evil.test/-staging.apps.test", "a.b-staging.apps.test", "shop-staging-0.ports.test",
		"shop-staging-65536.ports.test", "shop-staging-99999999999999999999.ports.test", "other.cloud.test", "www.evil.test",
		"outside.evil.test.any.test", "127.0.1.2.any.test", "localhost.any.test",
	} {
		conn := dialStream(t, m.address())
		if err := tls.Client(conn, by(name)).Handshake(); !toldOfTheName(err) {
			t.Errorf("%s: %v", name, err)
		}
	}

	// A capture that decides the whole host is an open proxy, unless it is said who
	// may be reached.
	m.write("open.ini", rules+"route-sni = ~^(.+)$ pass:$1:"+port+"\n")
	if said, code := m.ask("check", "open.ini"); code == 0 || !strings.Contains(said, "stream-allow") {
		t.Errorf("an open proxy: exit status %d, %s", code, said)
	}
	m.write("bare.ini", "[uwsgi]\nsslrouter = :PORT\nroute-sni = ^(?<app>[a-z]+)\\.apps\\.test$ pass:$app.svc.cluster.local:443\n")
	if said, code := m.ask("check", "bare.ini"); code == 0 || !strings.Contains(said, "${app}") || !strings.Contains(said, "bare.ini:3") {
		t.Errorf("a bare $app: exit status %d, %s", code, said)
	}
}
