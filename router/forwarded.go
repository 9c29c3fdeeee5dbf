package router

import (
	"bytes"

	"emperor/router/http1"
)

// What the client says about its own connection in X-Forwarded-* fields is
// believed only if it is a proxy we trust: then -Proto and -Port stay, and its
// address is appended to -For. From anybody else they are replaced.

var forwardedKinds = http1.KindsOf(http1.XForwardedFor, http1.XForwardedProto, http1.XForwardedPort,
	http1.XForwardedHost, http1.XForwardedSSL, http1.Forwarded)

// dropForeignForwarded marks the X-Forwarded-* fields of a peer we do not trust
// as not to be passed on. Those that have a replacement are written anew.
func (x *exchange) dropForeignForwarded() {
	fields := x.request.Fields
	for i := range fields {
		f := &fields[i]
		if f.Kind == http1.Other && len(f.Name) > len(forwardedPrefix) && bytes.EqualFold(f.Name[:len(forwardedPrefix)], forwardedPrefix) {
			f.Flags |= http1.HopByHop
		}
	}
}

var forwardedPrefix = []byte("X-Forwarded-")

// forwardedValue says what becomes of field f. keep false leaves it out.
func (x *exchange) forwardedValue(f *http1.Field, trusted bool) (value []byte, keep bool) {
	switch {
	case trusted && f.Kind != http1.XForwardedFor:
		return f.Value, true
	case trusted:
		// Several such fields make one list, and we are appended once, at its end.
		if f != x.lastForwardedFor() || !x.peer.remote.IsValid() {
			return f.Value, true
		}
		x.scratch = x.scratch[:0]
		if len(f.Value) > 0 {
			x.scratch = append(append(x.scratch, f.Value...), ", "...)
		}
		x.scratch = append(x.scratch, x.peer.remoteAddr...)
		return x.scratch, true
	}
	switch f.Kind {
	case http1.XForwardedFor:
		return x.peer.remoteAddr, f == x.lastForwardedFor()
	case http1.XForwardedProto:
		return []byte(x.scheme()), f == x.lastOf(http1.XForwardedProto)
	case http1.XForwardedPort:
		return []byte(x.peer.port), f == x.lastOf(http1.XForwardedPort)
	}
	return nil, false
}

func (x *exchange) scheme() string { return x.peer.scheme }

func (x *exchange) lastForwardedFor() *http1.Field { return x.lastOf(http1.XForwardedFor) }

func (x *exchange) lastOf(kind http1.Kind) *http1.Field {
	fields := x.request.Fields
	for i := len(fields) - 1; i >= 0; i-- {
		if fields[i].Kind == kind {
			return &fields[i]
		}
	}
	return nil
}

// appendForwarded appends the X-Forwarded-* lines for a vassal that speaks HTTP
// and so sees nothing of the client but what we tell it.
func (x *exchange) appendForwarded(dst []byte, trusted bool) []byte {
	dst = append(dst, "X-Forwarded-For: "...)
	separator := ""
	if trusted {
		for i := range x.request.Fields {
			if f := &x.request.Fields[i]; f.Kind == http1.XForwardedFor && len(f.Value) > 0 {
				dst = append(append(dst, separator...), f.Value...)
				separator = ", "
			}
		}
	}
	// The peer of a unix socket has no address. Where a proxy told us the
	// visitor's, 0.0.0.0 behind it would only hide that.
	if x.peer.remote.IsValid() || separator == "" {
		dst = append(append(dst, separator...), x.peer.remoteAddr...)
	}
	dst = append(dst, "\r\n"...)
	if proto := x.lastOf(http1.XForwardedProto); trusted && proto != nil {
		dst = append(append(append(dst, "X-Forwarded-Proto: "...), proto.Value...), "\r\n"...)
	} else {
		dst = append(append(append(dst, "X-Forwarded-Proto: "...), x.scheme()...), "\r\n"...)
	}
	if trusted {
		for _, kind := range [...]http1.Kind{http1.XForwardedPort, http1.XForwardedHost, http1.XForwardedSSL, http1.Forwarded} {
			if f := x.lastOf(kind); f != nil {
				dst = append(append(append(append(dst, f.Name...), ": "...), f.Value...), "\r\n"...)
			}
		}
	}
	return dst
}
