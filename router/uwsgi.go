package router

import (
	"strconv"

	"emperor/router/http1"
	"emperor/router/rule"
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
		Protocol:   protocolName(r.Minor),
		ServerName: s.serverName, ServerPort: x.peer.port,
		RemoteAddr: x.peer.remoteAddr, RemotePort: x.peer.remotePort,
	}
	if s.hostAsName {
		head.ServerName = string(r.HostField)
	}
	x.override(d, &head)
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
	if x.ownID {
		w.VarBytes("HTTP_X_REQUEST_ID", x.requestID)
	}
	// The last of a name counts, and the rules' come after http-var's.
	for i := range s.vars {
		if !named(d.vars, s.vars[i].name) && !isBuiltIn(s.vars[i].name) {
			w.Var(s.vars[i].name, s.vars[i].value)
		}
	}
	for i := range d.vars {
		if !named(d.vars[i+1:], d.vars[i].Name) && !isBuiltIn(d.vars[i].Name) {
			w.VarBytes(d.vars[i].Name, d.vars[i].Value)
		}
	}
	packet, err := w.Finish()
	if packet != nil {
		x.out = packet[:0]
	}
	return packet, err
}

// override gives the variables that every packet starts with the values that
// http-var and the rules have for them: the last of a name counts, and it is sent
// once.
func (x *exchange) override(d *destination, head *uwsgi.Request) {
	set := func(name string, value []byte) {
		switch name {
		case "REQUEST_METHOD":
			head.Method = value
		case "PATH_INFO":
			head.PathInfo = value
		case "REQUEST_URI":
			head.URI = value
		case "QUERY_STRING":
			head.Query = value
		case "SERVER_PROTOCOL":
			head.Protocol = string(value)
		case "SERVER_NAME":
			head.ServerName = string(value)
		case "SERVER_PORT":
			head.ServerPort = string(value)
		case "REMOTE_ADDR":
			head.RemoteAddr = value
		case "REMOTE_PORT":
			head.RemotePort = value
		}
	}
	for i := range x.settings.vars {
		if v := &x.settings.vars[i]; isBuiltIn(v.name) {
			set(v.name, []byte(v.value))
		}
	}
	for i := range d.vars {
		if v := &d.vars[i]; isBuiltIn(v.Name) {
			set(v.Name, v.Value)
		}
	}
}

func isBuiltIn(name string) bool {
	switch name {
	case "REQUEST_METHOD", "PATH_INFO", "REQUEST_URI", "QUERY_STRING", "SERVER_PROTOCOL", "SERVER_NAME", "SERVER_PORT", "REMOTE_ADDR", "REMOTE_PORT":
		return true
	}
	return false
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
