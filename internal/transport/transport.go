// Package transport finds the addresses that ask for another transport than TCP.
//
// The front listens for connections and makes connections. Whoever writes udp:… in front
// of an address comes from a server that takes datagrams, too, and a message about
// brackets or a port would send them looking for a slip of the pen where there is none.
package transport

import (
	"fmt"
	"strings"
)

// TCPOnly is what is said to somebody who asks for another transport.
const TCPOnly = "TCP only: datagrams (UDP, QUIC, DTLS) are not routed"

// schemes are the beginnings of addresses of other transports.
var schemes = []string{"udp", "udp4", "udp6", "quic", "dtls", "sctp", "h3", "http3"}

// Check returns an error for an address that names another transport, be it in front
// (udp:10.0.0.1:53, quic://:443) or, as others write it, behind the port (10.0.0.1:53/udp
// and nginx's "53 udp").
func Check(address string) error {
	if other(strings.ToLower(address)) {
		return fmt.Errorf("%s: %s", address, TCPOnly)
	}
	return nil
}

func other(address string) bool {
	for _, scheme := range schemes {
		if rest, ok := strings.CutPrefix(address, scheme+":"); ok {
			// h3:443 is the port of a host that is called so, as are h1 and h2.
			return !strings.HasSuffix(scheme, "3") || strings.Trim(rest, "0123456789") != ""
		}
		for _, between := range []string{"/", " "} {
			rest, ok := strings.CutSuffix(address, between+scheme)
			if ok && endsWithPort(strings.TrimSpace(rest)) {
				return true
			}
		}
	}
	return false
}

// endsWithPort tells an address from a path, which may well end with /udp.
func endsWithPort(text string) bool {
	port := text[strings.LastIndexByte(text, ':')+1:]
	return port != "" && strings.Trim(port, "0123456789") == ""
}
