// Package http1 reads and writes HTTP/1.x messages as bytes: request heads,
// response heads, chunked bodies, host names and paths.
//
// The one idea: the package is a pure codec. It does no I/O, knows no
// configuration and takes no decision of policy; it says what the bytes mean or
// that they are not acceptable, and which status code says so. Whoever reads
// from the network hands over its buffer again and again until a head is
// complete; what comes out are slices into that buffer.
//
// It is strict on purpose. Everything two programs could read differently
// (both Content-Length and Transfer-Encoding, folded lines, bare CR or LF,
// spaces around a field name …) is refused, never repaired, because the router
// and a vassal that disagree about where a request ends can be made to serve
// one visitor's answer to another (RFC 9112 §11.2). What is passed on is
// written anew from the parsed form, not copied.
//
// Nothing here allocates per message once a Request or Response has been used:
// they are meant to be kept, one per connection that is busy.
//
// Where the grammar leaves a choice, this is what was chosen:
//
//   - request lines end in CRLF; a bare LF is 400. In responses a bare LF is
//     accepted as a line end, because small programs write it and nothing
//     depends on it after the head has been rewritten;
//   - up to two empty lines before a request line are skipped (RFC 9112 §2.2);
//   - a '#' in the request target is 400: a fragment is never sent, and readers
//     disagree about where the path ends;
//   - versions other than HTTP/1.0 and HTTP/1.1 are 505;
//   - bytes above 0x7F are accepted in the target and in field values (curl and
//     old clients send raw UTF-8), never in names;
//   - a host is letters, digits, '-', '.', '_' or an IPv6 literal; percent
//     escapes and the other reg-name characters of RFC 3986 are refused,
//     because no real site has them and rules would compare them literally;
//   - CONNECT is 405: this is no forward proxy.
package http1

// Error says why bytes are not an acceptable message, and with which status the
// client should be told. All values are package variables, so returning one
// costs nothing; compare Status, not identity.
type Error struct {
	// Status is 400, 405, 414, 431, 501 or 505 for requests and 502 for responses.
	Status int
	// Reason is a short sentence without user data, fit for a log line.
	Reason string
}

func (e *Error) Error() string { return e.Reason }

// Limits bounds a head. The zero value of a field means its default.
type Limits struct {
	// Head is the greatest length of a head in bytes, counted from the first byte
	// handed to Parse to the empty line inclusive. Default 32 KiB.
	Head int
	// Fields is the greatest number of header fields. Default 100.
	Fields int
	// Target is the greatest length of a request target in bytes; longer ones are
	// 414. Default: whatever fits into Head. Without meaning for responses.
	Target int
	// Echo is for responses: the vassal repeats the version that it was told, as uWSGI
	// does, so that HTTP/2.0 is accepted and stands for HTTP/1.1.
	Echo bool
}

const (
	defaultHead   = 32 << 10
	defaultFields = 100
)

func (l *Limits) head() int {
	if l.Head > 0 {
		return l.Head
	}
	return defaultHead
}

func (l *Limits) fields() int {
	if l.Fields > 0 {
		return l.Fields
	}
	return defaultFields
}

// refuse makes an Error for a package variable.
func refuse(status int, reason string) *Error { return &Error{status, reason} }

// Faults of requests.
var (
	errTargetLong    = refuse(414, "request target is too long")
	errHeadBig       = refuse(431, "request head is too big")
	errManyFields    = refuse(431, "request has too many header fields")
	errStart         = refuse(400, "not an HTTP request: the first byte can't begin a method")
	errMethod        = refuse(400, "malformed method: want token characters and one space")
	errTarget        = refuse(400, "malformed request target: space, control byte or '#'")
	errTargetForm    = refuse(400, "request target must be a path, an http(s) URL, or '*' with OPTIONS")
	errAuthority     = refuse(400, "request target has a malformed host")
	errHTTP09        = refuse(400, "request line without HTTP version")
	errProtocol      = refuse(400, "malformed HTTP version, want HTTP/1.0 or HTTP/1.1")
	errVersion       = refuse(505, "HTTP version is not supported, want 1.0 or 1.1")
	errConnect       = refuse(405, "CONNECT is not supported")
	errLineEnd       = refuse(400, "request line must end in CRLF")
	errNoHost        = refuse(400, "HTTP/1.1 request without Host")
	errHosts         = refuse(400, "more than one Host")
	errHost          = refuse(400, "malformed Host")
	errLength        = refuse(400, "Content-Length is not a number of at most 18 digits")
	errLengths       = refuse(400, "Content-Lengths differ")
	errLengthChunked = refuse(400, "both Content-Length and Transfer-Encoding")
	errCoding10      = refuse(400, "Transfer-Encoding in HTTP/1.0")
	errCodings       = refuse(400, "more than one Transfer-Encoding")
	errCoding        = refuse(501, "Transfer-Encoding other than chunked")
	errOptions       = refuse(400, "Connection lists too many names")
)

// Faults of fields; responses map them to 502.
var (
	errFold    = refuse(400, "folded header line")
	errName    = refuse(400, "malformed header name, or header line without colon")
	errBlank   = refuse(400, "blank between header name and colon")
	errBareLF  = refuse(400, "bare LF in head")
	errBareCR  = refuse(400, "bare CR in head")
	errNUL     = refuse(400, "NUL in head")
	errControl = refuse(400, "control byte in head")
)

// incomplete is how parsers say that bytes are missing; it never leaves the
// package.
var incomplete = &Error{}
