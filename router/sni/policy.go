package sni

import (
	"crypto/tls"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// ClientAuth says what is asked of a client.
type ClientAuth uint8

const (
	// NoClientCert asks for nothing.
	NoClientCert ClientAuth = iota
	// RequestClientCert asks for a certificate and goes on without. One that is sent
	// has to be good.
	RequestClientCert
	// RequireClientCert goes on only with a good certificate.
	RequireClientCert
)

// DefaultVerifyDepth is how many certificates may stand between a client's and its
// CA: OpenSSL's meaning of ssl-verify-depth, and uWSGI's default.
const DefaultVerifyDepth = 1

// NoneBetween is the VerifyDepth of ssl-verify-depth = 0: the CA has signed the
// client's certificate itself.
const NoneBetween = math.MinInt

// A Policy is what a name demands of a connection, apart from the certificate that
// it shows. The zero Policy is TLS 1.2 or newer, Go's secure suites, HTTP/2 where
// the listener speaks it and no client certificate. A Policy is not changed once it
// is part of a Table or Listener.
type Policy struct {
	// MinVersion and MaxVersion are those of crypto/tls; 0 stands for TLS 1.2 and
	// for the newest.
	MinVersion, MaxVersion uint16
	Ciphers                Ciphers
	Client                 ClientAuth
	ClientCA               File // where the CAs are, if Client asks for a certificate
	// VerifyDepth bounds the certificates between a client's and its CA. 0 stands
	// for DefaultVerifyDepth, NoneBetween for none, another negative number for no
	// bound.
	VerifyDepth int
	// SessionTime is how long a session ticket can be used (ssl-sessions-timeout). 0:
	// as long as its key is kept. Whoever uses one in time gets a new one.
	SessionTime time.Duration
	NoHTTP2     bool // keeps a name to HTTP/1.1
	NoTickets   bool // sessions are not resumed
}

// A PolicyID tells policies apart and is comparable: two names with the same may
// share a connection. It goes by the names of files and not by what is in them: a
// client CA that is replaced does not make requests on kept connections fail.
type PolicyID struct {
	terms  string // versions, suites, HTTP/2, tickets
	client clientTerms
}

// clientTerms is the part of a policy that decides who the client is.
type clientTerms struct {
	auth  ClientAuth
	depth int
	ca    File
}

// ID returns what tells p from other policies.
func (p *Policy) ID() PolicyID {
	id := PolicyID{terms: p.terms()}
	if p.Client != NoClientCert {
		id.client = clientTerms{auth: p.Client, depth: p.depth(), ca: p.ClientCA}
	}
	return id
}

func (p *Policy) depth() int {
	switch {
	case p.VerifyDepth == 0:
		return DefaultVerifyDepth
	case p.VerifyDepth == NoneBetween:
		return 0
	case p.VerifyDepth < 0:
		return -1
	}
	return p.VerifyDepth
}

// terms spells everything but what is about the client, canonically.
func (p *Policy) terms() string {
	var b strings.Builder
	low, high := p.versions()
	b.WriteString(strconv.Itoa(int(low)) + "-" + strconv.Itoa(int(high)))
	for _, suite := range p.Ciphers.suites() {
		b.WriteString("," + strconv.Itoa(int(suite)))
	}
	if p.NoHTTP2 {
		b.WriteString(",http/1.1")
	}
	if p.NoTickets {
		b.WriteString(",no tickets")
	}
	return b.String()
}

// versions returns the oldest and the newest TLS version.
func (p *Policy) versions() (low, high uint16) {
	low, high = p.MinVersion, p.MaxVersion
	if low == 0 {
		low = tls.VersionTLS12
	}
	if high == 0 {
		high = tls.VersionTLS13
	}
	if p.Ciphers.newest && low < tls.VersionTLS13 {
		low = tls.VersionTLS13
	}
	return low, high
}

// check finds policies that cannot be kept.
func (p *Policy) check() error {
	if low, high := p.versions(); low > high {
		return fmt.Errorf("no TLS version is left: the oldest allowed is %s, the newest %s", tls.VersionName(low), tls.VersionName(high))
	}
	if p.Client != NoClientCert && p.ClientCA.IsZero() {
		return errNoClientCA
	}
	return nil
}
