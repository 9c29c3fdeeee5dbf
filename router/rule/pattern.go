package rule

import (
	"bytes"
	"regexp"
	"regexp/syntax"
	"strings"
	"unicode"
	"unicode/utf8"
)

// A pattern is one compiled regular expression. Most patterns in practice have
// one of two simple shapes, which are matched by comparing bytes; they mean
// exactly what package regexp would find (a fuzz test compares them), cost no
// allocation, and 100,000 of them need no 100,000 programs.
type pattern interface {
	// match reports whether text matches. When groups is not nil it is filled
	// with the offsets of the whole match and of each group, as by
	// regexp.FindSubmatchIndex: -1 for a group that took no part.
	match(text []byte, groups *[]int) bool
}

// shape is what compilePattern learned of a pattern beyond how to match it.
type shape struct {
	groups int      // number of groups
	names  []string // names[i] is the name of group i, or ""
	colon  bool     // spells a colon, see spellsColon
	folded bool     // spelled capitals (hosts only)

	finite []string // every text that matches, when these are few; else nil
	suffix string   // every matching text ends with it, it begins with a dot; or ""
	must   []string // occur in every matching text, in this order

	tree *syntax.Regexp // nil for a plain literal
}

// slashes has bit n set when group n, whatever it captures, begins with a slash.
// An empty capture counts too: what matters is that it can not extend a name.
func (s *shape) slashes() (set uint64) {
	if s.tree != nil {
		markSlashes(s.tree, &set)
	}
	return set
}

func markSlashes(tree *syntax.Regexp, set *uint64) {
	if tree.Op == syntax.OpCapture && tree.Cap < 64 && beginsWithSlash(tree.Sub[0]) {
		*set |= 1 << tree.Cap
	}
	for _, sub := range tree.Sub {
		markSlashes(sub, set)
	}
}

func beginsWithSlash(tree *syntax.Regexp) bool {
	switch tree.Op {
	case syntax.OpLiteral:
		return tree.Rune[0] == '/'
	case syntax.OpEmptyMatch:
		return true
	case syntax.OpConcat, syntax.OpCapture, syntax.OpPlus:
		return beginsWithSlash(tree.Sub[0])
	case syntax.OpAlternate:
		for _, sub := range tree.Sub {
			if !beginsWithSlash(sub) {
				return false
			}
		}
		return true
	}
	return false
}

// compilePattern compiles a pattern; host says that it is for canonical hosts.
func compilePattern(text string, host bool) (pattern, *shape, error) {
	if literal, ok := plainLiteral(text); ok {
		if host {
			literal = strings.ToLower(literal)
		}
		return &literalPattern{text: literal, start: true, end: true},
			&shape{finite: []string{literal}, must: []string{literal}, colon: strings.IndexByte(literal, ':') >= 0}, nil
	}
	tree, err := parseRegex(text)
	if err != nil {
		return nil, nil, err
	}
	s := &shape{tree: tree, groups: tree.MaxCap(), names: tree.CapNames()}
	changed := false
	if host {
		changed = foldsCase(tree)
		s.folded = foldHost(tree)
		s.colon = spellsColon(tree)
	}
	s.must = requiredLiterals(nil, tree)
	s.finite = finiteLanguage(tree)
	if literal := asLiteral(tree); literal != nil {
		if literal.end && strings.HasPrefix(literal.text, ".") {
			s.suffix = literal.text
		}
		return literal, s, nil
	}
	if capture := asCapture(tree); capture != nil {
		if capture.head == "" && strings.HasPrefix(capture.tail, ".") {
			s.suffix = capture.tail
		}
		return capture, s, nil
	}
	source := text
	if changed || s.folded {
		source = tree.String() // with capitals folded; slow, it takes milliseconds
	}
	re, err := regexp.Compile(source)
	if err != nil {
		return nil, nil, err
	}
	return &regexpPattern{re: re, must: s.must}, s, nil
}

// literalPattern is a text, anchored at none, one or both ends: ^www\.a\.com$.
type literalPattern struct {
	text       string
	start, end bool
}

func (p *literalPattern) match(text []byte, groups *[]int) bool {
	at := 0
	switch {
	case p.start && p.end:
		if string(text) != p.text {
			return false
		}
	case p.start:
		if len(text) < len(p.text) || string(text[:len(p.text)]) != p.text {
			return false
		}
	case p.end:
		at = len(text) - len(p.text)
		if at < 0 || string(text[at:]) != p.text {
			return false
		}
	default:
		if at = indexString(text, p.text); at < 0 {
			return false
		}
	}
	if groups != nil {
		*groups = append((*groups)[:0], at, at+len(p.text))
	}
	return true
}

// indexString is bytes.Index for a string, without a conversion.
func indexString(text []byte, sub string) int {
	if sub == "" {
		return 0
	}
	for at := 0; ; {
		i := bytes.IndexByte(text[at:], sub[0])
		if i < 0 || len(text)-at-i < len(sub) {
			return -1
		}
		at += i
		if string(text[at:at+len(sub)]) == sub {
			return at
		}
		at++
	}
}

