package spec

import (
	"path/filepath"
	"slices"
	"strings"

	"emperor/internal/config"
	"emperor/internal/proc"
)

// touchOptions make a file a button: whoever touches it gets a new generation. uWSGI's
// own way, in its master, would end the old workers before it knows whether the new
// ones come up; so the emperor watches the files, and uWSGI is not told of them.
var touchOptions = []config.Option{
	{Name: "touch-reload", Type: config.String, Repeat: true, Where: config.Vassal, Help: "When this file is touched, made or removed, reload: a new generation takes over, without a failed request. Relative to chdir."},
	{Name: "touch-workers-reload", Type: config.String, Repeat: true, Where: config.Vassal, Help: "As touch-reload."},
	{Name: "touch-chain-reload", Type: config.String, Repeat: true, Where: config.Vassal, Help: "As touch-reload."},
}

// filter is the program that takes lines away.
const filter = "sed"

// readTouch reads which files those are.
func (r *reader) readTouch(dir string, dirUnknown bool) {
	values := r.c.All("touch-reload", "touch-workers-reload", "touch-chain-reload")
	if len(values) == 0 {
		return
	}
	if r.spec.Kind == UWSGI {
		if why := r.whyTouchIsForeign(values, dirUnknown); why != "" {
			r.warn(values[0], "uWSGI watches the file by itself, because %s: at a touch it ends the old workers before it knows whether the new ones come up", why)
			return
		}
	}
	for _, v := range values {
		switch {
		case v.Unknown:
			r.wrong(v, "the value depends on something that is never evaluated for a vassal (a program, a file's content or a URL)")
			continue
		case v.Value == "" || strings.ContainsRune(v.Value, 0):
			r.wrong(v, "want the path of a file")
			continue
		}
		path := v.Value
		if !filepath.IsAbs(path) {
			path = filepath.Join(dir, path)
		}
		r.spec.Touch = append(r.spec.Touch, filepath.Clean(path))
	}
	slices.Sort(r.spec.Touch)
	r.spec.Touch = slices.Compact(r.spec.Touch)
}

// whyTouchIsForeign is why a uWSGI has to watch its files by itself; empty: it need
// not. It must not see a line about a file that we watch, so all of these lines have to
// stand where they can be taken away.
func (r *reader) whyTouchIsForeign(values []config.Value, dirUnknown bool) string {
	for _, v := range values {
		switch {
		case v.Unknown, dirUnknown && !filepath.IsAbs(v.Value):
			return "its text is known to uWSGI only"
		case v.Value == "":
			return "it has no name"
		}
	}
	switch {
	case r.app != nil:
		return ""
	case r.fileOption() != "--ini":
		return "the file is no ini file"
	case len(r.c.Unread) > 0 || r.c.Foreign != "":
		return "only uWSGI can read all of the file"
	case strings.ContainsAny(r.Argument, ":'\n\\"):
		return "the file's name has a character that stands in the way"
	case len(r.c.All(jails...)) > 0:
		return "a path means something else in its jail"
	}
	for _, v := range values {
		if path := v.Pos.File; path != r.spec.File && !r.wasSet(v) {
			return "the line stands in " + path
		}
	}
	if proc.Foresee(filter, r.Env) != nil || proc.Foresee("/bin/sh", r.Env) != nil {
		return "there is no " + filter
	}
	return ""
}

// touchedByUs tells whether a line is about a file that the emperor watches.
func (r *reader) touchedByUs(key string) bool {
	return len(r.spec.Touch) > 0 && slices.ContainsFunc(touchOptions, func(o config.Option) bool { return o.Name == key })
}

// fileArguments make uWSGI read the vassal's file.
//
// If lines have to be taken away, a program does that: uWSGI reads what it prints, also
// when it reads the file again by itself. What is printed has no name, so that %n and
// the other magic variables keep what they were: that of the file, of which uWSGI is
// first told to read a section that is not there.
func (r *reader) fileArguments() []string {
	if len(r.spec.Touch) == 0 || r.app != nil {
		return []string{r.fileOption(), r.Argument}
	}
	return []string{
		"--ini", r.Argument + ":lines for the emperor",
		"--ini", "exec://" + filter + ` -E '/^[[:space:]]*touch-(workers-|chain-)?reload[[:space:]]*=/d' '` + r.Argument + `'`,
	}
}
