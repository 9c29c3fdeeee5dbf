package logsink

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Hand is whose rights are used on files (package rights).
type Hand interface {
	// Append opens a file for writing at its end, and makes it where there is none.
	Append(path string, mode fs.FileMode) (*os.File, error)
	// Do calls f, which does something to what is at path.
	Do(path string, f func() error) error
}

// FileRules say how a log file is kept. They are plain data.
type FileRules struct {
	MaxSize    int64  // rotate when it is larger; 0: never
	BackupName string // what a rotated file is called; empty: the file's name, a dot, the time
	Backups    int    // how many rotated files stay; 0: all
	Truncate   bool   // begin with an empty file
	Mode       fs.FileMode
	Chown      bool // to UID and GID
	UID, GID   int
	// The files that are touched to order a reopening or a rotation.
	TouchReopen, TouchRotate string // separated by line feeds
}

// ownMode is uWSGI's.
const ownMode fs.FileMode = 0o640

// file is a log file.
type file struct {
	path  string
	rules FileRules
	hand  Hand
	log   *slog.Logger
	now   func() time.Time

	open      *os.File // nil: to be opened
	device    uint64
	inode     uint64
	regular   bool // and so it can be moved away, and rotated
	size      int64
	truncated bool
	torn      bool // the last byte written was not the end of a line
	skip      bool // the file was exchanged in the middle of a line
	touched   map[string]int64
	complaint string // what was said of a rotation that failed
	second    int64  // of the last rotation
	again     int    // how many there were in it
}

// NewFile makes the device of a file; it is opened at the first Write.
func NewFile(path string, rules FileRules, hand Hand, log *slog.Logger) Device {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	if rules.Mode == 0 {
		rules.Mode = ownMode
	}
	f := &file{path: path, rules: rules, hand: hand, log: log, now: time.Now, touched: map[string]int64{}}
	for _, name := range f.touchFiles() {
		f.touched[name] = touchTime(name)
	}
	return f
}

func (f *file) touchFiles() []string {
	return strings.FieldsFunc(f.rules.TouchReopen+"\n"+f.rules.TouchRotate, func(r rune) bool { return r == '\n' })
}

// ensure opens the file.
func (f *file) ensure() error {
	if f.open != nil {
		return nil
	}
	opened, err := f.hand.Append(f.path, f.rules.Mode)
	if err != nil {
		return err
	}
	info, err := opened.Stat()
	if err != nil {
		opened.Close()
		return err
	}
	st := info.Sys().(*syscall.Stat_t)
	f.open, f.device, f.inode, f.size, f.regular = opened, uint64(st.Dev), st.Ino, st.Size, info.Mode().IsRegular()
	if f.rules.Truncate && !f.truncated && f.regular && opened.Truncate(0) == nil {
		f.size = 0
	}
	f.truncated = true
	if f.regular {
		f.own(info)
	}
	return nil
}

// own gives the file the mode and owner that are asked for, as whoever opened it.
func (f *file) own(info fs.FileInfo) {
	err := f.hand.Do(f.path, func() error {
		var failed error
		if f.rules.Mode != ownMode && info.Mode().Perm() != f.rules.Mode.Perm() {
			failed = f.open.Chmod(f.rules.Mode)
		}
		if st := info.Sys().(*syscall.Stat_t); f.rules.Chown && (int(st.Uid) != f.rules.UID || int(st.Gid) != f.rules.GID) {
			failed = errors.Join(failed, f.open.Chown(f.rules.UID, f.rules.GID))
		}
		return failed
	})
	if err != nil {
		f.log.Warn("the log file keeps its mode or owner", "file", f.path, "err", err)
	}
}

func (f *file) close() {
	if f.open != nil {
		f.open.Close()
		f.open = nil
	}
}

func (f *file) Close() { f.close() }

func (f *file) Write(p []byte) (n int, err error) {
	if err := f.ensure(); err != nil {
		return 0, err
	}
	for len(p) > 0 {
		if f.skip {
			// The start of this line is in the file that was here before.
			f.skip = false
			if end := bytes.IndexByte(p, '\n') + 1; end > 0 {
				p, n = p[end:], n+end
				continue
			}
		}
		piece := p[:f.untilFull(p)]
		written, err := f.open.Write(piece)
		if written > 0 {
			f.torn = piece[written-1] != '\n'
			f.size += int64(written)
			n, p = n+written, p[written:]
		}
		if err != nil {
			return n, err
		}
		if f.full() && !f.torn {
			f.grown()
			if err := f.ensure(); err != nil {
				return n, err
			}
		}
	}
	return n, nil
}

// untilFull is how much of p is written before the file is as large as it may be: to
// the end of the line in which it becomes so.
func (f *file) untilFull(p []byte) int {
	if f.rules.MaxSize <= 0 || !f.regular {
		return len(p)
	}
	left := f.rules.MaxSize - f.size
	switch {
	case left >= int64(len(p)):
		return len(p)
	case left < 0:
		left = 0
	}
	if end := bytes.IndexByte(p[left:], '\n'); end >= 0 {
		return int(left) + end + 1
	}
	return len(p)
}

func (f *file) full() bool { return f.rules.MaxSize > 0 && f.regular && f.size > f.rules.MaxSize }

// grown rotates a file that has become too large. What goes wrong is said once; then
// the file grows on by as much again before the next try.
func (f *file) grown() {
	var st syscall.Stat_t
	if raw, err := f.open.SyscallConn(); err == nil {
		_ = raw.Control(func(fd uintptr) { err = syscall.Fstat(int(fd), &st) })
		if err == nil && st.Size <= f.rules.MaxSize { // somebody has truncated it
			f.size = st.Size
			return
		}
	}
	err := f.Rotate()
	if err == nil {
		f.complaint = ""
		return
	}
	f.size = 0
	if f.complaint != err.Error() {
		f.complaint = err.Error()
		f.log.Error("the log file is larger than log-maxsize and cannot be rotated; it grows on", "file", f.path, "err", err)
	}
}

