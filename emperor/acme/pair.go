package acme

import (
	"crypto/tls"
	"crypto/x509"
	"strings"

	"emperor/internal/link"
)

// pair is a certificate and its key as they are on disk, which belong together.
type pair struct {
	certificate, key []byte // PEM
	leaf             *x509.Certificate
}

func newPair(certificate, key []byte) (*pair, error) {
	p, err := tls.X509KeyPair(certificate, key)
	if err != nil {
		return nil, err
	}
	return &pair{certificate: certificate, key: key, leaf: p.Leaf}, nil
}

func (p *pair) material() *link.Material {
	return &link.Material{Certificate: p.certificate, Key: p.key}
}

// compareNames puts hosts of one domain together.
func compareNames(a, b string) int { return strings.Compare(a, b) }

func lastPart(urn string) string { return urn[strings.LastIndexByte(urn, ':')+1:] }
