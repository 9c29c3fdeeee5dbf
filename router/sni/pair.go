package sni

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// A Pair is a certificate with its chain and the key that belongs to it.
type Pair struct {
	tls.Certificate
	// Notes say what was put right: a chain in another order, a certificate that
	// belongs to no chain. For a log.
	Notes []string
}

// mostCertificates bounds the certificates of one file; a chain has two to five.
const mostCertificates = 100

// errForeignKey: the halves of a pair do not fit, as while another pair takes its place.
var errForeignKey = errors.New("the key does not belong to the certificate")

// ParsePair reads a certificate chain and its key from PEM. Both may be in either
// file. The leaf is the certificate whose key it is, wherever it stands; the others
// follow in the order in which they vouch for each other. The error says what is
// wrong with which of them.
func ParsePair(certificate, key []byte) (*Pair, error) {
	var chain []*x509.Certificate
	var keys []crypto.Signer
	for i, text := range [][]byte{certificate, key} {
		what := [...]string{"certificate", "key"}[i]
		certificates, signers, err := readPEM(text)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", what, err)
		}
		if i == 1 && len(chain) > 0 {
			certificates = nil // certbot's and others' key files repeat the certificate
		}
		chain = append(chain, certificates...)
		for _, s := range signers {
			if !slices.ContainsFunc(keys, func(k crypto.Signer) bool { return samePublic(k.Public(), s.Public()) }) {
				keys = append(keys, s)
			}
		}
	}
	switch {
	case len(chain) == 0:
		return nil, fmt.Errorf("certificate: there is none, want PEM with -----BEGIN CERTIFICATE-----%s", instead(certificate))
	case len(keys) == 0:
		return nil, fmt.Errorf("key: there is none, want PEM with -----BEGIN PRIVATE KEY-----%s", instead(key))
	case len(keys) > 1:
		return nil, fmt.Errorf("key: there are %d different ones, want one", len(keys))
	}
	leaf := slices.IndexFunc(chain, func(c *x509.Certificate) bool { return samePublic(c.PublicKey, keys[0].Public()) })
	if leaf < 0 {
		return nil, fmt.Errorf("%w of %s (serial %x, %s): it is another %s key", errForeignKey,
			subject(chain[0]), chain[0].SerialNumber, keyKind(chain[0].PublicKey), keyKind(keys[0].Public()))
	}
	if err := usable(keys[0]); err != nil {
		return nil, err
	}
	p := &Pair{}
	p.PrivateKey = keys[0]
	p.Leaf = chain[leaf]
	ordered, notes := orderChain(chain, leaf)
	p.Notes = notes
	for _, c := range ordered {
		p.Certificate.Certificate = append(p.Certificate.Certificate, c.Raw)
	}
	return p, nil
}

// DNSNames returns the names that the certificate is for, canonical, wildcards
// included: what "sni = CRT,KEY" serves. One from the days before subjectAltName is
// for its common name.
func (p *Pair) DNSNames() []string { return certificateNames(p.Leaf) }

// CertificateNames is DNSNames for who has no key at hand, nor wants one: the names
// of the first certificate that is no CA's, or of the first. None is an error.
func CertificateNames(certificate []byte) ([]string, error) {
	leaf, names, err := ParseCertificate(certificate)
	if err != nil {
		return nil, err
	}
	if len(names) == 0 {
		return nil, fmt.Errorf("the certificate of %s is for no host name; write one before the files: sni = NAME CERTIFICATE,KEY", subject(leaf))
	}
	return names, nil
}

// ParseCertificate is the same with the certificate, which may be for no name.
func ParseCertificate(certificate []byte) (leaf *x509.Certificate, names []string, err error) {
	chain, _, err := readPEM(withoutKeys(certificate))
	if err != nil {
		return nil, nil, err
	}
	if len(chain) == 0 {
		return nil, nil, fmt.Errorf("there is no certificate, want PEM with -----BEGIN CERTIFICATE-----%s", instead(certificate))
	}
	leaf = chain[max(0, slices.IndexFunc(chain, func(c *x509.Certificate) bool { return !c.IsCA }))]
	return leaf, certificateNames(leaf), nil
}

// withoutKeys leaves only the certificates of a file.
func withoutKeys(text []byte) []byte {
	var b []byte
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		if strings.HasSuffix(block.Type, "CERTIFICATE") {
			b = append(b, pem.EncodeToMemory(block)...)
		}
	}
	return b
}

func certificateNames(leaf *x509.Certificate) []string {
	candidates := leaf.DNSNames
	if len(candidates) == 0 {
		candidates = []string{leaf.Subject.CommonName}
	}
	var names []string
	for _, n := range candidates {
		if canonical, err := canonicalPattern(n); err == nil && !slices.Contains(names, canonical) {
			names = append(names, canonical)
		}
	}
	return names
}

// readPEM reads all certificates and keys of a file.
func readPEM(text []byte) (certificates []*x509.Certificate, keys []crypto.Signer, err error) {
	for {
		var block *pem.Block
		if block, text = pem.Decode(text); block == nil {
			return certificates, keys, nil
		}
		switch {
		case block.Type == "CERTIFICATE" || block.Type == "X509 CERTIFICATE" || block.Type == "TRUSTED CERTIFICATE":
			if len(certificates) == mostCertificates {
				return nil, nil, fmt.Errorf("there are more than %d certificates", mostCertificates)
			}
			c, err := x509.ParseCertificate(block.Bytes)
			if err != nil {
				return nil, nil, fmt.Errorf("certificate number %d cannot be read: %w", len(certificates)+1, plain(err))
			}
			certificates = append(certificates, c)
		case strings.HasSuffix(block.Type, "PRIVATE KEY"):
			k, err := readKey(block)
			if err != nil {
				return nil, nil, err
			}
			keys = append(keys, k)
		}
		// Others, such as "EC PARAMETERS" or "DH PARAMETERS", are of no use here.
	}
}

