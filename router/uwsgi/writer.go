package uwsgi

import "slices"

// Request carries the variables that every packet starts with.
type Request struct {
	Method     []byte // REQUEST_METHOD
	PathInfo   []byte // PATH_INFO: decoded, normalised
	URI        []byte // REQUEST_URI: the target as sent
	Query      []byte // QUERY_STRING; nil when the target has no '?'
	Protocol   string // SERVER_PROTOCOL: "HTTP/1.1"
	ServerName string // SERVER_NAME: uWSGI sends the machine's host name
	ServerPort string // SERVER_PORT: "" on a unix socket
	HTTPS      bool   // HTTPS=on
	RemoteAddr []byte // REMOTE_ADDR: "0.0.0.0" on a unix socket
	RemotePort []byte // REMOTE_PORT: "0" on a unix socket
}

// Writer builds one packet at a time. The zero value is ready for Begin; keep it
// and use it again, it allocates only until it has seen its largest request.
type Writer struct {
	buf     []byte
	start   int // of the packet in buf
	tooBig  bool
	headers []written // header variables so far
	maybe   uint64    // a bit per header variable: see Header
}

// written is where a header variable lies in the packet.
type written struct {
	name  int // index of the first byte of its name in buf
	size  int // length of the name
	value int // index of the first byte of its value
}

// Begin starts a packet at the end of dst, which may hold other bytes already.
func (w *Writer) Begin(dst []byte, modifier1, modifier2 byte) {
	w.start = len(dst)
	w.buf = append(dst, modifier1, 0, 0, modifier2)
	w.headers = w.headers[:0]
	w.maybe = 0
	w.tooBig = false
}

// Request writes the variables of r in the order of uWSGI's HTTP router (which
// decodes the path as soon as it meets a '?', otherwise after the target).
func (w *Writer) Request(r *Request) {
	w.VarBytes("REQUEST_METHOD", r.Method)
	if r.Query != nil {
		w.VarBytes("PATH_INFO", r.PathInfo)
		w.VarBytes("REQUEST_URI", r.URI)
	} else {
		w.VarBytes("REQUEST_URI", r.URI)
		w.VarBytes("PATH_INFO", r.PathInfo)
	}
	w.VarBytes("QUERY_STRING", r.Query)
	w.Var("SERVER_PROTOCOL", r.Protocol)
	w.Var("SCRIPT_NAME", "")
	w.Var("SERVER_NAME", r.ServerName)
	w.Var("SERVER_PORT", r.ServerPort)
	w.Var("UWSGI_ROUTER", "http")
	if r.HTTPS {
		w.Var("HTTPS", "on")
	}
	w.VarBytes("REMOTE_ADDR", r.RemoteAddr)
	w.VarBytes("REMOTE_PORT", r.RemotePort)
}

// Var writes a variable. The caller sees to it that each name is written once.
func (w *Writer) Var(name, value string) { appendVar(w, name, value) }

// VarBytes is Var for a value in bytes.
func (w *Writer) VarBytes(name string, value []byte) { appendVar(w, name, value) }

// Set writes a variable in place of one of that name, if there is one: consumers
// differ in whether the first or the last of two counts. No Header may follow.
func (w *Writer) Set(name, value string) {
	w.remove(name)
	appendVar(w, name, value)
}

// SetBytes is Set for a value in bytes.
func (w *Writer) SetBytes(name string, value []byte) {
	w.remove(name)
	appendVar(w, name, value)
}

// remove takes the variable of that name out of the packet.
func (w *Writer) remove(name string) {
	for at := w.start + HeaderSize; at < len(w.buf); {
		n := int(w.buf[at]) | int(w.buf[at+1])<<8
		value := at + 2 + n
		next := value + 2 + (int(w.buf[value]) | int(w.buf[value+1])<<8)
		if string(w.buf[at+2:value]) == name {
			w.buf = append(w.buf[:at], w.buf[next:]...)
			return
		}
		at = next
	}
}

func appendVar[V string | []byte](w *Writer, name string, value V) {
	p := w.reserve(4 + len(name) + len(value))
	p[0], p[1] = byte(len(name)), byte(len(name)>>8)
	n := 2 + copy(p[2:], name)
	p[n], p[n+1] = byte(len(value)), byte(len(value)>>8)
	copy(p[n+2:], value)
	w.extend(len(p))
}

// reserve returns n bytes of room behind the packet, which does not grow by it.
func (w *Writer) reserve(n int) []byte {
	at := len(w.buf)
	if at+n > cap(w.buf) {
		w.buf = slices.Grow(w.buf, n)
	}
	return w.buf[at : at+n]
}

