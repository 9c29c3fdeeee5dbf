package config

import (
	"errors"
	"fmt"
	"strings"
)

// Pos says where a directive was written.
type Pos struct {
	// File is the path as the user gave it, "environment NAME" for a UWSGI_*
	// variable, or empty for the command line.
	File string
	// Line counts from 1; 0 where lines make no sense (environment, command line,
	// a file as a whole).
	Line int
}

// String returns "file:line", "file" or "command line", the way every message
// begins.
func (p Pos) String() string {
	switch {
	case p.File == "":
		return "command line"
	case p.Line <= 0:
		return p.File
	}
	return fmt.Sprintf("%s:%d", p.File, p.Line)
}

// A Problem is one mistake in a configuration, with the place to mend it.
type Problem struct {
	Pos Pos
	Key string // the option concerned, empty when it is not about one option
	// Warning problems do not keep the configuration from being used.
	Warning bool
	// Tolerated marks a warning that is one only because a real uWSGI acts on the
	// file and gets along with it (a bad number, a stray "%", an unclosed block).
	// Whoever acts on the file itself must refuse it: see Problems.Strict.
	Tolerated bool
	// Text says what is wrong and what was expected, without position and key.
	Text string
}

// Error returns "file:line: key: text".
func (p Problem) Error() string {
	if p.Key == "" {
		return p.Pos.String() + ": " + p.Text
	}
	return p.Pos.String() + ": " + p.Key + ": " + p.Text
}

// Problems is everything that was found, in the order it was found.
type Problems []Problem

// Errors returns the problems that forbid the use of the configuration.
func (ps Problems) Errors() Problems { return ps.filter(false) }

// Warnings returns the problems that do not.
func (ps Problems) Warnings() Problems { return ps.filter(true) }

func (ps Problems) filter(warning bool) Problems {
	var out Problems
	for _, p := range ps {
		if p.Warning == warning {
			out = append(out, p)
		}
	}
	return out
}

// Strict returns a copy in which every Tolerated warning is an error. It is for
// vassal files that no uWSGI reads after us: there nobody forgives the mistake.
func (ps Problems) Strict() Problems {
	out := make(Problems, len(ps))
	for i, p := range ps {
		if p.Tolerated {
			p.Warning, p.Tolerated = false, false
		}
		out[i] = p
	}
	return out
}

// Err returns nil when there are only warnings, otherwise one error that lists
// every error on a line of its own. Each can be reached with errors.As.
func (ps Problems) Err() error {
	var list []error
	for _, p := range ps.Errors() {
		list = append(list, p)
	}
	return errors.Join(list...)
}

// String lists everything, one problem a line, warnings marked as such.
func (ps Problems) String() string {
	var b strings.Builder
	for _, p := range ps {
		b.WriteString(p.Pos.String())
		b.WriteString(": ")
		if p.Warning {
			b.WriteString("warning: ")
		}
		if p.Key != "" {
			b.WriteString(p.Key + ": ")
		}
		b.WriteString(p.Text + "\n")
	}
	return b.String()
}
