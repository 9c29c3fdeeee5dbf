package monitor

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/fsnotify/fsnotify"
)

// Where the kernel tells nothing the scans alone find every change, and the reason
// is said once, not for each directory.
func TestWithoutEventsScansAloneDoIt(t *testing.T) {
	noEvents := func(notify *fsnotify.Watcher, dir string) error { return nil }
	tests := []struct {
		name, says string
		make       func(w *watcher)
	}{
		{"no watcher to be had", "see sysctl fs.inotify.max_user_instances", func(w *watcher) {
			w.make = func() (*fsnotify.Watcher, error) {
				return nil, fmt.Errorf("couldn't initialize inotify: %w", syscall.EMFILE)
			}
		}},
		{"no watch to be had", "see sysctl fs.inotify.max_user_watches", func(w *watcher) {
			w.add = func(*fsnotify.Watcher, string) error { return fmt.Errorf("add: %w", syscall.ENOSPC) }
		}},
		{"directories on another machine", "NFS does not tell what other machines change", func(w *watcher) {
			w.add, w.kind = noEvents, func(string) fileSystem { return fileSystem{shared: "NFS"} }
		}},
		{"another error", "out of order", func(w *watcher) {
			w.add = func(*fsnotify.Watcher, string) error { return errors.New("out of order") }
		}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			r := start(t, t.TempDir(), []string{"*/*.ini"}, func(o *Options, l *loop) {
				o.Frequency = lowestFrequency
				if l != nil {
					test.make(&l.watcher)
				}
			})
			r.untilNames()
			r.write("us/blog.ini", "1")
			r.write("eu/shop.ini", "1")
			r.untilNames("shop", "blog")
			r.write("eu/shop.ini", "2")
			r.untilChanged("shop")
			must(t, os.Remove(r.path("eu/shop.ini")))
			r.untilNames("blog")
			text := r.log.String()
			if got := strings.Count(text, test.says); got != 1 || !strings.Contains(text, "scanning every 100ms") {
				t.Errorf("said %d times:\n%s", got, text)
			}
		})
	}
}
