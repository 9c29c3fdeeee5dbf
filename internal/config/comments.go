package config

import (
	"fmt"
	"regexp"
	"slices"
)

// In uWSGI's ini language a comment has a line of its own. Behind a value it is part of
// it, which everybody gets wrong once: "idle = 300 ; five minutes" is no number, and
// "http-health = /up ; for the probe" a path with blanks.

var seemsComment = regexp.MustCompile(`\s([;#]\s.*)$`)

// trailingComment returns what at the end of a value looks like a comment.
func trailingComment(value string) (comment string, ok bool) {
	m := seemsComment.FindStringSubmatch(value)
	if m == nil {
		return "", false
	}
	const most = 40
	if runes := []rune(m[1]); len(runes) > most {
		return string(runes[:most]) + "…", true
	}
	return m[1], true
}

// WithComments adds to mistakes what a comment behind their value may have to do with
// them, and warns of such values where suspect says so and nothing else is wrong.
func (ps Problems) WithComments(values []Value, suspect func(Value) bool) Problems {
	out := slices.Clone(ps)
	for _, v := range values {
		comment, ok := trailingComment(v.Value)
		if !ok || v.Pos.Line == 0 {
			continue
		}
		text := fmt.Sprintf("%q is part of the value, as in uWSGI: a comment has a line of its own", comment)
		said := false
		for i := range out {
			if p := &out[i]; p.Pos == v.Pos && (p.Key == v.Key || p.Key == "") {
				if !said {
					p.Text += " (" + text + ")"
				}
				said = true
			}
		}
		if !said && suspect != nil && suspect(v) {
			out = append(out, Problem{Pos: v.Pos, Key: v.Key, Warning: true, Text: text})
		}
	}
	return out
}
