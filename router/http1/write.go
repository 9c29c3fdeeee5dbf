package http1

import "slices"

// RequestHead says how a parsed request goes to a vassal that speaks HTTP.
type RequestHead struct {
	Target        []byte // nil: the request's own, in origin form; else ValidTarget
	Host          []byte // nil: the request's own; else a host with or without port
	ContentLength int64  // of the body that follows; -1: none announced
	Chunked       bool   // body follows in chunked coding; ContentLength is ignored
	Close         bool   // the connection will not be used again
	Upgrade       []byte // ask for this protocol; nil: none
	Skip          Kinds  // fields left out, e.g. because Extra carries them anew
	Extra         []byte // complete lines "Name: value\r\n" with ValidValue values, after the others
}

// Append appends the head of r as HTTP/1.1 to dst: Host first, then its
// end-to-end fields in their order, without Expect (the router answers that
// itself) and with the framing that h names in place of the client's.
func (h *RequestHead) Append(dst []byte, r *Request) []byte {
	dst = append(dst, r.Method...)
	dst = append(dst, ' ')
	switch {
	case h.Target != nil:
		dst = append(dst, h.Target...)
	default:
		dst = append(dst, r.Path...)
		if r.Query != nil {
			dst = append(dst, '?')
			dst = append(dst, r.Query...)
		}
	}
	dst = append(dst, " HTTP/1.1\r\nHost: "...)
	if h.Host != nil {
		dst = append(dst, h.Host...)
	} else {
		dst = append(dst, r.HostField...)
	}
	dst = append(dst, "\r\n"...)
	skip := h.Skip | 1<<Host | 1<<ContentLength | 1<<Expect
	for i := range r.Fields {
		f := &r.Fields[i]
		if f.Flags == 0 && !skip.Has(f.Kind) {
			dst = appendField(dst, f)
		}
	}
	dst = append(dst, h.Extra...)
	return appendFraming(dst, h.ContentLength, h.Chunked, h.Close, false, h.Upgrade)
}

// ResponseHead says how a parsed response goes to the client.
type ResponseHead struct {
	ContentLength int64  // Content-Length to send; -1: none
	Chunked       bool   // body follows in chunked coding; ContentLength is ignored
	Close         bool   // Connection: close
	KeepAlive     bool   // Connection: keep-alive (HTTP/1.0 clients need to hear it)
	Upgrade       []byte // Connection: upgrade with this protocol (101); nil: none
	Skip          Kinds  // fields left out
	Extra         []byte // complete lines "Name: value\r\n" with ValidValue values, after the others
}

// Append appends the head of r as HTTP/1.1 to dst: status and reason as the
// vassal sent them (a missing reason is filled in, as some clients want one), its
// end-to-end fields in their order, and the framing that h names in place of the
// vassal's.
func (h *ResponseHead) Append(dst []byte, r *Response) []byte {
	reason := r.Reason
	dst = appendStatusLine(dst, r.Status)
	if len(reason) > 0 {
		dst = append(dst, reason...)
	} else {
		dst = append(dst, StatusText(r.Status)...)
	}
	dst = append(dst, "\r\n"...)
	skip := h.Skip | 1<<ContentLength
	for i := range r.Fields {
		f := &r.Fields[i]
		if f.Flags == 0 && !skip.Has(f.Kind) {
			dst = appendField(dst, f)
		}
	}
	dst = append(dst, h.Extra...)
	return appendFraming(dst, h.ContentLength, h.Chunked, h.Close, h.KeepAlive, h.Upgrade)
}

// appendField makes room once for the whole line: four appends would check four
// times.
func appendField(dst []byte, f *Field) []byte {
	n := len(dst)
	need := len(f.Name) + len(f.Value) + 4
	dst = slices.Grow(dst, need)[:n+need]
	p := dst[n:]
	k := copy(p, f.Name)
	p[k], p[k+1] = ':', ' '
	k += 2
	k += copy(p[k:], f.Value)
	p[k], p[k+1] = '\r', '\n'
	return dst
}

// appendFraming appends the fields that frame the message and the empty line.
func appendFraming(dst []byte, length int64, chunked, close, keepAlive bool, upgrade []byte) []byte {
	switch {
	case chunked:
		dst = append(dst, "Transfer-Encoding: chunked\r\n"...)
	case length >= 0:
		dst = append(dst, "Content-Length: "...)
		dst = appendNumber(dst, length)
		dst = append(dst, "\r\n"...)
	}
	switch {
	case upgrade != nil:
		dst = append(dst, "Connection: Upgrade\r\nUpgrade: "...)
		dst = append(dst, upgrade...)
		dst = append(dst, "\r\n"...)
	case close:
		dst = append(dst, "Connection: close\r\n"...)
	case keepAlive:
		dst = append(dst, "Connection: keep-alive\r\n"...)
	}
	return append(dst, "\r\n"...)
}

func appendStatusLine(dst []byte, status int) []byte {
	return append(dst, 'H', 'T', 'T', 'P', '/', '1', '.', '1', ' ',
		byte('0'+status/100%10), byte('0'+status/10%10), byte('0'+status%10), ' ')
}

// appendNumber appends n >= 0 in decimal.
func appendNumber(dst []byte, n int64) []byte {
	var digits [20]byte
	i := len(digits)
	for {
		i--
		digits[i] = byte('0' + n%10)
		if n /= 10; n == 0 {
			return append(dst, digits[i:]...)
		}
	}
}

// AppendStatus appends a whole small answer made by the router itself: status
// line, Content-Type text/plain, Content-Length, Connection: close if close is
// set, extra (complete lines, may be nil), and text with a newline as body. The
// body is left out for HEAD requests (head). An empty text stands for the status'
// own words. It is not for 1xx, 204 and 304.
func AppendStatus(dst []byte, status int, text string, head, close bool, extra []byte) []byte {
	words := StatusText(status)
	if text == "" {
		text = words
	}
	dst = appendStatusLine(dst, status)
	dst = append(dst, words...)
	dst = append(dst, "\r\nContent-Type: text/plain; charset=utf-8\r\n"...)
	dst = append(dst, extra...)
	dst = appendFraming(dst, int64(len(text)+1), false, close, false, nil)
	if !head {
		dst = append(dst, text...)
		dst = append(dst, '\n')
	}
	return dst
}

// Continue is the interim answer to Expect: 100-continue.
const Continue = "HTTP/1.1 100 Continue\r\n\r\n"

// ValidTarget reports whether b can stand in a request line as target. A target
// that was made from parts (a rule's substitution, a decoded path) must be asked:
// a blank or line end in it would forge what follows.
func ValidTarget(b []byte) bool { return len(b) > 0 && all(b, targetByte) }

// ValidValue reports whether b can stand in a head as a field value; as with
// ValidTarget, values made from parts (Location of a redirect) must be asked.
func ValidValue(b []byte) bool { return endOfValue(b, 0) == len(b) }

func all(b []byte, class uint8) bool {
	for _, c := range b {
		if classes[c]&class == 0 {
			return false
		}
	}
	return true
}
