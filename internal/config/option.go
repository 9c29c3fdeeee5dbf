package config

import (
	"fmt"
	"slices"
	"sort"
	"strings"
)

// Type says what an option's value looks like. It decides how the value is
// validated when the configuration is loaded and which accessor of Config reads
// it.
type Type int

const (
	// String is any text.
	String Type = iota
	// Bool is true/yes/on/1 (also no value at all) or false/no/off/0.
	Bool
	// Flag is a Bool that is normally written without a value ("master").
	Flag
	// Int is a whole number between Option.Min and Option.Max.
	Int
	// Seconds is a whole number of seconds; read with Config.Seconds.
	Seconds
	// Milliseconds is a whole number of milliseconds; read with Config.Seconds,
	// which returns a time.Duration either way.
	Milliseconds
	// Size is a number of bytes, also with a suffix k, m or g (powers of 1024).
	Size
	// Megabytes is a whole number of MiB; Config.Size returns bytes.
	Megabytes
	// Mode is a file mode: three or four octal digits; "1" and no value mean 666,
	// as in uWSGI.
	Mode
	// Path is a file name; it must not be empty or hold a NUL byte.
	Path
	// Regexp is a regular expression that must compile.
	Regexp
	// Address is a socket: "host:port", ":port", "[v6]:port", a bare port, a unix
	// path, "@abstract" or "fd://N".
	Address
	// List is words separated by spaces.
	List
	// KeyValue is "k=v".
	KeyValue
)

// String names the type the way help texts do.
func (t Type) String() string {
	names := [...]string{"text", "bool", "flag", "number", "seconds", "milliseconds", "bytes",
		"megabytes", "file mode", "path", "regexp", "address", "words", "key=value"}
	if t < 0 || int(t) >= len(names) {
		return fmt.Sprintf("Type(%d)", int(t))
	}
	return names[t]
}

// Where says in which file an option has a meaning.
type Where uint8

const (
	// Main is the emperor's own file and command line.
	Main Where = 1 << iota
	// Vassal is a file that describes one site.
	Vassal
	// Both is either.
	Both = Main | Vassal
)

// ArgumentKind says how the command line treats an option (getopt_long's
// has_arg). Files do not care.
type ArgumentKind uint8

const (
	// ByType is the zero value: Optional for Bool and Flag, Required otherwise.
	ByType ArgumentKind = iota
	// Required takes "--opt value" or "--opt=value".
	Required
	// Optional takes a value only as "--opt=value".
	Optional
	// None takes no value.
	None
)

// Option is the one declaration of an option: the command line, validation,
// `emperor options` and the manual all come from it. The package that acts on an
// option declares it.
type Option struct {
	Name    string
	Aliases []string
	Short   byte // one-letter form on the command line, 0 for none
	Type    Type
	// Min and Max bound numbers, in the unit the user writes; Max 0 is no bound
	// (a negative number is refused unless Min is negative).
	Min, Max int64
	Argument ArgumentKind
	// Repeat marks a list option: every line counts, in order.
	Repeat bool
	// Default is what holds without a line, as a user would write it.
	Default string
	// Where is where the option has a meaning; 0 counts as Both.
	Where Where
	// Help is one sentence for `emperor options`.
	Help string
	// Ignored, when not empty, marks an option of uWSGI's that is accepted without
	// effect, and says why.
	Ignored string
}

// argument resolves ByType.
func (o Option) argument() ArgumentKind {
	if o.Argument != ByType {
		return o.Argument
	}
	if o.Type == Bool || o.Type == Flag {
		return Optional
	}
	return Required
}

// Set is the declarations of several packages joined, with the directives of the
// language itself (Language). It is immutable and safe for concurrent use.
type Set struct {
	options []Option        // sorted by name
	names   map[string]int  // name or alias → index into options
	shorts  map[byte]string // letter → name
	old     map[string]bool // see KeepAbbreviations
}

// NewSet joins groups of declarations. The same option may be declared by several
// packages if they agree on its form; it then has a meaning in all their places.
// An Ignored stand-in gives way to the option itself, whichever comes first, and
// nothing changes a directive of Language. Anything else declared twice is an
// error that names both.
func NewSet(groups ...[]Option) (*Set, error) {
	s := &Set{names: map[string]int{}, shorts: map[byte]string{}}
	for _, group := range append([][]Option{Language}, groups...) {
		for _, o := range group {
			if err := s.add(o); err != nil {
				return nil, err
			}
		}
	}
	s.sort()
	return s, nil
}

