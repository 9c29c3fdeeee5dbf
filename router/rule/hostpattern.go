package rule

import (
	"iter"
	"regexp/syntax"
	"strings"
)

// HostPattern is a pattern on host names as route-host has it, for what else
// chooses by a name: the same syntax, the same remarks, the same speed.
type HostPattern struct {
	pattern pattern
	shape   *shape
}

// CompileHostPattern compiles a regular expression. The error says where it is
// wrong and, for what only PCRE has, what to write instead.
func CompileHostPattern(text string) (*HostPattern, error) {
	p, s, err := compilePattern(text, true)
	if err != nil {
		return nil, err
	}
	return &HostPattern{p, s}, nil
}

// Match reports whether a name in lower case matches. When groups is not nil it
// is filled with the offsets of the match and of each group, -1 for a group that
// took no part.
func (p *HostPattern) Match(name []byte, groups *[]int) bool { return p.pattern.match(name, groups) }

// Groups returns the number of groups.
func (p *HostPattern) Groups() int { return p.shape.groups }

// Group returns the number of the group (?<name>…).
func (p *HostPattern) Group(name string) (number int, ok bool) {
	s := scope{names: p.shape.names}
	return s.group(name)
}

// Finite returns every name that matches where these are few, else nil.
func (p *HostPattern) Finite() []string { return p.shape.finite }

// SpellsColon reports whether the pattern asks for a colon, which names do not have.
func (p *HostPattern) SpellsColon() bool { return p.shape.colon }

// Suffix returns the domain that every matching name is in, ".example.com", or "".
func (p *HostPattern) Suffix() string {
	if p.shape.suffix != "" || p.shape.tree == nil {
		return p.shape.suffix
	}
	items, _, end := topLevel(p.shape.tree)
	if !end {
		return ""
	}
	text := literalEnd(items)
	return text[max(0, strings.IndexByte(text, '.')):]
}

// literalEnd returns the text that everything ends with which items match, from a
// dot on; "" without a dot in it.
func literalEnd(items []*syntax.Regexp) string {
	for len(items) > 0 {
		last := items[len(items)-1]
		switch last.Op {
		case syntax.OpCapture, syntax.OpConcat:
			items = last.Sub
			continue
		}
		if text, ok := literalText(last); ok && strings.IndexByte(text, '.') >= 0 {
			return text
		}
		break
	}
	return ""
}

// Everything reports whether the pattern matches every name that ends with Suffix
// and has something before it: ^(.+)\.example\.com$, or any name at all.
func (p *HostPattern) Everything() bool {
	switch one := p.pattern.(type) {
	case *literalPattern:
		return one.text == "" && !(one.start && one.end) || one.end && !one.start && one.text == p.shape.suffix
	case *capturePattern:
		_, any := one.class.count([]byte("abcdefghijklmnopqrstuvwxyz0123456789-_."))
		return any && one.min <= 1 && one.max < 0 && one.head == "" && one.tail == p.shape.suffix
	}
	return false
}

// FiniteGroup reports whether a group can capture a handful of texts only.
func (p *HostPattern) FiniteGroup(number int) bool {
	if p.shape.tree == nil {
		return true
	}
	var group *syntax.Regexp
	var find func(*syntax.Regexp)
	find = func(tree *syntax.Regexp) {
		if tree.Op == syntax.OpCapture && tree.Cap == number {
			group = tree
		}
		for _, sub := range tree.Sub {
			find(sub)
		}
	}
	find(p.shape.tree)
	return group != nil && enumerate(group) != nil
}

// Remarks says what of the pattern is probably not what was meant; captured tells
// that its groups are used.
func (p *HostPattern) Remarks(captured bool) (remarks []string) {
	if p.shape.tree != nil {
		warnHostPattern(p.shape, captured, func(text string) { remarks = append(remarks, text) })
	}
	return remarks
}

// HostPatterns is a list of patterns that is asked for a name without trying each.
type HostPatterns struct{ index index }

// NewHostPatterns makes a list, in which the patterns keep their order.
func NewHostPatterns(list []*HostPattern) *HostPatterns {
	filings := make([]*filing, len(list))
	for i, p := range list {
		filings[i] = &filing{finite: p.shape.finite, suffix: p.shape.suffix, must: p.shape.must}
	}
	h := &HostPatterns{}
	h.index.build(filings)
	return h
}

// Candidates yields in order the numbers of the patterns that may match a name in
// lower case: all that do, and few that do not.
func (h *HostPatterns) Candidates(name []byte) iter.Seq[int] {
	return func(yield func(int) bool) {
		var places [16]cursor
		w := walk{cursors: places[:0]}
		q := Query{Host: name}
		h.index.start(&w, &q)
		for i := h.index.next(&w, 0); i >= 0; i = h.index.next(&w, i+1) {
			if !yield(i) {
				return
			}
		}
	}
}
