package sni

import (
	"crypto"
	"crypto/rsa"
	"crypto/tls"
	"slices"
	"strings"
)

// HTTP/2 asks for TLS 1.2 at least, and there for a key exchange that is ephemeral and
// a cipher that is authenticated (RFC 9113 §9.2). A client that offers HTTP/2 and not
// these would be closed on; it is better served by HTTP/1.1, which it offers too.

// protocols returns what ALPN offers. They have to be in every configuration: one
// without them would end HTTP/2 without a word.
func (p *Policy) protocols(f flavour) []string {
	if f.protocols == "" {
		return nil
	}
	var offered []string
	for protocol := range strings.SplitSeq(f.protocols, ",") {
		if protocol == "h2" && (p.NoHTTP2 || !p.Ciphers.http2()) {
			continue
		}
		offered = append(offered, protocol)
	}
	return offered
}

// withoutHTTP2 is the flavour for clients that must not be offered it.
func (f flavour) withoutHTTP2() flavour {
	kept := slices.DeleteFunc(strings.Split(f.protocols, ","), func(protocol string) bool { return protocol == "h2" })
	f.protocols = strings.Join(kept, ",")
	return f
}

// http2 reports whether HTTP/2 may be spoken with one of the suites.
func (c Ciphers) http2() bool {
	return c.newest || c.http2With(nil, all)
}

// http2With is the same of those that a client offers (nil: any), with a key of that
// kind.
func (c Ciphers) http2With(offered []uint16, kind uint32) bool {
	for i := range suites {
		s := &suites[i]
		if s.has&(kECDHE|aead) == kECDHE|aead && s.has&kind != 0 && slices.Contains(c.suites(), s.id) &&
			(offered == nil || slices.Contains(offered, s.id)) {
			return true
		}
	}
	return false
}

// http2With reports whether the connection that comes of a ClientHello may speak
// HTTP/2.
func (p *Policy) http2With(hello *tls.ClientHelloInfo, key crypto.PrivateKey) bool {
	_, newest := p.versions()
	switch {
	case newest >= tls.VersionTLS13 && slices.Contains(hello.SupportedVersions, tls.VersionTLS13):
		return true
	case newest < tls.VersionTLS12 || !slices.Contains(hello.SupportedVersions, tls.VersionTLS12):
		return false
	}
	kind := uint32(aECDSA) // Ed25519 goes with these, too
	if _, ok := key.(*rsa.PrivateKey); ok {
		kind = aRSA
	}
	return p.Ciphers.http2With(hello.CipherSuites, kind)
}
