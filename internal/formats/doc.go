// Package formats reads the formats beside ini in which uWSGI's configuration may
// be written: JSON, XML and YAML. Whatever the format, a file is sections with
// options, each a name and a text; that is all that comes out here, with the line
// it was on. Magic variables and placeholders mean the same in all of them and are
// somebody else's business.
//
// The uWSGI that runs such a file reads it by itself. What is read here is how the
// emperor knows the same: sockets to hold, the user to be, whether two generations
// may run side by side. So a text that uWSGI would read otherwise must be refused
// (Error) or admitted to be beyond us (Unknown), never guessed at.
package formats

import (
	"fmt"
	"strings"
)

// Section is one section of a file.
type Section struct {
	Name    string
	Options []Option
}

// Option is one line of a section, or what would be one in an ini file.
type Option struct {
	Key, Value string
	Line       int
}

// Error is a mistake in the text.
type Error struct {
	Line int
	Text string
}

func (e *Error) Error() string { return fmt.Sprintf("line %d: %s", e.Line, e.Text) }

// Unknown is something in the text that uWSGI may well understand.
type Unknown struct {
	Line int
	What string
}

func (e *Unknown) Error() string { return fmt.Sprintf("line %d: %s", e.Line, e.What) }

// Read reads a text in the format "json", "xml" or "yaml". The error is an *Error
// or an *Unknown.
func Read(format string, text []byte) ([]Section, error) {
	plain := strings.TrimPrefix(string(text), "\xef\xbb\xbf")
	switch format {
	case "json":
		return readJSON(plain)
	case "xml":
		return readXML(plain)
	case "yaml":
		return readYAML(plain)
	}
	return nil, &Unknown{Line: 1, What: "the format " + format}
}

// lines counts lines up to offsets that only grow.
type lines struct {
	text string
	seen int
	line int // of seen, from 0
}

func (l *lines) at(offset int64) int {
	if to := min(int(offset), len(l.text)); to > l.seen {
		l.line += strings.Count(l.text[l.seen:to], "\n")
		l.seen = to
	}
	return l.line + 1
}
