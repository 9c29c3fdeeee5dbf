package router

import (
	"net/netip"
	"strconv"
	"strings"
	"time"

	"emperor/internal/jsontext"
)

// streamFormat is how a line of stream-log looks.
type streamFormat struct{ json bool }

// streamEntry is what is said of a stream that has ended.
type streamEntry struct {
	ended                    time.Time
	client                   netip.AddrPort
	listener                 string
	action                   string // pass or tcp
	name                     string // that the client has asked for
	rule                     string // file:line
	vassal, address          string
	fromClient, fromUpstream int64
	connect, duration        time.Duration
	reason                   string // for its end
	err                      error
}

// append appends the line.
func (f streamFormat) append(dst []byte, e *streamEntry) []byte {
	field := f.word
	if f.json {
		dst, field = append(dst, '{'), f.member
	}
	number := func(dst []byte, name string, n int64) []byte {
		if f.json {
			return append(strconv.AppendInt(append(append(append(dst, '"'), name...), `":`...), n, 10), ',')
		}
		return field(dst, name, strconv.FormatInt(n, 10))
	}
	dst = field(dst, "time", e.ended.Format("2006-01-02T15:04:05.000Z07:00"))
	client := "unix"
	if e.client.IsValid() {
		client = e.client.String()
	}
	dst = field(dst, "client", client)
	dst = field(dst, "listener", e.listener)
	dst = field(dst, "action", e.action)
	dst = field(dst, "name", e.name)
	dst = field(dst, "rule", e.rule)
	if e.vassal != "" {
		dst = field(dst, "vassal", e.vassal)
	}
	dst = field(dst, "address", e.address)
	dst = number(dst, "received", e.fromClient)
	dst = number(dst, "sent", e.fromUpstream)
	dst = number(dst, "connect_ms", e.connect.Milliseconds())
	dst = number(dst, "ms", e.duration.Milliseconds())
	if e.err != nil {
		dst = field(dst, "error", e.err.Error())
	}
	dst = field(dst, "reason", e.reason)
	dst = dst[:len(dst)-1] // the last separator
	if f.json {
		dst = append(dst, '}')
	}
	return append(dst, '\n')
}

// word appends name=value and a blank; a value with blanks is quoted.
func (streamFormat) word(dst []byte, name, value string) []byte {
	dst = append(append(dst, name...), '=')
	if quoted := strconv.AppendQuote(nil, value); value == "" {
		dst = append(dst, '-')
	} else if len(quoted) != len(value)+2 || strings.ContainsAny(value, " =") {
		dst = append(dst, quoted...)
	} else {
		dst = append(dst, value...)
	}
	return append(dst, ' ')
}

// member appends "name":"value" and a comma.
func (streamFormat) member(dst []byte, name, value string) []byte {
	dst = append(append(append(dst, '"'), name...), `":"`...)
	return append(jsontext.Append(dst, value), `",`...)
}

// log writes the line of stream-log.
func (f *flow) log() {
	writer := f.c.router.streamWriter.current.Load()
	if writer == nil {
		return
	}
	p := &f.c.peer
	now := time.Now()
	e := streamEntry{
		ended: now, listener: p.listener, action: "pass", vassal: f.vassal, address: f.address,
		fromClient: f.result.FromClient, fromUpstream: f.result.FromUpstream,
		connect: f.connect, duration: now.Sub(f.began), reason: f.result.Reason, err: f.result.Err,
	}
	if p.remote.IsValid() {
		e.client = netip.AddrPortFrom(p.remote, p.port16)
	}
	if f.c.tls != nil {
		e.action = "tcp"
	}
	if f.asked != nil {
		e.name = f.asked.Name
	}
	if r := f.decision.Rule; r != nil {
		e.rule = r.Place()
	}
	writer.Write(f.settings.streams.format.append(nil, &e))
}

// streamFigures are what http-stats shows of streams.
func (r *Router) streamFigures() map[string]any {
	c := &r.counters
	figures := map[string]any{
		"open": c.streams.Load(), "begun": c.streamsBegun.Load(), "failed": c.streamsFailed.Load(), "refused": c.streamsRefused.Load(),
		"received": c.streamsIn.Load(), "sent": c.streamsOut.Load(),
	}
	nodes := []any{} // of rules that have been followed, in the order of the file
	settings := r.current()
	for _, rule := range settings.streams.table.Rules() {
		v, ok := settings.streamNodes.Load(rule)
		if !ok {
			continue
		}
		n := v.(*flowNodes)
		for _, s := range n.group.Status() {
			nodes = append(nodes, map[string]any{"rule": rule.Place(), "name": n.nodes[s.Node.Index].Address, "hits": s.Hits, "in_flight": s.InFlight, "failures": s.Failures, "weight": s.Node.Weight})
		}
	}
	figures["nodes"] = nodes
	return figures
}
