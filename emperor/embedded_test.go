package emperor

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"emperor/internal/config"
	"emperor/internal/link"
	"emperor/vassal"
	"emperor/vassal/logs"
)

// frontOptions stand in for the router's.
var frontOptions = []config.Option{
	{Name: "http", Aliases: []string{"http-socket", "http11-socket"}, Type: config.String, Repeat: true},
	{Name: "http-to", Type: config.String, Repeat: true},
	{Name: "sslrouter", Type: config.String, Repeat: true},
	{Name: "sslrouter-to", Type: config.String, Repeat: true},
	{Name: "http-use-base", Type: config.String, Repeat: true},
	{Name: "http-hold", Type: config.String, Repeat: true},
	{Name: "http-timeout", Type: config.String, Repeat: true},
	{Name: "add-header", Type: config.String, Repeat: true},
	{Name: "route-host", Type: config.String, Repeat: true},
	{Name: "route-run", Type: config.String, Repeat: true},
}

// readOne reads a main file of that text, with these words after "--".
func readOne(t *testing.T, text string, env []string, command ...string) (*Main, config.Problems) {
	t.Helper()
	set, err := NewSet(frontOptions)
	if err != nil {
		t.Fatal(err)
	}
	reader := Reader{
		Set: set, Front: frontOptions,
		OwnRule: func(v config.Value) bool { return strings.Contains(v.Value, "vassal:") },
		ReadFront: func(c *config.Config) (link.Configuration, config.Problems) {
			var out link.Configuration
			for _, v := range c.Values {
				if !slices.ContainsFunc(frontOptions, func(o config.Option) bool { return o.Name == v.Key }) {
					continue
				}
				out.Options = append(out.Options, link.Option{Key: v.Key, Value: v.Value})
				if v.Key == "http" || v.Key == "sslrouter" {
					out.Listeners = append(out.Listeners, link.Listener{Option: v.Key, Address: v.Value})
				}
			}
			return out, nil
		},
	}
	s := Source{Env: append([]string{"PATH=/usr/bin:/bin"}, env...), Dir: t.TempDir(), Command: command}
	if text != "" {
		file := filepath.Join(s.Dir, "main.ini")
		if err := os.WriteFile(file, []byte("[uwsgi]\n"+text), 0o644); err != nil {
			t.Fatal(err)
		}
		s.Args = []string{file}
	}
	main, _, problems := reader.Read(s)
	return main, problems
}

