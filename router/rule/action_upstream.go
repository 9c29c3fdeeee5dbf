package rule

import (
	"bytes"
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
	for i, modifier := range []*uint8{&a.modifier1, &a.modifier2} {
		n, err := strconv.ParseUint(fields[i+1], 10, 8)
		if err != nil {
			return nil, fmt.Errorf("modifier %q: want a number from 0 to 255", fields[i+1])
		}
		*modifier = uint8(n)
	}
	if len(fields) == 4 {
		a.appID = fields[3]
	}
	return a, nil
}

func (a *uwsgiAction) apply(r *Rule, q *Query, d *Decision) flow {
	d.Rule = r
	d.HasModifiers, d.Modifier1, d.Modifier2 = true, a.modifier1, a.modifier2
	if a.appID != "" {
		// As uWSGI does: sent as it stands, captures are not put in.
		d.Vars = append(d.Vars, Var{Name: "UWSGI_APPID", Value: d.keep(a.appID), trusted: true})
	}
	if a.address.isLiteral() && a.address.literal == "" {
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

// httpAction sends the request to an address in HTTP:
//
//	http:ADDR[,HOST[,URI]]
//
// HOST and URI replace the Host field and the target; an empty one does not
// (uWSGI sends an empty Host then). Captures may go into all three; uWSGI leaves
// those in HOST alone.
type httpAction struct {
	address, host, uri template
}

func parseHTTP(arguments string, s *scope) (action, error) {
	fields := append(strings.SplitN(arguments, ",", 3), "", "")
	if fields[0] == "" {
		return nil, fmt.Errorf("%q: want ADDRESS[,HOST[,URI]] such as http:127.0.0.1:8000", arguments)
	}
	a := &httpAction{}
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

func (a *httpAction) apply(r *Rule, q *Query, d *Decision) flow {
	d.Rule = r
	var ok bool
	if d.Address, ok = d.address(&a.address, q); !ok {
		return stop
	}
	if !a.host.isLiteral() || a.host.literal != "" {
		if d.Host, ok = d.fill(&a.host, q); !ok {
			return d.refuse()
		}
	}
	if !a.uri.isLiteral() || a.uri.literal != "" {
		uri, ok := d.fill(&a.uri, q)
		if !ok {
			return d.refuse()
		}
		if len(uri) == 0 || uri[0] != '/' {
			at := len(d.buf)
			d.buf = append(append(d.buf, '/'), uri...)
			uri = d.buf[at:]
		}
		d.URI = uri
	}
	d.Kind = HTTP
	return stop
}

func (a *httpAction) String() string {
	text := "http:" + a.address.String()
	host, uri := a.host.String(), a.uri.String()
	if host != "" || uri != "" {
		text += "," + host
	}
	if uri != "" {
		text += "," + uri
	}
	return text
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

func (a *vassalAction) String() string { return "vassal:" + a.name.String() }

// address fills in an address; when it must not be used, the decision becomes
// Unsafe.
func (d *Decision) address(t *template, q *Query) (address []byte, ok bool) {
	if address, ok = d.pathName(t, q); !ok || t.isLiteral() {
		return address, ok
	}
	if Network(address) == "tcp" && !isPort(string(address[bytes.LastIndexByte(address, ':')+1:])) {
		d.Kind, d.Why = Unsafe, fmt.Sprintf("%q has no port from 1 to 65535", address)
		return nil, false
	}
	return address, true
}

// pathName fills in the name of a file or vassal likewise.
func (d *Decision) pathName(t *template, q *Query) (name []byte, ok bool) {
	d.gap = false
	if name, ok = d.fill(t, q); !ok {
		d.refuse()
		return nil, false
	}
	if d.gap && !isWhole(name) {
		d.Kind, d.Why = Unsafe, fmt.Sprintf("an optional group took no part, and %q is no name to use", name)
		return nil, false
	}
	return name, true
}
