package http1

import "bytes"

// Field is one header field. Both slices point into the buffer that was parsed
// and live as long as its bytes stay where they are.
type Field struct {
	Name  []byte // as sent; at least one byte, token characters only
	Value []byte // without surrounding blanks; may be empty
	Kind  Kind   // which of the fields this package knows by name
	Flags Flags  // why the field must not be passed on as it is
}

// EndToEnd reports whether the field may be passed on: it is not hop-by-hop and
// its name has no underscore.
func (f *Field) EndToEnd() bool { return f.Flags == 0 }

// Flags are reasons not to pass a field on.
type Flags uint8

const (
	// HopByHop: Connection, Keep-Alive, Proxy-Connection, TE, Trailer,
	// Transfer-Encoding, Upgrade, every field that Connection lists (RFC 9110
	// §7.6.1; Host and Content-Length excepted, a client must not be able to take
	// those away), and in requests Proxy, which CGI-style vassals would read as
	// the environment's HTTP_PROXY.
	HopByHop Flags = 1 << iota
	// Underscore: the name has a '_'. CGI-style vassals can't tell X_Y from X-Y,
	// so a client could forge a field that the router sets. Dropped in requests.
	Underscore
)

// Kind names the fields that a router treats specially, so that its loops over
// fields compare one small number instead of names.
type Kind uint8

const (
	Other Kind = iota
	Connection
	ContentLength
	ContentType
	Cookie
	Date
	Expect
	Forwarded
	Host
	KeepAlive
	Proxy
	ProxyConnection
	Server
	TE
	Trailer
	TransferEncoding
	Upgrade
	Via
	XForwardedFor
	XForwardedHost
	XForwardedPort
	XForwardedProto
	XForwardedSSL
	XRealIP
	XSendfile
	XAccelRedirect
)

// Kinds is a set of Kind values.
type Kinds uint64

// KindsOf makes a set.
func KindsOf(kinds ...Kind) Kinds {
	var s Kinds
	for _, k := range kinds {
		s |= 1 << k
	}
	return s
}

// Has reports whether k is in the set.
func (s Kinds) Has(k Kind) bool { return s>>k&1 != 0 }

const (
	responseHop = 1<<Connection | 1<<KeepAlive | 1<<ProxyConnection | 1<<TE | 1<<Trailer | 1<<TransferEncoding | 1<<Upgrade
	requestHop  = responseHop | 1<<Proxy
)

// KindOf finds a field name, in any case, among the known ones.
func KindOf(name []byte) Kind {
	if len(name) == 0 {
		return Other
	}
	// The length and the first letter leave at most one or two candidates, and
	// most names of a browser's head none: only those are compared in full.
	first := name[0] | 0x20
	switch len(name) {
	case 2:
		if first == 't' {
			return match(name, "te", TE)
		}
	case 3:
		if first == 'v' {
			return match(name, "via", Via)
		}
	case 4:
		if first == 'h' {
			return match(name, "host", Host)
		}
		if first == 'd' {
			return match(name, "date", Date)
		}
	case 5:
		if first == 'p' {
			return match(name, "proxy", Proxy)
		}
	case 6:
		switch first {
		case 'c':
			return match(name, "cookie", Cookie)
		case 'e':
			return match(name, "expect", Expect)
		case 's':
			return match(name, "server", Server)
		}
	case 7:
		if first == 'u' {
			return match(name, "upgrade", Upgrade)
		}
		if first == 't' {
			return match(name, "trailer", Trailer)
		}
	case 9:
		if first == 'f' {
			return match(name, "forwarded", Forwarded)
		}
		if first == 'x' {
			return match(name, "x-real-ip", XRealIP)
		}
	case 10:
		switch first {
		case 'c':
			return match(name, "connection", Connection)
		case 'k':
			return match(name, "keep-alive", KeepAlive)
		case 'x':
			return match(name, "x-sendfile", XSendfile)
		}
	case 12:
		if first == 'c' {
			return match(name, "content-type", ContentType)
		}
	case 14:
		if first == 'c' {
			return match(name, "content-length", ContentLength)
		}
	case 15:
		if first == 'x' {
			return match(name, "x-forwarded-for", XForwardedFor) | match(name, "x-forwarded-ssl", XForwardedSSL)
		}
	case 16:
		switch first {
		case 'p':
			return match(name, "proxy-connection", ProxyConnection)
		case 'x':
			// At most one of them matches, the others are Other, which is zero.
			return match(name, "x-forwarded-host", XForwardedHost) |
				match(name, "x-forwarded-port", XForwardedPort) |
				match(name, "x-accel-redirect", XAccelRedirect)
		}
	case 17:
		if first == 't' {
			return match(name, "transfer-encoding", TransferEncoding)
		}
		if first == 'x' {
			return match(name, "x-forwarded-proto", XForwardedProto)
		}
	}
	return Other
}

