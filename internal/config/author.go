package config

import (
	"os"
	"syscall"
)

// Author is whose text a line is, where that decides with whose rights the files
// are opened that it names. 0 is whoever runs this process; other numbers are the
// Opener's.
type Author uint32

// Opener is how the files of a configuration are reached. Load knows no users. It
// keeps account of who wrote which line, with all that went into it (the file it
// stands in and whoever named that, placeholders, the block around it), and says
// so with every path. An Opener serves one Load at a time.
type Opener interface {
	// Open opens a file or directory, which a line of by names, for reading. It
	// never waits for anybody. The lines that are in it are author's.
	Open(path string, by Author) (file *os.File, author Author, err error)
	// Look runs f, which asks the file system about path, with the rights with which
	// Open would open it; f is not run where they cannot be had.
	Look(path string, by Author, f func())
	// Both is the author of what two have written together. It is asked only about
	// two that differ and are not 0.
	Both(a, b Author) Author
}

// Refusal is the error of an Open for which somebody's rights do not suffice. The
// text says whose, and what is in the way.
type Refusal struct{ Text string }

func (r *Refusal) Error() string { return r.Text }

// Unwrap makes errors.Is(err, fs.ErrPermission) true.
func (r *Refusal) Unwrap() error { return os.ErrPermission }

// both is the author of a line that is the work of two. Where one of them is the
// emperor the other counts: rights are only ever taken away on the way from the
// main file to a line.
func (l *loader) both(a, b Author) Author {
	switch {
	case a == 0:
		return b
	case b == 0 || a == b:
		return a
	}
	return l.opener.Both(a, b)
}

// ownRights opens everything with the rights of this process.
type ownRights struct{}

// Non-blocking, so that a pipe without a writer does not hold us.
const openFlags = os.O_RDONLY | syscall.O_NONBLOCK | syscall.O_NOCTTY

func (ownRights) Open(path string, _ Author) (*os.File, Author, error) {
	file, err := os.OpenFile(path, openFlags, 0)
	return file, 0, err
}

func (ownRights) Look(_ string, _ Author, f func()) { f() }

func (ownRights) Both(Author, Author) Author { return 0 }
