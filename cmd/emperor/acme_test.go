package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"io/fs"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"emperor/emperor/control"
	"emperor/internal/testlog"
	"emperor/internal/testport"
)

// authority is a real ACME certificate authority, Pebble, that finds every name on
// this machine.
type authority struct {
	m    *machine
	log  *testlog.Text
	http string // the ports where it looks
	tls  string
}

// newAuthority starts one whose certificates are good for so many seconds. It looks
// for http-01 at the machine's port.
func newAuthority(m *machine, seconds int) *authority {
	m.t.Helper()
	a := &authority{m: m, log: &testlog.Text{}, http: m.port, tls: testport.Free(m.t)}
	api, names, management := testport.Free(m.t), testport.Free(m.t), testport.Free(m.t)
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		m.t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		m.t.Fatal(err)
	}
	secret, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		m.t.Fatal(err)
	}
	m.put(m.path("ca.crt"), string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})))
	m.put(m.path("ca.key"), string(pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: secret})))
	m.write("pebble.json", fmt.Sprintf(`{"pebble": {"listenAddress": "127.0.0.1:%s", "managementListenAddress": "127.0.0.1:%s",
		"certificate": "DIR/ca.crt", "privateKey": "DIR/ca.key", "httpPort": %s, "tlsPort": %s,
		"ocspResponderURL": "", "externalAccountBindingRequired": false, "certificateValidityPeriod": %d}}`, api, management, a.http, a.tls, seconds))
	a.run("pebble-challtestsrv", "-dns01", "127.0.0.1:"+names, "-management", "127.0.0.1:"+testport.Free(m.t),
		"-http01", "", "-https01", "", "-tlsalpn01", "", "-defaultIPv4", "127.0.0.1", "-defaultIPv6", "")
	a.run("pebble", "-config", m.path("pebble.json"), "-dnsserver", "127.0.0.1:"+names, "-strict")
	m.write("acme.ini", "[uwsgi]\nacme = on\nacme-ca = https://127.0.0.1:"+api+"/dir\nacme-ca-root = DIR/ca.crt\nacme-dir = DIR/acme\n")
	for _, port := range []string{api, names} {
		m.eventually("Pebble", func() bool {
			conn, err := net.Dial("tcp", "127.0.0.1:"+port)
			if err == nil {
				_ = conn.Close()
			}
			return err == nil
		})
	}
	return a
}

// run starts a program that ends with the test.
func (a *authority) run(words ...string) {
	a.m.t.Helper()
	command := exec.Command(words[0], words[1:]...)
	// Always in earnest: no waiting, no answers at random, each name proved each time.
	command.Env = append(os.Environ(), "PEBBLE_VA_NOSLEEP=1", "PEBBLE_WFE_NONCEREJECT=0", "PEBBLE_AUTHZREUSE=0")
	command.Stdout, command.Stderr = a.log, a.log
	if err := command.Start(); err != nil {
		a.m.t.Fatal(err)
	}
	a.m.t.Cleanup(func() {
		_ = command.Process.Kill()
		_ = command.Wait()
		if a.m.t.Failed() {
			a.m.t.Logf("%s wrote:\n%s", words[0], a.log.String())
		}
	})
}

// orders is how many have been sent to it.
func (a *authority) orders() int {
	return strings.Count(a.log.String(), "POST /order-plz")
}

// certificate is what a client gets at the authority's TLS port.
func (a *authority) certificate(name string) (*x509.Certificate, error) {
	conn, err := tls.DialWithDialer(&net.Dialer{Timeout: patience}, "tcp", "127.0.0.1:"+a.tls, &tls.Config{ServerName: name, InsecureSkipVerify: true})
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	return conn.ConnectionState().PeerCertificates[0], nil
}

// issued waits for a certificate of the authority's.
func (a *authority) issued(name string) *x509.Certificate {
	a.m.t.Helper()
	var got *x509.Certificate
	a.m.eventually("a certificate for "+name, func() bool {
		c, err := a.certificate(name)
		if err != nil || !strings.HasPrefix(c.Issuer.CommonName, "Pebble") {
			return false
		}
		got = c
		return true
	})
	if err := got.VerifyHostname(name); err != nil {
		a.m.t.Error(err)
	}
	return got
}

