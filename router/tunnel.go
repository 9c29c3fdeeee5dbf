package router

import (
	"bytes"
	"fmt"
	"time"

	"emperor/router/relay"
	"emperor/router/upstream"
)

// relayTunnel delivers a 101 and then carries bytes both ways until either side
// ends or both are silent for too long.
func (x *exchange) relayTunnel(conn *upstream.Conn) outcome {
	if x.upgrade() == nil {
		return outcome{err: fmt.Errorf("%w to this request: it switches protocols, which nobody asked for", errGarbage), sent: true}
	}
	x.head = answerHead{response: &x.response, length: -1, noBody: true}
	x.status, x.entry.Status = x.response.Status, x.response.Status
	if err := x.down.tunnel(&x.head, x.back[x.first:x.last]); err != nil {
		return outcome{err: err, sent: true, answered: true}
	}
	x.router.counters.tunnels.Add(1)
	defer x.router.counters.tunnels.Add(-1)

	return outcome{err: x.carryTunnel(conn), sent: true, answered: true}
}

// tunnelGrace is how long a vassal may take to end after its client has.
const tunnelGrace = 10 * time.Second

// carryTunnel carries bytes both ways until the vassal ends, or after a time in which
// nothing moves. An end of the client's is passed on, and the vassal may finish.
func (x *exchange) carryTunnel(conn *upstream.Conn) error {
	o := relay.Options{Idle: x.settings.tunnelTimeout, Grace: tunnelGrace, UpstreamDecides: true}
	if x.pinned != nil {
		o.Heard = x.pinned.heard
	}
	switch r := x.down.relay(conn, o); r.Reason {
	case relay.Idle:
		return upstream.ErrTimeout
	case relay.UpstreamReset, relay.UpstreamFailed:
		return r.Err
	}
	return nil
}

// upgrade is the protocol that the client offers to switch to, nil when it does
// not or may not. HTTP/2 and TLS are not let through: requests inside of them
// would pass by the rules. Nor is an offer beside a body, which would have to be
// sent to its end first.
func (x *exchange) upgrade() []byte {
	r := &x.request
	if !x.settings.websockets || r.HasBody() || len(r.Upgrade) == 0 {
		return nil
	}
	for _, b := range r.Upgrade {
		if b == ',' {
			return nil // a choice that we could not look into
		}
	}
	for _, no := range [...]string{"h2", "HTTP/", "TLS/"} {
		if len(r.Upgrade) >= len(no) && bytes.EqualFold(r.Upgrade[:len(no)], []byte(no)) {
			return nil
		}
	}
	return r.Upgrade
}
