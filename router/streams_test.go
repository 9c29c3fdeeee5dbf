package router

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"emperor/internal/testcert"
	"emperor/router/proxyproto"
	"emperor/router/subscription"
)

// behind is a server of streams: it says its greeting at once, and then echoes.
type behind struct {
	net.Listener
	pair testcert.Pair // of one that speaks TLS
}

func serveBehind(t testing.TB, names []string, serve func(net.Conn)) *behind {
	t.Helper()
	return serveBehindAt(t, "127.0.0.1:0", names, serve)
}

func serveBehindAt(t testing.TB, address string, names []string, serve func(net.Conn)) *behind {
	t.Helper()
	plain, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	b := &behind{Listener: plain}
	if len(names) > 0 {
		b.pair = testcert.SelfSigned(t, testcert.Wanted{Names: names})
		b.Listener = tls.NewListener(plain, &tls.Config{Certificates: []tls.Certificate{b.pair.TLS(t)}})
	}
	t.Cleanup(func() { _ = b.Close() })
	go func() {
		for {
			conn, err := b.Accept()
			if err != nil {
				return
			}
			go func() {
				defer func() { _ = conn.Close() }()
				_ = conn.SetDeadline(time.Now().Add(patience))
				serve(conn)
			}()
		}
	}()
	return b
}

// parrot greets with a word and repeats what it is told.
func parrot(word string) func(net.Conn) {
	return func(conn net.Conn) {
		_, _ = io.WriteString(conn, word+"\n")
		_, _ = io.Copy(conn, conn)
		if half, ok := conn.(interface{ CloseWrite() error }); ok {
			_ = half.CloseWrite()
		}
	}
}

// talk says something on a connection and returns all that comes back.
func talk(t testing.TB, conn net.Conn, words string) string {
	t.Helper()
	_ = conn.SetDeadline(time.Now().Add(patience))
	if _, err := io.WriteString(conn, words); err != nil {
		return "write: " + err.Error()
	}
	_ = conn.(interface{ CloseWrite() error }).CloseWrite()
	text, err := io.ReadAll(conn)
	if err != nil {
		return string(text) + "read: " + err.Error()
	}
	return string(text)
}

