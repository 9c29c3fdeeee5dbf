package foresee

import (
	"os"
	"path/filepath"
	"slices"
	"strings"

	"emperor/internal/config"
	"emperor/vassal/spec"
)

// modules looks for the module that is to be imported. Python can find
// modules in places that only Python knows (.pth files, import hooks), so it is
// never certain that one is missing.
func (f *foresight) modules(dir string) {
	own, known := f.ownPlaces(dir)
	if !known {
		return
	}
	for _, v := range f.Config.All("module", "wsgi") {
		name := moduleOf(v)
		if name == "" {
			continue
		}
		var text string
		_ = f.asUser("", func() { text = missingModule(name, own, f.sitePackages(dir)) })
		if text != "" {
			f.doubtful(v, "%s", text)
		}
	}
}

// ownPlaces are where the site's own code is expected.
func (f *foresight) ownPlaces(dir string) (places []string, known bool) {
	places = []string{dir}
	for _, v := range f.Config.All("pythonpath", "python-path", "pp") {
		if v.Unknown {
			return nil, false
		}
		found, _ := filepath.Glob(spec.PathIn(dir, v.Value))
		places = append(places, found...)
	}
	return places, true
}

// moduleOf is the module in "shop.wsgi:application"; empty: nobody knows.
func moduleOf(v config.Value) string {
	name, _, _ := strings.Cut(v.Value, ":")
	if name, _, _ = strings.Cut(name, "("); v.Unknown || strings.ContainsAny(name, "/$ ") {
		return ""
	}
	return name
}

// sitePackages are the places of installed modules: of the virtual environment, of
// PYTHONPATH and of the system.
func (f *foresight) sitePackages(dir string) []string {
	var patterns []string
	for _, v := range f.Config.All("virtualenv", "venv", "home", "pyhome") {
		home := spec.PathIn(dir, v.Value)
		patterns = append(patterns, home+"/lib*/python*/site-packages", home+"/lib/python*")
	}
	for _, variable := range f.Environment {
		if value, ok := strings.CutPrefix(variable, "PYTHONPATH="); ok {
			patterns = append(patterns, filepath.SplitList(value)...)
		}
	}
	for _, v := range f.Config.All("env") {
		if value, ok := strings.CutPrefix(v.Value, "PYTHONPATH="); ok {
			patterns = append(patterns, filepath.SplitList(value)...)
		}
	}
	patterns = append(patterns, "/usr/lib/python*", "/usr/lib/python3/dist-packages", "/usr/local/lib/python*", "/usr/local/lib/python*/*-packages",
		"/usr/lib/python*/*-packages", "/usr/lib64/python*", "/usr/lib64/python*/*-packages")
	var places []string
	for _, pattern := range patterns {
		found, _ := filepath.Glob(pattern)
		places = append(places, found...)
	}
	return places
}

// missingModule says what of a dotted module name is not there; empty: nothing.
func missingModule(name string, own, installed []string) string {
	parts := strings.Split(name, ".")
	place := ""
	for _, candidate := range slices.Concat(own, installed) {
		if hasModule(candidate, parts[0]) {
			place = candidate
			break
		}
	}
	if place == "" {
		text := "there is no " + parts[0] + ".py or " + parts[0] + "/ in " + strings.Join(own, ", ")
		if meant := sibling(filepath.Join(own[0], parts[0]+".py")); strings.HasSuffix(meant, ".py") {
			text += "; did you mean module = " + strings.TrimSuffix(filepath.Base(meant), ".py") + "?"
		} else {
			text += ": if it is not installed elsewhere the app can not be imported (chdir and pythonpath say where to look)"
		}
		return text
	}
	if !slices.Contains(own, place) {
		return "" // who installed it knows its parts
	}
	for _, part := range parts[1:] {
		place = filepath.Join(place, parts[0])
		if info, err := os.Stat(place); err != nil || !info.IsDir() {
			return "" // a module that is a file, and makes its parts itself
		}
		if !hasModule(place, part) {
			return "there is no " + part + ".py in " + place
		}
		parts = parts[1:]
	}
	return ""
}

// hasModule tells whether a directory has a module or package of that name.
func hasModule(dir, name string) bool {
	base := filepath.Join(dir, name)
	for _, path := range []string{base + ".py", base} {
		if exists(path) {
			return true
		}
	}
	compiled, _ := filepath.Glob(base + ".*") // .pyc, .cpython-311-x86_64-linux-gnu.so
	return len(compiled) > 0
}

// exists is also true for what cannot be looked at.
func exists(path string) bool {
	_, err := os.Stat(path)
	return !os.IsNotExist(err)
}
