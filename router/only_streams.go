package router

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"emperor/internal/link"
)

// A vassal with protocol = tcp speaks something that the front does not know. Streams
// lead there (route-sni … tcp:vassal:NAME, rawrouter-to = vassal:NAME); a request that a
// rule sends there is refused, and the vassal neither woken nor connected to for it.

var errOnlyStreams = errors.New("it has protocol = tcp, so it is asked nothing: only streams (route-sni, rawrouter-to) lead there")

// forRequests is the socket for requests that name none.
func (g *generation) forRequests() *target {
	for i := range g.targets {
		if g.targets[i].protocol != protocolTCP {
			return &g.targets[i]
		}
	}
	return &g.targets[0]
}

// forStreams is the socket for streams that name none. TLS may end here in front of any
// program, so it is the first where none is for streams only.
func (g *generation) forStreams() *target {
	for i := range g.targets {
		if g.targets[i].protocol == protocolTCP {
			return &g.targets[i]
		}
	}
	return &g.targets[0]
}

// takesOnlyStreams tells whether a request to that address, or to the vassal as such,
// can have no answer.
func (g *generation) takesOnlyStreams(address []byte) bool {
	if len(g.targets) == 0 {
		return false // it has no port before it runs
	}
	for i := range g.targets {
		if g.targets[i].text == string(address) {
			return g.targets[i].protocol == protocolTCP
		}
	}
	return g.forRequests().protocol == protocolTCP
}

// explainOnlyStreams says what becomes of a request to a vassal with these sockets.
func explainOnlyStreams(out *strings.Builder, addresses []link.Address) {
	requests := func(a link.Address) bool { return a.Protocol != link.TCP }
	if len(addresses) > 0 && !slices.ContainsFunc(addresses, requests) {
		fmt.Fprintln(out, "answer     502: it has protocol = tcp; only streams (route-sni, rawrouter-to) lead there")
	}
}
