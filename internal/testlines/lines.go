// Package testlines writes down the lines of one app, as a command line and a main file
// give them, for the tests of those who read them and of those who run what they say.
package testlines

import (
	"strings"

	"emperor/internal/config"
)

// Lines makes an app's lines of a text like a main file's; "- " before one says that it
// stood on the command line, "+ " that it came from the environment.
func Lines(text string) []config.Value {
	var out []config.Value
	for n, line := range strings.Split(strings.TrimSpace(text), "\n") {
		v := config.Value{Pos: config.Pos{File: "main.ini", Line: n + 1}}
		if rest, ok := strings.CutPrefix(line, "- "); ok {
			line, v.Pos = rest, config.Pos{}
		}
		if rest, ok := strings.CutPrefix(line, "+ "); ok {
			line, v.Pos = rest, config.Pos{File: "environment UWSGI_X"}
		}
		v.Key, v.Value, v.HasValue = strings.Cut(line, " = ")
		v.Value = strings.ReplaceAll(v.Value, `\n`, "\n")
		out = append(out, v)
	}
	return out
}
