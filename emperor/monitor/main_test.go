package monitor

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"emperor/internal/testlog"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience is how long a test waits for something that must come.
const patience = 30 * time.Second

// running is a Monitor at work in a directory of its own. Its Frequency is an hour,
// so that whatever it notices it noticed by events.
type running struct {
	*testing.T
	*Monitor
	dir  string
	log  *testlog.Text
	last Snapshot
	seen []Snapshot
}

// start runs a Monitor of patterns (relative to dir, which is made). prepare may
// change the options and the loop before it runs.
func start(t *testing.T, dir string, patterns []string, prepare func(*Options, *loop)) *running {
	t.Helper()
	r := &running{T: t, dir: dir, log: &testlog.Text{}}
	o := Options{
		Dir:       dir,
		Frequency: time.Hour,
		Log:       slog.New(slog.NewTextHandler(r.log, nil)),
	}
	for _, p := range patterns {
		o.Patterns = append(o.Patterns, Pattern{Value: p})
	}
	if prepare != nil {
		prepare(&o, nil)
	}
	m, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	r.Monitor = m
	l := newLoop(m)
	if prepare != nil {
		prepare(&o, l)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		l.run(ctx)
	}()
	t.Cleanup(func() {
		cancel()
		<-done
		if t.Failed() {
			t.Logf("log:\n%s", r.log)
		}
	})
	return r
}

// until waits for a snapshot that satisfies ok and returns it.
func (r *running) until(what string, ok func(Snapshot) bool) Snapshot {
	r.Helper()
	deadline := time.After(patience)
	for {
		select {
		case s := <-r.Snapshots():
			if s.Number <= r.last.Number {
				r.Fatalf("snapshot %d came after %d", s.Number, r.last.Number)
			}
			r.last = s
			r.seen = append(r.seen, s)
			if ok(s) {
				return s
			}
		case <-deadline:
			r.Fatalf("%s: did not come; last snapshot: %v", what, names(r.last))
		}
	}
}

// untilNames waits until exactly these vassals are wanted.
func (r *running) untilNames(want ...string) Snapshot {
	r.Helper()
	return r.until("vassals "+strings.Join(want, " "), func(s Snapshot) bool {
		return strings.Join(names(s), " ") == strings.Join(want, " ")
	})
}

// untilChanged waits until the stamp of the named vassal differs from what it is in
// the last snapshot.
func (r *running) untilChanged(name string) Snapshot {
	r.Helper()
	before, ok := find(r.last, name)
	if !ok {
		r.Fatalf("no vassal %s to change", name)
	}
	return r.until("a change of "+name, func(s Snapshot) bool {
		now, ok := find(s, name)
		return ok && now.Stamp != before.Stamp
	})
}

// barrier adds a file and waits until it is reported: whatever happened before has
// been looked at then.
func (r *running) barrier(name string) {
	r.Helper()
	r.write(name+".ini", "barrier")
	r.until("barrier "+name, func(s Snapshot) bool { _, ok := find(s, name); return ok })
}

func names(s Snapshot) []string {
	var list []string
	for _, item := range s.Items {
		list = append(list, item.Name)
	}
	return list
}

func find(s Snapshot, name string) (Item, bool) {
	for _, item := range s.Items {
		if item.Name == name {
			return item, true
		}
	}
	return Item{}, false
}

func (r *running) path(name string) string { return filepath.Join(r.dir, name) }

func (r *running) write(name, text string) {
	r.Helper()
	write(r.T, r.path(name), text)
}

func (r *running) rename(from, to string) {
	r.Helper()
	must(r.T, os.Rename(r.path(from), r.path(to)))
}

func write(t *testing.T, path, text string) {
	t.Helper()
	must(t, os.MkdirAll(filepath.Dir(path), 0o755))
	must(t, os.WriteFile(path, []byte(text), 0o644))
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
