package rule

import (
	"fmt"
	"strings"
)

// Step is what became of one rule when a request was explained.
type Step struct {
	Rule    *Rule
	Matched bool
	Text    string // why it matched or not, and what it did, in words
}

// Explain matches as Match does and tells of every rule, in order, up to the one
// that decided, what it saw and what it did. The Decision is the one of Match.
func (t *Table) Explain(q *Query) ([]Step, *Decision) {
	d := &Decision{}
	return t.ExplainChain(RequestChain, q, d), d
}

// ExplainChain does the same for one chain: d is the zero Decision for the request
// chain, and for the others the one that the chains before it filled in.
func (t *Table) ExplainChain(c Chain, q *Query, d *Decision) []Step {
	d.decideAnew()
	var steps []Step
	rules := t.chains[c].rules
	for i := 0; i < len(rules); i++ {
		r := &rules[i]
		if _, ok := r.action.(*labelAction); ok {
			continue
		}
		if !r.test.holds(q, d) {
			steps = append(steps, Step{Rule: r, Text: r.test.whyNot(q, d)})
			continue
		}
		text := r.test.found(d)
		before := *d
		switch r.apply(q, d) {
		case stop:
			return append(steps, Step{r, true, text + "; " + d.String()})
		case jump:
			steps = append(steps, Step{r, true, text + "; on to " + r.Action()[len("goto:"):] + " (" + rules[d.target].Pos().String() + ")"})
			i = d.target - 1
		default:
			steps = append(steps, Step{r, true, text + "; " + r.Action() + d.since(&before)})
		}
	}
	return steps
}

// since says in words what an action changed.
func (d *Decision) since(before *Decision) string {
	var changes []string
	for _, v := range d.Vars[len(before.Vars):] {
		changes = append(changes, fmt.Sprintf("%s = %q", v.Name, v.Value))
	}
	for _, v := range d.LogVars[len(before.LogVars):] {
		changes = append(changes, fmt.Sprintf("%s = %q", v.Name, v.Value))
	}
	for _, h := range d.Response.Headers[len(before.Response.Headers):] {
		if h.Remove {
			changes = append(changes, "removes "+h.Name)
		} else {
			changes = append(changes, fmt.Sprintf("adds %s: %s", h.Name, h.Value))
		}
	}
	for _, n := range d.Notes[len(before.Notes):] {
		changes = append(changes, fmt.Sprintf("logs %q", n.Text))
	}
	if len(changes) == 0 {
		return ""
	}
	return ": " + strings.Join(changes, ", ")
}

var protocolNames = map[Kind]string{HTTP: "HTTP", HTTPS: "HTTPS", FastCGI: "FastCGI", SCGI: "SCGI"}

// String says in words what was decided.
func (d *Decision) String() string {
	switch d.Kind {
	case Uwsgi:
		return fmt.Sprintf("uwsgi to %s, modifiers %d,%d", d.Address, d.Modifier1, d.Modifier2)
	case HTTP, HTTPS, FastCGI, SCGI:
		text := fmt.Sprintf("%s to %s", protocolNames[d.Kind], d.Address)
		if d.Host != nil {
			text += fmt.Sprintf(", as host %s", d.Host)
		}
		if d.URI != nil {
			text += fmt.Sprintf(", for %s", d.URI)
		}
		return text
	case Vassal:
		return fmt.Sprintf("to vassal %s", d.Name)
	case Redirect:
		return fmt.Sprintf("answer %d to %s", d.Code, d.Location)
	case Status, Challenge:
		return "answer " + status(d.Code, d.Reason)
	case Static:
		return fmt.Sprintf("serve %s/%s", d.dir, d.Path)
	case File:
		return fmt.Sprintf("answer %s with %s/%s", status(d.Code, d.Reason), d.dir, d.Path)
	case Close:
		return "close the connection without an answer"
	case Unsafe:
		return "refused: " + d.Why
	}
	if d.Rule != nil && d.Rule.Chain() != RequestChain {
		return "no more rules"
	}
	if d.HasModifiers {
		return fmt.Sprintf("the default, with modifiers %d,%d", d.Modifier1, d.Modifier2)
	}
	return "the default"
}

