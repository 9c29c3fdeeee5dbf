package sni

import (
	"crypto/tls"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// OpenSSL's SSL_OP_ bits that mean something here.
const (
	opNoTicket = 1 << 14
	opNoTLS10  = 1 << 26
	opNoTLS12  = 1 << 27
	opNoTLS11  = 1 << 28
	opNoTLS13  = 1 << 29

	// What is so anyway: no session resumption when renegotiating (there is no
	// renegotiation), no compression, the server's order of suites, no SSL 3.
	opAnyway = 1<<16 | 1<<17 | 1<<22 | 1<<25 | 1<<30
)

// WithSSLOption returns p with the bits of an ssl-option, OpenSSL's SSL_OP_ numbers:
// 536870912 leaves TLS 1.3 out, 16384 session tickets. The note is for a log: bits
// that ask for what Go does not do.
func (p Policy) WithSSLOption(value string) (changed Policy, note string, err error) {
	bits, err := strconv.ParseUint(strings.TrimSpace(value), 0, 64)
	if err != nil {
		return p, "", fmt.Errorf("%q is no number of SSL_OP_ bits, want one such as 536870912 (no TLS 1.3)", value)
	}
	var left []uint16
	low, high := p.versions()
	for version := low; version <= high; version++ {
		if bits&versionBit(version) == 0 {
			left = append(left, version)
		}
	}
	if len(left) == 0 {
		return p, "", errors.New("the bits leave no TLS version")
	}
	p.MinVersion, p.MaxVersion = left[0], left[len(left)-1]
	if int(p.MaxVersion-p.MinVersion) != len(left)-1 {
		return p, "", fmt.Errorf("the bits leave a version out between %s and %s, which cannot be: want to leave out the oldest or the newest", tls.VersionName(p.MinVersion), tls.VersionName(p.MaxVersion))
	}
	p.NoTickets = p.NoTickets || bits&opNoTicket != 0
	if rest := bits &^ (opNoTicket | opNoTLS10 | opNoTLS11 | opNoTLS12 | opNoTLS13 | opAnyway); rest != 0 {
		note = fmt.Sprintf("the bits %#x have no effect, they ask for what this TLS library does not do", rest)
	}
	return p, note, nil
}

func versionBit(version uint16) uint64 {
	switch version {
	case tls.VersionTLS10:
		return opNoTLS10
	case tls.VersionTLS11:
		return opNoTLS11
	case tls.VersionTLS12:
		return opNoTLS12
	case tls.VersionTLS13:
		return opNoTLS13
	}
	return 0
}
