package http1

import "bytes"

// Request is a parsed request head. Keep one per connection and use it again:
// Parse overwrites everything. It must not be copied: Host may point into it.
//
// All slices point into the buffer given to the last Parse, or into the Request
// itself (Host.Name, when it had to be changed). The fields mean something only
// after a Parse that returned n > 0.
type Request struct {
	Method []byte // as sent; methods are case-sensitive
	Target []byte // as sent: REQUEST_URI
	Path   []byte // the path part of Target, still escaped; "/" when an absolute target has none, "*" for OPTIONS *
	Query  []byte // after the first '?', without it; nil (not just empty) when there is no '?'
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

	scan          scan
	options       [][]byte // names that Connection lists
	contentLength []byte   // as sent, to compare a repetition with
	host          [MaxHost]byte
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
func (r *Request) Parse(buf []byte, limits *Limits) (n int, err error) {
	b := buf
	full := len(b) >= limits.head()
	if full {
		b = b[:limits.head()]
	}
	if r.scan.pos != 0 && !r.scan.next(b) && !full {
		return 0, nil
	}
	start, end, fault := r.parseLine(b, limits)
	inFields := fault == nil
	if inFields {
		if end, fault = r.parseFields(b, end, limits); fault == nil {
			r.scan = scan{}
			return end, nil
		}
	}
	// A fault is reported when the line or the head it lies in is there, not
	// earlier: so the outcome does not depend on how the bytes happened to be cut.
	if fault != errStart {
		if start+1 >= len(b) && !full {
			return 0, nil // not even the beginning of the first line
		}
		r.scan.begin(start)
		there := r.scan.whole(b) || !inFields && r.scan.found == firstLine
		if fault == incomplete || !there {
			if !full {
				return 0, nil
			}
			fault = errHeadBig
			if !inFields {
				fault = errTargetLong
			}
		}
	}
	r.scan = scan{}
	return 0, fault
}

// Reset forgets a head under way and every reference into a buffer.
func (r *Request) Reset() {
	clear(r.Fields[:cap(r.Fields)])
	clear(r.options[:cap(r.options)])
	*r = Request{Fields: r.Fields[:0], options: r.options[:0]}
}

// HasBody reports whether body bytes follow the head.
func (r *Request) HasBody() bool { return r.Chunked || r.ContentLength > 0 }

// AppendPath appends the decoded and normalised path, the value of PATH_INFO,
// to dst: see the function AppendPath.
func (r *Request) AppendPath(dst []byte) ([]byte, error) { return AppendPath(dst, r.Path) }

var (
	slash    = []byte("/")
	hostName = []byte("Host")
)

// parseLine reads the request line. It returns where the line starts and where
// the one after it does.
func (r *Request) parseLine(b []byte, limits *Limits) (start, end int, fault *Error) {
	i := 0
	for empty := 0; empty < 2 && i < len(b) && b[i] == '\r'; empty++ {
		if i+1 == len(b) {
			return i, 0, incomplete
		}
		if b[i+1] != '\n' {
			return i, 0, errStart
		}
		i += 2
	}
	start = i
	if i == len(b) {
		return start, 0, incomplete
	}
	for i < len(b) && classes[b[i]]&nameByte != 0 {
		i++
	}
	if i == len(b) {
		return start, 0, incomplete
	}
	if i == start {
		return start, 0, errStart
	}
	if b[i] != ' ' {
		return start, 0, errMethod
	}
	r.Method = b[start:i]

	i++
	target := i
	for i < len(b) && classes[b[i]]&targetByte != 0 {
		i++
	}
	if i == len(b) {
		return start, 0, incomplete
	}
	if i-target > limits.Target && limits.Target > 0 {
		return start, 0, errTargetLong
	}
	if b[i] != ' ' {
		if b[i] == '\r' || b[i] == '\n' {
			return start, 0, errHTTP09
		}
		return start, 0, errTarget
	}
	r.Target = b[target:i]

	i++
	if len(b)-i < len("HTTP/1.1\r\n") {
		return start, 0, badVersion(b[i:])
	}
	version := b[i : i+10]
	if string(version[:7]) != "HTTP/1." || version[7]&^1 != '0' || version[8] != '\r' || version[9] != '\n' {
		return start, 0, badVersion(b[i:])
	}
	r.Minor = int(version[7] - '0')
	return start, i + 10, nil
}

// badVersion says what is wrong with the end of a request line.
func badVersion(b []byte) *Error {
	end := bytes.IndexByte(b, '\n')
	if end < 0 {
		return incomplete
	}
	if end == 0 || b[end-1] != '\r' {
		return errLineEnd
	}
	b = b[:end-1]
	if len(b) == 8 && string(b[:5]) == "HTTP/" && b[5]-'0' <= 9 && b[6] == '.' && b[7]-'0' <= 9 {
		return errVersion
	}
	if len(b) == 0 {
		return errHTTP09
	}
	return errProtocol
}

// parseFields reads the header fields from i on, the empty line included, and
// draws the conclusions from head and request line together.
func (r *Request) parseFields(b []byte, i int, limits *Limits) (end int, fault *Error) {
	fields := r.Fields[:0]
	most := limits.fields()
	var seen Kinds
	hostAt := -1
	r.ContentLength = -1
	r.Upgrade = nil
	r.HostField = nil
	r.Expect100 = false
	conn := connection{names: r.options[:0]}
	for {
		if i == len(b) {
			return 0, incomplete
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
			return 0, errManyFields
		}
		if len(fields) == cap(fields) {
			fields = append(fields, Field{})[:len(fields)]
			r.Fields = fields
		}
		fields = fields[:len(fields)+1]
		f := &fields[len(fields)-1]
		if i, fault = f.parse(b, i, false); fault != nil {
			return 0, fault
		}
		k := f.Kind
		if k == Other {
			continue
		}
		if requestHop>>k&1 != 0 {
			f.Flags |= HopByHop
		}
		again := seen.Has(k)
		seen |= 1 << k
		switch k {
		case Host:
			if again {
				return 0, errHosts
			}
			hostAt = len(fields) - 1
		case ContentLength:
			if again {
				// A list of equal values is one value sent twice; RFC 9112 §6.3 allows
				// to go on with it. Only one of them is passed on.
				if string(r.contentLength) != string(f.Value) {
					return 0, errLengths
				}
				fields = fields[:len(fields)-1]
				continue
			}
			n, ok := parseNumber(f.Value)
			if !ok {
				return 0, errLength
			}
			r.ContentLength, r.contentLength = n, f.Value
		case TransferEncoding:
			if again {
				return 0, errCodings
			}
			if !equalFold(f.Value, "chunked") {
				return 0, errCoding
			}
		case Connection:
			if !conn.add(f.Value) {
				return 0, errOptions
			}
		case Expect:
			r.Expect100 = r.Minor == 1 && equalFold(f.Value, "100-continue")
		case Upgrade:
			r.Upgrade = f.Value
			if again {
				// Two offers in two fields: no client does that, and which was meant is
				// anybody's guess. Declining an upgrade is always allowed.
				r.Upgrade = nil
			}
		}
	}
	r.Chunked = seen.Has(TransferEncoding)
	if r.Chunked {
		if r.Minor == 0 {
			return 0, errCoding10
		}
		if seen.Has(ContentLength) {
			return 0, errLengthChunked
		}
	}
	r.KeepAlive = conn.keepAlive
	r.Close = conn.close || r.Minor == 0 && !conn.keepAlive
	if !conn.upgrade || r.Minor == 0 || len(r.Upgrade) == 0 {
		r.Upgrade = nil
	}
	r.options = conn.names[:0]
	conn.mark(fields)

	authority, fault := r.parseTarget()
	if fault != nil {
		return 0, fault
	}
	r.Host = HostName{}
	if hostAt >= 0 {
		var ok bool
		r.HostField = fields[hostAt].Value
		if r.Host, ok = ParseHost(r.host[:0], r.HostField); !ok {
			return 0, errHost
		}
	} else if r.Minor == 1 {
		return 0, errNoHost
	}
	if authority != nil {
		var ok bool
		if r.Host, ok = ParseHost(r.host[:0], authority); !ok {
			return 0, errAuthority
		}
		r.HostField = authority
		if hostAt >= 0 {
			fields[hostAt].Value = authority
		} else {
			fields = append(fields, Field{Name: hostName, Value: authority, Kind: Host})
		}
	}
	r.Fields = fields
	return i, nil
}

// parseTarget splits the target by its form (RFC 9112 §3.2). The authority is
// nil unless the form is absolute.
func (r *Request) parseTarget() (authority []byte, fault *Error) {
	t := r.Target
	if len(r.Method) == 7 && string(r.Method) == "CONNECT" {
		return nil, errConnect
	}
	if len(t) == 0 {
		return nil, errTarget
	}
	if t[0] != '/' {
		if len(t) == 1 && t[0] == '*' && string(r.Method) == "OPTIONS" {
			r.Path, r.Query = t, nil
			return nil, nil
		}
		skip := 0
		switch {
		case len(t) > 7 && equalFold(t[:4], "http") && string(t[4:7]) == "://":
			skip = 7
		case len(t) > 8 && equalFold(t[:5], "https") && string(t[5:8]) == "://":
			skip = 8
		default:
			return nil, errTargetForm
		}
		t = t[skip:]
		end := bytes.IndexAny(t, "/?")
		if end < 0 {
			end = len(t)
		}
		authority, t = t[:end], t[end:]
	}
	r.Path, r.Query = t, nil
	if q := bytes.IndexByte(t, '?'); q >= 0 {
		r.Path, r.Query = t[:q], t[q+1:]
	}
	if len(r.Path) == 0 {
		r.Path = slash
	}
	return authority, nil
}
