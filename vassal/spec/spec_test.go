package spec

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"emperor/internal/config"
	"emperor/internal/link"
	"emperor/vassal/environment"
)

// readSpec is Read, where only the Spec and the problems matter.
func readSpec(r Reading) (*Spec, config.Problems) {
	result := Read(r)
	return result.Spec, result.Problems
}

func errorsOf(p config.Problems) string { return p.Errors().String() }

// readText reads a vassal file of that text; DIR is its directory.
func readText(t *testing.T, name, text string, adjust func(*Reading)) (*Spec, config.Problems, string) {
	t.Helper()
	dir := t.TempDir()
	file := filepath.Join(dir, name)
	if err := os.WriteFile(file, []byte(strings.ReplaceAll(text, "DIR", dir)), 0o644); err != nil {
		t.Fatal(err)
	}
	r := Reading{Name: "site", File: file, Env: []string{"HOME=/home/x", "NAME=value"}}
	if adjust != nil {
		adjust(&r)
	}
	spec, problems := readSpec(r)
	return spec, problems, dir
}

func TestKind(t *testing.T) {
	for _, test := range []struct {
		name, text string
		kind       Kind
		reason     string
	}{
		{"app", "socket = /tmp/x\nmodule = app\n", UWSGI, "module (site.ini:3)"},
		{"mount", "socket = /tmp/x\nmount = /a=app.py\n", UWSGI, "mount (site.ini:3)"},
		{"php", "socket = /tmp/x\nphp-docroot = /srv\n", UWSGI, "php-docroot (site.ini:3)"},
		{"command", "socket = /tmp/x\ncommand = gunicorn app\n", Command, "command (site.ini:3)"},
		{"command as a placeholder", "command = /srv/app.py\nsocket = /tmp/x\nprint = %(command)\n", UWSGI, "it names no command"},
		{"app beats command", "socket = /tmp/x\ncommand = x\nwsgi-file = a.py\n", UWSGI, "wsgi-file (site.ini:4)"},
		{"neither", "http = :8080\n", UWSGI, "it names no command"},
		{"port as a placeholder", "port = 9000\nhttp-socket = :%(port)\nmodule = app\n", UWSGI, "module (site.ini:4)"},
		{"folder", "static = /srv/www\n", Static, "static (site.ini:2)"},
		{"command beats folder", "static = /srv/www\nport = auto\ncommand = x\n", Command, "command (site.ini:4)"},
		{"unknown include", "include = exec://generate\ncommand = x\n", UWSGI, "only uWSGI can read include (site.ini:2)"},
	} {
		t.Run(test.name, func(t *testing.T) {
			spec, problems, _ := readText(t, "site.ini", "[uwsgi]\n"+test.text, nil)
			if spec == nil {
				t.Fatalf("problems:\n%s", problems)
			}
			if spec.Kind != test.kind || spec.KindReason != test.reason {
				t.Errorf("%s, because of %q; want %s, %q", spec.Kind, spec.KindReason, test.kind, test.reason)
			}
		})
	}
}

