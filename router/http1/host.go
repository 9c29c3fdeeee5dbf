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
func ParseHost(scratch, value []byte) (h HostName, ok bool) { return }
