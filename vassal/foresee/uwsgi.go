package foresee

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"emperor/internal/config"
	"emperor/internal/proc"
	"emperor/vassal/environment"
	"emperor/vassal/spec"
)

// uwsgi looks for what a uWSGI needs at its start: each of these ends it.
func (f *foresight) uwsgi() {
	f.itsUser()
	f.group()
	f.itself()
	if command, ok := f.Config.Last("command"); ok && len(f.Config.Unread) > 0 && !f.Config.UsedPlaceholders["command"] {
		unread := f.Config.Unread[0]
		f.doubtful(unread, "only uWSGI reads this, so uWSGI gets the whole file, and command (line %d) has no effect: for a configuration file, give it the ending .ini", command.Pos.Line)
	}
	f.workers()
	f.mark()
	if v, ok := f.known("binary-path"); ok {
		var err error
		env := environment.Inherited(f.Environment, true)
		enter := spec.SocketRules{Umask: -1, As: f.spec.UWSGI.User, Dir: f.spec.UWSGI.Dir}.OnBehalf(func() error {
			err = proc.Foresee(v.Value, env)
			return nil
		})
		if err = errors.Join(enter, err); err != nil {
			f.certain(v, "%v%s", err, remedy(err, v.Value))
		}
	}
	if f.jailed() || len(f.Config.Unread) > 0 || f.Config.Foreign != "" {
		return // paths mean something else there, or are not all known
	}
	dir := f.spec.UWSGI.Dir
	f.plugins(dir)
	if chdir, said := f.Config.Last("chdir"); said {
		if chdir.Unknown {
			return
		}
		if dir = f.spec.SocketRules.Dir; !f.directory("chdir", dir) {
			return
		}
	}
	f.appDir = dir
	f.files(dir)
	f.virtualenv(dir)
	f.logs(dir)
	f.modules(dir)
}

// itself: a vassal that is an emperor, and finds its own file, would start
// itself without end.
func (f *foresight) itself() {
	for _, v := range f.Config.All("emperor") {
		pattern := spec.PathIn(f.spec.UWSGI.Dir, strings.TrimPrefix(strings.TrimPrefix(v.Value, "glob://"), "dir://"))
		found, _ := filepath.Match(pattern, f.spec.File)
		if !v.Unknown && (found || pattern == filepath.Dir(f.spec.File)) {
			f.certain(v, "%s finds this file, too: it would start itself without end", v.Value)
		}
	}
}

// canBecomeOthers: uWSGI cares for uid and gid only as root.
func canBecomeOthers() bool { return os.Geteuid() == 0 }

// appFiles are options whose value is the file of an app.
var appFiles = []string{"wsgi-file", "file", "psgi", "rack"}

// files looks for the app's file, as the user that uWSGI becomes before it
// opens it.
func (f *foresight) files(dir string) {
	for _, v := range f.Config.All(slices.Concat(appFiles, []string{"mount"})...) {
		if v.Key == "mount" { // PATH=FILE or PATH=MODULE
			if _, v.Value, _ = strings.Cut(v.Value, "="); !strings.HasSuffix(v.Value, ".py") && !strings.HasSuffix(v.Value, ".wsgi") {
				continue
			}
		}
		// uWSGI reads apps from much else: sym://, http://, zip files …
		if v.Unknown || v.Value == "" || strings.Contains(v.Value, "://") {
			continue
		}
		path := spec.PathIn(dir, v.Value)
		wrong := ""
		if err := f.asUser("", func() { wrong = wrongFile(path, f.who()) }); err != nil {
			wrong = err.Error()
		}
		if wrong == "" {
			continue
		}
		if strings.HasPrefix(v.Value, "~") {
			wrong += home(v.Value)
		} else if !filepath.IsAbs(v.Value) && !f.Config.Has("chdir") {
			wrong += " (relative paths count from " + dir + "; %d" + strings.TrimPrefix(v.Value, "./") + " is a file beside this one)"
		}
		f.certain(v, "%s", wrong)
	}
}