// list is `emperor certs --json`, by name.
func (a *authority) list() map[string]control.Certificate {
	a.m.t.Helper()
	text, code := a.m.order("certs", "--json")
	var all control.Certificates
	if err := json.Unmarshal([]byte(text), &all); code != 0 || err != nil {
		a.m.t.Fatalf("certs --json: %d %v\n%s", code, err, text)
	}
	out := map[string]control.Certificate{}
	for _, c := range all.Certificates {
		out[c.Name] = c
	}
	return out
}

// kill ends the emperor without a word, and waits until nothing of it is left.
func (m *machine) kill() {
	m.t.Helper()
	m.signal(syscall.SIGKILL)
	m.waitExit()
	m.eventually("what was started to end", func() bool { return len(m.processes()) == 0 })
	m.command = nil
}

// again starts the emperor once more, and waits until it is ready.
func (m *machine) again() {
	m.t.Helper()
	mark := m.mark()
	m.start("main.ini")
	m.waitLog(mark, " ready vassals=")
}

// TestACMEByHTTP: hosts that rules spell get their certificates by themselves, by the
// port that sends everybody else to https; nobody else does. A router and an emperor
// that are started anew have them still, and order nothing; the keys are the
// emperor's alone.
func TestACMEByHTTP(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	a := newAuthority(m, 3600)
	m.write("vassals.d/site.ini", "[uwsgi]\nstatic = DIR/site\n")
	m.write("site/index.html", "hello")
	m.certify("own", 7, "own.test")
	m.write("main.ini", `[uwsgi]
include = DIR/acme.ini
acme-challenge = http-01
emperor = DIR/vassals.d/*.ini
http-to-https = 127.0.0.1:PORT
https = 127.0.0.1:`+a.tls+`
sni = own.test DIR/own.crt,DIR/own.key
route-host = ^(www\.)?site\.test$ vassal:site
route-host = ^own\.test$ vassal:site
route-host = ^later\.test$ vassal:later
route-host = ^no\.test$ return:404
route-host = ^([-\w]+)\.many\.test$ vassal:$1
`)
	m.start("main.ini")
	m.waitReady()
	first := a.issued("site.test")
	a.issued("www.site.test")
	if got, err := a.certificate("own.test"); err != nil || got.SerialNumber.Int64() != 7 {
		t.Errorf("a name with a certificate of its own: %v, %v", got, err)
	}
	for _, name := range []string{"later.test", "no.test", "site.many.test", "nobody.test"} {
		if got, err := a.certificate(name); err == nil {
			t.Errorf("%s has a certificate of %s", name, got.Issuer.CommonName)
		}
	}
	list := a.list()
	if c := list["site.test"]; c.Source != "acme" || !c.Expires.Equal(first.NotAfter) || c.Action != "renewal" || !c.Due.After(time.Now()) || c.Due.After(c.Expires) {
		t.Errorf("certs: %+v", c)
	}
	m.eventually("why one is not ordered", func() bool {
		c := a.list()["later.test"]
		return c.Expires.IsZero() && c.Action == "order" && strings.Contains(c.Trouble, "no vassal later")
	})
	if c := list["own.test"]; c.Source != "sni" || c.From != m.path("own.crt") || c.Expires.IsZero() {
		t.Errorf("certs: %+v", c)
	}
	if _, there := list["no.test"]; there {
		t.Error("a host that is refused is to have a certificate")
	}
	if got := a.orders(); got != 2 {
		t.Errorf("%d orders, want 2", got)
	}

	// A site that comes later gets its certificate then.
	m.write("vassals.d/later.ini", "[uwsgi]\nstatic = DIR/site\n")
	a.issued("later.test")

	if err := filepath.WalkDir(m.path("acme"), func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err == nil && info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s: mode %v", path, info.Mode())
		}
		return err
	}); err != nil {
		t.Error(err)
	}

	// A router that is started anew.
	orders := a.orders()
	mark := m.mark()
	if err := syscall.Kill(m.pidOf("emperor router"), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	m.waitLog(mark, "the router is back")
	if got := a.issued("site.test"); got.SerialNumber.Cmp(first.SerialNumber) != 0 {
		t.Error("the new router has another certificate")
	}
	// An emperor that is killed over and over.
	for range 3 {
		m.kill()
		m.again()
		if got := a.issued("site.test"); got.SerialNumber.Cmp(first.SerialNumber) != 0 {
			t.Error("the new emperor has another certificate")
		}
	}
	if got := a.orders(); got != orders {
		t.Errorf("%d orders after restarts, want %d", got, orders)
	}
	// What was damaged meanwhile is ordered anew.
	m.stop()
	keys, err := filepath.Glob(m.path("acme/certificates/*/site.test/site.test.key"))
	if err != nil || len(keys) != 1 {
		t.Fatal(keys, err)
	}
	if err := os.WriteFile(keys[0], nil, 0o600); err != nil {
		t.Fatal(err)
	}
	m.again()
	if got := a.issued("site.test"); got.SerialNumber.Cmp(first.SerialNumber) == 0 {
		t.Error("the certificate without its key is shown")
	}
}

