package router

import (
	"bytes"

	"emperor/router/http1"
	"emperor/router/rule"
)

// destination is where a request goes.
type destination struct {
	site      *site  // nil when no vassal is known at the address
	address   []byte // as the rule spells it; nil for vassal:NAME
	protocol  protocol
	modifier1 byte
	modifier2 byte
	host, uri []byte     // what an http: rule replaces
	defaults  bool       // http-to decides, in turns
	rule      *rule.Rule // nil for a default
	turn      turn       // of the defaults
	fixed     [1]target  // the address, when no vassal is known there
	vars      []rule.Var // added by rules
}

// speaksUwsgi is a guess for a site, which may have changed when it is picked.
func (d *destination) speaksUwsgi() bool {
	if d.site == nil {
		return d.protocol == protocolUwsgi
	}
	targets := d.site.current.Load().targets
	for i := range targets {
		if targets[i].protocol == protocolUwsgi {
			return true
		}
	}
	return false
}

// decide runs the rules. ok is false when the request has been answered here.
func (x *exchange) decide(d *destination) (ok bool) {
	s := x.settings
	r := &x.request
	var err error
	if x.path, err = r.AppendPath(x.path[:0]); err != nil {
		x.refuseRequest(400, err.Error())
		return false
	}
	x.hostPort = x.hostPort[:0]
	if len(r.Host.Port) > 0 {
		x.hostPort = append(append(append(x.hostPort, r.Host.Name...), ':'), r.Host.Port...)
	}
	x.query = rule.Query{
		Host: r.Host.Name, HostPort: x.hostPort,
		Path: x.path, URI: r.Target, QueryString: r.Query,
		RemoteAddr: x.peer.remoteAddr, Vars: x,
	}
	s.rules.Match(&x.query, &x.decision)
	for i := range x.decision.Notes {
		x.note(&x.decision.Notes[i])
	}
	*d = destination{rule: x.decision.Rule, modifier1: s.modifier1, modifier2: s.modifier2, vars: x.decision.Vars}
	decision := &x.decision
	switch decision.Kind {
	case rule.Uwsgi, rule.HTTP:
		d.address = decision.Address
		d.protocol = protocolUwsgi
		if decision.Kind == rule.HTTP {
			d.protocol = protocolHTTP
			d.host, d.uri = decision.Host, decision.URI
		}
		x.modifiers(d, decision)
		// A rule that names a vassal's socket means that vassal: its own protocol
		// counts, and it is held and waited for.
		d.site = x.router.table.at(d.address)
		if d.site == nil {
			d.fixed[0] = target{protocol: d.protocol}
			d.fixed[0].invalid = d.fixed[0].address.Parse(d.address)
		}
	case rule.Vassal:
		d.site = x.router.table.vassal(decision.Name)
		x.modifiers(d, decision)
		if d.site == nil {
			x.answerNoVassal(decision.Name)
			return false
		}
	case rule.Redirect, rule.Status:
		x.answerByRule(decision)
		return false
	case rule.Close:
		x.down.closeAfter()
		return false
	case rule.Unsafe:
		x.refuseRequest(400, decision.Why)
		return false
	default:
		if len(s.defaults.targets)+len(s.defaults.fallbacks) == 0 {
			x.answerNoRule()
			return false
		}
		x.modifiers(d, decision)
		d.defaults = true
		d.turn.first = x.router.turn.Add(1)
	}
	return true
}

// modifiers: http-modifier1/2 beat the rule where they are not zero.
func (x *exchange) modifiers(d *destination, decision *rule.Decision) {
	if d.modifier1 == 0 {
		d.modifier1 = decision.Modifier1
	}
	if d.modifier2 == 0 {
		d.modifier2 = decision.Modifier2
	}
}

// Var answers a rule's question about the request (rule.Vars).
func (x *exchange) Var(name string) ([]byte, bool) {
	r := &x.request
	switch name {
	case "REQUEST_METHOD":
		return r.Method, true
	case "SERVER_PROTOCOL":
		return []byte(protocolName(r.Minor)), true
	case "SERVER_PORT":
		return []byte(x.peer.port), true
	case "SERVER_NAME":
		return []byte(x.settings.serverName), true
	case "REMOTE_PORT":
		return x.peer.remotePort, true
	case "HTTP_HOST":
		return r.HostField, len(r.HostField) > 0
	}
	header := name
	switch {
	case name == "CONTENT_TYPE" || name == "CONTENT_LENGTH":
	case len(name) > 5 && name[:5] == "HTTP_":
		header = name[5:]
	default:
		return nil, false
	}
	for i := range r.Fields {
		f := &r.Fields[i]
		if f.Flags&http1.Underscore == 0 && isVariable(f.Name, header) {
			return f.Value, true
		}
	}
	return nil, false
}

// isVariable compares a field name with the upper-case, underscored form.
func isVariable(field []byte, name string) bool {
	if len(field) != len(name) {
		return false
	}
	for i, b := range field {
		switch {
		case b == '-':
			b = '_'
		case 'a' <= b && b <= 'z':
			b -= 'a' - 'A'
		}
		if b != name[i] {
			return false
		}
	}
	return true
}

func protocolName(minor int) string {
	if minor == 0 {
		return "HTTP/1.0"
	}
	return "HTTP/1.1"
}

// idempotent: a second execution does what the first did (RFC 9110 §9.2.2).
func idempotent(method []byte) bool {
	switch string(method) {
	case "GET", "HEAD", "OPTIONS", "PUT", "DELETE", "TRACE":
		return true
	}
	return false
}

func isHead(method []byte) bool { return bytes.Equal(method, headMethod) }

var headMethod = []byte("HEAD")
