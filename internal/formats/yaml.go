package formats

import (
	"strconv"
	"strings"
)

// readYAML reads the part of YAML in which configurations of uWSGI are written:
// sections, options with one value each or a list of them, quotes and comments. An
// option without a value is none to uWSGI. Everything else in YAML's nature is
// Unknown.
func readYAML(text string) ([]Section, error) {
	r := yamlReader{indent: -1}
	for number, line := range strings.Split(text, "\n") {
		r.number = number + 1
		if err := r.line(strings.TrimRight(line, "\r")); err != nil {
			return nil, err
		}
		if r.over {
			break
		}
	}
	return r.sections, nil
}

type yamlReader struct {
	sections []Section
	indent   int    // of the section's options; -1 before the first
	list     string // the option whose list may follow; empty: none
	passing  bool   // below a top-level key that is no section
	number   int
	over     bool
}

func (r *yamlReader) unknown(what string) error { return &Unknown{Line: r.number, What: what} }

func (r *yamlReader) mistake(text string) error {
	return &Error{Line: r.number, Text: "not YAML as uWSGI reads it: " + text}
}

func (r *yamlReader) line(line string) error {
	content := strings.TrimLeft(line, " ")
	indent := len(line) - len(content)
	switch {
	case strings.TrimSpace(content) == "" || content[0] == '#':
		return nil
	case content[0] == '\t':
		return r.mistake("a tab in the indentation, want spaces")
	case indent == 0 && (content == "---" || content == "..."):
		if len(r.sections) > 0 {
			r.over = true // uWSGI's next document would go on; nobody writes one
		}
		return nil
	case indent == 0 && content[0] == '%':
		return nil
	case indent == 0:
		return r.top(content)
	case r.passing:
		return nil
	case len(r.sections) == 0:
		return r.mistake("an option outside of any section, want uwsgi: before it")
	}
	if content == "-" || strings.HasPrefix(content, "- ") {
		if r.list == "" || indent < r.indent {
			return r.mistake("a list that belongs to no option")
		}
		return r.add(r.list, strings.TrimSpace(content[1:]))
	}
	if r.indent < 0 {
		r.indent = indent
	}
	switch {
	case indent > r.indent && r.list != "":
		return r.unknown("something nested below an option")
	case indent > r.indent:
		return r.unknown("a value of several lines")
	case indent < r.indent:
		return r.mistake("this line is indented less than the option before it")
	}
	key, value, err := r.pair(content)
	if err != nil {
		return err
	}
	r.list = ""
	if bare := withoutComment(value); bare == "" {
		r.list = key // a list may follow; alone it is no option
		return nil
	}
	if value[0] == '[' {
		return r.flow(key, value)
	}
	return r.add(key, value)
}

// top reads a line that is not indented: the name of a section.
func (r *yamlReader) top(content string) error {
	key, value, err := r.pair(content)
	if err != nil {
		return err
	}
	r.indent, r.list = -1, ""
	r.passing = withoutComment(value) != ""
	if r.passing && key == "uwsgi" {
		return r.unknown("a section that is not written line by line")
	}
	if !r.passing {
		r.sections = append(r.sections, Section{Name: key})
	}
	return nil
}

// pair cuts "key: value".
func (r *yamlReader) pair(content string) (key, value string, err error) {
	if strings.ContainsRune("?&*!|>@`{[", rune(content[0])) {
		return "", "", r.unknown("a line beginning with " + content[:1])
	}
	if content[0] == '"' || content[0] == '\'' {
		text, rest, err := r.quoted(content)
		if err != nil {
			return "", "", err
		}
		after, ok := strings.CutPrefix(strings.TrimLeft(rest, " "), ":")
		if !ok || after != "" && after[0] != ' ' && after[0] != '\t' {
			return "", "", r.mistake("want OPTION: VALUE")
		}
		return text, strings.TrimSpace(after), nil
	}
	at := strings.Index(content+" ", ": ")
	if tab := strings.Index(content, ":\t"); tab >= 0 && (at < 0 || tab < at) {
		at = tab
	}
	if at <= 0 {
		return "", "", r.mistake("want OPTION: VALUE, got " + strconv.Quote(content))
	}
	return strings.TrimSpace(content[:at]), strings.TrimSpace(content[at+1:]), nil
}

