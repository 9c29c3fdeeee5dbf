package emperor

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"emperor/emperor/monitor"
	"emperor/internal/config"
	"emperor/vassal/spec"
)

// reading is a vassal's file, read.
type reading struct {
	spec     *spec.Spec // nil when there are errors among the problems
	problems config.Problems
	config   *config.Config // its effective options; nil when it was not read at all
	// includes are the other files it was read from, or would have been.
	includes []string
	// print is what the includes looked like; valid when stable.
	print monitor.Fingerprint
	// stable: no file changed while it was read, and none is so young that a
	// change would leave no trace.
	stable bool
}

// unasked stands for what emperor-on-demand-exec has said where it was not run.
const unasked = "\x00"

// read reads one vassal's file. includes are those known from the last time, said is
// what emperor-on-demand-exec has said.
func (m *Main) read(item monitor.Item, includes []string, said string) reading {
	if m.App != nil {
		return m.readingOfApp()
	}
	for range 3 {
		// Files that are seen first when they are read have to be read once more, to
		// know that they did not change meanwhile.
		own, others := monitor.FingerprintOf([]string{item.Path}), monitor.FingerprintOf(includes)
		r := m.readOnce(item, said)
		r.stable = own == monitor.FingerprintOf([]string{item.Path}) && others == monitor.FingerprintOf(includes)
		r.print = others
		if !r.stable || slices.Equal(r.includes, includes) {
			return r
		}
		includes = r.includes
	}
	r := m.readOnce(item, said)
	r.print = monitor.FingerprintOf(r.includes)
	return r // what it includes is different each time: not stable
}

func (m *Main) readOnce(item monitor.Item, said string) reading {
	about := m.reading(item)
	if about.OnDemand.Output = said; said == unasked {
		about.OnDemand.Output, about.OnDemand.Unasked = "", true
	}
	got := spec.Read(about)
	r := reading{spec: got.Spec, problems: got.Problems, config: got.Config}
	r.includes = slices.DeleteFunc(slices.Clone(got.Files), func(file string) bool { return file == item.Path })
	slices.Sort(r.includes)
	r.includes = slices.Compact(r.includes)
	return r
}

// reading is what a uWSGI started for that file would be told.
func (m *Main) reading(item monitor.Item) spec.Reading {
	r := spec.Reading{
		Name: item.Name, File: item.Path,
		Env:           m.Defaults.Environment,
		IncludeBefore: m.includeBefore, IncludeAfter: m.includeAfter,
		InheritBefore: m.inheritBefore, InheritAfter: m.inheritAfter,
		UWSGI: m.Defaults.UWSGI,
		User:  m.vassalUser, Tyrant: m.tyrant, Bounded: m.bounded, Bounding: m.bounding,

		CheckFiles: m.checkFiles,
		OnDemand:   m.onDemand,
	}
	if path := m.uwsgiPath(); path != "" {
		r.UWSGI = path
	}
	// uWSGI's monitors differ: a directory is entered, a glob is not.
	if m.fromDirectory(item.Path) {
		r.Dir, r.Argument = filepath.Split(item.Path)
		r.Dir = filepath.Clean(r.Dir)
	} else {
		r.Dir, r.Argument = m.Source.Dir, item.Path
	}
	for _, extension := range m.Monitor.Extensions {
		if extension != "" && strings.HasSuffix(item.Path, extension) {
			r.ExtraExtension = true
		}
	}
	magic := config.Request{File: r.Argument, Dir: r.Dir, Env: r.Env, Vassal: true, EmperorPath: r.UWSGI}
	for _, v := range m.vassalSet {
		v.Value = magic.ExpandMagic(v.Value)
		r.Set = append(r.Set, v)
	}
	if m.socketFor != nil {
		if address, _, ok := m.socketFor(m.Front, item.Name); ok {
			r.SocketHint = address
		}
	}
	return r
}

// uwsgiPath is where the uwsgi program was found when it was needed first; empty: not.
func (m *Main) uwsgiPath() string {
	m.uwsgi.Do(func() { m.uwsgiAt, _ = exec.LookPath(m.Defaults.UWSGI) })
	return m.uwsgiAt
}

// fromDirectory tells whether a file was found by a line that names its
// directory, and not by a glob.
func (m *Main) fromDirectory(path string) bool {
	for _, p := range m.Monitor.Patterns {
		value, ok := strings.CutPrefix(p.Value, "dir://")
		if !ok {
			if strings.HasPrefix(value, "glob://") {
				continue
			}
			if info, err := os.Stat(m.absolute(value)); err != nil || !info.IsDir() {
				continue
			}
		}
		if m.absolute(value) == filepath.Dir(path) {
			return true
		}
	}
	return false
}
