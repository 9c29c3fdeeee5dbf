package spec

import (
	"strings"
	"testing"

	"emperor/internal/testlines"
)

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
			r := &reader{spec: &Spec{}, app: &AppReading{Lines: testlines.Lines(test.lines)}}
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
			a := AppReading{Name: "app", File: "/etc/main.ini", Dir: "/srv", Lines: testlines.Lines(test.lines), Apart: test.apart}
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
