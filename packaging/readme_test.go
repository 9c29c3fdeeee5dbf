package packaging

import (
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// Examples are copied. In uWSGI's ini language a comment has a line of its own:
// behind a value it is part of the value, behind [uwsgi] the section is lost.
func TestExamplesCanBeCopied(t *testing.T) {
	line := regexp.MustCompile(`^([;#].*|\[uwsgi\]|[a-z0-9-]+ *= *[^;]*|)$`)
	blocks := 0
	pages, err := filepath.Glob("../docs/*.md")
	if err != nil || len(pages) < 2 {
		t.Fatal(pages, err)
	}
	for _, page := range append(pages, "../README.md", "dyno/README.md") {
		inside := false
		for i, l := range strings.Split(read(t, page), "\n") {
			switch {
			case l == "```ini":
				inside = true
				blocks++
			case strings.HasPrefix(l, "```"):
				inside = false
			case inside && !line.MatchString(l):
				t.Errorf("%s:%d: %s", page, i+1, l)
			}
		}
	}
	if blocks < 15 {
		t.Errorf("only %d examples were found", blocks)
	}
}
