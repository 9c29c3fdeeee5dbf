package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"emperor/internal/testcert"
)

// pair makes a certificate for names, signed by itself, with that serial number.
func pair(t *testing.T, serial int64, names ...string) (certificate, key string) {
	t.Helper()
	p := testcert.SelfSigned(t, testcert.Wanted{Names: names, Serial: serial, To: time.Now().Add(90 * 24 * time.Hour)})
	return p.Certificate, p.Key
}

// certify puts a pair where only root can read the key.
func (m *machine) certify(name string, serial int64, names ...string) {
	m.t.Helper()
	certificate, key := pair(m.t, serial, names...)
	m.put(m.path(name+".key"), key)
	if err := os.Chmod(m.path(name+".key"), 0o600); err != nil {
		m.t.Fatal(err)
	}
	m.put(m.path(name+".crt"), certificate)
}

// shown is the serial number of the certificate that a client gets who asks for
// name; 0 and the error where the handshake fails.
func (m *machine) shown(name string) (int64, error) {
	conn, err := tls.DialWithDialer(&net.Dialer{Timeout: patience}, "tcp", m.address(), &tls.Config{ServerName: name, InsecureSkipVerify: true})
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	return conn.ConnectionState().PeerCertificates[0].SerialNumber.Int64(), nil
}

const secureMain = `[uwsgi]
emperor = DIR/vassals.d/*.ini
https = 127.0.0.1:PORT,DIR/default.crt,DIR/default.key
sni = *.wild.test DIR/wild.crt,DIR/wild.key
sni = one.test DIR/one.crt,DIR/one.key
sni-dir = DIR/names
https-hsts = max-age=60
route-host = ^([-\w]+)\.(wild\.)?test$ vassal:site
`

// TestHTTPS: certificates by name, from lines and from a folder, with keys that
// only root can read; a swapped pair is used by the next handshake, a broken one
// harms nobody; requests come by HTTP/1.1 and HTTP/2; nothing fails meanwhile.
func TestHTTPS(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.copyFile("testdata/apps/webapp.js", "webapp.js")
	m.write("RELEASE", "0")
	m.write("vassals.d/site.ini", "[uwsgi]\nchdir = DIR\ncommand = node webapp.js\n")
	if err := os.MkdirAll(m.path("names"), 0o700); err != nil {
		t.Fatal(err)
	}
	m.certify("default", 1, "default.test")
	m.certify("wild", 2, "*.wild.test")
	m.certify("one", 3, "one.test")
	m.certify("names/two.test", 4, "two.test")
	m.write("main.ini", secureMain)
	m.start("main.ini")
	m.waitReady()

	for name, want := range map[string]int64{"one.test": 3, "a.wild.test": 2, "two.test": 4, "other.test": 1} {
		if got, err := m.shown(name); got != want || err != nil {
			t.Errorf("%s: certificate %d, %v; want %d", name, got, err, want)
		}
	}

	transport := &http.Transport{ForceAttemptHTTP2: true, TLSClientConfig: &tls.Config{InsecureSkipVerify: true},
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "tcp", m.address())
		}}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport, Timeout: patience}
	r, err := client.Get("https://one.test/")
	if err != nil {
		t.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, r.Body)
	_ = r.Body.Close()
	if r.ProtoMajor != 2 || r.StatusCode != 200 || r.Header.Get("Strict-Transport-Security") != "max-age=60" {
		t.Errorf("%s %d %v", r.Proto, r.StatusCode, r.Header)
	}

	// Load on fresh connections and kept ones while pairs are swapped.
	var failed atomic.Pointer[error]
	var asked atomic.Int64
	stop := make(chan struct{})
	var load sync.WaitGroup
	for i := range 4 {
		load.Go(func() {
			fresh := i%2 == 0
			t := &http.Transport{DisableKeepAlives: fresh, ForceAttemptHTTP2: !fresh, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, DialContext: transport.DialContext}
			defer t.CloseIdleConnections()
			c := &http.Client{Transport: t, Timeout: patience}
			for {
				select {
				case <-stop:
					return
				default:
				}
				r, err := c.Get("https://one.test/")
				if err == nil {
					_, err = io.Copy(io.Discard, r.Body)
					_ = r.Body.Close()
					if err == nil && r.StatusCode != 200 {
						err = fmt.Errorf("status %d", r.StatusCode)
					}
				}
				if err != nil {
					failed.CompareAndSwap(nil, &err)
				}
				asked.Add(1)
			}
		})
	}
	for serial := int64(10); serial < 13; serial++ {
		m.certify("one", serial, "one.test")
		m.certify("names/two.test", serial+100, "two.test")
		m.eventually(fmt.Sprint("certificate ", serial), func() bool { got, _ := m.shown("one.test"); return got == serial })
		m.eventually(fmt.Sprint("certificate ", serial+100), func() bool { got, _ := m.shown("two.test"); return got == serial+100 })
	}
	// A key of another pair: the one before stays.
	mark := m.mark()
	_, other := pair(t, 99, "one.test")
	m.put(m.path("one.key"), other)
	m.waitLog(mark, "one.key")
	for range 5 {
		if got, err := m.shown("one.test"); got != 12 || err != nil {
			t.Errorf("after a broken key: certificate %d, %v", got, err)
		}
	}
	// A name comes and goes in the folder.
	m.certify("names/three.test", 30, "three.test")
	m.eventually("a new name", func() bool { got, _ := m.shown("three.test"); return got == 30 })
	m.remove("names/three.test.crt")
	m.remove("names/three.test.key")
	m.eventually("the name to go", func() bool { got, _ := m.shown("three.test"); return got == 1 })
	close(stop)
	load.Wait()
	if err := failed.Load(); err != nil {
		t.Errorf("of %d requests meanwhile, one failed: %v", asked.Load(), *err)
	}
	t.Logf("%d requests", asked.Load())
}

