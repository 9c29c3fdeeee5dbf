package sni

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// testTime is when all tests with fake clocks happen.
var testTime = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

// authority is a CA for tests.
type authority struct {
	certificate *x509.Certificate
	pem         []byte
	key         *ecdsa.PrivateKey
	parent      *authority
}

var serial atomic.Int64

// oneKey makes what tests need thousands of cheap: all leaves share it.
var oneKey = newKey()

func newKey() *ecdsa.PrivateKey {
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	return k
}

func newAuthority(t testing.TB, name string) *authority { return newIntermediate(t, nil, name) }

// newIntermediate makes a CA that another vouches for; nil for one of its own.
func newIntermediate(t testing.TB, parent *authority, name string) *authority {
	t.Helper()
	a := &authority{key: newKey(), parent: parent}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(serial.Add(1)), Subject: pkix.Name{CommonName: name},
		NotBefore: testTime.Add(-time.Hour), NotAfter: testTime.Add(10 * 365 * 24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	signer, issuer := a.key, template
	if parent != nil {
		signer, issuer = parent.key, parent.certificate
	}
	der, err := x509.CreateCertificate(rand.Reader, template, issuer, a.key.Public(), signer)
	if err != nil {
		t.Fatal(err)
	}
	a.certificate, err = x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	a.pem = certificatePEM(der)
	return a
}

func certificatePEM(der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

func keyPEM(t testing.TB, key crypto.Signer) []byte {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
}

// issue makes a certificate, for servers and clients, and its key. The first name is
// the common name too; one with a space in it is no DNS name.
func (a *authority) issue(t testing.TB, names ...string) (certificate, key []byte) {
	return a.issueFor(t, oneKey, testTime.Add(90*24*time.Hour), names...), keyPEM(t, oneKey)
}

func (a *authority) issueFor(t testing.TB, key crypto.Signer, notAfter time.Time, names ...string) []byte {
	t.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(serial.Add(1)), Subject: pkix.Name{CommonName: names[0]},
		NotBefore: testTime.Add(-time.Hour), NotAfter: notAfter,
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	for _, n := range names {
		if !strings.Contains(n, " ") {
			template.DNSNames = append(template.DNSNames, n)
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.certificate, key.Public(), a.key)
	if err != nil {
		t.Fatal(err)
	}
	return certificatePEM(der)
}

// client makes a certificate for a client, with the authorities below the root that
// vouch for it.
func (a *authority) client(t testing.TB, name string) tls.Certificate {
	t.Helper()
	certificate, key := a.issue(t, name)
	for ca := a; ca.parent != nil; ca = ca.parent {
		certificate = append(certificate, ca.pem...)
	}
	pair, err := tls.X509KeyPair(certificate, key)
	if err != nil {
		t.Fatal(err)
	}
	return pair
}

// pool is what trusts a.
func (a *authority) pool() *x509.CertPool {
	p := x509.NewCertPool()
	p.AddCert(a.certificate)
	return p
}
