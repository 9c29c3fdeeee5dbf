package proxyproto

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"
)

// MaxSize is the most that a header may have: the buffer to parse from needs this
// room. (Version 2 could announce 64 KiB; nobody sends more than a few hundred.)
const MaxSize = 4096

// Header is what a proxy says about a connection.
type Header struct {
	Version int // 1 or 2

	// Local: the header says nothing about a visitor (LOCAL, UNKNOWN or no address
	// family), for instance a health check by the proxy itself. The connection's own
	// addresses hold.
	Local bool

	// The visitor and the address it connected to; IPv4 in IPv6 is unmapped. Both
	// are invalid if Local or Unix.
	Source, Destination netip.AddrPort

	// Unix: the visitor is on the proxy's machine, at a unix socket, and has no
	// address. SourcePath and DestinationPath are the sockets' names; an abstract
	// one starts with a zero byte.
	Unix                        bool
	SourcePath, DestinationPath []byte

	// TLVs are the additional fields of version 2 as they came, checked to be well
	// formed. AppendV2 sends them.
	TLVs []byte
}

// ErrNone: the connection does not begin with a PROXY header.
var ErrNone = errors.New("no PROXY protocol header")

// Error says what is wrong with a header.
type Error struct {
	Offset int // in bytes from the header's start
	Reason string
}

func (e *Error) Error() string {
	return fmt.Sprintf("PROXY header, byte %d: %s", e.Offset, e.Reason)
}

func wrong(offset int, format string, a ...any) error {
	return &Error{Offset: offset, Reason: fmt.Sprintf(format, a...)}
}

var (
	startV1 = []byte("PROXY ")
	startV2 = []byte("\r\n\r\n\x00\r\nQUIT\n")
)

// Parse reads the header at the start of b. n is its length, 0 as long as more
// bytes are needed. An error is final; ErrNone says that b is no header at all.
//
// Slices in the header point into b.
func Parse(b []byte) (h Header, n int, err error) {
	switch {
	case begins(b, startV1):
		if len(b) < len(startV1) {
			return Header{}, 0, nil
		}
		return parseV1(b)
	case begins(b, startV2):
		if len(b) < lengthV2 {
			return Header{}, 0, nil
		}
		return parseV2(b)
	}
	return Header{}, 0, ErrNone
}

// begins tells whether b begins with start, or may do so when more of it is there.
func begins(b, start []byte) bool {
	n := min(len(b), len(start))
	return bytes.Equal(b[:n], start[:n])
}

// addrPort makes one kind of address of the two that an IPv4 visitor can have.
func addrPort(a netip.Addr, port uint16) netip.AddrPort {
	return netip.AddrPortFrom(a.Unmap(), port)
}
