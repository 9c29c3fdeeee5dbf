package rule

import (
	"fmt"
	"regexp/syntax"
	"strings"
)

// warnHostPattern remarks on a host pattern that matches more, or other, hosts
// than its author probably thinks of.
func warnHostPattern(s *shape, groups bool, warning func(string)) {
	items, start, end := topLevel(s.tree)
	if len(s.must) > 0 && len(items) > 0 {
		if !start && !beginsAtLabel(items[0]) {
			warning(fmt.Sprintf("the pattern has no ^ at its beginning: it also matches longer names such as evil%s", s.must[0]))
		}
		if !end && !endsAtLabel(items[len(items)-1]) {
			warning(fmt.Sprintf("the pattern has no $ at its end: it also matches longer names such as %s.evil.example", s.must[len(s.must)-1]))
		}
	}
	for i, item := range items {
		if item.Op == syntax.OpAnyCharNotNL && i > 0 && i+1 < len(items) &&
			items[i-1].Op == syntax.OpLiteral && items[i+1].Op == syntax.OpLiteral {
			warning(`a . in the pattern matches any character, write \. for a dot`)
			break
		}
	}
	if s.folded && groups {
		warning("the pattern has capital letters: hosts are compared in lower case, and what is captured is in lower case")
	}
}

// beginsAtLabel reports whether the text that an unanchored pattern begins with
// can only stand at a label's beginning, or may be anything anyway.
func beginsAtLabel(item *syntax.Regexp) bool {
	switch item.Op {
	case syntax.OpLiteral:
		return item.Rune[0] == '.'
	case syntax.OpConcat, syntax.OpCapture:
		return beginsAtLabel(item.Sub[0])
	case syntax.OpAlternate:
		for _, sub := range item.Sub {
			if !beginsAtLabel(sub) {
				return false
			}
		}
		return true
	}
	return item.Op != syntax.OpCharClass
}

// endsAtLabel is the same for the end.
func endsAtLabel(item *syntax.Regexp) bool {
	switch item.Op {
	case syntax.OpLiteral:
		last := item.Rune[len(item.Rune)-1]
		return last == '.' || last == ':'
	case syntax.OpConcat, syntax.OpCapture:
		return endsAtLabel(item.Sub[len(item.Sub)-1])
	case syntax.OpAlternate:
		for _, sub := range item.Sub {
			if !endsAtLabel(sub) {
				return false
			}
		}
		return true
	}
	return item.Op != syntax.OpCharClass
}

// warnUnreachable remarks on rules that can never decide, because an earlier one
// takes every request that they match.
func (c *compiler) warnUnreachable(one *chainCompiler) {
	if one.jumps {
		return // which rules are passed over is then not known
	}
	rules := one.table.rules
	var d Decision
	for i := range rules {
		if _, ok := rules[i].test.(always); ok && isFinal(rules[i].action) {
			if i+1 < len(rules) {
				c.warn(one.places[i+1], rules[i+1].source, fmt.Sprintf("never reached, nor any rule below: %s (%s) takes every request", rules[i].Action(), rules[i].Pos()))
			}
			return
		}
		f := one.filings[i]
		if f == nil || len(f.finite) == 0 {
			continue
		}
		if first := one.takenBefore(i, f, &d); first >= 0 {
			c.warn(one.places[i], rules[i].source, fmt.Sprintf("never reached: %q (%s) takes %s first", rules[first].String(), rules[first].Pos(), strings.Join(f.finite, ", ")))
		}
	}
}

// takenBefore returns the earlier rule that takes every host which rule i
// matches, or -1.
func (c *chainCompiler) takenBefore(i int, f *filing, d *Decision) int {
	taker := -1
	index := &c.table.index
	for _, host := range f.finite {
		q := Query{Host: []byte(host)}
		if f.colon {
			return -1 // it depends on the port
		}
		d.reset()
		index.start(&d.walk, &q)
		found := -1
		for j := index.next(&d.walk, 0); j >= 0 && j < i; j = index.next(&d.walk, j+1) {
			r := &c.table.rules[j]
			if h, ok := r.test.(*hostTest); ok && !h.colon && isFinal(r.action) && h.holds(&q, d) {
				found = j
				break
			}
		}
		if found < 0 || taker >= 0 && found != taker {
			return -1
		}
		taker = found
	}
	return taker
}
