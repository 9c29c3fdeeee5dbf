package rule

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
)

// A filePath is the path of a file in a rule: /srv/www${PATH_INFO}. It begins with
// a directory that the rule itself spells, its root, so that it can be opened
// before a confined process needs it. What clients choose stays below it, and
// below every directory that the rule spells after it:
//
//	/srv/maint/${HTTP_HOST}.flag   root /srv/maint, a name in it
//	/srv/www/$1                    root /srv/www, any path below it
//	/srv/www${PATH_INFO}           the same, since PATH_INFO begins with a slash
//	/srv/site-$1                   root /srv: $1 is a name without slash, or begins
//	                               with one, which ends the directory /srv/site-
//	/srv/maint.flag                root /srv, for this one file
type filePath struct {
	root int
	dir  string   // of the root
	path template // the whole of it, as written
	name template // what follows the root's directory and a slash
}

func parseFilePath(text string, use RootUse, s *scope) (filePath, error) {
	f := filePath{}
	t, err := parseTemplate(text, fileName, s)
	if err != nil {
		return f, err
	}
	f.path = t
	if t.isLiteral() {
		dir, name := splitPath(strings.TrimRight(text, "/"))
		if name == "" || name == "." || name == ".." {
			return f, fmt.Errorf("%q: want the path of a file such as /srv/www/index.html", text)
		}
		f.root, f.dir, f.name = s.root(use, dir, name), dir, template{literal: name}
		return f, nil
	}
	parts := *t.parts
	dir, rest := splitPath(parts[0].literal)
	name := parts[1:]
	switch {
	case !parts[0].isLiteral():
		dir, name = "", parts
	case rest == "":
		name[0].place = fileBelow
	case name[0].slash:
		dir = parts[0].literal
		name[0].place = fileSlash
	default:
		name = append([]part{{literal: rest, group: -1}}, name...)
	}
	if strings.Trim(dir, "/.") == "" {
		return f, fmt.Errorf("%s: want a directory before the first capture or variable, such as /srv/www/%s", text, strings.TrimLeft(text, "/"))
	}
	for i := range name {
		if i > 0 && name[i-1].isLiteral() && strings.HasSuffix(name[i-1].literal, "/") {
			name[i].place = fileBelow
		}
	}
	f.name = template{parts: &name}
	if !staysBelow(name) {
		return f, errors.New(text + ": want no . or .. after the first capture or variable")
	}
	f.root, f.dir = s.root(use, dir, ""), dir
	return f, nil
}

// splitPath splits at the last slash. The directory of a name without slash is ".".
func splitPath(path string) (dir, name string) {
	i := strings.LastIndexByte(path, '/')
	switch {
	case i < 0:
		return ".", path
	case strings.Trim(path[:i], "/") == "":
		return "/", path[i+1:]
	}
	return strings.TrimRight(path[:i], "/"), path[i+1:]
}

// staysBelow reports whether the rule's own text has no "." and ".." in it.
func staysBelow(name []part) bool {
	var spelled []byte
	for i := range name {
		if name[i].isLiteral() {
			spelled = append(spelled, name[i].literal...)
		} else {
			spelled = append(spelled, 'x')
		}
	}
	_, ok := cleanPath(spelled)
	return ok
}

// isBelow reports whether text, as a path, leads nowhere but down.
func isBelow(text []byte) bool {
	if hasControl(text) || bytes.IndexByte(text, '\t') >= 0 {
		return false
	}
	for len(text) > 0 {
		name, rest, _ := bytes.Cut(text, []byte("/"))
		if string(name) == "." || string(name) == ".." {
			return false
		}
		text = rest
	}
	return true
}

// cleanPath takes slashes off the beginning and all but one of several. ok is false
// when a "." or ".." is left: the rule's text and the client's may have made one
// between them. It works in place.
func cleanPath(path []byte) (clean []byte, ok bool) {
	clean = path[:0]
	name := 0 // where the last name begins in clean
	for i := 0; ; i++ {
		if i < len(path) && path[i] != '/' {
			clean = append(clean, path[i])
			continue
		}
		if last := clean[name:]; string(last) == "." || string(last) == ".." {
			return nil, false
		}
		if i == len(path) {
			return clean, true
		}
		if len(clean) > name {
			clean = append(clean, '/')
			name = len(clean)
		}
	}
}

// fill returns the path below the root; ok is false when what the client sent may
// not be in it.
func (f *filePath) fill(q *Query, d *Decision) (name []byte, ok bool) {
	at := len(d.buf)
	if d.buf, ok = f.name.expand(d.buf, q, d); !ok {
		return nil, false
	}
	if f.name.isLiteral() {
		return d.buf[at:len(d.buf):len(d.buf)], true
	}
	if name, ok = cleanPath(d.buf[at:]); !ok {
		d.refused, d.refusedPart = d.buf[at:], nil
		return nil, false
	}
	return name[:len(name):len(name)], true
}

// is asks about the file; no for one whose name is refused, and where nobody can be
// asked.
func (f *filePath) is(kind FileKind, q *Query, d *Decision) bool {
	if q.Files == nil {
		return false
	}
	name, ok := f.fill(q, d)
	return ok && q.Files.Is(kind, f.root, name)
}

// String spells the path as the rule does.
func (f *filePath) String() string { return f.path.String() }

// parsePath parses a path that somebody else will open: a vassal's worker. What
// clients choose stays below the directory that the rule spells, as in a filePath.
func parsePath(text string, s *scope) (template, error) {
	inner := *s
	inner.noRoots = true
	t, err := parseTemplate(text, fileName, &inner)
	if err != nil || t.isLiteral() {
		return t, err
	}
	if parts := t.list(); len(parts) == 1 {
		parts[0].place = ownPath // ${NAME} alone is what the rules have made of it
		return t, nil
	}
	f, err := parseFilePath(text, TestRoot, &inner)
	return f.path, err
}

// fillPath fills in a template that, if it is a path, must not have got a ".." in it.
func (d *Decision) fillPath(t *template, isPath bool, q *Query) (text []byte, ok bool) {
	at := len(d.buf)
	if text, ok = d.fill(t, q); !ok || !isPath || t.isLiteral() {
		return text, ok
	}
	for rest := d.buf[at:]; len(rest) > 0; {
		var name []byte
		name, rest, _ = bytes.Cut(rest, []byte("/"))
		if string(name) == ".." {
			d.refused, d.refusedPart = text, nil
			return nil, false
		}
	}
	return text, true
}
