package config

import (
	"os"
	"path/filepath"
	"sort"
	"strings"
)

// environment turns os.Environ's form into a map. As for getenv, the first of two
// equal names counts.
func environment(list []string) map[string]string {
	env := make(map[string]string, len(list))
	for _, pair := range list {
		name, value, ok := strings.Cut(pair, "=")
		if _, known := env[name]; ok && !known {
			env[name] = value
		}
	}
	return env
}

// reserved are the UWSGI_* variables that uWSGI uses between its processes and
// does not read as options.
var reserved = map[string]bool{
	"UWSGI_RELOADS": true, "UWSGI_VASSALS_DIR": true, "UWSGI_EMPEROR_FD": true,
	"UWSGI_EMPEROR_FD_CONFIG": true, "UWSGI_EMPEROR_PROXY": true, "UWSGI_BROODLORD_NUM": true,
	"UWSGI_JAIL_PID": true, "UWSGI_ORIGINAL_PROC_NAME": true,
}

// readEnvironment adds UWSGI_FOO_BAR=v as foo-bar = v. An unknown name is a
// placeholder; who wrote the environment may have meant another program, so it
// is no mistake unless strict asks for it.
func (l *loader) readEnvironment() {
	for _, pair := range l.req.Env {
		name, value, ok := strings.Cut(pair, "=")
		option, prefixed := strings.CutPrefix(name, "UWSGI_")
		if !ok || !prefixed || option == "" || reserved[name] {
			continue
		}
		key := strings.ReplaceAll(strings.ToLower(option), "_", "-")
		l.add(&entry{key: key, value: value, has: true, quiet: true, pos: Pos{File: "environment " + name}})
	}
	l.closeBlock()
}

// readEnvdir is early-envdir: a daemontools directory, one file a variable, its
// first line the value.
func (l *loader) readEnvdir(e *entry) {
	dir := l.resolve(e.value)
	var list []os.DirEntry
	folder, _, err := l.opener.Open(dir, e.by)
	if err == nil {
		list, err = folder.ReadDir(-1)
		folder.Close()
	}
	if err != nil {
		l.failToRead(e.pos, e.key, "the directory "+dir, err, "")
		return
	}
	sort.Slice(list, func(i, j int) bool { return list[i].Name() < list[j].Name() })
	for _, item := range list {
		if !item.Type().IsRegular() || strings.HasPrefix(item.Name(), ".") {
			continue
		}
		data, by, ok := l.readPlain(filepath.Join(dir, item.Name()), e.pos, e.key, e.by)
		if !ok {
			continue
		}
		l.envBy[item.Name()] = l.both(e.by, by)
		line, _, _ := strings.Cut(string(data), "\n")
		if line == "" {
			delete(l.env, item.Name())
			continue
		}
		l.env[item.Name()] = strings.ReplaceAll(strings.TrimRight(line, " \t\r"), "\x00", "\n")
	}
}

// expandEnvironment is the pass that replaces $(NAME), and again what the
// variable's value holds.
//
// $(NAME:-default) and $(NAME-default) are uWSGI 2.1's: the default counts when
// the variable is unset (with ":-" also when it is empty). Where uWSGI would
// leave an unset $(NAME) standing, this is a mistake.
func (l *loader) expandEnvironment(e *entry) {
	l.replaceAgain(e, '$', false, func(inside string) (string, bool) {
		if value, ok := l.env[inside]; ok {
			e.by = l.both(e.by, l.envBy[inside])
			return value, true
		}
		name, fallback, emptyToo, hasDefault := cutDefault(inside)
		if !isVariableName(name) {
			return "", false // $(date +%s) in a shell command is not ours
		}
		if hasDefault {
			e.extended = true
			if value, ok := l.env[name]; ok && !(emptyToo && value == "") {
				e.by = l.both(e.by, l.envBy[name])
				return value, true
			}
			return fallback, true
		}
		report := l.mistake
		if name != strings.ToUpper(name) {
			report = l.warn // more likely a shell's command substitution: $(hostname)
		}
		report(e.pos, e.key, "the environment has no %s, so $(%s) stays as it is; write $(%s:-VALUE) to give a default", name, name, name)
		return "", false
	})
}

// cutDefault splits NAME:-default and NAME-default.
func cutDefault(inside string) (name, fallback string, emptyToo, ok bool) {
	name, fallback, ok = strings.Cut(inside, "-")
	if ok && strings.HasSuffix(name, ":") {
		return strings.TrimSuffix(name, ":"), fallback, true, true
	}
	return name, fallback, false, ok
}

func isVariableName(name string) bool {
	for i := range len(name) {
		c := name[i]
		letter := c == '_' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
		if !letter && (i == 0 || c < '0' || c > '9') {
			return false
		}
	}
	return name != ""
}
