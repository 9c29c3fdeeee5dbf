package main

import (
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"emperor/internal/testcert"
	"emperor/internal/testport"
)

// ends is where a name has to lead: to the server at that address, behind a certificate
// with that serial number: the server's own if the stream is passed. No address: nowhere.
type ends struct {
	name, address string
	serial        int64
}

// Serial numbers of the certificates in the seeds, in the order of their names.
const (
	ofServer1 int64 = 10 + iota
	ofServer2
	ofDNS
	ofFullchain
	ofServers // what servers behind the front have
)

// seedStreams says of each file of the seed where its names lead.
var seedStreams = map[string]struct {
	known []string // names and addresses for the resolver
	wants []ends
	sites map[string]string // Host → address
	alone string            // where bytes lead that are no TLS
}{
	"pass-through": {
		known: []string{"upstream1.example.com", "127.0.2.1", "upstream2.example.com", "127.0.2.2"},
		wants: []ends{{"ab.mydomain.com", "127.0.2.1", ofServers}, {"XY.mydomain.com", "127.0.2.2", ofServers}, {"other.mydomain.com", "", 0}, {"", "", 0}},
	},
	"terminate": {
		known: []string{"upstream1.example.com", "127.0.2.1", "upstream2.example.com", "127.0.2.2"},
		wants: []ends{{"ab.mydomain.com", "127.0.2.1", ofServer1}, {"xy.mydomain.com", "127.0.2.2", ofServer2}, {"other.mydomain.com", "", 0}, {"", "", 0}},
	},
	"pattern": {
		known: []string{"shop-public.staging.example.com", "127.0.2.1", "a-b-public.live.example.com", "127.0.2.2"},
		wants: []ends{{"shop-staging.mydomain.com", "127.0.2.1", ofServers}, {"a-b-live.mydomain.com", "127.0.2.2", ofServers}, {"a.b-live.mydomain.com", "", 0}, {"shop.mydomain.com", "", 0}},
	},
	"kubernetes": {
		known: []string{"shop-public.staging.svc.cluster.local", "127.0.2.1"},
		wants: []ends{{"shop-staging-NODEPORT.k8s.mydomain.com", "127.0.2.1", ofServers}, {"shop-staging-0.k8s.mydomain.com", "", 0}, {"shop-live-NODEPORT.k8s.mydomain.com", "", 0}},
	},
	"wildcard-certificates": {
		known: []string{"service1", "127.0.2.1", "service2", "127.0.2.2"},
		wants: []ends{{"test1.myapps.local", "127.0.2.1", ofServers}, {"test2.myapps.local", "127.0.2.2", ofServers}, {"test3.myapps.local", "", 0}},
	},
	"three-hosts": {
		wants: []ends{{"example.com", "127.0.2.10", ofServers}, {"a.example.com", "127.0.2.11", ofServers}, {"b.example.com", "127.0.2.12", ofServers}, {"c.example.com", "127.0.2.10", ofServers}},
	},
	"rdp-and-sites": {
		wants: []ends{{"rdp1.mydomain.com", "127.0.2.21", ofServers}, {"rdp2.mydomain.com", "127.0.2.22", ofServers}},
		sites: map[string]string{"www.mydomain.com": "127.0.2.20"},
		alone: "127.0.2.21",
	},
	"dns-over-tls": {
		// Of three, two are dead.
		known: []string{"dns-server", "127.0.3.1", "dns-server2", "127.0.2.2", "dns-server3", "127.0.3.3", "filtered1", "127.0.3.4", "filtered2", "127.0.3.5", "filtered3", "127.0.2.6"},
		wants: []ends{{"dns.mydomain.com", "127.0.2.2", ofDNS}, {"filtered.mydomain.com", "127.0.2.6", ofDNS}},
	},
	"forward-proxy": {
		known: []string{"www.cloud.test", "127.0.2.1", "a.b.cloud.test", "127.0.2.2", "www.evil.test", "127.0.2.3", "cloud.test", "127.0.2.3"},
		wants: []ends{{"www.cloud.test", "127.0.2.1", ofServers}, {"a.b.cloud.test", "127.0.2.2", ofServers}, {"www.evil.test", "", 0}, {"cloud.test", "", 0}},
	},
	"wildcard-names": {
		wants: []ends{{"x.apps.mydomain.com", "127.0.2.30", ofServers}, {"mydomain.com", "127.0.2.31", ofServers}, {"www.mydomain.com", "127.0.2.31", ofServers}, {"apps.mydomain.com", "127.0.2.31", ofServers}, {"example.com", "", 0}},
	},
	"client-certificates": {
		wants: []ends{{"ab.mydomain.com", "127.0.2.10", ofServer1}, {"xy.mydomain.com", "", 0}}, // the client's certificate is the first CA's
	},
	"terminate-and-pass": {
		wants: []ends{{"vault.mydomain.com", "127.0.2.22", ofServers}},
		sites: map[string]string{"shop.mydomain.com": "127.0.2.20", "blog.mydomain.com": "127.0.2.21"},
	},
	"one-address-many-names": {
		wants: []ends{{"a.passed.mydomain.com", "127.0.2.40", ofServers}},
	},
}

