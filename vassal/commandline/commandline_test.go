package commandline

import (
	"os/exec"
	"reflect"
	"slices"
	"strings"
	"testing"
)

func TestCommandVector(t *testing.T) {
	for _, test := range []struct {
		line string
		want []string
	}{
		{"gunicorn app:app", []string{"gunicorn", "app:app"}},
		{`a 'b c' "d e" f\ g`, []string{"a", "b c", "d e", "f g"}},
		{`a "" ''`, []string{"a", "", ""}},
		{`a "q\"q" '\'`, []string{"a", `q"q`, `\`}},
		{"web --port $PORT", []string{"/bin/sh", "-c", "exec web --port $PORT"}},
		{"FOO=1 web", []string{"/bin/sh", "-c", "FOO=1 web"}},
		{"a && b", []string{"/bin/sh", "-c", "a && b"}},
		{"web > log", []string{"/bin/sh", "-c", "exec web > log"}},
		{"./run=x a", []string{"./run=x", "a"}},
	} {
		got, err := Vector(test.line)
		if err != nil || !slices.Equal(got, test.want) {
			t.Errorf("%q: %q, %v; want %q", test.line, got, err, test.want)
		}
	}
	for _, line := range []string{"", "  ", `a 'b`, `a "b`, `a \`} {
		if got, err := Vector(line); err == nil {
			t.Errorf("%q: %q, want an error", line, got)
		}
	}
}

// FuzzWords: what is not left to a shell is cut as a shell cuts it.
func FuzzWords(f *testing.F) {
	for _, seed := range []string{"a b", `a 'b c'`, `"a\"b" c`, `a\ b`, `a "" b`} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, line string) {
		if strings.ContainsFunc(line, func(r rune) bool { return r < ' ' || r > '~' }) {
			return
		}
		words, needsShell, err := Split(line)
		if err != nil || needsShell {
			return
		}
		out, err := exec.Command("/bin/sh", "-c", `printf '%s\n' `+line).Output()
		if err != nil {
			t.Fatalf("%q: the shell fails (%v), we have %q", line, err, words)
		}
		if want := strings.Join(words, "\n") + "\n"; string(out) != want {
			t.Errorf("%q: %q, the shell has %q", line, want, out)
		}
	})
}

func TestCommandLineStartsExactlyTheseWords(t *testing.T) {
	for _, words := range [][]string{
		{"node", "app.js"},
		{"python3", "-c", `print("it's $HOME", 'a\b'); # *`},
		{"sh", "-c", "a && b | c > d", ""},
		{"a b", "~", "x=y"},
	} {
		got, err := Vector(Join(words))
		if err != nil || !reflect.DeepEqual(got, words) {
			t.Errorf("%q came back as %q, %v", words, got, err)
		}
	}
}
