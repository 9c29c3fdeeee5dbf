package foresee

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"emperor/internal/config"
	"emperor/internal/near"
	"emperor/vassal/spec"
)

// debianPlugins is where the uwsgi of Debian and Ubuntu, which has no language built
// in, looks for plugins.
const debianPlugins = "/usr/lib/uwsgi/plugins"

// languages are the plugins without which options mean nothing. uWSGI passes over
// the option, and then has no app.
var languages = []struct {
	plugin  string
	options []string
}{
	{"python3", []string{"wsgi-file", "module", "wsgi", "ini-paste", "ini-paste-logged", "paste", "pecan", "virtualenv", "home"}},
	{"psgi", []string{"psgi"}},
	{"php", []string{"php-docroot", "php-app"}},
	{"cgi", []string{"cgi"}},
}

// plugins looks for the plugins of a uWSGI whose place for them is known, and
// for the one that is not asked for.
func (f *foresight) plugins(dir string) {
	asked := f.Config.All("plugin", "plugins", "need-plugin", "need-plugins")
	if !f.debian() || f.Config.Has("autoload") {
		return
	}
	if len(asked) == 0 {
		for _, language := range languages {
			if values := f.Config.All(language.options...); len(values) > 0 {
				f.certain(values[0], "this uWSGI (%s) has no such language built in: add plugin = %s", f.uwsgiProgram(), language.plugin)
				return
			}
		}
		return
	}
	places := []string{debianPlugins}
	for _, v := range f.Config.All("plugins-dir", "plugin-dir") {
		if v.Unknown {
			return
		}
		places = append(places, spec.PathIn(dir, v.Value))
	}
	for _, v := range asked {
		if v.Unknown {
			continue
		}
		for name := range strings.SplitSeq(v.Value, ",") {
			f.plugin(v, name, places)
		}
	}
}

// plugin looks for one plugin. uWSGI goes on without it; whether it can, it
// alone knows.
func (f *foresight) plugin(v config.Value, name string, places []string) {
	if _, after, numbered := strings.Cut(name, ":"); numbered {
		name = after // "0:python3"
	}
	if name == "" || strings.Contains(name, "/") {
		return
	}
	const ending = "_plugin.so"
	var others []string
	for _, place := range places {
		if exists(filepath.Join(place, name+ending)) || exists(filepath.Join(place, name)) {
			return
		}
		entries, _ := os.ReadDir(place)
		for _, e := range entries {
			others = append(others, strings.TrimSuffix(e.Name(), ending))
		}
	}
	advice := fmt.Sprintf(": install it (apt install uwsgi-plugin-%s), or say plugins-dir", name)
	if meant, ok := near.Word(name, others); ok {
		advice = "; did you mean " + meant + "?"
	}
	f.doubtful(v, "there is no %s%s in %s%s", name, ending, strings.Join(places, ", "), advice)
}

// debian tells whether the uwsgi program is that of Debian's package.
func (f *foresight) debian() bool {
	program := f.uwsgiProgram()
	if !strings.HasPrefix(program, "/") {
		program = lookup(program, f.Environment)
	}
	// A program called uwsgi_python3 loads that plugin by itself.
	if program == "" || strings.HasPrefix(filepath.Base(program), "uwsgi_") {
		return false
	}
	real, err := filepath.EvalSymlinks(program)
	return err == nil && real == "/usr/bin/uwsgi-core"
}

// uwsgiProgram is the program that runs the vassal.
func (f *foresight) uwsgiProgram() string {
	if f.spec.UWSGI.Binary != "" {
		return f.spec.UWSGI.Binary
	}
	return f.UWSGI
}

// lookup finds a name on the PATH of env.
func lookup(name string, env []string) string {
	for _, variable := range env {
		value, ok := strings.CutPrefix(variable, "PATH=")
		for _, dir := range filepath.SplitList(value) {
			if path := filepath.Join(dir, name); ok && dir != "" && exists(path) {
				return path
			}
		}
	}
	return ""
}
