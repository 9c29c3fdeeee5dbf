package config

import (
	"errors"
	"strings"

	"emperor/internal/formats"
	"emperor/internal/uini"
)

// translate makes lines of ini of a text in another format, each with the number of
// its line there. What comes after (magic variables, sections, logic) is the same in
// all formats. When only uWSGI understands the text, that is noted; ok is false when
// nothing of it may be used.
func (l *loader) translate(f *frame, kind string, e *entry, data []byte) (parts []uini.Part, ok bool) {
	sections, err := formats.Read(kind, data)
	var mistake *formats.Error
	var unknown *formats.Unknown
	switch {
	case errors.As(err, &mistake):
		l.fail(Pos{File: f.file, Line: mistake.Line}, "", "%s", mistake.Text)
		return nil, false
	case errors.As(err, &unknown):
		l.warn(Pos{File: f.file, Line: unknown.Line}, "", "%s is read by uWSGI only, so the emperor knows nothing of what the file says: its sockets are not held, and requests wait while it restarts", unknown.What)
		if e.frame == nil && e.value == l.req.File {
			l.foreign = kind
		} else {
			l.notRead(e)
		}
		return nil, false
	}
	for _, s := range sections {
		parts = append(parts, uini.Part{Name: f.file, Data: []byte("[" + oneLine(s.Name) + "]\n")})
		for _, o := range s.Options {
			// Unlike others these keys have a meaning in ini text and none in an option.
			if key := strings.TrimSpace(o.Key); key == "" || strings.ContainsAny(key[:1], ";#[") || strings.Contains(key, "=") {
				continue
			}
			parts = append(parts, uini.Part{Name: f.file, Line: o.Line, Data: []byte(oneLine(o.Key) + "=" + oneLine(o.Value) + "\n")})
		}
	}
	return parts, true
}

// oneLine: a text of several lines could say more than one option, and a NUL end
// it. No option of uWSGI's has such a value.
func oneLine(text string) string {
	return strings.NewReplacer("\r\n", " ", "\n", " ", "\x00", "").Replace(text)
}
