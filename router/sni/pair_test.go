package sni

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

func join(parts ...[]byte) []byte { return bytes.Join(parts, nil) }

func TestKeysOfAllKinds(t *testing.T) {
	ca := newAuthority(t, "root")
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	_, edKey, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	ecDER, err := x509.MarshalECPrivateKey(oneKey)
	if err != nil {
		t.Fatal(err)
	}
	ec := pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: ecDER})
	for _, tt := range []struct {
		name string
		key  crypto.Signer
		pem  []byte
	}{
		{"RSA, PKCS 8", rsaKey, keyPEM(t, rsaKey)},
		{"RSA, PKCS 1", rsaKey, pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(rsaKey)})},
		{"ECDSA, PKCS 8", oneKey, keyPEM(t, oneKey)},
		{"ECDSA, SEC 1", oneKey, ec},
		{"ECDSA with parameters before it", oneKey, join(pem.EncodeToMemory(&pem.Block{Type: "EC PARAMETERS", Bytes: []byte{6, 1, 1}}), ec)},
		{"Ed25519", edKey, keyPEM(t, edKey)},
		{"text around it", edKey, join([]byte("Bag Attributes\n"), keyPEM(t, edKey), []byte("the end\n"))},
	} {
		certificate := ca.issueFor(t, tt.key, testTime.Add(time.Hour), "www.example.com")
		for how, files := range map[string][2][]byte{
			"two files":              {certificate, tt.pem},
			"one file":               {join(certificate, tt.pem), nil},
			"one file, key first":    {join(tt.pem, certificate), nil},
			"the same file twice":    {join(certificate, tt.pem), join(certificate, tt.pem)},
			"certificate in the key": {certificate, join(tt.pem, certificate)},
		} {
			p, err := ParsePair(files[0], files[1])
			if err != nil || len(p.Notes) > 0 || len(p.Certificate.Certificate) != 1 || p.Leaf == nil {
				t.Errorf("%s, %s: %v, %+v", tt.name, how, err, p)
			}
		}
	}
}

func TestChainIsPutInOrder(t *testing.T) {
	root := newAuthority(t, "root")
	upper := newIntermediate(t, root, "upper")
	lower := newIntermediate(t, upper, "lower")
	other := newAuthority(t, "other")
	leaf, key := lower.issue(t, "www.example.com")
	stranger := other.issueFor(t, newKey(), testTime, "other.example.com")
	name := func(der []byte) string {
		c, err := x509.ParseCertificate(der)
		if err != nil {
			t.Fatal(err)
		}
		return c.Subject.CommonName
	}
	for _, tt := range []struct {
		name  string
		given []byte
		want  string
		note  string
	}{
		{"right", join(leaf, lower.pem, upper.pem), "www.example.com lower upper", ""},
		{"with root", join(leaf, lower.pem, upper.pem, root.pem), "www.example.com lower upper root", ""},
		{"backwards", join(root.pem, upper.pem, lower.pem, leaf), "www.example.com lower upper root", "the chain of www.example.com was in another order and is put right"},
		{"swapped", join(leaf, upper.pem, lower.pem), "www.example.com lower upper", "in another order"},
		{"leaf twice", join(leaf, leaf, lower.pem), "www.example.com lower", "the certificate of www.example.com is there twice; one is left out"},
		{"another CA", join(leaf, lower.pem, other.pem), "www.example.com lower other", ""},
		{"another site", join(stranger, leaf, lower.pem), "www.example.com lower", "the certificate of other.example.com is no part of the chain of www.example.com and left out"},
		{"a gap", join(leaf, upper.pem), "www.example.com upper", ""},
	} {
		p, err := ParsePair(tt.given, key)
		if err != nil {
			t.Errorf("%s: %v", tt.name, err)
			continue
		}
		var names []string
		for _, der := range p.Certificate.Certificate {
			names = append(names, name(der))
		}
		notes := strings.Join(p.Notes, "; ")
		if got := strings.Join(names, " "); got != tt.want || !strings.Contains(notes, tt.note) || tt.note == "" && notes != "" {
			t.Errorf("%s: %s (%s), want %s (%s)", tt.name, got, notes, tt.want, tt.note)
		}
	}
}

func TestPairMistakes(t *testing.T) {
	ca := newAuthority(t, "root")
	certificate, key := ca.issue(t, "www.example.com")
	p224, err := ecdsa.GenerateKey(elliptic.P224(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(certificate)
	broken := slices.Clone(block.Bytes)
	for _, tt := range []struct {
		name             string
		certificate, key []byte
		want             string
	}{
		{"no certificate", nil, key, "certificate: there is none, want PEM with -----BEGIN CERTIFICATE-----; the file is empty"},
		{"no key", certificate, nil, "key: there is none, want PEM with -----BEGIN PRIVATE KEY-----; the file is empty"},
		{"swapped key", certificate, keyPEM(t, newKey()), "the key does not belong to the certificate of www.example.com (serial "},
		{"two keys", join(certificate, key), keyPEM(t, newKey()), "key: there are 2 different ones"},
		{"DER", block.Bytes, key, `certificate: there is none, want PEM with -----BEGIN CERTIFICATE-----; the file may be DER: "openssl x509 -inform der"`},
		{"a request", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST"}), key, "the file has CERTIFICATE REQUEST"},
		{"cut off", certificatePEM(broken[:100]), key, "certificate: certificate number 1 cannot be read: "},
		{"half", certificate[:len(certificate)/2], key, "certificate: there is none"},
		{"passphrase", certificate, pem.EncodeToMemory(&pem.Block{Type: "ENCRYPTED PRIVATE KEY"}), "key: the key has a passphrase"},
		{"old passphrase", certificate, pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Headers: map[string]string{"Proc-Type": "4,ENCRYPTED", "DEK-Info": "x"}}), "the key has a passphrase"},
		{"ssh", certificate, pem.EncodeToMemory(&pem.Block{Type: "OPENSSH PRIVATE KEY"}), `"OPENSSH PRIVATE KEY" is no kind of key`},
		{"broken key", certificate, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: []byte{1}}), "key: the key cannot be read: "},
		{"curve", ca.issueFor(t, p224, testTime, "a.b"), keyPEM(t, p224), "TLS does not know the curve P-224"},
	} {
		if p, err := ParsePair(tt.certificate, tt.key); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, %v, want %q", tt.name, p, err, tt.want)
		}
	}
}

