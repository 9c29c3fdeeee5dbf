package sni

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unicode"
	"unicode/utf8"
)

// Names as an attacker sends them. None reaches the loader, and all get the
// listener's own certificate or the alert.
func TestHostileNames(t *testing.T) {
	w := newWorld(t)
	names, _ := ReadDirectory([]string{"a.example.com.crt", "a.example.com.key", "_wildcard_.example.org.pem"})
	table := compileOrFail(t, Config{
		Entries: []Entry{
			{Pattern: `^(.+)\.example\.net$`, Source: Files{Certificate: "/re/$1.crt", Key: "/re/$1.key"}.Source()},
			{Pattern: `^(.+)x$`, Source: Files{Certificate: "/re/.$1/c", Key: "/re/.$1/k"}.Source()},
		},
		Directories: []Directory{{Path: "/dir", Names: names}},
	})
	w.certs.SetTable(table)
	w.certs.options.Loader = LoaderFunc(func(_ context.Context, r Request) (Material, error) {
		if r.Name != "" {
			t.Errorf("the loader is asked for %+v", r)
		}
		return w.files.Load(t.Context(), r)
	})
	own := w.site("default.example.com")
	strict, tolerant := w.listener(ListenerOptions{}), w.listener(ListenerOptions{Own: &own})
	for _, name := range []string{
		"../other/site", "/../other/site", "..", "../a.example.com", "a.example.com/../../x", "./a.example.com",
		"a\x00.example.com", "a.example.com\x00", "\x00", "a.example.com\n", "a.example.com\r\nX: y",
		strings.Repeat("a", 300), strings.Repeat("a.", 149) + "example.org", strings.Repeat("a", 64) + ".example.org",
		strings.Repeat("x", 16000), "a b.example.org", "*.example.org", "%2e%2e.example.org", "$1.example.net",
		"../../etc/x.example.net", "..example.net", "a..example.net", ".x",
		"192.0.2.1", "::1", "a.example.com:443", "é.example.org", "\xff\xfe.example.org",
	} {
		client := &tls.Config{ServerName: name, InsecureSkipVerify: true, Time: w.clock.now}
		r := handshake(strict, client)
		if got := r.failed(); got != "unrecognized name" {
			t.Errorf("%.40q: %q, want the alert", name, got)
		}
		if strings.ContainsFunc(r.note.String(), unicode.IsControl) || !utf8.ValidString(r.note.String()) {
			t.Errorf("%q in a log line", r.note.String())
		}
		r = handshake(tolerant, client)
		if r.failed() != "" || r.note.Choice.Kind != Default {
			t.Errorf("%.40q: %q, %.100s, want the listener's own certificate", name, r.failed(), r.note)
		}
	}
}

// rewriting changes what a client sends first.
type rewriting struct {
	net.Conn
	rewrite func(hello []byte) [][]byte // what is written instead, each on its own
	done    bool
}

func (c *rewriting) Write(p []byte) (int, error) {
	if c.done {
		return c.Conn.Write(p)
	}
	c.done = true
	for _, piece := range c.rewrite(p) {
		if _, err := c.Conn.Write(piece); err != nil {
			return 0, err
		}
	}
	return len(p), nil
}

func rewrite(f func(hello []byte) [][]byte) func(net.Conn) net.Conn {
	return func(c net.Conn) net.Conn { return &rewriting{Conn: c, rewrite: f} }
}

// The RFC forbids the dot, Go's client takes it off and Go's server refuses it, so
// that it never gets here; were that to change, it is taken off here.
func TestNameWithATrailingDot(t *testing.T) {
	w := newWorld(t)
	w.serve(w.site("a.example.com"))
	l := w.listener(ListenerOptions{})
	if r := handshake(l, w.trusting("a.example.com.")); r.failed() != "" {
		t.Errorf("a client that takes the dot off: %s", r.failed())
	}
	r := handshake(l, w.trusting("a.example.comx"), rewrite(func(hello []byte) [][]byte {
		return [][]byte{bytes.Replace(hello, []byte("a.example.comx"), []byte("a.example.com."), 1)}
	}))
	if got := r.failed(); got != "error decoding message" && got != "unexpected message" {
		t.Errorf("a name with a dot: %q (%v)", got, r.serverErr)
	}
}