// add notes an option with one scalar.
func (r *yamlReader) add(key, text string) error {
	value, rest, err := r.scalar(text, "")
	if err != nil {
		return err
	}
	if withoutComment(rest) != "" {
		return r.mistake("there is more after the value")
	}
	if value == "" && withoutComment(text) == "" {
		return nil // an empty element
	}
	s := &r.sections[len(r.sections)-1]
	s.Options = append(s.Options, Option{Key: key, Value: value, Line: r.number})
	return nil
}

// flow reads [a, b].
func (r *yamlReader) flow(key, text string) error {
	rest := strings.TrimSpace(text[1:])
	for !strings.HasPrefix(rest, "]") {
		if rest == "" || rest[0] == '#' {
			return r.unknown("a list of several lines in brackets")
		}
		value, after, err := r.scalar(rest, ",]")
		if err != nil {
			return err
		}
		s := &r.sections[len(r.sections)-1]
		s.Options = append(s.Options, Option{Key: key, Value: value, Line: r.number})
		rest = strings.TrimSpace(after)
		if strings.HasPrefix(rest, ",") {
			rest = strings.TrimSpace(rest[1:])
		} else if !strings.HasPrefix(rest, "]") {
			return r.unknown("a list of several lines in brackets")
		}
	}
	if withoutComment(rest[1:]) != "" {
		return r.mistake("there is more after the list")
	}
	return nil
}

// scalar reads one value. A plain one ends at any byte of ends, or at a comment.
func (r *yamlReader) scalar(text, ends string) (value, rest string, err error) {
	if text == "" {
		return "", "", nil
	}
	switch text[0] {
	case '"', '\'':
		return r.quoted(text)
	case '|', '>':
		return "", "", r.unknown("a value of several lines")
	case '&', '*', '!', '{', '[', '@', '`':
		return "", "", r.unknown("a value beginning with " + text[:1])
	case '%': // a magic variable is replaced before YAML is looked for, a placeholder is not
		if strings.HasPrefix(text, "%(") || strings.HasPrefix(text, "%%") {
			return "", "", r.mistake("a value beginning with % needs quotes")
		}
	}
	end := len(text) - len(commentOf(text))
	if at := strings.IndexAny(text[:end], ends); ends != "" && at >= 0 {
		end = at
	}
	value = strings.TrimSpace(text[:end])
	if strings.Contains(value, ": ") || strings.HasSuffix(value, ":") {
		return "", "", r.mistake("a colon with a space in a value without quotes")
	}
	return value, text[end:], nil
}

// quoted reads a text in quotes at the beginning of text.
func (r *yamlReader) quoted(text string) (value, rest string, err error) {
	quote := text[0]
	var b strings.Builder
	for i := 1; i < len(text); i++ {
		switch c := text[i]; {
		case c == quote && quote == '\'' && strings.HasPrefix(text[i+1:], "'"):
			b.WriteByte(c)
			i++
		case c == quote:
			return b.String(), text[i+1:], nil
		case c == '\\' && quote == '"':
			if i+1 == len(text) {
				return "", "", r.unknown("a value of several lines")
			}
			i++
			at := strings.IndexByte(`"\/nt0`, text[i])
			if at < 0 {
				return "", "", r.unknown(`the escape \` + text[i:i+1])
			}
			b.WriteByte("\"\\/\n\t\x00"[at])
		default:
			b.WriteByte(c)
		}
	}
	return "", "", r.unknown("a value of several lines")
}

// commentOf is the comment at the end of a plain text, with the space before it.
func commentOf(text string) string {
	if strings.HasPrefix(text, "#") {
		return text
	}
	for i := 1; i < len(text); i++ {
		if text[i] == '#' && (text[i-1] == ' ' || text[i-1] == '\t') {
			return text[i-1:]
		}
	}
	return ""
}

// withoutComment tells what is left of a plain text, "" for nothing.
func withoutComment(text string) string {
	text = strings.TrimSpace(text)
	return strings.TrimSpace(strings.TrimSuffix(text, commentOf(text)))
}
