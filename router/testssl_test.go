package router

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"os/exec"
	"slices"
	"testing"
	"time"
)

// TestTLSAudit: testssl.sh finds no protocol under TLS 1.2, no weak cipher, and nothing
// that it calls severe. It looks at protocols, ciphers by strength, forward secrecy and
// known vulnerabilities; its other sections are about the certificate, which is ours for
// this test, and about what certain old clients would choose, which takes minutes. The
// certificate is an RSA one, as that has more ciphers, and with them more to be done
// wrong.
func TestTLSAudit(t *testing.T) {
	t.Parallel() // it is the shell that works
	v := uwsgiVassal(t, answering(okResponse))
	f := newFront(t, "http-to = "+v.address)
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{"a"}, NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	write(t, dir+"/rsa.crt", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})))
	write(t, dir+"/rsa.key", string(pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(private)})))
	f.option = optionHTTPS
	if err := f.configure("http-to = "+v.address, "https = "+f.tcp.Addr().String()+","+dir+"/rsa.crt,"+dir+"/rsa.key"); err != nil {
		t.Fatal(err)
	}

	_, port, _ := net.SplitHostPort(f.tcp.Addr().String())
	report := dir + "/report.json"
	command := exec.Command("testssl", "--protocols", "--std", "--pfs", "--vulnerable",
		"--quiet", "--color", "0", "--warnings", "off", "--ip", "127.0.0.1", "--nodns", "none", "--jsonfile", report, "a:"+port)
	output, err := command.CombinedOutput() // its exit status counts what it has not found
	text, unread := os.ReadFile(report)
	if unread != nil {
		t.Fatalf("%v\n%s", err, output)
	}
	var found []struct{ ID, Severity, Finding string }
	if err := json.Unmarshal(text, &found); err != nil {
		t.Fatalf("%v\n%s\n%s", err, output, text)
	}
	// What has to be in the report, as one that says nothing is not a good one.
	want := map[string]string{
		"SSLv2": "not offered", "SSLv3": "not offered", "TLS1": "not offered", "TLS1_1": "not offered",
		"TLS1_2": "offered", "TLS1_3": "offered with final", "ALPN_HTTP2": "h2",
		"cipherlist_NULL": "not offered", "cipherlist_aNULL": "not offered", "cipherlist_EXPORT": "not offered",
		"cipherlist_LOW": "not offered", "cipherlist_3DES_IDEA": "not offered", "cipherlist_STRONG": "offered",
		"PFS": "offered", "heartbleed": "", "CCS": "", "ticketbleed": "", "ROBOT": "", "secure_renego": "", "secure_client_renego": "",
		"CRIME_TLS": "", "POODLE_SSL": "", "SWEET32": "", "FREAK": "", "DROWN": "", "LOGJAM": "", "BEAST": "", "RC4": "",
	}
	for _, f := range found {
		if slices.Contains([]string{"MEDIUM", "HIGH", "CRITICAL", "FATAL"}, f.Severity) {
			t.Errorf("%s %s: %s", f.Severity, f.ID, f.Finding)
		}
		if w, ok := want[f.ID]; ok && (w == "" || w == f.Finding) {
			delete(want, f.ID)
		}
	}
	for id, w := range want {
		t.Errorf("nothing is said of %s %q", id, w)
	}
	if t.Failed() {
		t.Logf("%s\n%s", output, text)
	}
}
