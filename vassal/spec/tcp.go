package spec

import (
	"slices"

	"emperor/internal/link"
)

// speaksAnything tells whether it is not known what the program speaks (protocol = tcp),
// and says of the lines about requests that they mean nothing there.
func (r *reader) speaksAnything() bool {
	if r.spec.Kind != Command || r.spec.Command.Protocol != link.TCP {
		return false
	}
	said := "protocol = tcp"
	if v, ok := r.c.Last("protocol"); ok {
		said += " (" + ShortPos(v.Pos) + ")"
	}
	for _, v := range r.c.All("ready-path", "health-path") {
		r.wrong(v, "a path can only be asked for where requests are spoken, and %s says that nothing is known of it: leave this line out, or want protocol = http, uwsgi, fastcgi or scgi", said)
	}
	for _, v := range r.c.All("health-interval", "health-timeout", "health-threshold", "heartbeat", "harakiri") {
		r.warn(v, "no effect: it is about requests, and %s", said)
	}
	return true
}

// OnlyStreams tells whether requests can't be sent to the vassal, because it is not known
// what it speaks (protocol = tcp).
func (s *Spec) OnlyStreams() bool {
	if s.Port {
		return s.Command.Protocol == link.TCP
	}
	addresses := s.Addresses()
	return len(addresses) > 0 && !slices.ContainsFunc(addresses, func(a link.Address) bool { return a.Protocol != link.TCP })
}
