package monitor

import (
	"crypto/sha256"
	"encoding/binary"
	"hash"
	"path/filepath"
	"syscall"
	"time"
)

// Stamp is what a file looked like: equal stamps, same file. It is comparable
// with ==; the zero Stamp stands for "not there".
type Stamp struct {
	File Inode // the file, at the end of all symlinks
	Link Inode // the path's own inode if that is a symlink, else zero
	// Owners are who owns File and Link; zero unless Options ask for them.
	Owners [2]Owner
}

// Owner is a user and a group.
type Owner struct{ User, Group uint32 }

// Inode is the part of a stat that a Stamp compares. The owner and mode are left
// out: chmod is no reason to reload.
type Inode struct {
	Device, Number uint64
	Size           int64 // bytes
	ModTime        int64 // nanoseconds since 1970
}

// observation is a Stamp and when the file was last written, renamed or linked.
type observation struct {
	stamp Stamp
	// changed is the latest ctime of file and link. Unlike mtime nobody can set it,
	// so a file that was moved here with an old mtime is still known to be new.
	changed time.Time
	// otherNames: the file has further hard links. What is written by one of those
	// names causes no event in the directory of ours.
	otherNames bool
}

// young tells whether a write after the look might still leave no trace, or whether
// the writer may not be done. A ctime in the future (the clock was set back) counts
// by its distance, so it cannot keep a file young for long.
func (o observation) young(now time.Time, debounce time.Duration) bool {
	return o.stamp != Stamp{} && now.Sub(o.changed).Abs() < debounce
}

// inodeOf is the part of st that a Stamp holds.
func inodeOf(st *syscall.Stat_t) Inode {
	return Inode{
		Device:  uint64(st.Dev),
		Number:  uint64(st.Ino),
		Size:    st.Size,
		ModTime: st.Mtim.Nano(),
	}
}

// ownerOf is who owns it, where that counts.
func (s *scan) ownerOf(st *syscall.Stat_t) Owner {
	if !s.set.owners {
		return Owner{}
	}
	return Owner{st.Uid, st.Gid}
}

func changeTime(st *syscall.Stat_t) time.Time { return time.Unix(0, st.Ctim.Nano()) }

func hasOtherNames(st *syscall.Stat_t) bool { return isKind(st, syscall.S_IFREG) && st.Nlink > 1 }

// isKind compares the file type of st with one of the S_IF constants.
func isKind(st *syscall.Stat_t, kind uint32) bool { return st.Mode&syscall.S_IFMT == kind }

// observe looks at a further file (see Watch), following symlinks. Whatever cannot
// be looked at counts as not there.
func observe(path string) observation {
	var link, file syscall.Stat_t
	if lstat(path, &link) != nil {
		return observation{}
	}
	o := observation{changed: changeTime(&link)}
	if !isKind(&link, syscall.S_IFLNK) {
		o.stamp.File, o.otherNames = inodeOf(&link), hasOtherNames(&link)
		return o
	}
	o.stamp.Link = inodeOf(&link)
	if stat(path, &file) == nil {
		o.stamp.File, o.otherNames = inodeOf(&file), hasOtherNames(&file)
		if t := changeTime(&file); t.After(o.changed) {
			o.changed = t
		}
	}
	return o
}

// Fingerprint sums up the stamps of several files. Compare with ==; the zero value
// is that of no files.
type Fingerprint [sha256.Size]byte

// FingerprintOf looks at the files now. Take it before reading them and again
// after: equal values mean that what was read belongs together. While a file is
// younger than the debounce time the value is different each time, because a write
// within the clock's grain would leave no trace; Snapshot.Owners holds only settled
// values, so a reader that was too early is told to read again.
func FingerprintOf(files []string) Fingerprint {
	now := time.Now()
	anyYoung := false
	f := fingerprint(files, func(path string) Stamp {
		o := observe(filepath.Clean(path))
		anyYoung = anyYoung || o.young(now, defaultDebounce)
		return o.stamp
	})
	if anyYoung {
		binary.LittleEndian.PutUint64(f[:], uint64(time.Now().UnixNano()))
	}
	return f
}

// fingerprint sums up files whose stamps are told by stampOf.
func fingerprint(files []string, stampOf func(path string) Stamp) Fingerprint {
	if len(files) == 0 {
		return Fingerprint{}
	}
	h := sha256.New()
	for _, file := range files {
		file = filepath.Clean(file)
		s := stampOf(file)
		h.Write([]byte(file))
		h.Write([]byte{0}) // no path holds it, so that no two lists look alike
		writeInode(h, s.File)
		writeInode(h, s.Link)
	}
	return Fingerprint(h.Sum(nil))
}

func writeInode(h hash.Hash, i Inode) {
	var b [32]byte
	binary.LittleEndian.PutUint64(b[0:], i.Device)
	binary.LittleEndian.PutUint64(b[8:], i.Number)
	binary.LittleEndian.PutUint64(b[16:], uint64(i.Size))
	binary.LittleEndian.PutUint64(b[24:], uint64(i.ModTime))
	h.Write(b[:])
}

// lstat and stat are the system calls, tried again when a signal interrupts them
// (which network file systems let happen).
func lstat(path string, st *syscall.Stat_t) error {
	return ignoringEINTR(func() error { return syscall.Lstat(path, st) })
}

func stat(path string, st *syscall.Stat_t) error {
	return ignoringEINTR(func() error { return syscall.Stat(path, st) })
}

func ignoringEINTR(call func() error) error {
	for {
		if err := call(); err != syscall.EINTR {
			return err
		}
	}
}
