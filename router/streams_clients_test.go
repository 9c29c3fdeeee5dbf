package router

import (
	"crypto/tls"
	"io"
	"os"
	"testing"

	"emperor/internal/testcert"
)

// TestClientsOfSSLRouters: a listener that names a CA decrypts for nobody without a
// certificate of it (!), or asks for one only; whom it passes on, it does not ask.
func TestClientsOfSSLRouters(t *testing.T) {
	passed := serveBehind(t, []string{"passed.test"}, parrot("passed"))
	plain := serveBehind(t, nil, parrot("plain"))
	f := newFront(t)
	files := t.TempDir()
	testcert.SelfSigned(t, testcert.Wanted{Names: []string{"front.test"}}).Put(t, files+"/front")
	ca := testcert.NewAuthority(t, "clients")
	if err := os.WriteFile(files+"/ca.pem", []byte(ca.PEM), 0o644); err != nil {
		t.Fatal(err)
	}
	ours := ca.Issue(t, testcert.Wanted{Names: []string{"alice"}}).TLS(t)
	other := testcert.NewAuthority(t, "others").Issue(t, testcert.Wanted{Names: []string{"mallory"}}).TLS(t)
	wants, wants2 := f.listen(optionSSLRouter, "127.0.0.1:0").String(), f.listen(optionSSLRouter2, "127.0.0.1:0").String()
	asks := f.listen(optionSSLRouter, "127.0.0.1:0").String()
	pair := files + "/front.crt," + files + "/front.key"
	if err := f.configure("sslrouter = "+wants+","+pair+",HIGH,!"+files+"/ca.pem",
		"sslrouter2 = addr="+wants2+",cert="+files+"/front.crt,key="+files+"/front.key,clientca=!"+files+"/ca.pem",
		"sslrouter = "+asks+","+pair+",HIGH,"+files+"/ca.pem",
		"sslrouter-to = "+plain.Addr().String(), "route-sni = passed.test pass:"+passed.Addr().String()); err != nil {
		t.Fatal(err)
	}
	// A client learns behind its handshake that it is not let in.
	gets := func(address, name string, shown ...tls.Certificate) string {
		t.Helper()
		conn, err := tls.Dial("tcp", address, &tls.Config{ServerName: name, InsecureSkipVerify: true,
			GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
				return &append(shown, tls.Certificate{})[0], nil
			}})
		if err != nil {
			return ""
		}
		defer func() { _ = conn.Close() }()
		greeting := make([]byte, len("plain\n"))
		n, _ := io.ReadFull(conn, greeting)
		return string(greeting[:n])
	}
	for _, address := range []string{wants, wants2} {
		if got := gets(address, "front.test", ours); got != "plain\n" {
			t.Errorf("%s: who shows a certificate of the CA gets %q", address, got)
		}
		if got := gets(address, "front.test"); got != "" {
			t.Errorf("%s: who shows none gets %q", address, got)
		}
		if got := gets(address, "front.test", other); got != "" {
			t.Errorf("%s: who shows another CA's gets %q", address, got)
		}
		if got := gets(address, "passed.test"); got != "passed" {
			t.Errorf("%s: who is passed on gets %q", address, got)
		}
	}
	for _, shown := range [][]tls.Certificate{nil, {ours}} {
		if got := gets(asks, "front.test", shown...); got != "plain\n" {
			t.Errorf("where it is only asked for: %q", got)
		}
	}
}
