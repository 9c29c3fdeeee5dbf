package upstream

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"emperor/internal/testcert"
)

// authority signs certificates for tests.
type authority struct {
	*testcert.Authority
	pem []byte
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := testcert.NewAuthority(t, "test CA")
	return &authority{a, []byte(a.PEM)}
}

// issue makes a certificate for the names.
func (a *authority) issue(t *testing.T, names ...string) *tls.Certificate {
	t.Helper()
	c := a.Issue(t, testcert.Wanted{Names: names}).TLS(t)
	return &c
}

func newTLS(t *testing.T, o TLSOptions) *TLS {
	t.Helper()
	made, err := NewTLS(o)
	if err != nil {
		t.Fatal(err)
	}
	return made
}

// secure serves with TLS; f gets the connection after its handshake.
func secure(t *testing.T, c *tls.Config, f func(*tls.Conn)) *Address {
	t.Helper()
	l := serve(t, "unix", t.TempDir()+"/s", func(conn net.Conn) {
		s := tls.Server(conn, c)
		if s.Handshake() == nil {
			f(s)
		}
	})
	return parse(t, l.Addr().String())
}

func startTLS(t *testing.T, d *Dialer, a *Address, with *TLS) (*Conn, error) {
	t.Helper()
	c := newConn(t, d)
	if err := c.Dial(a); err != nil {
		t.Fatal(err)
	}
	return c, c.StartTLS(with)
}

// TestTLSConversation: as one without TLS, both ways at the same time.
func TestTLSConversation(t *testing.T) {
	d, ca := newDialer(t), newAuthority(t)
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		var protocol atomic.Value
		a := secure(t, &tls.Config{Certificates: []tls.Certificate{*ca.issue(t, "site.test")}, NextProtos: []string{"h2", "http/1.1"}, MaxVersion: version}, func(conn *tls.Conn) {
			protocol.Store(conn.ConnectionState().NegotiatedProtocol)
			_, _ = io.Copy(conn, conn)
			_ = conn.Close()
		})
		with := newTLS(t, TLSOptions{ServerName: "site.test", Roots: ca.pem})
		for range 2 { // the second resumes
			c, err := startTLS(t, d, a, with)
			if err != nil {
				t.Fatal(err)
			}
			wantEcho(t, c)
			sent := bytes.Repeat([]byte("hello"), 1<<18)
			if err := c.Share(); err != nil {
				t.Fatal(err)
			}
			var sending sync.WaitGroup
			sending.Go(func() {
				if n, err := c.Write(sent); n != len(sent) || err != nil {
					t.Errorf("wrote %d, %v", n, err)
				}
				if err := c.CloseWrite(); err != nil {
					t.Error(err)
				}
			})
			got, err := io.ReadAll(reader{c})
			sending.Wait()
			if !bytes.Equal(got, sent) || err != nil {
				t.Errorf("%d bytes came back, %v", len(got), err)
			}
			if !c.Stale(true) {
				t.Error("a closed connection is not stale")
			}
			if got := protocol.Load(); got != "http/1.1" {
				t.Errorf("protocol %q", got)
			}
			c.Close()
		}
	}
}

func TestTLSVerification(t *testing.T) {
	d, ca, other := newDialer(t), newAuthority(t), newAuthority(t)
	var name atomic.Value
	config := &tls.Config{
		Certificates: []tls.Certificate{*ca.issue(t, "site.test", "127.0.0.1")},
		GetConfigForClient: func(h *tls.ClientHelloInfo) (*tls.Config, error) {
			name.Store(h.ServerName)
			return nil, nil
		},
	}
	a := secure(t, config, echoTLS)
	for _, test := range []struct {
		what    string
		options TLSOptions
		sent    string
		want    string // in the error; "" for none
	}{
		{"its name", TLSOptions{ServerName: "site.test", Roots: ca.pem}, "site.test", ""},
		{"its IP address", TLSOptions{ServerName: "127.0.0.1", Roots: ca.pem}, "", ""},
		{"another name", TLSOptions{ServerName: "other.test", Roots: ca.pem}, "other.test", "not other.test"},
		{"another name sent", TLSOptions{ServerName: "other.test", VerifyName: "site.test", Roots: ca.pem}, "other.test", ""},
		{"another name wanted", TLSOptions{ServerName: "site.test", VerifyName: "other.test", Roots: ca.pem}, "site.test", "not other.test"},
		{"another CA", TLSOptions{ServerName: "site.test", Roots: other.pem}, "site.test", "unknown authority"},
		{"another CA and name sent", TLSOptions{ServerName: "x.test", VerifyName: "site.test", Roots: other.pem}, "x.test", "unknown authority"},
		{"the system's CAs", TLSOptions{ServerName: "site.test"}, "site.test", "unknown authority"},
		{"anything goes", TLSOptions{ServerName: "other.test", Insecure: true}, "other.test", ""},
	} {
		name.Store("nothing")
		c, err := startTLS(t, d, a, newTLS(t, test.options))
		switch {
		case test.want == "" && err == nil:
			wantEcho(t, c)
		case test.want == "" || err == nil || !strings.Contains(err.Error(), test.want) || c.Open():
			t.Errorf("%s: %v, want %q", test.what, err, test.want)
		}
		if got := name.Load(); got != test.sent {
			t.Errorf("%s: the name %q was sent, want %q", test.what, got, test.sent)
		}
	}
}

