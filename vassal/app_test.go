package vassal

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"emperor/internal/config"
)

// lines makes an app's lines of a text like a main file's; "- " before one says
// that it stood on the command line, "+ " that it came from the environment.
func lines(text string) []config.Value {
	var out []config.Value
	for n, line := range strings.Split(strings.TrimSpace(text), "\n") {
		v := config.Value{Pos: config.Pos{File: "main.ini", Line: n + 1}}
		if rest, ok := strings.CutPrefix(line, "- "); ok {
			line, v.Pos = rest, config.Pos{}
		}
		if rest, ok := strings.CutPrefix(line, "+ "); ok {
			line, v.Pos = rest, config.Pos{File: "environment UWSGI_X"}
		}
		v.Key, v.Value, v.HasValue = strings.Cut(line, " = ")
		v.Value = strings.ReplaceAll(v.Value, `\n`, "\n")
		out = append(out, v)
	}
	return out
}

func TestArgumentsOfAnApp(t *testing.T) {
	for _, test := range []struct{ name, lines, arguments, text string }{
		{"command line", "- master\n- processes = 4\n- module = shop app",
			"--master|--set|processes=4|--set|module=shop app", ""},
		{"file", "plugin = python3\nmaster\nempty = \nprocesses = 4",
			"--ini|/proc/self/fd/4:1|--set|safe-fd=4", "[1]\nplugin = python3\nmaster\nempty = \nprocesses = 4\n"},
		{"their order is kept", "- chdir = /a\nchdir = /b\nmodule = x\n- chdir = /c\nchdir = /d",
			"--set|chdir=/a|--ini|/proc/self/fd/4:1|--set|chdir=/c|--ini|/proc/self/fd/4:2|--set|safe-fd=4",
			"[1]\nchdir = /b\nmodule = x\n[2]\nchdir = /d\n"},
		{"what is expanded stays as it is", "log-format = %(addr) 50%\n- log-date = %Y",
			"--ini|/proc/self/fd/4:1|--set|log-date=%Y|--set|safe-fd=4", "[1]\nlog-format = %%(addr) 50%%\n"},
		{"what no line can hold", `env = KEY=one\ntwo`, "--set|env=KEY=one\ntwo", ""},
		{"ours is no option of uWSGI's", "- overlap\n- module = x", "--set|module=x", ""},
		{"the environment has its own", "+ plugin = python3\n- module = x", "--set|module=x", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := &reader{spec: &Spec{}, app: &AppReading{Lines: lines(test.lines)}}
			arguments, text := r.appArguments()
			if got := strings.Join(arguments, "|"); got != test.arguments || text != test.text {
				t.Errorf("arguments %q, text %q\nwant %q, %q", got, text, test.arguments, test.text)
			}
		})
	}
}