// TestACMEOnDemand: names of a rule with captures are ordered when somebody asks for
// them, by the https port alone, if acme-ask says yes and the vassal is there.
func TestACMEOnDemand(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	a := newAuthority(m, 3600)
	var asked sync.Map
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name := r.URL.Query().Get("domain")
		asked.Store(name, true)
		if name != "good.many.test" {
			w.WriteHeader(http.StatusForbidden)
		}
	})}
	go func() { _ = server.Serve(l) }() // until Close
	defer server.Close()
	m.write("site/index.html", "hello")
	for _, name := range []string{"good", "bad", "allowed"} {
		m.write("vassals.d/"+name+".ini", "[uwsgi]\nstatic = DIR/site\n")
	}
	lines := `[uwsgi]
include = DIR/acme.ini
acme-ask = http://` + l.Addr().String() + `/may
acme-allow = *.friends.test
emperor = DIR/vassals.d/*.ini
https = 127.0.0.1:` + a.tls + `
route-host = ^([-\w]+)\.(many|friends)\.test$ vassal:$1
`
	m.write("main.ini", lines)
	m.start("main.ini")
	m.waitReady()
	var clients sync.WaitGroup
	for range 8 {
		clients.Go(func() {
			if got, err := a.certificate("good.many.test"); err == nil { // on a busy machine it may not wait long enough
				if err := got.VerifyHostname("good.many.test"); err != nil {
					t.Error(err)
				}
			}
		})
	}
	clients.Wait()
	a.issued("good.many.test")
	a.issued("allowed.friends.test")
	for _, name := range []string{"bad.many.test", "absent.many.test", "absent.friends.test", "good.others.test", "a.allowed.friends.test"} {
		if _, err := a.certificate(name); err == nil {
			t.Errorf("%s has a certificate", name)
		}
	}
	if got := a.orders(); got != 2 {
		t.Errorf("%d orders, want 2", got)
	}
	for name, want := range map[string]bool{"good.many.test": true, "bad.many.test": true, "absent.many.test": false, "allowed.friends.test": false, "good.others.test": false} {
		if _, got := asked.Load(name); got != want {
			t.Errorf("acme-ask was asked about %s: %v", name, got)
		}
	}
	// They are renewed whatever else changes, as long as they are allowed.
	for _, test := range []struct {
		lines string
		want  int
	}{{lines + "https-hsts = max-age=60\n", 2}, {strings.Replace(lines, "*.friends.test", "*.others.test", 1), 2}, {strings.Replace(lines, "(many|friends)", "many", 1), 1}} {
		mark := m.mark()
		m.write("main.ini", test.lines)
		m.waitLog(mark, "the main file was applied")
		if list := a.list(); len(list) != test.want {
			t.Errorf("certs: %+v, want %d", list, test.want)
		}
	}
}