func (s *Set) add(o Option) error {
	if o.Name == "" {
		return fmt.Errorf("option without a name (%q)", o.Help)
	}
	if at, ok := s.names[o.Name]; ok {
		old := &s.options[at]
		switch {
		case at < len(Language) || o.Ignored != "":
			return nil
		case old.Ignored != "":
			s.forget(o.Name, at)
		case sameForm(*old, o):
			old.Where = old.where() | o.where()
			return nil
		default:
			return fmt.Errorf("option %q (%s) is declared twice and differently: the other is %q (%s)", o.Name, o.Type, old.Name, old.Type)
		}
	}
	at := len(s.options)
	s.options = append(s.options, o)
	s.names[o.Name] = at
	for _, alias := range o.Aliases {
		if other, ok := s.names[alias]; ok && other != at {
			switch {
			case other < len(Language) || o.Ignored != "":
				continue
			case s.options[other].Ignored != "":
				s.forget(alias, other)
			default:
				return fmt.Errorf("%q is an alias of option %q and belongs to %q too", alias, o.Name, s.options[other].Name)
			}
		}
		s.names[alias] = at
	}
	return s.addShort(o)
}

func (s *Set) addShort(o Option) error {
	other, taken := s.shorts[o.Short]
	switch {
	case o.Short == 0, taken && o.Ignored != "":
		return nil
	case taken && other != o.Name:
		if at, known := s.names[other]; known && s.options[at].Ignored == "" {
			return fmt.Errorf("-%c is short for option %q and for %q", o.Short, other, o.Name)
		}
	}
	s.shorts[o.Short] = o.Name
	return nil
}

// forget takes a name away from an Ignored stand-in; losing its own name, the
// stand-in goes altogether.
func (s *Set) forget(name string, at int) {
	if s.options[at].Name != name {
		delete(s.names, name)
		s.options[at].Aliases = slices.DeleteFunc(slices.Clone(s.options[at].Aliases), func(a string) bool { return a == name })
		return
	}
	for spelling, index := range s.names {
		if index == at {
			delete(s.names, spelling)
		}
	}
	s.options[at].Name = ""
}

// sort orders the options and renumbers the names.
func (s *Set) sort() {
	byIndex := make(map[int][]string, len(s.names))
	for name, at := range s.names {
		byIndex[at] = append(byIndex[at], name)
	}
	type numbered struct {
		Option
		at int
	}
	var list []numbered
	for at, o := range s.options {
		if o.Name != "" {
			list = append(list, numbered{o, at})
		}
	}
	slices.SortFunc(list, func(a, b numbered) int { return strings.Compare(a.Name, b.Name) })
	s.options = s.options[:0:0]
	for i, n := range list {
		s.options = append(s.options, n.Option)
		for _, name := range byIndex[n.at] {
			s.names[name] = i
		}
	}
}

func (o Option) where() Where {
	if o.Where == 0 {
		return Both
	}
	return o.Where
}

// sameForm reports whether two declarations read and write alike.
func sameForm(a, b Option) bool {
	return slices.Equal(a.Aliases, b.Aliases) && a.Short == b.Short && a.Type == b.Type &&
		a.argument() == b.argument() && a.Repeat == b.Repeat && a.Min == b.Min && a.Max == b.Max && a.Default == b.Default
}

// Lookup finds an option by its name or one of its aliases.
func (s *Set) Lookup(name string) (Option, bool) {
	at, ok := s.names[name]
	if !ok {
		return Option{}, false
	}
	return s.options[at], true
}

// KeepAbbreviations makes abbreviations on the command line mean one of these
// names where they could mean it and others: those of a program that had its
// options before ours came to them. It must be called before the Set is used.
func (s *Set) KeepAbbreviations(names []string) {
	s.old = make(map[string]bool, len(names))
	for _, name := range names {
		s.old[name] = true
	}
}

// All returns every option, sorted by name. The caller must not change it.
func (s *Set) All() []Option { return s.options }

// names of options and aliases, for abbreviations and suggestions.
func (s *Set) spellings() []string {
	out := make([]string, 0, len(s.names))
	for name := range s.names {
		out = append(out, name)
	}
	sort.Strings(out)
	return out
}