func TestHelloInPieces(t *testing.T) {
	w := newWorld(t)
	w.serve(w.site("a.example.com"))
	l := w.listener(ListenerOptions{})
	length := 0
	whole := handshake(l, w.trusting("a.example.com"), rewrite(func(hello []byte) [][]byte {
		length = len(hello)
		return [][]byte{hello}
	}))
	whole.serialOf(t)
	step := 1
	if testing.Short() {
		step = 97
	}
	for at := 1; at < length; at += step {
		r := handshake(l, w.trusting("a.example.com"), rewrite(func(hello []byte) [][]byte {
			return [][]byte{hello[:at], hello[at:]}
		}))
		if r.failed() != "" || r.note.Name != "a.example.com" {
			t.Fatalf("in two pieces, the first of %d bytes: %s, name %q", at, r.failed(), r.note.Name)
		}
	}
	for _, size := range []int{1, 2, 5, 50, 300, 1000} {
		r := handshake(l, w.trusting("a.example.com"), rewrite(func(hello []byte) [][]byte {
			return [][]byte{inRecords(hello[5:], size)}
		}))
		if r.failed() != "" || r.note.Name != "a.example.com" {
			t.Errorf("in records of %d bytes: %s, name %q", size, r.failed(), r.note.Name)
		}
	}
}

// inRecords puts a handshake message into records of a size.
func inRecords(message []byte, size int) []byte {
	var b []byte
	for len(message) > 0 {
		n := min(size, len(message))
		b = append(b, 22, 3, 1)
		b = binary.BigEndian.AppendUint16(b, uint16(n))
		b = append(b, message[:n]...)
		message = message[n:]
	}
	return b
}

// sent answers bytes as a server does, and returns its error and what it wrote.
func sent(l *Listener, b []byte) (h *Handshake, wrote []byte, err error) {
	client, server := connect()
	h = &Handshake{Context: context.Background()}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, _ = client.Write(b)
		_ = client.(*net.TCPConn).CloseWrite()
		wrote, _ = io.ReadAll(client)
	}()
	err = tls.Server(server, l.TLSConfig()).HandshakeContext(h)
	_, _ = io.Copy(io.Discard, server)
	_ = server.Close()
	<-done
	_ = client.Close()
	return h, wrote, err
}

func TestHelloThatIsNone(t *testing.T) {
	w := newWorld(t)
	w.serve(w.site("a.example.com"))
	l := w.listener(ListenerOptions{})
	huge := append([]byte{1, 1, 0x11, 0x70}, make([]byte, 70000)...) // 70,000 bytes, says its head
	for _, tt := range []struct {
		name  string
		bytes []byte
		want  string
		plain bool
	}{
		{"nothing", nil, "EOF", false},
		{"HTTP", []byte("GET / HTTP/1.1\r\nHost: a.example.com\r\n\r\n"), "first record does not look like a TLS handshake", true},
		{"HTTP POST", []byte("POST /x HTTP/1.1\r\n\r\n"), "does not look like a TLS handshake", true},
		{"HTTP/2 in the clear", []byte("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), "does not look like a TLS handshake", true},
		{"SSH", []byte("SSH-2.0-OpenSSH_9.2\r\n"), "does not look like a TLS handshake", false},
		{"zeros", make([]byte, 100), "does not look like a TLS handshake", false},
		{"a record that is too long", append([]byte{22, 3, 1, 0xff, 0xff}, make([]byte, 0xffff)...), "oversized record", false},
		{"a message that is too long", inRecords(huge, 16000), "handshake message of length 70000 bytes exceeds maximum", false},
		{"another message", inRecords([]byte{2, 0, 0, 0}, 100), "", false},
		{"an empty hello", inRecords([]byte{1, 0, 0, 0}, 100), "", false},
		{"empty records", bytes.Repeat([]byte{22, 3, 1, 0, 0}, 1000), "", false},
		{"an alert", []byte{21, 3, 1, 0, 2, 2, 40}, "handshake failure", false},
	} {
		h, wrote, err := sent(l, tt.bytes)
		if err == nil || !strings.Contains(err.Error(), tt.want) || PlainHTTP(err) != tt.plain {
			t.Errorf("%s: %v, plain HTTP %t, want %q", tt.name, err, PlainHTTP(err), tt.want)
		}
		if h.Choice.Kind != Unknown || len(wrote) > 7 {
			t.Errorf("%s: %s, and %d bytes for an answer, want an alert at most", tt.name, h, len(wrote))
		}
	}
}

func TestSlowHello(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.serve(w.site("a.example.com"))
		l := w.listener(ListenerOptions{})
		client, server := net.Pipe()
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		done := make(chan struct{})
		go func() {
			defer close(done)
			for {
				if _, err := client.Write([]byte{22}); err != nil {
					return
				}
				time.Sleep(3 * time.Second)
			}
		}()
		start := time.Now()
		h := Handshake{Context: ctx}
		err := tls.Server(server, l.TLSConfig()).HandshakeContext(&h)
		if err == nil || time.Since(start) > 10*time.Second {
			t.Errorf("after %v: %v", time.Since(start), err)
		}
		_, _ = client.Close(), server.Close()
		<-done
	})
}

