package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"

	"emperor/internal/testcert"
	"emperor/internal/testport"
)

// backend is a server behind the front that is no site: whoever connects is served by a
// function. It ends with the test.
type backend struct {
	address  string
	accepted atomic.Int64

	listener net.Listener
	serving  sync.WaitGroup

	mu    sync.Mutex
	conns map[net.Conn]bool // guarded by mu; those that are being served
}

// behind starts a backend at an address of its own.
func behind(t testing.TB, serve func(net.Conn)) *backend {
	t.Helper()
	return behindAt(t, "tcp", "127.0.0.1:"+testport.Free(t), serve)
}

func behindAt(t testing.TB, network, address string, serve func(net.Conn)) *backend {
	t.Helper()
	l, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	if network == "unix" { // the front's user is another
		if err := os.Chmod(address, 0o777); err != nil {
			t.Fatal(err)
		}
	}
	b := &backend{address: address, listener: l, conns: map[net.Conn]bool{}}
	b.serving.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			b.accepted.Add(1)
			b.mu.Lock()
			b.conns[conn] = true
			b.mu.Unlock()
			b.serving.Go(func() {
				serve(conn)
				_ = conn.Close()
				b.mu.Lock()
				delete(b.conns, conn)
				b.mu.Unlock()
			})
		}
	})
	t.Cleanup(b.close)
	return b
}

// close ends it, and every connection it has.
func (b *backend) close() {
	_ = b.listener.Close()
	b.mu.Lock()
	for conn := range b.conns {
		_ = conn.Close()
	}
	b.mu.Unlock()
	b.serving.Wait()
}

// port is the port of its address.
func (b *backend) port() string {
	_, port, _ := net.SplitHostPort(b.address)
	return port
}

// greeting speaks first, sends back what it gets, and says good bye when the other side
// has said all: a protocol in which a lost direction, or a half-close that becomes a
// whole one, is seen.
func greeting(name string) func(net.Conn) {
	return func(conn net.Conn) {
		if _, err := io.WriteString(conn, "220 "+name+"\r\n"); err != nil {
			return
		}
		if _, err := io.Copy(conn, conn); err != nil {
			return
		}
		_, _ = io.WriteString(conn, "221 "+name+"\r\n")
		_ = closeWrite(conn)
	}
}

// overTLS serves what comes within TLS.
func overTLS(t testing.TB, p testcert.Pair, serve func(net.Conn)) func(net.Conn) {
	t.Helper()
	c := &tls.Config{Certificates: []tls.Certificate{p.TLS(t)}}
	return func(conn net.Conn) { serve(tls.Server(conn, c)) }
}

func closeWrite(conn net.Conn) error {
	return conn.(interface{ CloseWrite() error }).CloseWrite()
}

// certified is a certificate of its own for the names, with that serial number.
func certified(t testing.TB, serial int64, names ...string) testcert.Pair {
	t.Helper()
	return testcert.SelfSigned(t, testcert.Wanted{Names: names, Serial: serial})
}

// dialStream connects to a port of this machine; the connection ends with the test.
func dialStream(t testing.TB, address string) *net.TCPConn {
	t.Helper()
	conn, err := net.DialTimeout("tcp", address, patience)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(patience))
	return conn.(*net.TCPConn)
}

// by is a client's TLS for a name, which trusts everybody: who answered is seen by the
// serial number.
func by(name string, protocols ...string) *tls.Config {
	return &tls.Config{ServerName: name, InsecureSkipVerify: true, NextProtos: protocols}
}

// conversation is what a client saw of one connection by TLS.
type conversation struct {
	serial   int64  // of the certificate, 0 without a handshake
	greeting string // the server's first line
	rest     string // what it said after the client had said all
	err      error
}

// converse connects with TLS, waits for a greeting, says something, half-closes and
// reads to the end.
func converse(t testing.TB, address string, c *tls.Config, say string) (s conversation) {
	t.Helper()
	conn := dialStream(t, address)
	defer conn.Close()
	return converseOn(conn, c, say)
}

func converseOn(raw net.Conn, c *tls.Config, say string) (s conversation) {
	conn := tls.Client(raw, c)
	if s.err = conn.Handshake(); s.err != nil {
		return s
	}
	s.serial = conn.ConnectionState().PeerCertificates[0].SerialNumber.Int64()
	s.greeting, s.rest, s.err = dialogue(conn, say)
	return s
}

