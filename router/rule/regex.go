package rule

import (
	"errors"
	"fmt"
	"regexp/syntax"
	"strconv"
	"strings"
	"unicode"
)

// parseRegex parses a pattern as RE2. Its error names the column and, for what
// only PCRE (uWSGI's engine) has, what to write instead.
func parseRegex(pattern string) (*syntax.Regexp, error) {
	tree, err := syntax.Parse(pattern, syntax.Perl)
	if err == nil {
		return tree, nil
	}
	if column, what := findPCRE(pattern); what != "" {
		return nil, fmt.Errorf("pattern %s, column %d: %s", pattern, column+1, what)
	}
	var bad *syntax.Error
	if errors.As(err, &bad) {
		if at := strings.Index(pattern, bad.Expr); bad.Expr != "" && bad.Expr != pattern && at >= 0 {
			return nil, fmt.Errorf("pattern %s, column %d: %s at %s, want an RE2 regular expression", pattern, at+1, bad.Code, bad.Expr)
		}
		return nil, fmt.Errorf("pattern %s: %s, want an RE2 regular expression", pattern, bad.Code)
	}
	return nil, fmt.Errorf("pattern %s: %v", pattern, err)
}

// withAdvice adds to the error about a pattern that begins with a negative
// look-ahead the two rules that say the same.
func withAdvice(err error, key, pattern string) error {
	rest, ok := strings.CutPrefix(strings.TrimPrefix(pattern, "^"), "(?!")
	if !ok {
		return err
	}
	depth, end := 1, -1
	for i := 0; i < len(rest) && depth > 0; i++ {
		switch rest[i] {
		case '\\':
			i++
		case '(':
			depth++
		case ')':
			if depth--; depth == 0 {
				end = i
			}
		}
	}
	chain, _, known := chainOf(key)
	if end <= 0 || !known {
		return err
	}
	exception := rest[:end]
	if strings.HasPrefix(pattern, "^") {
		exception = "^" + exception
	}
	return fmt.Errorf("%w: %s = %s goto:NAME above this one without the look-ahead, and %s-label = NAME below it (or last: in place of goto: when no other rule shall see it)",
		err, key, exception, chainPrefixes[chain])
}

// pcreGroups are the forms of "(?" that RE2 does not have, longest first.
var pcreGroups = []struct{ form, what string }{
	{"(?<=", "look-behind (?<=…) is PCRE only; match the text before it as part of the pattern and use a group for the rest"},
	{"(?<!", "negative look-behind (?<!…) is PCRE only; write an earlier rule that catches the exception"},
	{"(?=", "look-ahead (?=…) is PCRE only; match the text after it as part of the pattern, or use two rules"},
	{"(?!", "negative look-ahead (?!…) is PCRE only; write an earlier rule that catches the exception"},
	{"(?>", "the atomic group (?>…) is PCRE only; write (?:…), RE2 never backtracks"},
	{"(?|", "the branch reset (?|…) is PCRE only; write one group around the alternatives"},
	{"(?#", "the comment (?#…) is PCRE only; put it on a line of its own"},
	{"(?R", "recursion (?R) is PCRE only; write the nesting out"},
	{"(?&", "the subroutine call (?&…) is PCRE only; write the pattern out"},
	{"(?P>", "the subroutine call (?P>…) is PCRE only; write the pattern out"},
	{"(?P=", "the back-reference (?P=…) is PCRE only; write the text out, or one rule for each"},
	{"(?'", "the group name (?'…') is PCRE only; write (?<name>…)"},
	{"(?(", "the conditional (?(…)…) is PCRE only; write the cases as alternatives (?:…|…)"},
	{"(?C", "the callout (?C) is PCRE only; leave it out"},
}

