package config

import (
	"fmt"
	"slices"
	"sort"
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
	options []Option          // sorted by name
	names   map[string]int    // name or alias → index into options
	shorts  map[byte]string   // letter → the name getopt_long would report
	lower   map[string]string // for suggestions: "_" for "-" and other case
}

// NewSet joins groups of declarations. The first declaration of a name wins when
// a later one is equal to it or only an Ignored stand-in for it (or the other
// way round); anything else declared twice is an error that names both.
func NewSet(groups ...[]Option) (*Set, error) {
	s := &Set{names: map[string]int{}, shorts: map[byte]string{}}
	groups = append([][]Option{Language}, groups...)
	for _, group := range groups {
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
		old := s.options[at]
		switch {
		case equalOptions(old, o):
			return nil
		case o.Ignored != "":
			return nil
		case old.Ignored != "" && old.Name == o.Name:
			s.remove(at)
		default:
			return fmt.Errorf("option %q is declared twice: as %s and as an alias or other form of %q", o.Name, o.Type, old.Name)
		}
	}
	at := len(s.options)
	s.options = append(s.options, o)
	s.names[o.Name] = at
	for _, alias := range o.Aliases {
		if other, ok := s.names[alias]; ok && other != at {
			if s.options[other].Ignored == "" && o.Ignored == "" {
				return fmt.Errorf("%q is an alias of option %q and belongs to %q too", alias, o.Name, s.options[other].Name)
			}
			if o.Ignored != "" {
				continue
			}
		}
		s.names[alias] = at
	}
	if o.Short != 0 {
		if other, ok := s.shorts[o.Short]; ok && other != o.Name && o.Ignored == "" {
			if at, known := s.names[other]; known && s.options[at].Ignored == "" {
				return fmt.Errorf("-%c is short for option %q and for %q", o.Short, other, o.Name)
			}
		}
		if _, ok := s.shorts[o.Short]; !ok || o.Ignored == "" {
			s.shorts[o.Short] = o.Name
		}
	}
	return nil
}

// remove takes an Ignored stand-in out, because the option itself came later.
func (s *Set) remove(at int) {
	for name, index := range s.names {
		if index == at {
			delete(s.names, name)
		}
	}
	s.options[at].Name = ""
}

func (s *Set) sort() {
	s.options = slices.DeleteFunc(s.options, func(o Option) bool { return o.Name == "" })
	sort.Slice(s.options, func(i, j int) bool { return s.options[i].Name < s.options[j].Name })
	aliases := s.names
	s.names = make(map[string]int, len(aliases))
	for i, o := range s.options {
		for _, alias := range o.Aliases {
			s.names[alias] = i
		}
	}
	for i, o := range s.options { // names last: they beat a stand-in's alias
		s.names[o.Name] = i
	}
}

func equalOptions(a, b Option) bool {
	if !slices.Equal(a.Aliases, b.Aliases) {
		return false
	}
	a.Aliases, b.Aliases = nil, nil
	return a.Name == b.Name && a.Short == b.Short && a.Type == b.Type && a.Min == b.Min && a.Max == b.Max &&
		a.Argument == b.Argument && a.Repeat == b.Repeat && a.Default == b.Default && a.Ignored == b.Ignored
}

// Lookup finds an option by its name or one of its aliases.
func (s *Set) Lookup(name string) (Option, bool) {
	at, ok := s.names[name]
	if !ok {
		return Option{}, false
	}
	return s.options[at], true
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
