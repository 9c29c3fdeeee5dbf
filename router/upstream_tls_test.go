package router

import (
	"crypto/tls"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"emperor/internal/link"
	"emperor/internal/testcert"
)

// authority is a private CA.
type authority struct {
	*testcert.Authority
	t    *testing.T
	file string // its certificate, in PEM
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{testcert.NewAuthority(t, "a private CA"), t, filepath.Join(t.TempDir(), "ca.pem")}
	write(t, a.file, a.PEM)
	return a
}

// issue makes a certificate for names and addresses, good for that long.
func (a *authority) issue(good time.Duration, names ...string) tls.Certificate {
	a.t.Helper()
	return a.Issue(a.t, testcert.Wanted{Names: names, To: time.Now().Add(good)}).TLS(a.t)
}

// secureVassal starts one that speaks HTTP behind TLS, on a TCP port.
func secureVassal(t *testing.T, script func(*call), certificates ...tls.Certificate) *vassal {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	v := &vassal{address: l.Addr().String(), protocol: "http", script: script, conns: map[net.Conn]bool{},
		socket: tls.NewListener(l, &tls.Config{Certificates: certificates, NextProtos: []string{"http/1.1"}})}
	v.work.Go(v.run)
	t.Cleanup(v.stop)
	return v
}

func (c *call) serverName() string { return c.Conn.(*tls.Conn).ConnectionState().ServerName }

// TestVassalBehindTLS: what it has to prove, and what the log says when it can't.
// Nothing reaches a vassal that did not.
func TestVassalBehindTLS(t *testing.T) {
	ours, theirs := newAuthority(t), newAuthority(t)
	good := ours.issue(time.Hour, "site.test", "127.0.0.1")
	for _, test := range []struct {
		name        string
		certificate tls.Certificate
		address     string // ADDRESS stands for the vassal's
		status      int
		sni, host   string
		log         string
	}{
		{name: "the rule's name", certificate: good, address: "ADDRESS,site.test", status: 200, sni: "site.test", host: "site.test"},
		{name: "an address", certificate: good, address: "ADDRESS", status: 200, sni: "", host: "visited.test"},
		{name: "the rule's name and port", certificate: good, address: "ADDRESS,site.test:8443", status: 200, sni: "site.test", host: "site.test:8443"},
		{name: "another name", certificate: good, address: "ADDRESS,other.test", status: 502, log: "x509: certificate is valid for site.test, not other.test"},
		{name: "expired", certificate: ours.issue(-time.Hour, "site.test"), address: "ADDRESS,site.test", status: 502, log: "x509: certificate has expired"},
		{name: "of an unknown CA", certificate: theirs.issue(time.Hour, "site.test"), address: "ADDRESS,site.test", status: 502, log: "x509: certificate signed by unknown authority"},
	} {
		t.Run(test.name, func(t *testing.T) {
			v := secureVassal(t, answering(okResponse), test.certificate)
			rule := "https:" + strings.ReplaceAll(test.address, "ADDRESS", v.address)
			f := newFront(t, "route-run = "+rule, "http-ca = "+ours.file)
			r := f.ask("POST / HTTP/1.1\r\nHost: visited.test\r\nContent-Length: 3\r\n\r\nabc")
			if r.StatusCode != test.status {
				t.Errorf("got %d %q, want %d", r.StatusCode, r.text, test.status)
			}
			if test.status != 200 {
				for _, c := range v.calls() {
					if c.err == nil {
						t.Error("the vassal got a request")
					}
				}
				log := f.log.String()
				if !strings.Contains(log, test.log) || !strings.Contains(log, "address=https:"+v.address) || !strings.Contains(log, "rule=") {
					t.Errorf("the log does not say %q, the address and the rule", test.log)
				}
				return
			}
			c := v.only(t)
			if got := c.serverName(); got != test.sni {
				t.Errorf("asked for %q, want %q", got, test.sni)
			}
			if c.vars["Host"] != test.host || string(c.body) != "abc" {
				t.Errorf("Host %q, body %q, want %q, abc", c.vars["Host"], c.body, test.host)
			}
		})
	}
}

// TestVassalWithoutTLS: one that speaks plain HTTP where TLS is expected, and one
// that says nothing.
func TestVassalWithoutTLS(t *testing.T) {
	t.Parallel() // it waits
	ca := newAuthority(t)
	plain := newVassal(t, "raw", "tcp", "127.0.0.1:0", func(c *call) { c.say("HTTP/1.1 400 Bad Request\r\n\r\n") })
	silent := newVassal(t, "raw", "tcp", "127.0.0.1:0", func(c *call) {
		for b := make([]byte, 1000); ; {
			if _, err := c.Read(b); err != nil {
				return
			}
		}
	})
	f := newFront(t, "route-host = ^plain$ https:"+plain.address, "route-host = ^silent$ https:"+silent.address, "http-ca = "+ca.file, "http-connect-timeout = 1")
	if r := f.ask(get("plain")); r.StatusCode != 502 || !strings.Contains(f.log.String(), "does not look like a TLS handshake") {
		t.Errorf("plain: %d %q", r.StatusCode, r.text)
	}
	if r := f.ask(get("silent")); r.StatusCode != 504 || !strings.Contains(f.log.String(), "no connection within http-connect-timeout") {
		t.Errorf("silent: %d %q", r.StatusCode, r.text)
	}
}

