package monitor

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/fsnotify/fsnotify"
)

func TestAppearChangeGo(t *testing.T) {
	for _, pattern := range []string{".", "*.ini", "dir://.", "glob://*.ini", "glob://./[!_]*.ini"} {
		t.Run(strings.ReplaceAll(pattern, "/", "_"), func(t *testing.T) {
			r := start(t, t.TempDir(), []string{pattern}, nil)
			r.untilNames()
			r.write("shop.ini", "1")
			r.untilNames("shop")
			r.write("shop.ini", "2")
			r.untilChanged("shop")
			must(t, os.Chtimes(r.path("shop.ini"), time.Now(), time.Now()))
			r.untilChanged("shop")
			r.rename("shop.ini", "blog.ini")
			r.untilNames("blog")
			must(t, os.Remove(r.path("blog.ini")))
			r.untilNames()
		})
	}
}

func TestChangesThatWholeSecondsMiss(t *testing.T) {
	r := start(t, t.TempDir(), []string{"*.ini"}, nil)
	moment := time.Now().Truncate(time.Second)
	r.write("shop.ini", "1")
	must(t, os.Chtimes(r.path("shop.ini"), moment, moment))
	r.untilNames("shop")
	for _, change := range []struct {
		name string
		to   time.Time
	}{
		{"a nanosecond later", moment.Add(1)},
		{"an older mtime", moment.Add(-time.Hour)},
		{"far in the future", moment.Add(1000 * time.Hour)},
		{"and back", moment},
	} {
		t.Log(change.name)
		must(t, os.Chtimes(r.path("shop.ini"), time.Time{}, change.to))
		r.untilChanged("shop")
	}
	t.Log("an older file of the same size moved over it")
	r.write("backup", "2")
	must(t, os.Chtimes(r.path("backup"), moment, moment))
	r.rename("backup", "shop.ini")
	r.untilChanged("shop")
}

func TestChmodIsNoChange(t *testing.T) {
	r := start(t, t.TempDir(), []string{"*.ini"}, nil)
	r.write("shop.ini", "1")
	before := r.untilNames("shop").Items[0].Stamp
	must(t, os.Chmod(r.path("shop.ini"), 0o600))
	r.barrier("zz")
	if after, _ := find(r.last, "shop"); after.Stamp != before {
		t.Errorf("chmod changed the stamp from %v to %v", before, after.Stamp)
	}
}

func TestRenameIsOneSnapshot(t *testing.T) {
	r := start(t, t.TempDir(), []string{"*.ini"}, nil)
	r.write("a.ini", "1")
	r.untilNames("a")
	r.rename("a.ini", "b.ini")
	s := r.until("b", func(s Snapshot) bool { _, ok := find(s, "b"); return ok })
	if len(s.Items) != 1 {
		t.Errorf("with b.ini there is also %v, which would fight for one socket", names(s))
	}
}

// A directory that is made anew is filled file by file. What is not there yet goes on;
// what has not come when it is full ends.
func TestDirectoryIsFilledAgain(t *testing.T) {
	for _, pattern := range []string{"vassals.d", "vassals.d/*.ini"} {
		t.Run(strings.ReplaceAll(pattern, "/", "_"), func(t *testing.T) {
			t.Parallel()
			r := start(t, t.TempDir(), []string{pattern}, func(o *Options, l *loop) {
				o.Debounce = 1500 * time.Millisecond // a machine that halts for less does not matter
				if l != nil {
					l.fillTime = 5 * time.Second
				}
			})
			for _, name := range []string{"a", "b", "gone"} {
				r.write("vassals.d/"+name+".ini", "1")
			}
			r.untilNames("a", "b", "gone")
			must(t, os.RemoveAll(r.path("vassals.d")))
			r.write("vassals.d/a.ini", "2")
			r.untilChanged("a")
			r.write("vassals.d/b.ini", "2")
			r.untilChanged("b")
			r.write("vassals.d/new.ini", "1")
			r.until("new", func(s Snapshot) bool { _, ok := find(s, "new"); return ok })
			for _, s := range r.seen[len(r.seen)-3:] {
				if _, ok := find(s, "b"); !ok {
					t.Errorf("while the directory was being filled the vassals were %v", names(s))
				}
			}
			r.untilNames("a", "b", "new")
		})
	}
}

