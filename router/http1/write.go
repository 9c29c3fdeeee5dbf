package http1

// RequestHead says how a parsed request goes to a vassal that speaks HTTP.
type RequestHead struct {
	Target        []byte // nil: the request's own, in origin form
	ContentLength int64  // of the body that follows; -1: none announced
	Chunked       bool   // body follows in chunked coding
	Close         bool   // the connection will not be used again
	Upgrade       []byte // ask for this protocol
	Skip          Kinds  // fields left out because Extra carries them anew
	Extra         []byte // complete lines "Name: value\r\n", after the others
}

// Append appends the head of r as HTTP/1.1 to dst: its end-to-end fields in their order,
// Host first, without Expect (the router answers that itself) and with the
// framing that h names in place of the client's.
func (h *RequestHead) Append(dst []byte, r *Request) []byte { return dst }

// ResponseHead says how a parsed response goes to the client.
type ResponseHead struct {
	ContentLength int64  // Content-Length to send; -1: none
	Chunked       bool   // body follows in chunked coding
	Close         bool   // Connection: close
	KeepAlive     bool   // Connection: keep-alive (HTTP/1.0 clients need to hear it)
	Upgrade       []byte // Connection: upgrade with this protocol (101)
	Skip          Kinds  // fields left out
	Extra         []byte // complete lines "Name: value\r\n", after the others
}

// Append appends the head of r as HTTP/1.1 to dst: status and reason as the vassal sent
// them, its end-to-end fields in their order, and the framing that h names in
// place of the vassal's.
func (h *ResponseHead) Append(dst []byte, r *Response) []byte { return dst }

// AppendStatus appends a whole small answer made by the router itself: status
// line, Content-Type text/plain, Content-Length, Connection: close if close is
// set, extra (complete lines, may be nil), and text with a newline as body, which is left out
// for HEAD requests (head) and statuses that have none. An empty text stands for
// the status' own words.
func AppendStatus(dst []byte, status int, text string, head, close bool, extra []byte) []byte {
	return dst
}

// Continue is the interim answer to Expect: 100-continue.
const Continue = "HTTP/1.1 100 Continue\r\n\r\n"

// StatusText returns the reason phrase of a status code, "" if unknown.
func StatusText(status int) string { return "" }
