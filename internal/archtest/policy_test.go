package archtest

import (
	_ "embed"
	"fmt"
	"slices"
	"strings"
	"testing"
)

//go:embed policy.txt
var policyText string

// policy is policy.txt, parsed.
type policy struct {
	packages map[string][]string // package → patterns of what it may import
	modules  map[string][]string // third-party module → packages
	tests    []string            // modules for tests
	opens    map[string]string   // source file → what it opens
}

func parsePolicy(text string) (*policy, error) {
	p := &policy{packages: map[string][]string{}, modules: map[string][]string{}, opens: map[string]string{}}
	for number, line := range strings.Split(text, "\n") {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		kind, rest, _ := strings.Cut(line, " ")
		subject, value, _ := strings.Cut(rest, ":")
		subject, words := strings.TrimSpace(subject), strings.Fields(value)
		var known bool
		switch kind {
		case "package":
			_, known = p.packages[subject]
			p.packages[subject] = words
		case "module":
			_, known = p.modules[subject]
			p.modules[subject] = words
		case "tests":
			p.tests = append(p.tests, subject)
			words = []string{subject}
		case "opens":
			_, known = p.opens[subject]
			p.opens[subject] = strings.TrimSpace(value)
		default:
			return nil, fmt.Errorf("policy.txt:%d: want package, module, tests or opens, got %q", number+1, kind)
		}
		if known || len(words) == 0 {
			return nil, fmt.Errorf("policy.txt:%d: want one line for %s, with a value", number+1, subject)
		}
	}
	return p, nil
}

// mayImport tells whether a package of this module may import another one.
func (p *policy) mayImport(from, to string) bool {
	if strings.HasPrefix(to, "cmd/") {
		return false
	}
	return slices.ContainsFunc(p.packages[from], func(pattern string) bool {
		if below, ok := strings.CutSuffix(pattern, "/*"); ok {
			return strings.HasPrefix(to, below+"/")
		}
		return pattern == "*" || pattern == to
	})
}

// module finds the third-party module that an import path belongs to. ok is false
// for the standard library, whose paths have no dot in their first part.
func (p *policy) module(path string) (module string, ok bool) {
	if first, _, _ := strings.Cut(path, "/"); !strings.Contains(first, ".") {
		return "", false
	}
	for m := range p.modules {
		if path == m || strings.HasPrefix(path, m+"/") {
			return m, true
		}
	}
	for _, m := range p.tests {
		if path == m || strings.HasPrefix(path, m+"/") {
			return m, true
		}
	}
	return path, true
}

func TestPolicyText(t *testing.T) {
	p, err := parsePolicy("# x\npackage a: b/* c\npackage cmd/x: *\nmodule example.org/m: a\ntests example.org/t\nopens a/f.go: pid files")
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		from, to string
		want     bool
	}{
		{"a", "b/x", true},
		{"a", "b", false},
		{"a", "c", true},
		{"a", "c/x", false},
		{"a", "cmd/x", false},
		{"cmd/x", "a", true},
		{"cmd/x", "cmd/y", false},
		{"unlisted", "a", false},
	} {
		if got := p.mayImport(test.from, test.to); got != test.want {
			t.Errorf("%s imports %s: %v, want %v", test.from, test.to, got, test.want)
		}
	}
	for path, want := range map[string]string{
		"net/http": "", "example.org/m": "example.org/m", "example.org/m/sub": "example.org/m",
		"example.org/t/x": "example.org/t", "example.org/mm": "example.org/mm",
	} {
		if got, _ := p.module(path); got != want {
			t.Errorf("module of %s: %q, want %q", path, got, want)
		}
	}
	for _, bad := range []string{"packages a: b", "package a:", "package a: b\npackage a: c"} {
		if _, err := parsePolicy(bad); err == nil {
			t.Errorf("%q was accepted", bad)
		}
	}
}