func TestSockets(t *testing.T) {
	for _, test := range []struct {
		name, text string
		want       []Socket
		overlap    bool
		reason     string
	}{
		{"path", "socket = /run/a.sock\nmodule = m\n", []Socket{{Address: "/run/a.sock", Protocol: "uwsgi", Held: true}}, true, ""},
		{"protocol", "socket = /run/a.sock\nprotocol = http\nmodule = m\n", []Socket{{Address: "/run/a.sock", Protocol: "http", Held: true}}, true, ""},
		{"each protocol", "http-socket = 127.0.0.1:8001\nfastcgi-socket = :8002\nscgi-socket = [::1]:8003\nuwsgi-socket = @name\nmodule = m\n", []Socket{
			{Address: "127.0.0.1:8001", Protocol: "http", Held: true}, {Address: ":8002", Protocol: "fastcgi", Held: true},
			{Address: "[::1]:8003", Protocol: "scgi", Held: true}, {Address: "@name", Protocol: "uwsgi", Held: true}}, true, ""},
		{"host name", "socket = localhost:8001\nmodule = m\n", []Socket{{Address: "localhost:8001", Protocol: "uwsgi", Why: `"localhost" is not a numeric address`}}, false, "socket localhost:8001 (site.ini:2) is bound by uWSGI"},
		{"any port", "socket = 127.0.0.1:0\nmodule = m\n", []Socket{{Address: "127.0.0.1:0", Protocol: "uwsgi", Why: "port 0, any port"}}, false, "is bound by uWSGI"},
		{"shared", "shared-socket = :8001\nsocket = =0\nmodule = m\n", []Socket{{Address: "=0", Protocol: "uwsgi", Why: "a shared-socket"}}, false, "shared-socket (site.ini:2)"},
		{"tls", "https-socket = :8443,a.crt,a.key\nmodule = m\n", []Socket{{Address: ":8443", Protocol: "https", Why: "TLS ends in uWSGI"}}, false, "is bound by uWSGI"},
		{"jail", "chroot = /srv\nsocket = /run/a.sock\nmodule = m\n", []Socket{{Address: "/run/a.sock", Protocol: "uwsgi", Why: "a path means something else after chroot (site.ini:2)"}}, false, "is bound by uWSGI"},
		{"unknown value", "socket = @(exec://name)\nmodule = m\n", []Socket{{Address: "@(exec://name)", Protocol: "uwsgi", Why: "its text is known to uWSGI only"}}, false, "is bound by uWSGI"},
		{"tcp stats", "socket = /run/a.sock\nstats = 127.0.0.1:9191\nmodule = m\n", []Socket{{Address: "/run/a.sock", Protocol: "uwsgi", Held: true}}, false, "stats (site.ini:3)"},
		{"unix stats", "socket = /run/a.sock\nstats = /run/stats\nmodule = m\n", []Socket{{Address: "/run/a.sock", Protocol: "uwsgi", Held: true}}, true, ""},
		{"daemon", "socket = /run/a.sock\nattach-daemon = redis\nmodule = m\n", []Socket{{Address: "/run/a.sock", Protocol: "uwsgi", Held: true}}, false, "attach-daemon (site.ini:3)"},
		{"said", "socket = /run/a.sock\noverlap = false\nmodule = m\n", []Socket{{Address: "/run/a.sock", Protocol: "uwsgi", Held: true}}, false, "overlap (site.ini:3)"},
		{"command", "socket = /run/a.sock\ncommand = x\n", []Socket{{Address: "/run/a.sock", Protocol: "http", Held: true}}, true, ""},
		{"command that names it", "socket = /run/a.sock\ncommand = x %(socket)\n", []Socket{{Address: "/run/a.sock", Protocol: "http", Held: true}}, false, "the command names its socket itself"},
		{"command on tcp", "socket = 127.0.0.1:8001\ncommand = x\n", []Socket{{Address: "127.0.0.1:8001", Protocol: "http", Held: true}}, false, "is not a path"},
	} {
		t.Run(test.name, func(t *testing.T) {
			spec, problems, _ := readText(t, "site.ini", "[uwsgi]\n"+test.text, nil)
			if spec == nil {
				t.Fatalf("problems:\n%s", problems)
			}
			if len(spec.Sockets) != len(test.want) {
				t.Fatalf("sockets %+v, want %+v", spec.Sockets, test.want)
			}
			for i, got := range spec.Sockets {
				want := test.want[i]
				if got.Address != want.Address || got.Protocol != want.Protocol || got.Held != want.Held || got.Why != want.Why {
					t.Errorf("socket %d: %+v, want %+v", i, got, want)
				}
			}
			if spec.Overlap != test.overlap || !strings.Contains(spec.OverlapReason, test.reason) {
				t.Errorf("overlap %t, because of %q; want %t, %q", spec.Overlap, spec.OverlapReason, test.overlap, test.reason)
			}
		})
	}
}

