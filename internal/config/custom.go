package config

import (
	"strconv"
	"strings"
)

// customOption is a declare-option: a name that stands for other options.
type customOption struct {
	template string
	pos      Pos
	by       Author
}

// maxArguments is how many words a declared option can have.
const maxArguments = 99

// declare is declare-option = name=opt=val;opt=val with $1, $2 … in the template.
func (l *loader) declare(e *entry) {
	name, template, ok := strings.Cut(e.value, "=")
	if !ok || name == "" {
		l.fail(e.pos, e.key, "want NAME=OPTION=VALUE;…, got %q", e.value)
		return
	}
	if _, known := l.set.Lookup(name); known {
		l.mistake(e.pos, e.key, "%q is an option already and keeps its meaning", name)
		return
	}
	if _, again := l.custom[name]; !again { // as uWSGI: the first declaration stays
		l.custom[name] = customOption{template: template, pos: e.pos, by: e.by}
	}
}

// instantiate turns one use of a declared option into the lines it stands for.
func (l *loader) instantiate(c customOption, e *entry) []*entry {
	arguments := strings.FieldsFunc(e.value, func(r rune) bool { return r == ' ' })
	// uWSGI counts spaces, so that "a  b" has an empty third argument.
	for len(arguments) < min(strings.Count(e.value, " ")+1, maxArguments) {
		arguments = append(arguments, "")
	}
	arguments = arguments[:min(len(arguments), maxArguments)]
	fill := func(text string) string {
		for i, argument := range arguments {
			name := "$" + strconv.Itoa(i+1)
			if strings.Count(text, name)*len(argument) > maxValueBytes {
				continue // left as it is: no honest template comes here
			}
			text = strings.ReplaceAll(text, name, argument)
		}
		return text
	}
	var out []*entry
	for _, line := range strings.FieldsFunc(c.template, func(r rune) bool { return r == ';' }) {
		key, value, ok := strings.Cut(line, "=")
		if !ok {
			break // as in uWSGI: the rest of the template is dropped
		}
		out = append(out, &entry{key: fill(key), value: fill(value), has: true, pos: e.pos,
			frame: e.frame, by: l.both(e.by, c.by), unknown: e.unknown, extended: e.extended})
	}
	return out
}