// TestNamesNeverShareTLSConnections: two sites at one address, and requests of
// either one after the other. A connection carries one site's only, and is kept.
func TestNamesNeverShareTLSConnections(t *testing.T) {
	ca := newAuthority(t)
	var mu sync.Mutex
	hosts := map[string]string{} // client's address of a connection → host
	v := secureVassal(t, func(c *call) {
		mu.Lock()
		defer mu.Unlock()
		from := c.RemoteAddr().String()
		if before, ok := hosts[from]; ok && before != c.vars["Host"] {
			t.Errorf("one connection for %s and %s", before, c.vars["Host"])
		}
		hosts[from] = c.vars["Host"]
		c.say(fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(c.serverName()), c.serverName()))
	}, ca.issue(time.Hour, "a.test"), ca.issue(time.Hour, "b.test", "$1.test"))
	f := newFront(t, "http-ca = "+ca.file, `route-host = ^(a|b)$ https:`+v.address+`,$1.test`)
	visitor := f.visit()
	for range 5 {
		for _, host := range []string{"a", "b"} {
			visitor.send(get(host))
			visitor.want("GET", 200, host+".test")
		}
	}
	if n := v.accepted.Load(); n != 2 {
		t.Errorf("%d connections for two names, want 2", n)
	}
	// A reload that changes nothing about them keeps them, another CA does not.
	if err := f.configure("http-ca = "+ca.file, `route-host = ^(a|b)$ https:`+v.address+`,$1.test`, "http-timeout = 7"); err != nil {
		t.Fatal(err)
	}
	visitor.send(get("a"))
	visitor.want("GET", 200, "a.test")
	if n := v.accepted.Load(); n != 2 {
		t.Errorf("%d connections after a reload, want 2", n)
	}
	if err := f.configure("http-ca = "+newAuthority(t).file, `route-host = ^(a|b)$ https:`+v.address+`,$1.test`); err != nil {
		t.Fatal(err)
	}
	visitor.send(get("a"))
	visitor.want("GET", 502, "*")
}

// TestNodesBehindTLS: one whose certificate is wrong was sent nothing, so another
// answers, whatever the method is.
func TestNodesBehindTLS(t *testing.T) {
	ca := newAuthority(t)
	wrong := secureVassal(t, answering(okResponse), ca.issue(time.Hour, "wrong.test"))
	right := secureVassal(t, answering(okResponse), ca.issue(time.Hour, "site.test"))
	f := newFront(t, "http-ca = "+ca.file, "route-run = https:"+wrong.address+"|"+right.address+",site.test")
	for range 3 {
		r := f.ask("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc")
		if r.StatusCode != 200 {
			t.Errorf("got %d %q", r.StatusCode, r.text)
		}
	}
	if n := strings.Count(f.log.String(), "is passed over"); n != 1 {
		t.Errorf("the log says %d times that an address is passed over, want once", n)
	}
}

// TestSystemCAs: without http-ca the system's certificates count. Like any file they
// are read by whoever reads the configuration: the router, which opens none, gets
// what is in them.
func TestSystemCAs(t *testing.T) {
	v := secureVassal(t, answering(okResponse), newAuthority(t).issue(time.Hour, "site.test"))
	f := newFront(t)
	c := mustOptions(t, []link.Option{{Key: "route-run", Value: "https:" + v.address + ",site.test", File: "uwsgi.ini", Line: 7}})
	wanted := &supply{checking: true}
	if _, problems := compile(c, wanted); problems.Err() != nil {
		t.Fatal(problems)
	}
	if !slices.ContainsFunc(wanted.wanted, func(r link.Resource) bool {
		return r.Kind == link.Content && slices.Contains(systemRoots, r.Path) && r.Line == 7
	}) {
		t.Errorf("wanted: %+v", wanted.wanted)
	}
	if err := f.configure("route-run = https:" + v.address + ",site.test"); err != nil {
		t.Fatal(err)
	}
	if r := f.ask(get("a")); r.StatusCode != 502 || !strings.Contains(f.log.String(), "certificate signed by unknown authority") {
		t.Errorf("a private CA: %d", r.StatusCode)
	}
}

// TestCAFile: mistakes in http-ca are mistakes of the configuration.
func TestCAFile(t *testing.T) {
	f := newFront(t)
	empty := filepath.Join(t.TempDir(), "empty.pem")
	if err := os.WriteFile(empty, []byte("nothing\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for file, want := range map[string]string{
		empty:              "uwsgi.ini:3: http-ca: " + empty + ": no CA certificate in PEM",
		empty + "/missing": "not a directory",
	} {
		if err := f.configure("http-ca = " + file); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", file, err, want)
		}
	}
}