// TestSeed002: every configuration of the article on streams by name and of its readers,
// word for word but for addresses that are the test's own.
func TestSeed002(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("../../testdata/seeds/002/*.ini")
	if err != nil || len(files) != len(seedStreams) {
		t.Fatalf("%d files, %d are expected: %v", len(files), len(seedStreams), err)
	}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".ini")
		want, ok := seedStreams[name]
		if !ok {
			t.Errorf("of %s nothing is expected", name)
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			m := newMachine(t)
			port := testport.Free(t)
			clients := m.seedCertificates()
			m.put(m.path("main.ini"), m.seedHere(string(text), startNames(t, want.known...).address, port))

			// One server for each address that is to be reached.
			servers := map[string]bool{}
			for _, e := range want.wants {
				if e.address == "" || servers[e.address] {
					continue
				}
				servers[e.address] = true
				serve := greeting(e.address)
				if e.serial == ofServers {
					serve = overTLS(t, certified(t, ofServers, e.name+".test"), serve)
				}
				if name == "three-hosts" {
					serve = behindHeader(serve)
				}
				if e.address == want.alone {
					serve = either(serve, greeting(e.address))
				}
				behindAt(t, "tcp", e.address+":"+port, serve)
			}
			for _, address := range want.sites {
				l, err := net.Listen("tcp", address+":"+port)
				if err != nil {
					t.Fatal(err)
				}
				site := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, address) })}
				go func() { _ = site.Serve(l) }() // ends with Close
				t.Cleanup(func() { _ = site.Close() })
			}

			if said, code := m.ask("check", "main.ini"); code != 0 {
				t.Errorf("check: exit status %d\n%s", code, said)
			}
			m.start("main.ini")
			m.waitReady()
			for range 2 { // a second time with what was remembered of the first
				for _, e := range want.wants {
					e.name = strings.Replace(e.name, "NODEPORT", port, 1)
					c := by(e.name)
					c.Certificates = clients
					c.ClientSessionCache = testcert.SessionOf(nil)
					s := converse(t, m.address(), c, "said")
					switch {
					case e.address == "" && s.greeting != "":
						t.Errorf("%q leads to %+v, and should lead nowhere", e.name, s)
					case e.address != "" && s != (conversation{e.serial, "220 " + e.address, "said221 " + e.address + "\r\n", nil}):
						t.Errorf("%q: got %+v, want %+v", e.name, s, e)
					}
				}
				for host, address := range want.sites {
					if got, err := sitePage(t, m.address(), host); got != address || err != nil {
						t.Errorf("%s is answered by %q, %v; want %s", host, got, err, address)
					}
				}
				if want.alone != "" {
					if said, err := speakFirst(dialStream(t, m.address()), "\x03\x00\x00\x13 X.224"); said != "220 "+want.alone+"\r\n\x03\x00\x00\x13 X.224221 "+want.alone+"\r\n" || err != nil {
						t.Errorf("no TLS: %q, %v", said, err)
					}
				}
			}
			m.stop()
		})
	}
}