// TestUnknownNamesAndPlainHTTP: without a pair of its own a listener refuses names
// that nobody has; who speaks plain HTTP to it is told; names lead nowhere else.
func TestUnknownNamesAndPlainHTTP(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.certify("one", 3, "one.test")
	m.write("main.ini", "[uwsgi]\nhttps = 127.0.0.1:PORT\nsni = DIR/one.crt,DIR/one.key\nroute-run = return:204\n")
	m.start("main.ini")
	m.waitReady()
	if got, err := m.shown("one.test"); got != 3 || err != nil {
		t.Errorf("a name of the certificate: %d, %v", got, err)
	}
	for _, name := range []string{"two.test", "..", "../one.test", "ONE.test/../x", strings.Repeat("a", 300)} {
		if _, err := m.shown(name); err == nil || strings.Contains(err.Error(), "EOF") {
			t.Errorf("%q: %v", name, err)
		}
	}
	conn, err := net.Dial("tcp", m.address())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(patience))
	_, _ = io.WriteString(conn, "GET / HTTP/1.1\r\nHost: one.test\r\n\r\n")
	text, _ := io.ReadAll(conn)
	if !bytes.HasPrefix(text, []byte("HTTP/1.1 400 ")) || !bytes.Contains(text, []byte("https")) {
		t.Errorf("plain HTTP: %q", text)
	}
}

// TestClientCertificates: a name that needs one refuses a client without; what a
// verified client is reaches the vassal; a request for such a name on another
// name's connection is misdirected.
func TestClientCertificates(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.certify("open", 1, "open.test")
	m.certify("staff", 2, "staff.test")
	certificate, key := pair(t, 7, "alice")
	m.put(m.path("ca.crt"), certificate)
	m.write("main.ini", "[uwsgi]\nhttps = 127.0.0.1:PORT,DIR/open.crt,DIR/open.key\nsni = staff.test DIR/staff.crt,DIR/staff.key,HIGH,!DIR/ca.crt\nroute-run = addheader:X-Who: ${HTTPS_DN}\nroute-run = return:200\n")
	m.start("main.ini")
	m.waitReady()
	alice, err := tls.X509KeyPair([]byte(certificate), []byte(key))
	if err != nil {
		t.Fatal(err)
	}
	ask := func(sni, host string, certificates ...tls.Certificate) (*http.Response, error) {
		conn, err := tls.Dial("tcp", m.address(), &tls.Config{ServerName: sni, InsecureSkipVerify: true, Certificates: certificates, NextProtos: []string{"http/1.1"}})
		if err != nil {
			return nil, err
		}
		defer conn.Close()
		_ = conn.SetDeadline(time.Now().Add(patience))
		request, err := http.NewRequest("GET", "https://"+host+"/", nil)
		if err != nil {
			return nil, err
		}
		client := http.Client{Transport: &http.Transport{DialTLSContext: func(context.Context, string, string) (net.Conn, error) { return conn, nil }}}
		return client.Do(request)
	}
	if r, err := ask("staff.test", "staff.test", alice); err != nil || r.StatusCode != 200 || r.Header.Get("X-Who") != "/CN=alice" {
		t.Errorf("with a certificate: %v, %v", r, err)
	}
	if r, err := ask("staff.test", "staff.test"); err == nil {
		t.Errorf("without: %v", r.Status)
	}
	if r, err := ask("open.test", "staff.test"); err != nil || r.StatusCode != 421 {
		t.Errorf("on another name's connection: %v, %v", r, err)
	}
	if r, err := ask("open.test", "open.test"); err != nil || r.StatusCode != 200 || r.Header.Get("X-Who") != "" {
		t.Errorf("open: %v, %v", r, err)
	}
}
