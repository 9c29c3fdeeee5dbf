package accesslog

import (
	"fmt"
	"strings"
)

// Format turns entries into lines. It is immutable and may be used by any number
// of goroutines.
type Format struct {
	parts []part // nil: the built-in JSON form
	json  bool   // values are escaped for JSON
}

// part is literal text and what follows it.
type part struct {
	literal  string
	field    field
	variable string // of fieldVariable
	absent   string // what is written when the value is not known
	last     bool   // nothing follows
}

// The built-in formats that are templates. Where Apache's "common" has "-" for an
// empty body nginx has 0; the number is what programs read more easily.
const (
	common   = `%(addr) - %(user) [%(ltime)] "%(request)" %(status) %(rsize)`
	combined = common + ` "%(referer)" "%(uagent)"`
)

// Compile compiles the value of an option: the name of a built-in format
// (common, combined, json) or a template with %(name) in it. A template that starts
// with "{" is taken for JSON: its values are escaped for it, and what is not known
// is null, or empty within quotes. The error is an *Error and names the place in text.
func Compile(text string) (*Format, error) {
	switch text {
	case "json":
		return &Format{json: true}, nil
	case "common":
		text = common
	case "combined":
		text = combined
	}
	if !strings.Contains(text, "%(") {
		return nil, &Error{0, fmt.Sprintf("want common, combined, json or a template with %%(name) in it, got %q", text)}
	}
	f := &Format{json: strings.HasPrefix(text, "{")}
	if i := strings.IndexFunc(text, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }); i >= 0 {
		return nil, &Error{i, "a control character; an entry is one line"}
	}
	quoted := false
	for at := 0; ; {
		begin := strings.Index(text[at:], "%(")
		if begin < 0 {
			f.parts = append(f.parts, part{literal: text[at:] + "\n", last: true})
			return f, nil
		}
		begin += at
		end := strings.IndexByte(text[begin:], ')')
		if end < 0 {
			return nil, &Error{begin, `"%(" without ")"`}
		}
		end += begin
		p, err := parseField(text[begin+2 : end])
		if err != "" {
			return nil, &Error{begin, err}
		}
		p.literal = text[at:begin]
		p.absent = "-"
		if f.json {
			if endsQuoted(p.literal, quoted) {
				quoted, p.absent = true, ""
			} else {
				quoted, p.absent = false, "null"
				if !p.field.isQuantity() {
					return nil, &Error{begin, fmt.Sprintf("%s is text, which in JSON stands in quotes: \"%s\"", text[begin:end+1], text[begin:end+1])}
				}
			}
		}
		f.parts = append(f.parts, p)
		at = end + 1
	}
}

// endsQuoted tells whether the end of JSON text is inside a string, given whether its
// start is.
func endsQuoted(text string, quoted bool) bool {
	for i := 0; i < len(text); i++ {
		switch text[i] {
		case '\\':
			i++
		case '"':
			quoted = !quoted
		}
	}
	return quoted
}

// parseField finds what %(name) means, or says why it means nothing.
func parseField(name string) (p part, err string) {
	if variable, ok := strings.CutPrefix(name, "var."); ok {
		if variable == "" {
			return part{}, "%(var.) wants a variable's name, for instance %(var.HTTP_COOKIE)"
		}
		return part{field: fieldVariable, variable: variable}, ""
	}
	if f, ok := byName[name]; ok {
		return part{field: f}, ""
	}
	if workerOnly[name] || strings.HasPrefix(name, "metric.") {
		return part{}, fmt.Sprintf("%%(%s) is known only inside a uWSGI worker, not to the front; leave it out", name)
	}
	hint := "see the list in the option's help"
	if near := nearest(name); near != "" {
		hint = fmt.Sprintf("did you mean %%(%s)?", near)
	}
	return part{}, fmt.Sprintf("there is no %%(%s); %s", name, hint)
}

// workerOnly are names that uWSGI has for what goes on in its workers.
var workerOnly = map[string]bool{
	"wid": true, "core": true, "switches": true, "vsz": true, "vszM": true, "rss": true, "rssM": true,
	"vars": true, "headers": true, "pktsize": true, "modifier1": true, "modifier2": true,
	"rerr": true, "werr": true, "ioerr": true,
}

// nearest is the name that looks most like another, "" if none does.
func nearest(name string) string {
	best, least := "", 3
	for _, n := range names {
		if d := distance(name, n.name); d < least {
			best, least = n.name, d
		}
	}
	return best
}

// distance is how many bytes have to be added, taken away or replaced to come from
// one to the other.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		corner := row[0]
		row[0] = i + 1
		for j := range len(b) {
			d := corner
			if a[i] != b[j] {
				d++
			}
			corner = row[j+1]
			row[j+1] = min(d, corner+1, row[j]+1)
		}
	}
	return row[len(b)]
}

// Error says what is wrong with a template.
type Error struct {
	Offset int // in bytes, of the "%(" that is meant
	Reason string
}

func (e *Error) Error() string { return fmt.Sprintf("at character %d: %s", e.Offset+1, e.Reason) }

// Append appends e as one line with its line feed.
func (f *Format) Append(dst []byte, e *Entry) []byte {
	if f.parts == nil {
		return appendJSON(dst, e)
	}
	for i := range f.parts {
		p := &f.parts[i]
		dst = append(dst, p.literal...)
		if p.last {
			break
		}
		before := len(dst)
		dst = p.append(dst, e, f.json)
		if len(dst) == before {
			dst = append(dst, p.absent...)
		}
	}
	return dst
}

// append appends the field's value, nothing if it is not known.
func (p *part) append(dst []byte, e *Entry, json bool) []byte {
	if p.field.isPlain() {
		return p.field.appendPlain(dst, e)
	}
	if p.field == fieldRequest {
		return appendRequest(dst, e, json)
	}
	if p.field == fieldRule {
		return appendRule(dst, e, json)
	}
	if p.field == fieldVariable {
		if e.Variables == nil {
			return dst
		}
		return appendText(dst, e.Variables.Variable(p.variable), json, false)
	}
	sent, known := p.field.text(e)
	if known != "" {
		return appendText(dst, known, json, p.field.isWord())
	}
	return appendText(dst, sent, json, p.field.isWord())
}

// appendRequest appends the request's first line.
func appendRequest(dst []byte, e *Entry, json bool) []byte {
	if len(e.Method) == 0 {
		return dst // a head that was not understood
	}
	dst = append(appendText(dst, e.Method, json, true), ' ')
	dst = append(appendText(dst, e.Target, json, true), ' ')
	return appendText(dst, e.Protocol, json, true)
}

// appendRule appends "file:line".
func appendRule(dst []byte, e *Entry, json bool) []byte {
	dst = appendText(dst, e.RuleFile, json, true)
	if e.RuleLine > 0 {
		dst = appendInt(append(dst, ':'), int64(e.RuleLine))
	}
	return dst
}