// virtualenv: Python ends the process when its home is not there.
func (f *foresight) virtualenv(dir string) {
	for _, v := range f.Config.All("virtualenv", "venv", "home", "pyhome") {
		if v.Unknown || v.Value == "" {
			continue
		}
		wrong := ""
		if err := f.asUser("", func() { wrong = wrongDirectory(spec.PathIn(dir, v.Value), f.who()) }); err != nil {
			wrong = err.Error()
		}
		if wrong != "" {
			f.certain(v, "%s (make it with: python3 -m venv %s)", wrong, spec.PathIn(dir, v.Value))
		}
	}
}

// logs: uWSGI ends when it cannot open its log. logto is opened as root,
// logto2 as the vassal's user.
func (f *foresight) logs(dir string) {
	for _, v := range f.Config.All("logto", "logto2") {
		// udp:…, redis:… and the like are no files
		if v.Unknown || v.Value == "" || strings.Contains(v.Value, ":") || strings.HasPrefix(v.Value, "|") {
			continue
		}
		path := spec.PathIn(dir, v.Value)
		as := f.spec.UWSGI.User
		if v.Key == "logto2" {
			as = f.user
		}
		wrong := ""
		err := spec.SocketRules{Umask: -1, As: as}.OnBehalf(func() error {
			wrong = wrongLog(path, nameOf(as))
			return nil
		})
		if err != nil {
			wrong = err.Error()
		}
		if wrong != "" {
			f.certain(v, "%s: uWSGI ends when it cannot open its log", wrong)
		}
	}
}

// workers: uWSGI reads numbers as atoi(3) does, and without workers it
// accepts connections that nobody answers.
func (f *foresight) workers() {
	v, ok := f.known("processes")
	if !ok {
		return
	}
	n, err := strconv.Atoi(v.Value)
	read := leadingNumber(v.Value)
	switch {
	case err == nil && n < 0:
		f.certain(v, "want a number from 1 on, got %s: uWSGI would not start", v.Value)
	case read == 0 && !f.spec.UWSGI.Cheap:
		f.doubtful(v, "want a number from 1 on, got '%s': uWSGI reads it as 0 and starts no worker, and requests wait for ever", v.Value)
	case err != nil:
		f.doubtful(v, "want a number, got '%s': uWSGI reads it as %d", v.Value, read)
	}
}

// leadingNumber reads as atoi(3) does.
func leadingNumber(text string) int {
	text = strings.TrimLeft(text, " \t")
	end := 0
	for end < len(text) && (text[end] >= '0' && text[end] <= '9' || end == 0 && (text[end] == '-' || text[end] == '+')) {
		end++
	}
	n, _ := strconv.Atoi(text[:end])
	return n
}

// mark: a byte order mark before the first section's name hides it from
// uWSGI 2.0.21.
func (f *foresight) mark() {
	for _, path := range f.spec.Files {
		if filepath.Ext(path) != ".ini" {
			continue
		}
		var head []byte
		_ = f.asUser("", func() { head = firstBytes(path) })
		if rest, marked := bytes.CutPrefix(head, []byte("\xef\xbb\xbf")); marked && bytes.HasPrefix(bytes.TrimLeft(rest, " \t"), []byte("[")) {
			f.doubtful(config.Value{Pos: config.Pos{File: path, Line: 1}}, "begins with a byte order mark (BOM), behind which uWSGI does not find the section: save the file as UTF-8 without BOM, or put an empty line first")
		}
	}
}

// firstBytes is the beginning of a regular file, as far as it can be read.
func firstBytes(path string) []byte {
	// Non-blocking: nobody may make us wait on a pipe.
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_NONBLOCK|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil
	}
	defer unix.Close(fd)
	head := make([]byte, 64)
	n, _ := unix.Read(fd, head)
	return head[:max(n, 0)]
}

// group: uWSGI knows control groups of version 1, and ends where it finds others.
func (f *foresight) group() {
	for _, v := range f.Config.All("cgroup") {
		var system unix.Statfs_t
		if !v.Unknown && unix.Statfs(filepath.Dir(filepath.Clean(v.Value)), &system) == nil && system.Type == unix.CGROUP2_SUPER_MAGIC {
			f.certain(v, "uWSGI knows control groups of version 1 only, and would not start: memory-max, cpu-max and pids-max do it, without this line")
		}
	}
}
