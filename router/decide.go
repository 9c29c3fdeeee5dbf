package router

import (
	"bytes"

	"emperor/router/balance"
	"emperor/router/http1"
	"emperor/router/rule"
)

// routing is what the rules say of a request.
type routing struct {
	query    rule.Query
	decision rule.Decision
	asked    []byte     // the client's own method, where a rule has made another of it
	by       *rule.Rule // that decided where the request goes, or what is answered
	path     []byte     // PATH_INFO
	hostPort []byte
	uri      []byte // a target made by rules
	mapped   []byte // an address made of the host

	matched   bool // the rules have seen the request
	erred     bool // the error chain has run
	responded bool // and the response chain
}

func (r *routing) reset() {
	r.decision.Reset()
	*r = routing{decision: r.decision, path: r.path[:0], hostPort: r.hostPort[:0], uri: r.uri[:0], mapped: r.mapped[:0]}
}

// destination is where a request goes.
type destination struct {
	site      *site  // nil when no vassal is known at the address
	address   []byte // as the rule spells it; nil for vassal:NAME and for nodes
	protocol  protocol
	modifier1 byte
	modifier2 byte
	host, uri []byte     // what an http: rule replaces
	rule      *rule.Rule // nil for a default
	nodes     *nodes     // several addresses, of which any may answer
	key       string     // under which they have announced themselves
	tried     balance.Tried
	fixed     [1]target  // the address, when no vassal is known there
	vars      []rule.Var // added by rules
}

