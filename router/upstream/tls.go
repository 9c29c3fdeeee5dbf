package upstream

import (
	"crypto/tls"
	"time"
)

// TLSOptions say how a vassal behind TLS is spoken to and what it has to prove.
type TLSOptions struct {
	// ServerName is sent as SNI. Required, but for vassals named by an IP address,
	// where it is that address and nothing is sent.
	ServerName string
	// VerifyName is the name that the certificate has to be for; "" means
	// ServerName.
	VerifyName string
	// Roots holds CA certificates in PEM. Nil means the system's, which have to be
	// readable when NewTLS is called.
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
	config *tls.Config
	key    string
}

// NewTLS checks the options. It reads the system's CA certificates if it has to.
func NewTLS(o TLSOptions) (*TLS, error) { return &TLS{}, nil }

// StartTLS makes c, just dialled, a TLS connection, within the Deadline the
// caller has set. Everything else about c stays as it is: the same methods, the
// same limits. On error c is to be closed.
func (c *Conn) StartTLS(t *TLS) error { return nil }

// TakeTLS is Take for connections behind TLS. The caller dials a closed one and
// calls StartTLS.
func (p *Pool) TakeTLS(t *TLS, address string, bytes []byte, generation uint64, fresh time.Duration) *Pooled {
	return nil
}