func TestSpecOfAnApp(t *testing.T) {
	for _, test := range []struct {
		name, lines string
		front       bool // there is one
		apart       bool
		kind        Kind
		sockets     string // what is listened on
		says        string // a problem
	}{
		{name: "uWSGI", lines: "module = x\nprocesses = 4", front: true, kind: UWSGI, sockets: "uwsgi:/run/app.sock automatic"},
		{name: "its own socket is used", lines: "module = x\nsocket = /tmp/a.sock", front: true, kind: UWSGI, sockets: "uwsgi:/tmp/a.sock"},
		{name: "also on a port", lines: "module = x\nsocket = :3031", front: true, kind: UWSGI, sockets: "uwsgi::3031"},
		{name: "unless the front cannot", lines: "module = x\nsocket = /tmp/a.sock\nchmod-socket = 660", front: true, apart: true, kind: UWSGI,
			sockets: "uwsgi:/run/app.sock automatic, uwsgi:/tmp/a.sock"},
		{name: "which it can as the same user", lines: "module = x\nsocket = /tmp/a.sock\nchmod-socket = 660", front: true, kind: UWSGI, sockets: "uwsgi:/tmp/a.sock"},
		{name: "a protocol that is not spoken", lines: "module = x\nraw-socket = /tmp/a.sock", front: true, kind: UWSGI,
			sockets: "uwsgi:/run/app.sock automatic, raw:/tmp/a.sock"},
		{name: "protocol is about its own sockets", lines: "module = x\nprotocol = http", front: true, kind: UWSGI, sockets: "uwsgi:/run/app.sock automatic"},
		{name: "confined, but not our socket", lines: "module = x\nchroot = /srv", front: true, kind: UWSGI, sockets: "uwsgi:/run/app.sock automatic"},
		{name: "no front", lines: "module = x\nsocket = /tmp/a.sock", kind: UWSGI, sockets: "uwsgi:/tmp/a.sock"},
		{name: "nothing at all", lines: "module = x", kind: UWSGI, says: "main.ini:1: module: nothing listens for it"},
		{name: "only files", lines: "static-map = /=/srv", front: true, kind: UWSGI, sockets: "uwsgi:/run/app.sock automatic"},
		{name: "command", lines: "command = gunicorn x\nprocesses = 4", front: true, kind: Command, sockets: "http:/run/app.sock automatic"},
		{name: "its own protocol", lines: "command = x\nprotocol = fastcgi", front: true, kind: Command, sockets: "fastcgi:/run/app.sock automatic"},
		{name: "a port by order", lines: "command = x\nport = auto", front: true, kind: Command, sockets: ""},
		{name: "paths of Python make no app", lines: "command = x\npythonpath = /srv\nhome = /venv", front: true, kind: Command, sockets: "http:/run/app.sock automatic"},
		{name: "wrong number", lines: "command = x\nprocesses = many", front: true, kind: Command, says: `main.ini:2: processes: want a number, at least 1, got "many"`},
		{name: "wrong answer", lines: "command = x\noverlap = perhaps", front: true, kind: Command, says: `main.ini:2: overlap: want true or false, got "perhaps"`},
	} {
		t.Run(test.name, func(t *testing.T) {
			a := AppReading{Name: "app", File: "/etc/main.ini", Dir: "/srv", Lines: lines(test.lines), Apart: test.apart}
			if test.front {
				a.Socket = "/run/app.sock"
			}
			got := ReadApp(a)
			if test.says != "" {
				if got.Spec != nil || !strings.Contains(got.Problems.String(), test.says) {
					t.Errorf("got %v, want %q", got.Problems, test.says)
				}
				return
			}
			if got.Spec == nil || got.Spec.Kind != test.kind {
				t.Fatalf("spec %+v, problems %v, want a %s", got.Spec, got.Problems, test.kind)
			}
			var sockets []string
			for _, s := range got.Spec.Sockets {
				text := s.Protocol + ":" + s.Address
				if s.Automatic {
					text += " automatic"
				}
				if !s.Held {
					text += " not held"
				}
				sockets = append(sockets, text)
			}
			if got := strings.Join(sockets, ", "); got != test.sockets {
				t.Errorf("sockets %q, want %q", got, test.sockets)
			}
		})
	}
}

func TestCommandLineStartsExactlyTheseWords(t *testing.T) {
	for _, words := range [][]string{
		{"node", "app.js"},
		{"python3", "-c", `print("it's $HOME", 'a\b'); # *`},
		{"sh", "-c", "a && b | c > d", ""},
		{"a b", "~", "x=y"},
	} {
		got, err := commandVector(CommandLine(words))
		if err != nil || !reflect.DeepEqual(got, words) {
			t.Errorf("%q came back as %q, %v", words, got, err)
		}
	}
}

// appSite is a vassal of an app's lines, with a socket for the front at DIR/s.
func appSite(t *testing.T, text string, adjust func(*Deps)) (s *site, read func() *Spec) {
	t.Helper()
	s = newSite(t, "", adjust)
	return s, func() *Spec {
		t.Helper()
		result := ReadApp(AppReading{Name: "site", File: s.file, Dir: s.dir, Lines: lines(strings.ReplaceAll(text, "DIR", s.dir)), Socket: filepath.Join(s.dir, "s")})
		if result.Spec == nil {
			t.Fatal(result.Problems)
		}
		return result.Spec
	}
}

