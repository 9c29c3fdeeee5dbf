package router

import (
	"crypto/tls"
	"encoding/pem"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"emperor/internal/testcert"
)

// member is a client's certificate, and the PEM of the CA that it is of.
func member(t *testing.T, name string) (certificate tls.Certificate, ca string) {
	t.Helper()
	a := testcert.NewAuthority(t, "CA of "+name)
	return a.Issue(t, testcert.Wanted{Names: []string{name}}).TLS(t), a.PEM
}

// TestTLSAsConformed: rows 36 to 42 and 88 to 91 of the conformance table of the
// reference (router.md §9), with the results of its last column.
func TestTLSAsConformed(t *testing.T) {
	alice, staff := member(t, "alice")
	mallory, _ := member(t, "mallory")
	pemOfAlice := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: alice.Certificate[0]}))
	dir := t.TempDir()
	later := time.Now().Add(100 * 24 * time.Hour)
	files := map[string]string{"A": pairFiles(t, dir, "a", later, "a.test"), "B": pairFiles(t, dir, "b", later, "b.test"), "DEFAULT": pairFiles(t, dir, "default", later, "default.test"), "DIR": dir}
	write(t, dir+"/staff.pem", staff)
	if err := os.Mkdir(dir+"/names", 0o700); err != nil {
		t.Fatal(err)
	}
	pairFiles(t, dir+"/names", "n.test", later, "n.test")
	pairFiles(t, dir, "x", later, "outside.test")
	pairFiles(t, dir+"/names", "ca.test", later, "ca.test")
	write(t, dir+"/names/ca.test.ca", staff)
	pairFiles(t, dir+"/names", "_wildcard_.wild.test", later, "*.wild.test")
	certificate, key := pairUntil(t, later, "bundle.test")
	write(t, dir+"/names/bundle.test.pem", certificate+key)
	certificate, key = pairUntil(t, later, "live.test")
	if err := os.Mkdir(dir+"/names/live.test", 0o700); err != nil {
		t.Fatal(err)
	}
	write(t, dir+"/names/live.test/fullchain.pem", certificate)
	write(t, dir+"/names/live.test/privkey.pem", key)

	const plain = "https = LISTEN,DEFAULT"
	byHost := []string{"route-host = ^a\\.test$ addvar:ROUTED=a", "route-host = ^b\\.test$ addvar:ROUTED=b"}
	for _, test := range []struct {
		row     string
		options []string
		sni     string
		client  tls.Certificate
		request string // "" : GET / of the name
		alert   string // the handshake fails with it
		status  int
		shown   string            // the first name of the certificate; "" for any
		vars    map[string]string // what the vassal gets; "-" for absent
	}{
		{row: "36", options: []string{plain + ",HIGH,DIR/staff.pem"}, sni: "a.test", status: 200,
			vars: map[string]string{"HTTPS": "on", "HTTPS_DN": "-", "HTTPS_CLIENT_CERTIFICATE": "-", "HTTPS_CC": "-", "HTTPS_PROTOCOL": "-", "HTTPS_CIPHER": "-", "HTTPS_SNI": "-"}},
		{row: "36, nobody is asked", options: []string{plain}, client: alice, sni: "a.test", status: 200, vars: map[string]string{"HTTPS": "on", "HTTPS_DN": "-", "HTTPS_CLIENT_CERTIFICATE": "-"}},
		{row: "37", options: []string{plain + ",HIGH,DIR/staff.pem"}, sni: "a.test", client: alice, status: 200,
			vars: map[string]string{"HTTPS": "on", "HTTPS_DN": "/CN=alice", "HTTPS_CLIENT_CERTIFICATE": string(alice.Certificate[0]), "HTTPS_CC": "-"}},
		{row: "37, export", options: []string{plain + ",HIGH,!DIR/staff.pem", "https-export-cert"}, sni: "a.test", client: alice, status: 200,
			vars: map[string]string{"HTTPS_DN": "/CN=alice", "HTTPS_CC": pemOfAlice}},
		{row: "37, forged fields", options: []string{plain + ",HIGH,DIR/staff.pem"}, sni: "a.test", status: 200,
			request: "GET / HTTP/1.1\r\nHost: a.test\r\nHTTPS_DN: /CN=alice\r\nHTTPS-DN: /CN=alice\r\n\r\n", vars: map[string]string{"HTTPS_DN": "-"}},
		{row: "37, what TLS was", options: []string{plain, "https-export-tls"}, sni: "A.Test", status: 200,
			vars: map[string]string{"HTTPS_PROTOCOL": "TLSv1.3", "HTTPS_CIPHER": "TLS_AES_128_GCM_SHA256", "HTTPS_SNI": "a.test"}},
		{row: "38", options: []string{plain + ",HIGH,!DIR/staff.pem"}, sni: "a.test", alert: "certificate required"},
		{row: "39", options: []string{plain + ",HIGH,DIR/staff.pem"}, sni: "a.test", client: mallory, alert: "unknown certificate authority"},
		{row: "41", options: append([]string{plain, "sni = a.test PAIR-A", "sni = b.test PAIR-B"}, byHost...), sni: "a.test", request: get("b.test"), status: 200, shown: "a.test", vars: map[string]string{"ROUTED": "b", "HTTP_HOST": "b.test"}},
		{row: "41, another policy", options: []string{plain, "sni = a.test PAIR-A", "sni = b.test PAIR-B,ECDHE-ECDSA-AES128-GCM-SHA256"}, sni: "a.test", request: get("b.test"), status: 421},
		{row: "42", options: append([]string{plain}, byHost...), sni: "B.test", request: "GET / HTTP/1.0\r\n\r\n", status: 200, vars: map[string]string{"ROUTED": "b", "HTTP_HOST": "-"}},
		{row: "42, HTTP/1.1 needs one", options: append([]string{plain}, byHost...), sni: "b.test", request: "GET / HTTP/1.1\r\n\r\n", status: 400},
		{row: "88", options: []string{plain, "sni = a.test PAIR-A"}, sni: "A.TEST", status: 200, shown: "a.test"},
		{row: "88, written so", options: []string{plain, "sni = A.Test PAIR-A"}, sni: "a.test", status: 200, shown: "a.test"},
		{row: "89", options: []string{plain, `sni-regexp = ^(\w+)\.test$ DIR/$1.crt,DIR/$1.key,HIGH,!DIR/staff.pem`}, sni: "a.test", alert: "certificate required"},
		{row: "89, with one", options: []string{plain, `sni-regexp = ^(\w+)\.test$ DIR/$1.crt,DIR/$1.key,HIGH,!DIR/staff.pem`}, sni: "a.test", client: alice, status: 200, shown: "a.test", vars: map[string]string{"HTTPS_DN": "/CN=alice"}},
		{row: "89b", options: []string{plain, "sni = a.test PAIR-A", "sni = b.test PAIR-B,HIGH,!DIR/staff.pem"}, sni: "a.test", request: get("b.test"), status: 421},
		{row: "89b, no name", options: []string{plain, "sni = a.test PAIR-A", "sni = b.test PAIR-B,HIGH,!DIR/staff.pem"}, request: get("b.test"), status: 421},
		{row: "89b, a certificate all the same", options: []string{plain, "sni = a.test PAIR-A", "sni = b.test PAIR-B,HIGH,!DIR/staff.pem"}, sni: "a.test", client: alice, request: get("b.test:443"), status: 421},
		{row: "89b, its own", options: []string{plain, "sni = a.test PAIR-A", "sni = b.test PAIR-B,HIGH,!DIR/staff.pem"}, sni: "b.test", client: alice, request: get("B.test."), status: 200, vars: map[string]string{"HTTPS_DN": "/CN=alice"}},
		{row: "90", options: []string{plain, "sni-dir = DIR/names"}, sni: "../x", request: get("a"), status: 200, shown: "default.test"},
		{row: "90, one that is there", options: []string{plain, "sni-dir = DIR/names"}, sni: "n.test", status: 200, shown: "n.test"},
		{row: "5.4, client CAs ask", options: []string{plain, "sni-dir = DIR/names"}, sni: "ca.test", status: 200, shown: "ca.test", vars: map[string]string{"HTTPS_DN": "-"}},
		{row: "5.4, client CAs know", options: []string{plain, "sni-dir = DIR/names"}, sni: "CA.test", client: alice, status: 200, shown: "ca.test", vars: map[string]string{"HTTPS_DN": "/CN=alice"}},
		{row: "5.4, client CAs refuse", options: []string{plain, "sni-dir = DIR/names"}, sni: "ca.test", client: mallory, alert: "unknown certificate authority"},
		{row: "5.4, client CAs demand", options: []string{plain, "sni-dir = DIR/names", "sni-dir-require-client"}, sni: "ca.test", alert: "certificate required"},
		{row: "5.4, no client CAs", options: []string{plain, "sni-dir = DIR/names", "sni-dir-require-client"}, sni: "n.test", status: 200, shown: "n.test"},
		{row: "5.4, wildcard", options: []string{plain, "sni-dir = DIR/names"}, sni: "any.wild.test", status: 200, shown: "*.wild.test"},
		{row: "5.4, bundle", options: []string{plain, "sni-dir = DIR/names"}, sni: "bundle.test", status: 200, shown: "bundle.test"},
		{row: "5.4, certbot's folders", options: []string{plain, "sni-dir = DIR/names"}, sni: "live.test", status: 200, shown: "live.test"},
		{row: "5.4, ciphers", options: []string{plain, "sni-dir = DIR/names", "sni-dir-ciphers = TLS_AES_128_GCM_SHA256"}, sni: "n.test", client: alice, request: get("default.test"), status: 421},
		{row: "5.1, unknown name", options: []string{plain, "sni = a.test PAIR-A"}, sni: "other.test", status: 200, shown: "default.test"},
		{row: "5.1, unknown name and no default", options: []string{"https = LISTEN", "sni = a.test PAIR-A"}, sni: "other.test", alert: "unrecognized name"},
		{row: "8.28", options: []string{plain, "https-hsts = max-age=9"}, sni: "a.test", status: 200},
	} {
		t.Run(test.row, func(t *testing.T) {
			v := uwsgiVassal(t, answering(okResponse))
			f := newFront(t)
			f.option = optionHTTPS
			options := []string{"http-to = " + v.address}
			replacer := strings.NewReplacer("LISTEN", f.tcp.Addr().String(), "DEFAULT", files["DEFAULT"], "DIR", dir, "PAIR-A", files["A"], "PAIR-B", files["B"])
			for _, o := range test.options {
				if !strings.Contains(o, "=") {
					o += " = true"
				}
				options = append(options, replacer.Replace(o))
			}
			if err := f.configure(options...); err != nil {
				t.Fatal(err)
			}
			conn, err := net.Dial("tcp", f.tcp.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			_ = conn.SetDeadline(time.Now().Add(patience))
			secure := tls.Client(conn, &tls.Config{ServerName: test.sni, InsecureSkipVerify: true, NextProtos: []string{"http/1.1"},
				GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &test.client, nil }})
			request := test.request
			if request == "" {
				request = get(test.sni)
			}
			// A client's certificate is judged after a handshake of TLS 1.3.
			_, err = secure.Write([]byte(request))
			if err == nil && test.alert != "" {
				_, err = secure.Read(make([]byte, 1))
			}
			if test.alert != "" {
				if err == nil || !strings.Contains(err.Error(), test.alert) {
					t.Fatalf("%v, want the alert %q", err, test.alert)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			r, _ := newVisitor(t, secure).receive("GET")
			if r.StatusCode != test.status {
				t.Fatalf("%d %q, want %d", r.StatusCode, r.text, test.status)
			}
			if shown := secure.ConnectionState().PeerCertificates[0].DNSNames[0]; test.shown != "" && shown != test.shown {
				t.Errorf("the certificate of %s, want %s", shown, test.shown)
			}
			if test.row == "8.28" && r.Header.Get("Strict-Transport-Security") != "max-age=9" {
				t.Errorf("fields %v", r.Header)
			}
			if test.status != 200 {
				if n := len(v.calls()); n > 0 {
					t.Errorf("the vassal got %d requests", n)
				}
				return
			}
			got := v.only(t)
			for name, want := range test.vars {
				if value, ok := got.vars[name]; ok != (want != "-") || ok && value != want {
					t.Errorf("%s = %q, %t; want %q", name, value, ok, want)
				}
			}
		})
	}
}

// TestPlainHTTPToTLS: row 40.
func TestPlainHTTPToTLS(t *testing.T) {
	f := newFront(t)
	f.secured("http-to = /nowhere.sock")
	for _, request := range []string{get("a"), "POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"} {
		if r := f.ask(request); r.StatusCode != 400 || !strings.Contains(r.text, "https://") {
			t.Errorf("%q: %d %q", request, r.StatusCode, r.text)
		}
	}
	if !strings.Contains(f.log.String(), "TLS handshake failed") {
		t.Error("nothing in the log")
	}
}

// TestReplacedPairInADirectory: row 91; the emperor says which files have changed.
func TestReplacedPairInADirectory(t *testing.T) {
	dir := t.TempDir()
	now := time.Now()
	pairFiles(t, dir, "n.test", now.Add(10*24*time.Hour), "n.test", "old")
	f := newFront(t)
	f.option = optionHTTPS
	if err := f.configure("https = "+f.tcp.Addr().String(), "sni-dir = "+dir); err != nil {
		t.Fatal(err)
	}
	shown := func() string {
		t.Helper()
		conn, err := tls.Dial("tcp", f.tcp.Addr().String(), &tls.Config{ServerName: "n.test", InsecureSkipVerify: true})
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		return conn.ConnectionState().PeerCertificates[0].DNSNames[1]
	}
	if got := shown(); got != "old" {
		t.Errorf("%q", got)
	}
	pairFiles(t, dir, "n.test", now.Add(90*24*time.Hour), "n.test", "new")
	for _, name := range []string{"n.test.crt", "n.test.key"} {
		f.certificates.Changed(dir + "/" + name)
	}
	if got := shown(); got != "new" {
		t.Errorf("after it was replaced: %q", got)
	}
}
