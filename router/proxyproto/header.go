package proxyproto

import "net/netip"

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
	// address. SourcePath and DestinationPath are the sockets' names.
	Unix                        bool
	SourcePath, DestinationPath []byte

	// TLVs are the additional fields of version 2 as they came, checked to be well
	// formed. AppendV2 sends them.
	TLVs []byte
}

// Parse reads the header at the start of b. n is its length, 0 as long as more
// bytes are needed. An error is final; ErrNone says that b is no header at all.
//
// Slices in the header point into b.
func Parse(b []byte) (h Header, n int, err error) { return Header{}, 0, nil }
