package config

import (
	"slices"
	"strings"
)

// maxNesting bounds declared options that stand for declared options.
const maxNesting = 16

// apply walks the finished list in order and turns it into values. Directives
// that act only now (inherit) add lines at the end, where the walk reaches them:
// hence inherited lines override all others, and hence they are taken literally.
func (l *loader) apply() []Value {
	var out []Value
	for i := 0; i < len(l.entries); i++ {
		if e := l.entries[i]; !e.applied {
			out = l.applyEntry(out, e, 0)
		}
	}
	l.closeBlock()
	return out
}

func (l *loader) applyEntry(out []Value, e *entry, nesting int) []Value {
	if len(out) >= maxEntries {
		return out
	}
	if act := deferred[e.key]; act != nil {
		if e.unknown {
			l.notRead(e)
		} else {
			act(l, e)
		}
		return out
	}
	if closers[e.key] {
		return out
	}
	o, known := l.set.Lookup(e.key)
	custom, declared := l.custom[e.key]
	if known || !declared {
		return append(out, l.value(e, o, known))
	}
	if nesting >= maxNesting {
		l.fail(e.pos, e.key, "the option declared at %s stands for itself", custom.pos)
		return out
	}
	for _, child := range l.instantiate(custom, e) {
		if act := immediate[child.key]; act != nil {
			act(l, child)
			continue
		}
		out = l.applyEntry(out, child, nesting+1)
	}
	return out
}

// value finishes a line: canonical name and validation.
func (l *loader) value(e *entry, o Option, known bool) Value {
	v := Value{Key: e.key, Value: e.value, HasValue: e.has, Pos: e.pos, Unknown: e.unknown, Extended: e.extended, Author: e.by}
	l.checkLiteral(e)
	if !known {
		return v
	}
	v.Key = o.Name
	if problem := check(o, v); problem != "" && !v.Unknown && o.Ignored == "" {
		l.mistake(e.pos, e.key, "%s", problem)
	}
	if !l.req.Vassal && o.Where == Vassal {
		l.warn(e.pos, e.key, "has no effect in the main file; it belongs in a vassal's file")
	}
	return v
}

// checkLiteral warns of references that stay in a main file's value although they
// look meant.
func (l *loader) checkLiteral(e *entry) {
	if l.req.Vassal || e.unknown || !e.has {
		return
	}
	if e.literal {
		for _, mark := range []byte("$@%") {
			if _, _, ok := nextMarked(e.value, 0, mark, true); ok {
				l.warn(e.pos, e.key, "%c(…) is not replaced in an inherited file; include it instead", mark)
				return
			}
		}
		return
	}
	for _, name := range references(e.value) {
		if _, defined := l.first[name]; defined {
			continue
		}
		if s := suggest(name, l.definedNames()); s != "" {
			l.warn(e.pos, e.key, "nothing defines %%(%s), so it stays as it is; did you mean %%(%s)?", name, s)
		}
	}
}

// definedNames lists what a placeholder could refer to: keys that are not the
// language's own.
func (l *loader) definedNames() []string {
	if l.defined == nil {
		l.defined = []string{}
		for name := range l.first {
			if !consumed(name) {
				l.defined = append(l.defined, name)
			}
		}
		slices.Sort(l.defined)
	}
	return l.defined
}

// maxSuggestions bounds the search for what unknown keys may have meant.
const maxSuggestions = 100

// checkKeys reports keys that are neither options nor anybody's placeholder.
func (l *loader) checkKeys() {
	if l.set == nil {
		return
	}
	var candidates []string
	reported := 0
	for _, e := range l.entries {
		_, known := l.set.Lookup(e.key)
		_, declared := l.custom[e.key]
		if known || declared || closers[e.key] || e.applied {
			continue
		}
		if l.strict == nil && (e.quiet || l.used[e.key]) {
			continue
		}
		if candidates == nil {
			candidates = l.set.spellings()
		}
		hint := ""
		if reported++; reported <= maxSuggestions {
			hint = didYouMean(e.key, candidates)
		}
		if !e.has && strings.ContainsAny(e.key, ": \t") {
			hint = "; want OPTION = VALUE, with an equals sign"
		}
		if l.strict != nil {
			l.fail(e.pos, e.key, "there is no such option, and strict (%s) allows no placeholders but set-ph%s", *l.strict, hint)
		} else if e.key != "" {
			l.warn(e.pos, e.key, "there is no such option and no %%(%s) uses it%s", e.key, hint)
		}
	}
}
