// Package uwsgi writes and reads packets of the uwsgi protocol: four bytes of
// header (modifier1, size of the variables as u16 little-endian, modifier2),
// then the variables as pairs of length-prefixed key and value. The request body
// follows the packet raw; the response is plain HTTP up to the end of the
// connection, so there is nothing of it here.
//
// Writer builds a packet in the caller's buffer without allocating; Reader takes
// one apart.
//
// What is written differs from uWSGI's own HTTP router where that was unsafe or
// wrong: each variable is there once, REMOTE_PORT is in the right byte order,
// header names with '_' and the header Proxy never become variables, and Cookie
// headers are joined with "; ".
package uwsgi

import "errors"

// MaxVars is the greatest size in bytes of the variables of one packet: their
// size has to fit into 16 bits.
const MaxVars = 65535

// HeaderSize is the length in bytes of what precedes the variables.
const HeaderSize = 4

// ErrTooLarge: the variables do not fit into a packet. The client gets 431;
// nothing may be sent, as a truncated packet would be another request.
var ErrTooLarge = errors.New("uwsgi: variables exceed 65535 bytes")

// Header is what the first four bytes of a packet say.
type Header struct {
	Modifier1 byte
	Size      int // of the variables in bytes
	Modifier2 byte
}

// ParseHeader reads the header; b must hold HeaderSize bytes.
func ParseHeader(b []byte) Header {
	_ = b[HeaderSize-1]
	return Header{b[0], int(b[1]) | int(b[2])<<8, b[3]}
}
