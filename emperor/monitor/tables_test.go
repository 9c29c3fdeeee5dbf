package monitor

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestNames(t *testing.T) {
	for _, test := range []struct {
		name  string
		known map[string]string // path → name it has already
		paths []string
		want  []string
	}{
		{name: "plain", paths: []string{"/v/a.ini", "/v/b.yaml"}, want: []string{"a", "b"}},
		{name: "inner dots stay", paths: []string{"/v/www.example.com.ini"}, want: []string{"www.example.com"}},
		{name: "a colon is a letter", paths: []string{"/v/a:b.ini"}, want: []string{"a:b"}},
		{name: "two directories", paths: []string{"/eu/shop.ini", "/us/shop.ini"}, want: []string{"eu/shop", "us/shop"}},
		{name: "directories of one name", paths: []string{"/x/v/shop.ini", "/y/v/shop.ini"}, want: []string{"x/v/shop", "y/v/shop"}},
		{name: "one directory, two extensions", paths: []string{"/v/a.ini", "/v/a.yml"}, want: []string{"v/a.ini", "v/a.yml"}},
		{name: "in the root directory", paths: []string{"/a.ini", "/b/a.ini"}, want: []string{"/a.ini", "b/a"}},
		{
			name:  "who has a name keeps it",
			known: map[string]string{"/us/shop.ini": "shop"},
			paths: []string{"/eu/shop.ini", "/us/shop.ini"}, want: []string{"eu/shop", "shop"},
		},
		{
			name:  "also a long one, when its rival is gone",
			known: map[string]string{"/us/shop.ini": "us/shop"},
			paths: []string{"/us/shop.ini"}, want: []string{"us/shop"},
		},
		{name: "an extra extension", paths: []string{"/v/a.conf", "/v/bcfg"}, want: []string{"a", "b"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			var items []Item
			for _, path := range test.paths {
				items = append(items, Item{Path: path, Name: test.known[path]})
			}
			assignNames(items, []string{".conf", "cfg"})
			if got := names(Snapshot{Items: items}); strings.Join(got, " ") != strings.Join(test.want, " ") {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

type position string

func (p position) String() string { return string(p) }

func TestSources(t *testing.T) {
	dir := t.TempDir()
	must(t, os.MkdirAll(filepath.Join(dir, "sites", "only"), 0o755))
	must(t, os.MkdirAll(filepath.Join(dir, "odd[name"), 0o755))
	for _, test := range []struct {
		value string
		root  string // relative to dir
		steps string // %v of the texts; "-" for a directory
		err   string
	}{
		{value: "sites", root: "sites", steps: "-"},
		{value: "sites/", root: "sites", steps: "-"},
		{value: "dir://sites", root: "sites", steps: "-"},
		{value: "dir://odd[name", root: "odd[name", steps: "-"},
		{value: "odd[name", root: "odd[name", steps: "-"},
		{value: "not-there", root: "not-there", steps: "-"},
		{value: "not-there.ini", root: "", steps: "[not-there.ini]"},
		{value: "sites/*", root: "sites/only", steps: "-"},
		{value: "glob://sites/*", root: "sites", steps: "[*]"},
		{value: "*.ini", root: "", steps: "[*.ini]"},
		{value: "*/*.ini", root: "", steps: "[* *.ini]"},
		{value: "a/b/*/c/x.ini", root: "a/b", steps: "[* c x.ini]"},
		{value: `a\*b/[!x]*.ini`, root: "a*b", steps: "[[^x]*.ini]"},
		{value: "", err: `x.ini:7: emperor: want a directory or a glob, got ""`},
		{value: "zmq://tcp://127.0.0.1:5000", err: `x.ini:7: emperor: want a directory, a glob, dir:// or glob://, got "zmq://tcp://127.0.0.1:5000"`},
		{value: "a/[x/*.ini", err: `x.ini:7: emperor: want a glob, got "a/[x/*.ini": "[x" is not a complete pattern`},
	} {
		t.Run(test.value, func(t *testing.T) {
			s, err := newSource(Pattern{Value: test.value, Pos: position("x.ini:7")}, dir, nil)
			if test.err != "" {
				if err == nil || err.Error() != test.err {
					t.Fatalf("error %v\nwant  %s", err, test.err)
				}
				return
			}
			must(t, err)
			steps := "-"
			if s.steps != nil {
				var texts []string
				for _, step := range s.steps {
					texts = append(texts, step.text)
				}
				steps = fmt.Sprint(texts)
			}
			if s.root != filepath.Join(dir, test.root) || steps != test.steps {
				t.Errorf("got %s %s, want %s %s", s.root, steps, filepath.Join(dir, test.root), test.steps)
			}
		})
	}
}

func TestEveryBadPatternIsNamed(t *testing.T) {
	_, err := New(Options{Patterns: []Pattern{{Value: "pg://x", Pos: position("a:1")}, {Value: "ok"}, {Value: "[", Pos: position("b:2")}}})
	if err == nil || !strings.Contains(err.Error(), "a:1: ") || !strings.Contains(err.Error(), "b:2: ") {
		t.Errorf("got %v, want both positions", err)
	}
}

func TestHolds(t *testing.T) {
	source := func(value string) *source {
		s, err := newSource(Pattern{Value: value}, "/", nil)
		must(t, err)
		return &s
	}
	for _, test := range []struct {
		value, path string
		want        bool
	}{
		{"/nowhere/v", "/nowhere/v/a.ini", true},
		{"/nowhere/v", "/nowhere/v/b/a.ini", false},
		{"/nowhere/v", "/nowhere/va.ini", false},
		{"/nowhere/*/x*.ini", "/nowhere/b/x1.ini", true},
		{"/nowhere/*/x*.ini", "/nowhere/.b/x1.ini", false},
		{"/nowhere/*/x*.ini", "/nowhere/b/y1.ini", false},
		{"/nowhere/*/x*.ini", "/nowhere/b/c/x1.ini", false},
		{"/*.ini", "/a.ini", true},
	} {
		if got := source(test.value).holds(test.path); got != test.want {
			t.Errorf("%s holds %s: %v, want %v", test.value, test.path, got, test.want)
		}
	}
}

// The story of one path: what is seen at which moment, and what is reported then.
func TestSettling(t *testing.T) {
	start := time.Unix(1000, 0)
	at := func(ms int) time.Time { return start.Add(time.Duration(ms) * time.Millisecond) }
	version := func(n int64, changed int) observation {
		return observation{stamp: Stamp{File: Inode{Number: 1, ModTime: n}}, changed: at(changed)}
	}
	type look struct {
		at     int // ms
		sees   observation
		report int64 // the mtime reported afterwards; 0 none
		again  int   // ms
	}
	for _, test := range []struct {
		name  string
		looks []look
	}{
		{"an old file at once", []look{{0, version(1, -1000), 1, 0}}},
		{"a new file when it is left alone", []look{{0, version(1, -20), 0, 30}, {30, version(1, -20), 1, 0}}},
		{"a writer that goes on", []look{{0, version(1, -1000), 1, 0}, {100, version(2, 90), 1, 40}, {140, version(3, 139), 1, 49}, {190, version(3, 139), 3, 0}}},
		{"taken away for a moment", []look{{0, version(1, -1000), 1, 0}, {100, observation{}, 1, 50}, {120, version(1, -1000), 1, 0}, {200, observation{}, 1, 50}, {240, observation{}, 1, 10}, {250, observation{}, 0, 0}}},
		{"never there", []look{{0, observation{}, 0, 0}}},
		{"changed in the future", []look{{0, version(1, 1000), 1, 0}, {10, version(2, 30), 1, 30}, {80, version(2, 30), 2, 0}}},
	} {
		t.Run(test.name, func(t *testing.T) {
			var s settled
			for i, look := range test.looks {
				before := s.stamp
				wasKnown := s.known
				changed, again := s.take(look.sees, at(look.at), 50*time.Millisecond)
				if s.stamp.File.ModTime != look.report || again != time.Duration(look.again)*time.Millisecond {
					t.Fatalf("look %d: reported %d, again in %v; want %d, %d ms", i, s.stamp.File.ModTime, again, look.report, look.again)
				}
				if want := s.stamp != before || s.known != wasKnown; changed != want {
					t.Errorf("look %d: changed %v, want %v", i, changed, want)
				}
			}
		})
	}
}

// No pattern makes New or a scan fail in any other way than by an error.
func FuzzPattern(f *testing.F) {
	for _, seed := range []string{"*/*.ini", "dir://", `\`, "[!]", "[^-]", "glob://[a-", "../..//*", "a\x00b/*", "*/../*.ini"} {
		f.Add(seed)
	}
	dir := f.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "a.ini"), nil, 0o600); err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, value string) {
		if strings.Count(value, "*")+strings.Count(value, "?")+strings.Count(value, "[") > 2 || strings.Contains(value, "..") || filepath.IsAbs(value) || strings.Contains(value, "://") {
			return // it might walk the whole machine
		}
		set, err := newSettings(Options{Dir: dir, Patterns: []Pattern{{Value: value}}})
		if err != nil {
			return
		}
		for path := range newScan(set).found {
			if !set.sources[0].holds(path) {
				t.Errorf("%q found %q, which it does not hold", value, path)
			}
		}
	})
}

func BenchmarkScan(b *testing.B) {
	dir := b.TempDir()
	for i := range 1000 {
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("%d.ini", i)), nil, 0o600); err != nil {
			b.Fatal(err)
		}
	}
	set, err := newSettings(Options{Dir: dir, Patterns: []Pattern{{Value: "*.ini"}}})
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		newScan(set)
	}
}

// Only names that can change the outcome of a scan call for one: a log written
// beside the vassals' files must not cause twenty scans a second.
func TestWhatMatters(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "releases/1/app.ini"), "")
	must(t, os.MkdirAll(filepath.Join(dir, "vassals"), 0o755))
	must(t, os.Symlink("../current/app.ini", filepath.Join(dir, "vassals/shop.ini")))
	must(t, os.Symlink("releases/1", filepath.Join(dir, "current")))
	set, err := newSettings(Options{Dir: dir, Patterns: []Pattern{{Value: "vassals"}, {Value: "s*/x.ini"}, {Value: "later/on"}}})
	must(t, err)
	places := newScan(set).places
	for _, test := range []struct {
		path string
		want bool
	}{
		{"vassals/blog.ini", true},
		{"vassals/shop.ini", true},
		{"vassals/shop.log", false},
		{"vassals/.shop.ini.swp", false},
		{"vassals/shop.ini~", false},
		{"current", true},            // the symlink on the way
		{"releases/1/app.ini", true}, // the target
		{"releases/1/other.ini", false},
		{"releases/2", false},
		{"sites", true}, // s*
		{"later", true}, // the first missing step
		{"other", false},
		{"elsewhere/x.ini", false},
	} {
		path := filepath.Join(dir, test.path)
		if got := places.matters(filepath.Dir(path), filepath.Base(path), nil); got != test.want {
			t.Errorf("%s matters: %v, want %v", test.path, got, test.want)
		}
	}
}