// Catching returns a directive that would catch requests for host, which no rule
// matched: text for a log line. The address is modelled on the rules there are.
// It returns "" for text that is no host name.
func (t *Table) Catching(host string) string {
	if len(host) == 0 || len(host) > 253 {
		return ""
	}
	for i := 0; i < len(host); i++ {
		if !isLabelByte(host[i]) && host[i] != '.' {
			return ""
		}
	}
	name, _, _ := strings.Cut(host, ".")
	if name == "" {
		return ""
	}
	pattern := `^` + strings.ReplaceAll(host, ".", `\.`) + `$`
	for i := range t.chains[RequestChain].rules {
		r := &t.chains[RequestChain].rules[i]
		if a, ok := r.action.(*uwsgiAction); ok {
			if address, ok := withName(&a.address, name); ok {
				return fmt.Sprintf("route-host = %s uwsgi:%s,%d,%d", pattern, address, a.modifier1, a.modifier2)
			}
		}
	}
	return fmt.Sprintf("route-host = %s vassal:%s", pattern, name)
}

// AddressOf returns the address that the rules would use for a vassal called
// name: that of the first rule whose address has one place for a capture. It is
// what to tell somebody whose vassal has no socket.
func (t *Table) AddressOf(name string) (address string, r *Rule, ok bool) {
	if !isPathName([]byte(name)) {
		return "", nil, false
	}
	for i := range t.chains[RequestChain].rules {
		r := &t.chains[RequestChain].rules[i]
		if kind, address := r.target(); kind == Uwsgi || kind == HTTP || kind == FastCGI || kind == SCGI {
			if text, ok := withName(address, name); ok {
				return text, r, true
			}
		}
	}
	return "", nil, false
}

// withName puts name in the only place of a path.
func withName(t *template, name string) (string, bool) {
	text, places := "", 0
	for _, p := range t.list() {
		switch {
		case strings.IndexByte(p.literal, '|') >= 0:
			return "", false // one of several
		case p.isLiteral():
			text += p.literal
		case p.place != pathName || p.group < 0:
			return "", false
		default:
			text += name
			places++
		}
	}
	return text, places == 1
}

// Capitals tells that address, the socket of some vassal, is one that a
// route-host rule means but never opens, because hosts, and so captures, are
// lower case: it returns the rule and the address it opens instead.
func (t *Table) Capitals(address string) (opens string, r *Rule, ok bool) {
	if address == strings.ToLower(address) {
		return "", nil, false
	}
	for i := range t.chains[RequestChain].rules {
		rule := &t.chains[RequestChain].rules[i]
		_, target := rule.target()
		if target == nil {
			continue
		}
		if target.isLiteral() && target.literal == address {
			return "", nil, false // this rule does open it
		}
		if _, isHost := rule.test.(*hostTest); !isHost || ok {
			continue
		}
		if name, fits := nameIn(target, address); fits && name != strings.ToLower(name) {
			opens, r, ok = rewritten(target, name), rule, true
		}
	}
	return opens, r, ok
}

// rewritten is the path that a template makes of a name in lower case.
func rewritten(t *template, name string) string {
	path, _ := withName(t, strings.ToLower(name))
	return path
}

// nameIn is the reverse of withName.
func nameIn(t *template, address string) (name string, ok bool) {
	parts := t.list()
	if _, one := withName(t, ""); !one {
		return "", false
	}
	head, tail := parts[0].literal, parts[len(parts)-1].literal
	if len(address) <= len(head)+len(tail) || !strings.HasPrefix(address, head) || !strings.HasSuffix(address, tail) {
		return "", false
	}
	name = address[len(head) : len(address)-len(tail)]
	return name, isPathName([]byte(name))
}
