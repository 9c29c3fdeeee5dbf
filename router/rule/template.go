package rule

import (
	"fmt"
	"strconv"
	"strings"
)

// A template is the argument of an action with places for captures and request
// variables. It is taken apart once, when the rule is read, and filled in one
// pass: what is put in is never looked at again for more places.
//
//	$0 … $9       the whole match, group 1 … 9 of the rule's own pattern (one digit:
//	              $10 is group 1 and a 0); empty if the group took no part
//	${name}       the named group (?<name>…) or (?P<name>…) of the rule's pattern, else
//	${NAME}       the request variable NAME, those that rules added included
//	${func[ARG]}  what a function makes of ARG, see functions
//	$$, $x        as they stand, as in uWSGI; so $$1 is no group
type template struct {
	literal string  // the whole text when parts is nil
	parts   *[]part // a pointer, because most templates of a large list have none
}

// part is a literal, a group, a variable or a function.
type part struct {
	literal  string // when group < 0 and variable == ""
	group    int
	variable string    // the variable's name, or the function's argument
	function *function // nil: the variable itself
	name     string    // the group's name as the template spelled it, or ""
	place    place     // where the text goes, and so what it may contain
	raw      bool      // the text is as the client sent it: %XX is an escape already
	slash    bool      // the text is empty or begins with a slash
}

// scope is what a template may refer to, and where its rule stands.
type scope struct {
	groups  int
	names   []string
	slashes uint64 // bit n: whatever group n captures begins with a slash
	raw     bool   // the pattern's subject is still percent-encoded

	compiler *compiler
	chain    Chain
	place    int // which directive it is
	source   *Source
	noRoots  bool // files are somebody else's to open
}

// warning takes a remark about the rule.
func (s *scope) warning(text string) { s.compiler.warn(s.place, s.source, text) }

// root enters what the rule needs of the file system and returns its number.
func (s *scope) root(use RootUse, dir, name string) int {
	if s.noRoots {
		return 0
	}
	return s.compiler.root(s.source, use, dir, name)
}

func (s *scope) group(name string) (int, bool) {
	for i, n := range s.names {
		if n == name && name != "" {
			return i, true
		}
	}
	return 0, false
}

// isRawVariable reports whether a variable is as the client sent it, and so
// percent-encoded where it needs to be.
func isRawVariable(name string) bool { return name != "PATH_INFO" && name != "REMOTE_USER" }

// parseTemplate takes a text apart. Every place gets the given kind.
func parseTemplate(text string, where place, s *scope) (template, error) {
	if hasControl([]byte(text)) {
		switch where {
		case fieldValue, hostField:
			return template{}, fmt.Errorf("%q: want a text without control characters", text)
		case logLine:
			text = string(appendEscaped(nil, []byte(text)))
		}
	}
	if strings.IndexByte(text, '$') < 0 {
		return template{literal: text}, nil
	}
	var parts []part
	var literal strings.Builder
	flush := func() {
		if literal.Len() > 0 {
			parts = append(parts, part{literal: literal.String(), group: -1})
			literal.Reset()
		}
	}
	refers := false
	for i := 0; i < len(text); i++ {
		c := text[i]
		if c != '$' || i+1 == len(text) {
			literal.WriteByte(c)
			continue
		}
		next := text[i+1]
		switch {
		case next >= '0' && next <= '9':
			i++
			n := int(next - '0')
			if n > s.groups || s.groups < 0 {
				s.warnNoGroup(n)
				continue
			}
			flush()
			parts = append(parts, s.groupPart(n, where))
			refers = true
		case next == '{':
			end := strings.IndexByte(text[i:], '}')
			if end < 0 {
				return template{}, fmt.Errorf("%s: the ${ has no }, want ${NAME}", text)
			}
			p, err := s.parseName(text[i+2:i+end], where)
			if err != nil {
				return template{}, err
			}
			i += end
			flush()
			parts = append(parts, p)
			refers = true
		case next == '$':
			literal.WriteString("$$")
			i++
		default:
			literal.WriteByte(c)
		}
	}
	if !refers {
		return template{literal: literal.String()}, nil
	}
	flush()
	return template{parts: &parts}, nil
}

func (s *scope) warnNoGroup(n int) {
	if s.groups < 0 {
		s.warning(fmt.Sprintf("$%d is always empty: there is no pattern", n))
	} else {
		s.warning(fmt.Sprintf("$%d is always empty: the pattern has %s", n, countGroups(s.groups)))
	}
}

func (s *scope) groupPart(n int, where place) part {
	return part{group: n, place: where, raw: s.raw, slash: n < 64 && s.slashes&(1<<n) != 0}
}

// parseName reads what stands in ${…}: a group's name, a variable or a function.
func (s *scope) parseName(name string, where place) (part, error) {
	if n, ok := s.group(name); ok {
		p := s.groupPart(n, where)
		p.name = name
		return p, nil
	}
	if before, argument, ok := strings.Cut(strings.TrimSuffix(name, "]"), "["); ok && strings.HasSuffix(name, "]") {
		f, err := findFunction(before, argument, s.chain)
		if err != nil {
			return part{}, fmt.Errorf("${%s}: %w", name, err)
		}
		return part{group: -1, variable: argument, function: f, place: where, raw: f.raw}, nil
	}
	if !isVariableName(name) {
		return part{}, fmt.Errorf("${%s}: want the name of a group or of a request variable such as ${REMOTE_ADDR}", name)
	}
	return part{group: -1, variable: name, place: where, raw: isRawVariable(name), slash: name == "PATH_INFO"}, nil
}

