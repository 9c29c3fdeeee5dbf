package http1

// Faults of CGI responses beside those of HTTP ones.
var (
	errNoCGIFields = refuse(502, "CGI response without header fields")
	errCGIStatus   = refuse(502, "CGI response with a malformed Status, want three digits from 200 and a reason")
	errCGIStatuses = refuse(502, "CGI response with more than one Status")
	errCGISwitch   = refuse(502, "CGI response that switches protocols")
)

const httpStart = "HTTP/"

// ParseCGI reads a CGI response head (RFC 3875 §6), as FastCGI and SCGI programs
// send it, the way Parse reads an HTTP one. The status is that of the field
// "Status: 404 Not Found", which then is no field any more; without one it is 302
// if there is a Location, else 200. The body is Content-Length bytes long or goes
// up to the end of the response, and Close is always set.
//
// A Transfer-Encoding means nothing in CGI. As with nginx it is hop-by-hop, and
// the body is taken as it comes.
//
// Some programs send an HTTP status line all the same; such a head is Parse's.
func (r *Response) ParseCGI(buf []byte, headRequest bool, limits *Limits) (n int, err error) {
	if common := min(len(buf), len(httpStart)); string(buf[:common]) == httpStart[:common] {
		if common < len(httpStart) {
			return 0, nil // or a field whose name begins like it
		}
		n, err = r.Parse(buf, headRequest, limits)
		if n > 0 && r.Framing == Tunnel {
			return 0, errCGISwitch
		}
		r.Close = true
		return n, err
	}
	b := buf
	full := len(b) >= limits.head()
	if full {
		b = b[:limits.head()]
	}
	if len(b) > 0 && b[0] == '\n' || len(b) > 1 && b[0] == '\r' && b[1] == '\n' {
		return 0, errNoCGIFields
	}
	if !r.scan.whole(b) && !full {
		return 0, nil
	}
	end, fault := r.parseCGIFields(b, headRequest, limits)
	r.scan = scan{}
	switch fault {
	case nil:
		return end, nil
	case incomplete:
		fault = errBigResponse
	}
	return 0, fault
}

// parseCGIFields reads the fields, the empty line included, and what they say
// about status and body.
func (r *Response) parseCGIFields(b []byte, headRequest bool, limits *Limits) (end int, fault *Error) {
	fields := r.Fields[:0]
	r.Minor, r.Status, r.Reason = 1, 0, nil
	r.ContentLength, r.IdleTimeout, r.Upgrade, r.Close = -1, -1, nil, true
	conn := connection{names: r.options[:0]}
	var length []byte
	redirects := false
	i := 0
	for {
		next := endOfHead(b, i)
		if next < 0 {
			return 0, incomplete
		}
		if next > 0 {
			i = next
			break
		}
		if len(fields) == limits.fields() {
			return 0, errManyInReply
		}
		fields = append(fields, Field{})
		r.Fields = fields
		f := &fields[len(fields)-1]
		if i, fault = f.parse(b, i, true); fault != nil {
			if fault != incomplete {
				fault = replyFault[fault]
			}
			return 0, fault
		}
		f.Flags = 0
		if responseHop>>f.Kind&1 != 0 {
			f.Flags = HopByHop
		}
		switch {
		case f.Kind == ContentLength:
			if length != nil {
				if string(length) != string(f.Value) {
					return 0, errReplyDiffer
				}
				fields = fields[:len(fields)-1]
				continue
			}
			var ok bool
			if r.ContentLength, ok = parseNumber(f.Value); !ok {
				return 0, errReplyLength
			}
			length = f.Value
		case f.Kind == Connection:
			if !conn.add(f.Value) {
				return 0, errReplyNames
			}
		case equalFold(f.Name, "location"):
			redirects = true
		case equalFold(f.Name, "status"):
			if r.Status != 0 {
				return 0, errCGIStatuses
			}
			if !r.setStatus(f.Value) {
				return 0, errCGIStatus
			}
			fields = fields[:len(fields)-1]
		}
	}
	r.options = conn.names[:0]
	conn.mark(fields)
	r.Fields = fields
	if r.Status == 0 {
		r.Status = 200
		if redirects {
			r.Status = 302
		}
	}
	switch {
	case headRequest || r.Status == 204 || r.Status == 304:
		r.Framing = NoBody
	case r.ContentLength >= 0:
		r.Framing = Length
	default:
		r.Framing = UntilClose
	}
	return i, nil
}

// endOfHead tells whether the line that starts at i is the empty one, and returns
// where the body starts then; 0 if it is not, -1 if that is not known yet.
func endOfHead(b []byte, i int) int {
	switch {
	case i == len(b):
		return -1
	case b[i] == '\n':
		return i + 1
	case b[i] != '\r':
		return 0
	case i+1 == len(b):
		return -1
	case b[i+1] == '\n':
		return i + 2
	}
	return 0
}

// setStatus takes the value of a Status field.
func (r *Response) setStatus(v []byte) bool {
	if len(v) < 3 || len(v) > 3 && v[3] != ' ' {
		return false
	}
	status, ok := parseNumber(v[:3])
	if !ok || status < 200 {
		return false
	}
	r.Status = int(status)
	r.Reason = trimBlanks(v[3:])
	return true
}
