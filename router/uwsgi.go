package router

import (
	"strconv"

	"emperor/router/http1"
	"emperor/router/rule"
	"emperor/router/uwsgi"
)

// uwsgiPacket builds the packet for the request, with the collected part of the
// body behind it, in x.out.
func (x *exchange) uwsgiPacket(d *destination) ([]byte, error) {
	s := x.settings
	r := &x.request
	length := r.ContentLength
	inChunks := r.Chunked && s.chunkedInput
	if r.Chunked && !inChunks {
		// A uwsgi vassal knows no chunks: it is told the length.
		var err error
		if length, err = x.body.measure(); err != nil {
			return nil, err
		}
	}
	w := &x.writer
	w.Begin(x.out[:0], d.modifier1, d.modifier2)
	head := uwsgi.Request{
		Method: r.Method, PathInfo: x.path, URI: r.Target, Query: r.Query,
		Protocol:   protocolName(r.Minor),
		ServerName: s.serverName, ServerPort: x.peer.port,
		RemoteAddr: x.peer.remoteAddr, RemotePort: x.peer.remotePort,
	}
	if s.hostAsName {
		head.ServerName = string(r.HostField)
	}
	w.Request(&head)
	upgrade := x.upgrade() != nil
	trusted := s.trusted.includes(x.peer.remote)
	for i := range r.Fields {
		f := &r.Fields[i]
		switch {
		case f.Kind == http1.ContentLength:
			// Written below, once, from what is really sent.
		case forwardedKinds.Has(f.Kind):
			if value, keep := x.forwardedValue(f, trusted); keep {
				w.Header(f.Name, value)
			}
		case f.EndToEnd():
			w.Header(f.Name, f.Value)
		case upgrade && f.Kind == http1.Upgrade:
			w.Header(f.Name, f.Value)
		case upgrade && f.Kind == http1.Connection:
			w.Header(f.Name, upgradeValue)
		case inChunks && f.Kind == http1.TransferEncoding:
			w.Header(f.Name, chunkedValue)
		}
	}
	if length >= 0 {
		x.scratch = strconv.AppendInt(x.scratch[:0], length, 10)
		w.VarBytes("CONTENT_LENGTH", x.scratch)
	}
	// The last of a name counts, and the rules' come after http-var's. (Where such a
	// name repeats one from above, uWSGI takes this one.)
	for i := range s.vars {
		if !named(d.vars, s.vars[i].name) {
			w.Var(s.vars[i].name, s.vars[i].value)
		}
	}
	for i := range d.vars {
		if !named(d.vars[i+1:], d.vars[i].Name) {
			w.VarBytes(d.vars[i].Name, d.vars[i].Value)
		}
	}
	packet, err := w.Finish()
	if packet != nil {
		x.out = packet[:0]
	}
	if err != nil {
		return nil, err
	}
	packet = x.body.appendCollected(packet, inChunks)
	if inChunks && x.body.whole {
		packet = append(packet, lastChunk...)
	}
	x.out = packet[:0]
	return packet, nil
}

func named(vars []rule.Var, name string) bool {
	for i := range vars {
		if vars[i].Name == name {
			return true
		}
	}
	return false
}

var upgradeValue, chunkedValue = []byte("Upgrade"), []byte("chunked")
