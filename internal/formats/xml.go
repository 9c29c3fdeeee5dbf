package formats

import (
	"encoding/xml"
	"errors"
	"io"
	"strings"
)

// readXML reads <uwsgi><option>value</option>…</uwsgi>, alone or as one of several
// below the root. An attribute id is the section's name; uWSGI takes the first
// section where none is asked for, so that one is "uwsgi" here too. An empty element
// is 1; what is nested deeper is passed over.
func readXML(text string) ([]Section, error) {
	decoder := xml.NewDecoder(strings.NewReader(text))
	// Names of options are in ASCII, whatever the rest is in.
	decoder.CharsetReader = func(_ string, input io.Reader) (io.Reader, error) { return input, nil }
	var (
		number   = lines{text: text}
		sections []Section
		open     []string // elements around us
		within   = -1     // depth of the section's element; -1: none
		value    strings.Builder
		line     int
	)
	for {
		token, err := decoder.Token()
		if err == io.EOF {
			break
		}
		if err != nil {
			failure := &Error{Line: number.at(decoder.InputOffset()), Text: "not XML: " + err.Error()}
			var syntax *xml.SyntaxError
			if errors.As(err, &syntax) {
				failure.Line, failure.Text = syntax.Line, "not XML: "+syntax.Msg
			}
			return nil, failure
		}
		switch t := token.(type) {
		case xml.StartElement:
			if within < 0 && len(open) <= 1 && t.Name.Local == "uwsgi" {
				within = len(open)
				sections = append(sections, Section{Name: sectionID(t)})
			}
			open = append(open, t.Name.Local)
			if within >= 0 && len(open) == within+2 {
				value.Reset()
				line = number.at(decoder.InputOffset())
			}
		case xml.CharData:
			if within >= 0 && len(open) == within+2 {
				value.Write(t)
			}
		case xml.EndElement:
			if within >= 0 && len(open) == within+2 {
				s := &sections[len(sections)-1]
				text := value.String()
				if text == "" {
					text = "1"
				}
				s.Options = append(s.Options, Option{Key: t.Name.Local, Value: text, Line: line})
			}
			open = open[:len(open)-1]
			if len(open) == within {
				within = -1
			}
		}
	}
	if len(sections) > 0 {
		sections = append(sections, Section{Name: "uwsgi", Options: sections[0].Options})
	}
	return sections, nil
}

func sectionID(e xml.StartElement) string {
	for _, a := range e.Attr {
		if a.Name.Local == "id" {
			return a.Value
		}
	}
	return ""
}
