package sni

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// An Entry is one sni or sni-regexp, or a listener's own certificate.
type Entry struct {
	// Names are exact names, wildcards "*.example.com" or "*".
	Names []string
	// Pattern is a regular expression instead of Names. It is matched anywhere in
	// the name, as uWSGI does; $1 to $9 in the paths of Source and the policy's
	// ClientCA are its captures, and never leave the directory that the path spells
	// before the first of them.
	Pattern string
	Source  Source
	Policy  Policy
	At      string // FILE:LINE, for messages
}

// A Directory is one sni-dir.
type Directory struct {
	Path  string
	Names []DirectoryName
	// Policy is that of all names. Its Client is what is asked for the names that
	// have a file of CAs: RequestClientCert, if not set.
	Policy Policy
	At     string
}

// Config is what a Table is made of.
type Config struct {
	Entries     []Entry
	Directories []Directory
	Issued      *Issued // nil: none
}

// A Problem is something in a Config that somebody should look at.
type Problem struct {
	At  string // FILE:LINE
	Err error
	// Harmless marks what is only a note. An entry with any other problem is not in
	// the table.
	Harmless bool
}

// Error says where and what.
func (p Problem) Error() string {
	if p.At == "" {
		return p.Err.Error()
	}
	return p.At + ": " + p.Err.Error()
}

// Unwrap returns Err.
func (p Problem) Unwrap() error { return p.Err }

// Kind is how a name was found.
type Kind uint8

const (
	// Unknown is a name without a certificate.
	Unknown Kind = iota
	// Exact is a name of sni.
	Exact
	// InDirectory is a name of sni-dir.
	InDirectory
	// Wildcard is a wildcard of sni or sni-dir.
	Wildcard
	// Regexp is an sni-regexp.
	Regexp
	// Ordered is a name of [Issued].
	Ordered
	// Default is the listener's own certificate.
	Default
	// Announced is a name of Options.Also.
	Announced
)

// String is how a log calls it.
func (k Kind) String() string {
	return [...]string{"none", "sni", "sni-dir", "wildcard", "sni-regexp", "acme", "default", "announced"}[k]
}

// A Choice is what a name gets.
type Choice struct {
	Kind     Kind
	Source   Source
	Policy   *Policy
	ClientCA File   // of this name, after captures; zero if no certificate is asked for
	Rule     string // what matched, as written: "*.example.com"
	At       string // FILE:LINE of the rule
	id       PolicyID
	guessed  bool // Source has captures of what a client sent: there may be no such files
}

// choice is what the entry gives by a rule.
func (e *Entry) choice(kind Kind, rule string) Choice {
	c := Choice{Kind: kind, Source: e.Source, Policy: &e.Policy, Rule: rule, At: e.At, id: e.Policy.ID()}
	if e.Policy.Client != NoClientCert {
		c.ClientCA = e.Policy.ClientCA
	}
	return c
}

// AlsoChoice is what Options.Also gives for the entry's one name.
func AlsoChoice(e Entry) (Choice, error) {
	if err := e.Policy.check(); err != nil {
		return Choice{}, Problem{At: e.At, Err: err}
	}
	return e.choice(Announced, e.Names[0]), nil
}

// String says what was chosen, by what and where that is written.
func (c *Choice) String() string {
	if c.Kind == Unknown {
		return "no certificate"
	}
	text := "certificate " + c.Source.Certificate.Path() + " (" + c.Kind.String()
	if c.Rule != "" {
		text += " " + c.Rule
	}
	if c.At != "" {
		text += ", " + c.At
	}
	text += ")"
	switch {
	case c.ClientCA.IsZero():
	case c.Policy.Client == RequireClientCert:
		text += ", clients need one of " + c.ClientCA.Path()
	default:
		text += ", clients may have one of " + c.ClientCA.Path()
	}
	return text
}

// PolicyID tells this name's policy from others.
func (c *Choice) PolicyID() PolicyID { return c.id }

// A Table says what each name gets. It is immutable: any goroutine may ask it.
type Table struct {
	exact     map[string]*Choice // names and wildcards of sni
	folders   []*folder          // sni-dir
	inFolder  map[string]inside  // names and wildcards of all folders
	spellings map[string]string  // names whose files are called otherwise
	deepest   int                // labels behind the "*." of the longest wildcard
	patterns  []*pattern         // sni-regexp, as written
	issued    *issued            // acme; nil: none
	any       *Choice            // sni = *
}

