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

// Compile reads directives in the order in which they apply. It reports every
// mistake at once, each a *[Problem]; with any mistake the Table is nil.
// No directives make a Table that leaves every request to the default.
//
// The strings of sources are kept, not copied.
func Compile(sources []Source) (*Table, []error) {
	return &Table{}, nil
}

// Keys returns the names of the directives that Compile accepts, sorted.
func Keys() []string { return nil }

// Warnings returns remarks about rules that are valid but probably not what was
// meant, each a *[Problem].
func (t *Table) Warnings() []error { return t.warnings }

// Rules returns the rules in the order in which they apply, labels included.
func (t *Table) Rules() []*Rule { return nil }
