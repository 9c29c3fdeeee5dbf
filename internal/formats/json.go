package formats

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
)

// readJSON reads {"uwsgi": {"option": value, …}, …}. An array repeats its option;
// true, false and null are 1, 0 and 0; what else is nested is passed over, as
// uWSGI does. The library behind uWSGI allows comments.
func readJSON(text string) ([]Section, error) {
	text = blankComments(text)
	r := jsonReader{Decoder: json.NewDecoder(strings.NewReader(text)), lines: lines{text: text}}
	r.UseNumber()
	sections, err := r.file()
	var syntax *json.SyntaxError
	switch {
	case err == nil:
		return sections, nil
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return nil, &Error{Line: r.lines.at(int64(len(text))), Text: "the JSON text ends in the middle"}
	case errors.As(err, &syntax):
		offset := syntax.Offset
		if strings.Contains(syntax.Error(), "in string") {
			offset-- // there it is behind the byte, which may be the end of the line
		}
		return nil, &Error{Line: r.lines.at(offset), Text: "not JSON: " + syntax.Error()}
	}
	return nil, &Error{Line: r.lines.at(r.InputOffset()), Text: "not JSON: " + err.Error()}
}

type jsonReader struct {
	*json.Decoder
	lines lines
}

// file reads the outermost object.
func (r *jsonReader) file() ([]Section, error) {
	if err := r.open('{', `want {"uwsgi": { … }}`); err != nil {
		return nil, err
	}
	var sections []Section
	for r.More() {
		name, err := r.Token()
		if err != nil {
			return nil, err
		}
		s := Section{Name: name.(string)} // an object's keys are strings, or there is an error
		value, err := r.Token()
		if err != nil {
			return nil, err
		}
		switch value {
		case json.Delim('{'):
			if s.Options, err = r.options(); err != nil {
				return nil, err
			}
			sections = append(sections, s)
		case json.Delim('['):
			if err := r.skip(); err != nil {
				return nil, err
			}
		}
	}
	if _, err := r.Token(); err != nil {
		return nil, err
	}
	if _, err := r.Token(); err != io.EOF {
		return nil, fmt.Errorf("there is more after the end of the object")
	}
	return sections, nil
}

func (r *jsonReader) open(want json.Delim, otherwise string) error {
	token, err := r.Token()
	if err == nil && token != want {
		err = errors.New(otherwise)
	}
	return err
}

// options reads a section after its brace.
func (r *jsonReader) options() ([]Option, error) {
	var options []Option
	for r.More() {
		key, err := r.Token()
		if err != nil {
			return nil, err
		}
		value, err := r.Token()
		if err != nil {
			return nil, err
		}
		add := func(value json.Token) {
			if text, ok := jsonText(value); ok {
				options = append(options, Option{Key: key.(string), Value: text, Line: r.lines.at(r.InputOffset())})
			}
		}
		switch value {
		case json.Delim('{'):
			err = r.skip()
		case json.Delim('['):
			for err == nil && r.More() {
				var element json.Token
				if element, err = r.Token(); err != nil {
					break
				}
				if _, nested := element.(json.Delim); nested {
					err = r.skip()
				} else {
					add(element)
				}
			}
			if err == nil {
				_, err = r.Token()
			}
		default:
			add(value)
		}
		if err != nil {
			return nil, err
		}
	}
	_, err := r.Token()
	return options, err
}

// skip passes over the rest of an object or array that was opened.
func (r *jsonReader) skip() error {
	for depth := 1; depth > 0; {
		token, err := r.Token()
		if err != nil {
			return err
		}
		switch token {
		case json.Delim('{'), json.Delim('['):
			depth++
		case json.Delim('}'), json.Delim(']'):
			depth--
		}
	}
	return nil
}

func jsonText(value json.Token) (string, bool) {
	switch v := value.(type) {
	case string:
		return v, true
	case json.Number:
		return v.String(), true
	case bool:
		if v {
			return "1", true
		}
		return "0", true
	case nil:
		return "0", true
	}
	return "", false
}

// blankComments puts spaces in the place of /* … */ and // …, so that every other
// byte stays where it is.
func blankComments(text string) string {
	out := []byte(text)
	quoted := false
	for i := 0; i < len(out); i++ {
		switch {
		case quoted && out[i] == '\\':
			i++
		case out[i] == '"':
			quoted = !quoted
		case quoted || out[i] != '/' || i+1 == len(out):
		case out[i+1] == '/' || out[i+1] == '*':
			end, after := "\n", 0
			if out[i+1] == '*' {
				end, after = "*/", 2
			}
			length := strings.Index(text[i+2:], end)
			if length < 0 {
				length = len(text) - i - 2 - after
			}
			for stop := min(i+2+length+after, len(out)); i < stop; i++ {
				if out[i] != '\n' {
					out[i] = ' '
				}
			}
			i--
		}
	}
	return string(out)
}