// needsLength tells whether the request goes to a vassal that must be told the
// length of its body. It is a guess for a site, which may have changed when it is
// picked.
func (x *exchange) needsLength(d *destination) bool {
	needs := func(p protocol) bool {
		return p == protocolUwsgi && !x.settings.chunkedInput || p == protocolFastCGI || p == protocolSCGI
	}
	var targets []target
	switch {
	case d.nodes != nil:
		targets = d.nodes.targets
	case d.site != nil:
		targets = d.site.current.Load().targets
	default:
		return needs(d.protocol)
	}
	for i := range targets {
		if needs(targets[i].protocol) {
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
		RemoteAddr: x.peer.remoteAddr, Vars: x, Started: x.started, Now: x.started,
		Files: s.roots, Passwords: s.roots, Types: s.roots,
	}
	s.rules.Match(&x.query, &x.decision)
	x.matched = true
	x.by = x.decision.Rule
	x.notes()
	*d = destination{rule: x.decision.Rule, modifier1: s.modifier1, modifier2: s.modifier2, vars: x.decision.Vars}
	decision := &x.decision
	switch decision.Kind {
	case rule.Uwsgi, rule.HTTP, rule.HTTPS, rule.FastCGI, rule.SCGI:
		d.address = decision.Address
		d.protocol, _ = protocolOf(decision.Kind)
		d.host, d.uri = decision.Host, decision.URI
		x.modifiers(d, decision)
		if bytes.IndexByte(d.address, '|') >= 0 {
			if d.nodes = s.balancing.groups[decision.Rule]; d.nodes == nil {
				d.nodes = s.balancing.split(x.router.book, d.address, d.protocol)
			}
			d.address = nil
			break
		}
		x.fix(d)
	case rule.Vassal:
		d.site = x.router.table.vassal(decision.Name)
		x.modifiers(d, decision)
		if d.site == nil {
			x.answerNoVassal(decision.Name)
			return false
		}
	case rule.Challenge, rule.Static, rule.File:
		// Neither a site's files nor its passwords go about in the clear.
		if !x.goesToHTTPS() {
			x.answerByRule(decision)
			return false
		}
	case rule.Redirect, rule.Status, rule.Close:
		// A host that a rule answers well is one that is served.
		if decision.Kind != rule.Status || decision.Code >= 400 || !x.goesToHTTPS() {
			x.answerByRule(decision)
			return false
		}
	case rule.Unsafe:
		x.refuseRequest(400, decision.Why)
		return false
	default:
		if s.subscriptions.active && !s.mapping.pattern {
			x.modifiers(d, decision)
			if !x.toAnnounced(d) {
				return false
			}
			break
		}
		if !s.mapping.active && len(s.defaults.targets) == 0 {
			x.answerNoRule()
			return false
		}
		if x.goesToHTTPS() {
			break
		}
		x.modifiers(d, decision)
		d.protocol = s.defaults.protocol
		if s.mapping.active {
			var ok bool
			if x.mapped, ok = s.mapping.appendAddress(x.mapped[:0], x.request.Host.Name); !ok {
				x.answerNoRule()
				return false
			}
			d.address = x.mapped
			x.fix(d)
			break
		}
		if d.nodes = s.defaults.nodes; d.nodes == nil {
			s.defaults.hits.Add(1)
			d.address = s.defaults.only
			x.fix(d)
		}
	}
	if x.goesToHTTPS() {
		x.redirectToHTTPS()
		return false
	}
	x.applyEdits(d)
	return true
}

// fix looks up the one address of d. One that is a vassal's socket means that
// vassal: its own protocol counts, and it is held and waited for.
func (x *exchange) fix(d *destination) {
	if d.site = x.router.table.at(d.address); d.site == nil {
		d.fixed[0] = target{protocol: d.protocol}
		d.fixed[0].invalid = d.fixed[0].address.Parse(d.address)
	}
}

// applyEdits makes of the request what rules want to be sent.
func (x *exchange) applyEdits(d *destination) {
	e := &x.decision.Request
	if e.Method != nil {
		x.asked, x.request.Method = x.request.Method, e.Method
	}
	if d.uri == nil {
		switch {
		case e.URI != nil:
			d.uri = e.URI
		case e.Path != nil || e.QueryString != nil:
			d.uri = x.rewritten(e)
		}
	}
	if e.Path != nil {
		x.path = append(x.path[:0], e.Path...)
	}
}

// rewritten is the target of a request whose path or query was rewritten, for
// vassals that speak HTTP. (uWSGI's rewrite leaves REQUEST_URI alone, so that it
// has no effect on its http: action; nobody who writes one means that.)
func (x *exchange) rewritten(e *rule.RequestEdits) []byte {
	uri := x.uri[:0]
	if e.Path != nil {
		uri = http1.AppendEscaped(uri, e.Path)
	} else {
		uri = append(uri, x.request.Path...)
	}
	query := x.request.Query
	if e.QueryString != nil {
		query = e.QueryString
	}
	if len(query) > 0 {
		uri = append(append(uri, '?'), query...)
	}
	x.uri = uri
	return uri
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
		return []byte(x.protocolName()), true
	case "HTTPS":
		return httpsOn, x.scheme() == "https"
	case "HTTPS_DN", "HTTPS_CC", "HTTPS_CLIENT_CERTIFICATE", "HTTPS_PROTOCOL", "HTTPS_CIPHER", "HTTPS_SNI":
		if s := x.peer.secured; s != nil {
			for i := range s.vars {
				if s.vars[i].Name == name {
					return []byte(s.vars[i].Value), true
				}
			}
		}
		return nil, false
	case "REQUEST_SCHEME":
		return []byte(x.peer.scheme), true
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
			if value, ok := x.believed(f); ok {
				return value, true
			}
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

var httpsOn = []byte("on")

// protocolName is SERVER_PROTOCOL.
func (x *exchange) protocolName() string {
	switch {
	case x.down != nil && x.down.version() == 2:
		return "HTTP/2.0"
	case x.request.Minor == 0:
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

// headOnly tells whether the client wants the head of the answer only. It goes by
// the client's own method, whatever a rule made of it.
func (x *exchange) headOnly() bool { return x.askedHead }

func isHead(method []byte) bool { return bytes.Equal(method, headMethod) }

var getMethod, headMethod = []byte("GET"), []byte("HEAD")