func TestNamesOfACertificate(t *testing.T) {
	ca := newAuthority(t, "root")
	for want, names := range map[string][]string{
		"www.example.com *.example.com": {"WWW.example.com", "*.example.com", "www.example.com"},
		"":                              {"no name"},
	} {
		p, err := ParsePair(ca.issue(t, names...))
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(p.DNSNames(), " "); got != want {
			t.Errorf("%v: %s, want %s", names, got, want)
		}
	}
}

func TestNamesOfACertificateWithoutItsKey(t *testing.T) {
	ca := newAuthority(t, "root")
	leaf, key := ca.issue(t, "WWW.example.com", "*.example.com")
	unnamed, _ := ca.issue(t, "no name")
	broken := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: []byte{1}})
	for _, tt := range []struct {
		name    string
		content []byte
		want    string
		err     string
	}{
		{"leaf", leaf, "www.example.com *.example.com", ""},
		{"bundle, CA first", join(key, ca.pem, leaf), "www.example.com *.example.com", ""},
		{"a key that is nobody's matter", join(broken, leaf), "www.example.com *.example.com", ""},
		{"no names", unnamed, "", "the certificate of /CN=no name is for no host name; write one before the files"},
		{"no certificate", key, "", "there is no certificate, want PEM with -----BEGIN CERTIFICATE-----; the file has PRIVATE KEY"},
	} {
		names, err := CertificateNames(tt.content)
		if got := strings.Join(names, " "); got != tt.want || (err == nil) != (tt.err == "") || err != nil && !strings.Contains(err.Error(), tt.err) {
			t.Errorf("%s: %s, %v, want %s, %s", tt.name, got, err, tt.want, tt.err)
		}
	}
}

func FuzzParsePair(f *testing.F) {
	ca := newAuthority(f, "root")
	certificate, key := ca.issue(f, "www.example.com")
	f.Add(certificate, key)
	f.Add(join(ca.pem, certificate, key), []byte(nil))
	f.Add([]byte("-----BEGIN EC PRIVATE KEY-----\n\n-----END EC PRIVATE KEY-----\n"), []byte("x"))
	f.Fuzz(func(t *testing.T, certificate, key []byte) {
		_, _ = CertificateNames(certificate)
		p, err := ParsePair(certificate, key)
		if err == nil && (p.Leaf == nil || p.PrivateKey == nil || !bytes.Equal(p.Certificate.Certificate[0], p.Leaf.Raw)) {
			t.Errorf("half a pair: %+v", p)
		}
	})
}

func TestExpiry(t *testing.T) {
	day := 24 * time.Hour
	var w ExpiryWatch
	a := Expiry{Source: "a.crt", Name: "a", NotAfter: testTime.Add(30 * day)}
	b := Expiry{Source: "b.crt", Name: "b", NotAfter: testTime.Add(6*day + time.Hour)}
	renewed := Expiry{Source: "b.crt", Name: "b", NotAfter: testTime.Add(300 * day)}
	for _, tt := range []struct {
		after time.Duration
		all   []Expiry
		want  string // name and days
	}{
		{0, []Expiry{a, b}, "b6"},
		{time.Hour, []Expiry{a, b}, ""},
		{5*day + 2*time.Hour, []Expiry{a, b}, "b0"},
		{5*day + 3*time.Hour, []Expiry{a, renewed}, ""},
		{9*day - time.Minute, []Expiry{a, renewed}, ""},
		{9 * day, []Expiry{a, renewed}, "a21"},
		{23 * day, []Expiry{a, renewed}, "a7"},
		{29*day - time.Second, []Expiry{a, renewed}, ""},
		{29 * day, []Expiry{a, renewed}, "a1"},
		{30 * day, []Expiry{a, renewed}, "a0"},
		{40 * day, []Expiry{a, renewed}, ""},
		{299*day + time.Hour, []Expiry{renewed}, "b0"},
	} {
		now := testTime.Add(tt.after)
		var got []string
		for _, e := range w.Due(now, tt.all) {
			got = append(got, fmt.Sprintf("%s%d", e.Name, e.Days(now)))
		}
		if text := strings.Join(got, " "); text != tt.want {
			t.Errorf("after %v: %s, want %s", tt.after, text, tt.want)
		}
	}
}

// TestExpiryOfShortLives: a certificate of six days is renewed after four: that it
// ends within three weeks is no news, that it ends tomorrow is.
func TestExpiryOfShortLives(t *testing.T) {
	day := 24 * time.Hour
	e := Expiry{NotAfter: testTime.Add(6 * day), Lifetime: 6 * day}
	for at, want := range map[time.Duration]int{0: -1, 5*day - time.Hour: -1, 5 * day: 1, 6 * day: 0} {
		if got := e.Step(testTime.Add(at)); got != want {
			t.Errorf("after %v: %d, want %d", at, got, want)
		}
	}
}
