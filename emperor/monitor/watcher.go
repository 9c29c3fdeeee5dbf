package monitor

import (
	"errors"
	"path/filepath"
	"syscall"

	"github.com/fsnotify/fsnotify"
)

// watcher keeps the kernel's watches equal to the places of the last scan. It is
// used by the Monitor's goroutine only. Only directories are watched, by their path
// without symlinks: a watched file falls silent when it is replaced, and a watched
// symlink to a directory does when it is flipped.
type watcher struct {
	// Seams for tests of what a machine does that has reached a limit, or whose
	// files are elsewhere.
	make func() (*fsnotify.Watcher, error)
	add  func(notify *fsnotify.Watcher, dir string) error
	// kind tells what kind of file system holds a directory.
	kind func(dir string) fileSystem
	// notify is nil while the process can have none (128 instances per user).
	notify *fsnotify.Watcher
	have   map[string]watched
}

func newWatcher() watcher {
	return watcher{make: fsnotify.NewWatcher, add: (*fsnotify.Watcher).Add, kind: fileSystemOf}
}

// watched is one directory under watch. The inode tells it from another one that
// has its path later.
type watched struct {
	device, number uint64
	on             fileSystem
}

// open makes the fsnotify watcher unless there is one.
func (w *watcher) open() error {
	if w.notify != nil {
		return nil
	}
	notify, err := w.make()
	if err != nil {
		return err
	}
	w.notify = notify
	w.have = map[string]watched{}
	return nil
}

// close ends all watches and returns when fsnotify's goroutine has ended.
func (w *watcher) close() {
	if w.notify == nil {
		return
	}
	w.notify.Close()
	for range w.notify.Events { // closed by that goroutine, as its last act
	}
	w.notify, w.have = nil, nil
}

// events and errors are nil channels while there is no watcher.
func (w *watcher) events() <-chan fsnotify.Event {
	if w.notify == nil {
		return nil
	}
	return w.notify.Events
}

func (w *watcher) errors() <-chan error {
	if w.notify == nil {
		return nil
	}
	return w.notify.Errors
}

// sync watches what is in want and nothing else. added tells that a directory came
// under watch just now: what changed in it before was not seen, so scan again. all
// tells that the kernel reports whatever is made, written, renamed or removed in them.
// refused is called once for each reason why directories cannot be watched, or not
// reliably; dir is one of them where that helps.
func (w *watcher) sync(want places, refused func(dir, why string)) (added, all bool) {
	if err := w.open(); err != nil {
		refused("", watchError(err))
		return false, false
	}
	all = true
	var limited error
	reasons := map[string]string{} // why → the first directory, in order
	because := func(dir, why string) {
		if first, ok := reasons[why]; !ok || dir < first {
			reasons[why] = dir
		}
	}
	defer func() {
		for why, dir := range reasons {
			refused(dir, why)
		}
		if limited != nil {
			refused("", watchError(limited))
		}
	}()
	for dir := range w.have {
		if want[dir] == nil {
			w.drop(dir)
		}
	}
	for dir := range want {
		var st syscall.Stat_t
		if err := stat(dir, &st); err != nil {
			w.drop(dir) // gone since the scan; the next one will know
			all = false
			continue
		}
		known, ok := w.have[dir]
		if ok && (known.device != uint64(st.Dev) || known.number != uint64(st.Ino)) {
			w.drop(dir)
			ok = false
		}
		if !ok {
			switch err := w.add(w.notify, dir); {
			case errors.Is(err, syscall.ENOSPC):
				limited = err // whichever directories it hits
				all = false
				continue
			case err != nil:
				because(dir, err.Error())
				all = false
				continue
			}
			known = watched{uint64(st.Dev), uint64(st.Ino), w.kind(dir)}
			w.have[dir] = known
			added = true
		}
		if known.on.shared != "" {
			because(dir, known.on.shared+" does not tell what other machines change")
		}
		all = all && known.on.tellsAll
	}
	return added, all
}

// stand tells whether each path under watch still leads to the directory that is
// watched. No event tells that a folder further up was renamed, or that something was
// mounted there.
func (w *watcher) stand() bool {
	for dir, known := range w.have {
		var st syscall.Stat_t
		if stat(dir, &st) != nil || known.device != uint64(st.Dev) || known.number != uint64(st.Ino) {
			return false
		}
	}
	return true
}

// drop ends the watch of dir. It is also called when the kernel ended it, because
// dir was removed, renamed or unmounted: its inode number may be used again at once,
// so the next sync could not tell.
func (w *watcher) drop(dir string) {
	if _, ok := w.have[dir]; ok {
		delete(w.have, dir)
		_ = w.notify.Remove(dir) // an error says that it is gone already
	}
}

// owns splits the name in an event into directory and file; self means that the
// directory itself is meant.
func (w *watcher) owns(event string) (dir, name string, self bool) {
	if _, ok := w.have[event]; ok {
		return event, "", true
	}
	return filepath.Dir(event), filepath.Base(event), false
}

// watchError says what inotify's two limits are called; their errno misleads.
func watchError(err error) string {
	switch {
	case errors.Is(err, syscall.ENOSPC):
		return "the limit of watches is reached, see sysctl fs.inotify.max_user_watches"
	case errors.Is(err, syscall.EMFILE):
		return "the limit of watchers is reached, see sysctl fs.inotify.max_user_instances"
	}
	return err.Error()
}
