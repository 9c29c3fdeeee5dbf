package router

import (
	"bytes"
	"net/netip"
	"unsafe"

	"emperor/router/http1"
)

// identity is who asks, and what the request is called.
type identity struct {
	trusted      bool // the peer is a proxy that we believe
	visitorAddr  netip.Addr
	visitorKnown bool
	requestID    []byte
	ownID        bool // requestID was made here
}

func (i *identity) reset() { *i = identity{requestID: i.requestID[:0]} }

// visitor is who the request is from: the peer, or, where that is a proxy we
// trust, whom it names. X-Forwarded-For is walked from its end, where the nearest
// proxy wrote, until the first address that is not trusted. It is invalid for a
// peer on a unix socket that names nobody.
func (x *exchange) visitor() netip.Addr {
	if x.visitorKnown {
		return x.visitorAddr
	}
	x.visitorKnown, x.visitorAddr = true, x.peer.remote
	if !x.trusted {
		return x.visitorAddr
	}
	trusted := &x.settings.trusted
	for i := len(x.request.Fields) - 1; i >= 0; i-- {
		f := &x.request.Fields[i]
		if f.Kind != http1.XForwardedFor {
			continue
		}
		for rest := f.Value; len(rest) > 0; {
			var last []byte
			if comma := bytes.LastIndexByte(rest, ','); comma >= 0 {
				rest, last = rest[:comma], rest[comma+1:]
			} else {
				rest, last = nil, rest
			}
			named, ok := parseForwarded(last)
			if !ok {
				return x.visitorAddr // what stands before it can't be believed either
			}
			x.visitorAddr = named
			if !trusted.includes(named) {
				return named
			}
		}
	}
	return x.visitorAddr
}

// parseForwarded reads one address of X-Forwarded-For; some proxies add a port.
func parseForwarded(text []byte) (netip.Addr, bool) {
	text = bytes.TrimSpace(text)
	if len(text) == 0 || len(text) > 64 {
		return netip.Addr{}, false
	}
	// Nothing of what is parsed keeps the string: a zone is copied, and errors are
	// dropped here.
	view := unsafe.String(unsafe.SliceData(text), len(text))
	if a, err := netip.ParseAddr(view); err == nil {
		return a.Unmap(), true
	}
	if a, err := netip.ParseAddrPort(view); err == nil {
		return a.Addr().Unmap(), true
	}
	return netip.Addr{}, false
}

// visitorIf saves looking for the visitor where nobody needs it.
func (x *exchange) visitorIf(needed bool) netip.Addr {
	if !needed {
		return netip.Addr{}
	}
	return x.visitor()
}
