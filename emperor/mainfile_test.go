package emperor

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"emperor/internal/config"
	"emperor/internal/link"
)

// testOptions stand in for the router's.
var testOptions = []config.Option{
	{Name: "http", Type: config.String, Repeat: true},
	{Name: "route-host", Type: config.String, Repeat: true},
}

func testReader(t *testing.T) Reader {
	t.Helper()
	set, err := NewSet(testOptions)
	if err != nil {
		t.Fatal(err)
	}
	return Reader{Set: set, ReadFront: func(c *config.Config) (link.Configuration, config.Problems) {
		var out link.Configuration
		for _, v := range c.All("http", "route-host") {
			out.Options = append(out.Options, link.Option{Key: v.Key, Value: v.Value, File: v.Pos.File, Line: v.Pos.Line})
			if v.Key == "http" {
				out.Listeners = append(out.Listeners, link.Listener{Option: "http", Address: v.Value, File: v.Pos.File, Line: v.Pos.Line})
			}
		}
		return out, nil
	}}
}

// readText reads a main file of that text.
func readText(t *testing.T, text string) (*Main, string, config.Problems) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "main.ini")
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	main, _, problems := testReader(t).Read(Source{Args: []string{file}, Env: []string{"PATH=/usr/bin:/bin", "HOME=/root"}, Dir: filepath.Dir(file)})
	return main, file, problems
}

func TestDebianMainFileRuns(t *testing.T) {
	main, _, problems := readText(t, `[uwsgi]
master = true
workers = 2
no-orphans = true
log-date = true
emperor = /etc/uwsgi-emperor/vassals
`)
	if main == nil {
		t.Fatal(problems)
	}
	if len(problems) > 0 {
		t.Errorf("problems: %v", problems)
	}
	var keys []string
	for _, note := range main.Notes {
		keys = append(keys, note.Key)
	}
	if want := []string{"master", "processes", "no-orphans", "log-date"}; !slices.Equal(keys, want) {
		t.Errorf("without effect: %v, want %v", keys, want)
	}
	if len(main.Monitor.Patterns) != 1 {
		t.Errorf("patterns: %v", main.Monitor.Patterns)
	}
}

// Options of the front that are accepted without effect say why.
func TestNotesOnTheFront(t *testing.T) {
	main, _, problems := readText(t, `[uwsgi]
http = :8080
http-use-cache = names
http-use-code-string = 0:/srv/where.py:find
http-use-socket = 1
http-manage-rtsp = true
http-post-buffering-dir = /var/tmp
http-workers = 4
http-quiet = true
http-harakiri = 10
`)
	if main == nil || len(problems) > 0 {
		t.Fatal(problems)
	}
	for i, want := range []string{"or http-use-pattern = /run/%%s.sock says where", "not supported: no language runs here; a rule (route-host = ^(\\w+)\\.example\\.com$ uwsgi:/run/$1.sock)", "the app in the same file", "let its server listen at a port of its own", "in the emperor's TMPDIR", "one router process", "is bounded anyway", "no request can"} {
		if i >= len(main.Notes) || !strings.HasPrefix(main.Notes[i].Text, "accepted without effect: ") || !strings.Contains(main.Notes[i].Text, want) {
			t.Errorf("note %d of %v: want %q", i, main.Notes, want)
		}
	}
}

func TestMistakesOfTheMainFile(t *testing.T) {
	tests := []struct{ name, text, want string }{
		{"bare port", "http = 8080", "main.ini:2: http: 8080 is a bare number: want :8080"},
		{"port too large", "http = :80800", `want a port from 1 to 65535, got "80800"`},
		{"no address", "http = fd://", "want :8080 (all addresses)"},
		{"unknown monitor", "emperor = amqp://localhost", "main.ini:2: emperor: want a directory"},
		{"clone", "emperor-use-clone = pid", "main.ini:2: emperor-use-clone: not supported: vassals would not be put into namespaces"},
		{"capability", "emperor-cap = everything", `main.ini:2: emperor-cap: there is no capability "everything"`},
		{"user", "http-uid = nobody-of-that-name", `there is no user "nobody-of-that-name"`},
		{"number", "emperor-freq = often", "main.ini:2: emperor-freq:"},
		{"pair", "vassal-set = novalue", "main.ini:2: vassal-set:"},
	}
	for _, test := range tests {
		if test.name == "user" && os.Geteuid() != 0 {
			continue // like uWSGI, nobody else is looked up without privileges
		}
		main, _, problems := readText(t, "[uwsgi]\n"+test.text+"\n")
		if main != nil || !strings.Contains(problems.String(), test.want) {
			t.Errorf("%s: problems %q, want %q", test.name, problems.String(), test.want)
		}
	}
}