func echoTLS(conn *tls.Conn) { _, _ = io.Copy(conn, conn) }

func TestClientCertificate(t *testing.T) {
	d, ca := newDialer(t), newAuthority(t)
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(ca.pem)
	config := &tls.Config{Certificates: []tls.Certificate{*ca.issue(t, "site.test")}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: pool, MaxVersion: tls.VersionTLS12}
	a := secure(t, config, echoTLS)
	c, err := startTLS(t, d, a, newTLS(t, TLSOptions{ServerName: "site.test", Roots: ca.pem, Certificate: ca.issue(t, "router")}))
	if err != nil {
		t.Fatal(err)
	}
	wantEcho(t, c)
	if _, err := startTLS(t, d, a, newTLS(t, TLSOptions{ServerName: "site.test", Roots: ca.pem})); err == nil {
		t.Error("no certificate was asked for")
	}
}

func TestTLSWaitsEnd(t *testing.T) {
	d, ca := newDialer(t), newAuthority(t)
	over := make(chan struct{})
	defer close(over)
	with := newTLS(t, TLSOptions{ServerName: "site.test", Roots: ca.pem})
	mute := serve(t, "unix", t.TempDir()+"/s", func(net.Conn) { <-over })
	silent := secure(t, &tls.Config{Certificates: []tls.Certificate{*ca.issue(t, "site.test")}}, func(*tls.Conn) { <-over })
	waits := map[string]func(c *Conn) error{
		"handshake": func(c *Conn) error {
			if err := c.Dial(parse(t, mute.Addr().String())); err != nil {
				t.Fatal(err)
			}
			return c.StartTLS(with)
		},
		"read": func(c *Conn) error {
			if err := errors.Join(c.Dial(silent), c.StartTLS(with)); err != nil {
				t.Fatal(err)
			}
			c.Deadline.Set(time.Millisecond)
			if err := c.AwaitReadable(); err != nil && !errors.Is(err, ErrTimeout) {
				t.Fatal(err)
			}
			_, err := c.Read(make([]byte, 1))
			return err
		},
		"write": func(c *Conn) error {
			if err := errors.Join(c.Dial(silent), c.StartTLS(with)); err != nil {
				t.Fatal(err)
			}
			c.Deadline.Set(time.Millisecond)
			_, err := c.Write(make([]byte, 16<<20))
			return err
		},
	}
	for name, wait := range waits {
		c := newConn(t, d)
		if name == "handshake" {
			c.Deadline.Set(time.Millisecond)
		}
		if err := wait(c); !errors.Is(err, ErrTimeout) {
			t.Errorf("%s: %v", name, err)
		}
		c.Close()
	}
	c := newConn(t, d)
	if err := errors.Join(c.Dial(silent), c.StartTLS(with)); err != nil {
		t.Fatal(err)
	}
	var aborting sync.WaitGroup
	aborting.Go(c.Abort)
	if _, err := c.Read(make([]byte, 1)); !errors.Is(err, ErrAborted) {
		t.Errorf("Abort: %v", err)
	}
	aborting.Wait()
}

// TestTLSEndIsSaid: a vassal is told that no more comes, also when c is closed.
func TestTLSEndIsSaid(t *testing.T) {
	d, ca := newDialer(t), newAuthority(t)
	with := newTLS(t, TLSOptions{ServerName: "site.test", Roots: ca.pem})
	config := &tls.Config{Certificates: []tls.Certificate{*ca.issue(t, "site.test")}}
	ended := make(chan error, 1)
	a := secure(t, config, func(conn *tls.Conn) {
		_, err := conn.Read(make([]byte, 1))
		ended <- err
	})
	c, err := startTLS(t, d, a, with)
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
	if err := <-ended; err != io.EOF {
		t.Errorf("the vassal sees %v", err)
	}
}