// folder is one sni-dir: what its names get, without and with client CAs.
type folder struct {
	path         string
	at           string
	open, client Policy
	openID       PolicyID
	clientID     PolicyID // but for the file of CAs
}

// inside is a name of a folder. There may be a hundred thousand, so it is small and
// holds no pointer.
type inside struct {
	folder int32
	layout Layout
	ca     bool
}

// pattern is one sni-regexp.
type pattern struct {
	re     *regexp.Regexp
	choice Choice
	// Captures go into these; nil if there are none to go.
	certificate, key, ca *template
}

// errNoNames is for an entry that nobody can ask for.
var errNoNames = errors.New("there is no name to serve the certificate for")

// Compile makes a table of what is good in c, and says what is not. Where a name is
// there twice the first counts, as in uWSGI.
func Compile(c Config) (*Table, []Problem) {
	t := &Table{exact: map[string]*Choice{}, spellings: map[string]string{}}
	var problems []Problem
	problem := func(at string, harmless bool, err error) {
		problems = append(problems, Problem{At: at, Err: err, Harmless: harmless})
	}
	for i := range c.Entries {
		e := new(Entry) // the table keeps it, and is immutable
		*e = c.Entries[i]
		if err := e.Policy.check(); err != nil {
			problem(e.At, false, err)
			continue
		}
		if e.Pattern != "" {
			p, err := compileEntry(e)
			if err != nil {
				problem(e.At, false, err)
				continue
			}
			t.patterns = append(t.patterns, p)
			continue
		}
		if len(e.Names) == 0 {
			problem(e.At, false, errNoNames)
		}
		for _, name := range e.Names {
			if err := t.addName(name, e); err != nil {
				var twice *twiceError
				problem(e.At, errors.As(err, &twice), err)
			}
		}
	}
	t.addFolders(c.Directories, problem)
	t.addIssued(c.Issued, problem)
	return t, problems
}

// twiceError is the error for a name that is there already.
type twiceError struct{ name, first string }

func (e *twiceError) Error() string {
	return fmt.Sprintf("%s is there already, at %s, and the first one counts", e.name, e.first)
}

func (t *Table) addName(name string, e *Entry) error {
	canonical, err := canonicalPattern(name)
	if err != nil {
		return err
	}
	c := e.choice(Exact, canonical)
	if canonical == "*" {
		c.Kind = Wildcard
		if t.any != nil {
			return &twiceError{canonical, t.any.At}
		}
		t.any = &c
		return nil
	}
	if first := t.exact[canonical]; first != nil {
		return &twiceError{canonical, first.At}
	}
	if t.sawWildcard(canonical) {
		c.Kind = Wildcard
	}
	t.exact[canonical] = &c
	return nil
}

// sawWildcard notes how deep wildcards go, so that the lookup of a name with a
// hundred labels does not try a hundred of them.
func (t *Table) sawWildcard(name string) bool {
	rest, ok := strings.CutPrefix(name, "*.")
	if ok {
		t.deepest = max(t.deepest, 1+strings.Count(rest, "."))
	}
	return ok
}

func (t *Table) addFolders(directories []Directory, problem func(at string, harmless bool, err error)) {
	total := 0
	for i := range directories {
		total += len(directories[i].Names)
	}
	t.inFolder = make(map[string]inside, total)
	for i := range directories {
		d := &directories[i]
		f := &folder{path: strings.TrimRight(d.Path, "/"), at: d.At, open: d.Policy, client: d.Policy}
		f.open.Client, f.open.ClientCA = NoClientCert, File{}
		if f.client.Client == NoClientCert {
			f.client.Client = RequestClientCert
		}
		if err := f.open.check(); err != nil {
			problem(d.At, false, err)
			continue
		}
		f.openID, f.clientID = f.open.ID(), f.client.ID()
		t.folders = append(t.folders, f)
		number := int32(len(t.folders) - 1)
		for j := range d.Names {
			n := &d.Names[j]
			if first, twice := t.inFolder[n.Name]; twice {
				problem(d.At, true, &twiceError{n.Name, t.folders[first.folder].path})
				continue
			}
			t.inFolder[n.Name] = inside{folder: number, layout: n.Layout, ca: n.CA}
			t.sawWildcard(n.Name)
			if n.Base != n.Name {
				t.spellings[n.Name] = n.Base
			}
		}
	}
}

