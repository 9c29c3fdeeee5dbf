package rule

import "strconv"

// Source is one route directive as it was read: a key such as "route-host", the
// text after the equals sign with all placeholders expanded, and where it stands.
type Source struct {
	Key, Value string
	File       string
	Line       int
}

// Pos is the place where a rule was written.
type Pos struct {
	File string
	Line int
}

// String returns "file:line", or "command line" when there is no file.
func (p Pos) String() string {
	switch {
	case p.File == "":
		return "command line"
	case p.Line == 0:
		return p.File
	}
	return p.File + ":" + strconv.Itoa(p.Line)
}

// Problem is a mistake in, or a remark about, one directive.
type Problem struct {
	Pos  Pos
	Key  string // "route-host"
	Text string // what is wrong and what was expected
}

// Error returns "file:line: key: text".
func (p *Problem) Error() string { return p.Pos.String() + ": " + p.Key + ": " + p.Text }

// Table is a compiled list of rules. It never changes: any number of goroutines
// may use one at the same time, and a new list of rules is a new Table.
type Table struct {
	request  chain
	warnings []error
}

// chain is a list of rules that run at one point of a request's life. There is
// one so far: before an upstream is chosen.
type chain struct {
	rules []Rule
	index index
}

// Warnings returns remarks about rules that are valid but probably not what was
// meant, each a *[Problem].
func (t *Table) Warnings() []error { return t.warnings }

// Len returns the number of rules, labels included.
func (t *Table) Len() int { return len(t.request.rules) }

// Rules returns the rules in the order in which they apply, labels included.
func (t *Table) Rules() []*Rule {
	rules := make([]*Rule, len(t.request.rules))
	for i := range rules {
		rules[i] = &t.request.rules[i]
	}
	return rules
}
