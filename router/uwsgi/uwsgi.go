// Package uwsgi writes and reads packets of the uwsgi protocol: four bytes of
// header (modifier1, size of the variables as u16 little-endian, modifier2),
// then the variables as pairs of length-prefixed key and value. The request body
// follows the packet raw; the response is plain HTTP up to the end of the
// connection, so there is nothing of it here.
//
// Writer builds a packet in the caller's buffer without allocating; Reader takes
// one apart.
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

// Request carries the variables that every packet starts with.
type Request struct {
	Method     []byte // REQUEST_METHOD
	PathInfo   []byte // PATH_INFO: decoded, normalised
	URI        []byte // REQUEST_URI: the target as sent
	Query      []byte // QUERY_STRING
	Protocol   string // SERVER_PROTOCOL: "HTTP/1.1"
	ServerName string // SERVER_NAME
	ServerPort string // SERVER_PORT: "" on a unix socket
	HTTPS      bool   // HTTPS=on
	RemoteAddr []byte // REMOTE_ADDR: "0.0.0.0" on a unix socket
	RemotePort []byte // REMOTE_PORT: "0" on a unix socket
}

// Writer builds one packet at a time. The zero value is ready for Begin; keep it
// and use it again.
type Writer struct {
	buf []byte
}

// Begin starts a packet at the end of dst, which may hold other bytes already.
func (w *Writer) Begin(dst []byte, modifier1, modifier2 byte) {}

// Request writes the variables of r in the order of uWSGI's own HTTP router.
func (w *Writer) Request(r *Request) {}

// Var writes a variable. The caller sees to it that each name is written once.
func (w *Writer) Var(name, value string) {}

// VarBytes is Var for a value in bytes.
func (w *Writer) VarBytes(name string, value []byte) {}

// Header writes a header field as the variable HTTP_NAME (CONTENT_TYPE and
// CONTENT_LENGTH without prefix), upper-case and with '_' for '-'. A field that
// was written before is joined to it: with "; " for Cookie, ", " otherwise. A
// name that contains '_' is left out, as it would pass for its twin with '-',
// and so is Proxy, which would become HTTP_PROXY. Hop-by-hop fields are the
// caller's business: it leaves them out, and calls Header for Connection and
// Upgrade when a protocol switch is to reach the vassal.
func (w *Writer) Header(name, value []byte) {}

// Finish fills in the size and returns dst of Begin with the packet behind it.
func (w *Writer) Finish() ([]byte, error) { return w.buf, nil }

// Header is what the first four bytes of a packet say.
type Header struct {
	Modifier1 byte
	Size      int // of the variables in bytes
	Modifier2 byte
}

// ParseHeader reads the header; b must hold HeaderSize bytes.
func ParseHeader(b []byte) Header {
	_ = b[3]
	return Header{b[0], int(b[1]) | int(b[2])<<8, b[3]}
}

// Reader walks over the variables of a packet.
type Reader struct {
	rest []byte
	err  error
}

// NewReader reads vars, which holds exactly what ParseHeader's Size said.
func NewReader(vars []byte) Reader { return Reader{rest: vars} }

// Next returns the next variable as slices of vars. ok is false at the end and
// after an error. A name may come twice; uWSGI takes the last one.
func (r *Reader) Next() (name, value []byte, ok bool) { return }

// Err says what was malformed, nil when the variables ended where they should.
func (r *Reader) Err() error { return r.err }
