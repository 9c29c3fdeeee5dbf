package emperor

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"emperor/emperor/monitor"
	"emperor/internal/config"
	"emperor/vassal"
	"emperor/vassal/logs"
	"emperor/vassal/spec"
)

// fakeSite is a vassal that only notes what it is told.
type fakeSite struct {
	name string
	told chan string // "want", "refuse", "remove"

	mu     sync.Mutex
	status vassal.Status // guarded by mu
	seen   time.Time     // guarded by mu; of the last Want
	end    chan struct{} // closed: Run returns
}

func (s *fakeSite) Run(ctx context.Context) error {
	select {
	case <-s.end:
	case <-ctx.Done():
	}
	return nil
}
func (s *fakeSite) Want(spec *spec.Spec, seen time.Time) {
	s.mu.Lock()
	s.seen = seen
	s.mu.Unlock()
	s.told <- "want"
}
func (s *fakeSite) Refuse(p config.Problems)                        { s.told <- "refuse" }
func (s *fakeSite) Remove()                                         { s.told <- "remove" }
func (s *fakeSite) KeysChanged()                                    {}
func (s *fakeSite) Moved(uint64)                                    {}
func (s *fakeSite) Wake(by string)                                  { s.told <- "wake" }
func (s *fakeSite) Silent(uint64)                                   {}
func (s *fakeSite) Loyal(uint64)                                    {}
func (s *fakeSite) Forgive()                                        { s.told <- "forgive" }
func (s *fakeSite) Halt()                                           { s.told <- "halt" }
func (s *fakeSite) Order(ctx context.Context, o vassal.Order) error { return nil }
func (s *fakeSite) Follow() ([]logs.Line, <-chan logs.Line, func()) { return nil, nil, func() {} }
func (s *fakeSite) LogFiles() []logs.File                           { return nil }

func (s *fakeSite) State() vassal.State { return s.Status().State }

func (s *fakeSite) Status() vassal.Status {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.status
}

func (s *fakeSite) become(state vassal.State) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.status.State = state
}

// world is a registry with files, fake vassals and hand-made snapshots.
type world struct {
	t        *testing.T
	dir      string
	registry *registry
	made     []*fakeSite
	watched  map[string][]string
	number   uint64
	age      time.Time // of the next file: each is a second older than the one before
}

func newWorld(t *testing.T, mainText string) *world {
	t.Helper()
	w := &world{t: t, dir: t.TempDir(), watched: map[string][]string{}, age: time.Now().Add(-time.Hour)}
	ctx, cancel := context.WithCancel(t.Context())
	w.registry = newRegistry(ctx, w.main(mainText), func(name string) site {
		s := &fakeSite{name: name, told: make(chan string, 100), end: make(chan struct{})}
		w.made = append(w.made, s)
		return s
	}, func(owner string, files []string) { w.watched[owner] = files }, slog.New(slog.DiscardHandler))
	t.Cleanup(func() { cancel(); w.registry.running.Wait() })
	return w
}

// main reads a main file of that text.
func (w *world) main(text string) *Main {
	w.t.Helper()
	main, _, problems := readText(w.t, "[uwsgi]\nemperor = "+w.dir+"/*.ini\n"+text)
	if main == nil {
		w.t.Fatal(problems)
	}
	return main
}

func (w *world) path(name string) string { return filepath.Join(w.dir, name) }

// write makes a file.
func (w *world) write(name, text string) {
	w.t.Helper()
	if err := os.MkdirAll(filepath.Dir(w.path(name)), 0o755); err != nil {
		w.t.Fatal(err)
	}
	if err := os.WriteFile(w.path(name), []byte(text), 0o644); err != nil {
		w.t.Fatal(err)
	}
	w.touch(name)
}

func (w *world) touch(name string) {
	w.t.Helper()
	w.age = w.age.Add(time.Second)
	if err := os.Chtimes(w.path(name), w.age, w.age); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) site(text string) string {
	return "[uwsgi]\ncommand = /bin/true\n" + text
}

