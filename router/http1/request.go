package http1

// Request is a parsed request head. Keep one per connection and use it again:
// Parse overwrites everything. It must not be copied while a head is under way.
//
// All slices point into the buffer given to the last Parse, or into the Request
// itself (Host.Name, when it had to be changed).
type Request struct {
	Method []byte // as sent; methods are case-sensitive
	Target []byte // as sent: REQUEST_URI
	Path   []byte // the path part of Target, still escaped; "/" when an absolute target has none, "*" for OPTIONS *
	Query  []byte // after the first '?', without it
	Minor  int    // of HTTP/1.Minor: 0 or 1

	// Fields in the order sent. A Content-Length repeated with the same value
	// appears once. When the target was in absolute form, the Host field carries
	// the target's authority, whatever the client's own Host said (RFC 9112
	// §3.2.2).
	Fields []Field

	// HostField is the Host as it goes to a vassal: as the client spelled it.
	// Empty only for HTTP/1.0 without Host.
	HostField []byte
	// Host is HostField in the canonical form that rules are compared with.
	Host HostName

	ContentLength int64  // -1: none given
	Chunked       bool   // body in chunked coding; ContentLength is -1
	Close         bool   // the client will not use the connection again (Connection: close, or HTTP/1.0 without keep-alive)
	KeepAlive     bool   // the client asked for keep-alive in words (matters for HTTP/1.0)
	Expect100     bool   // Expect: 100-continue, HTTP/1.1 only
	Upgrade       []byte // the Upgrade field if Connection lists "upgrade"; nil otherwise. Which protocols to let through is the caller's decision (h2c never)

	scan    scan
	options [][]byte // names that Connection lists
	host    [MaxHost]byte
}

// Parse reads one request head from the start of buf.
//
//   - n > 0: the head is complete and n bytes long; r is filled in, and what
//     follows in buf is body or the next request.
//   - n == 0, err == nil: more bytes are needed. Call again with the same bytes
//     and more behind them; the buffer may have moved. However the bytes are cut,
//     the outcome is the same, and the work stays linear: at most three times is
//     the head read, when it first comes, when its first line is complete, and
//     when it is complete.
//   - err != nil: a *Error with the status to answer. The connection can't be
//     used any further, as nobody knows where this request ends.
//
// A fault in the first line is reported when that line is complete (at once when
// not even its first byte can begin a request), faults after it when the head is
// complete.
func (r *Request) Parse(buf []byte, limits *Limits) (n int, err error) { return 0, nil }

// Reset forgets a head under way and every reference into a buffer.
func (r *Request) Reset() {}

// HasBody reports whether body bytes follow the head.
func (r *Request) HasBody() bool { return r.Chunked || r.ContentLength > 0 }

// AppendPath appends the decoded and normalised path, the value of PATH_INFO,
// to dst: see AppendPath.
func (r *Request) AppendPath(dst []byte) ([]byte, error) { return AppendPath(dst, r.Path) }

type scan struct{}