// Go's server knows no renegotiation: a client that wants it is answered with an
// alert and the connection is over.
func TestRenegotiation(t *testing.T) {
	w := newWorld(t)
	w.serve(w.site("a.example.com"))
	l := w.listener(ListenerOptions{})
	clientEnd, serverEnd := connect()
	defer func() { _ = clientEnd.Close() }()
	var hello []byte
	record := &rewriting{Conn: clientEnd, rewrite: func(b []byte) [][]byte {
		hello = bytes.Clone(b[5:])
		return [][]byte{b}
	}}
	done := make(chan error)
	go func() {
		conn := tls.Server(serverEnd, l.TLSConfig())
		_, err := conn.Read(make([]byte, 1))
		_ = serverEnd.Close()
		done <- err
	}()
	config := w.trusting("a.example.com")
	config.MaxVersion = tls.VersionTLS12
	client := tls.Client(&sealing{Conn: record}, config)
	if err := client.Handshake(); err != nil {
		t.Fatal(err)
	}
	// Application data of the client goes out marked as a handshake.
	if _, err := client.Write(hello); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err == nil || errors.Is(err, io.EOF) {
		t.Errorf("a hello in an open connection: %v, want an error", err)
	}
}

// sealing marks application data as a handshake message.
type sealing struct{ net.Conn }

func (s *sealing) Write(p []byte) (int, error) {
	if len(p) > 0 && p[0] == 23 {
		p = append([]byte{22}, p[1:]...)
	}
	return s.Conn.Write(p)
}

// A hundred thousand unknown names leave nothing behind, and those that match a
// regular expression no more than what is remembered of failures.
func TestUnknownNamesTakeNoMemory(t *testing.T) {
	w := newWorld(t)
	w.certs.SetTable(compileOrFail(t, Config{Entries: []Entry{{Pattern: `^(.+)\.example\.net$`, Source: Files{Certificate: "/re/$1.crt", Key: "/re/$1.key"}.Source()}}}))
	l := w.listener(ListenerOptions{})
	for i := range 3000 {
		for _, domain := range []string{"example.com", "example.net"} {
			h := Handshake{Context: t.Context()}
			if l.choose(&h, &h, fmt.Sprintf("n%d.%s", i, domain)) != nil || h.Reason == nil {
				t.Fatalf("%s", &h)
			}
		}
	}
	if w.certs.failures.len() != mostFailures || w.certs.pairs.len() != 0 || w.files.count() != 3000 {
		t.Errorf("%d failures are remembered, %d pairs, after %d loads", w.certs.failures.len(), w.certs.pairs.len(), w.files.count())
	}
	if log := w.log.String(); log != "" {
		t.Errorf("names that clients make up fill the log: %.200s", log)
	}
}
