package router

import (
	"fmt"

	"emperor/internal/link"
	"emperor/router/rule"
)

// protocol is what a vassal speaks on its socket.
type protocol uint8

const (
	protocolUwsgi protocol = iota
	protocolHTTP
	protocolFastCGI
	protocolSCGI
	protocolHTTPS
	protocolStatic // no socket at all: files that the router serves by itself
	protocolTCP    // whatever it is, streams only
)

func parseProtocol(name string) (protocol, error) {
	switch name {
	case "", "uwsgi":
		return protocolUwsgi, nil
	case "http":
		return protocolHTTP, nil
	case "fastcgi":
		return protocolFastCGI, nil
	case "scgi":
		return protocolSCGI, nil
	case link.Static:
		return protocolStatic, nil
	case link.TCP:
		return protocolTCP, nil
	}
	return 0, fmt.Errorf("protocol %q, want uwsgi, http, fastcgi, scgi, tcp or static", name)
}

func (p protocol) String() string {
	return [...]string{"uwsgi", "http", "fastcgi", "scgi", "https", "static", link.TCP}[p]
}

// protocolOf is the protocol of a rule's action; ok is false when it names no
// address.
func protocolOf(k rule.Kind) (p protocol, ok bool) {
	switch k {
	case rule.Uwsgi:
		return protocolUwsgi, true
	case rule.HTTP:
		return protocolHTTP, true
	case rule.HTTPS:
		return protocolHTTPS, true
	case rule.FastCGI:
		return protocolFastCGI, true
	case rule.SCGI:
		return protocolSCGI, true
	}
	return 0, false
}