func match(name []byte, lower string, k Kind) Kind {
	if equalFold(name, lower) {
		return k
	}
	return Other
}

// equalFold compares token characters with a lower-case text of letters and
// '-'. Setting bit 5 is exact here: no other token character becomes a letter
// or '-' by it.
func equalFold(b []byte, lower string) bool {
	if len(b) != len(lower) {
		return false
	}
	for i := range b {
		if b[i]|0x20 != lower[i] {
			return false
		}
	}
	return true
}

// parse reads the field line that starts at i and returns where the next line
// starts. bareLF accepts a line end without CR.
func (f *Field) parse(b []byte, i int, bareLF bool) (next int, fault *Error) {
	start := i
	var class uint8
	i = len(b)
	for k, c := range b[start:] {
		c := classes[c]
		if c&nameByte == 0 {
			i = start + k
			break
		}
		class |= c
	}
	if i == len(b) {
		return 0, incomplete
	}
	if b[i] != ':' || i == start {
		return 0, nameFault(b, start, i)
	}
	f.Name = b[start:i:i]
	f.Kind = KindOf(f.Name)
	f.Flags = 0
	if class&underscoreByte != 0 {
		f.Flags = Underscore
	}

	i++
	for i < len(b) && (b[i] == ' ' || b[i] == '\t') {
		i++
	}
	start = i
	i = endOfValue(b, i)
	if i == len(b) {
		return 0, incomplete
	}
	switch {
	case b[i] == '\n' && bareLF:
		next = i + 1
	case b[i] != '\r':
		return 0, valueFault(b[i])
	case i+1 == len(b):
		return 0, incomplete
	case b[i+1] != '\n':
		return 0, errBareCR
	default:
		next = i + 2
	}
	for i > start && (b[i-1] == ' ' || b[i-1] == '\t') {
		i--
	}
	f.Value = b[start:i:i]
	return next, nil
}

// nameFault says why the line from start on has no proper name; i is the byte
// that ended it.
func nameFault(b []byte, start, i int) *Error {
	switch c := b[i]; {
	case c == ' ' || c == '\t':
		if i == start {
			return errFold
		}
		if rest := bytes.TrimLeft(b[i:], " \t"); len(rest) > 0 && rest[0] == ':' {
			return errBlank
		}
		return errName
	case c == ':' || classes[c]&valueByte != 0:
		return errName
	case c == '\r' && i+1 < len(b) && b[i+1] == '\n':
		return errName // no colon
	default:
		return valueFault(c)
	}
}

// valueFault names the control byte that does not belong into a head.
func valueFault(c byte) *Error {
	switch c {
	case '\n':
		return errBareLF
	case '\r':
		return errBareCR
	case 0:
		return errNUL
	}
	return errControl
}

// maxOptions bounds the names that Connection may list besides the usual ones,
// because each field is compared with all of them.
const maxOptions = 16

// connection collects what the Connection fields say.
type connection struct {
	close, keepAlive, upgrade bool
	names                     [][]byte // fields that are hop-by-hop because listed
}

// add reads one Connection value. It reports false when too many names are
// listed.
func (c *connection) add(list []byte) bool {
	for len(list) > 0 {
		var item []byte
		if comma := bytes.IndexByte(list, ','); comma >= 0 {
			item, list = list[:comma], list[comma+1:]
		} else {
			item, list = list, nil
		}
		item = trimBlanks(item)
		switch len(item) {
		case 0:
			continue
		case 5:
			if equalFold(item, "close") {
				c.close = true
				continue
			}
		case 7:
			if equalFold(item, "upgrade") {
				c.upgrade = true
				continue
			}
		case 10:
			if equalFold(item, "keep-alive") {
				c.keepAlive = true
				continue
			}
		}
		// Hop-by-hop anyway, or not for a client to take away.
		if Kinds(requestHop | 1<<Host | 1<<ContentLength).Has(KindOf(item)) {
			continue
		}
		if len(c.names) == maxOptions {
			return false
		}
		c.names = append(c.names, item)
	}
	return true
}

// mark flags the listed fields.
func (c *connection) mark(fields []Field) {
	if len(c.names) == 0 {
		return
	}
	for i := range fields {
		for _, name := range c.names {
			if len(name) == len(fields[i].Name) && bytes.EqualFold(name, fields[i].Name) {
				fields[i].Flags |= HopByHop
			}
		}
	}
}

func trimBlanks(b []byte) []byte {
	for len(b) > 0 && (b[0] == ' ' || b[0] == '\t') {
		b = b[1:]
	}
	for len(b) > 0 && (b[len(b)-1] == ' ' || b[len(b)-1] == '\t') {
		b = b[:len(b)-1]
	}
	return b
}
