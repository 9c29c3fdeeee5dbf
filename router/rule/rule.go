package rule

// Rule is one compiled directive.
type Rule struct {
	pos        Pos
	key, value string
}

type chain struct{ rules []Rule }

// Pos returns where the rule was written.
func (r *Rule) Pos() Pos { return r.pos }

// String returns the directive as it was written: "route-host = ^… uwsgi:…".
func (r *Rule) String() string { return r.key + " = " + r.value }

// Action returns what the rule does, in a normal form: "uwsgi:/run/$1.sock,0,0".
func (r *Rule) Action() string { return "" }

// Target returns where the rule sends a request: the kind (Uwsgi, HTTP, Vassal;
// None for every other rule) and the address or vassal name as written. literal
// says that it is the same for every request, so that a caller may prepare it.
func (r *Rule) Target() (kind Kind, target string, literal bool) { return None, "", false }