// seedCertificates puts the files that the configurations name, and returns what a
// client of the first CA has.
func (m *machine) seedCertificates() []tls.Certificate {
	m.t.Helper()
	if err := os.Mkdir(m.path("certs"), 0o755); err != nil {
		m.t.Fatal(err)
	}
	for _, files := range []struct {
		certificate, key string
		serial           int64
		name             string
	}{
		{"server-cert1.pem", "server-key1.pem", ofServer1, "ab.mydomain.com"},
		{"server-cert2.pem", "server-key2.pem", ofServer2, "xy.mydomain.com"},
		{"dns.pem", "dns.key", ofDNS, "*.mydomain.com"},
		{"fullchain.pem", "privkey.pem", ofFullchain, "*.mydomain.com"},
	} {
		p := certified(m.t, files.serial, files.name)
		m.put(m.path("certs/"+files.certificate), p.Certificate)
		m.put(m.path("certs/"+files.key), p.Key)
	}
	first := testcert.NewAuthority(m.t, "clients 1")
	m.put(m.path("certs/clients1.pem"), first.PEM)
	m.put(m.path("certs/clients2.pem"), testcert.NewAuthority(m.t, "clients 2").PEM)
	m.put(m.path("certs/upstream-ca.pem"), first.PEM)
	return []tls.Certificate{first.Issue(m.t, testcert.Wanted{Names: []string{"alice"}}).TLS(m.t)}
}

// seedHere puts this test's addresses in the place of the article's.
func (m *machine) seedHere(text, resolver, port string) string {
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		key, value, ok := strings.Cut(line, " = ")
		if !ok || strings.HasPrefix(line, ";") {
			continue
		}
		switch {
		case key == "resolver":
			value = resolver
		case key == "http-to-https":
			value = "127.0.0.1:" + testport.Free(m.t)
		case key == "https" || key == "sslrouter":
			value = listened.ReplaceAllString(value, "[::1]:"+m.port)
			value = listenedAll.ReplaceAllString(value, "127.0.0.1:"+m.port)
		default:
			value = led.ReplaceAllString(strings.ReplaceAll(value, "192.168.1.", "127.0.2."), ":"+port+"$1")
		}
		lines[i] = key + " = " + strings.ReplaceAll(value, "/certs/", m.path("certs")+"/")
	}
	return strings.Join(lines, "\n")
}

var (
	listened    = regexp.MustCompile(`^\[::\]:\d+`)
	listenedAll = regexp.MustCompile(`^:\d+`)
	led         = regexp.MustCompile(`:\d{2,}\b([,|]|$)`)
)

// behindHeader serves what comes after a PROXY header of version 1.
func behindHeader(serve func(net.Conn)) func(net.Conn) {
	return func(conn net.Conn) {
		if header, err := line(conn); err != nil || !strings.HasPrefix(header, "PROXY TCP4 127.0.0.1 ") {
			_, _ = fmt.Fprintf(conn, "no header, but %q: %v", header, err)
			return
		}
		serve(conn)
	}
}

// either serves a TLS client by the first, everybody else by the second.
func either(secure, plain func(net.Conn)) func(net.Conn) {
	return func(conn net.Conn) {
		first := make([]byte, 1)
		if _, err := io.ReadFull(conn, first); err != nil {
			return
		}
		serve := plain
		if first[0] == 22 {
			serve = secure
		}
		serve(&unread{conn, first})
	}
}

// unread is a connection of which something was read too early.
type unread struct {
	net.Conn
	first []byte
}

func (u *unread) CloseWrite() error { return closeWrite(u.Conn) }

func (u *unread) Read(b []byte) (int, error) {
	if len(u.first) > 0 {
		n := copy(b, u.first)
		u.first = u.first[n:]
		return n, nil
	}
	return u.Conn.Read(b)
}

// sitePage is the first page of a host behind TLS.
func sitePage(t *testing.T, address, host string) (string, error) {
	t.Helper()
	conn := tls.Client(dialStream(t, address), by(host, "http/1.1"))
	if _, err := fmt.Fprintf(conn, "GET / HTTP/1.0\r\nHost: %s\r\n\r\n", host); err != nil {
		return "", err
	}
	text, err := io.ReadAll(conn)
	_, body, _ := strings.Cut(string(text), "\r\n\r\n")
	return body, err
}
