package sni

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
)

// A Handshake notes what was chosen for one connection. Give it to
// [crypto/tls.Conn.HandshakeContext] as the context:
//
//	h := sni.Handshake{Context: ctx}
//	err := conn.HandshakeContext(&h)
//
// and read it afterwards, whether the handshake went well or not.
type Handshake struct {
	context.Context

	// Name is what the client asked for, canonical; empty if it asked for none or
	// for what is no host name.
	Name string
	// Asked is the same as it was sent; quote it for a log.
	Asked string
	// Choice is what it got; its Kind is Unknown if there was none, and Default for
	// the listener's own.
	Choice Choice
	// Reason is why the client did not get a certificate of its name's own: it is
	// ErrNoName, ErrUnknownName or why the pair could not be loaded. It is nil if it
	// did.
	Reason error
}

// Errors of a Handshake.
var (
	// ErrUnknownName: there is no certificate for this name.
	ErrUnknownName = errors.New("unknown name")
	// ErrNoName: the client asked for no name.
	ErrNoName = errors.New("the client asked for no name")
)

type handshakeKey struct{}

// Value makes the Handshake reachable from a ClientHelloInfo's context.
func (h *Handshake) Value(key any) any {
	if _, ok := key.(handshakeKey); ok {
		return h
	}
	return h.Context.Value(key)
}

// String says which certificate was chosen or why none, for a log line about a
// handshake that failed and for "explain".
func (h *Handshake) String() string {
	text := "no name"
	if h.Asked != "" {
		text = fmt.Sprintf("name %.255q", h.Asked) // it may be 64 KiB long
	}
	text += ": " + h.Choice.String()
	if h.Reason != nil && h.Reason != ErrNoName {
		text += ": " + h.Reason.Error()
	}
	return text
}

// PlainHTTP reports whether a handshake failed because the client speaks HTTP
// without TLS. It may be told so, in plain text, on [tls.RecordHeaderError]'s Conn.
func PlainHTTP(err error) bool {
	var not tls.RecordHeaderError
	if !errors.As(err, &not) || not.Conn == nil {
		return false
	}
	for _, start := range [...]string{"GET /", "HEAD ", "POST ", "PUT /", "OPTIO", "DELET", "PATCH", "TRACE", "CONNE", "PRI *"} {
		if bytes.HasPrefix(not.RecordHeader[:], []byte(start)) {
			return true
		}
	}
	return false
}
