package config

import (
	"slices"
	"strings"
)

// readCommandLine reads arguments as getopt_long does: options and bare words in
// any order, "--opt value", "--opt=value", unambiguous abbreviations, "-M",
// "-p4", "-p 4", bundles "-Mp4", and "--" before words that are no options. It
// returns the bare words.
func (l *loader) readCommandLine(args []string) (bare []string) {
	next := func() (string, bool) {
		if len(args) == 0 {
			return "", false
		}
		arg := args[0]
		args = args[1:]
		return arg, true
	}
	for {
		arg, ok := next()
		if !ok {
			break
		}
		switch {
		case arg == "--":
			bare = append(bare, args...)
			args = nil
		case strings.HasPrefix(arg, "--"):
			l.longOption(arg[2:], next)
		case len(arg) > 1 && arg[0] == '-':
			l.shortOptions(arg[1:], next)
		default:
			bare = append(bare, arg)
		}
	}
	l.closeBlock()
	return bare
}

// longOption handles what follows "--".
func (l *loader) longOption(text string, next func() (string, bool)) {
	given, value, attached := strings.Cut(text, "=")
	name, o, ok := l.findOption(given)
	if !ok {
		return
	}
	switch o.argument() {
	case None:
		if attached {
			l.fail(Pos{}, "--"+name, "takes no value")
			return
		}
	case Required:
		if !attached {
			if value, attached = next(); !attached {
				l.fail(Pos{}, "--"+name, "want %s after it, got nothing", wanted(o.Type))
				return
			}
		}
	}
	l.add(&entry{key: name, value: value, has: attached})
}

// wanted is a type for the message that its value is missing.
func wanted(t Type) string {
	switch t {
	case Int, Seconds, Milliseconds, Size, Megabytes:
		return unit(t)
	case String, List:
		return "a value"
	}
	return "a " + t.String()
}

// findOption resolves a name, an alias, a declare-option or an abbreviation.
func (l *loader) findOption(given string) (name string, o Option, ok bool) {
	if o, ok := l.set.Lookup(given); ok {
		return given, o, true
	}
	if _, ok := l.custom[given]; ok {
		return given, Option{Name: given}, true
	}
	candidates := l.set.spellings()
	var matches []string
	for _, c := range candidates {
		if given != "" && strings.HasPrefix(c, given) {
			matches = append(matches, c)
		}
	}
	if old := slices.DeleteFunc(slices.Clone(matches), func(name string) bool { return !l.set.old[name] }); len(old) > 0 {
		matches = old
	}
	switch {
	case len(matches) == 0:
		l.fail(Pos{}, "--"+given, "there is no such option%s", didYouMean(given, candidates))
		return "", Option{}, false
	case l.different(matches):
		if len(matches) > 6 {
			matches = append(matches[:6], "…")
		}
		l.fail(Pos{}, "--"+given, "is short for more than one option: %s", strings.Join(matches, ", "))
		return "", Option{}, false
	}
	o, _ = l.set.Lookup(matches[0])
	return matches[0], o, true
}

// different reports whether these spellings belong to more than one option.
func (l *loader) different(names []string) bool {
	first, _ := l.set.Lookup(names[0])
	return slices.ContainsFunc(names, func(name string) bool {
		o, _ := l.set.Lookup(name)
		return o.Name != first.Name
	})
}

// shortOptions handles a bundle of letters; the first that takes a value takes
// the rest of the word.
func (l *loader) shortOptions(letters string, next func() (string, bool)) {
	for i := 0; i < len(letters); i++ {
		name, ok := l.set.shorts[letters[i]]
		if !ok {
			l.fail(Pos{}, "-"+letters[i:i+1], "there is no such option")
			return
		}
		o, _ := l.set.Lookup(name)
		rest := letters[i+1:]
		kind := o.argument()
		if kind == None || o.Argument == ByType && kind == Optional {
			// A switch: the letters after it are options of their own.
			l.add(&entry{key: name})
			continue
		}
		if rest == "" && kind == Required {
			if rest, ok = next(); !ok {
				l.fail(Pos{}, "-"+letters[i:i+1], "want %s after it, got nothing", wanted(o.Type))
				return
			}
			l.add(&entry{key: name, value: rest, has: true})
			return
		}
		l.add(&entry{key: name, value: rest, has: rest != ""})
		return
	}
}
