package http1

import "bytes"

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
// All slices point into the buffer given to the last Parse; the fields mean
// something only after a Parse that returned n > 0.
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

// Faults of responses; those of single fields have the same words as in
// requests.
var (
	errNotHTTP     = refuse(502, "response is not HTTP/1.x")
	errStatusLine  = refuse(502, "malformed status line")
	errBigResponse = refuse(502, "response head is too big")
	errManyInReply = refuse(502, "response has too many header fields")
	errReplyLength = refuse(502, "response's Content-Length is not a number of at most 18 digits")
	errReplyDiffer = refuse(502, "response has Content-Lengths that differ")
	errReplyBoth   = refuse(502, "response has both Content-Length and Transfer-Encoding")
	errReplyCoding = refuse(502, "response has a Transfer-Encoding other than one chunked")
	errReplyOld    = refuse(502, "response has Transfer-Encoding in HTTP/1.0")
	errReplyNames  = refuse(502, "response's Connection lists too many names")
	errReplySwitch = refuse(502, "response 101 without the protocol it switches to")

	replyFault = map[*Error]*Error{} // a field's fault → the same with status 502
)

func init() {
	for _, e := range []*Error{errFold, errName, errBlank, errBareLF, errBareCR, errNUL, errControl} {
		replyFault[e] = refuse(502, "response: "+e.Reason)
	}
}

// Parse reads one response head from the start of buf; n and the ways of calling
// it are those of Request.Parse. headRequest tells that the request was HEAD,
// whose response has no body whatever its fields say. Every error has status
// 502. A beginning other than "HTTP/1." is an error at once.
//
// It accepts what real vassals send: no reason phrase (with or without the space
// before it), HTTP/1.0, lines that end in a bare LF. It refuses what could be
// framed in two ways: Content-Length with Transfer-Encoding, differing
// Content-Lengths, codings other than chunked, Transfer-Encoding in HTTP/1.0,
// folded lines, control bytes, lines without a colon.
func (r *Response) Parse(buf []byte, headRequest bool, limits *Limits) (n int, err error) {
	b := buf
	full := len(b) >= limits.head()
	if full {
		b = b[:limits.head()]
	}
	if r.scan.pos != 0 && !r.scan.next(b) && !full {
		return 0, nil
	}
	end, fault := r.parseLine(b, limits)
	inFields := fault == nil
	if inFields {
		if end, fault = r.parseFields(b, end, headRequest, limits); fault == nil {
			r.scan = scan{}
			return end, nil
		}
	}
	// As in Request.Parse: no verdict before the line or head is there.
	if fault != errNotHTTP {
		if len(b) < len(statusStart) && !full {
			return 0, nil // judged from the start again, as the next byte may not fit
		}
		there := r.scan.whole(b) || !inFields && r.scan.found == firstLine
		if fault == incomplete || !there {
			if !full {
				return 0, nil
			}
			fault = errBigResponse
		}
	}
	r.scan = scan{}
	return 0, fault
}

// Reset forgets a head under way and every reference into a buffer.
func (r *Response) Reset() {
	clear(r.Fields[:cap(r.Fields)])
	clear(r.options[:cap(r.options)])
	*r = Response{Fields: r.Fields[:0], options: r.options[:0]}
}

const (
	statusStart = "HTTP/1."
	echoStart   = "HTTP/2." // see Limits.Echo
	majorAt     = len("HTTP/")
)

// parseLine reads the status line and returns where the next line starts.
func (r *Response) parseLine(b []byte, limits *Limits) (end int, fault *Error) {
	start := statusStart
	if limits != nil && limits.Echo && len(b) > majorAt && b[majorAt] == '2' {
		start = echoStart
	}
	if len(b) < len(start) {
		if string(b) != start[:len(b)] {
			return 0, errNotHTTP
		}
		return 0, incomplete
	}
	if string(b[:len(start)]) != start {
		return 0, errNotHTTP
	}
	lf := bytes.IndexByte(b, '\n')
	if lf < 0 {
		return 0, incomplete
	}
	line := b[:lf]
	if line[lf-1] == '\r' {
		line = line[:lf-1]
	}
	// HTTP/1.1 200[ reason]
	if len(line) < 12 || line[7]&^1 != '0' || line[8] != ' ' || line[9]-'1' > 8 || line[10]-'0' > 9 || line[11]-'0' > 9 {
		return 0, errStatusLine
	}
	if r.Minor = int(line[7] - '0'); line[majorAt] == '2' {
		if r.Minor != 0 {
			return 0, errStatusLine
		}
		r.Minor = 1
	}
	r.Status = int(line[9]-'0')*100 + int(line[10]-'0')*10 + int(line[11]-'0')
	r.Reason = nil
	if len(line) > 12 {
		if line[12] != ' ' || endOfValue(line, 13) != len(line) {
			return 0, errStatusLine
		}
		r.Reason = line[13:]
	}
	return lf + 1, nil
}