// The system calls of editors and tools, one after another, as strace shows them.
func TestSavesNeverTakeTheVassalAway(t *testing.T) {
	saves := map[string]func(r *running){
		"vim": func(r *running) { // backupcopy=no
			r.write("4913", "")
			must(r.T, os.Remove(r.path("4913")))
			r.rename("shop.ini", "shop.ini~")
			r.write("shop.ini", "vim")
			must(r.T, os.Chmod(r.path("shop.ini"), 0o644))
			must(r.T, os.Remove(r.path("shop.ini~")))
		},
		"sed -i": func(r *running) {
			r.write("sedAb12Cd", "sed")
			must(r.T, os.Chmod(r.path("sedAb12Cd"), 0o644))
			r.rename("sedAb12Cd", "shop.ini")
		},
		"emacs": func(r *running) {
			must(r.T, os.Symlink("me@here.1", r.path(".#shop.ini")))
			r.write("#shop.ini#", "auto-save")
			r.rename("shop.ini", "shop.ini~")
			r.write("shop.ini", "emacs")
			must(r.T, os.Remove(r.path(".#shop.ini")))
			must(r.T, os.Remove(r.path("#shop.ini#")))
		},
		"rsync": func(r *running) {
			r.write(".shop.ini.Xy12Zz", "rsync")
			r.rename(".shop.ini.Xy12Zz", "shop.ini")
		},
		"git checkout": func(r *running) {
			must(r.T, os.Remove(r.path("shop.ini")))
			r.write("shop.ini", "git")
		},
	}
	for name, save := range saves {
		t.Run(name, func(t *testing.T) {
			t.Parallel() // it waits
			r := start(t, t.TempDir(), []string{"."}, func(o *Options, _ *loop) {
				o.Debounce = 1500 * time.Millisecond // a machine that halts for less does not matter
				o.Extensions = []string{"~", "#", "4913", "12Cd"}
			})
			r.write("shop.ini", "1")
			r.untilNames("shop")
			save(r)
			r.untilChanged("shop")
			for _, s := range r.seen[len(r.seen)-1:] {
				if got := names(s); len(got) != 1 || got[0] != "shop" {
					t.Errorf("vassals %v, want shop alone", got)
				}
			}
		})
	}
}

func TestWhatIsNoVassal(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{".ini", ".hidden.ini", "shop.ini~", ".shop.ini.swp", "#shop.ini#", "4913", "sedabcdef", "SHOP.INI", "notes.txt", "ini"} {
		write(t, filepath.Join(dir, name), "x")
	}
	must(t, os.Mkdir(filepath.Join(dir, "folder.ini"), 0o755))
	must(t, os.Symlink("folder.ini", filepath.Join(dir, "tofolder.ini")))
	must(t, os.Symlink("nowhere", filepath.Join(dir, "dangling.ini")))
	must(t, os.Symlink("loop.ini", filepath.Join(dir, "loop.ini")))
	want := []string{"a:b", "be", "j", "js", "spaced name", "x", "y", "yl"}
	for _, name := range []string{"a:b.ini", "x.xml", "y.yml", "yl.yaml", "js.js", "j.json", "spaced name.ini", "be.conf"} {
		write(t, filepath.Join(dir, name), "x")
	}
	for _, pattern := range []string{".", "*"} {
		r := start(t, dir, []string{pattern}, func(o *Options, _ *loop) { o.Extensions = []string{".conf"} })
		r.untilNames(want...)
		if got := strings.Count(r.log.String(), "leads nowhere"); got != 2 {
			t.Errorf("%d symlinks were said to lead nowhere, want 2:\n%s", got, r.log)
		}
	}
	r := start(t, dir, []string{"dangling.ini"}, nil)
	r.untilNames()
	write(t, filepath.Join(dir, "nowhere"), "now it is")
	r.untilNames("dangling")
}

