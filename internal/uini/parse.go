package uini

import (
	"fmt"
	"net/url"
	"strconv"
	"strings"

	"gopkg.in/ini.v1"
)

// Directive is one line of a section.
type Directive struct {
	Key      string
	Value    string
	HasValue bool   // whether there was a "="
	File     string // Part.Name
	Line     int    // physical line, from 1
	Volatile bool   // the line used one of Magic.Volatile
}

// Mistake is something uWSGI reads without a word and not as it was meant.
type Mistake struct {
	File string
	Line int
	Text string
}

// Section is the outcome of reading a text for one section.
type Section struct {
	Directives []Directive
	Mistakes   []Mistake
	// Headers is the name of every section in the text, in order, repeated ones
	// once.
	Headers []string
}

// Has reports whether the text has a section of that name, be it empty.
func (s *Section) Has(name string) bool {
	for _, h := range s.Headers {
		if h == name {
			return true
		}
	}
	return false
}

// blank is what uWSGI trims from lines, keys and values.
const blank = " \t\r"

// Parse substitutes the magic variables in the joined parts and returns the
// directives of the named section, whose parts may be scattered over the text.
// Lines before the first header belong to no section. The error is not about the
// text (any bytes are a text): it says that the ini library broke its promise.
func Parse(section string, magic Magic, parts ...Part) (*Section, error) {
	lines := substitute(magic, parts)
	result := &Section{}
	copied := result.annotate(section, lines)
	if err := result.read(section, lines, copied); err != nil {
		return nil, fmt.Errorf("internal error in reading ini text: %w", err)
	}
	return result, nil
}

// annotate writes the copy that ini.v1 is fed (see the package comment) and
// notes mistakes on the way.
func (s *Section) annotate(wanted string, lines []line) []byte {
	var (
		out     strings.Builder
		current string
		seen    = map[string]bool{}
	)
	for index := range lines {
		l := &lines[index]
		s.noteSwallowed(l)
		text, _, hasNUL := strings.Cut(l.text, "\x00")
		text = strings.Trim(text, blank)
		switch {
		case text == "":
		case text[0] == ';' || text[0] == '#':
			continue
		case text[0] == '[':
			s.noteDeleted(l)
			current = sectionName(text)
			if !strings.HasSuffix(text, "]") || text == "[" {
				s.mistake(l, fmt.Sprintf("the section header %s does not end in \"]\" (uWSGI reads it as section %q); write it as [name] on a line of its own", text, current))
			}
			if !seen[current] {
				seen[current] = true
				s.Headers = append(s.Headers, current)
			}
			// Escaped, so that no byte of a name means anything to the library; the
			// letter keeps a section [DEFAULT] apart from the library's own.
			out.WriteString("[s" + url.PathEscape(current) + "]\n")
		default:
			if current == wanted {
				s.noteDeleted(l)
				if key, _, _ := strings.Cut(text, "="); strings.Trim(key, blank) == "" {
					s.mistake(l, "there is no option name before \"=\"")
				}
			}
			out.WriteString("d=" + strconv.Itoa(index) + " " + text + "|\n")
		}
		if hasNUL && (current == wanted || text != "" && text[0] == '[') {
			s.mistake(l, "a NUL byte ends the line's text; the rest of the line is not read")
		}
	}
	return []byte(out.String())
}

// sectionName takes the bracket off at the front and, as uWSGI does, the last
// byte whatever it is.
func sectionName(header string) string {
	if len(header) < 2 {
		return ""
	}
	return header[1 : len(header)-1]
}

// read lets ini.v1 collect the section's directives from the annotated copy.
func (s *Section) read(wanted string, lines []line, copied []byte) error {
	file, err := ini.LoadSources(ini.LoadOptions{
		AllowShadows:               true,
		AllowDuplicateShadowValues: true,
		AllowNonUniqueSections:     true,
		IgnoreInlineComment:        true,
		IgnoreContinuation:         true,
		PreserveSurroundedQuote:    true,
		KeyValueDelimiters:         "=",
		ChildSectionDelimiter:      "\n", // cannot occur in a header
	}, copied)
	if err != nil {
		return err
	}
	name := "s" + url.PathEscape(wanted)
	if !file.HasSection(name) {
		return nil
	}
	sections, err := file.SectionsByName(name)
	if err != nil {
		return err
	}
	for _, section := range sections {
		if !section.HasKey("d") {
			continue // headers with nothing below
		}
		for _, value := range section.Key("d").ValueWithShadows() {
			d, err := directive(value, lines)
			if err != nil {
				return err
			}
			s.Directives = append(s.Directives, d)
		}
	}
	return nil
}

// directive undoes the annotation.
func directive(value string, lines []line) (Directive, error) {
	number, text, ok := strings.Cut(value, " ")
	index, err := strconv.Atoi(number)
	if !ok || err != nil || index < 0 || index >= len(lines) || !strings.HasSuffix(text, "|") {
		return Directive{}, fmt.Errorf("annotated line came back as %q", value)
	}
	l := lines[index]
	key, val, has := strings.Cut(strings.TrimSuffix(text, "|"), "=")
	return Directive{
		Key: strings.Trim(key, blank), Value: strings.Trim(val, blank), HasValue: has,
		File: l.file, Line: l.number, Volatile: l.volatile,
	}, nil
}

func (s *Section) mistake(l *line, text string) {
	s.Mistakes = append(s.Mistakes, Mistake{File: l.file, Line: l.number, Text: text})
}

// noteSwallowed reports a "%" that ends a line. It matters everywhere, also in a
// comment or in another section: the line below is no line of its own any more.
func (s *Section) noteSwallowed(l *line) {
	if l.swallows {
		s.mistake(l, "the \"%\" at the end of the line deletes the line break, so that the next line is joined to this one; write %% for a plain percent sign")
	}
}

// noteDeleted reports the other pairs that vanished, where they matter.
func (s *Section) noteDeleted(l *line) {
	for _, pair := range l.deleted {
		if pair == "%\n" {
			continue
		}
		s.mistake(l, fmt.Sprintf("%q is no magic variable and is deleted; write %%%% for a plain percent sign", pair))
	}
}
