package packaging

import (
	"regexp"
	"strings"
	"testing"
)

// Examples are copied. In uWSGI's ini language a comment has a line of its own:
// behind a value it is part of the value, behind [uwsgi] the section is lost.
func TestExamplesOfTheREADMECanBeCopied(t *testing.T) {
	line := regexp.MustCompile(`^([;#].*|\[uwsgi\]|[a-z0-9-]+ *= *[^;]*|)$`)
	blocks := 0
	for _, text := range []string{read(t, "../README.md"), read(t, "dyno/README.md")} {
		inside := false
		for i, l := range strings.Split(text, "\n") {
			switch {
			case l == "```ini":
				inside = true
				blocks++
			case strings.HasPrefix(l, "```"):
				inside = false
			case inside && !line.MatchString(l):
				t.Errorf("line %d: %s", i+1, l)
			}
		}
	}
	if blocks < 4 {
		t.Errorf("only %d examples were found", blocks)
	}
}