// TestStreams: one port serves requests, passes a name through, hands another on as
// plain bytes, and gives what is no TLS to somebody else.
func TestStreams(t *testing.T) {
	passed := serveBehind(t, []string{"passed.test"}, parrot("from behind"))
	plain := serveBehind(t, nil, parrot("plain"))
	other := serveBehind(t, nil, parrot("SSH-2.0-test"))
	f := newFront(t)
	f.secured("route-run = return:204",
		"route-sni = passed.test pass:"+passed.Addr().String(),
		"route-sni = plain.test tcp:"+plain.Addr().String(),
		"route-sni = no.test reject",
		"route-sni = dead.test pass:/nobody.sock",
		"stream-default = "+other.Addr().String())
	dial := func(name string) (*tls.Conn, error) {
		return tls.Dial("tcp", f.tcp.Addr().String(), &tls.Config{ServerName: name, InsecureSkipVerify: true})
	}

	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM([]byte(passed.pair.Certificate))
	conn, err := tls.Dial("tcp", f.tcp.Addr().String(), &tls.Config{ServerName: "Passed.test", RootCAs: roots})
	if err != nil {
		t.Fatalf("what is passed through shows another certificate: %v", err)
	}
	if got := talk(t, conn, "hello"); got != "from behind\nhello" {
		t.Errorf("passed through: %q", got)
	}
	conn.Close()

	if conn, err = dial("plain.test"); err != nil {
		t.Fatal(err)
	}
	if names := conn.ConnectionState().PeerCertificates[0].DNSNames; len(names) != 1 || names[0] != "a" {
		t.Errorf("decrypted here: the certificate is for %v", names)
	}
	if got := talk(t, conn, "hello"); got != "plain\nhello" {
		t.Errorf("decrypted here: %q", got)
	}
	conn.Close()

	if conn, err = dial("a"); err != nil {
		t.Fatal(err)
	}
	if got := talk(t, conn, "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"); !strings.HasPrefix(got, "HTTP/1.1 204 ") {
		t.Errorf("a site: %q", got)
	}
	conn.Close()

	if _, err = dial("no.test"); err == nil || !strings.Contains(err.Error(), "unrecognized name") {
		t.Errorf("rejected: %v", err)
	}

	if _, err = dial("dead.test"); err == nil || !strings.Contains(err.Error(), "internal error") {
		t.Errorf("nobody is there: %v", err)
	}

	raw, err := net.Dial("tcp", f.tcp.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	if got := talk(t, raw, "SSH-2.0-client\r\n"); got != "SSH-2.0-test\nSSH-2.0-client\r\n" {
		t.Errorf("no TLS: %q", got)
	}
	raw.Close()
}

// TestSSLRouter: uWSGI's routers of streams, with a certificate and without one, and of
// plain TCP; a server that speaks first is heard.
func TestSSLRouter(t *testing.T) {
	secret := serveBehind(t, []string{"secret.test"}, parrot("secret"))
	plain := serveBehind(t, nil, parrot("plain"))
	dead := deadPort(t)
	f := newFront(t)
	ending := f.listen(optionSSLRouter, "127.0.0.1:0").String()
	raw := f.listen(optionRawRouter, "127.0.0.1:0").String()
	pair := testcert.SelfSigned(t, testcert.Wanted{Names: []string{"front.test"}})
	path := t.TempDir() + "/front"
	pair.Put(t, path)
	options := []string{
		"sslrouter = " + ending + "," + path + ".crt," + path + ".key",
		"rawrouter = " + raw,
		"sslrouter-to = " + dead, "sslrouter-to = " + plain.Addr().String(),
		"rawrouter-to = " + plain.Addr().String(),
	}
	if err := f.configure(options...); err != nil {
		t.Fatal(err)
	}
	for range 3 { // one of the two addresses is dead
		conn, err := tls.Dial("tcp", ending, &tls.Config{ServerName: "front.test", InsecureSkipVerify: true})
		if err != nil {
			t.Fatal(err)
		}
		if got := talk(t, conn, "hello"); got != "plain\nhello" {
			t.Errorf("sslrouter: %q", got)
		}
		conn.Close()
	}
	conn, err := net.Dial("tcp", raw)
	if err != nil {
		t.Fatal(err)
	}
	if got := talk(t, conn, "hello"); got != "plain\nhello" {
		t.Errorf("rawrouter: %q", got)
	}
	conn.Close()

	// Without a certificate TLS ends behind.
	options[0], options[2], options[3] = "sslrouter = "+ending, "sslrouter-to = "+secret.Addr().String(), ""
	if err := f.configure(options...); err != nil {
		t.Fatal(err)
	}
	through, err := tls.Dial("tcp", ending, &tls.Config{ServerName: "secret.test", InsecureSkipVerify: true})
	if err != nil {
		t.Fatal(err)
	}
	defer through.Close()
	if names := through.ConnectionState().PeerCertificates[0].DNSNames; names[0] != "secret.test" {
		t.Errorf("the certificate is for %v", names)
	}
	if got := talk(t, through, "hello"); got != "secret\nhello" {
		t.Errorf("sslrouter: %q", got)
	}
}

// TestStreamProxyHeader: who is behind learns who the client is, and whom it asked for.
func TestStreamProxyHeader(t *testing.T) {
	headers := make(chan proxyproto.Header, 1)
	plain := serveBehind(t, nil, func(conn net.Conn) {
		r := bufio.NewReader(conn)
		for size := 16; ; size++ {
			b, err := r.Peek(size)
			if err != nil {
				return
			}
			if h, n, err := proxyproto.Parse(b); n > 0 && err == nil {
				h.TLVs = append([]byte{}, h.TLVs...)
				headers <- h
				_, _ = r.Discard(n)
				break
			}
		}
		_, _ = io.Copy(conn, r)
		_ = conn.(*net.TCPConn).CloseWrite()
	})
	f := newFront(t)
	f.secured("route-run = return:204", "route-sni = v1.test tcp:"+plain.Addr().String()+",proxy=v1", "route-sni = v2.test tcp:"+plain.Addr().String()+",proxy=v2")
	for version, name := range map[int]string{1: "v1.test", 2: "v2.test"} {
		conn, err := tls.Dial("tcp", f.tcp.Addr().String(), &tls.Config{ServerName: name, InsecureSkipVerify: true, NextProtos: []string{"echo"}})
		if err != nil {
			t.Fatal(err)
		}
		if got := talk(t, conn, "hello"); got != "hello" {
			t.Errorf("%s: %q", name, got)
		}
		if p := conn.ConnectionState().NegotiatedProtocol; p != "echo" {
			t.Errorf("%s: the protocol %q is agreed upon", name, p)
		}
		h := <-headers
		if h.Version != version || h.Source.String() != conn.LocalAddr().String() || h.Destination.String() != conn.RemoteAddr().String() {
			t.Errorf("%s: %+v", name, h)
		}
		if version == 2 {
			authority, _ := h.Find(proxyproto.Authority)
			protocol, _ := h.Find(proxyproto.ALPN)
			ssl, _ := h.SSL()
			if string(authority) != name || string(protocol) != "echo" || !ssl.TLS || string(ssl.Version) != "TLSv1.3" {
				t.Errorf("%s: %q %q %+v", name, authority, protocol, ssl)
			}
		}
		conn.Close()
	}
}

// TestStreamsOutliveConfigurations: a stream goes on, whatever becomes of its rule, and is
// counted until it ends.
func TestStreamsOutliveConfigurations(t *testing.T) {
	plain := serveBehind(t, nil, parrot("plain"))
	f := newFront(t)
	f.secured("route-sni = plain.test tcp:" + plain.Addr().String())
	conn, err := tls.Dial("tcp", f.tcp.Addr().String(), &tls.Config{ServerName: "plain.test", InsecureSkipVerify: true})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	r := bufio.NewReader(conn)
	say := func(word string) {
		t.Helper()
		_ = conn.SetDeadline(time.Now().Add(patience))
		_, _ = fmt.Fprintln(conn, word)
		if line, err := r.ReadString('\n'); line != word+"\n" || err != nil {
			t.Fatalf("%q %v", line, err)
		}
	}
	_, _ = r.ReadString('\n')
	say("before")
	f.secured("route-run = return:204")
	say("after")
	if open := f.streamFigures()["open"]; open != int64(1) {
		t.Errorf("%v streams are open", open)
	}
}

// TestIdleStreams: streams on which nothing happens keep no goroutine each.
func TestIdleStreams(t *testing.T) {
	passed := serveBehind(t, []string{"passed.test"}, parrot("hello"))
	f := newFront(t)
	f.secured("route-sni = passed.test pass:" + passed.Addr().String())
	const many = 50
	before := inService()
	for range many {
		conn, err := tls.Dial("tcp", f.tcp.Addr().String(), &tls.Config{ServerName: "passed.test", InsecureSkipVerify: true})
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		_ = conn.SetDeadline(time.Now().Add(patience))
		if line, err := bufio.NewReader(conn).ReadString('\n'); line != "hello\n" || err != nil {
			t.Fatalf("%q %v", line, err)
		}
	}
	if open := f.streamFigures()["open"]; open != int64(many) {
		t.Errorf("%v streams are open", open)
	}
	// A few that have served wait for the next connection.
	for deadline := time.Now().Add(patience); inService() > before+5; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d goroutines of the front more than before %d streams", inService()-before, many)
		}
	}
}