func TestWhatIsForbiddenMayBeSwitchedOff(t *testing.T) {
	if main, _, problems := readText(t, "[uwsgi]\nemperor-use-clone = false\n"); main == nil {
		t.Error(problems)
	}
}

func TestVassalSetIsExpandedPerVassal(t *testing.T) {
	w := newWorld(t, "vassal-set = socket=/tmp/x_%%n.sock\nvassals-set = env=A=b\n")
	w.write("shop.ini", w.site(""))
	r := w.registry.main.reading(w.snapshot().Items[0])
	var got []string
	for _, v := range r.Set {
		got = append(got, v.Key+"="+v.Value)
	}
	if want := []string{"socket=/tmp/x_shop.sock", "env=A=b"}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestDirectoryOfAVassal(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "a.ini")
	if err := os.WriteFile(file, []byte("[uwsgi]\ncommand = true\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	for pattern, want := range map[string]bool{dir: true, "dir://" + dir: true, dir + "/*.ini": false, "glob://" + dir + "/*.ini": false} {
		main, _, problems := readText(t, "[uwsgi]\nemperor = "+pattern+"\n")
		if main == nil {
			t.Fatal(problems)
		}
		if got := main.fromDirectory(file); got != want {
			t.Errorf("%s: from a directory: %t, want %t", pattern, got, want)
		}
	}
}

func TestEnvironmentOfVassals(t *testing.T) {
	main, _, problems := readText(t, "[uwsgi]\nenv = A=1\nenv = HOME=/srv\nunenv = A\nenv = B=x=y\n")
	if main == nil {
		t.Fatal(problems)
	}
	if want := []string{"PATH=/usr/bin:/bin", "HOME=/srv", "B=x=y"}; !slices.Equal(main.Defaults.Environment, want) {
		t.Errorf("got %v, want %v", main.Defaults.Environment, want)
	}
}

func TestWhatAnEditChanges(t *testing.T) {
	const base = "emperor = /srv/*.ini\nhttp = :8080\nvassal-set = env=A=1\n"
	tests := []struct {
		name, text              string
		front, monitor, vassals bool // unchanged
		restart                 string
	}{
		{"nothing", base, true, true, true, ""},
		{"a rule", base + "route-host = x vassal:x\n", false, true, true, ""},
		{"a monitor", base + "emperor = /opt/*.ini\n", true, false, true, ""},
		{"vassal-set", base + "vassal-set = env=B=1\n", true, true, false, ""},
		{"env", base + "env = X=1\n", true, true, false, "env"},
		{"mercy", base + "reload-mercy = 5\n", true, true, true, "reload-mercy"},
		{"control", base + "control = /tmp/x.sock\n", true, true, true, "control"},
	}
	old, _, _ := readText(t, "[uwsgi]\n"+base)
	for _, test := range tests {
		main, _, problems := readText(t, "[uwsgi]\n"+test.text)
		if main == nil {
			t.Fatal(problems)
		}
		// Each text was in a file of its own; only lines matter here.
		for i := range main.Front.Options {
			main.Front.Options[i].File = old.Front.Options[0].File
		}
		for i := range main.Front.Listeners {
			main.Front.Listeners[i].File = old.Front.Options[0].File
		}
		main.Monitor.Dir = old.Monitor.Dir
		if got := main.sameFront(old); got != test.front {
			t.Errorf("%s: same front: %t", test.name, got)
		}
		if got := main.sameMonitor(old); got != test.monitor {
			t.Errorf("%s: same monitor: %t", test.name, got)
		}
		if got := main.sameForVassals(old); got != test.vassals {
			t.Errorf("%s: same for vassals: %t", test.name, got)
		}
		if got := strings.Join(main.needsRestart(old), ", "); got != test.restart {
			t.Errorf("%s: needs a restart: %q, want %q", test.name, got, test.restart)
		}
	}
}

// TestRoutersOfUWSGIInTheMainFile: a listener that is lost is not said to be an option of
// vassals.
func TestRoutersOfUWSGIInTheMainFile(t *testing.T) {
	main, _, problems := readText(t, "[uwsgi]\nemperor = /tmp\nfastrouter = :3031\nfastrouter-subscription-server = :3032\nforkptyrouter = /tmp/pty\n")
	if main == nil || len(main.Notes) != 3 {
		t.Fatalf("%+v, %v", main, problems)
	}
	for i, want := range []string{
		"main.ini:3: fastrouter: accepted without effect: not supported: the front speaks HTTP with the server before it",
		"main.ini:4: fastrouter-subscription-server: accepted without effect: not supported: the front",
		"main.ini:5: forkptyrouter: accepted without effect: not supported: there are no terminals here",
	} {
		if got := main.Notes[i].Error(); !strings.Contains(got, want) {
			t.Errorf("note %d: %s\nwant %s", i, got, want)
		}
	}
}