// TestWhoTakesALine: the lines of a main file with one app are divided between the
// front, the app and ourselves.
func TestWhoTakesALine(t *testing.T) {
	const toApp = "route-run=vassal:app"
	for _, test := range []struct {
		name, text string
		env        []string
		command    []string
		front      string // what the router is sent of options
		listeners  string
		app        string // the app's lines; "-" when there is none
		notes      string // keys
	}{
		{name: "vassals", text: "emperor = /etc/vassals\nmodule = x", app: "-", notes: "module"},
		{name: "only a front", text: "http = :80\nhttp-to = /tmp/a.sock\nmaster = true", front: "http=:80 http-to=/tmp/a.sock", listeners: "http :80", app: "-", notes: "master"},
		{name: "only rules", text: "http = :80\nroute-run = x", front: "http=:80 route-run=x", listeners: "http :80", app: "-"},
		{name: "its paths make no app", text: "http = :80\npythonpath = /srv", front: "http=:80", listeners: "http :80", app: "-", notes: "pythonpath"},
		{name: "an app", text: "http = :80\nmaster = true\nmodule = x\nprocesses = 4\nmine = 1\nhttp-timeout = 3\nwatch-config = false",
			front: "http=:80 http-timeout=3 " + toApp, listeners: "http :80", app: "master=true module=x processes=4 mine=1"},
		{name: "files are an app", text: "http = :80\nstatic-map = /=/srv", front: "http=:80 " + toApp, listeners: "http :80", app: "static-map=/=/srv"},
		{name: "sockets for HTTP are the front's", text: "http-socket = :80\nhttp11-socket = :81\nmodule = x", front: "http=:80 http=:81 " + toApp,
			listeners: "http :80, http :81", app: "module=x"},
		{name: "a shared socket of the app's", text: "shared-socket = :80\nhttp-socket = :81\nsocket = =0\nmodule = x", front: "http=:81 " + toApp,
			listeners: "http :81", app: "shared-socket=:80 socket==0 module=x"},
		{name: "without a front", text: "socket = :3031\nmodule = x", front: toApp, app: "socket=:3031 module=x"},
		{name: "rules stay inside the app", text: "http = :80\nmodule = x\nroute-host = a b\nroute-run = log:x\nadd-header = A: b",
			front: "http=:80 " + toApp, listeners: "http :80", app: "module=x route-host=a b route-run=log:x add-header=A: b"},
		{name: "but for ours", text: "http = :80\nmodule = x\nroute-host = a vassal:app", front: "http=:80 route-host=a vassal:app " + toApp, listeners: "http :80", app: "module=x"},
		{name: "a program has no rules inside", text: "http = :80\ncommand = x\nroute-host = a b\nadd-header = A: b",
			front: "http=:80 route-host=a b add-header=A: b " + toApp, listeners: "http :80", app: "command=x"},
		{name: "other nodes", text: "http = :80\nhttp-to = /tmp/other.sock\nmodule = x\nsocket = /tmp/mine.sock",
			front: "http=:80 http-to=/tmp/other.sock", listeners: "http :80", app: "module=x socket=/tmp/mine.sock"},
		{name: "elsewhere by its name", text: "http = :80\nhttp-use-base = /tmp/\nmodule = x\nsocket = :3031", front: "http=:80 http-use-base=/tmp/", listeners: "http :80", app: "module=x socket=:3031"},
		{name: "itself by its address", text: "http = :80\nhttp-to = /tmp/mine.sock\nmodule = x\nsocket = /tmp/mine.sock",
			front: "http=:80 " + toApp, listeners: "http :80", app: "module=x socket=/tmp/mine.sock"},
		{name: "not for a child", text: "http = :80\nmodule = x\ndaemonize = /tmp/log\npidfile = /tmp/pid\nhttp-raw-body = 1",
			front: "http=:80 " + toApp, listeners: "http :80", app: "module=x", notes: "daemonize http-raw-body"},
		{name: "ours and the app's", text: "http = :80\nmodule = x\nenv = A=1\nchmod-socket = 660\nreload-mercy = 5",
			front: "http=:80 " + toApp, listeners: "http :80", app: "module=x env=A=1 chmod-socket=660 reload-mercy=5"},
		{name: "the environment", env: []string{"UWSGI_HTTP=:80", "UWSGI_MODULE=x"}, front: "http=:80 " + toApp, listeners: "http :80", app: "module=x"},
		{name: "what uWSGI would do is not done to a program", text: "http = :80\ncommand = x\nmaster = true\nthreads = 2\nport = auto",
			front: "http=:80 " + toApp, listeners: "http :80", app: "command=x master=true threads=2 port=auto", notes: "master threads"},
		{name: "given", command: []string{"node", "a b.js"}, front: "http=:8080 " + toApp, listeners: "http :8080", app: "command=node 'a b.js'"},
		{name: "given, on a platform", env: []string{"PORT=5000"}, command: []string{"x"}, front: "http=:5000 " + toApp, listeners: "http :5000", app: "command=x"},
		{name: "given, elsewhere", text: "http-socket = :81", env: []string{"PORT=5000"}, command: []string{"x"}, front: "http=:81 " + toApp, listeners: "http :81", app: "command=x"},
	} {
		t.Run(test.name, func(t *testing.T) {
			main, problems := readOne(t, test.text, test.env, test.command...)
			if main == nil {
				t.Fatal(problems)
			}
			var front, listeners, app, notes []string
			for _, o := range main.Front.Options {
				front = append(front, o.Key+"="+o.Value)
			}
			for _, l := range main.Front.Listeners {
				listeners = append(listeners, l.Option+" "+l.Address)
			}
			if main.App == nil {
				app = []string{"-"}
			} else {
				for _, v := range main.App.Lines {
					app = append(app, v.Key+"="+v.Value)
				}
			}
			for _, n := range main.Notes {
				notes = append(notes, n.Key)
			}
			for _, c := range []struct{ what, got, want string }{
				{"the front gets", strings.Join(front, " "), test.front}, {"listeners", strings.Join(listeners, ", "), test.listeners},
				{"the app gets", strings.Join(app, " "), test.app}, {"without effect", strings.Join(notes, " "), test.notes},
			} {
				if c.got != c.want {
					t.Errorf("%s: %q, want %q", c.what, c.got, c.want)
				}
			}
		})
	}
}

