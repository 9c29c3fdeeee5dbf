package monitor

import (
	"errors"
	"fmt"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
)

// source is a checked Pattern: where to look and what counts.
type source struct {
	value string // as written, for messages
	pos   string // "file:line", for messages; may be empty
	// root is the directory that the line itself names, absolute: for a glob the
	// part before the first wildcard. If it is not there, or cannot be read, nothing
	// is known and nothing changes.
	root string
	// steps are what follows the root; nil means every vassal file directly in root.
	steps []step
}

// step is one part of a glob between slashes.
type step struct {
	text string
	wild bool // text is a pattern of path/filepath, else a literal name
}

var schemePattern = regexp.MustCompile(`^([A-Za-z][A-Za-z0-9+.-]*)://(.*)$`)

// newSource checks p. Relative paths count from dir.
func newSource(p Pattern, dir string, extra []string) (source, error) {
	s := source{value: p.Value}
	prefix := ""
	if p.Pos != nil {
		s.pos = p.Pos.String()
		prefix = s.pos + ": "
	}
	fail := func(format string, args ...any) (source, error) {
		return source{}, fmt.Errorf("%semperor: %s", prefix, fmt.Sprintf(format, args...))
	}
	scheme, path := "", p.Value
	if m := schemePattern.FindStringSubmatch(p.Value); m != nil {
		scheme, path = m[1], m[2]
	}
	if path == "" {
		return fail("want a directory or a glob, got %q", p.Value)
	}
	if !filepath.IsAbs(path) {
		// A wildcard in the name of dir is none: only what the user wrote is a pattern.
		if scheme == "dir" {
			path = filepath.Join(dir, path)
		} else {
			path = filepath.Join(escapeGlob(dir), path)
		}
	}
	path = filepath.Clean(path)
	switch scheme {
	case "dir":
		s.root = path
		return s, nil
	case "", "glob":
	default:
		return fail("want a directory, a glob, dir:// or glob://, got %q", p.Value)
	}
	if scheme == "" {
		if directory, ok := onlyDirectory(path, extra); ok {
			s.root = directory
			return s, nil
		}
	}
	steps := splitPath(path)
	for _, text := range steps {
		if _, err := filepath.Match(shellToGo(text), ""); err != nil {
			return fail("want a glob, got %q: %q is not a complete pattern", p.Value, text)
		}
	}
	s.root = "/"
	for len(steps) > 1 && !hasWildcard(steps[0]) {
		s.root = filepath.Join(s.root, unescapeGlob(steps[0]))
		steps = steps[1:]
	}
	for _, text := range steps {
		if hasWildcard(text) {
			s.steps = append(s.steps, step{text: shellToGo(text), wild: true})
		} else {
			s.steps = append(s.steps, step{text: unescapeGlob(text)})
		}
	}
	return s, nil
}

// onlyDirectory tells whether a pattern without a scheme means a directory: there is
// one of that name, or exactly one thing matches and is one (uWSGI decides the same
// way, once, at its start), or it is a plain name that does not look like a file's.
func onlyDirectory(path string, extra []string) (string, bool) {
	plain := unescapeGlob(path)
	var st syscall.Stat_t
	for _, candidate := range []string{path, plain} {
		if stat(candidate, &st) == nil && isKind(&st, syscall.S_IFDIR) {
			return candidate, true
		}
	}
	if !hasWildcard(path) {
		return plain, extension(filepath.Base(plain), extra) == ""
	}
	matches, err := filepath.Glob(shellToGo(path))
	if err == nil && len(matches) == 1 && stat(matches[0], &st) == nil && isKind(&st, syscall.S_IFDIR) {
		return matches[0], true
	}
	return "", false
}

// holds tells whether path is one that s could yield: what was known of a place that
// cannot be looked at now is kept by this test.
func (s *source) holds(path string) bool {
	rest, ok := strings.CutPrefix(path, strings.TrimSuffix(s.root, "/")+"/")
	if !ok {
		return false
	}
	names := strings.Split(rest, "/")
	if s.steps == nil {
		return len(names) == 1
	}
	if len(names) != len(s.steps) {
		return false
	}
	for i, step := range s.steps {
		if !step.matches(names[i]) {
			return false
		}
	}
	return true
}

// matches compares one step of a glob with one name, by the shell's rules: a
// wildcard does not stand for a leading dot.
func (s step) matches(name string) bool {
	if !s.wild {
		return s.text == name
	}
	if strings.HasPrefix(name, ".") && !strings.HasPrefix(s.text, ".") {
		return false
	}
	ok, _ := filepath.Match(s.text, name) // its form was checked in newSource
	return ok
}

// hasWildcard tells whether a glob has an unescaped *, ? or [.
func hasWildcard(glob string) bool {
	for i := 0; i < len(glob); i++ {
		switch glob[i] {
		case '*', '?', '[':
			return true
		case '\\':
			i++
		}
	}
	return false
}

// shellToGo rewrites the one thing in which glob(7) and path/filepath differ: [!a]
// is [^a] there.
func shellToGo(glob string) string {
	var b strings.Builder
	for i := 0; i < len(glob); i++ {
		b.WriteByte(glob[i])
		switch {
		case glob[i] == '\\' && i+1 < len(glob):
			i++
			b.WriteByte(glob[i])
		case glob[i] == '[' && i+1 < len(glob) && glob[i+1] == '!':
			i++
			b.WriteByte('^')
		}
	}
	return b.String()
}

func unescapeGlob(glob string) string {
	var b strings.Builder
	for i := 0; i < len(glob); i++ {
		if glob[i] == '\\' && i+1 < len(glob) {
			i++
		}
		b.WriteByte(glob[i])
	}
	return b.String()
}

func escapeGlob(path string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(path)
}

// newSources checks all patterns and names every bad one.
func newSources(patterns []Pattern, dir string, extra []string) ([]source, error) {
	var sources []source
	var problems []error
	for _, p := range patterns {
		s, err := newSource(p, dir, extra)
		if err != nil {
			problems = append(problems, err)
			continue
		}
		sources = append(sources, s)
	}
	return sources, errors.Join(problems...)
}