// TestACMERenewal: a certificate is replaced before it ends, and no request fails
// meanwhile, on fresh connections and on kept ones.
func TestACMERenewal(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	a := newAuthority(m, 30)
	m.write("site/index.html", "hello")
	m.write("vassals.d/site.ini", "[uwsgi]\nstatic = DIR/site\n")
	m.write("main.ini", "[uwsgi]\ninclude = DIR/acme.ini\nemperor = DIR/vassals.d/*.ini\nhttp = 127.0.0.1:PORT\nhttps = 127.0.0.1:"+a.tls+"\nroute-host = ^site\\.test$ vassal:site\n")
	m.start("main.ini")
	m.waitReady()
	first := a.issued("site.test")
	var failed atomic.Pointer[error]
	var answered atomic.Int64
	stop := make(chan struct{})
	var load sync.WaitGroup
	for i := range 2 {
		load.Go(func() {
			transport := &http.Transport{DisableKeepAlives: i == 0, TLSClientConfig: &tls.Config{InsecureSkipVerify: true, ServerName: "site.test"}}
			defer transport.CloseIdleConnections()
			client := &http.Client{Transport: transport, Timeout: patience}
			for {
				select {
				case <-stop:
					return
				case <-time.After(5 * time.Millisecond):
				}
				r, _ := http.NewRequest(http.MethodGet, "https://127.0.0.1:"+a.tls+"/", nil)
				r.Host = "site.test"
				response, err := client.Do(r)
				if err == nil {
					_, err = io.Copy(io.Discard, response.Body)
					_ = response.Body.Close()
					if err == nil && response.StatusCode != http.StatusOK {
						err = fmt.Errorf("status %d", response.StatusCode)
					}
				}
				if err != nil {
					failed.CompareAndSwap(nil, &err)
				}
				answered.Add(1)
			}
		})
	}
	var second *x509.Certificate
	m.eventually("a new certificate", func() bool {
		c, err := a.certificate("site.test")
		second = c
		return err == nil && c.SerialNumber.Cmp(first.SerialNumber) != 0
	})
	close(stop)
	load.Wait()
	if err := failed.Load(); err != nil {
		t.Errorf("of %d requests one failed: %v", answered.Load(), *err)
	}
	if !second.NotBefore.Before(first.NotAfter) {
		t.Errorf("the first certificate ended at %v, and the next one began at %v", first.NotAfter, second.NotBefore)
	}
}

// TestACMEFails: an order that fails is not sent again before its time, however often
// the emperor is started, in good order or not; the reason can be read.
func TestACMEFails(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	a := newAuthority(m, 3600)
	m.certify("default", 1, "default.test")
	// Nobody is where the authority looks.
	lines := "[uwsgi]\ninclude = DIR/acme.ini\nacme-challenge = http-01\nhttps = 127.0.0.1:" + a.tls + ",DIR/default.crt,DIR/default.key\nroute-host = ^site\\.test$ return:200\n"
	m.write("main.ini", lines+"http = 127.0.0.1:"+testport.Free(t)+"\n")
	m.start("main.ini")
	m.waitLog(0, "a certificate was not issued", "site.test", "next_try")
	for i := range 4 {
		if i%2 == 0 {
			m.kill()
		} else {
			m.stop()
		}
		m.again()
		m.eventually("the reason", func() bool {
			c := a.list()["site.test"]
			return strings.Contains(c.Trouble, "the authority says") && c.Due.After(time.Now())
		})
		// A client does not wait for it: it gets what there is.
		if got, err := a.certificate("site.test"); err != nil || got.SerialNumber.Int64() != 1 {
			t.Errorf("the default: %v, %v", got, err)
		}
	}
	if got := a.orders(); got != 1 {
		t.Errorf("%d orders, want 1", got)
	}
	// Whoever has put it right does not wait.
	mark := m.mark()
	m.write("main.ini", lines+"http = 127.0.0.1:PORT\n")
	m.waitLog(mark, "the main file was applied")
	if text, code := m.order("certs", "--order", "site.test"); code != 0 || text != "site.test: issued\n" {
		t.Errorf("certs --order: %d %q", code, text)
	}
	a.issued("site.test")
	if text, code := m.order("certs", "--order", "other.test"); code != 1 || !strings.Contains(text, "not among the hosts") {
		t.Errorf("certs --order of another: %d %q", code, text)
	}
}