// TestTLSPool: which connection carries which request.
func TestTLSPool(t *testing.T) {
	d, ca := newDialer(t), newAuthority(t)
	pool := NewPool(d, time.Now)
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { pool.Run(ctx) })
	defer func() { cancel(); running.Wait() }()
	more, late := make(chan string), make(chan string)
	a := secure(t, &tls.Config{Certificates: []tls.Certificate{*ca.issue(t, "a.test", "b.test")}}, func(conn *tls.Conn) {
		b := make([]byte, 100)
		n, _ := conn.Read(b)
		_, _ = conn.Write(append(b[:n], <-more...))
		_, _ = conn.Write([]byte(<-late))
		_, _ = conn.Read(b)
	})
	defer close(late)
	const name = "the address"
	options := TLSOptions{ServerName: "a.test", Roots: ca.pem}
	with := newTLS(t, options)
	take := func(with *TLS, generation uint64) *Pooled {
		return pool.TakeTLS(with, name, nil, generation, time.Minute, true)
	}
	open := func() *Pooled {
		t.Helper()
		c := take(with, 1)
		if c.Open() {
			t.Fatal("got an open connection, wanted a new one")
		}
		c.Deadline.Set(patience)
		if err := errors.Join(c.Dial(a), c.StartTLS(with)); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Write([]byte("ask")); err != nil {
			t.Fatal(err)
		}
		return c
	}
	read := func(c *Pooled, want string) {
		t.Helper()
		b := make([]byte, len(want))
		if n, err := c.Read(b); string(b[:n]) != want || err != nil {
			t.Fatalf("%q, %v", b[:n], err)
		}
		c.Deadline.Clear()
	}

	c := open()
	more <- ""
	read(c, "ask")
	pool.Put(c, time.Minute)
	changed := func(change func(*TLSOptions)) *TLS {
		other := options
		change(&other)
		return newTLS(t, other)
	}
	for what, other := range map[string]*TLS{
		"no TLS":               nil,
		"another name":         changed(func(o *TLSOptions) { o.ServerName = "b.test" }),
		"another name wanted":  changed(func(o *TLSOptions) { o.VerifyName = "b.test" }),
		"another CA":           changed(func(o *TLSOptions) { o.Roots = newAuthority(t).pem }),
		"the system's CAs":     changed(func(o *TLSOptions) { o.Roots = nil }),
		"another protocol":     changed(func(o *TLSOptions) { o.ALPN = []string{"http/1.0"} }),
		"no protocol":          changed(func(o *TLSOptions) { o.ALPN = []string{} }),
		"a certificate":        changed(func(o *TLSOptions) { o.Certificate = ca.issue(t, "router") }),
		"without verification": changed(func(o *TLSOptions) { o.Insecure = true }),
	} {
		if c := take(other, 1); c.Open() {
			t.Errorf("%s: a connection of another kind", what)
		} else {
			pool.Discard(c)
		}
	}
	if c := take(with, 2); c.Open() {
		t.Error("a connection to another generation")
	} else {
		pool.Discard(c)
	}
	if c := pool.TakeTLS(newTLS(t, options), "", []byte(name), 1, time.Minute, true); !c.Open() || !c.Reused {
		t.Error("the same options, read again, do not find their connection")
	} else {
		pool.Put(c, time.Minute)
	}

	// Bytes that nobody asked for come later …
	c = take(with, 1)
	if !c.Open() {
		t.Fatal("the connection is lost")
	}
	late <- "late"
	awaitBytes(t, c.Conn)
	pool.Put(c, time.Minute)
	if c = take(with, 1); c.Open() {
		t.Error("a connection with unread bytes was handed out")
	}
	pool.Discard(c)
	// … or with the response, decrypted already.
	c = open()
	more <- "unasked"
	read(c, "ask")
	pool.Put(c, time.Minute)
	if c = take(with, 1); c.Open() {
		t.Error("a connection with decrypted bytes was handed out")
	}
	pool.Discard(c)
}

func TestTLSOptionsAreChecked(t *testing.T) {
	for _, test := range []struct {
		options TLSOptions
		want    string
	}{
		{TLSOptions{}, "without the name"},
		{TLSOptions{ServerName: "a", Roots: []byte("no certificate")}, "no CA certificate in PEM"},
	} {
		if _, err := NewTLS(test.options); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%+v: %v", test.options, err)
		}
	}
}

// TestForAnotherName: as one made for that name, with the same CA certificates.
func TestForAnotherName(t *testing.T) {
	d, ca := newDialer(t), newAuthority(t)
	a := secure(t, &tls.Config{Certificates: []tls.Certificate{*ca.issue(t, "a.test"), *ca.issue(t, "b.test")}}, func(conn *tls.Conn) {
		_, _ = io.WriteString(conn, conn.ConnectionState().ServerName)
		_ = conn.Close()
	})
	base := newTLS(t, TLSOptions{VerifyName: ".", Roots: ca.pem})
	for _, name := range []string{"a.test", "b.test"} {
		with := named(t, base, name)
		c, err := startTLS(t, d, a, with)
		if err != nil {
			t.Fatal(name, err)
		}
		var b [100]byte
		if n, _ := c.Read(b[:]); string(b[:n]) != name {
			t.Errorf("asked for %q, want %q", b[:n], name)
		}
		if with.key != newTLS(t, TLSOptions{ServerName: name, Roots: ca.pem}).key {
			t.Errorf("%s does not share connections with one made for it", name)
		}
	}
	for _, with := range []*TLS{base, named(t, base, "c.test")} {
		if _, err := startTLS(t, d, a, with); err == nil {
			t.Error("a certificate of another name was taken")
		}
	}
	if _, err := base.For(""); err == nil {
		t.Error("no name is no error")
	}
}

func named(t *testing.T, base *TLS, name string) *TLS {
	t.Helper()
	with, err := base.For(name)
	if err != nil {
		t.Fatal(err)
	}
	return with
}
