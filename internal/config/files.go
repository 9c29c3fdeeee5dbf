package config

import (
	"bytes"
	"path"
	"strings"

	"emperor/internal/uini"
)

// schemes are the prefixes that make a file name a source of another kind.
var schemes = []string{"exec://", "http://", "fd://", "data://", "sym://", "section://", "call://", "callint://", "emperor://"}

func scheme(name string) string {
	for _, s := range schemes {
		if strings.HasPrefix(name, s) {
			return s
		}
	}
	return ""
}

// splitSection cuts "file.ini:section" at the last colon; in a URL only a colon
// after the last "/" counts.
func splitSection(name string) (file, section string) {
	from := 0
	if scheme(name) != "" {
		from = strings.LastIndexByte(name, '/') + 1
	}
	at := strings.LastIndexByte(name[from:], ':')
	if at < 0 {
		return name, ""
	}
	return name[:from+at], name[from+at+1:]
}

// format tells a file's format by its extension, "" when it says nothing.
func format(name string) string {
	file, _ := splitSection(name)
	switch path.Ext(file) {
	case ".ini":
		return "ini"
	case ".xml":
		return "xml"
	case ".yaml", ".yml":
		return "yaml"
	case ".json", ".js":
		return "json"
	}
	return ""
}

// foreignFormat is the format of a file that is not ini. In a vassal's place it is
// read as uWSGI will; the emperor's own files are ini.
func foreignFormat(name string) string {
	if f := format(name); f != "ini" {
		return f
	}
	return ""
}

// loadTyped is ini = FILE and its brothers for other formats.
func (l *loader) loadTyped(e *entry, kind string) {
	switch {
	case kind == "ini", l.req.Vassal && kind != "config":
		l.readFile(e.value, kind, e, true)
	case l.req.Vassal:
		l.notRead(e)
	case kind == "config":
		l.fail(e.pos, e.key, "configuration formats of uWSGI's plugins are not read here; want an ini file (ini = %s)", e.value)
	default:
		l.failForeign(e.pos, e.key, e.value, kind)
	}
}

func (l *loader) failForeign(pos Pos, key, file, kind string) {
	l.fail(pos, key, "%s is %s; only ini files are read here: write its options as \"option = value\" lines under [uwsgi] in a .ini file", file, strings.ToUpper(kind))
}

// include is include = FILE: the type comes from the extension, and the
// upper-case magic variables stay as they are.
func (l *loader) include(e *entry) { l.byExtension(e) }

// inherit is include in the apply pass: its lines go to the end of the list, so
// they override everything before them, and they are taken literally.
func (l *loader) inherit(e *entry) { l.byExtension(e) }

// loadByExtension loads a bare word of the command line.
func (l *loader) loadByExtension(file string, pos Pos, bare bool) {
	if bare && strings.HasPrefix(file, "[") && strings.HasSuffix(file, "]") {
		return // uWSGI skips what looks like a process title
	}
	l.byExtension(&entry{value: file, has: true, pos: pos})
}

func (l *loader) byExtension(e *entry) {
	kind := format(e.value)
	switch {
	case kind == "ini", l.req.Vassal && kind != "":
		l.readFile(e.value, kind, e, false)
	case l.req.Vassal:
		l.notRead(e)
	case kind == "":
		hint := ""
		if scheme(e.value) != "" {
			hint = "; ini = " + e.value + " reads it as ini"
		}
		l.fail(e.pos, e.key, "cannot tell what %q is: want a file whose name ends in .ini%s", e.value, hint)
	default:
		l.failForeign(e.pos, e.key, e.value, kind)
	}
}

// notRead records a line of a vassal's file whose contents only uWSGI will see.
func (l *loader) notRead(e *entry) {
	l.unread = append(l.unread, Value{Key: e.key, Value: e.value, HasValue: e.has, Pos: e.pos, Unknown: true})
}

// readFile reads one file into the list. typed is true for ini = and its brothers,
// which set the upper-case magic variables if they are the first.
func (l *loader) readFile(given, kind string, e *entry, typed bool) {
	source, section := splitSection(given)
	described := source // what the magic variables are about
	if source == "" {
		source = l.sameFile(e, section)
		if source == "" {
			return
		}
		if !l.req.Vassal {
			described = source
		}
	}
	if l.req.Vassal && (scheme(source) != "" || source == "-") {
		l.notRead(e)
		return
	}
	f := &frame{file: source, path: source, section: section, parent: e.frame}
	if scheme(source) == "" && source != "-" {
		f.path = l.resolve(source)
	}
	if !l.mayRead(f, e) {
		return
	}
	data, by, ok := l.readSource(l, source, e)
	if !ok {
		return
	}
	f.by = l.both(e.by, by)
	if kind == "ini" {
		l.lastINI = source
	}
	l.magic.fill(described, section, e.by)
	if typed {
		l.magic.fillUpper()
	}
	parts := []uini.Part{{Name: f.file, Data: data}}
	if kind != "ini" {
		if parts, ok = l.translate(f, kind, e, data); !ok {
			return
		}
	}
	l.readText(f, e, parts)
}