func TestSymlinks(t *testing.T) {
	root := t.TempDir()
	dir := filepath.Join(root, "vassals")
	one, two := filepath.Join(root, "one", "app.ini"), filepath.Join(root, "two", "app.ini")
	write(t, one, "1")
	write(t, two, "2")
	must(t, os.Mkdir(dir, 0o755))
	must(t, os.Symlink(one, filepath.Join(dir, "shop.ini")))
	r := start(t, dir, []string{"*.ini"}, nil)
	r.untilNames("shop")

	t.Log("the target is written")
	write(t, one, "1b")
	r.untilChanged("shop")
	t.Log("the target is replaced by mv")
	write(t, one+".new", "1c")
	must(t, os.Rename(one+".new", one))
	r.untilChanged("shop")
	t.Log("the symlink is flipped")
	must(t, os.Symlink(two, filepath.Join(dir, "tmp")))
	r.rename("tmp", "shop.ini")
	r.untilChanged("shop")
	t.Log("the new target is touched")
	must(t, os.Chtimes(two, time.Time{}, time.Now()))
	r.untilChanged("shop")
	t.Log("the target goes")
	must(t, os.Remove(two))
	r.untilNames()
	t.Log("and comes back, with its directory")
	must(t, os.RemoveAll(filepath.Dir(two)))
	write(t, two, "2c")
	r.untilNames("shop")
}

func TestNoFollow(t *testing.T) {
	root := t.TempDir()
	dir, target := filepath.Join(root, "vassals"), filepath.Join(root, "app.ini")
	write(t, target, "1")
	must(t, os.Mkdir(dir, 0o755))
	must(t, os.Symlink(target, filepath.Join(dir, "shop.ini")))
	r := start(t, dir, []string{"*.ini"}, func(o *Options, _ *loop) { o.NoFollow = true })
	before := r.untilNames("shop").Items[0].Stamp
	write(t, target, "2")
	r.barrier("zz")
	if after, _ := find(r.last, "shop"); after.Stamp != before {
		t.Error("a write to the target changed the stamp in spite of nofollow")
	}
	must(t, os.Remove(target))
	r.barrier("zzz")
	if _, ok := find(r.last, "shop"); !ok {
		t.Error("the symlink is there, but its vassal went with the target")
	}
	must(t, os.Symlink("elsewhere", r.path("tmp")))
	r.rename("tmp", "shop.ini")
	r.untilChanged("shop")
}

// Kubernetes mounts a ConfigMap as symlinks through ..data, and swaps that.
func TestConfigMapSwap(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "..2026_01", "shop.ini"), "1")
	must(t, os.Symlink("..2026_01", filepath.Join(dir, "..data")))
	must(t, os.Symlink("..data/shop.ini", filepath.Join(dir, "shop.ini")))
	r := start(t, dir, []string{"."}, nil)
	r.untilNames("shop")
	for _, version := range []string{"..2026_02", "..2026_03"} {
		r.write(version+"/shop.ini", version)
		must(t, os.Symlink(version, r.path("..data_tmp")))
		r.rename("..data_tmp", "..data")
		r.untilChanged("shop")
	}
}

func TestDirectoryThatComesLater(t *testing.T) {
	for _, pattern := range []string{"a/b/vassals", "a/b/vassals/*.ini", "a/b/*/*.ini", "a/*/vassals/shop.ini", "a/b/vassals/shop.ini"} {
		t.Run(strings.ReplaceAll(pattern, "/", "_"), func(t *testing.T) {
			r := start(t, t.TempDir(), []string{pattern}, nil)
			r.untilNames()
			r.write("a/b/vassals/shop.ini", "1") // several steps at once
			r.untilNames("shop")
			r.write("a/b/vassals/shop.ini", "2")
			r.untilChanged("shop")
		})
	}
	t.Run("said once", func(t *testing.T) {
		r := start(t, t.TempDir(), []string{"vassals.d"}, nil)
		r.untilNames()
		must(t, os.Mkdir(r.path("vassals.d"), 0o755))
		r.write("vassals.d/a.ini", "")
		r.untilNames("a")
		if got := strings.Count(r.log.String(), "there is no such directory"); got != 1 {
			t.Errorf("said %d times:\n%s", got, r.log)
		}
	})
}

