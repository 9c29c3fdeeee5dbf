package sni

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// key is what loaded pairs are found by.
type key struct {
	source   Source
	clientCA File
}

func keyOf(c *Choice) key { return key{c.Source, c.ClientCA} }

// has reports whether the key's files include that of a path.
func (k *key) has(path string) bool {
	return k.source.Certificate.is(path) || k.source.Key.is(path) || k.clientCA.is(path)
}

// loaded is a pair in use, with its client CAs. Only its configurations change.
type loaded struct {
	key  key
	name string // that it was loaded for
	pair *Pair
	cas  *pool // nil for none

	mu       sync.Mutex // for writers of variants
	variants atomic.Pointer[[]*variant]
}

// pool is a set of client CAs that pairs share: a thousand names with one bundle of
// CAs hold it once.
type pool struct {
	digest [sha256.Size]byte
	certs  *x509.CertPool
	users  int // guarded by Certificates.mu
}

// flavour is what listeners differ in.
type flavour struct {
	protocols string // joined by commas
	context   string
}

// variant is the configuration of a pair under one policy for one kind of listener.
type variant struct {
	id      PolicyID
	flavour flavour
	config  *tls.Config
	scope   string        // of its tickets
	tickets atomic.Uint64 // Ring.version of the keys that config has
}

// mostVariants bounds the configurations of one pair: policies that were changed
// while it stayed loaded leave some behind.
const mostVariants = 8

// configFor returns the configuration for a choice.
func (l *loaded) configFor(c *Choice, f flavour, ring *Ring, now func() time.Time) *tls.Config {
	v := l.find(c.id, f)
	if v == nil {
		v = l.add(c, f, now)
	}
	if version := ring.version(); v.tickets.Load() != version {
		v.config.SetSessionTicketKeys(ring.keys(v.scope))
		v.tickets.Store(version)
	}
	return v.config
}

func (l *loaded) find(id PolicyID, f flavour) *variant {
	all := l.variants.Load()
	if all == nil {
		return nil
	}
	for _, v := range *all {
		if v.flavour == f && v.id == id {
			return v
		}
	}
	return nil
}

func (l *loaded) add(c *Choice, f flavour, now func() time.Time) *variant {
	l.mu.Lock()
	defer l.mu.Unlock()
	if v := l.find(c.id, f); v != nil {
		return v
	}
	v := &variant{id: c.id, flavour: f, scope: l.scope(c, f), config: c.Policy.config(f, now)}
	v.config.Certificates = []tls.Certificate{l.pair.Certificate}
	if l.cas != nil {
		v.config.ClientCAs = l.cas.certs
	}
	all := []*variant{v}
	if old := l.variants.Load(); old != nil {
		all = append(all, (*old)[:min(len(*old), mostVariants-1)]...)
	}
	l.variants.Store(&all)
	return v
}

// scope spells what a session must have in common with the one that it resumes: the
// files, the policy, what the client CAs were, and the listener's context. It does
// not say what the certificate was: a renewed one ends no sessions.
func (l *loaded) scope(c *Choice, f flavour) string {
	parts := []string{
		l.key.source.Certificate.Path(), l.key.source.Key.Path(), l.key.clientCA.Path(),
		c.id.terms, fmt.Sprint(c.id.client.auth, c.id.client.depth), f.context,
	}
	if l.cas != nil {
		parts = append(parts, hex.EncodeToString(l.cas.digest[:]))
	}
	return strings.Join(parts, "\x00")
}

// config makes the part of a configuration that a policy decides. CurvePreferences
// stay unset, so that clients get the post-quantum key exchange that Go puts first.
func (p *Policy) config(f flavour, now func() time.Time) *tls.Config {
	low, high := p.versions()
	config := &tls.Config{
		MinVersion:   low,
		MaxVersion:   high,
		CipherSuites: p.Ciphers.suites(),
		NextProtos:   p.protocols(f),
		Time:         now,

		SessionTicketsDisabled: p.NoTickets,
	}
	switch p.Client {
	case RequestClientCert:
		config.ClientAuth = tls.VerifyClientCertIfGiven
	case RequireClientCert:
		config.ClientAuth = tls.RequireAndVerifyClientCert
	}
	if p.SessionTime > 0 {
		limitSessions(config, p.SessionTime, now)
	}
	if depth := p.depth(); p.Client != NoClientCert && depth >= 0 {
		config.VerifyConnection = func(state tls.ConnectionState) error { return checkDepth(&state, depth) }
	}
	return config
}

var errDepth = errors.New("the client's certificate is further from its CA than ssl-verify-depth allows")

// checkDepth refuses clients whose certificate has more than depth others between it
// and the CA, on every way. It runs for resumed sessions too.
func checkDepth(state *tls.ConnectionState, depth int) error {
	if len(state.VerifiedChains) == 0 {
		return nil
	}
	for _, chain := range state.VerifiedChains {
		if len(chain)-2 <= depth {
			return nil
		}
	}
	return errDepth
}