// dialogue is converse on any connection.
func dialogue(conn net.Conn, say string) (greeting, rest string, err error) {
	if greeting, err = line(conn); err != nil {
		return greeting, "", err
	}
	if _, err = io.WriteString(conn, say); err != nil {
		return greeting, "", err
	}
	if err = closeWrite(conn); err != nil {
		return greeting, "", err
	}
	text, err := io.ReadAll(conn)
	return greeting, string(text), err
}

// speakFirst says all it has to say at once, as clients of protocols without TLS do, and
// returns what the other side said.
func speakFirst(conn net.Conn, say string) (string, error) {
	if _, err := io.WriteString(conn, say); err != nil {
		return "", err
	}
	if err := closeWrite(conn); err != nil {
		return "", err
	}
	text, err := io.ReadAll(conn)
	return string(text), err
}

// line reads a line and no byte more.
func line(conn io.Reader) (string, error) {
	var text []byte
	for one := make([]byte, 1); ; {
		if _, err := io.ReadFull(conn, one); err != nil {
			return string(text), err
		}
		if one[0] == '\n' {
			return strings.TrimSuffix(string(text), "\r"), nil
		}
		text = append(text, one[0])
	}
}

// wantStream fails the test unless the name's stream ends at the backend called that,
// behind a certificate with that serial number.
func (m *machine) wantStream(name string, serial int64, at string) {
	m.t.Helper()
	m.wantStreamOf(m.address(), by(name), serial, at)
}

func (m *machine) wantStreamOf(address string, c *tls.Config, serial int64, at string) {
	m.t.Helper()
	const said = "what the client has to say"
	s := converse(m.t, address, c, said)
	if want := (conversation{serial, "220 " + at, said + "221 " + at + "\r\n", nil}); s != want {
		m.t.Errorf("%q: got %+v, want %+v", c.ServerName, s, want)
	}
}

// TLS's alerts for a client whose name leads nowhere (RFC 6066 §3), for one whose server
// can't be reached, and for one that sends no ClientHello.
const (
	unrecognizedName = "\x15\x03\x01\x00\x02\x02\x70"
	internalError    = "\x15\x03\x01\x00\x02\x02\x50"
	decodeError      = "\x15\x03\x01\x00\x02\x02\x32"
)

// toldOfTheName tells whether a client's handshake failed by that alert.
func toldOfTheName(err error) bool {
	return err != nil && strings.Contains(err.Error(), "remote error: tls: unrecognized name")
}

// wantEnd fails the test unless the front ends the connection having said just that.
// Whether it resets it is its own affair.
func wantEnd(t testing.TB, conn net.Conn, told string) {
	t.Helper()
	text, err := io.ReadAll(conn)
	if timeout, ok := errors.AsType[net.Error](err); ok && timeout.Timeout() {
		t.Errorf("the connection was not ended, and said %q", text)
	}
	if string(text) != told {
		t.Errorf("want an end after %q; got %q", told, text)
	}
}

// pieces is a client's connection whose first write, a ClientHello, is sent in other
// pieces.
type pieces struct {
	*net.TCPConn
	cut  func(hello []byte) [][]byte
	sent bool
}

func (p *pieces) Write(b []byte) (int, error) {
	if p.sent {
		return p.TCPConn.Write(b)
	}
	p.sent = true
	for _, piece := range p.cut(b) {
		if _, err := p.TCPConn.Write(piece); err != nil {
			return 0, err
		}
	}
	return len(b), nil
}

// bytesOf sends n bytes at once.
func bytesOf(n int) func([]byte) [][]byte {
	return func(hello []byte) (all [][]byte) {
		for len(hello) > n {
			all, hello = append(all, hello[:n]), hello[n:]
		}
		return append(all, hello)
	}
}

// recordsOf puts n bytes into each TLS record.
func recordsOf(n int) func([]byte) [][]byte {
	return func(hello []byte) (all [][]byte) {
		for _, part := range bytesOf(n)(hello[5:]) {
			record := append([]byte{hello[0], hello[1], hello[2]}, byte(len(part)>>8), byte(len(part)))
			all = append(all, append(record, part...))
		}
		return all
	}
}

// helloFor is the ClientHello that a client sends for a name.
func helloFor(t testing.TB, c *tls.Config) []byte {
	t.Helper()
	var hello bytes.Buffer
	_ = tls.Client(onlyWrites{&hello}, c).Handshake()
	if hello.Len() == 0 {
		t.Fatal("no ClientHello")
	}
	return hello.Bytes()
}

// onlyWrites is a connection to nobody, which keeps what was written.
type onlyWrites struct{ to io.Writer }