// A directory that is away at the moment takes no vassal with it; one that is there
// and empty does.
func TestDirectoryGoesAndComes(t *testing.T) {
	for _, pattern := range []string{"vassals", "vassals/*.ini"} {
		t.Run(strings.ReplaceAll(pattern, "/", "_"), func(t *testing.T) {
			r := start(t, t.TempDir(), []string{pattern, "."}, nil)
			r.write("vassals/shop.ini", "1")
			r.untilNames("shop")
			must(t, os.RemoveAll(r.path("vassals")))
			r.barrier("zz")
			r.untilStill("shop", "vassals/shop.ini")
			must(t, os.Mkdir(r.path("vassals"), 0o755))
			r.untilNames("zz")
			r.write("vassals/shop.ini", "2")
			r.untilNames("shop", "zz")
			t.Log("replaced by rename")
			r.write("next/blog.ini", "3")
			r.rename("vassals", "old")
			r.rename("next", "vassals")
			r.untilNames("blog", "zz")
			r.write("vassals/blog.ini", "4")
			r.untilChanged("blog")
		})
	}
}

// untilStill checks that a vassal is in the last snapshot.
func (r *running) untilStill(name, file string) {
	r.Helper()
	item, ok := find(r.last, name)
	if !ok || item.Path != r.path(file) {
		r.Fatalf("%s is gone, there is %v", name, names(r.last))
	}
}

func TestDirectoryBehindASymlinkFlips(t *testing.T) {
	root := t.TempDir()
	write(t, filepath.Join(root, "releases/1/vassals/shop.ini"), "1")
	write(t, filepath.Join(root, "releases/2/vassals/shop.ini"), "2")
	must(t, os.Symlink("releases/1", filepath.Join(root, "current")))
	r := start(t, root, []string{"current/vassals"}, nil)
	r.untilNames("shop")
	must(t, os.Symlink("releases/2", r.path("tmp")))
	r.rename("tmp", "current")
	r.untilChanged("shop")
	r.write("releases/2/vassals/shop.ini", "2b")
	r.untilChanged("shop")
}

func TestSubdirectories(t *testing.T) {
	r := start(t, t.TempDir(), []string{"*/*.ini"}, nil)
	r.untilNames()
	r.write("eu/shop.ini", "1")
	r.untilNames("shop")
	r.write("us/shop.ini", "1")
	r.untilNames("shop", "us/shop") // the first one keeps its name
	r.write("us/blog.ini", "1")
	r.untilNames("shop", "blog", "us/shop")
	r.write(".git/x.ini", "no")
	must(t, os.RemoveAll(r.path("us")))
	r.untilNames("shop")
}

func TestUnreadableKeepsWhatWasKnown(t *testing.T) {
	if os.Getuid() == 0 {
		// Root reads everything: what a directory without permission does is tested
		// by a path that leads through a file of another error, ELOOP.
		root := t.TempDir()
		write(t, filepath.Join(root, "real/shop.ini"), "1")
		must(t, os.Symlink("real", filepath.Join(root, "vassals")))
		r := start(t, root, []string{"vassals", "zone"}, nil)
		r.untilNames("shop")
		must(t, os.Symlink("vassals", r.path("tmp")))
		r.rename("tmp", "vassals")
		r.write("zone/zz.ini", "")
		r.untilNames("shop", "zz")
		if got := strings.Count(r.log.String(), "cannot look into the directory"); got != 1 {
			t.Errorf("said %d times:\n%s", got, r.log)
		}
		return
	}
	r := start(t, t.TempDir(), []string{"vassals", "zone"}, nil)
	r.write("vassals/shop.ini", "1")
	r.untilNames("shop")
	must(t, os.Chmod(r.path("vassals"), 0))
	t.Cleanup(func() { os.Chmod(r.path("vassals"), 0o755) })
	r.write("zone/zz.ini", "")
	r.untilNames("shop", "zz")
	must(t, os.Chmod(r.path("vassals"), 0o755))
	must(t, os.Remove(r.path("vassals/shop.ini")))
	r.untilNames("zz")
}