// uWSGI gets what the lines say, also when it reloads by itself, as somebody else.
func TestUWSGIOfLines(t *testing.T) {
	t.Parallel()
	text := "plugin = python3\nprotocol = http\nchdir = DIR\n- set-by-hand = %n of 50%\nmodule = app\nmine = 50% %(addr)\nenv = SECRET=hidden\nenv = TWO=one\\ntwo\n- master"
	if os.Geteuid() == 0 {
		text += "\nuid = 65534"
	}
	s, read := appSite(t, text, nil)
	if err := os.Chmod(s.dir, 0o755); err != nil {
		t.Fatal(err)
	}
	s.app(`
import os, uwsgi
def application(env, start_response):
    start_response('200 OK', [])
    return []
print('told: ' + '|'.join([uwsgi.opt['mine'].decode(), uwsgi.opt['set-by-hand'].decode(), os.environ['SECRET'], os.environ['TWO'].replace('\n', ' '), str(uwsgi.opt['master'])]))
`)
	s.Want(read(), time.Now())
	pid := s.ready(1).PIDs[0]
	const want = "told: 50% %(addr)|%n of 50%|hidden|one two|True"
	s.logged(want, 1)
	words, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/cmdline")
	if err != nil || strings.Contains(string(words), "hidden") {
		t.Errorf("everybody can read its secret: %q, %v", words, err)
	}
	if err := syscall.Kill(pid, syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	s.logged(want, 2)
	s.Want(read(), time.Now())
	s.ready(2)
	s.logged(want, 3)
}

// logged waits until the vassal's log has the text that many times.
func (s *site) logged(text string, times int) {
	s.t.Helper()
	eventually(s.t, fmt.Sprintf("it logs %q %d times", text, times), func() bool { return strings.Count(s.log.String(), text) >= times })
}

// TestCommandUsesEitherWay: a program of which nothing is known gets a socket and a
// port, and is reached at the one that it uses; what it uses may change.
func TestCommandUsesEitherWay(t *testing.T) {
	t.Parallel()
	front := newFakeFront()
	command := func(words ...string) string {
		return "env = GORACE=atexit_sleep_ms=0\nprocesses = 3\ncommand = " + play(t, words...)
	}
	s, socket := appSite(t, command("serve", "fd=3"), func(d *Deps) { d.Front = front })
	s.Want(socket(), time.Now())
	first := s.until("ready with all its processes", func(st Status) bool { return st.State == Ready && len(st.PIDs) == 3 })
	if len(first.Addresses) != 1 || first.Addresses[0].Address != filepath.Join(s.dir, "s") {
		t.Errorf("addresses %v, want the socket", first.Addresses)
	}
	if got := s.mustGet("/env?LISTEN_FDS"); got != "1" {
		t.Errorf("LISTEN_FDS=%q", got)
	}

	spec := func(words ...string) *Spec {
		result := ReadApp(AppReading{Name: "site", File: s.file, Dir: s.dir, Lines: lines(command(words...)), Socket: filepath.Join(s.dir, "s")})
		if result.Spec == nil {
			t.Fatal(result.Problems)
		}
		return result.Spec
	}
	s.Want(spec("serve", "port"), time.Now())
	second := s.ready(2)
	if len(second.Addresses) != 1 || !strings.HasPrefix(second.Addresses[0].Address, "127.0.0.1:") || len(second.PIDs) != 1 {
		t.Errorf("addresses %v, processes %v, want one process and its port", second.Addresses, second.PIDs)
	}
	s.logged("it listens on $PORT, which only one process can", 1)
	s.Want(spec("serve", "port"), time.Now())
	if third := s.ready(3); third.Addresses[0] == second.Addresses[0] || !third.Overlap {
		t.Errorf("addresses %v after %v, want another port", third.Addresses, second.Addresses)
	}

	s.Want(spec("serve", "fd=3"), time.Now())
	fourth := s.ready(4)
	if fourth.Addresses[0] != first.Addresses[0] {
		t.Errorf("addresses %v, want the socket again", fourth.Addresses)
	}
	s.mustGet("/")
}

func TestCommandThatUsesNeitherWay(t *testing.T) {
	t.Parallel()
	s, read := appSite(t, "boot-timeout = 1\nenv = GORACE=atexit_sleep_ms=0\ncommand = "+play(t, "wait"), nil)
	s.Want(read(), time.Now())
	failed := s.until("failed", func(st Status) bool { return st.State == Failed })
	if !strings.Contains(failed.Reason, "neither takes the socket it is given") {
		t.Errorf("reason %q", failed.Reason)
	}
}