func countGroups(n int) string {
	switch n {
	case 0:
		return "no group"
	case 1:
		return "1 group"
	}
	return strconv.Itoa(n) + " groups"
}

func isVariableName(name string) bool {
	for i := 0; i < len(name); i++ {
		c := name[i]
		if c != '_' && c != '-' && c != '.' && (c < '0' || c > '9') && (c|0x20 < 'a' || c|0x20 > 'z') {
			return false
		}
	}
	return name != ""
}

// isLiteral reports whether the template is the same for every request.
func (t *template) isLiteral() bool { return t.parts == nil }

// isEmpty reports whether the template is always the empty text.
func (t *template) isEmpty() bool { return t.parts == nil && t.literal == "" }

// usesGroups reports whether a capture goes into the template.
func (t *template) usesGroups() bool {
	for _, p := range t.list() {
		if p.group >= 0 {
			return true
		}
	}
	return false
}

func (t *template) list() []part {
	if t.parts == nil {
		return nil
	}
	return *t.parts
}

func (p *part) isLiteral() bool { return p.group < 0 && p.variable == "" }

// String spells one part as a rule would.
func (p *part) String() string {
	switch {
	case p.function != nil:
		return "${" + p.function.name + "[" + p.variable + "]}"
	case p.variable != "":
		return "${" + p.variable + "}"
	case p.name != "":
		return "${" + p.name + "}"
	case p.group >= 0:
		return "$" + strconv.Itoa(p.group)
	}
	return p.literal
}

// String spells the template as a rule would.
func (t *template) String() string {
	if t.parts == nil {
		return t.literal
	}
	var text strings.Builder
	for i := range *t.parts {
		text.WriteString((*t.parts)[i].String())
	}
	return text.String()
}

// head returns the literal text that the result always begins with.
func (t *template) head() string {
	if t.parts == nil {
		return t.literal
	}
	return (*t.parts)[0].literal
}

// expand appends the filled-in template to dst. When a text may not stand in its
// place it returns ok == false, having recorded why in d. d.filled says where the
// whole comes from.
func (t *template) expand(dst []byte, q *Query, d *Decision) (result []byte, ok bool) {
	d.filled = origin{own: true, raw: true}
	if t.parts == nil {
		return append(dst, t.literal...), true
	}
	inPath := false // of a URL: a text has ended the host
	for i := range *t.parts {
		p := &(*t.parts)[i]
		if p.isLiteral() {
			dst = append(dst, p.literal...)
			continue
		}
		text, from := p.text(q, d)
		d.filled.own, d.filled.raw = d.filled.own && from.own, d.filled.raw && from.raw
		if text == nil && p.group >= 0 && (p.place == pathName || p.place == hostField || p.place == authority) {
			d.gap = true // an optional group took no part
			continue
		}
		if inPath = inPath || p.endsAuthority(dst, text, from.raw); inPath {
			dst = appendURL(dst, text, from.raw)
			continue
		}
		if dst, ok = p.put(dst, text, from); !ok {
			d.refused, d.refusedPart = text, p
			return dst, false
		}
	}
	return dst, true
}

// origin is what matters of where a text comes from.
type origin struct {
	own bool // the rules spell it: no byte of it came from a client
	raw bool // it is percent-encoded, as the client sent it
}

// text returns what the group, variable or function holds; nil for a group that
// took no part. The text of a function is valid until the next part's.
func (p *part) text(q *Query, d *Decision) (text []byte, from origin) {
	switch {
	case p.function != nil:
		d.made, from = p.function.append(d.made[:0], p.variable, q, d)
		return d.made, from
	case p.variable != "":
		return d.variable(q, p.variable)
	case 2*p.group+1 >= len(d.groups) || d.groups[2*p.group] < 0:
		return nil, origin{}
	}
	return d.subject[d.groups[2*p.group]:d.groups[2*p.group+1]], origin{raw: p.raw}
}

// variable looks up a request variable: what rules added, then the request.
func (d *Decision) variable(q *Query, name string) (value []byte, from origin) {
	for i := len(d.Vars) - 1; i >= 0; i-- {
		if d.Vars[i].Name == name {
			return d.Vars[i].Value, d.Vars[i].from
		}
	}
	return q.variable(name), origin{raw: isRawVariable(name)}
}

func (q *Query) variable(name string) []byte {
	switch name {
	case "PATH_INFO":
		return q.Path
	case "REQUEST_URI":
		return q.URI
	case "QUERY_STRING":
		return q.QueryString
	case "REMOTE_ADDR":
		return q.RemoteAddr
	}
	if q.Vars != nil {
		if value, ok := q.Vars.Var(name); ok {
			return value
		}
	}
	if name == "HTTP_HOST" {
		if len(q.HostPort) > 0 {
			return q.HostPort
		}
		return q.Host
	}
	return nil
}
