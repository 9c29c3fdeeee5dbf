// Package testcert makes certificates for tests, and keeps the sessions that clients
// resume with them.
package testcert

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"sync/atomic"
	"testing"
	"time"
)

// Wanted is what a certificate says. What is left out: a serial number that no other
// has, good since an hour ago, for an hour.
type Wanted struct {
	// Names are host names and IP addresses; the first is the common name, too.
	Names    []string
	Serial   int64
	From, To time.Time
}

// Pair is a certificate and its key, in PEM.
type Pair struct {
	Certificate, Key string
}

// Authority is a CA: it signs certificates, for servers and clients.
type Authority struct {
	// PEM is its own certificate.
	PEM string

	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
}

// NewAuthority is a CA that nobody knows.
func NewAuthority(t testing.TB, name string) *Authority {
	t.Helper()
	a := &Authority{certificate: Wanted{Names: []string{name}, To: time.Now().Add(24 * time.Hour)}.template(), key: newKey(t)}
	a.certificate.DNSNames = nil
	a.certificate.IsCA, a.certificate.BasicConstraintsValid, a.certificate.KeyUsage = true, true, x509.KeyUsageCertSign
	a.PEM = block("CERTIFICATE", a.sign(t, a.certificate, a.key))
	return a
}

// Issue makes a certificate that the authority vouches for.
func (a *Authority) Issue(t testing.TB, w Wanted) Pair {
	t.Helper()
	key := newKey(t)
	return pair(t, a.sign(t, w.template(), key), key)
}

// SelfSigned makes a certificate that vouches for itself: who trusts it, trusts it
// for all of its names.
func SelfSigned(t testing.TB, w Wanted) Pair {
	t.Helper()
	a := &Authority{certificate: w.template(), key: newKey(t)}
	a.certificate.IsCA, a.certificate.BasicConstraintsValid = true, true
	return pair(t, a.sign(t, a.certificate, a.key), a.key)
}

var serial atomic.Int64

func (w Wanted) template() *x509.Certificate {
	now := time.Now()
	if w.Serial == 0 {
		w.Serial = now.UnixNano() + serial.Add(1)
	}
	if w.To.IsZero() {
		w.To = now.Add(time.Hour)
	}
	if w.From.IsZero() {
		w.From = now.Add(-time.Hour)
		if w.To.Before(now) {
			w.From = w.To.Add(-time.Hour)
		}
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(w.Serial), Subject: pkix.Name{CommonName: w.Names[0]}, NotBefore: w.From, NotAfter: w.To}
	for _, name := range w.Names {
		if ip := net.ParseIP(name); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, name)
		}
	}
	return template
}

func (a *Authority) sign(t testing.TB, template *x509.Certificate, key *ecdsa.PrivateKey) []byte {
	t.Helper()
	der, err := x509.CreateCertificate(rand.Reader, template, a.certificate, &key.PublicKey, a.key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func newKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func pair(t testing.TB, der []byte, key *ecdsa.PrivateKey) Pair {
	t.Helper()
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return Pair{block("CERTIFICATE", der), block("PRIVATE KEY", secret)}
}

func block(kind string, der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
}

// Put writes path.crt, and path.key, which only its owner may read.
func (p Pair) Put(t testing.TB, path string) {
	t.Helper()
	if err := os.WriteFile(path+".key", []byte(p.Key), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path+".crt", []byte(p.Certificate), 0o644); err != nil {
		t.Fatal(err)
	}
}

// TLS is the pair as crypto/tls wants it.
func (p Pair) TLS(t testing.TB) tls.Certificate {
	t.Helper()
	c, err := tls.X509KeyPair([]byte(p.Certificate), []byte(p.Key))
	if err != nil {
		t.Fatal(err)
	}
	return c
}