// extend makes the first n reserved bytes part of the packet, if they fit. Once
// too big it stays too big: leaving out the one variable that did not fit would
// make another request of it.
func (w *Writer) extend(n int) bool {
	if w.tooBig || n > MaxVars-(len(w.buf)-w.start-HeaderSize) {
		w.tooBig = true
		return false
	}
	w.buf = w.buf[:len(w.buf)+n]
	return true
}

// varByte says what a byte of a header name becomes in a variable's name; 0
// means that the header is left out. uWSGI only maps letters and '-', so the
// other token characters stay as they are.
var varByte = func() (t [256]byte) {
	for i := range t {
		t[i] = byte(i)
		if i >= 'a' && i <= 'z' {
			t[i] -= 'a' - 'A'
		}
	}
	t['-'] = '_'
	t['_'] = 0
	return t
}()

// Header writes a header field as the variable HTTP_NAME (CONTENT_TYPE and
// CONTENT_LENGTH without prefix), upper-case and with '_' for '-'. A field that
// was written before is joined to it: with "; " for Cookie, ", " otherwise. A
// name that contains '_' is left out, as it would pass for its twin with '-',
// and so is Proxy, which would become HTTP_PROXY. Hop-by-hop fields are the
// caller's business: it leaves them out, and calls Header for Connection and
// Upgrade when a protocol switch is to reach the vassal.
func (w *Writer) Header(name, value []byte) {
	const prefix = "HTTP_"
	p := w.reserve(4 + len(prefix) + len(name) + len(value))
	copy(p[2:], prefix)
	mangled := p[2+len(prefix):][:len(name)]
	for i, c := range name {
		if c = varByte[c]; c == 0 {
			return
		}
		mangled[i] = c
	}
	size := len(prefix) + len(name)
	switch len(name) {
	case 0:
		return
	case 5:
		if string(mangled) == "PROXY" {
			return
		}
	case 12, 14:
		if string(mangled) == "CONTENT_TYPE" || string(mangled) == "CONTENT_LENGTH" {
			size = len(name)
			mangled = p[2 : 2+copy(p[2:], mangled)]
		}
	}
	p[0], p[1] = byte(size), byte(size>>8)
	variable := p[2 : 2+size]

	// Has it come before? One bit for each name seen, chosen by length and the
	// bytes at both ends, mostly answers no without comparing names.
	bit := uint64(1) << ((uint(size) + uint(mangled[0])*3 + uint(mangled[len(mangled)-1])*7) & 63)
	if w.maybe&bit != 0 {
		for i := range w.headers {
			h := &w.headers[i]
			if h.size == size && string(w.buf[h.name:h.name+size]) == string(variable) {
				w.join(i, value)
				return
			}
		}
	}
	w.maybe |= bit
	at := len(w.buf)
	p = p[2+size:]
	p[0], p[1] = byte(len(value)), byte(len(value)>>8)
	n := 2 + size + 2 + copy(p[2:], value)
	if w.extend(n) {
		w.headers = append(w.headers, written{name: at + 2, size: size, value: at + 4 + size})
	}
}

// join appends value to that of header variable i, moving what follows.
func (w *Writer) join(i int, value []byte) {
	h := &w.headers[i]
	separator := ", "
	if string(w.buf[h.name:h.name+h.size]) == "HTTP_COOKIE" {
		separator = "; "
	}
	size := int(w.buf[h.value-2]) | int(w.buf[h.value-1])<<8
	n := len(separator) + len(value)
	w.reserve(n)
	at := len(w.buf)
	if !w.extend(n) {
		return
	}
	end := h.value + size
	copy(w.buf[end+n:], w.buf[end:at])
	copy(w.buf[end:], separator)
	copy(w.buf[end+len(separator):], value)
	size += n
	w.buf[h.value-2], w.buf[h.value-1] = byte(size), byte(size>>8)
	for k := i + 1; k < len(w.headers); k++ {
		w.headers[k].name += n
		w.headers[k].value += n
	}
}

// Finish fills in the size and returns dst of Begin with the packet behind it.
// On ErrTooLarge it returns dst without a packet (its array may have been
// overwritten behind the end).
func (w *Writer) Finish() ([]byte, error) {
	buf := w.buf
	w.buf = nil
	if w.tooBig {
		return buf[:w.start], ErrTooLarge
	}
	size := len(buf) - w.start - HeaderSize
	buf[w.start+1], buf[w.start+2] = byte(size), byte(size>>8)
	return buf, nil
}
