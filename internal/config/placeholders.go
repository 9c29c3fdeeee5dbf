package config

import (
	"math"
	"strconv"
	"strings"
)

// expand makes the three passes over the finished list. Lines that acted while
// reading are left as they were written.
func (l *loader) expand() {
	passes := []func(*entry){l.expandEnvironment, l.expandContents, nil}
	for i, pass := range passes {
		if i == 2 {
			pass = l.placeholderPass()
		}
		for _, e := range l.entries {
			if !e.applied && e.has {
				pass(e)
			}
		}
	}
	l.late = true
}

// expandContents is the pass that replaces @(source) by what the source holds,
// less one newline at its end. Unlike uWSGI it does not look for @( ) in what came
// in: a file's contents must not be able to run a program. For a vassal nothing
// is opened: the value is Unknown.
func (l *loader) expandContents(e *entry) {
	e.value = replaceMarked(e.value, '@', true, func(inside string) (string, bool) {
		if l.req.Vassal {
			e.unknown = true
			return "", false
		}
		data, _, ok := l.readSource(l, inside, e)
		return strings.TrimSuffix(string(data), "\n"), ok
	})
}

// nextMarked finds the next complete mark(…) at or after from. A further mark
// inside starts over, as in uWSGI: of "$(A$(B))" only "$(B)" is one.
func nextMarked(text string, from int, mark byte, nested bool) (start, end int, ok bool) {
	const (
		outside = iota
		marked
		inside
	)
	state, depth := outside, 0
	for i := from; i < len(text); i++ {
		switch c := text[i]; {
		case c == mark:
			state, start = marked, i
		case state == marked && c == '(':
			state, depth = inside, 0
		case state == marked:
			state = outside
		case state == inside && c == '(' && nested:
			depth++
		case state == inside && c == ')' && depth > 0:
			depth--
		case state == inside && c == ')':
			if i == start+2 { // nothing inside: not a reference
				state = outside
				continue
			}
			return start, i + 1, true
		}
	}
	return 0, 0, false
}

// replaceMarked replaces every mark(…) for which resolve has something, once,
// from left to right.
func replaceMarked(text string, mark byte, nested bool, resolve func(inside string) (string, bool)) string {
	var out strings.Builder
	done := 0
	for from := 0; ; {
		start, end, ok := nextMarked(text, from, mark, nested)
		if !ok {
			break
		}
		from = end
		if value, ok := resolve(text[start+2 : end-1]); ok {
			out.WriteString(text[done:start])
			out.WriteString(value)
			done = end
		}
	}
	if done == 0 {
		return text
	}
	out.WriteString(text[done:])
	return out.String()
}

// noteReferences records the names in the %(…) of a line for UsedPlaceholders.
func (l *loader) noteReferences(value string) {
	for _, name := range references(value) {
		l.used[name] = true
	}
}

// references lists the names a value refers to, those in arithmetic included.
func references(value string) []string {
	var names []string
	for from := 0; ; {
		start, end, ok := nextMarked(value, from, '%', true)
		if !ok {
			return names
		}
		from = end
		inside := value[start+2 : end-1]
		if !strings.Contains(inside, " ") {
			names = append(names, inside)
			continue
		}
		for token := range strings.FieldsSeq(inside) {
			if _, operator := operators[token]; !operator && !allDigits(token) {
				names = append(names, token)
			}
		}
	}
}

// placeholderPass returns the pass that replaces %(name) by the first value of
// that name, and again what that value holds.
func (l *loader) placeholderPass() func(*entry) {
	cyclic := l.findCycles()
	return func(e *entry) {
		l.replaceAgain(e, '%', true, func(inside string) (string, bool) { return l.evaluate(e, inside, cyclic) })
	}
}

// replaceAgain replaces every mark(…) in a value for which resolve has something,
// and looks at what came of it again, until nothing is left to replace.
func (l *loader) replaceAgain(e *entry, mark byte, nested bool, resolve func(inside string) (string, bool)) {
	restart := 0
	if l.req.Vassal {
		// uWSGI looks at the value again from its SECOND byte: "a = %(b)" with
		// "b = %(c)" further down stays "%(c)".
		restart = 1
	}
	for from, replaced := 0, 0; ; {
		start, end, ok := nextMarked(e.value, from, mark, nested)
		if !ok {
			return
		}
		l.expanded += end - from
		value, ok := resolve(e.value[start+2 : end-1])
		if !ok {
			from = end
			continue
		}
		replaced++
		if replaced > maxReplaced || l.expanded > maxExpanded || len(e.value)+len(value) > maxValueBytes {
			l.fail(e.pos, e.key, "replacing %c(…) in this value does not come to an end", mark)
			return
		}
		e.value = e.value[:start] + value + e.value[end:]
		l.expanded += len(e.value)
		from = restart
	}
}