// capturePattern is ^head(class{min,max})tail$, with or without the group:
// ^([-\w]+)\.example\.com$. Both ends are fixed, so there is only one way to match.
type capturePattern struct {
	head, tail string
	class      *class
	min, max   int // in code points; max -1: no limit
	group      bool
}

func (p *capturePattern) match(text []byte, groups *[]int) bool {
	end := len(text) - len(p.tail)
	if end < len(p.head) || string(text[end:]) != p.tail || string(text[:len(p.head)]) != p.head {
		return false
	}
	count, ok := p.class.count(text[len(p.head):end])
	if !ok || count < p.min || p.max >= 0 && count > p.max {
		return false
	}
	if groups != nil {
		*groups = append((*groups)[:0], 0, len(text))
		if p.group {
			*groups = append(*groups, len(p.head), end)
		}
	}
	return true
}

// class is a set of code points: a bitmap for ASCII and ranges for the rest.
type class struct {
	ascii [4]uint32
	wide  []rune
}

func newClass(ranges []rune) *class {
	c := &class{}
	for i := 0; i < len(ranges); i += 2 {
		low, high := ranges[i], ranges[i+1]
		for r := low; r <= high && r <= unicode.MaxASCII; r++ {
			c.ascii[r>>5] |= 1 << (r & 31)
		}
		if high > unicode.MaxASCII {
			c.wide = append(c.wide, max(low, unicode.MaxASCII+1), high)
		}
	}
	return c
}

// count returns the number of code points in text and whether all are members.
// A byte that is not UTF-8 counts as U+FFFD, as in package regexp.
func (c *class) count(text []byte) (count int, ok bool) {
	for i := 0; i < len(text); {
		if b := text[i]; b < utf8.RuneSelf {
			if c.ascii[b>>5]&(1<<(b&31)) == 0 {
				return 0, false
			}
			i++
		} else {
			r, size := utf8.DecodeRune(text[i:])
			if !inRanges(c.wide, r) {
				return 0, false
			}
			i += size
		}
		count++
	}
	return count, true
}

func inRanges(ranges []rune, r rune) bool {
	for i := 0; i < len(ranges); i += 2 {
		if ranges[i] <= r && r <= ranges[i+1] {
			return true
		}
	}
	return false
}

// regexpPattern is any other pattern. It allocates when groups are wanted.
type regexpPattern struct {
	re   *regexp.Regexp
	must []string // occur in every match, in this order: a cheap first look
}

func (p *regexpPattern) match(text []byte, groups *[]int) bool {
	rest := text
	for _, must := range p.must {
		at := indexString(rest, must)
		if at < 0 {
			return false
		}
		rest = rest[at+len(must):]
	}
	if groups == nil {
		return p.re.Match(text)
	}
	found := p.re.FindSubmatchIndex(text)
	if found == nil {
		return false
	}
	*groups = append((*groups)[:0], found...)
	return true
}

// plainLiteral recognises ^literal$ without parsing it as a regular expression:
// most rules of a large list are of this form.
func plainLiteral(text string) (literal string, ok bool) {
	if len(text) < 2 || text[0] != '^' || text[len(text)-1] != '$' {
		return "", false
	}
	text = text[1 : len(text)-1]
	buf := make([]byte, 0, 64)
	for i := 0; i < len(text); i++ {
		c := text[i]
		switch {
		case c >= utf8.RuneSelf || c < ' ':
			return "", false
		case c == '\\':
			i++
			if i == len(text) || !strings.ContainsRune(`\.+*?()|[]{}^$-_/:~@#%&=,;!"'<> `+"`", rune(text[i])) {
				return "", false
			}
			c = text[i]
		case strings.IndexByte(`.+*?()|[]{}^$`, c) >= 0:
			return "", false
		}
		buf = append(buf, c)
	}
	return string(buf), true
}

// topLevel returns the items of the top-level concatenation without the anchors.
func topLevel(tree *syntax.Regexp) (items []*syntax.Regexp, start, end bool) {
	items = []*syntax.Regexp{tree}
	if tree.Op == syntax.OpConcat {
		items = tree.Sub
	}
	if len(items) > 0 && items[0].Op == syntax.OpBeginText {
		items, start = items[1:], true
	}
	if n := len(items); n > 0 && items[n-1].Op == syntax.OpEndText {
		items, end = items[:n-1], true
	}
	return items, start, end
}

// literalText returns the text of a literal that matches byte by byte. One with
// U+FFFD does not: it also matches bytes that are not UTF-8.
func literalText(item *syntax.Regexp) (string, bool) {
	if item.Op != syntax.OpLiteral || item.Flags&syntax.FoldCase != 0 {
		return "", false
	}
	for _, r := range item.Rune {
		if r == utf8.RuneError {
			return "", false
		}
	}
	return string(item.Rune), true
}

func asLiteral(tree *syntax.Regexp) *literalPattern {
	items, start, end := topLevel(tree)
	switch {
	case len(items) == 0:
		return &literalPattern{start: start, end: end}
	case len(items) > 1:
		return nil
	}
	if items[0].Op == syntax.OpEmptyMatch {
		return &literalPattern{start: start, end: end}
	}
	text, ok := literalText(items[0])
	if !ok {
		return nil
	}
	return &literalPattern{text: text, start: start, end: end}
}