// pcreEscapes are the escapes that RE2 does not have.
var pcreEscapes = map[byte]string{
	'h': `\h is PCRE only; write [ \t] as [\x20\t]`,
	'H': `\H is PCRE only; write [^\x20\t]`,
	'R': `\R is PCRE only; write (?:\r\n|\n|\r)`,
	'K': `\K is PCRE only; use a group for the text after it`,
	'G': `\G is PCRE only; write ^`,
	'Z': `\Z is PCRE only; write $`,
	'X': `\X is PCRE only; write .`,
	'N': `\N is PCRE only; write .`,
	'e': `\e is PCRE only; write \x1b`,
	'c': `\c… is PCRE only; write the control character as \x and two digits`,
	'k': `the back-reference \k is PCRE only; write the text out, or one rule for each`,
	'g': `the back-reference \g is PCRE only; write the text out, or one rule for each`,
	'u': `\u is not known; write \x{…}`,
}

// findPCRE finds the first construct in a pattern that PCRE has and RE2 has not.
// It returns its offset and a description, or "".
func findPCRE(pattern string) (offset int, what string) {
	quantified := false // the item before i is a quantifier
	inClass := false
	for i := 0; i < len(pattern); {
		c := pattern[i]
		switch {
		case c == '\\' && i+1 < len(pattern):
			next := pattern[i+1]
			if next == 'Q' {
				end := strings.Index(pattern[i:], `\E`)
				if end < 0 {
					return 0, ""
				}
				i += end + 2
				quantified = false
				continue
			}
			if what := pcreEscapes[next]; what != "" {
				return i, what
			}
			if next >= '1' && next <= '9' && !inClass {
				return i, `the back-reference \` + string(next) + ` is PCRE only; write the text out, or one rule for each`
			}
			i += 2
			quantified = false
			continue
		case inClass:
			if strings.HasPrefix(pattern[i:], "[:") {
				if end := strings.Index(pattern[i:], ":]"); end > 0 {
					i += end + 2
					continue
				}
			}
			inClass = c != ']'
			i++
			continue
		case c == '[':
			inClass = true
			i++
			if strings.HasPrefix(pattern[i:], "^") {
				i++
			}
			if strings.HasPrefix(pattern[i:], "]") {
				i++
			}
			quantified = false
			continue
		case c == '(':
			rest := pattern[i:]
			for _, group := range pcreGroups {
				if strings.HasPrefix(rest, group.form) {
					return i, group.what
				}
			}
			if what := pcreFlags(rest); what != "" {
				return i, what
			}
		case quantified && c == '+':
			return i, "the possessive quantifier is PCRE only; leave out the second +, RE2 never backtracks"
		case c == '{':
			if length, highest := repeatCount(pattern[i:]); length > 0 {
				if highest > 1000 {
					return i, "a repeat count above 1000 is PCRE only; write + or *"
				}
				i += length
				quantified = true
				continue
			}
		case c == '*', c == '+', c == '?':
			quantified = !quantified // the second one of "*?" ends the item
			i++
			continue
		}
		quantified = false
		i++
	}
	return 0, ""
}

// pcreFlags reports what is wrong with an inline group of flags such as (?x),
// or with a numbered recursion such as (?1).
func pcreFlags(group string) string {
	for i := 2; strings.HasPrefix(group, "(?") && i < len(group); i++ {
		switch c := group[i]; c {
		case 'i', 'm', 's', 'U':
		case '-':
			if i+1 < len(group) && group[i+1] >= '0' && group[i+1] <= '9' {
				return "recursion (?-1) is PCRE only; write the pattern out"
			}
		case 'x':
			return "the flag (?x) is PCRE only; write the pattern without blanks and comments"
		case 'J', 'X':
			return "the flag (?" + string(c) + ") is PCRE only; leave it out"
		case '0', '1', '2', '3', '4', '5', '6', '7', '8', '9', '+':
			return "recursion (?1) is PCRE only; write the pattern out"
		default:
			return ""
		}
	}
	return ""
}

// repeatCount reads "{n}", "{n,}" or "{n,m}": its length in bytes, 0 if it is
// none, and the larger count.
func repeatCount(text string) (length, highest int) {
	end := strings.IndexByte(text, '}')
	if end < 2 {
		return 0, 0
	}
	low, high, _ := strings.Cut(text[1:end], ",")
	for _, digits := range []string{low, high} {
		if digits == "" {
			continue
		}
		n, err := strconv.Atoi(digits)
		if err != nil {
			return 0, 0
		}
		highest = max(highest, n)
	}
	if low == "" {
		return 0, 0
	}
	return end + 1, highest
}

// foldHost changes a pattern so that letters which it spells in upper case match
// the canonical host, which is lower case: literals are lowered, classes get the
// lower-case twins of their members. A class that is written as an exclusion
// ("[^A-Z]") stays as it is: adding to it would make it match what it excludes.
// It reports whether the pattern spelled an upper-case letter that mattered.
//
// This, and not the flag (?i), because RE2 folds by Unicode: under (?i) the
// letter k matches the Kelvin sign, and then no literal could be looked up in a map.
func foldHost(tree *syntax.Regexp) (changed bool) {
	switch tree.Op {
	case syntax.OpLiteral:
		ascii := true
		for _, r := range tree.Rune {
			ascii = ascii && r <= unicode.MaxASCII
		}
		if !ascii {
			break
		}
		folded := tree.Flags&syntax.FoldCase != 0
		tree.Flags &^= syntax.FoldCase
		for i, r := range tree.Rune {
			if r >= 'A' && r <= 'Z' {
				tree.Rune[i] = r + 'a' - 'A'
				changed = changed || !folded // under (?i) the parser itself writes capitals
			}
		}
	case syntax.OpCharClass:
		if isExclusion(tree) {
			break
		}
		if class, added := withLowerTwins(tree.Rune); added {
			tree.Rune = class
			changed = true
		}
	}
	for _, sub := range tree.Sub {
		if foldHost(sub) {
			changed = true
		}
	}
	return changed
}

// foldsCase reports whether a literal in a pattern is under the flag (?i).
func foldsCase(tree *syntax.Regexp) bool {
	if tree.Op == syntax.OpLiteral && tree.Flags&syntax.FoldCase != 0 {
		return true
	}
	for _, sub := range tree.Sub {
		if foldsCase(sub) {
			return true
		}
	}
	return false
}

// isExclusion reports whether a class was written as what it must not contain:
// only such a class reaches the last code point.
func isExclusion(class *syntax.Regexp) bool {
	n := len(class.Rune)
	return n > 0 && class.Rune[n-1] == unicode.MaxRune
}

// withLowerTwins adds to a class, a sorted list of ranges, the lower-case forms
// of its upper-case ASCII letters.
func withLowerTwins(class []rune) (result []rune, added bool) {
	var member [unicode.MaxASCII + 1]bool
	for i := 0; i < len(class); i += 2 {
		for r := class[i]; r <= class[i+1] && r <= unicode.MaxASCII; r++ {
			member[r] = true
		}
	}
	for r := 'A'; r <= 'Z'; r++ {
		if twin := r + 'a' - 'A'; member[r] && !member[twin] {
			member[twin] = true
			added = true
		}
	}
	if !added {
		return class, false
	}
	for r := rune(0); r <= unicode.MaxASCII; r++ {
		if !member[r] {
			continue
		}
		if n := len(result); n > 0 && result[n-1] == r-1 {
			result[n-1] = r
		} else {
			result = append(result, r, r)
		}
	}
	for i := 0; i < len(class); i += 2 {
		if class[i+1] > unicode.MaxASCII {
			low := max(class[i], unicode.MaxASCII+1)
			if n := len(result); n > 0 && result[n-1] == low-1 {
				result[n-1] = class[i+1]
			} else {
				result = append(result, low, class[i+1])
			}
		}
	}
	return result, true
}

// spellsColon reports whether a pattern asks for a colon: in a literal, or in a
// class that is not written as an exclusion. Such a pattern wants to see a port.
func spellsColon(tree *syntax.Regexp) bool {
	switch tree.Op {
	case syntax.OpLiteral:
		for _, r := range tree.Rune {
			if r == ':' {
				return true
			}
		}
	case syntax.OpCharClass:
		if isExclusion(tree) {
			return false
		}
		for i := 0; i < len(tree.Rune); i += 2 {
			if tree.Rune[i] <= ':' && ':' <= tree.Rune[i+1] {
				return true
			}
		}
	}
	for _, sub := range tree.Sub {
		if spellsColon(sub) {
			return true
		}
	}
	return false
}
