package vassal

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"emperor/internal/config"
	"emperor/internal/link"
	"emperor/vassal/spec"
)

func TestSpecOfAFolder(t *testing.T) {
	for _, test := range []struct{ name, text, hint, path, names, options string }{
		{"alone", "static = /srv/shop/", "", "/srv/shop", "", ""},
		{"relative", "static = public", "", "DIR/public", "", ""},
		{"chdir", "chdir = /srv\nstatic = public", "", "/srv/public", "", ""},
		{"named by rules", "static = /srv", "/run/site.sock", "/srv", "static:/run/site.sock automatic", ""},
		{"named by itself", "static = /srv\nsocket = /run/a.sock\nhttp-socket = :8000", "/run/site.sock", "/srv", "static:/run/a.sock static::8000", ""},
		{"options", "static-404 = gone.html\nstatic = /srv\nstatic-try = $uri /\nstatic-precompressed = no\nstatic-index = a\nstatic-index = b\nmime-file = types", "",
			"/srv", "", "static-404=gone.html static-try=$uri / static-precompressed=false static-index=a static-index=b mimefile=a/b c\n"},
		{"what is for programs", "static = /srv\nprocesses = 4\nenv = A=B\nstatic-safe = /tmp", "", "/srv", "", "static-safe=/tmp"},
	} {
		t.Run(test.name, func(t *testing.T) {
			dir := t.TempDir()
			for name, text := range map[string]string{"site.ini": "[uwsgi]\n" + test.text + "\n", "types": "a/b c\n"} {
				if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			spec, problems := readSpec(spec.Reading{Name: "site", File: filepath.Join(dir, "site.ini"), SocketHint: test.hint})
			if spec == nil || len(problems) > 0 {
				t.Fatalf("problems:\n%s", problems)
			}
			var names, options []string
			for i, s := range spec.Sockets {
				name := s.Protocol + ":" + s.Address
				if s.Automatic {
					name += " automatic"
				}
				if names = append(names, name); s.Held || spec.Addresses()[i].Address != s.Address {
					t.Errorf("%+v", s)
				}
			}
			files := spec.StaticFiles()
			for _, o := range files.Options {
				options = append(options, o.Key+"="+o.Value)
			}
			if want := strings.ReplaceAll(test.path, "DIR", dir); files.Path != want {
				t.Errorf("folder %s, want %s", files.Path, want)
			}
			if got := strings.Join(names, " "); got != test.names {
				t.Errorf("names %q, want %q", got, test.names)
			}
			if got := strings.Join(options, " "); got != test.options {
				t.Errorf("options %q, want %q", got, test.options)
			}
			if slices.Contains(spec.Files, filepath.Join(dir, "types")) != strings.Contains(test.text, "types") {
				t.Errorf("it is read from %q", spec.Files)
			}
			if spec.FollowsRules() == strings.Contains(test.text, "socket") {
				t.Errorf("it depends on the rules: %t", spec.FollowsRules())
			}
		})
	}
}

func TestMistakesAboutAFolder(t *testing.T) {
	check := func(options []link.Option) (problems config.Problems) {
		for _, o := range options {
			problems = append(problems, config.Problem{Pos: config.Pos{File: o.File, Line: o.Line}, Key: o.Key, Text: "is checked"})
		}
		return problems
	}
	for _, test := range []struct{ name, text, want string }{
		{"empty", "static =", "site.ini:2: static: want a path, got nothing"},
		{"everything", "static = /", "site.ini:2: static: want a folder"},
		{"unknown", "static = @(exec://x)", "site.ini:2: static: the value depends on something"},
		{"address", "static = /srv\nsocket = :http", "site.ini:3: socket: want a port from 1 to 65535"},
		{"no types", "static = /srv\nmimefile = none", "site.ini:3: mimefile: "},
		{"types are a folder", "static = /srv\nmimefile = /tmp", "want a file"},
		{"outside is nowhere", "static = /srv\nstatic-safe = /none", "site.ini:3: static-safe: "},
		{"how", "static = /srv\nstatic-try = x", "site.ini:3: static-try: is checked"},
	} {
		t.Run(test.name, func(t *testing.T) {
			spec, problems, _ := readText(t, "site.ini", "[uwsgi]\n"+test.text+"\n", func(r *spec.Reading) { r.CheckFiles = check })
			if spec != nil || !strings.Contains(errorsOf(problems), test.want) {
				t.Errorf("errors:\n%swant %q", errorsOf(problems), test.want)
			}
		})
	}
	for text, want := range map[string]string{
		"static = /srv\nstatic-indx = x":               "site.ini:3: warning: static-indx: ",
		"static = /srv\nstatic-map = /a=/b":            "site.ini:3: warning: static-map: no effect",
		"static = /srv\nport = auto\ncommand = x":      "site.ini:2: warning: static: no effect: command (site.ini:4) makes this vassal something else",
		"static = /srv\nsocket = /tmp/x\nmodule = app": "site.ini:2: warning: static: no effect: module (site.ini:4) makes this vassal something else",
	} {
		_, problems, _ := readText(t, "site.ini", "[uwsgi]\n"+text+"\n", nil)
		if !strings.Contains(problems.String(), want) {
			t.Errorf("%s:\n%swant %q", text, problems, want)
		}
	}
}

// trying is a front that serves what it is told to.
type trying struct {
	*fakeFront
	refuse func(link.Vassal) error
}

func (f *trying) Try(_ context.Context, row link.Vassal) error { return f.refuse(row) }

// TestFolder: a folder is ready at once and has no process; a change that cannot be
// served leaves the one before; a folder that was replaced is opened anew, where the
// one that serves says so; a folder becomes a program and a folder again.
func TestFolder(t *testing.T) {
	t.Parallel()
	front := &trying{newFakeFront(), func(row link.Vassal) error {
		if len(row.Files.Options) > 0 {
			return errors.New("nobody may read it")
		}
		return nil
	}}
	s := newSite(t, "", func(d *Deps) { d.Front = front })
	if err := os.Mkdir(filepath.Join(s.dir, "public"), 0o755); err != nil {
		t.Fatal(err)
	}
	const folder = "[uwsgi]\nstatic = DIR/public\nsocket = DIR/s\n"
	s.write(folder)
	s.want()
	st := s.ready(1)
	if len(st.PIDs) > 0 || st.Kind != spec.Static || len(st.Addresses) != 1 || st.Addresses[0].Protocol != link.Static {
		t.Errorf("%+v", st)
	}
	if _, err := os.Lstat(filepath.Join(s.dir, "s")); err == nil {
		t.Error("the name was made a socket")
	}
	published := func(generation uint64) link.Vassal {
		t.Helper()
		front.mu.Lock()
		defer front.mu.Unlock()
		for front.row.Generation != generation || front.row.State != link.Ready {
			front.change.Wait()
		}
		return front.row
	}
	first := published(1)
	if first.Files.Path != filepath.Join(s.dir, "public") || first.Opened == nil {
		t.Errorf("the row is %+v", first)
	}

	for text, problem := range map[string]string{
		strings.Replace(folder, "public", "none", 1): "site.ini:2: static: " + filepath.Join(s.dir, "none") + ": no such file or directory",
		folder + "static-index = x\n":                "site.ini:2: static: nobody may read it",
	} {
		s.write(text)
		s.want()
		s.until("told", func(st Status) bool {
			return st.State == Ready && st.Generation == 1 && strings.Contains(st.Problem, problem)
		})
	}
	generation := s.Status().Generation
	next := func(what string) link.Vassal {
		t.Helper()
		st := s.until(what, func(st Status) bool { return st.State == Ready && st.Generation > generation && len(st.Draining) == 0 })
		generation = st.Generation
		return published(generation)
	}
	s.Moved(generation + 7) // not the one that serves
	s.Moved(generation)
	second := next("opened anew")
	table := link.Table{Vassals: []link.Vassal{first, second}}
	descriptors, release := table.Borrow()
	if len(descriptors) != 2 || table.Vassals[0].Generation != generation {
		t.Errorf("of the first generation's folder and the second's, %d descriptors are open", len(descriptors))
	}
	release()

	s.write(commandSite(t, "serve", "fd=3"))
	s.want()
	if row := next("a program"); row.Files != nil || row.Opened != nil || row.Addresses[0].Protocol != "http" {
		t.Errorf("the row is %+v", row)
	}
	s.mustGet("/")
	s.write(folder)
	s.want()
	if row := next("a folder again"); row.Opened == nil {
		t.Errorf("the row is %+v", row)
	}
	s.Remove()
	s.until("gone", func(st Status) bool { return st.State == Gone })
	if rows := front.published(); !rows[len(rows)-1].Removed {
		t.Errorf("the last row is %+v", rows[len(rows)-1])
	}
}

// TestFolderBesideAnything: nothing has to wait for a folder, nor a folder for
// anything.
func TestFolderBesideAnything(t *testing.T) {
	folder := &spec.Spec{Kind: spec.Static, Overlap: true}
	for _, other := range []*spec.Spec{folder, {Kind: spec.UWSGI}, {Kind: spec.Command, Overlap: true}, {Kind: spec.Command, Sockets: []spec.Socket{{Address: ":80", Held: true}}}} {
		if !sideBySide(folder, other) || !sideBySide(other, folder) {
			t.Errorf("%s", fmt.Sprint(other.Kind))
		}
	}
}
