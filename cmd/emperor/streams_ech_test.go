package main

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"os"
	"testing"

	"emperor/internal/testcert"
)

// TestEncryptedHellos: of a client that encrypts its ClientHello only the public name is
// seen, and it is a name like any other. Whom it is passed to can read the rest, and the
// client's secret is nobody else's business. Where TLS ends here the client learns that
// the front has no key for it, from the public name's certificate.
func TestEncryptedHellos(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.certify("own", 1, "site.test", "plain.test")
	// The server behind has a key, and certificates for both names.
	key, configs := testcert.ECH(t, "public.test")
	secret := certified(t, 2, "secret.test", "public.test")
	asked := make(chan string, 10)
	serve := greeting("behind")
	server := &tls.Config{
		Certificates: []tls.Certificate{secret.TLS(t)}, EncryptedClientHelloKeys: []tls.EncryptedClientHelloKey{key},
		GetConfigForClient: func(hello *tls.ClientHelloInfo) (*tls.Config, error) { asked <- hello.ServerName; return nil, nil },
	}
	b := behind(t, func(conn net.Conn) { serve(tls.Server(conn, server)) })
	other := behind(t, overTLS(t, certified(t, 3, "secret.test"), greeting("other")))
	plain := behind(t, greeting("plain"))
	m.write("main.ini", `[uwsgi]
https = 127.0.0.1:PORT,DIR/own.crt,DIR/own.key
route-sni = secret.test pass:`+other.address+`
route-sni = public.test pass:`+b.address+`
route-sni = plain.test tcp:`+plain.address+`
route-run = return:204
`)
	m.start("main.ini")
	m.waitReady()
	roots := x509.NewCertPool()
	own, err := os.ReadFile(m.path("own.crt"))
	if err != nil {
		t.Fatal(err)
	}
	roots.AppendCertsFromPEM(own)
	roots.AppendCertsFromPEM([]byte(secret.Certificate))
	client := func(configs []byte) *tls.Config {
		return &tls.Config{ServerName: "secret.test", RootCAs: roots, MinVersion: tls.VersionTLS13, EncryptedClientHelloConfigList: configs}
	}
	conn := tls.Client(dialStream(t, m.address()), client(configs))
	if err := conn.Handshake(); err != nil {
		t.Fatal(err)
	}
	if name := <-asked; !conn.ConnectionState().ECHAccepted || name != "secret.test" {
		t.Errorf("the server behind was asked for %q, the client's secret was read: %t", name, conn.ConnectionState().ECHAccepted)
	}
	if greeting, rest, err := dialogue(conn, "hello"); greeting != "220 behind" || rest != "hello221 behind\r\n" || err != nil {
		t.Errorf("%q, %q, %v", greeting, rest, err)
	}
	// Both for a name whose plain bytes go on, and for a site: "there is no such key,
	// come without", which a client believes who has seen the public name's certificate.
	for _, public := range []string{"plain.test", "site.test"} {
		_, configs := testcert.ECH(t, public)
		err := tls.Client(dialStream(t, m.address()), client(configs)).Handshake()
		if rejection, ok := errors.AsType[*tls.ECHRejectionError](err); !ok || len(rejection.RetryConfigList) > 0 {
			t.Errorf("%s: %v", public, err)
		}
	}
	_, configs = testcert.ECH(t, "unknown.test")
	if err := tls.Client(dialStream(t, m.address()), client(configs)).Handshake(); err == nil {
		t.Error("a public name that nobody has was believed")
	}
	if n := other.accepted.Load(); n > 0 {
		t.Errorf("%d encrypted names were read by the front", n)
	}
}
