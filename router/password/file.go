package password

import (
	"bytes"
	"fmt"
	"hash/maphash"
	"sync/atomic"
)

// File is the users of one htpasswd file and what was found right of late. It is
// safe for concurrent use. A changed file is a new File: nobody stays in by
// memory.
type File struct {
	users map[string]user
	all   []user // in the order of the file
	seed  maphash.Seed

	turn    chan struct{} // who has it may compute a slow hash
	waiting atomic.Int64  // for turn
	memory  memory
}

type user struct {
	name string
	hash hash
}

// Problem is a line of a file that lets nobody in, or has a weakness.
type Problem struct {
	Line int
	Text string // what is wrong and what to do
	Warn bool   // the line counts all the same
}

func (p Problem) String() string { return fmt.Sprintf("line %d: %s", p.Line, p.Text) }

// longest is how long a name or a password may be: the work of most hashes grows
// with it.
const longest = 256

// Parse reads an htpasswd file: one user:hash a line, # begins a comment line. It
// knows bcrypt ($2a$ $2b$ $2y$), SHA-crypt ($5$ $6$), MD5 ($apr1$ $1$), {SHA},
// {SSHA}, {PLAIN} and DES's crypt. Lines with a problem are left out, the others
// count.
func Parse(content []byte) (*File, []Problem) {
	f := newFile()
	var problems []Problem
	number := 0
	for line := range bytes.Lines(content) {
		number++
		line = bytes.TrimRight(line, " \t\r\n")
		if trimmed := bytes.TrimLeft(line, " \t"); len(trimmed) == 0 || trimmed[0] == '#' {
			continue
		}
		complain := func(warn bool, format string, a ...any) {
			problems = append(problems, Problem{Line: number, Text: fmt.Sprintf(format, a...), Warn: warn})
		}
		name, text, ok := bytes.Cut(line, []byte(":"))
		text, _, _ = bytes.Cut(text, []byte(":")) // some write a comment behind
		switch {
		case !ok || len(name) == 0 || len(text) == 0:
			complain(false, "want user:hash, as htpasswd -B writes it")
			continue
		case len(name) > longest:
			complain(false, "the name is longer than %d bytes", longest)
			continue
		}
		if _, twice := f.users[string(name)]; twice {
			complain(true, "%q is there twice, the first line counts", name)
			continue
		}
		h, warning, err := parseHash(string(text))
		if err != nil {
			complain(false, "%q: %v", name, err)
			continue
		}
		if warning != "" {
			complain(true, "%q: %s", name, warning)
		}
		f.add(string(name), h)
	}
	return f, problems
}

// Single is the file with this one user, for a password written in a rule.
func Single(name, password string) *File {
	f := newFile()
	f.add(name, newPlain(password))
	return f
}

func newFile() *File {
	f := &File{users: map[string]user{}, seed: maphash.MakeSeed(), turn: make(chan struct{}, 1)}
	f.memory.init()
	return f
}

func (f *File) add(name string, h hash) {
	u := user{name, h}
	f.users[name] = u
	f.all = append(f.all, u)
}

// Len is the number of users.
func (f *File) Len() int { return len(f.all) }

// find returns the user of a name. known is false if there is none, and u one whose
// hash costs what that of a user would: which one depends on the name alone, so that
// trying twice tells nothing.
func (f *File) find(name []byte) (u user, known bool) {
	if u, known = f.users[string(name)]; known {
		return u, true
	}
	return f.all[maphash.Bytes(f.seed, name)%uint64(len(f.all))], false
}
