package sni

import (
	"crypto/tls"
	"slices"
)

// ChallengeProtocol is the only protocol that a certificate authority offers when it
// comes to see whether a name is ours (RFC 8737). No request follows on such a
// connection.
const ChallengeProtocol = "acme-tls/1"

// SetChallenges says what certificate authorities are shown from now on, by name.
func (c *Certificates) SetChallenges(shown map[string]*tls.Certificate) {
	configs := make(map[string]*tls.Config, len(shown))
	for name, certificate := range shown {
		configs[name] = &tls.Config{
			MinVersion:             tls.VersionTLS12,
			NextProtos:             []string{ChallengeProtocol},
			Certificates:           []tls.Certificate{*certificate},
			SessionTicketsDisabled: true,
		}
	}
	c.challenges.Store(&configs)
}

// challenge returns the configuration for a certificate authority; nil for everybody
// else.
func (c *Certificates) challenge(hello *tls.ClientHelloInfo) *tls.Config {
	configs := c.challenges.Load()
	if configs == nil || len(*configs) == 0 || !slices.Equal(hello.SupportedProtos, []string{ChallengeProtocol}) {
		return nil
	}
	name, err := CanonicalName(hello.ServerName)
	if err != nil {
		return nil
	}
	return (*configs)[name]
}