// settle waits until no file is so young that a change would leave no trace.
func (w *world) settle(more ...string) {
	w.t.Helper()
	paths, _ := filepath.Glob(w.path("*.ini"))
	inner, _ := filepath.Glob(w.path("*/*.ini"))
	paths = append(paths, inner...)
	paths = append(paths, more...)
	for end := time.Now().Add(time.Minute); ; {
		before := monitor.FingerprintOf(paths)
		if before == monitor.FingerprintOf(paths) {
			return
		}
		if time.Now().After(end) {
			w.t.Fatal("the files do not settle")
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// snapshot is what the monitor would report.
func (w *world) snapshot() monitor.Snapshot {
	w.t.Helper()
	w.number++
	s := monitor.Snapshot{Number: w.number, Owners: map[string]monitor.Fingerprint{}}
	paths, _ := filepath.Glob(w.path("*.ini"))
	for _, path := range paths {
		info, err := os.Stat(path)
		if err != nil {
			w.t.Fatal(err)
		}
		s.Items = append(s.Items, monitor.Item{
			Path: path, Name: strings.TrimSuffix(filepath.Base(path), ".ini"),
			Stamp: monitor.Stamp{File: monitor.Inode{ModTime: info.ModTime().UnixNano(), Size: info.Size()}},
		})
	}
	for owner, files := range w.watched {
		if len(files) > 0 {
			s.Owners[owner] = monitor.FingerprintOf(files)
		}
	}
	return s
}

// step reconciles with the files as they are and returns what was told to whom.
func (w *world) step() string {
	w.t.Helper()
	w.settle()
	if w.registry.reconcile(w.snapshot()) {
		w.t.Error("some file was not stable")
	}
	return w.told()
}

func (w *world) told() string {
	var out []string
	for _, s := range w.made {
		for {
			select {
			case what := <-s.told:
				out = append(out, s.name+" "+what)
				continue
			default:
			}
			break
		}
	}
	return strings.Join(out, ", ")
}

func (w *world) expect(got, want string) {
	w.t.Helper()
	if got != want {
		w.t.Errorf("told %q, want %q", got, want)
	}
}

// last is the youngest vassal of that name.
func (w *world) last(name string) *fakeSite {
	for _, s := range slices.Backward(w.made) {
		if s.name == name {
			return s
		}
	}
	w.t.Fatalf("no vassal %s was made", name)
	return nil
}

func TestOnlyWhatChangedIsTouched(t *testing.T) {
	w := newWorld(t, "")
	w.write("a.ini", w.site(""))
	w.write("b.ini", w.site(""))
	w.expect(w.step(), "a want, b want")
	w.expect(w.step(), "")
	w.touch("a.ini") // a touch alone is a deploy
	w.expect(w.step(), "a want")
	w.write("b.ini", "[uwsgi]\ncommand = \"\n")
	w.expect(w.step(), "b refuse")
	w.expect(w.step(), "")
	w.write("b.ini", w.site(""))
	w.expect(w.step(), "b want")
	w.write("c.ini", w.site(""))
	w.expect(w.step(), "c want")
	if err := os.Remove(w.path("a.ini")); err != nil {
		t.Fatal(err)
	}
	w.expect(w.step(), "a remove")
	w.expect(w.step(), "")
}

// TestWhenAnEditWasSeen: the time from an edit to its effect is counted from the
// scan that saw it first; what was there before the emperor is no edit.
func TestWhenAnEditWasSeen(t *testing.T) {
	w := newWorld(t, "")
	seen := func() time.Time {
		s := w.last("a")
		s.mu.Lock()
		defer s.mu.Unlock()
		return s.seen
	}
	w.write("a.ini", w.site(""))
	w.expect(w.step(), "a want")
	if !seen().IsZero() {
		t.Errorf("the first reading is an edit of %v", seen())
	}
	if err := os.WriteFile(w.path("a.ini"), []byte(w.site("env = A=1\n")), 0o644); err != nil {
		t.Fatal(err)
	}
	first := w.snapshot()
	first.Scanned = time.Now()
	if !w.registry.reconcile(first) {
		t.Fatal("a file of this moment was taken for stable")
	}
	w.settle()
	later := w.snapshot()
	later.Scanned = first.Scanned.Add(time.Minute)
	w.registry.reconcile(later)
	w.expect(w.told(), "a want")
	if !seen().Equal(first.Scanned) {
		t.Errorf("the edit was seen at %v, want the first scan's %v", seen(), first.Scanned)
	}
	w.registry.adopt(w.main("vassal-set = env=B=2\n"), false)
	w.expect(w.told(), "a want")
	if !seen().IsZero() {
		t.Errorf("a change of the main file is an edit of %v", seen())
	}
}

func TestIncludedFilesArePartOfAVassal(t *testing.T) {
	w := newWorld(t, "")
	w.write("more/common.ini", "[uwsgi]\nenv = A=1\n")
	w.write("a.ini", w.site("include = "+w.path("more/common.ini")))
	w.write("b.ini", w.site(""))
	w.expect(w.step(), "a want, b want")
	if got := w.watched[w.path("a.ini")]; !slices.Equal(got, []string{w.path("more/common.ini")}) {
		t.Errorf("watched %v", got)
	}
	w.expect(w.step(), "")
	w.touch("more/common.ini")
	w.expect(w.step(), "a want")
	w.expect(w.step(), "")
}

func TestMissingIncludeIsWaitedFor(t *testing.T) {
	w := newWorld(t, "")
	w.write("a.ini", w.site("include = "+w.path("more/later.ini")))
	w.expect(w.step(), "a refuse")
	if got := w.watched[w.path("a.ini")]; !slices.Contains(got, w.path("more/later.ini")) {
		t.Fatalf("watched %v", got)
	}
	w.expect(w.step(), "")
	w.write("more/later.ini", "[uwsgi]\nenv = A=1\n")
	w.expect(w.step(), "a want")
}

func TestFileThatIsBeingWrittenIsReadAgain(t *testing.T) {
	w := newWorld(t, "")
	if err := os.WriteFile(w.path("a.ini"), []byte(w.site("")), 0o644); err != nil {
		t.Fatal(err) // younger than the debounce time
	}
	s := w.snapshot()
	if !w.registry.reconcile(s) {
		t.Fatal("a file of this moment was taken for stable")
	}
	w.expect(w.told(), "")
	w.settle()
	if w.registry.reconcile(s) {
		t.Error("an old file was taken for unstable")
	}
	w.expect(w.told(), "a want")
}

func TestFileThatComesBackWhileItsVassalLeaves(t *testing.T) {
	w := newWorld(t, "")
	w.write("a.ini", w.site(""))
	w.expect(w.step(), "a want")
	text := w.site("")
	if err := os.Remove(w.path("a.ini")); err != nil {
		t.Fatal(err)
	}
	w.expect(w.step(), "a remove")
	w.write("a.ini", text)
	w.expect(w.step(), "a want")
	if len(w.made) != 1 {
		t.Errorf("%d vassals were made", len(w.made))
	}
	// It had gone before it heard of it: another is made and told the same.
	close(w.last("a").end)
	w.registry.forget(<-w.registry.ended)
	w.expect(w.told(), "a want")
	if len(w.made) != 2 {
		t.Errorf("%d vassals were made", len(w.made))
	}
}

func TestVassalThatLeftIsForgotten(t *testing.T) {
	w := newWorld(t, "")
	w.write("a.ini", w.site(""))
	w.step()
	if err := os.Remove(w.path("a.ini")); err != nil {
		t.Fatal(err)
	}
	w.step()
	close(w.last("a").end)
	w.registry.forget(<-w.registry.ended)
	if len(w.registry.entries) != 0 {
		t.Errorf("entries: %v", w.registry.entries)
	}
}

func TestRenamedFileTakesOverItsSocket(t *testing.T) {
	w := newWorld(t, "")
	w.write("old.ini", w.site("socket = "+w.path("app.sock")))
	w.expect(w.step(), "old want")
	if err := os.Rename(w.path("old.ini"), w.path("new.ini")); err != nil {
		t.Fatal(err)
	}
	w.expect(w.step(), "old remove") // the new one waits until the old one lets go
	w.registry.proceed()
	w.expect(w.told(), "")
	w.last("old").become(vassal.Leaving)
	w.registry.proceed()
	w.expect(w.told(), "new want")
}

func TestNameThatMovesToAnotherFileIsADeploy(t *testing.T) {
	w := newWorld(t, "")
	w.write("a.ini", w.site(""))
	w.step()
	s := w.snapshot()
	moved := w.path("moved")
	if err := os.Mkdir(moved, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(w.path("a.ini"), filepath.Join(moved, "a.ini")); err != nil {
		t.Fatal(err)
	}
	s.Items[0].Path = filepath.Join(moved, "a.ini")
	w.settle(s.Items[0].Path)
	w.registry.reconcile(s)
	w.expect(w.told(), "a want")
}

func TestMainFileThatChangesVassals(t *testing.T) {
	w := newWorld(t, "vassal-set = env=A=1\n")
	w.write("a.ini", w.site(""))
	w.write("own.ini", w.site("chdir = /\n"))
	w.write("bad.ini", "[uwsgi]\ncommand = \"\n")
	w.step()
	steps := []struct{ name, main, want string }{
		{"equal", "vassal-set = env=A=1\n", "bad refuse"},
		{"moved lines", "\n\nvassal-set = env=A=1\n", "bad refuse"},
		{"overridden by one vassal", "vassal-set = env=A=1\nvassal-set = chdir=/tmp\n", "a want, bad refuse"},
		{"another value", "vassal-set = env=A=2\n", "a want, bad refuse, own want"},
		{"of no effect", "vassal-set = env=A=2\nemperor-freq = 7\n", "bad refuse"},
	}
	for _, s := range steps {
		if w.registry.adopt(w.main(s.main), false) {
			t.Errorf("%s: some file was not stable", s.name)
		}
		got := strings.Split(w.told(), ", ")
		slices.Sort(got)
		if text := strings.Join(got, ", "); text != s.want {
			t.Errorf("%s: told %q, want %q", s.name, text, s.want)
		}
	}
}

func TestSettled(t *testing.T) {
	w := newWorld(t, "")
	w.write("a.ini", w.site(""))
	w.write("bad.ini", "[uwsgi]\ncommand = \"\n")
	w.step()
	if w.registry.settled() {
		t.Error("settled before anything runs")
	}
	w.last("a").become(vassal.Failed)
	if !w.registry.settled() {
		t.Error("a vassal that failed is as far as it comes, and so is one with mistakes")
	}
}

func TestManyNames(t *testing.T) {
	w := newWorld(t, "")
	var want []string
	for i := range 50 {
		name := fmt.Sprintf("site%02d", i)
		w.write(name+".ini", w.site(""))
		want = append(want, name+" want")
	}
	w.expect(w.step(), strings.Join(want, ", "))
	w.expect(w.step(), "")
}
