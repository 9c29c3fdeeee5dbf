package sni

import (
	"context"
	"crypto/tls"
	"fmt"
	"slices"
	"strings"
)

// ListenerOptions say what a listener has of its own.
type ListenerOptions struct {
	// Own says what names get that the table does not know, and clients that ask
	// for none; nil: the alert unrecognized_name.
	Own *Entry
	// Protocols are what ALPN offers, "h2" and "http/1.1" if nil; empty and not nil:
	// no ALPN at all.
	Protocols []string
	// SessionContext keeps this listener's sessions apart from others'
	// (https-session-context).
	SessionContext string
}

// A Listener makes the TLS configuration of connections that one listening socket
// accepts.
type Listener struct {
	certificates *Certificates
	own          *Choice
	flavour      flavour
	older        flavour // for clients that HTTP/2 is not for
	config       *tls.Config
	plain        *tls.Config
	refuse       *tls.Config
}

// Listener returns a new listener. The error is that of its own entry.
func (c *Certificates) Listener(o ListenerOptions) (*Listener, error) {
	if o.Protocols == nil {
		o.Protocols = []string{"h2", "http/1.1"}
	}
	l := &Listener{
		certificates: c,
		flavour:      flavour{protocols: strings.Join(o.Protocols, ","), context: o.SessionContext},
	}
	l.older = l.flavour.withoutHTTP2()
	if o.Own != nil {
		own, err := OwnChoice(*o.Own)
		if err != nil {
			return nil, err
		}
		l.own = &own
	}
	l.config = &tls.Config{GetConfigForClient: l.configFor, MinVersion: tls.VersionTLS12, NextProtos: o.Protocols}
	l.plain = &tls.Config{GetConfigForClient: l.plainConfigFor, MinVersion: tls.VersionTLS12}
	// No certificate and no error is what crypto/tls answers with unrecognized_name.
	// An error from GetConfigForClient would be internal_error, and our fault.
	l.refuse = &tls.Config{
		MinVersion:     tls.VersionTLS12,
		NextProtos:     o.Protocols,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return nil, nil },
	}
	return l, nil
}

// Own returns what the listener's own entry gives; false if it has none.
func (l *Listener) Own() (Choice, bool) {
	if l.own == nil {
		return Choice{}, false
	}
	return *l.own, true
}

// OwnChoice returns what a listener's own entry gives, as for [Certificates.Put].
func OwnChoice(e Entry) (Choice, error) {
	if err := e.Policy.check(); err != nil {
		return Choice{}, Problem{At: e.At, Err: err}
	}
	return e.choice(Default, ""), nil
}

// TLSConfig returns the configuration to give to [crypto/tls.Server]. It is always
// the same; tables and pairs change behind it.
func (l *Listener) TLSConfig() *tls.Config { return l.config }

// PlainConfig is TLSConfig for connections whose decrypted bytes go on to somebody who
// does not know of TLS. To such a client the protocol is promised that it offers first:
// some insist on one ("postgresql", "dot"). But HTTP/2 is never promised, which nobody
// expects without TLS, and http/1.1 comes before everything else.
func (l *Listener) PlainConfig() *tls.Config { return l.plain }

func (l *Listener) plainConfigFor(hello *tls.ClientHelloInfo) (*tls.Config, error) {
	config, err := l.configFor(hello)
	if err != nil || config == l.refuse || slices.Contains(hello.SupportedProtos, ChallengeProtocol) {
		return config, err
	}
	config = config.Clone()
	config.NextProtos = nil
	offered := slices.DeleteFunc(slices.Clone(hello.SupportedProtos), func(p string) bool { return p == "h2" || p == "" })
	if slices.Contains(offered, "http/1.1") {
		offered = []string{"http/1.1"}
	}
	if len(offered) > 0 {
		config.NextProtos = offered[:1]
	}
	return config, nil
}

// configFor answers a ClientHello.
func (l *Listener) configFor(hello *tls.ClientHelloInfo) (*tls.Config, error) {
	if config := l.certificates.challenge(hello); config != nil {
		return config, nil
	}
	ctx := hello.Context()
	h, ok := ctx.Value(handshakeKey{}).(*Handshake)
	if !ok {
		h = &Handshake{}
	}
	pair := l.choose(ctx, h, hello.ServerName)
	if pair == nil {
		return l.refuse, nil
	}
	c, flavour := l.certificates, l.flavour
	if flavour != l.older && !h.Choice.Policy.http2With(hello, pair.pair.PrivateKey) {
		flavour = l.older
	}
	return pair.configFor(&h.Choice, flavour, c.options.Tickets, c.options.Now), nil
}

// Explain returns what a handshake would note in which the client asks for that name;
// its String is what a log says of it.
func (l *Listener) Explain(ctx context.Context, asked string) Handshake {
	h := Handshake{Context: ctx}
	l.choose(ctx, &h, asked)
	return h
}

// load returns the pair of a choice. One that is being ordered may take seconds: who
// has something else to show does not wait for it.
func (l *Listener) load(ctx context.Context, name string, choice *Choice) (*loaded, error) {
	if l.own != nil && choice.Kind == Ordered {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, patience)
		defer cancel()
	}
	return l.certificates.get(ctx, name, choice)
}

// choose finds the pair for what the client asked for and notes it in h; nil if
// there is none.
func (l *Listener) choose(ctx context.Context, h *Handshake, asked string) *loaded {
	h.Asked, h.Name, h.Choice, h.Reason = asked, "", Choice{}, ErrNoName
	if asked != "" {
		name, err := CanonicalName(asked)
		if err != nil {
			h.Reason = fmt.Errorf("no host name: %w", err)
		} else {
			h.Name, h.Reason = name, ErrUnknownName
			if choice, ok := l.certificates.find(l.certificates.Table(), name); ok {
				pair, err := l.load(ctx, name, &choice)
				if err == nil {
					h.Choice, h.Reason = choice, nil
					return pair
				}
				h.Reason = err
			}
		}
	}
	if l.own == nil {
		return nil
	}
	pair, err := l.certificates.get(ctx, "", l.own)
	if err != nil {
		if h.Reason != ErrNoName {
			err = fmt.Errorf("%w; and the listener's own: %w", h.Reason, err)
		}
		h.Reason = err
		return nil
	}
	h.Choice = *l.own
	return pair
}

// Find returns what a name gets on this listener, its own certificate included. The
// name has to be canonical.
func (l *Listener) Find(name string) (Choice, bool) {
	if c, ok := l.certificates.find(l.certificates.Table(), name); ok {
		return c, true
	}
	if l.own != nil {
		return *l.own, true
	}
	return Choice{}, false
}

// Misdirected reports whether a request for host must be answered 421 on a
// connection that began with h, because the host demands something that was not
// asked of this connection. Host is without port. A host without a certificate
// demands nothing.
//
// For the very name that the connection was made for, only another demand for a
// client certificate counts: a change of cipher suites is no reason to fail the
// requests of connections that are there.
func (l *Listener) Misdirected(h *Handshake, host string) bool {
	if canonical, err := CanonicalName(host); err == nil {
		host = canonical
	}
	c, ok := l.Find(host)
	if !ok || c.id == h.Choice.id {
		return false
	}
	if host == h.Name {
		return c.id.client != clientTerms{} && c.id.client != h.Choice.id.client
	}
	return true
}
