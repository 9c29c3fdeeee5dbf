package rule

import "strings"

// Rule is one compiled directive: when its test holds, its action runs.
type Rule struct {
	source *Source
	test   test
	action action
}

// Pos returns where the rule was written.
func (r *Rule) Pos() Pos { return Pos{r.source.File, r.source.Line} }

// Chain returns the chain that the rule belongs to.
func (r *Rule) Chain() Chain {
	for c := ErrorChain; c < chains; c++ {
		if strings.HasPrefix(r.source.Key, chainPrefixes[c]) {
			return c
		}
	}
	return RequestChain
}

// String returns the directive as it was written, "route-host = ^… uwsgi:…", but
// for a password in it.
func (r *Rule) String() string {
	value := r.source.Value
	if a, ok := r.action.(*basicAuthAction); ok {
		value = a.withoutPassword(value)
	}
	return r.source.Key + " = " + value
}

// Action returns what the rule does, in a normal form: "uwsgi:/run/$1.sock,0,0".
func (r *Rule) Action() string { return r.action.String() }

// Target returns where the rule sends a request: the kind (Uwsgi, HTTP,
// HTTPS, FastCGI, SCGI, Vassal; None for every other rule) and the address or
// vassal name as written. literal
// says that it is the same for every request, so that a caller may prepare it.
func (r *Rule) Target() (kind Kind, target string, literal bool) {
	kind, t := r.target()
	if t == nil {
		return None, "", false
	}
	return kind, t.String(), t.isLiteral()
}

func (r *Rule) target() (Kind, *template) {
	switch a := r.action.(type) {
	case *uwsgiAction:
		if !a.address.isEmpty() {
			return Uwsgi, &a.address
		}
	case *upstreamAction:
		return a.kind, &a.address
	case *vassalAction:
		return Vassal, &a.name
	}
	return None, nil
}