func (o onlyWrites) Write(b []byte) (int, error)    { return o.to.Write(b) }
func (onlyWrites) Read([]byte) (int, error)         { return 0, io.EOF }
func (onlyWrites) Close() error                     { return nil }
func (onlyWrites) LocalAddr() net.Addr              { return nil }
func (onlyWrites) RemoteAddr() net.Addr             { return nil }
func (onlyWrites) SetDeadline(time.Time) error      { return nil }
func (onlyWrites) SetReadDeadline(time.Time) error  { return nil }
func (onlyWrites) SetWriteDeadline(time.Time) error { return nil }

// names is a DNS server that knows some names.
type names struct {
	address string
	asked   chan string

	mu    sync.Mutex
	known map[string]netip.Addr // guarded by mu
}

// startNames starts one. Names are without the dot at their end; pairs of name and
// address.
func startNames(t testing.TB, known ...string) *names {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	n := &names{address: conn.LocalAddr().String(), asked: make(chan string, 1000), known: map[string]netip.Addr{}}
	for i := 0; i < len(known); i += 2 {
		n.set(known[i], known[i+1])
	}
	var serving sync.WaitGroup
	serving.Go(func() {
		question := make([]byte, 1500)
		for {
			size, from, err := conn.ReadFrom(question)
			if err != nil {
				return
			}
			if answer := n.answer(question[:size]); answer != nil {
				_, _ = conn.WriteTo(answer, from)
			}
		}
	})
	t.Cleanup(func() { _ = conn.Close(); serving.Wait() })
	return n
}

func (n *names) set(name, address string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.known[name] = netip.MustParseAddr(address)
}

func (n *names) answer(question []byte) []byte {
	var p dnsmessage.Parser
	header, err := p.Start(question)
	if err != nil {
		return nil
	}
	q, err := p.Question()
	if err != nil {
		return nil
	}
	name := strings.ToLower(strings.TrimSuffix(q.Name.String(), "."))
	select {
	case n.asked <- name:
	default:
	}
	n.mu.Lock()
	address, ok := n.known[name]
	n.mu.Unlock()
	code := dnsmessage.RCodeSuccess
	if !ok {
		code = dnsmessage.RCodeNameError
	}
	b := dnsmessage.NewBuilder(nil, dnsmessage.Header{ID: header.ID, Response: true, RecursionAvailable: true, RCode: code})
	b.EnableCompression()
	_ = b.StartQuestions()
	_ = b.Question(q)
	_ = b.StartAnswers()
	h := dnsmessage.ResourceHeader{Name: q.Name, Class: dnsmessage.ClassINET, TTL: 60}
	if ok && q.Type == dnsmessage.TypeA && address.Is4() {
		_ = b.AResource(h, dnsmessage.AResource{A: address.As4()})
	}
	if ok && q.Type == dnsmessage.TypeAAAA && address.Is6() {
		_ = b.AAAAResource(h, dnsmessage.AAAAResource{AAAA: address.As16()})
	}
	out, err := b.Finish()
	if err != nil {
		return nil
	}
	return out
}

// siteStatus asks the site of the TLS name for its first page, by HTTP/2 if the front
// agrees to that.
func siteStatus(raw net.Conn, c *tls.Config) (int, error) {
	conn := tls.Client(raw, c)
	defer conn.Close()
	transport := &http.Transport{ForceAttemptHTTP2: true, DisableKeepAlives: true, DialTLSContext: func(ctx context.Context, _, _ string) (net.Conn, error) { return conn, conn.HandshakeContext(ctx) }}
	defer transport.CloseIdleConnections()
	r, err := (&http.Client{Timeout: patience, Transport: transport}).Get("https://" + c.ServerName + "/")
	if err != nil {
		return 0, err
	}
	defer r.Body.Close()
	if wanted := append(c.NextProtos, "http/1.1")[0]; wanted != "" && (wanted == "h2") != (r.ProtoMajor == 2) {
		return r.StatusCode, fmt.Errorf("%s was answered by %s", wanted, r.Proto)
	}
	_, err = io.Copy(io.Discard, r.Body)
	return r.StatusCode, err
}

// untilStreamEnds waits for the line of streams.log on a client's connection, which must
// hold the words.
func (m *machine) untilStreamEnds(conn net.Conn, words ...string) string {
	m.t.Helper()
	var row string
	m.eventually("the stream's line", func() bool {
		text, _ := os.ReadFile(m.path("streams.log"))
		_, rest, _ := strings.Cut(string(text), conn.LocalAddr().String())
		var whole bool
		row, _, whole = strings.Cut(rest, "\n")
		return whole
	})
	if !holdsAll(row, words) {
		m.t.Errorf("the stream's line is %q, want %q", row, words)
	}
	return row
}