func asCapture(tree *syntax.Regexp) *capturePattern {
	items, start, end := topLevel(tree)
	if !start || !end || len(items) == 0 || len(items) > 3 {
		return nil
	}
	p := &capturePattern{}
	if text, ok := literalText(items[0]); ok {
		p.head, items = text, items[1:]
	}
	if n := len(items); n == 2 {
		text, ok := literalText(items[1])
		if !ok {
			return nil
		}
		p.tail, items = text, items[:1]
	}
	if len(items) != 1 {
		return nil
	}
	item := items[0]
	if item.Op == syntax.OpCapture {
		p.group, item = true, item.Sub[0]
	}
	p.min, p.max = 1, 1
	switch item.Op {
	case syntax.OpStar:
		p.min, p.max, item = 0, -1, item.Sub[0]
	case syntax.OpPlus:
		p.max, item = -1, item.Sub[0]
	case syntax.OpQuest:
		p.min, item = 0, item.Sub[0]
	case syntax.OpRepeat:
		p.min, p.max, item = item.Min, item.Max, item.Sub[0]
	}
	switch item.Op {
	case syntax.OpCharClass:
		p.class = newClass(item.Rune)
	case syntax.OpAnyCharNotNL:
		p.class = newClass([]rune{0, '\n' - 1, '\n' + 1, unicode.MaxRune})
	case syntax.OpAnyChar:
		p.class = newClass([]rune{0, unicode.MaxRune})
	default:
		return nil
	}
	return p
}

// requiredLiterals appends the texts that every match contains, one after the
// other, as far as they stand in the concatenation.
func requiredLiterals(texts []string, tree *syntax.Regexp) []string {
	switch tree.Op {
	case syntax.OpLiteral:
		if text, ok := literalText(tree); ok {
			texts = append(texts, text)
		}
	case syntax.OpConcat, syntax.OpCapture, syntax.OpPlus:
		for _, sub := range tree.Sub {
			texts = requiredLiterals(texts, sub)
		}
	}
	return texts
}

// finiteLimit bounds how many keys one rule may put into the index.
const finiteLimit = 32

// finiteLanguage lists every text that matches, for patterns such as
// ^(?:www\.)?example\.com$ or ^(?:a|b)\.example\.com$; nil if they are too many.
func finiteLanguage(tree *syntax.Regexp) []string {
	items, start, end := topLevel(tree)
	if !start || !end {
		return nil
	}
	texts := []string{""}
	for _, item := range items {
		if texts = product(texts, enumerate(item)); texts == nil {
			return nil
		}
	}
	seen := make(map[string]bool, len(texts))
	unique := texts[:0]
	for _, text := range texts {
		if !seen[text] {
			seen[text] = true
			unique = append(unique, text)
		}
	}
	return unique
}

func enumerate(item *syntax.Regexp) []string {
	switch item.Op {
	case syntax.OpEmptyMatch:
		return []string{""}
	case syntax.OpLiteral:
		if text, ok := literalText(item); ok {
			return []string{text}
		}
	case syntax.OpCharClass:
		var texts []string
		for i := 0; i < len(item.Rune); i += 2 {
			for r := item.Rune[i]; r <= item.Rune[i+1]; r++ {
				if r > unicode.MaxASCII || len(texts) == finiteLimit {
					return nil
				}
				texts = append(texts, string(r))
			}
		}
		return texts
	case syntax.OpCapture:
		return enumerate(item.Sub[0])
	case syntax.OpQuest:
		if texts := enumerate(item.Sub[0]); texts != nil && len(texts) < finiteLimit {
			return append(texts[:len(texts):len(texts)], "")
		}
	case syntax.OpConcat:
		texts := []string{""}
		for _, sub := range item.Sub {
			if texts = product(texts, enumerate(sub)); texts == nil {
				return nil
			}
		}
		return texts
	case syntax.OpAlternate:
		var texts []string
		for _, sub := range item.Sub {
			more := enumerate(sub)
			if more == nil || len(texts)+len(more) > finiteLimit {
				return nil
			}
			texts = append(texts, more...)
		}
		return texts
	case syntax.OpRepeat:
		if item.Max < 0 || item.Max > 4 {
			return nil
		}
		each := enumerate(item.Sub[0])
		if each == nil {
			return nil
		}
		var texts []string
		power := []string{""}
		for n := 0; n <= item.Max; n++ {
			if n >= item.Min {
				if texts = append(texts, power...); len(texts) > finiteLimit {
					return nil
				}
			}
			if n < item.Max {
				if power = product(power, each); power == nil {
					return nil
				}
			}
		}
		return texts
	}
	return nil
}

// product joins every text of a with every text of b; nil if one is nil or the
// result would be too large.
func product(a, b []string) []string {
	if a == nil || b == nil || len(a)*len(b) > finiteLimit {
		return nil
	}
	joined := make([]string, 0, len(a)*len(b))
	for _, head := range a {
		for _, tail := range b {
			joined = append(joined, head+tail)
		}
	}
	return joined
}
