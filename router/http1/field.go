package http1

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

// IsHopByHop reports whether a request field of this name concerns one
// connection only, whatever Connection lists. Fields of a parsed Request carry
// the answer, with the names that Connection lists, in Flags.
func IsHopByHop(name []byte) bool { return Kinds(requestHop).Has(KindOf(name)) }

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