// Find returns what the name gets; false if there is nothing for it. The name has to
// be canonical, see [CanonicalName]. It allocates nothing, but for the captures of a
// regular expression.
func (t *Table) Find(name string) (Choice, bool) {
	if c, ok := t.lookup(name); ok {
		return c, true
	}
	if t.deepest > 0 && len(name) <= longestName {
		if c, ok := t.findWildcard(name); ok {
			return c, true
		}
	}
	for _, p := range t.patterns {
		if c, ok := p.match(name); ok {
			return c, true
		}
	}
	if t.issued != nil {
		if c, ok := t.issued.find(name); ok {
			return c, true
		}
	}
	if t.any != nil {
		return *t.any, true
	}
	return Choice{}, false
}

// lookup finds a name or the text of a wildcard.
func (t *Table) lookup(name string) (Choice, bool) {
	if s := t.exact[name]; s != nil {
		return *s, true
	}
	in, ok := t.inFolder[name]
	if !ok {
		return Choice{}, false
	}
	base := name
	if spelling, ok := t.spellings[name]; ok {
		base = spelling
	}
	f, end := t.folders[in.folder], &layouts[in.layout]
	file := func(suffix string) File { return File{Directory: f.path, Name: base, Suffix: suffix} }
	c := Choice{
		Kind:   InDirectory,
		Source: Source{Certificate: file(end.certificate), Key: file(end.key)},
		Policy: &f.open, Rule: name, At: f.at, id: f.openID,
	}
	if in.ca {
		c.ClientCA, c.Policy, c.id = file(end.ca), &f.client, f.clientID
		c.id.client.ca = c.ClientCA
	}
	return c, true
}

// findWildcard tries "*.b.example.com", "*.example.com", "*.com" for
// "a.b.example.com".
func (t *Table) findWildcard(name string) (Choice, bool) {
	// The key of a wildcard is the name's end with "*" before it; as the name itself
	// has no such byte, it is put together in place.
	var room [longestName + 1]byte
	labels := strings.Count(name, ".")
	for dot := strings.IndexByte(name, '.'); dot >= 0; labels-- {
		if labels <= t.deepest {
			room[0] = '*'
			n := 1 + copy(room[1:], name[dot:])
			if c, ok := t.lookupWildcard(room[:n]); ok {
				return c, true
			}
		}
		next := strings.IndexByte(name[dot+1:], '.')
		if next < 0 {
			break
		}
		dot += 1 + next
	}
	return Choice{}, false
}

// lookupWildcard makes a string of the key only for one that is there.
func (t *Table) lookupWildcard(key []byte) (Choice, bool) {
	if s := t.exact[string(key)]; s != nil {
		return *s, true
	}
	if _, ok := t.inFolder[string(key)]; !ok {
		return Choice{}, false
	}
	c, ok := t.lookup(string(key))
	c.Kind = Wildcard
	return c, ok
}

// Len returns how many names and patterns the table knows.
func (t *Table) Len() int {
	n := len(t.exact) + len(t.inFolder) + len(t.patterns)
	if t.any != nil {
		n++
	}
	if t.issued != nil {
		n += len(t.issued.names)
	}
	return n
}

// Choices returns what all names of sni get, one for each pair of files and policy,
// for loading them at start. Those of directories and regular expressions are not
// among them.
func (t *Table) Choices() []Choice {
	seen := map[key]bool{}
	var all []Choice
	add := func(c *Choice) {
		if k := keyOf(c); !seen[k] {
			seen[k] = true
			all = append(all, *c)
		}
	}
	for _, c := range t.exact {
		add(c)
	}
	if t.any != nil {
		add(t.any)
	}
	slices.SortFunc(all, func(a, b Choice) int { return strings.Compare(a.Rule, b.Rule) })
	return all
}