// readKey reads a private key in any of the ways in which they are written.
func readKey(block *pem.Block) (crypto.Signer, error) {
	if block.Type == "ENCRYPTED PRIVATE KEY" || strings.Contains(block.Headers["Proc-Type"], "ENCRYPTED") {
		return nil, errors.New("the key has a passphrase and nobody to type it: take it off with \"openssl pkey -in KEY -out KEY.plain\"")
	}
	var k any
	var err error
	switch block.Type {
	case "RSA PRIVATE KEY":
		k, err = x509.ParsePKCS1PrivateKey(block.Bytes)
	case "EC PRIVATE KEY":
		k, err = x509.ParseECPrivateKey(block.Bytes)
	case "PRIVATE KEY":
		k, err = x509.ParsePKCS8PrivateKey(block.Bytes)
	default:
		return nil, fmt.Errorf("%q is no kind of key that TLS knows: want RSA, ECDSA or Ed25519 as OpenSSL writes them", block.Type)
	}
	if err != nil {
		return nil, fmt.Errorf("the key cannot be read: %w", plain(err))
	}
	signer, ok := k.(crypto.Signer)
	if !ok {
		return nil, fmt.Errorf("a key of type %T cannot sign: want RSA, ECDSA or Ed25519", k)
	}
	return signer, nil
}

// plain leaves the name of the Go package out of an error.
func plain(err error) error {
	return errors.New(strings.TrimPrefix(strings.TrimPrefix(err.Error(), "x509: "), "tls: "))
}

// usable finds keys that can be read and not be used for TLS.
func usable(key crypto.Signer) error {
	switch k := key.(type) {
	case *ecdsa.PrivateKey:
		if k.Curve == elliptic.P224() {
			return errors.New("key: TLS does not know the curve P-224: want P-256, P-384 or P-521")
		}
	case *rsa.PrivateKey:
		if k.N.BitLen() < 1024 {
			return fmt.Errorf("key: RSA of %d bits is not accepted by any client: want 2048 or more", k.N.BitLen())
		}
	case ed25519.PrivateKey:
	default:
		return fmt.Errorf("key: %T is no kind of key that TLS knows: want RSA, ECDSA or Ed25519", key)
	}
	return nil
}

func samePublic(a, b crypto.PublicKey) bool {
	k, ok := a.(interface{ Equal(crypto.PublicKey) bool })
	return ok && k.Equal(b)
}

func keyKind(public crypto.PublicKey) string {
	switch k := public.(type) {
	case *rsa.PublicKey:
		return fmt.Sprintf("RSA-%d", k.N.BitLen())
	case *ecdsa.PublicKey:
		return "ECDSA " + k.Curve.Params().Name
	case ed25519.PublicKey:
		return "Ed25519"
	}
	return fmt.Sprintf("%T", public)
}

// subject is how messages call a certificate.
func subject(c *x509.Certificate) string {
	if len(c.DNSNames) > 0 {
		return c.DNSNames[0]
	}
	return oneLine(c.RawSubject)
}

// instead says what a file holds that has not what is wanted.
func instead(text []byte) string {
	text = bytes.TrimSpace(text)
	switch block, _ := pem.Decode(text); {
	case len(text) == 0:
		return "; the file is empty"
	case block != nil:
		return fmt.Sprintf("; the file has %s", block.Type)
	case text[0] == 0x30:
		return "; the file may be DER: \"openssl x509 -inform der\" or \"openssl pkey -inform der\" makes PEM of it"
	}
	return ""
}

// orderChain puts the leaf first and behind each certificate the one that signed
// it. Only signatures count: those that signed nothing here keep their place behind
// the chain, as a client may know what to do with them (a cross-signed root).
func orderChain(given []*x509.Certificate, leaf int) (ordered []*x509.Certificate, notes []string) {
	left := slices.Clone(given)
	take := func(i int) {
		ordered = append(ordered, left[i])
		left = slices.Delete(left, i, i+1)
	}
	take(leaf)
	for {
		last := ordered[len(ordered)-1]
		if bytes.Equal(last.RawIssuer, last.RawSubject) {
			break
		}
		next := slices.IndexFunc(left, func(c *x509.Certificate) bool {
			return bytes.Equal(c.RawSubject, last.RawIssuer) && last.CheckSignatureFrom(c) == nil
		})
		if next < 0 {
			break
		}
		take(next)
	}
	for _, c := range left {
		if slices.ContainsFunc(ordered, c.Equal) {
			notes = append(notes, fmt.Sprintf("the certificate of %s is there twice; one is left out", subject(c)))
			continue
		}
		if !c.IsCA {
			notes = append(notes, fmt.Sprintf("the certificate of %s is no part of the chain of %s and left out", subject(c), subject(ordered[0])))
			continue
		}
		ordered = append(ordered, c)
	}
	if len(ordered) == len(given) && !slices.Equal(ordered, given) {
		notes = append(notes, fmt.Sprintf("the chain of %s was in another order and is put right", subject(ordered[0])))
	}
	return ordered, notes
}

// parseCAs reads the certificates that clients may be vouched for by.
func parseCAs(text []byte) (*x509.CertPool, error) {
	certificates, _, err := readPEM(text)
	if err != nil {
		return nil, fmt.Errorf("client CA: %w", err)
	}
	if len(certificates) == 0 {
		return nil, fmt.Errorf("client CA: there is no certificate, want PEM with -----BEGIN CERTIFICATE-----%s", instead(text))
	}
	pool := x509.NewCertPool()
	for _, c := range certificates {
		pool.AddCert(c)
	}
	return pool, nil
}