func TestMistakes(t *testing.T) {
	for _, test := range []struct{ name, text, want string }{
		{"no socket", "module = app\n", "site.ini:2: socket: it has no socket to answer on: add socket = /tmp/uwsgi_site.sock"},
		{"no socket, no app", "master = true\n", "site.ini: socket: it has no socket to answer on"},
		{"empty", "", "site.ini: the file has no option of a vassal"},
		{"not an ini", "Lorem ipsum\ndolor = sit amet\n", "site.ini: the file has no option of a vassal"},
		{"quote", "socket = /tmp/x\ncommand = sh -c 'x\n", "site.ini:3: command: a quote ' is not closed"},
		{"protocol", "socket = /tmp/x\nprotocol = gopher\ncommand = x\n", "site.ini:3: protocol: want http, uwsgi, fastcgi, scgi or tcp, got \"gopher\""},
		{"signal", "socket = /tmp/x\nstop-signal = NOVA\ncommand = x\n", "site.ini:3: stop-signal: want the name of a signal"},
		{"port", "port = 8080\ncommand = x\n", "site.ini:2: port: want auto, got \"8080\""},
		{"user", "socket = /tmp/x\nuid = nobody-of-that-name\ncommand = x\n", "site.ini:3: uid: there is no user"},
		{"address", "socket = 127.0.0.1:http\ncommand = x\n", "site.ini:2: socket: want a port from 1 to 65535"},
		{"long path", "socket = /" + strings.Repeat("x", 120) + "\ncommand = x\n", "site.ini:2: socket: a socket's path has at most 107 bytes"},
		{"umask", "socket = /tmp/x\numask = 9\ncommand = x\n", "site.ini:3: umask: want an octal mask"},
		{"unknown command", "socket = /tmp/x\ncommand = @(exec://x)\n", "site.ini:3: command: the value depends on something"},
		{"path", "socket = /tmp/x\nready-path = health\ncommand = x\n", "site.ini:3: ready-path: want a path that begins with /"},
	} {
		t.Run(test.name, func(t *testing.T) {
			spec, problems, _ := readText(t, "site.ini", "[uwsgi]\n"+test.text, func(r *Reading) { r.SocketHint = "/tmp/uwsgi_site.sock" })
			if spec != nil {
				t.Fatalf("no error; want %q; problems:\n%s", test.want, problems)
			}
			if !strings.Contains(errorsOf(problems), test.want) {
				t.Errorf("errors:\n%swant %q", errorsOf(problems), test.want)
			}
		})
	}
}

func TestSpecOfACommand(t *testing.T) {
	spec, problems, dir := readText(t, "site.ini", `[uwsgi]
socket = rel.sock
chdir = DIR
command = web --fd %(fd) --name "a b"
env = A=1
unenv = B
env = C=%(fd)
stop-signal = quit
reload-mercy = 7
boot-timeout = 3
stop-timeout = 2
processes = 3
`, nil)
	if spec == nil {
		t.Fatal(problems)
	}
	if got, want := spec.Addresses(), (link.Address{Address: filepath.Join(dir, "rel.sock"), Protocol: "http"}); len(got) != 1 || got[0] != want {
		t.Errorf("addresses %+v, want %+v", got, want)
	}
	c := spec.Command
	if c.Line != `web --fd %(fd) --name "a b"` || c.Copies != 3 || c.Signal.String() != "quit" || c.Dir != dir {
		t.Errorf("command %+v", c)
	}
	if spec.Mercy != 7*time.Second || spec.Boot != 3*time.Second || spec.Stop != 2*time.Second {
		t.Errorf("mercy %s, boot %s, stop %s", spec.Mercy, spec.Boot, spec.Stop)
	}
	if len(c.Environment) != 3 || c.Environment[1] != (environment.Change{Name: "B", Unset: true}) {
		t.Errorf("environment %+v", c.Environment)
	}
	if spec.Port {
		t.Error("a command with a socket needs no port")
	}
}

func TestPortIsTheDefaultOfACommand(t *testing.T) {
	for _, text := range []string{"command = x\n", "port = auto\ncommand = x --port %(port)\n", "socket = /tmp/s\nport = auto\ncommand = x\n"} {
		spec, problems, _ := readText(t, "site.ini", "[uwsgi]\n"+text, nil)
		if spec == nil {
			t.Fatal(problems)
		}
		if !spec.Port || len(spec.Sockets) != 0 || spec.Kind != Command {
			t.Errorf("%q: port %t, sockets %v, kind %s", text, spec.Port, spec.Sockets, spec.Kind)
		}
	}
}

// TestForeignOptions: nothing that uWSGI knows is taken for a typing error.
func TestForeignOptions(t *testing.T) {
	set, err := vassalOptions()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"cheaper", "touch-reload", "master", "py-autoreload", "rack", "php-docroot", "gevent", "workers", "chmod", "stats-server", "http-websockets"} {
		if _, ok := set.Lookup(name); !ok {
			t.Errorf("%s is not known", name)
		}
	}
	if o, _ := set.Lookup("workers"); o.Name != "processes" {
		t.Errorf("workers is %s, want another name of processes", o.Name)
	}
	spec, problems, _ := readText(t, "site.ini", "[uwsgi]\nsocket = /tmp/x\nmodule = m\nthreds = 4\n", nil)
	if spec == nil || !strings.Contains(problems.String(), "threads") {
		t.Errorf("problems %q, want a hint to threads", problems.String())
	}
}
