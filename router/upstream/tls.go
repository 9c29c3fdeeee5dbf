package upstream

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
)

// TLSOptions say how a vassal behind TLS is spoken to and what it has to prove.
type TLSOptions struct {
	// ServerName is sent as SNI, unless it is an IP address.
	ServerName string
	// VerifyName is the name or IP address that the certificate has to be for; ""
	// means ServerName.
	VerifyName string
	// Roots holds the CA certificates to trust, in PEM. Nil means the system's,
	// which have to be readable when NewTLS is called.
	Roots []byte
	// Certificate is ours, for vassals that ask for one. Nil means none.
	Certificate *tls.Certificate
	// ALPN lists the protocols offered; nil means http/1.1.
	ALPN []string
	// Insecure makes any certificate do.
	Insecure bool
}

// TLS is TLSOptions made ready: immutable, for any number of connections. Two
// made of the same options share pooled connections, two that differ in anything
// do not.
type TLS struct {
	config  *tls.Config
	options TLSOptions
	key     string
}

// NewTLS checks the options. It reads the system's CA certificates if they are to
// be trusted.
func NewTLS(o TLSOptions) (*TLS, error) {
	if o.ALPN == nil {
		o.ALPN = []string{"http/1.1"}
	}
	if o.VerifyName == "" {
		o.VerifyName = o.ServerName
	}
	config := &tls.Config{
		MinVersion:         tls.VersionTLS12,
		ServerName:         o.ServerName,
		NextProtos:         slices.Clone(o.ALPN),
		InsecureSkipVerify: o.Insecure || o.VerifyName != o.ServerName,
		ClientSessionCache: tls.NewLRUClientSessionCache(0),
	}
	if o.Certificate != nil {
		config.Certificates = []tls.Certificate{*o.Certificate}
	}
	if !o.Insecure {
		if o.VerifyName == "" {
			return nil, errNoName
		}
		roots, err := roots(o.Roots)
		if err != nil {
			return nil, err
		}
		config.RootCAs = roots
		if o.VerifyName != o.ServerName {
			config.VerifyConnection = verifier(roots, o.VerifyName)
		}
	}
	return &TLS{config: config, options: o, key: o.fingerprint()}, nil
}

// For is t for another name, to be sent and to be proved. What is the same for all
// names, the CA certificates above all, exists once.
func (t *TLS) For(name string) (*TLS, error) {
	if name == "" && !t.options.Insecure {
		return nil, errNoName
	}
	named := &TLS{config: t.config.Clone(), options: t.options}
	named.options.ServerName, named.options.VerifyName = name, name
	named.config.ServerName, named.config.InsecureSkipVerify, named.config.VerifyConnection = name, t.options.Insecure, nil
	named.config.ClientSessionCache = tls.NewLRUClientSessionCache(0)
	named.key = named.options.fingerprint()
	return named, nil
}

var errNoName = errors.New("a certificate can't be verified without the name it should be for")

func roots(pem []byte) (*x509.CertPool, error) {
	if pem != nil {
		pool := x509.NewCertPool()
		if !pool.AppendCertsFromPEM(pem) {
			return nil, errors.New("no CA certificate in PEM (-----BEGIN CERTIFICATE-----)")
		}
		return pool, nil
	}
	pool, err := x509.SystemCertPool()
	if err != nil {
		return nil, fmt.Errorf("the system's CA certificates: %w", err)
	}
	if pool.Equal(x509.NewCertPool()) {
		return nil, errors.New("the system has no CA certificates: install ca-certificates, or name a CA")
	}
	return pool, nil
}

// verifier checks the certificate for another name than the one sent as SNI,
// which crypto/tls has no option for. It runs for resumed sessions, too.
func verifier(roots *x509.CertPool, name string) func(tls.ConnectionState) error {
	return func(s tls.ConnectionState) error {
		if len(s.PeerCertificates) == 0 {
			return errors.New("the vassal sent no certificate")
		}
		o := x509.VerifyOptions{Roots: roots, DNSName: name, Intermediates: x509.NewCertPool()}
		for _, c := range s.PeerCertificates[1:] {
			o.Intermediates.AddCert(c)
		}
		_, err := s.PeerCertificates[0].Verify(o)
		return err
	}
}

// fingerprint is the same for the same options only.
func (o *TLSOptions) fingerprint() string {
	h := sha256.New()
	part := func(b []byte) {
		var size [8]byte
		binary.BigEndian.PutUint64(size[:], uint64(len(b)))
		h.Write(size[:])
		h.Write(b)
	}
	part([]byte(o.ServerName))
	part([]byte(o.VerifyName))
	part(fmt.Append(nil, o.Insecure, o.Roots == nil, len(o.ALPN)))
	part(o.Roots)
	for _, p := range o.ALPN {
		part([]byte(p))
	}
	if o.Certificate != nil {
		for _, c := range o.Certificate.Certificate {
			part(c)
		}
	}
	return string(h.Sum(nil))
}