// inService counts the goroutines that serve connections.
func inService() int {
	text := make([]byte, 4<<20)
	text = text[:runtime.Stack(text, true)]
	return strings.Count(string(text), "emperor/router.(*client)") + strings.Count(string(text), "emperor/router/relay.")
}

// TestStreamReset: a side that breaks off does not look to the other as if it had ended.
func TestStreamReset(t *testing.T) {
	ends := make(chan error, 1)
	plain := serveBehind(t, nil, func(conn net.Conn) {
		if line, _ := bufio.NewReader(conn).ReadString('\n'); line == "break\n" {
			_ = conn.(*net.TCPConn).SetLinger(0)
			return
		}
		_, err := io.Copy(io.Discard, conn)
		ends <- err
	})
	f := newFront(t)
	address := f.listen(optionRawRouter, "127.0.0.1:0").String()
	if err := f.configure("rawrouter = "+address, "rawrouter-to = "+plain.Addr().String()); err != nil {
		t.Fatal(err)
	}
	for _, words := range []string{"half of it\nand", "break\n"} {
		conn, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		_ = conn.SetDeadline(time.Now().Add(patience))
		_, _ = io.WriteString(conn, words)
		if words == "break\n" {
			if _, err = io.ReadAll(conn); !errors.Is(err, syscall.ECONNRESET) {
				t.Errorf("the server has broken off, and the client sees %v", err)
			}
			conn.Close()
			continue
		}
		_ = conn.(*net.TCPConn).SetLinger(0)
		conn.Close()
		if err := <-ends; !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("the client has broken off, and the server sees %v", err)
		}
	}
}

