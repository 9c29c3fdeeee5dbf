package rights

import (
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// maxLinks is how many symbolic links the kernel follows (MAXSYMLINKS).
const maxLinks = 40

// step is one thing on the way of a path: a directory, a symbolic link, or
// (last) what is at its end.
type step struct {
	at   string // without links in it
	st   unix.Stat_t
	last bool
}

// follow goes the way of a path as the kernel does, step by step, beginning with
// the root, until take says to stop. The error is that of the first step that
// cannot be made, and at where that is.
func follow(path string, take func(s *step) (goOn bool)) (at string, err error) {
	s := step{at: "/"}
	rest := strings.Split(path, "/")
	visit := func(where string) (goOn bool, err error) {
		if err := unix.Lstat(where, &s.st); err != nil {
			return false, err
		}
		s.at = where
		s.last = !isLink(&s.st) && strings.Trim(strings.Join(rest, "/"), "./") == ""
		return take(&s), nil
	}
	at = "/"
	if goOn, err := visit(at); !goOn {
		return at, err
	}
	for links := 0; len(rest) > 0; {
		name := rest[0]
		rest = rest[1:]
		if name == "" || name == "." {
			continue
		}
		next := filepath.Join(at, name) // of ".." too: at has no links in it
		if goOn, err := visit(next); !goOn {
			return next, err
		}
		if !isLink(&s.st) {
			at = next
			continue
		}
		if links++; links > maxLinks {
			return next, unix.ELOOP
		}
		target, err := os.Readlink(next)
		if err != nil {
			return next, err
		}
		rest = append(strings.Split(target, "/"), rest...)
		if strings.HasPrefix(target, "/") {
			at = "/"
		}
		if goOn, err := visit(at); !goOn { // again: the way goes on from here
			return at, err
		}
	}
	return at, nil
}

func isLink(st *unix.Stat_t) bool { return st.Mode&unix.S_IFMT == unix.S_IFLNK }

// way is what root finds on a path before opening it.
type way struct {
	// chosen is the first on it who is not root; nil: it is root's all along.
	chosen *User
	// found, dev, ino: what is at its end.
	found    bool
	dev, ino uint64
}

// wayOf looks at every step of a path. Nobody but root can put another thing of
// root's in the place of one. (In a directory that others may write they can, by a
// hard link, where fs.protected_hardlinks is off; so there a file with several
// names is not taken as chosen by root.)
func wayOf(path string, user func(uid uint32) *User) way {
	var w way
	shared := false // others than root can write the directory gone into last
	_, _ = follow(path, func(s *step) bool {
		kind := s.st.Mode & unix.S_IFMT
		switch {
		case s.st.Uid != 0 && !s.last:
			w.chosen = user(s.st.Uid)
			return false
		case s.last && shared && kind == unix.S_IFREG && s.st.Nlink > 1:
			w.chosen = nobody
			return false
		}
		if kind == unix.S_IFDIR {
			shared = s.st.Mode&0o022 != 0
		}
		w.found, w.dev, w.ino = s.last, s.st.Dev, s.st.Ino
		return true
	})
	return w
}
