package errorpage

import (
	"net/netip"
	"time"
)

// Closure is one host, or many, in maintenance.
type Closure struct {
	Host       Host
	RetryAfter time.Duration  // 0 means five minutes
	Allow      []netip.Prefix // visitors who see the site all the same
	File       string         // a page of its own; empty: the error page for 503
	Content    []byte         // of File
}

// ParseClosure reads the value of maintenance:
// "HOST [FILE] [retry-after=SECONDS] [allow=ADDRESS[/BITS],…]".
func ParseClosure(value string) (Closure, error) { return Closure{}, nil }

// Maintenance is the compiled set. It is immutable; nil is usable: nothing is closed.
type Maintenance struct{}

// CompileMaintenance compiles closures. As with pages the most specific host counts,
// and of several for the same host the allow-lists add up.
func CompileMaintenance(closures []Closure) (*Maintenance, error) { return &Maintenance{}, nil }

// Closed tells whether host is closed to the visitor, and what to answer: nil lets
// the request through. host is canonical; the address is the visitor's as far as
// trusted proxies tell.
func (m *Maintenance) Closed(host []byte, visitor netip.Addr) *Notice { return nil }

// Notice is what a closed site answers: 503.
type Notice struct {
	RetryAfter int // seconds
}

// Append appends the body of the answer, as Pages.Append does; pages are those of
// the front, for closures without a page of their own. Of a, what the notice decides
// (Status, Text, RetryAfter, Reload) is set.
func (n *Notice) Append(dst []byte, a *Answer, pages *Pages) (body []byte, contentType string) {
	return dst, ""
}
