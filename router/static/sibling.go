package static

import (
	"hash/maphash"
	"sync/atomic"
	"time"

	"emperor/router/compress"
)

// siblingOrder is in which order siblings are looked for that a client likes the
// same: the smallest first.
var siblingOrder = [...]compress.Encoding{compress.Brotli, compress.Zstd, compress.Gzip}

var endings = [...]string{compress.Brotli: ".br", compress.Zstd: ".zst", compress.Gzip: ".gz"}

// preferSibling opens the file's compressed sibling that the client likes best, in
// place of the file.
func (s *Site) preferSibling(root *root, a *Answer, now time.Time) compress.Encoding {
	if a.accepted.Choose(siblingOrder[:]) == compress.Identity {
		return compress.Identity
	}
	entry := s.alone.entry(root, a.name, &a.accepted)
	if entry.fresh(now) {
		return compress.Identity
	}
	offered := siblingOrder
	name := len(a.name)
	for left := offered[:]; len(left) > 0; {
		encoding := a.accepted.Choose(left)
		if encoding == compress.Identity {
			break
		}
		a.name = append(append(a.name, endings[encoding]...), 0)
		err := s.open(root, a.name, &a.other)
		a.name = a.name[:name]
		if err == nil {
			if !a.other.folder() && a.other.upToDate(&a.file) {
				a.file.close()
				a.file, a.other.open = a.other, false
				return encoding
			}
			a.other.close()
		}
		for i := range left {
			if left[i] == encoding {
				copy(left[i:], left[i+1:])
				left = left[:len(left)-1]
				break
			}
		}
	}
	entry.remember(now)
	return compress.Identity
}

// upToDate tells whether a compressed sibling holds what the file does. One that is
// older was forgotten when the file was edited. (Two seconds are what copying a tree
// may change of the order.)
func (f *file) upToDate(original *file) bool { return f.stat.Mtim.Sec >= original.stat.Mtim.Sec-2 }

// alone remembers for a second which files have no sibling: to look for three that
// are not there costs as much as everything else about a small file. An entry that
// is wrong, or overwritten by that of another file, costs nothing but a response
// that is larger than it could be.
type alone struct {
	seed    maphash.Seed
	entries [1024]atomic.Uint64 // what was looked for, and in which second
}

type aloneEntry struct {
	at   *atomic.Uint64
	hash uint64
}

const secondBits = 16

func (a *alone) entry(root *root, name []byte, accepted *compress.Accepted) aloneEntry {
	hash := maphash.Bytes(a.seed, name) ^ mix(root.identity.inode) ^ mix(maphash.Comparable(a.seed, *accepted))
	return aloneEntry{at: &a.entries[hash%uint64(len(a.entries))], hash: hash &^ (1<<secondBits - 1)}
}

func (e aloneEntry) fresh(now time.Time) bool {
	return e.at.Load() == e.hash|second(now)
}

func (e aloneEntry) remember(now time.Time) { e.at.Store(e.hash | second(now)) }

func second(now time.Time) uint64 { return uint64(now.Unix()) & (1<<secondBits - 1) }
