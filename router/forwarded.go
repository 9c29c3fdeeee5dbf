package router

import (
	"bytes"

	"emperor/router/http1"
)

// What the client says about connections before its own (X-Forwarded-*, Forwarded)
// is believed only if it is a proxy we trust: then it stays, and its address is
// appended to what lists addresses. From anybody else it is dropped, or replaced
// where we know better.
//
// A vassal that speaks uwsgi, FastCGI or SCGI learns the client's address from
// REMOTE_ADDR, so nothing is added for it. One that speaks HTTP is told by
// X-Forwarded-For, -Proto and -Host; not by -Port, as we can't know which port the
// visitor used when one is mapped to another before us.

var forwardedKinds = http1.KindsOf(http1.XForwardedFor, http1.XForwardedProto, http1.XForwardedPort,
	http1.XForwardedHost, http1.XForwardedSSL, http1.Forwarded)

// dropForeignForwarded marks what a peer we do not trust may not tell a vassal as
// not to be passed on. What has a replacement is written anew.
func (x *exchange) dropForeignForwarded() {
	fields := x.request.Fields
	for i := range fields {
		f := &fields[i]
		if f.Kind == http1.Other && isForeign(f.Name) {
			f.Flags |= http1.HopByHop
		}
	}
}

// isForeign tells which fields beside those of forwardedKinds speak of connections
// before the client's own.
func isForeign(name []byte) bool {
	return len(name) > len(forwardedPrefix) && bytes.EqualFold(name[:len(forwardedPrefix)], forwardedPrefix) || sameName(name, "x-request-start")
}

// believed is the value of a field for rules and the log, which see what vassals do.
// ok is false for what a stranger may not say.
func (x *exchange) believed(f *http1.Field) (value []byte, ok bool) {
	switch {
	case x.trusted:
		return f.Value, true
	case forwardedKinds.Has(f.Kind):
		return x.forwardedValue(f)
	case f.Kind == http1.Other && isForeign(f.Name):
		return nil, false
	}
	return f.Value, true
}

var forwardedPrefix = []byte("X-Forwarded-")

// forwardedValue says what becomes of field f, for vassals that do not speak HTTP.
// keep false leaves it out.
func (x *exchange) forwardedValue(f *http1.Field) (value []byte, keep bool) {
	if x.trusted {
		// Several such fields make one list, and we are appended once, at its end.
		if !lists(f.Kind) || f != x.lastOf(f.Kind) || !x.peer.remote.IsValid() {
			return f.Value, true
		}
		x.scratch = x.scratch[:0]
		if len(f.Value) > 0 {
			x.scratch = append(append(x.scratch, f.Value...), ", "...)
		}
		x.scratch = x.appendPeer(x.scratch, f.Kind)
		return x.scratch, true
	}
	switch f.Kind {
	case http1.XForwardedFor:
		return x.peer.remoteAddr, f == x.lastOf(f.Kind)
	case http1.XForwardedProto:
		return []byte(x.scheme()), f == x.lastOf(f.Kind)
	}
	return nil, false
}

// lists tells which fields list the addresses of all proxies on the way.
func lists(k http1.Kind) bool { return k == http1.XForwardedFor || k == http1.Forwarded }

// appendPeer appends the peer's address as it stands in such a list.
func (x *exchange) appendPeer(dst []byte, list http1.Kind) []byte {
	switch {
	case list == http1.XForwardedFor:
		return append(dst, x.peer.remoteAddr...)
	case x.peer.remote.Is6():
		return append(append(append(dst, `for="[`...), x.peer.remoteAddr...), `]"`...) // RFC 7239, 6
	}
	return append(append(dst, "for="...), x.peer.remoteAddr...)
}

func (x *exchange) scheme() string { return x.peer.scheme }

func (x *exchange) lastOf(kind http1.Kind) *http1.Field {
	fields := x.request.Fields
	for i := len(fields) - 1; i >= 0; i-- {
		if fields[i].Kind == kind {
			return &fields[i]
		}
	}
	return nil
}

// appendForwarded appends the lines for a vassal that speaks HTTP and so sees
// nothing of the client but what we tell it.
func (x *exchange) appendForwarded(dst []byte, trusted bool) []byte {
	dst = x.appendList(dst, http1.XForwardedFor, "X-Forwarded-For: ", trusted)
	if f := x.lastOf(http1.XForwardedProto); trusted && f != nil {
		dst = appendLine(dst, "X-Forwarded-Proto: ", f.Value)
	} else {
		dst = append(append(append(dst, "X-Forwarded-Proto: "...), x.scheme()...), "\r\n"...)
	}
	if f := x.lastOf(http1.XForwardedHost); trusted && f != nil {
		dst = appendLine(dst, "X-Forwarded-Host: ", f.Value)
	} else if len(x.request.HostField) > 0 {
		dst = appendLine(dst, "X-Forwarded-Host: ", x.request.HostField)
	}
	if !trusted {
		return dst
	}
	if f := x.lastOf(http1.XForwardedPort); f != nil {
		dst = appendLine(dst, "X-Forwarded-Port: ", f.Value)
	}
	if f := x.lastOf(http1.XForwardedSSL); f != nil {
		dst = appendLine(dst, "X-Forwarded-Ssl: ", f.Value)
	}
	if x.lastOf(http1.Forwarded) != nil {
		dst = x.appendList(dst, http1.Forwarded, "Forwarded: ", true)
	}
	return dst
}

// appendList appends one field of all addresses on the way: what a trusted peer
// says, and the peer.
func (x *exchange) appendList(dst []byte, kind http1.Kind, name string, trusted bool) []byte {
	dst = append(dst, name...)
	separator := ""
	if trusted {
		for i := range x.request.Fields {
			if f := &x.request.Fields[i]; f.Kind == kind && len(f.Value) > 0 {
				dst = append(append(dst, separator...), f.Value...)
				separator = ", "
			}
		}
	}
	// The peer of a unix socket has no address. Where a proxy told us the
	// visitor's, 0.0.0.0 behind it would only hide that.
	if x.peer.remote.IsValid() || separator == "" {
		dst = x.appendPeer(append(dst, separator...), kind)
	}
	return append(dst, "\r\n"...)
}

func appendLine(dst []byte, name string, value []byte) []byte {
	return append(append(append(dst, name...), value...), "\r\n"...)
}
