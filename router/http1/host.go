package http1

// MaxHost is the greatest length in bytes of a Host field, port included.
const MaxHost = 255

// HostName is a host in canonical form.
type HostName struct {
	Name []byte // lower case, without one trailing dot; an IPv6 literal keeps its brackets
	Port []byte // decimal digits, no leading zero, at most 65535; empty when none was given
}

// ParseHost checks the value of a Host field (or a TLS server name, or the host
// of a URL) and returns its canonical form. Name points into value when value is
// canonical already and into scratch otherwise, which needs a capacity of
// len(value) then (else it is allocated); Port always points into value.
//
// ok is false for an empty name, userinfo, an empty label ("a..b", ".a"), any
// byte outside letters, digits, '-', '.' and '_', a malformed IPv6 literal or
// port, and more than MaxHost bytes.
func ParseHost(scratch, value []byte) (h HostName, ok bool) {
	if len(value) == 0 || len(value) > MaxHost {
		return h, false
	}
	if value[0] == '[' {
		return parseLiteral(scratch, value)
	}
	i := 0
	var class uint8
	dot := true // the byte before was a dot, or there was none: a label must follow
	for ; i < len(value); i++ {
		c := classes[value[i]]
		if c&hostByte == 0 {
			if c&dotByte == 0 || dot {
				break
			}
			dot = true
			continue
		}
		dot = false
		class |= c
	}
	name := value[:i:i]
	if i < len(value) {
		if value[i] != ':' {
			return h, false
		}
		if h.Port = value[i+1:]; !validPort(h.Port) {
			return h, false
		}
	}
	if len(name) == 0 {
		return h, false
	}
	if dot {
		name = name[: len(name)-1 : len(name)-1]
	}
	h.Name = name
	if class&upperByte != 0 {
		h.Name = appendLower(scratch[:0], name)
	}
	return h, true
}

func appendLower(dst, b []byte) []byte {
	for _, c := range b {
		if c-'A' < 26 {
			c |= 0x20
		}
		dst = append(dst, c)
	}
	return dst
}

// validPort accepts the empty port too, which RFC 3986 §3.2.3 allows.
func validPort(b []byte) bool {
	if len(b) == 0 {
		return true
	}
	if len(b) > 5 || b[0] == '0' && len(b) > 1 {
		return false
	}
	n, ok := parseNumber(b)
	return ok && n <= 65535
}

// parseLiteral reads "[IPv6]" with an optional port.
func parseLiteral(scratch, value []byte) (h HostName, ok bool) {
	end := 1
	upper := false
	for end < len(value) && value[end] != ']' {
		upper = upper || classes[value[end]]&upperByte != 0
		end++
	}
	if end == len(value) || !validIPv6(value[1:end]) {
		return h, false
	}
	h.Name = value[: end+1 : end+1]
	if rest := value[end+1:]; len(rest) > 0 {
		if h.Port = rest[1:]; rest[0] != ':' || !validPort(h.Port) {
			return HostName{}, false
		}
	}
	if upper {
		h.Name = appendLower(scratch[:0], h.Name)
	}
	return h, true
}

// validIPv6 checks the text of an address (RFC 4291 §2.2), without zone. The
// standard library's parser works on strings and allocates its errors, which a
// hostile client could make us do at will.
func validIPv6(b []byte) bool {
	groups := 0
	elided := false
	for len(b) > 0 {
		if b[0] == ':' {
			// "::" stands for at least one group, once.
			if len(b) < 2 || b[1] != ':' || elided {
				return false
			}
			elided = true
			b = b[2:]
			if len(b) == 0 {
				break
			}
		}
		digits := 0
		for digits < len(b) && isHex(b[digits]) {
			digits++
		}
		if digits < len(b) && b[digits] == '.' {
			return validIPv4(b) && (groups == 6 && !elided || groups < 6 && elided)
		}
		if digits == 0 || digits > 4 {
			return false
		}
		groups++
		if b = b[digits:]; len(b) == 0 {
			break
		}
		if b[0] != ':' || len(b) == 1 {
			return false
		}
		if b[1] != ':' {
			b = b[1:]
		}
	}
	return groups == 8 && !elided || groups < 8 && elided
}

func validIPv4(b []byte) bool {
	for part := 0; ; part++ {
		n, digits := 0, 0
		for digits < len(b) && digits < 4 && b[digits]-'0' <= 9 {
			n = n*10 + int(b[digits]-'0')
			digits++
		}
		if digits == 0 || n > 255 || digits > 1 && b[0] == '0' {
			return false
		}
		b = b[digits:]
		if part == 3 {
			return len(b) == 0
		}
		if len(b) == 0 || b[0] != '.' {
			return false
		}
		b = b[1:]
	}
}

func isHex(c byte) bool {
	return c-'0' <= 9 || c|0x20-'a' <= 5
}
