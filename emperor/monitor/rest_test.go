package monitor

import (
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/fsnotify/fsnotify"
)

func local(string) fileSystem { return fileSystem{tellsAll: true} }

// Who reports every change need not be asked; who may not is asked every three seconds.
func TestScansAtRest(t *testing.T) {
	tests := []struct {
		name    string
		files   int
		options Options
		make    func(t *testing.T, dir string, l *loop)
		pause   time.Duration // between two scans
	}{
		{name: "few files, which cost nothing", files: 3, pause: 3 * time.Second},
		{name: "thousands of files", files: 2000, pause: time.Minute},
		{name: "a frequency that was asked for", files: 400, options: Options{Frequency: 10 * time.Second}, pause: 10 * time.Second},
		{name: "a link into another folder", files: 400, make: func(t *testing.T, dir string, _ *loop) {
			target := filepath.Join(t.TempDir(), "shop.ini")
			write(t, target, "")
			must(t, os.Symlink(target, filepath.Join(dir, "shop.ini")))
		}, pause: (401 + 2) * restPerPath},
		{name: "a file with another name elsewhere", files: 400, make: func(t *testing.T, dir string, _ *loop) {
			must(t, os.Link(filepath.Join(dir, "0.ini"), filepath.Join(dir, "other name")))
		}, pause: 3 * time.Second},
		{name: "a link to a file with another name", files: 400, make: func(t *testing.T, dir string, _ *loop) {
			target := filepath.Join(t.TempDir(), "shop.ini")
			write(t, target, "")
			must(t, os.Link(target, target+".other"))
			must(t, os.Symlink(target, filepath.Join(dir, "shop.ini")))
		}, pause: 3 * time.Second},
		{name: "an included file with another name", files: 400, make: func(t *testing.T, _ string, l *loop) {
			include := filepath.Join(t.TempDir(), "include")
			write(t, include, "")
			must(t, os.Link(include, include+".other"))
			l.Watch("shop", []string{include})
		}, pause: 3 * time.Second},
		{name: "an included file that is not there yet", files: 400, make: func(t *testing.T, dir string, l *loop) {
			l.Watch("shop", []string{filepath.Join(dir, "some", "where")})
		}, pause: (401 + 1) * restPerPath},
		{name: "a file system that nobody knows", files: 400, make: func(_ *testing.T, _ string, l *loop) {
			l.watcher.kind = func(string) fileSystem { return fileSystem{} }
		}, pause: 3 * time.Second},
		{name: "no watch", files: 400, make: func(_ *testing.T, _ string, l *loop) {
			l.watcher.add = func(*fsnotify.Watcher, string) error { return fmt.Errorf("add: %w", syscall.ENOSPC) }
		}, pause: 3 * time.Second},
		{name: "no watcher", files: 400, make: func(_ *testing.T, _ string, l *loop) {
			l.watcher.make = func() (*fsnotify.Watcher, error) { return nil, syscall.EMFILE }
		}, pause: 3 * time.Second},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			dir := t.TempDir()
			for i := range test.files {
				write(t, filepath.Join(dir, fmt.Sprintf("%d.ini", i)), "")
			}
			test.options.Patterns = []Pattern{{Value: dir}}
			m, err := New(test.options)
			must(t, err)
			l := newLoop(m)
			defer l.watcher.close()
			defer l.mounts.close()
			l.watcher.kind = local
			if test.make != nil {
				test.make(t, dir, l)
			}
			now := time.Now().Add(time.Hour) // the files have been left alone for long
			l.now = func() time.Time { return now }
			l.timer = time.NewTimer(time.Hour)
			defer l.timer.Stop()
			scan := func() time.Time {
				for before := l.scans; l.scans == before; l.turn() {
					now = l.due
				}
				return now
			}
			l.due = now
			for scan(); l.asked; scan() { // until everything is settled
			}
			first := scan()
			if got := scan().Sub(first); got != test.pause {
				t.Errorf("%v between two scans, want %v", got, test.pause)
			}
		})
	}
}

// quick makes a loop look at what stands all the time, and never at everything.
func quick(_ *Options, l *loop) {
	if l != nil {
		l.watcher.kind = local
		set := *l.settings.Load()
		set.frequency = lowestFrequency
		l.settings.Store(&set)
	}
}

// The kernel says nothing to who watches a folder when one further up is renamed.
func TestFolderFurtherUpIsReplaced(t *testing.T) {
	r := start(t, t.TempDir(), []string{"sites/eu/vassals"}, func(o *Options, l *loop) {
		o.Frequency = 0
		quick(o, l)
	})
	r.write("sites/eu/vassals/shop.ini", "1")
	r.write("next/eu/vassals/blog.ini", "2")
	r.untilNames("shop")
	r.rename("sites", "old")
	r.rename("next", "sites")
	r.untilNames("blog")
	r.write("sites/eu/vassals/blog.ini", "3")
	r.untilChanged("blog")
}

func TestUnescapeOctal(t *testing.T) {
	for text, want := range map[string]string{`/a\040b\134`: `/a b\`, `/plain`: `/plain`, `\04`: `\04`, `\900`: `\900`, `\777`: `\777`} {
		if got := unescapeOctal(text); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}
