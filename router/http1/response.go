package http1

// Framing says how the body after a response head ends.
type Framing uint8

const (
	NoBody     Framing = iota // the response ends with its head
	Length                    // ContentLength bytes follow
	InChunks                  // chunked coding, read with Chunked
	UntilClose                // everything up to the end of the connection
	Tunnel                    // 101: the connection now speaks another protocol
)

// Response is a parsed response head of a vassal. Keep and reuse it as Request.
// All slices point into the buffer given to the last Parse.
type Response struct {
	Minor  int // of HTTP/1.Minor
	Status int // 100 to 999; 1xx other than 101 are interim, another head follows
	Reason []byte
	Fields []Field

	Framing       Framing
	ContentLength int64  // -1: none given; may be set without a body (HEAD, 304)
	Close         bool   // the vassal will not use the connection again
	Upgrade       []byte // the Upgrade field of a 101; nil otherwise
	// IdleTimeout is N of "Keep-Alive: timeout=N" in seconds; -1: not given.
	IdleTimeout int

	scan    scan
	options [][]byte
}

// Parse reads one response head from the start of buf; n and the ways of calling
// it are those of Request.Parse. headRequest tells that the request was HEAD,
// whose response has no body whatever its fields say. Every error has status
// 502. A first byte that can't begin "HTTP/1." is an error at once.
//
// It accepts what real vassals send: no reason phrase (with or without the space
// before it), HTTP/1.0, lines that end in a bare LF. It refuses what could be
// framed in two ways: Content-Length with Transfer-Encoding, differing
// Content-Lengths, codings other than chunked, Transfer-Encoding in HTTP/1.0,
// folded lines, control bytes, lines without a colon.
func (r *Response) Parse(buf []byte, headRequest bool, limits *Limits) (n int, err error) {
	return 0, nil
}

// Reset forgets a head under way and every reference into a buffer.
func (r *Response) Reset() {}
