package monitor

import (
	"syscall"
	"time"
)

// A directory that was removed and made anew (git clone, rsync, an unpacked archive) is
// not full at once. Until nothing has come into it for a while, what is not in it may
// just not be there yet, and its vassal goes on.

// fillTime is how long that is.
const fillTime = 2 * time.Second

// root is what is known of a directory that a source's line names.
type root struct {
	rootSeen
	since   time.Time // when it was first seen as it is
	away    bool      // it was not there for a moment
	filling bool      // it is another than before, and not known to be full
}

// rootSeen is what a scan saw of one.
type rootSeen struct {
	real     string // its path without symlinks
	identity identity
	changed  int64 // its mtime: another when something has come into it, or gone
}

func rootOf(real string, st *syscall.Stat_t) rootSeen {
	return rootSeen{real, identity{uint64(st.Dev), st.Ino}, st.Mtim.Nano()}
}

// removed notes that a directory is no longer where it was: another that is there at the
// next scan may have its inode.
func (l *loop) removed(dir string) {
	for _, known := range l.roots {
		known.away = known.away || known.real == dir
	}
}

// keepWhileFilling makes the scan keep what it has not found in directories that are
// being filled.
func (l *loop) keepWhileFilling(s *scan, now time.Time, soon func(time.Duration)) {
	for path, known := range l.roots {
		if _, there := s.roots[path]; !there {
			known.away = true
		}
	}
	for path, seen := range s.roots {
		known := l.roots[path]
		if known == nil {
			known = &root{rootSeen: seen, since: now}
			l.roots[path] = known
		}
		known.filling = known.filling || known.away || known.identity != seen.identity
		if known.rootSeen != seen || known.away {
			known.rootSeen, known.since, known.away = seen, now, false
		}
		left := l.fillTime - now.Sub(known.since)
		if left <= 0 {
			known.filling = false
		}
		if known.filling {
			soon(left)
		}
	}
	for i := range s.set.sources {
		if source := &s.set.sources[i]; l.roots[source.root] != nil && l.roots[source.root].filling {
			s.unknown = append(s.unknown, unknownPlace{source, source.root})
		}
	}
}