// Reopen closes the file; the next Write opens what has its name then. The error is
// that nothing has.
func (f *file) Reopen() error {
	f.exchange()
	return f.ensure()
}

// exchange closes the file, for another of its name.
func (f *file) exchange() {
	if f.open != nil && f.regular {
		f.skip, f.torn = f.torn, false
	}
	f.close()
}

// moved tells whether the file's name stands for another file, or for none.
func (f *file) moved() bool {
	var st syscall.Stat_t
	err := syscall.Stat(f.path, &st)
	return errors.Is(err, syscall.ENOENT) || err == nil && (uint64(st.Dev) != f.device || st.Ino != f.inode)
}

// Look opens the file anew that has the name now, if it is another.
func (f *file) Look() {
	reopen := f.open != nil && f.regular && f.moved()
	rotate := false
	for _, name := range f.touchFiles() {
		if at := touchTime(name); at != f.touched[name] {
			f.touched[name] = at
			if at != 0 {
				reopen = true
				rotate = rotate || slices.Contains(strings.Split(f.rules.TouchRotate, "\n"), name)
			}
		}
	}
	switch {
	case rotate:
		if err := f.Rotate(); err != nil {
			f.log.Error("the log file cannot be rotated", "file", f.path, "err", err)
		}
	case reopen:
		f.exchange()
		_ = f.ensure() // what is wrong the next Write says
	}
}

func touchTime(name string) int64 {
	info, err := os.Stat(name)
	if err != nil {
		return 0
	}
	return info.ModTime().UnixNano()
}

// Rotate renames the file and begins a new one. Where somebody else has done that
// already (another emperor, logrotate) the new one is taken.
func (f *file) Rotate() error {
	if err := f.ensure(); err != nil {
		return err
	}
	if !f.regular {
		return fmt.Errorf("%s is no regular file", f.path)
	}
	unlock := oneAtATime(f.path)
	defer unlock()
	if f.moved() {
		return f.Reopen()
	}
	err := f.hand.Do(f.path, func() error {
		if f.rules.BackupName != "" {
			return os.Rename(f.path, f.rules.BackupName)
		}
		return f.renameByTime()
	})
	if err != nil {
		return err
	}
	if err := f.Reopen(); err != nil {
		return err
	}
	if f.rules.Backups > 0 && f.rules.BackupName == "" {
		if err := f.hand.Do(f.path, f.removeOld); err != nil {
			f.log.Warn("old log files cannot be removed", "file", f.path, "err", err)
		}
	}
	return nil
}

// rotations has a lock for each path: two sinks with different rules may have one file,
// and must not both rename it.
var rotations sync.Map

func oneAtATime(path string) (unlock func()) {
	lock, _ := rotations.LoadOrStore(path, new(sync.Mutex))
	lock.(*sync.Mutex).Lock()
	return lock.(*sync.Mutex).Unlock
}

// renameByTime gives it uWSGI's name for a rotated file, the seconds since 1970 behind
// a dot; and, unlike uWSGI, another where the second has one already.
func (f *file) renameByTime() error {
	second := f.now().Unix()
	if second != f.second {
		f.second, f.again = second, 0
	}
	name := f.path + "." + strconv.FormatInt(second, 10)
	for again := f.again; ; again++ {
		to := name
		if again > 0 {
			to += "." + strconv.Itoa(again)
		}
		err := unix.Renameat2(unix.AT_FDCWD, f.path, unix.AT_FDCWD, to, unix.RENAME_NOREPLACE)
		if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOSYS) { // a file system that cannot do that
			if _, lookErr := os.Lstat(to); lookErr == nil {
				err = unix.EEXIST
			} else {
				err = os.Rename(f.path, to)
			}
		}
		switch {
		case err == nil:
			f.again = again + 1 // a name that is free again would pass for an older one
			return nil
		case !errors.Is(err, unix.EEXIST):
			return &os.LinkError{Op: "rename", Old: f.path, New: to, Err: err}
		}
	}
}

// removeOld removes rotated files, oldest first, until no more are left than are kept.
func (f *file) removeOld() error {
	entries, err := os.ReadDir(filepath.Dir(f.path))
	if err != nil {
		return err
	}
	type backup struct {
		name  string
		at, n int64
	}
	var backups []backup
	for _, e := range entries {
		rest, ok := strings.CutPrefix(e.Name(), filepath.Base(f.path)+".")
		if !ok || !e.Type().IsRegular() {
			continue
		}
		at, n, more := strings.Cut(rest, ".")
		b := backup{name: e.Name()}
		var wrong, wrongToo error
		b.at, wrong = strconv.ParseInt(at, 10, 64)
		if more {
			b.n, wrongToo = strconv.ParseInt(n, 10, 64)
		}
		// As many digits as uWSGI's names have: logrotate's .1 is not ours.
		if wrong == nil && wrongToo == nil && len(at) >= 9 {
			backups = append(backups, b)
		}
	}
	slices.SortFunc(backups, func(a, b backup) int {
		if a.at != b.at {
			return int(a.at - b.at)
		}
		return int(a.n - b.n)
	})
	for len(backups) > f.rules.Backups {
		err = errors.Join(err, os.Remove(filepath.Join(filepath.Dir(f.path), backups[0].name)))
		backups = backups[1:]
	}
	return err
}