// sameFile is what ":section" refers to. uWSGI takes whichever ini file was
// opened last, so that an include further up changes the meaning; here it is the
// file that says so. A vassal's is read as uWSGI will.
func (l *loader) sameFile(e *entry, section string) string {
	current := l.lastINI
	if e.frame != nil && scheme(e.frame.file) == "" {
		current = e.frame.file
	}
	if current == "" {
		l.fail(e.pos, e.key, "\":%s\" means a section of the file read before, and none was read", section)
	}
	if l.req.Vassal && current != l.lastINI {
		l.mistake(e.pos, e.key, "\":%s\" is read by uWSGI from the ini file it opened last, %s; name the file", section, l.lastINI)
		return l.lastINI
	}
	return current
}

// mayRead refuses cycles and what is endless in other ways.
func (l *loader) mayRead(f *frame, e *entry) bool {
	depth := 0
	for up := f.parent; up != nil; up = up.parent {
		depth++
		if up.path == f.path && up.section == f.section {
			chain := up.file
			if up != f.parent {
				chain += " (by way of " + f.parent.file + ")"
			}
			l.fail(e.pos, e.key, "%s includes itself", chain)
			return false
		}
	}
	l.filesRead++
	switch {
	case depth >= maxDepth:
		l.fail(e.pos, e.key, "more than %d files include each other here", maxDepth)
		return false
	case l.filesRead == maxFilesRead+1:
		l.fail(e.pos, e.key, "more than %d files are included; the rest is not read", maxFilesRead)
	}
	return l.filesRead <= maxFilesRead
}

// readText parses a file's text and adds the lines of the section.
func (l *loader) readText(f *frame, e *entry, own []uini.Part) {
	lines := len(own)
	for _, part := range own {
		lines += bytes.Count(part.Data, []byte("\n"))
	}
	if lines > maxEntries {
		l.fail(Pos{File: f.file}, "", "more than %d lines", maxEntries)
		return
	}
	wanted := f.section
	if wanted == "" {
		wanted = "uwsgi"
	}
	parts := l.injected(l.injectBefore, f, e)
	parts = append(parts, own...)
	parts = append(parts, l.injected(l.injectAfter, f, e)...)
	text, err := uini.Parse(wanted, uini.Magic{Values: l.magic.values, Volatile: l.magic.volatile}, parts...)
	if err != nil {
		l.fail(Pos{File: f.file}, "", "%v", err)
		return
	}
	for _, m := range text.Mistakes {
		l.mistake(Pos{File: m.File, Line: m.Line}, "", "%s", m.Text)
	}
	if !text.Has(wanted) {
		l.noSection(wanted, text, f, e)
	}

	outerFrame, outerBlock, outerRunning := l.frame, l.block, l.running
	l.frame = f
	if !l.req.Vassal {
		l.block, l.running = nil, false // a file's blocks are its own
	}
	for _, d := range text.Directives {
		l.add(&entry{key: d.Key, value: d.Value, has: d.HasValue, frame: f,
			pos: Pos{File: d.File, Line: d.Line}, unknown: d.Volatile && l.req.Vassal})
	}
	if l.block != nil && l.block.frame == f {
		l.unclosed()
	}
	l.frame = outerFrame
	if !l.req.Vassal {
		l.block, l.running = outerBlock, outerRunning
	}
}

// injected reads the files of inject-before and inject-after, which become part
// of the text of every file read after them; e names f.
func (l *loader) injected(injections []*entry, f *frame, e *entry) []uini.Part {
	var parts []uini.Part
	for _, injection := range injections {
		file := injection.value
		if l.req.Vassal && (scheme(file) != "" || file == "-") {
			l.notRead(&entry{key: "inject-before", value: file, has: true, pos: e.pos})
			continue
		}
		line := &entry{key: e.key, pos: e.pos, by: injection.by}
		if data, by, ok := l.readSource(l, file, line); ok {
			parts = append(parts, uini.Part{Name: file, Data: data})
			f.by = l.both(f.by, l.both(injection.by, by))
		}
	}
	return parts
}

// noSection reports a file without the section that was asked for. uWSGI goes on
// with nothing from that file; a main file without a line of configuration is
// refused.
func (l *loader) noSection(wanted string, text *uini.Section, f *frame, e *entry) {
	hint := ""
	for _, h := range text.Headers {
		if strings.EqualFold(strings.TrimSpace(h), wanted) {
			hint = "; the header [" + h + "] is another name"
		}
	}
	if hint == "" && len(text.Headers) > 0 {
		hint = "; it has [" + strings.Join(text.Headers, "], [") + "]"
	}
	pos := Pos{File: f.file}
	if e.frame == nil && !l.req.Vassal && e.key != "include" && e.key != "inherit" {
		l.fail(pos, "", "there is no section [%s]%s", wanted, hint)
		return
	}
	l.warn(pos, "", "there is no section [%s]%s", wanted, hint)
}