func TestFurtherFiles(t *testing.T) {
	root := t.TempDir()
	r := start(t, filepath.Join(root, "vassals"), []string{"*.ini"}, nil)
	include, later := filepath.Join(root, "common", "base.ini"), filepath.Join(root, "later", "extra.ini")
	write(t, include, "1")
	r.write("shop.ini", "include")
	item := r.untilNames("shop").Items[0]
	files := []string{include, later}
	r.Watch(item.Path, files)
	r.Watch("main file", []string{include})

	settled := func(s Snapshot) bool {
		return s.Owners[item.Path] == FingerprintOf(files) && s.Owners["main file"] == FingerprintOf(files[:1])
	}
	r.until("fingerprints", settled)
	for _, change := range []func(){
		func() { write(t, include, "2") },
		func() { write(t, later, "1") },
		func() { must(t, os.RemoveAll(filepath.Dir(later))) },
		func() { must(t, os.Remove(include)) },
	} {
		before := r.last.Owners[item.Path]
		change()
		r.until("another fingerprint", func(s Snapshot) bool { return s.Owners[item.Path] != before && settled(s) })
	}
	r.Watch(item.Path, nil)
	r.until("no such owner", func(s Snapshot) bool { _, ok := s.Owners[item.Path]; return !ok })
	if len(r.last.Items) != 1 {
		t.Errorf("further files made vassals: %v", names(r.last))
	}
}

func TestYoungFingerprintIsNoAnswer(t *testing.T) {
	file := filepath.Join(t.TempDir(), "a")
	now := time.Now().Add(time.Hour) // an mtime says nothing: it is the ctime that is young
	write(t, file, "1")
	must(t, os.Chtimes(file, now, now))
	o := observe(file)
	if !o.young(o.changed.Add(defaultDebounce-1), defaultDebounce) {
		t.Error("not young just before the debounce time is over")
	}
	if o.young(o.changed.Add(defaultDebounce), defaultDebounce) {
		t.Error("still young when the debounce time is over")
	}
	if (observation{}).young(time.Time{}, defaultDebounce) {
		t.Error("a file that is not there is young")
	}
}

func TestReconfigure(t *testing.T) {
	r := start(t, t.TempDir(), []string{"a", "b"}, nil)
	r.write("a/one.ini", "")
	r.write("b/two.ini", "")
	r.write("c/three.conf", "")
	r.untilNames("one", "two")
	if err := r.Reconfigure(Options{Dir: r.dir, Patterns: []Pattern{{Value: "zmq://x"}}}); err == nil {
		t.Error("an unknown scheme was accepted")
	}
	o := Options{Dir: r.dir, Patterns: []Pattern{{Value: "b"}, {Value: "c/*"}}, Extensions: []string{".conf"}, Frequency: time.Hour}
	must(t, r.Reconfigure(o))
	r.untilNames("two", "three")
	r.write("c/four.conf", "")
	r.untilNames("two", "four", "three")
}

// After an overflow nothing the watcher knew can be trusted.
func TestOverflow(t *testing.T) {
	made := make(chan *fsnotify.Watcher, 10)
	r := start(t, t.TempDir(), []string{"*.ini"}, func(_ *Options, l *loop) {
		if l != nil {
			l.watcher.make = func() (*fsnotify.Watcher, error) {
				w, err := fsnotify.NewWatcher()
				made <- w
				return w, err
			}
		}
	})
	r.untilNames()
	(<-made).Errors <- fsnotify.ErrEventOverflow
	<-made
	r.write("shop.ini", "1")
	r.untilNames("shop")
}

func TestLatestSnapshotWins(t *testing.T) {
	m, err := New(Options{})
	must(t, err)
	for n := uint64(1); n <= 3; n++ {
		m.publish(Snapshot{Number: n})
	}
	if s := <-m.Snapshots(); s.Number != 3 {
		t.Errorf("got snapshot %d, want the latest, 3", s.Number)
	}
}
