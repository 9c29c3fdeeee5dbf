package formats

import (
	"errors"
	"strings"
	"testing"
)

// What these texts mean is compared with uWSGI in internal/config. Here: whatever
// the bytes, an answer comes, and it names lines that there are.
func FuzzRead(f *testing.F) {
	for _, text := range []string{
		"", "{", `{"uwsgi": {"a": [1, "b", {}], "c": {"d": []}}} // x`, `{"a": "\\`, "/*", "{/**/}//",
		"<uwsgi id='x'><a>1</a><b/><c><d/></c></uwsgi>", "<a><uwsgi><b>", "<!DOCTYPE x [<!ENTITY y 'z'>]><uwsgi>&y;</uwsgi>",
		"uwsgi:\n  a: 1 # c\n  b: [x, 'y', \"z\"]\n  c:\n  - 1\n  - 2\n---\n", "uwsgi:\n  a: |\n    b\n", "a:\n  'b", "uwsgi:\n  \"a\\", "x:\n b: [", "-", "uwsgi:\n  a:\tb\n", ": x",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		for _, format := range []string{"json", "xml", "yaml"} {
			count := strings.Count(text, "\n") + 1
			check := func(line int) {
				if line < 1 || line > count {
					t.Errorf("%s: line %d of %d", format, line, count)
				}
			}
			sections, err := Read(format, []byte(text))
			var mistake *Error
			var unknown *Unknown
			switch {
			case errors.As(err, &mistake):
				check(mistake.Line)
			case errors.As(err, &unknown):
				check(unknown.Line)
			case err != nil:
				t.Errorf("%s: %v", format, err)
			}
			for _, s := range sections {
				for _, o := range s.Options {
					check(o.Line)
				}
			}
		}
	})
}