// TestStreamCutOff: the same where TLS ends here. A client that ends without a goodbye
// has ended, as with nginx and HAProxy; one that is cut off in a record has not, and a
// server that knows nothing of TLS has to see the difference.
func TestStreamCutOff(t *testing.T) {
	ends := make(chan error, 1)
	plain := serveBehind(t, nil, func(conn net.Conn) {
		_, err := io.Copy(io.Discard, conn)
		ends <- err
	})
	f := newFront(t)
	f.secured("route-sni = plain.test tcp:" + plain.Addr().String())
	for name, test := range map[string]struct {
		last  string
		reset bool
		want  error
	}{
		"an end without a goodbye": {},
		"cut off in a record":      {last: "\x17\x03\x03\x00\x99 of this there is more", want: syscall.ECONNRESET},
		"reset":                    {reset: true, want: syscall.ECONNRESET},
	} {
		raw, err := net.Dial("tcp", f.tcp.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		conn := tls.Client(raw, &tls.Config{ServerName: "plain.test", InsecureSkipVerify: true})
		if _, err := io.WriteString(conn, "words"); err != nil {
			t.Fatal(err)
		}
		_, _ = io.WriteString(raw, test.last)
		if test.reset {
			_ = raw.(*net.TCPConn).SetLinger(0)
			raw.Close()
		} else {
			_ = raw.(*net.TCPConn).CloseWrite()
			defer raw.Close()
		}
		if err := <-ends; !errors.Is(err, test.want) {
			t.Errorf("%s: the server sees %v, want %v", name, err, test.want)
		}
	}
}

// TestStreamsToAnnouncedNodes: sslrouter and rawrouter have subscription servers of their
// own; what they have heard is handed on to the next router, and a node that was reloaded
// is waited for.
func TestStreamsToAnnouncedNodes(t *testing.T) {
	one, other := serveBehind(t, nil, parrot("one")), serveBehind(t, nil, parrot("other"))
	f := newFront(t)
	ending := f.listen(optionSSLRouter, "127.0.0.1:0").String()
	raw := f.listen(optionRawRouter, "127.0.0.1:0").String()
	pair := testcert.SelfSigned(t, testcert.Wanted{Names: []string{"front.test"}})
	path := t.TempDir() + "/front"
	pair.Put(t, path)
	options := []string{
		"sslrouter = " + ending + "," + path + ".crt," + path + ".key", "rawrouter = " + raw,
		"sslrouter-sni = true", "sslrouter-subscription-server = 127.0.0.1:7001", "rawrouter-subscription-server = 127.0.0.1:7002",
	}
	if err := f.configure(options...); err != nil {
		t.Fatal(err)
	}
	say := func(option, key string, b *behind, withdraw bool) {
		p := subscription.Packet{Key: key, Node: subscription.Node{Address: b.Addr().String()}, Withdraw: withdraw}
		f.hear(option, p.Append(nil), origin{who: "127.0.0.1", local: true})
	}
	visit := func(name string) string {
		conn, err := tls.Dial("tcp", ending, &tls.Config{ServerName: name, InsecureSkipVerify: true})
		if err != nil {
			return err.Error()
		}
		defer conn.Close()
		return talk(t, conn, "hello")
	}
	if got := visit("a.test"); !strings.Contains(got, "unrecognized name") {
		t.Errorf("nobody has announced itself: %q", got)
	}
	say(optionSSLSubscriptions, "a.test", one, false)
	say(optionRawSubscriptions, raw, other, false)
	if got := visit("a.test"); got != "one\nhello" {
		t.Errorf("sslrouter: %q", got)
	}
	conn, err := net.Dial("tcp", raw)
	if err != nil {
		t.Fatal(err)
	}
	if got := talk(t, conn, "hello"); got != "other\nhello" {
		t.Errorf("rawrouter: %q", got)
	}
	conn.Close()
	say(optionSSLSubscriptions, "a.test", one, true)
	back := make(chan string)
	go func() { back <- visit("a.test") }()
	eventually(t, "nobody waits", func() bool { return f.counters.connections.Load() == 1 })
	say(optionSSLSubscriptions, "a.test", other, false)
	if got := <-back; got != "other\nhello" {
		t.Errorf("one that came back: %q", got)
	}
	_ = one.Close()
	say(optionSSLSubscriptions, "b.test", one, false)
	_ = visit("b.test")
	if said := f.log.String(); !strings.Contains(said, "an address is passed over") || !strings.Contains(said, one.Addr().String()) {
		t.Error("nothing is said of a node that is gone")
	}

	records, _ := f.announcements(0)
	next := newFront(t)
	if err := next.takeAnnouncements(records); err != nil {
		t.Fatal(err)
	}
	if v := next.announcedStreams[optionSSLRouter].Key("a.test"); v == nil || v.Empty() {
		t.Error("the next router does not know the node")
	}
	if v := next.announced.Key("a.test"); v != nil && !v.Empty() {
		t.Error("a stream's node answers requests")
	}
}
