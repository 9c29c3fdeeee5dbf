package emperor

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"emperor/internal/config"
	"emperor/vassal"
	"emperor/vassal/spec"
)

func newTestDoubts(t *testing.T, q *queue, m memory) *doubts {
	t.Helper()
	return newDoubts(q.slots, func(name string) bool { return name != "gone" }, m, slog.New(slog.DiscardHandler))
}

// sites are files that were read together; a line of options for each.
func sites(t *testing.T, lines ...string) []readAhead {
	t.Helper()
	dir := t.TempDir()
	var all []readAhead
	for _, line := range lines {
		name, options, _ := strings.Cut(line, ": ")
		file := filepath.Join(dir, name+".ini")
		if err := os.WriteFile(file, []byte("[uwsgi]\nsocket = "+dir+"/%n.sock\n"+strings.ReplaceAll(options, "; ", "\n")+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
		got := spec.Read(spec.Reading{Name: name, File: file, Argument: name + ".ini", Dir: dir})
		if got.Spec == nil {
			t.Fatal(got.Problems)
		}
		one := readAhead{reading: reading{spec: got.Spec, config: got.Config}}
		one.item.Name, one.item.Path = name, file
		all = append(all, one)
	}
	return all
}

// TestWhoWillHardlyStartIsLast: who had failed before, who misses something, and who runs
// what has failed since; but not one whose file was changed, nor before one that is visited.
func TestWhoWillHardlyStartIsLast(t *testing.T) {
	all := sites(t,
		"had failed: command = true",
		"twin 1: command = false",
		"misses its file: plugin = python3; wsgi-file = missing.py",
		"twin 2: command = false",
		"twin 3: command = false",
		"visited twin: command = false",
		"changed: command = false",
		"good: command = true",
	)
	m := memory{"main", filepath.Join(t.TempDir(), "failed.json")}
	if err := m.save(append(many(rememberFrom), "had failed")); err != nil {
		t.Fatal(err)
	}
	inQueue(t, 1, func(t *testing.T, ctx context.Context, q *queue) {
		d := newTestDoubts(t, q, m)
		d.expect(ctx, all, vassal.Defaults{}, func(look func()) { look() })
		visit, visited := context.WithCancel(ctx)
		q.take(ctx, "first", vassal.Turn{})
		for _, one := range all {
			turn := vassal.Turn{Name: one.item.Name}
			if turn.Name == "visited twin" {
				turn.Visited = visit
			}
			q.take(ctx, turn.Name, turn)
		}
		d.edited("changed")
		want := []string{"first"}
		next := func(name string) {
			t.Helper()
			q.release(want[len(want)-1])
			want = append(want, name)
			q.want(want...)
		}
		next("twin 1")
		d.see(vassal.Status{Name: "twin 1", State: vassal.Starting})
		d.see(vassal.Status{Name: "twin 1", State: vassal.Failed})
		next("changed")
		visited()
		next("good")
		next("visited twin")
		for _, name := range []string{"had failed", "misses its file", "twin 2"} {
			next(name)
		}
		d.see(vassal.Status{Name: "twin 2", State: vassal.Ready})
		if d.about("twin 3") {
			t.Error("what twin 3 runs has started, and yet there is doubt of it")
		}
		for _, one := range all {
			d.see(vassal.Status{Name: one.item.Name, State: vassal.Failed})
			if d.about(one.item.Name) {
				t.Errorf("%s has had its first start: what it is worth now is its own back-off's business", one.item.Name)
			}
		}
	})
}

// TestWhoWasMadeAlikeIsLast: when three of one kind have failed and none has started, the
// others of that kind come after those of other kinds; one that starts ends that.
func TestWhoWasMadeAlikeIsLast(t *testing.T) {
	all := sites(t, "one: command = serve one", "two: command = serve two", "three: command = serve three",
		"four: command = serve four", "five: command = serve five", "good: command = other good")
	inQueue(t, 1, func(t *testing.T, ctx context.Context, q *queue) {
		d := newTestDoubts(t, q, memory{"main", filepath.Join(t.TempDir(), "failed.json")})
		d.expect(ctx, all, vassal.Defaults{}, func(func()) {})
		q.take(ctx, "first", vassal.Turn{})
		for _, name := range []string{"four", "five", "good"} {
			q.take(ctx, name, vassal.Turn{Name: name})
		}
		for _, name := range []string{"one", "two", "three"} {
			if d.about("four") {
				t.Errorf("there is doubt of its kind before %s has failed", name)
			}
			d.see(vassal.Status{Name: name, State: vassal.Failed})
		}
		q.release("first")
		q.want("first", "good")
		q.release("good")
		q.want("first", "good", "four")
		if !d.about("five") || d.about("good") {
			t.Errorf("doubt of one like those that failed: %t, of another: %t", d.about("five"), d.about("good"))
		}
		d.see(vassal.Status{Name: "four", State: vassal.Ready})
		if d.about("five") {
			t.Error("one of its kind has started, and yet there is doubt")
		}
	})
}

func many(n int) []string {
	var names []string
	for i := range n {
		names = append(names, fmt.Sprintf("site%03d", i))
	}
	return names
}

func TestAppsThatAreTheSame(t *testing.T) {
	parse := func(text string) *config.Config {
		return sites(t, "a: "+text)[0].reading.config
	}
	for _, test := range []struct {
		a, b string
		same bool
	}{
		{"chdir = /srv; module = app", "module = app; chdir = /srv", false}, // who writes 200 of them writes them alike
		{"module = app; env = SITE=1", "module = app; env = SITE=2", true},
		{"module = app; chdir = /srv/1", "module = app; chdir = /srv/2", false},
		{"command = run --for a", "command = run --for a; idle = 60", true},
	} {
		if got := appOf(parse(test.a), "/v") == appOf(parse(test.b), "/v"); got != test.same {
			t.Errorf("%q and %q: %v", test.a, test.b, got)
		}
	}
	if appOf(parse("static = /srv"), "/v") != "" || appOf(nil, "/v") != "" {
		t.Error("a file that names no app has one")
	}
}

// TestMemoryOfWhoFailed: the file is there while many fail, and read if it is ours.
func TestMemoryOfWhoFailed(t *testing.T) {
	m := memory{"main", filepath.Join(t.TempDir(), "state", "failed.json")}
	fail := func(d *doubts, state vassal.State, names ...string) {
		for _, name := range names {
			d.see(vassal.Status{Name: name, State: state})
		}
	}
	inQueue(t, 1, func(t *testing.T, _ context.Context, q *queue) {
		d := newTestDoubts(t, q, m)
		fail(d, vassal.Failed, many(rememberFrom-1)...)
		fail(d, vassal.Failed, "gone")
		d.close()
		if _, err := os.Stat(m.path); !os.IsNotExist(err) {
			t.Errorf("nine are remembered (%v)", err)
		}
		d = newTestDoubts(t, q, m)
		fail(d, vassal.Failed, many(rememberFrom)...)
		d.close()
		fail(d, vassal.Gone, many(rememberFrom)...) // as all end
		d = newTestDoubts(t, q, m)
		for _, name := range many(rememberFrom) {
			if !d.about(name) {
				t.Errorf("%s is forgotten", name)
			}
		}
		if d.about("another") {
			t.Error("there is doubt of one that nothing is known of")
		}
		d.close() // nobody has started yet
		if names, err := m.read(); err != nil || !slices.Equal(names, many(rememberFrom)) {
			t.Errorf("%v, %v are remembered after a short life", names, err)
		}
		d = newTestDoubts(t, q, m)
		fail(d, vassal.Ready, "site000")
		d.close()
		if _, err := os.Stat(m.path); !os.IsNotExist(err) {
			t.Errorf("the file stays when nine fail (%v)", err)
		}
	})
}

func TestMemoryThatIsNotOurs(t *testing.T) {
	dir := t.TempDir()
	good := `{"Main":"main","Failed":["a"]}`
	m := memory{"main", filepath.Join(dir, "failed.json")}
	write := func(path, text string, mode os.FileMode) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
	}
	for name, make := range map[string]func(){
		"damaged":              func() { write(m.path, good[:9], 0o600) },
		"another main file's":  func() { write(m.path, strings.Replace(good, "main", "other", 1), 0o600) },
		"writable by a group":  func() { write(m.path, good, 0o620) },
		"writable by everyone": func() { write(m.path, good, 0o602) },
		"a link": func() {
			write(m.path+".target", good, 0o600)
			_ = os.Symlink(m.path+".target", m.path)
		},
		"a pipe":   func() { _ = syscall.Mkfifo(m.path, 0o600) },
		"a folder": func() { _ = os.Mkdir(m.path, 0o700) },
	} {
		_ = os.RemoveAll(m.path)
		make()
		if names, err := m.read(); err == nil {
			t.Errorf("%s: %v was read", name, names)
		}
	}
	_ = os.RemoveAll(m.path)
	write(m.path, good, 0o600)
	if names, err := m.read(); err != nil || len(names) != 1 {
		t.Errorf("%v, %v", names, err)
	}
}
