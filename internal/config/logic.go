package config

import (
	"bufio"
	"bytes"
	"os"
	"regexp"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// block is an open if-… or for…. As in uWSGI its condition is asked again for
// each line in it.
type block struct {
	opener, arg string
	pos         Pos
	frame       *frame
	by          Author   // whose lines in it are, at most
	otherwise   bool     // after else
	items       []string // what for… goes through, once listed
	listed      bool
}

// closers close any block, whichever opened it.
var closers = map[string]bool{"end": true, "endif": true, "end-if": true, "endfor": true, "end-for": true}

// openers maps every spelling of an opener to the condition it asks; "for…" ones
// map to themselves. A leading "!" inverts.
var openers = map[string]string{
	"if-env": "env", "ifenv": "env", "if-not-env": "!env",
	"if-opt": "opt", "if-not-opt": "!opt",
	"if-exists": "exists", "ifexists": "exists", "if-not-exists": "!exists",
	"if-file": "file", "if-not-file": "!file",
	"if-dir": "dir", "ifdir": "dir", "if-directory": "dir", "if-not-dir": "!dir",
	"if-plugin": "plugin", "ifplugin": "plugin", "if-not-plugin": "!plugin",
	"if-hostname": "hostname", "if-not-hostname": "!hostname",
	"if-hostname-match": "hostname-match", "if-not-hostname-match": "!hostname-match",
	"if-reload": "reload", "if-not-reload": "!reload",
	"for": "for", "for-glob": "for-glob", "for-times": "for-times", "for-readline": "for-readline",
}

// open starts a block.
func (l *loader) open(e *entry) {
	if l.block != nil {
		l.fail(e.pos, e.key, "blocks cannot be nested: the %s of %s is still open", l.block.opener, l.block.pos)
		return
	}
	if e.value == "" && !strings.HasSuffix(openers[e.key], "reload") {
		l.mistake(e.pos, e.key, "want a value to test, got nothing")
	}
	l.block = &block{opener: e.key, arg: e.value, pos: e.pos, frame: e.frame, by: e.by}
}

// throughBlock handles a line that opens nothing by itself but may close a block
// or stand in one. It reports whether the line was dealt with.
func (l *loader) throughBlock(e *entry) bool {
	switch {
	case closers[e.key]:
		if l.block == nil {
			l.mistake(e.pos, e.key, "closes nothing: no if-… or for… is open here")
		}
		l.block = nil
		return false // it stays on the list, as any line
	case e.key == "else":
		return l.otherwise(e)
	case l.block == nil:
		return false
	}
	if openers[e.key] != "" && !l.selects(l.block) {
		// In uWSGI the opener of a skipped block is skipped with it, and the first
		// closer then ends the outer block: never what was meant.
		l.mistake(e.pos, e.key, "blocks cannot be nested: the %s of %s is still open", l.block.opener, l.block.pos)
		return true
	}
	l.runBlock(e)
	return true
}

// otherwise is else: ours in the main file, where uWSGI 2.0 has none (2.1 does).
func (l *loader) otherwise(e *entry) bool {
	if l.req.Vassal {
		l.mistake(e.pos, e.key, "uWSGI 2.0 has no else and takes it for one more line of the block")
		if l.block != nil {
			l.runBlock(e)
			return true
		}
		return false
	}
	switch {
	case l.block == nil || strings.HasPrefix(l.block.opener, "for"):
		l.fail(e.pos, e.key, "no if-… is open here")
	case l.block.otherwise:
		l.fail(e.pos, e.key, "a second else for the %s of %s", l.block.opener, l.block.pos)
	default:
		l.block.otherwise = true
	}
	return true
}

// selects reports whether a block's lines count at all.
func (l *loader) selects(b *block) bool {
	rounds := l.rounds(b)
	return len(rounds) > 0
}

// round is one execution of a line, with the value of %(_) in it.
type round struct {
	context string
	has     bool // whether %(_) means anything
	unknown bool // whether the line counts is not known
}

// runBlock executes one line in the open block, once for each round.
func (l *loader) runBlock(e *entry) {
	if l.full {
		return
	}
	for _, r := range l.rounds(l.block) {
		line := *e
		if r.has {
			if strings.Count(line.value, "%(_)")*len(r.context) > maxValueBytes {
				l.fail(e.pos, e.key, "the value comes to more than %d MiB", maxValueBytes>>20)
				return
			}
			line.value = strings.ReplaceAll(line.value, "%(_)", r.context)
		}
		line.unknown = line.unknown || r.unknown
		line.by = l.both(line.by, l.block.by)
		l.running = true
		l.append(&line)
		l.running = false
		if l.full {
			return
		}
	}
}

// rounds asks the block's condition.
func (l *loader) rounds(b *block) []round {
	kind := openers[b.opener]
	switch kind {
	case "for", "for-glob", "for-times", "for-readline":
		var out []round
		if !b.listed { // asked once a block, not once a line
			b.items, b.listed = l.items(b, kind), true
		}
		for _, item := range b.items {
			out = append(out, round{context: item, has: true})
		}
		return out
	}
	name, inverted := strings.CutPrefix(kind, "!")
	if l.req.Vassal && (name == "plugin" || name == "reload") {
		// Which plugins a uWSGI has and which of our generations counts as a reload
		// is not known here.
		return []round{{context: b.arg, has: name == "plugin", unknown: true}}
	}
	truth, context, has := l.test(b, name)
	if truth == (inverted == b.otherwise) {
		return []round{{context: context, has: has && !b.otherwise}}
	}
	return nil
}

// test evaluates a condition; context is what %(_) becomes.
func (l *loader) test(b *block, name string) (truth bool, context string, has bool) {
	arg := b.arg
	switch name {
	case "env":
		return testPair(arg, func(key string) (string, bool) {
			v, ok := l.env[key]
			b.by = l.both(b.by, l.envBy[key])
			return v, ok
		})
	case "opt":
		return testPair(arg, func(key string) (string, bool) {
			e, ok := l.first[key]
			if !ok || !e.has && e.pos.File == "" {
				return "", false
			}
			b.by = l.both(b.by, e.by)
			return e.value, true
		})
	case "exists", "file", "dir":
		return l.testFile(name, l.resolve(arg), b.by), arg, true
	case "hostname":
		return hostname() == arg, arg, true
	case "hostname-match":
		pattern, err := regexp.Compile(arg)
		if err != nil {
			l.mistake(b.pos, b.opener, "bad regular expression %q: %v", arg, err)
			return false, arg, true
		}
		return pattern.MatchString(hostname()), arg, true
	}
	return false, arg, true // plugin and reload: this program has no plugins and never is a reload
}

// testFile is if-exists, if-file and if-dir.
func (l *loader) testFile(name, path string, by Author) (truth bool) {
	l.opener.Look(path, by, func() {
		if name == "exists" {
			// By the effective user, as the rights to open it are (access(2) asks for the
			// real one).
			truth = unix.Faccessat(unix.AT_FDCWD, path, unix.R_OK, unix.AT_EACCESS) == nil
			return
		}
		info, err := os.Stat(path)
		truth = err == nil && (name == "file" && info.Mode().IsRegular() || name == "dir" && info.IsDir())
	})
	return truth
}

// testPair is "K" (is it there?) or "K=V" (is it V?). Inverted conditions know
// the value too, where there is one.
func testPair(arg string, lookup func(string) (string, bool)) (truth bool, context string, has bool) {
	key, want, compare := strings.Cut(arg, "=")
	got, ok := lookup(key)
	return ok && (!compare || got == want), got, ok
}

// items lists what a for… goes through.
func (l *loader) items(b *block, kind string) []string {
	switch kind {
	case "for":
		return strings.FieldsFunc(b.arg, func(r rune) bool { return r == ' ' })
	case "for-times":
		n, _ := strconv.Atoi(leadingDigits(b.arg))
		n = min(n, maxEntries+1)
		items := make([]string, 0, n)
		for i := 1; i <= n; i++ {
			items = append(items, strconv.Itoa(i))
		}
		return items
	case "for-glob":
		var matches []string
		complete := true
		l.opener.Look(absolute(l.dir, b.arg), b.by, func() { matches, complete = glob(l.dir, b.arg, maxGlobbed) })
		if !complete {
			l.fail(b.pos, b.opener, "the pattern looks at more than %d files", maxGlobbed)
		}
		if len(matches) == 0 {
			matches = []string{b.arg} // GLOB_NOCHECK: no match yields the pattern
		}
		return matches
	}
	return l.lines(b)
}

// lines reads a for-readline file: as uWSGI, 1023 bytes at most at a time, empty
// lines included, one line end taken off.
func (l *loader) lines(b *block) []string {
	data, by, ok := l.readPlain(b.arg, b.pos, b.opener, b.by)
	if !ok {
		return nil
	}
	b.by = l.both(b.by, by)
	var out []string
	reader := bufio.NewReaderSize(bytes.NewReader(data), 1024)
	for len(out) <= maxEntries {
		line, err := readLine(reader, 1023)
		if line != "" {
			out = append(out, strings.TrimSuffix(line, "\n"))
		}
		if err != nil {
			break
		}
	}
	return out
}

// readLine is fgets: at most limit bytes, the newline included.
func readLine(r *bufio.Reader, limit int) (string, error) {
	var line []byte
	for len(line) < limit {
		c, err := r.ReadByte()
		if err != nil {
			return string(line), err
		}
		line = append(line, c)
		if c == '\n' {
			break
		}
	}
	return string(line), nil
}

// closeBlock reports a block that the end of the input left open.
func (l *loader) closeBlock() {
	if l.block != nil {
		l.unclosed()
		l.block = nil
	}
}

func (l *loader) unclosed() {
	l.mistake(l.block.pos, l.block.opener, "this block is never closed: everything after it is skipped or repeated with it (want %s before the end of the file)", closerFor(l.block.opener))
}

func closerFor(opener string) string {
	if strings.HasPrefix(opener, "for") {
		return "endfor ="
	}
	return "endif ="
}