// evaluate is one %(…): a name, or with spaces in it a pipeline from left to
// right.
func (l *loader) evaluate(e *entry, inside string, cyclic map[string]bool) (string, bool) {
	if !strings.Contains(inside, " ") {
		return l.lookup(e, inside, cyclic)
	}
	var current *string
	operator := ""
	for token := range strings.FieldsFuncSeq(inside, func(r rune) bool { return r == ' ' }) {
		postfix, known := operators[token]
		switch {
		case known && postfix:
			if current != nil {
				step := int64(1)
				if token == "--" {
					step = -1
				}
				current = decimal(number(*current) + step)
			}
			operator = ""
			continue
		case known:
			operator = token
			continue
		}
		operand := token
		if !allDigits(token) {
			var ok bool
			if operand, ok = l.lookup(e, token, cyclic); !ok && cyclic[token] {
				return "", false
			}
		}
		left := ""
		if current != nil {
			left = *current
		}
		current = combine(left, operator, operand)
		if l.expanded += len(*current); l.expanded > maxExpanded || len(*current) > maxValueBytes {
			break // the caller reports it
		}
		operator = ""
	}
	if current == nil {
		return "", false
	}
	return *current, true
}

// operators of the pipeline; true marks the ones without a right operand.
var operators = map[string]bool{"+": false, "-": false, "*": false, "/": false, "++": true, "--": true}

func combine(left, operator, right string) *string {
	a, b := number(left), number(right)
	switch operator {
	case "+":
		return decimal(a + b)
	case "-":
		return decimal(a - b)
	case "*":
		return decimal(a * b)
	case "/":
		if b == 0 {
			return decimal(0)
		}
		return decimal(a / b)
	}
	text := left + right
	return &text
}

func decimal(n int64) *string {
	text := strconv.FormatInt(n, 10)
	return &text
}

// lookup is the value of a name: its first entry's, as it stands now.
func (l *loader) lookup(e *entry, name string, cyclic map[string]bool) (string, bool) {
	definition, ok := l.first[name]
	if !ok || !definition.has && definition.pos.File == "" || cyclic[name] {
		return "", false
	}
	e.unknown = e.unknown || definition.unknown
	e.extended = e.extended || definition.extended
	e.by = l.both(e.by, definition.by)
	return definition.value, true
}

// findCycles reports definitions that refer to themselves, which uWSGI expands
// until memory ends, and returns the names on them.
func (l *loader) findCycles() map[string]bool {
	const (
		unseen = iota
		open
		done
	)
	cyclic := map[string]bool{}
	state := map[string]int{}
	var path []string
	var visit func(name string)
	visit = func(name string) {
		definition, ok := l.first[name]
		if !ok || state[name] == done {
			return
		}
		if state[name] == open {
			at := len(path) - 1
			for path[at] != name {
				at--
			}
			for _, member := range path[at:] {
				cyclic[member] = true
			}
			chain := append(append([]string{}, path[at:]...), name)
			l.fail(definition.pos, name, "the placeholder refers to itself: %%(%s)", strings.Join(chain, ") → %("))
			return
		}
		state[name] = open
		path = append(path, name)
		for _, next := range references(definition.value) {
			visit(next)
		}
		path = path[:len(path)-1]
		state[name] = done
	}
	for _, e := range l.entries {
		if !e.applied { // the values of include, set … are never expanded
			visit(e.key)
		}
	}
	return cyclic
}

func allDigits(text string) bool {
	return text != "" && strings.Trim(text, "0123456789") == ""
}

// number is strtoll: leading blanks, a sign, digits; what follows is ignored.
func number(text string) int64 {
	text = strings.TrimLeft(text, " \t\n\v\f\r")
	sign := ""
	if strings.HasPrefix(text, "-") || strings.HasPrefix(text, "+") {
		sign, text = text[:1], text[1:]
	}
	n, err := strconv.ParseInt(sign+leadingDigits(text), 10, 64)
	if err != nil && leadingDigits(text) != "" { // out of range: it saturates
		if sign == "-" {
			return math.MinInt64
		}
		return math.MaxInt64
	}
	return n
}

func leadingDigits(text string) string {
	end := 0
	for end < len(text) && text[end] >= '0' && text[end] <= '9' {
		end++
	}
	return text[:end]
}
