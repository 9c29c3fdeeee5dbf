package sni

import (
	"context"
	"crypto/tls"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"emperor/internal/testlog"
)

// clock is a time that tests move.
type clock struct{ offset atomic.Int64 }

func (c *clock) now() time.Time          { return testTime.Add(time.Duration(c.offset.Load())) }
func (c *clock) advance(d time.Duration) { c.offset.Add(int64(d)) }

// files is a Loader of what a test puts there.
type files struct {
	mu      sync.Mutex
	content map[string][]byte
	broken  error // every load fails with it, if set
	loads   int
	gate    chan struct{} // loads wait for it to be closed, if set
}

func (f *files) Load(ctx context.Context, r Request) (Material, error) {
	f.mu.Lock()
	f.loads++
	gate, broken := f.gate, f.broken
	f.mu.Unlock()
	if gate != nil {
		select {
		case <-gate:
		case <-ctx.Done():
			return Material{}, ctx.Err()
		}
	}
	if broken != nil {
		return Material{}, broken
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	var m Material
	for _, to := range []struct {
		file    File
		content *[]byte
	}{{r.Source.Certificate, &m.Certificate}, {r.Source.Key, &m.Key}, {r.ClientCA, &m.ClientCA}} {
		if to.file.IsZero() {
			continue
		}
		content, ok := f.content[to.file.Path()]
		if !ok {
			return Material{}, fmt.Errorf("%s: %w", to.file.Path(), fs.ErrNotExist)
		}
		*to.content = content
	}
	return m, nil
}

func (f *files) put(path string, content []byte) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.content[path] = content
}

func (f *files) remove(path string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.content, path)
}

func (f *files) fail(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.broken = err
}

func (f *files) count() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.loads
}

// world is a server with what it needs: a CA that its certificates are of, files
// and a clock.
type world struct {
	t     testing.TB
	ca    *authority
	files *files
	clock *clock
	ring  *Ring
	log   testlog.Text
	certs *Certificates
}

func newWorld(t testing.TB, change ...func(*Options)) *world {
	t.Helper()
	w := &world{t: t, ca: newAuthority(t, "servers"), files: &files{content: map[string][]byte{}}, clock: &clock{}}
	var err error
	if w.ring, err = NewRing(RingOptions{Now: w.clock.now}); err != nil {
		t.Fatal(err)
	}
	o := Options{Loader: w.files, Tickets: w.ring, Now: w.clock.now, Log: slog.New(slog.NewTextHandler(&w.log, nil))}
	for _, c := range change {
		c(&o)
	}
	w.certs = NewCertificates(o)
	t.Cleanup(w.certs.Close)
	return w
}

// site makes the files of a name and the entry for it.
func (w *world) site(name string, more ...string) Entry {
	w.t.Helper()
	e := named(append([]string{name}, more...)...)
	w.renew(e)
	return e
}

// renew replaces the pair of an entry.
func (w *world) renew(e Entry) {
	w.t.Helper()
	certificate, key := w.ca.issue(w.t, e.Names...)
	w.files.put(e.Source.Certificate.Path(), certificate)
	w.files.put(e.Source.Key.Path(), key)
}

// asks makes an entry ask for client certificates of a CA.
func (w *world) asks(e Entry, client ClientAuth, ca *authority) Entry {
	path := "/ca/" + ca.certificate.Subject.CommonName
	w.files.put(path, ca.pem)
	e.Policy.Client, e.Policy.ClientCA = client, File{Name: path}
	return e
}

func (w *world) serve(entries ...Entry) {
	w.t.Helper()
	w.certs.SetTable(compileOrFail(w.t, Config{Entries: entries}))
}

func (w *world) listener(o ListenerOptions) *Listener {
	w.t.Helper()
	l, err := w.certs.Listener(o)
	if err != nil {
		w.t.Fatal(err)
	}
	return l
}

// trusting is a client that believes the world's CA.
func (w *world) trusting(name string) *tls.Config {
	return &tls.Config{ServerName: name, RootCAs: w.ca.pool(), Time: w.clock.now, NextProtos: []string{"h2", "http/1.1"}}
}

// result is what both ends know of a handshake.
type result struct {
	client, server       tls.ConnectionState
	clientErr, serverErr error
	note                 *Handshake
}

// handshake connects a client to l and waits until it has read a byte, and with it
// the tickets before.
func handshake(l *Listener, client *tls.Config, wrap ...func(net.Conn) net.Conn) result {
	clientEnd, serverEnd := connect()
	defer func() { _ = serverEnd.Close() }()
	for _, w := range wrap {
		clientEnd = w(clientEnd)
	}
	r := result{note: &Handshake{Context: context.Background()}}
	done := make(chan struct{})
	go func() {
		defer close(done)
		// Only half, as closing with bytes unread would take the alert away from the
		// client.
		defer func() { _ = serverEnd.(*net.TCPConn).CloseWrite() }()
		conn := tls.Server(serverEnd, l.TLSConfig())
		if r.serverErr = conn.HandshakeContext(r.note); r.serverErr != nil {
			return
		}
		r.server = conn.ConnectionState()
		_, r.serverErr = conn.Write([]byte{1})
	}()
	conn := tls.Client(clientEnd, client)
	if r.clientErr = conn.Handshake(); r.clientErr == nil {
		var b [1]byte
		_, r.clientErr = conn.Read(b[:])
		r.client = conn.ConnectionState()
	}
	_ = clientEnd.Close()
	<-done
	return r
}

// connect makes a connection with both its ends. A net.Pipe would not do: each side
// of TLS may write while the other does.
func connect() (client, server net.Conn) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	defer func() { _ = l.Close() }()
	if client, err = net.Dial("tcp", l.Addr().String()); err != nil {
		panic(err)
	}
	if server, err = l.Accept(); err != nil {
		panic(err)
	}
	return client, server
}

// serialOf is which certificate the client saw.
func (r *result) serialOf(t testing.TB) string {
	t.Helper()
	if r.clientErr != nil || r.serverErr != nil {
		t.Fatalf("the handshake failed: client %v, server %v", r.clientErr, r.serverErr)
	}
	return r.client.PeerCertificates[0].SerialNumber.String()
}
