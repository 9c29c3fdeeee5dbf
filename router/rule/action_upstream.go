package rule

import (
	"fmt"
	"strconv"
	"strings"
)

// uwsgiAction sends the request to an address in the uwsgi protocol:
//
//	uwsgi:ADDR,MODIFIER1,MODIFIER2[,APPID]
//
// With an empty ADDR it only sets the modifiers for the default and ends routing.
type uwsgiAction struct {
	address              template
	modifier1, modifier2 uint8
	appID                string
}

func parseUwsgi(arguments string, s *scope) (action, error) {
	fields := strings.SplitN(arguments, ",", 4)
	if len(fields) < 3 {
		return nil, fmt.Errorf("%q: want ADDRESS,MODIFIER1,MODIFIER2 such as uwsgi:/run/sites/app.sock,0,0", arguments)
	}
	a := &uwsgiAction{}
	var err error
	if a.address, err = parseAddress(fields[0], s); err != nil {
		return nil, err
	}
	if a.modifier1, err = parseModifier(fields[1]); err != nil {
		return nil, err
	}
	if a.modifier2, err = parseModifier(fields[2]); err != nil {
		return nil, err
	}
	if len(fields) == 4 {
		a.appID = fields[3]
	}
	return a, nil
}

func parseModifier(text string) (uint8, error) {
	n, err := strconv.ParseUint(text, 10, 8)
	if err != nil {
		return 0, fmt.Errorf("modifier %q: want a number from 0 to 255", text)
	}
	return uint8(n), nil
}

func (a *uwsgiAction) apply(r *Rule, q *Query, d *Decision) flow {
	d.Rule = r
	d.HasModifiers, d.Modifier1, d.Modifier2 = true, a.modifier1, a.modifier2
	if a.appID != "" {
		// As uWSGI does: sent as it stands, captures are not put in.
		d.Vars = append(d.Vars, Var{Name: "UWSGI_APPID", Value: d.keep(a.appID), from: origin{own: true, raw: true}})
	}
	if a.address.isEmpty() {
		return stop // modifiers only: Kind stays None
	}
	var ok bool
	if d.Address, ok = d.address(&a.address, q); ok {
		d.Kind = Uwsgi
	}
	return stop
}

func (a *uwsgiAction) String() string {
	text := "uwsgi:" + a.address.String() + "," + strconv.Itoa(int(a.modifier1)) + "," + strconv.Itoa(int(a.modifier2))
	if a.appID != "" {
		text += "," + a.appID
	}
	return text
}

func (a *uwsgiAction) templates(visit func(*template)) { visit(&a.address) }

// upstreamAction sends the request to an address in another protocol:
//
//	http:ADDR[,HOST[,URI]]  https:ADDR[,HOST[,URI]]  fastcgi:ADDR  scgi:ADDR
//
// HOST and URI replace the Host field and the target; an empty one does not
// (uWSGI sends an empty Host then). Captures may go into all three; uWSGI leaves
// those in HOST alone.
type upstreamAction struct {
	kind               Kind
	address, host, uri template
}

// upstreamNames are the actions that kinds are written as.
var upstreamNames = map[Kind]string{HTTP: "http", HTTPS: "https", FastCGI: "fastcgi", SCGI: "scgi"}

func parseUpstream(kind Kind) parser {
	return func(arguments string, s *scope) (action, error) {
		fields := append(strings.SplitN(arguments, ",", 3), "", "")
		a := &upstreamAction{kind: kind}
		switch {
		case kind == FastCGI || kind == SCGI:
			if fields[0] == "" || len(fields) > 3 {
				return nil, fmt.Errorf("%q: want an ADDRESS such as %s:/run/php/fpm.sock", arguments, upstreamNames[kind])
			}
		case fields[0] == "":
			return nil, fmt.Errorf("%q: want ADDRESS[,HOST[,URI]] such as %s:127.0.0.1:8000", arguments, upstreamNames[kind])
		}
		var err error
		if a.address, err = parseAddress(fields[0], s); err != nil {
			return nil, err
		}
		if a.host, err = parseTemplate(fields[1], hostField, s); err != nil {
			return nil, err
		}
		if a.host.isLiteral() && a.host.literal != "" && !consistsOf([]byte(a.host.literal), isAuthorityByte) {
			return nil, fmt.Errorf("host %q: want a host name, with :port if need be", a.host.literal)
		}
		if a.uri, err = parseLocation(fields[2], s); err != nil {
			return nil, err
		}
		if head := a.uri.head(); head != "" && head[0] != '/' {
			return nil, fmt.Errorf("URI %q: want a path that begins with /", fields[2])
		}
		return a, nil
	}
}

func (a *upstreamAction) apply(r *Rule, q *Query, d *Decision) flow {
	d.Rule = r
	var ok bool
	if d.Address, ok = d.address(&a.address, q); !ok {
		return stop
	}
	if !a.host.isEmpty() {
		if d.Host, ok = d.fill(&a.host, q); !ok {
			return d.refuse()
		}
	}
	if !a.uri.isEmpty() {
		uri, ok := d.fill(&a.uri, q)
		if !ok {
			return d.refuse()
		}
		d.URI = d.beginWithSlash(uri)
	}
	d.Kind = a.kind
	return stop
}

// beginWithSlash puts a slash before a path that has none.
func (d *Decision) beginWithSlash(path []byte) []byte {
	if len(path) > 0 && path[0] == '/' {
		return path
	}
	at := len(d.buf)
	d.buf = append(append(d.buf, '/'), path...)
	return d.buf[at:len(d.buf):len(d.buf)]
}

func (a *upstreamAction) String() string {
	text := upstreamNames[a.kind] + ":" + a.address.String()
	host, uri := a.host.String(), a.uri.String()
	if host != "" || uri != "" {
		text += "," + host
	}
	if uri != "" {
		text += "," + uri
	}
	return text
}

func (a *upstreamAction) templates(visit func(*template)) {
	visit(&a.address)
	visit(&a.host)
	visit(&a.uri)
}

// vassalAction sends the request to a vassal by its name: vassal:NAME.
type vassalAction struct{ name template }

func parseVassal(arguments string, s *scope) (action, error) {
	name, err := parseTemplate(arguments, pathName, s)
	if err != nil {
		return nil, err
	}
	if arguments == "" || name.isLiteral() && !isWhole([]byte(name.literal)) {
		return nil, fmt.Errorf("%q: want the name of a vassal: its file's name without extension", arguments)
	}
	return &vassalAction{name}, nil
}

func (a *vassalAction) apply(r *Rule, q *Query, d *Decision) flow {
	d.Rule = r
	var ok bool
	if d.Name, ok = d.pathName(&a.name, q); ok {
		d.Kind = Vassal
	}
	return stop
}

func (a *vassalAction) String() string                  { return "vassal:" + a.name.String() }
func (a *vassalAction) templates(visit func(*template)) { visit(&a.name) }
