package config

import (
	"strings"
)

// immediate holds the directives that act the moment they are read, before any
// $( ), @( ) or %( ) is replaced: of their values only the magic variables have
// been.
var immediate map[string]func(*loader, *entry)

// deferred holds those that act in the apply pass, with their values expanded.
var deferred map[string]func(*loader, *entry)

func init() { // a literal would be an initialization cycle
	immediate = map[string]func(*loader, *entry){
		"ini":             func(l *loader, e *entry) { l.loadTyped(e, "ini") },
		"xml":             func(l *loader, e *entry) { l.loadTyped(e, "xml") },
		"xmlconfig":       func(l *loader, e *entry) { l.loadTyped(e, "xml") },
		"yaml":            func(l *loader, e *entry) { l.loadTyped(e, "yaml") },
		"yml":             func(l *loader, e *entry) { l.loadTyped(e, "yaml") },
		"json":            func(l *loader, e *entry) { l.loadTyped(e, "json") },
		"js":              func(l *loader, e *entry) { l.loadTyped(e, "json") },
		"config":          func(l *loader, e *entry) { l.loadTyped(e, "config") },
		"include":         func(l *loader, e *entry) { l.include(e) },
		"inject-before":   func(l *loader, e *entry) { l.injectBefore = append(l.injectBefore, e) },
		"inject-after":    func(l *loader, e *entry) { l.injectAfter = append(l.injectAfter, e) },
		"set":             func(l *loader, e *entry) { l.setPair(e, false) },
		"set-placeholder": func(l *loader, e *entry) { l.setPair(e, true) },
		"set-ph":          func(l *loader, e *entry) { l.setPair(e, true) },
		"strict":          func(l *loader, e *entry) { l.setStrict(e) },
		"blacklist":       func(l *loader, e *entry) { l.blacklist = newListed(e) },
		"end-blacklist":   func(l *loader, e *entry) { l.blacklist = nil },
		"whitelist":       func(l *loader, e *entry) { l.whitelist = newListed(e) },
		"end-whitelist":   func(l *loader, e *entry) { l.whitelist = nil },
		"declare-option":  func(l *loader, e *entry) { l.declare(e) },
		"early-envdir":    func(l *loader, e *entry) { l.readEnvdir(e) },
		"resolve":         func(l *loader, e *entry) { l.resolveHost(e) },
		"exit":            func(l *loader, e *entry) { l.exitRequested(e) },
	}
	for name := range openers {
		immediate[name] = func(l *loader, e *entry) { l.open(e) }
	}
	deferred = map[string]func(*loader, *entry){
		"inherit":         func(l *loader, e *entry) { l.inherit(e) },
		"declare-option2": func(l *loader, e *entry) { l.declare(e) },
	}
}

// consumed reports whether a key is a directive of the language, which has done
// its work when Load returns.
func consumed(key string) bool {
	return immediate[key] != nil || deferred[key] != nil || closers[key]
}

// setPair is set = k=v: one more line of the configuration. A placeholder-only
// pair must not be an option, and its value gets no passes of its own (it is
// expanded where it is used).
func (l *loader) setPair(e *entry, placeholderOnly bool) {
	key, value, ok := strings.Cut(e.value, "=")
	if !ok {
		l.fail(e.pos, e.key, "want NAME=VALUE, got %q", e.value)
		return
	}
	pair := &entry{key: key, value: value, has: true, pos: e.pos, frame: e.frame, by: e.by, unknown: e.unknown}
	if !placeholderOnly {
		if l.allowed(pair) {
			l.append(pair)
		}
		return
	}
	if _, known := l.set.Lookup(key); known || closers[key] {
		l.fail(e.pos, e.key, "%q is an option and cannot be a placeholder; use set = %s to set the option", key, e.value)
		return
	}
	pair.applied, pair.quiet = true, true
	l.append(pair)
}

// setStrict notes where strict mode was asked for; it also concerns the lines
// before it.
func (l *loader) setStrict(e *entry) {
	if on, _ := parseBool(e.value); on {
		l.strict = &e.pos
	} else {
		l.strict = nil
	}
}

// exitRequested is exit = N. In a main file it serves to say "not like this"
// (if-not-env …), so it is an error; in a vassal it is uWSGI that exits.
func (l *loader) exitRequested(e *entry) {
	l.mistake(e.pos, e.key, "the configuration asks to stop here")
}

// listed is an open blacklist or whitelist block.
type listed struct {
	names map[string]bool
	pos   Pos
}

func newListed(e *entry) *listed {
	names := map[string]bool{}
	for _, name := range strings.Fields(e.value) {
		names[name] = true
	}
	return &listed{names: names, pos: e.pos}
}

// allowed checks a line against the open lists.
func (l *loader) allowed(e *entry) bool {
	if l.blacklist != nil && l.blacklist.names[e.key] {
		l.fail(e.pos, e.key, "forbidden by the blacklist of %s", l.blacklist.pos)
		return false
	}
	if l.whitelist != nil && !l.whitelist.names[e.key] {
		hint := ""
		if e.key == "end-whitelist" {
			hint = "; list end-whitelist itself too, or nothing can close the whitelist"
		}
		l.fail(e.pos, e.key, "not on the whitelist of %s%s", l.whitelist.pos, hint)
		return false
	}
	return true
}
