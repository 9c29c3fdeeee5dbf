package acme

import (
	"crypto/tls"
	"crypto/x509"
	"slices"
	"strings"

	"github.com/caddyserver/certmagic"

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

// reserved are top-level domains that the public DNS never has (RFC 6761, 9476).
var reserved = []string{"test", "example", "invalid", "alt", "onion"}

// Public tells whether a public authority may have a certificate for a name.
func Public(name string) bool {
	top := name[strings.LastIndexByte(name, '.')+1:]
	return certmagic.SubjectQualifiesForPublicCert(name) && !slices.Contains(reserved, top)
}

// IsPublic tells whether an authority is one that the whole world trusts.
func IsPublic(ca string) bool { return strings.Contains(ca, ".api.letsencrypt.org/") }

// compareNames puts hosts of one domain together.
func compareNames(a, b string) int { return strings.Compare(a, b) }

func lastPart(urn string) string { return urn[strings.LastIndexByte(urn, ':')+1:] }
