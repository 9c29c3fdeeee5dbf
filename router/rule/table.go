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
	chains   [chains]chain
	roots    []Root
	warnings []error
}

// chain is the rules of one [Chain].
type chain struct {
	rules []Rule
	index index
}

// Root is a directory, or one file in it, that rules look at. A confined router
// can not open these itself: they are opened beforehand and given to it, and the
// number of a Root in [Table.Roots] is what names it from then on.
type Root struct {
	Use  RootUse
	Dir  string // as the rule spells it
	Name string // when the rules mean only this file in Dir; else ""
	Pos  Pos    // the first rule that needs it
}

// RootUse says what a Root is for.
type RootUse uint8

const (
	TestRoot     RootUse = iota // conditions look for files in it
	ServeRoot                   // files in it are sent to clients
	PasswordRoot                // Name is an htpasswd file
)

// Roots returns what the rules need of the file system, each once. The index of
// one is what [Files], [Passwords] and [Decision] call its number.
func (t *Table) Roots() []Root { return t.roots }

// Warnings returns remarks about rules that are valid but probably not what was
// meant, each a *[Problem].
func (t *Table) Warnings() []error { return t.warnings }

// Len returns the number of rules, labels included.
func (t *Table) Len() int {
	n := 0
	for i := range t.chains {
		n += len(t.chains[i].rules)
	}
	return n
}

// Rules returns the rules, labels included: those of the request chain in the
// order in which they apply, then those of the other chains.
func (t *Table) Rules() []*Rule {
	rules := make([]*Rule, 0, t.Len())
	for c := range t.chains {
		for i := range t.chains[c].rules {
			rules = append(rules, &t.chains[c].rules[i])
		}
	}
	return rules
}
