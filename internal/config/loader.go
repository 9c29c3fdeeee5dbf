package config

import (
	"fmt"
	"os"
	"slices"
	"strings"
)

// Bounds that no honest configuration reaches. They turn what would be a hang or
// an exhausted memory in uWSGI into a message.
const (
	maxEntries     = 100_000  // lines in one file, and in all after include and for
	maxListBytes   = 64 << 20 // all values together, before expansion
	maxFilesRead   = 1000
	maxDepth       = 32       // files within files
	maxSourceBytes = 4 << 20  // one file, URL or program's output
	maxValueBytes  = 1 << 20  // one value after expansion
	maxReplaced    = 10_000   // placeholders replaced in one value
	maxExpanded    = 64 << 20 // bytes looked at and copied in replacing placeholders
	maxProblems    = 1000     // of each severity
)

// entry is one key=value on the one list that every source appends to.
type entry struct {
	key, value string
	has        bool
	pos        Pos
	frame      *frame // the file it was read from, nil for command line and environment
	// applied entries have had their effect while reading; as in uWSGI the passes
	// over the list leave their values alone.
	applied           bool
	by                Author // whose text it is, files of others that it was made of included
	unknown, extended bool   // see Value
	quiet             bool   // an unknown key here is no mistake (vassal-set, environment)
	literal           bool   // added after the passes: nothing in it is replaced
}

// frame is a file being read, for cycles and for ":section".
type frame struct {
	file    string // as given, without section
	path    string // absolute, or the source's URL
	section string
	parent  *frame
	by      Author // whose lines it has
}

// loader is the state of one Load.
type loader struct {
	req Request
	set *Set
	dir string
	env map[string]string
	// envBy has the author of each variable that a file has set.
	envBy map[string]Author

	entries  []*entry
	first    map[string]*entry // first entry of each key: what %(key) means
	problems Problems
	reported map[Problem]bool
	counted  [2]int // errors, warnings
	bytes    int    // against maxListBytes
	full     bool   // the list has reached a bound, and that was reported

	block   *block // the open if-… or for…
	running bool   // inside the execution of a block's line
	frame   *frame // the file being read

	magic                     magicTable
	lastINI                   string
	injectBefore, injectAfter []*entry
	files                     []string
	filesRead                 int
	opener                    Opener
	readSource                func(l *loader, source string, e *entry) ([]byte, Author, bool)

	strict               *Pos
	blacklist, whitelist *listed
	custom               map[string]customOption
	used                 map[string]bool
	unread               []Value
	foreign              string   // see Config.Foreign
	defined              []string // see definedNames
	expanded             int      // against maxExpanded
	late                 bool     // the passes are over: what is added now gets none
}

func newLoader(r Request) *loader {
	l := &loader{req: r, set: r.Set, dir: r.Dir, used: map[string]bool{}, envBy: map[string]Author{}, opener: r.Opener,
		reported: map[Problem]bool{}, custom: map[string]customOption{}, first: map[string]*entry{}, readSource: readSource}
	if l.set == nil {
		l.set, _ = NewSet()
	}
	if l.opener == nil {
		l.opener = ownRights{}
	}
	if l.dir == "" {
		l.dir, _ = os.Getwd()
	}
	l.env = environment(r.Env)
	l.magic = newMagicTable(r, l.dir)
	l.magic.opener = l.opener
	return l
}

// fail reports an error in the main file as well as in a vassal's.
func (l *loader) fail(pos Pos, key, format string, args ...any) {
	l.report(Problem{Pos: pos, Key: key, Text: fmt.Sprintf(format, args...)})
}

// warn reports something that forbids nothing.
func (l *loader) warn(pos Pos, key, format string, args ...any) {
	l.report(Problem{Pos: pos, Key: key, Text: fmt.Sprintf(format, args...), Warning: true})
}

// mistake reports what we refuse and a real uWSGI gets along with: an error in
// the main file, a Tolerated warning in a vassal's.
func (l *loader) mistake(pos Pos, key, format string, args ...any) {
	p := Problem{Pos: pos, Key: key, Text: fmt.Sprintf(format, args...)}
	p.Warning, p.Tolerated = l.req.Vassal, l.req.Vassal
	l.report(p)
}

// report keeps a problem unless it is known already (a file may be included
// twice, a line looped over) or there are more than anybody reads.
func (l *loader) report(p Problem) {
	severity := 0
	if p.Warning {
		severity = 1
	}
	if l.reported[p] || l.counted[severity] >= maxProblems {
		return
	}
	l.counted[severity]++
	l.reported[p] = true
	l.problems = append(l.problems, p)
}

// add takes one line from any source: it passes the black- and whitelist, then
// an open block, then takes its place on the list. (add_exported_option of
// core/config.c.)
func (l *loader) add(e *entry) {
	if e.frame == nil {
		e.frame = l.frame
	}
	if e.frame != nil {
		e.by = l.both(e.by, e.frame.by)
	}
	if e.has {
		l.noteReferences(e.value)
	}
	if !l.allowed(e) {
		return
	}
	if l.running || !l.throughBlock(e) {
		l.append(e)
	}
}

// append puts the entry on the list and carries it out at once if its key is a
// directive that acts while reading.
func (l *loader) append(e *entry) {
	l.bytes += len(e.key) + len(e.value)
	if len(l.entries) >= maxEntries || l.bytes > maxListBytes {
		if !l.full {
			l.full = true
			l.fail(e.pos, e.key, "more than %d lines or %d MiB after includes and loops; the rest is not read", maxEntries, maxListBytes>>20)
		}
		return
	}
	e.literal = l.late
	l.entries = append(l.entries, e)
	if _, ok := l.first[e.key]; !ok && !l.isLate(e) {
		l.first[e.key] = e
	}
	if act, ok := immediate[e.key]; ok {
		e.applied = true
		act(l, e)
	}
}

// isLate reports whether the entry only asks for a value that comes later
// (Request.Late).
func (l *loader) isLate(e *entry) bool {
	marker, ok := l.req.Late[e.key]
	return ok && e.value == marker
}

// noteFile records a file for Config.Files.
func (l *loader) noteFile(path string) {
	if !slices.Contains(l.files, path) {
		l.files = append(l.files, path)
	}
}

// resolve makes a path absolute without cleaning it: ".." after a symbolic link
// is the kernel's to interpret.
func (l *loader) resolve(name string) string {
	return absolute(l.dir, strings.TrimPrefix(name, "./"))
}
