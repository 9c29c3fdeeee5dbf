package accesslog

import (
	"net/netip"
	"time"
)

// Entry is what is known about a request that has ended. The zero value of a
// field means that it is not known or did not happen, and is written as "-" (JSON:
// left out).
//
// Slices and strings are only read, and only during Append: they may be views of
// the request's buffers.
type Entry struct {
	Time     time.Time     // when the first byte of the request was there
	Duration time.Duration // from then until the last byte of the answer was handed to the kernel

	Client netip.Addr     // the visitor, as far as trusted proxies tell; invalid: Peer's
	Peer   netip.AddrPort // the other end of the connection; invalid on a unix socket
	User   []byte         // who passed a password check

	Scheme    string // "http", "https"
	Method    []byte
	Target    []byte // as it was sent; empty when the head could not be read
	Protocol  string // "HTTP/1.1"
	Host      []byte
	Referer   []byte
	UserAgent []byte
	RequestID []byte

	Status       int   // 499, as nginx has it, when the client went away before it was answered
	ReceivedBody int64 // bytes of the request's body, decoded
	Sent         int64 // all bytes sent to the client
	SentHead     int64 // of them the head, interim answers too; the rest is the body with its framing

	Vassal     string
	Generation uint64 // of the vassal
	RuleFile   string // the rule that decided: "main.ini", 12
	RuleLine   int
	Upstream   string // the last address that was tried
	Retries    int    // attempts after the first

	Held      time.Duration // waited for a vassal that was not ready, or for its turn
	Connect   time.Duration // of the last attempt: until connected
	FirstByte time.Duration // of the last attempt: until the first byte came
	Exchange  time.Duration // of the last attempt: until its end

	TLS    string // "TLSv1.3"; empty on a plain connection
	Cipher string
	SNI    []byte

	Ended Ended

	// Variables answers for %(var.NAME) in a template; nil: none are known. An
	// interface and not a function, because a pointer costs no allocation to convert.
	Variables Variables
}

// Variables looks up what a template asks for by %(var.NAME): the name is as it
// stands there, for instance HTTP_COOKIE. The result is read at once.
type Variables interface {
	Variable(name string) []byte
}

// Ended says why a request did not end as it should have. The empty value: it did.
type Ended string

// Reasons. They are one word each, so that a line can be split at its spaces.
const (
	ClientGone  Ended = "client-gone"    // the client closed or reset its connection
	ClientSlow  Ended = "client-slow"    // too slow in sending the request or taking the answer
	BadRequest  Ended = "bad-request"    // not understood, or larger than allowed
	Limited     Ended = "limited"        // a limit on rate or number refused it
	NotReady    Ended = "not-ready"      // the vassal did not become ready in time
	Unreachable Ended = "unreachable"    // no connection to the upstream
	Timeout     Ended = "timeout"        // the upstream was silent for too long
	BadAnswer   Ended = "bad-answer"     // the upstream answered with something that is not the protocol
	Truncated   Ended = "truncated"      // the answer broke off after it had begun
	ShutDown    Ended = "shut-down"      // the front had to end before the request did
	Failed      Ended = "internal-error" // a fault of the front itself
)
