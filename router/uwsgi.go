package router

import (
	"strconv"

	"emperor/router/http1"
	"emperor/router/uwsgi"
)

// uwsgiPacket builds the packet for the request in x.out. inChunks says that the
// vassal gets a chunked body as chunks; otherwise it is told the length.
func (x *exchange) uwsgiPacket(d *destination, inChunks bool) ([]byte, error) {
	s := x.settings
	r := &x.request
	length := r.ContentLength
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
		Protocol:   x.protocolName(),
		HTTPS:      x.scheme() == "https",
		ServerName: s.serverName, ServerPort: x.peer.port,
		RemoteAddr: x.peer.remoteAddr, RemotePort: x.peer.remotePort,
	}
	if s.hostAsName {
		head.ServerName = string(r.HostField)
	}
	w.Request(&head)
	upgrade := x.upgrade() != nil
	for i := range r.Fields {
		f := &r.Fields[i]
		switch {
		case f.Kind == http1.ContentLength:
			// Written below, once, from what is really sent.
		case forwardedKinds.Has(f.Kind):
			if value, keep := x.forwardedValue(f); keep {
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
	if s := x.peer.secured; s != nil {
		for i := range s.vars {
			if s.vars[i].Name != "HTTPS" { // with the first ones
				w.Var(s.vars[i].Name, s.vars[i].Value)
			}
		}
	}
	if x.ownID {
		w.VarBytes("HTTP_X_REQUEST_ID", x.requestID)
	}
	// The last of a name counts, and the rules' come after http-var's.
	for i := range s.vars {
		w.Set(s.vars[i].name, s.vars[i].value)
	}
	for i := range d.vars {
		w.SetBytes(d.vars[i].Name, d.vars[i].Value)
	}
	packet, err := w.Finish()
	if packet != nil {
		x.out = packet[:0]
	}
	return packet, err
}

var upgradeValue, chunkedValue = []byte("Upgrade"), []byte("chunked")