// parseFields reads the fields from i on, the empty line included, and decides
// how the body is framed.
func (r *Response) parseFields(b []byte, i int, headRequest bool, limits *Limits) (end int, fault *Error) {
	fields := r.Fields[:0]
	most := limits.fields()
	var seen Kinds
	var length, upgrade []byte
	r.ContentLength, r.IdleTimeout = -1, -1
	conn := connection{names: r.options[:0]}
	for {
		if i == len(b) {
			return 0, incomplete
		}
		if b[i] == '\n' {
			i++
			break
		}
		if b[i] == '\r' {
			if i+1 == len(b) {
				return 0, incomplete
			}
			if b[i+1] == '\n' {
				i += 2
				break
			}
		}
		if len(fields) == most {
			return 0, errManyInReply
		}
		if len(fields) == cap(fields) {
			fields = append(fields, Field{})[:len(fields)]
			r.Fields = fields
		}
		fields = fields[:len(fields)+1]
		f := &fields[len(fields)-1]
		if i, fault = f.parse(b, i, true); fault != nil {
			if fault != incomplete {
				fault = replyFault[fault]
			}
			return 0, fault
		}
		k := f.Kind
		f.Flags = 0 // an underscore harms nobody on the way to a client
		if k == Other {
			continue
		}
		if responseHop>>k&1 != 0 {
			f.Flags = HopByHop
		}
		again := seen.Has(k)
		seen |= 1 << k
		switch k {
		case ContentLength:
			if again {
				if string(length) != string(f.Value) {
					return 0, errReplyDiffer
				}
				fields = fields[:len(fields)-1]
				continue
			}
			n, ok := parseNumber(f.Value)
			if !ok {
				return 0, errReplyLength
			}
			r.ContentLength, length = n, f.Value
		case TransferEncoding:
			if again || !equalFold(f.Value, "chunked") {
				return 0, errReplyCoding
			}
		case Connection:
			if !conn.add(f.Value) {
				return 0, errReplyNames
			}
		case KeepAlive:
			r.IdleTimeout = idleTimeout(f.Value)
		case Upgrade:
			upgrade = f.Value
		}
	}
	chunked := seen.Has(TransferEncoding)
	if chunked && r.Minor == 0 {
		return 0, errReplyOld
	}
	if chunked && seen.Has(ContentLength) {
		return 0, errReplyBoth
	}
	r.options = conn.names[:0]
	conn.mark(fields)
	r.Fields = fields
	r.Upgrade = nil
	r.Close = conn.close || r.Minor == 0 && !conn.keepAlive

	// RFC 9112 §6.3, in its order.
	switch {
	case r.Status == 101:
		if len(upgrade) == 0 {
			return 0, errReplySwitch
		}
		r.Framing, r.Upgrade = Tunnel, upgrade
	case headRequest || r.Status < 200 || r.Status == 204 || r.Status == 304:
		r.Framing = NoBody
	case chunked:
		r.Framing = InChunks
	case r.ContentLength >= 0:
		r.Framing = Length
	default:
		r.Framing, r.Close = UntilClose, true
	}
	return i, nil
}

// idleTimeout finds timeout=N in a Keep-Alive value; -1 when there is none that
// makes sense.
func idleTimeout(list []byte) int {
	for len(list) > 0 {
		item := list
		if comma := bytes.IndexByte(list, ','); comma >= 0 {
			item, list = list[:comma], list[comma+1:]
		} else {
			list = nil
		}
		item = trimBlanks(item)
		if len(item) > 8 && item[7] == '=' && equalFold(item[:7], "timeout") {
			if n, ok := parseNumber(item[8:]); ok && n < 1<<31 {
				return int(n)
			}
		}
	}
	return -1
}