func TestFrontWithNothingBehindIt(t *testing.T) {
	for text, empty := range map[string]bool{
		"http = :80": true, "http = :80\nprocesses = 4": true, "http = :80\nroute-run = x": false, "http = :80\nhttp-to = :3031": false,
		"sslrouter = :443": true, "sslrouter = :443\nsslrouter-to = :3031": false,
		"http = :80\nemperor = /tmp": false, "http = :80\nmodule = x": false, "emperor = /tmp": false,
	} {
		main, problems := readOne(t, text, nil)
		if main == nil {
			t.Fatal(problems)
		}
		if got := strings.Contains(main.EmptyFront().String(), ": nothing is behind it"); got != empty {
			t.Errorf("%q: %v", text, main.EmptyFront())
		}
	}
}

func TestEnvironmentOfTheOneApp(t *testing.T) {
	main, problems := readOne(t, "http = :80\nenv = A=1", []string{"UWSGI_MODULE=x", "UWSGI_PIDFILE=/tmp/pid", "UWSGI_MINE=1", "B=2"})
	if main == nil {
		t.Fatal(problems)
	}
	got := strings.Join(main.Defaults.Environment, " ")
	if got != "PATH=/usr/bin:/bin UWSGI_MODULE=x UWSGI_MINE=1 B=2" {
		t.Errorf("got %q: what is ours alone must not reach it", got)
	}
}

func TestMistakesWithOneApp(t *testing.T) {
	for _, test := range []struct{ name, text, want string }{
		{"nearly ours", "http = :80\nmodule = x\nhttp-hodl = 3", "main.ini:4: http-hodl: there is no such option; did you mean http-hold?"},
		{"nearly ours, but used", "http = :80\nmodule = %(http-hodl)\nhttp-hodl = 3", ""},
		{"nobody's", "http = :80\nmodule = x\nfavourite-colour = 3", ""},
		{"nothing listens", "module = x", "main.ini:2: module: nothing listens for it"},
		{"of the program", "http = :80\ncommand = \"x", "main.ini:3: command: a quote \" is not closed"},
		{"confined by uWSGI only", "http = :80\ncommand = x\nunshare = pid", "main.ini:4: unshare: not supported in the main file"},
		{"about vassals", "http = :80\ncommand = x\nemperor-tyrant = true", "main.ini:4: emperor-tyrant: it is about vassals, and here command ("},
		{"confined", "http = :80\nmodule = x\nchroot = /srv", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			main, problems := readOne(t, test.text, nil)
			if test.want == "" {
				if main == nil {
					t.Error(problems)
				}
				return
			}
			if main != nil || !strings.Contains(problems.Errors().String(), test.want) {
				t.Errorf("got %v, want %q", problems, test.want)
			}
			if n := strings.Count(problems.String(), "http-hodl:"); n > 1 {
				t.Errorf("it is told %d times: %v", n, problems)
			}
		})
	}
}

func TestAnEditThatLosesTheApp(t *testing.T) {
	read := func(text string) *Main {
		t.Helper()
		main, problems := readOne(t, text, nil)
		if main == nil {
			t.Fatal(problems)
		}
		return main
	}
	old := read("http = :80\nmodule = x")
	for text, refused := range map[string]bool{
		"http = :80\n":                          true,
		"http = :80\nmodule = y":                false,
		"http = :80\nhttp-to = /tmp/other.sock": false,
		"http = :80\nemperor = /tmp":            false,
	} {
		if err := read(text).missingApp(old); (err != nil) != refused {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func TestProgramBesideAnotherApp(t *testing.T) {
	for _, text := range []string{"http = :80\nmodule = x", "http = :80\nemperor = /tmp"} {
		if main, problems := readOne(t, text, nil, "node", "x.js"); main != nil || !strings.Contains(problems.String(), "want either this or a program after --") {
			t.Errorf("%q: %v", text, problems)
		}
	}
}

// TestFirstStart: only a first start that fails is the end.
func TestFirstStart(t *testing.T) {
	status := func(state vassal.State) vassal.Status {
		return vassal.Status{Name: AppName, State: state, Reason: "exit status 3", Lines: []logs.Line{{Text: "no database"}}}
	}
	var failed, served firstStart
	failed.see(vassal.Status{Name: "other", State: vassal.Ready})
	failed.see(status(vassal.Starting))
	if failed.err() != nil {
		t.Errorf("not failed yet, but %v", failed.err())
	}
	failed.see(status(vassal.Failed))
	failed.see(status(vassal.Starting))
	if err := failed.err(); err == nil || err.Error() != "the app did not start: exit status 3\n  | no database" {
		t.Errorf("got %v", err)
	}
	served.see(status(vassal.Ready))
	served.see(status(vassal.Failed))
	if err := served.err(); err != nil {
		t.Errorf("it has served, but %v", err)
	}
}
