package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"emperor/internal/listening"
	"emperor/internal/testport"
)

// desk is a folder with a main file and vassals in it, which are only read. DIR and
// PORT in texts stand for the folder and a free port; the folder is the working
// directory.
type desk struct {
	*testing.T
	dir, port string
	other     int // the process of socat
}

// deskMain is the main file of a desk, unless a test writes another.
const deskMain = `[uwsgi]
emperor = v/*.ini
control = DIR/control.sock
http = 127.0.0.1:PORT
route-host = ^([-\w]+)\.example\.com$ uwsgi:DIR/run/$1.sock,0,0
`

func newDesk(t *testing.T) *desk {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "desk") // short, for socket paths, and open to every user
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	d := &desk{T: t, dir: dir, port: testport.Free(t)}
	d.mode(".", 0o755)
	for _, sub := range []string{"v", "run", "open"} {
		if err := os.Mkdir(filepath.Join(dir, sub), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	d.mode("open", 0o777)
	d.write("main.ini", deskMain)
	d.write("app.py", "def application(environ, start): pass\n")
	d.write("serve", "#!/bin/sh\n")
	d.mode("serve", 0o755)
	t.Chdir(dir)
	t.Setenv("PATH", "/usr/bin:/bin")
	return d
}

func (d *desk) fill(text string) string {
	return strings.NewReplacer("DIR", d.dir, "PORT", d.port).Replace(text)
}

func (d *desk) path(name string) string { return filepath.Join(d.dir, name) }

func (d *desk) write(name, text string) {
	d.Helper()
	if err := os.WriteFile(d.path(name), []byte(d.fill(text)), 0o644); err != nil {
		d.Fatal(err)
	}
}

func (d *desk) mode(name string, mode os.FileMode) {
	d.Helper()
	if err := os.Chmod(d.path(name), mode); err != nil {
		d.Fatal(err)
	}
}

// check runs `emperor check main.ini` and returns what it says is wrong, with the
// folder's name and the port put back, and the exit code.
func (d *desk) check(words ...string) (problems string, code int) {
	d.Helper()
	var out, errorOut bytes.Buffer
	code = dispatch(append([]string{"check", "main.ini"}, words...), &out, &errorOut)
	problems, _, _ = strings.Cut(out.String(), "\n\n")
	if !strings.Contains(problems, ": ") || strings.Contains(problems, " vassal\n") || strings.Contains(problems, " vassals\n") {
		problems = ""
	}
	return strings.NewReplacer(d.dir, "DIR", d.port, "PORT").Replace(problems), code
}

// TestForeseen has one broken vassal file each, and all that check says about it.
func TestForeseen(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Fatal("only root can see what other users may do: run the tests as root")
	}
	const command, app = "[uwsgi]\nsocket = DIR/run/%n.sock\ncommand = ", "[uwsgi]\nsocket = DIR/run/%n.sock\nwsgi-file = "
	for _, test := range []struct {
		name, file string
		prepare    func(d *desk)
		want       string // empty: in order
	}{
		// Programs.
		{name: "in order", file: command + "DIR/serve"},
		{name: "not on PATH", file: command + "gunicron app:app",
			want: "v/site.ini:3: command: gunicron: not found on PATH (/usr/bin:/bin); install it, write its whole path, or say env = PATH=…"},
		{name: "PATH of its own", file: command + "serve\nenv = PATH=DIR:/bin"},
		{name: "PATH of its own, without it", file: command + "python3 x\nenv = PATH=/nowhere",
			want: "v/site.ini:3: command: python3: not found on PATH (/nowhere); install it, write its whole path, or say env = PATH=…"},
		{name: "no such file", file: command + "DIR/server",
			want: "v/site.ini:3: command: DIR/server: no such file"},
		{name: "not executable", file: command + "DIR/app.py", want: "v/site.ini:3: command: DIR/app.py: not executable (chmod +x?)"},
		{name: "directory", file: command + "DIR/run", want: "v/site.ini:3: command: DIR/run: is a directory, not a program"},
		{name: "relative", file: command + "./serve\nchdir = DIR"},
		{name: "relative to another directory", file: command + "./serve\nchdir = DIR/run", want: "v/site.ini:3: command: ./serve: no such file in DIR/run"},
		{name: "closed to its user", file: command + "DIR/serve\nuid = nobody\nsocket = DIR/open/x", prepare: func(d *desk) { d.mode("serve", 0o700); d.mode("run", 0o777) },
			want: "v/site.ini:3: command: DIR/serve: uid 65534 may not execute it (permissions of the file or of a directory above it, or a noexec mount)"},
		{name: "interpreter missing", file: command + "DIR/script", prepare: func(d *desk) { d.write("script", "#!/usr/bin/env nodejs18\n"); d.mode("script", 0o755) },
			want: "v/site.ini:3: command: DIR/script: its first line asks for nodejs18: not found on PATH (/usr/bin:/bin)"},
		{name: "Windows line ends", file: command + "DIR/script", prepare: func(d *desk) { d.write("script", "#!/bin/sh\r\n"); d.mode("script", 0o755) },
			want: `v/site.ini:3: command: DIR/script: its first line ends as on Windows, and so asks for "/bin/sh\r", which does not exist (mend it with: sed -i 's/\r$//' DIR/script)`},
		{name: "no program at all", file: command + "DIR/script", prepare: func(d *desk) { d.write("script", "echo\n"); d.mode("script", 0o755) },
			want: "v/site.ini:3: warning: command: DIR/script: not a program: no #! line and no binary of this machine"},
		{name: "script missing", file: command + "sh start.sh\nchdir = DIR", want: "v/site.ini:3: warning: command: start.sh: there is no DIR/start.sh"},
		{name: "script mistyped", file: command + "sh ap.py\nchdir = DIR", want: "v/site.ini:3: warning: command: ap.py: there is no DIR/ap.py; did you mean DIR/app.py?"},
		{name: "shell, exec", file: command + "gunicron $X app:app",
			want: "v/site.ini:3: command: gunicron: not found on PATH (/usr/bin:/bin); install it, write its whole path, or say env = PATH=…"},
		{name: "shell, assignment", file: command + "A=1 gunicron app:app",
			want: "v/site.ini:3: warning: command: gunicron: not found on PATH (/usr/bin:/bin); install it, write its whole path, or say env = PATH=…"},
		{name: "shell, from a variable", file: command + "$PROGRAM x"},
		{name: "shell, PATH", file: command + "PATH=DIR serve $X"},
		{name: "shell, own words", file: command + "cd / && ./nothing"},

		{name: "env", file: command + "/usr/bin/env A=1 nosuch x", want: "v/site.ini:3: command: nosuch: not found on PATH (/usr/bin:/bin); install it, write its whole path, or say env = PATH=…"},
		{name: "an address of its own", file: command + "DIR/serve -b 0.0.0.0:8000 x",
			want: "v/site.ini:3: warning: command: the program is told to listen on 0.0.0.0:8000, but is asked at DIR/run/site.sock: leave that out if it takes its socket from LISTEN_FDS or %(fd), or say socket = 127.0.0.1:8000"},
		{name: "a port of its own", file: "[uwsgi]\nsocket = 127.0.0.9:PORT\nhttp-socket = DIR/run/%n.sock\ncommand = DIR/serve --port=PORT"},
		{name: "not the port it gets", file: "[uwsgi]\ncommand = DIR/serve --port 8000",
			want: "v/site.ini:2: warning: command: the program is told to listen on 8000, but is asked on the port that it gets in $PORT: write %(port) for the number, or say socket = 127.0.0.1:8000\n" + strings.Replace(unreached(2), "socket:", "command:", 1)},
		{name: "a placeholder of nobody", file: command + "DIR/serve %(base) %(fd)",
			want: "v/site.ini:3: warning: command: nothing defines %(base), so it stays as it is (a line base = … does)"},
		{name: "a descriptor that it does not get", file: "[uwsgi]\ncommand = DIR/serve %(fd)",
			want: "v/site.ini:2: warning: command: %(fd) has a value only with a socket: it stays as it is\n" + strings.Replace(unreached(2), "socket:", "command:", 1)},
		{name: "a port that it does not get", file: command + "DIR/serve %(port)",
			want: "v/site.ini:3: warning: command: %(port) has a value only with port = auto, and without socket: it stays as it is"},

		// Directories and users.
		{name: "chdir missing", file: command + "DIR/serve\nchdir = DIR/nowhere/at/all", want: "v/site.ini:4: chdir: there is no DIR/nowhere/at/all (not even DIR/nowhere)"},
		{name: "chdir mistyped", file: command + "DIR/serve\nchdir = DIR/opne", want: "v/site.ini:4: chdir: there is no DIR/opne; did you mean DIR/open?"},
		{name: "chdir as in a shell", file: "[uwsgi]\nsocket = site.sock\ncommand = DIR/serve\nchdir = ~/shop",
			want: "v/site.ini:4: chdir: there is no DIR/v/~/shop (not even DIR/v/~) (~ is a shell's: write the directory's name)\n" + unreached(2)},
		{name: "chdir a file", file: command + "DIR/serve\nchdir = DIR/app.py", want: "v/site.ini:4: chdir: DIR/app.py is a file, want a directory"},
		{name: "chdir below a file", file: command + "DIR/serve\nchdir = DIR/app.py/x", want: "v/site.ini:4: chdir: there is no DIR/app.py/x: DIR/app.py is no directory"},
		{name: "chdir in a circle", file: command + "DIR/serve\nchdir = DIR/a/x", prepare: func(d *desk) { _ = os.Symlink("a", d.path("a")) },
			want: "v/site.ini:4: chdir: DIR/a/x: its symbolic links lead in a circle"},
		{name: "chdir a dangling link", file: command + "DIR/serve\nchdir = DIR/current", prepare: func(d *desk) { _ = os.Symlink("releases/7", d.path("current")) },
			want: "v/site.ini:4: chdir: DIR/current is a symbolic link to releases/7, which does not exist"},
		{name: "chdir closed", file: command + "DIR/serve\nchdir = DIR/secret/x\nuid = nobody\nsocket = DIR/open/x", prepare: func(d *desk) {
			_ = os.MkdirAll(d.path("secret/x"), 0o755)
			d.mode("secret", 0o700)
			d.mode("run", 0o777)
		},
			want: "v/site.ini:4: chdir: user nobody may not enter DIR/secret (mode 0700, owner root, group root)"},
		{name: "own directory closed", file: command + "DIR/serve\nuid = nobody", prepare: func(d *desk) { d.mode("v", 0o700); d.mode("run", 0o777) },
			want: "v/site.ini:4: uid: its working directory: user nobody may not enter DIR/v (mode 0700, owner root, group root)"},
		{name: "no such user", file: command + "DIR/serve\nuid = www-dta", want: `v/site.ini:4: uid: there is no user "www-dta"`},
		{name: "no such group", file: command + "DIR/serve\nuid = nobody\ngid = www-dta", want: `v/site.ini:5: gid: there is no group "www-dta"`},
		{name: "no such user, uWSGI", file: app + "DIR/app.py\nuid = www-dta", want: `v/site.ini:4: uid: there is no user "www-dta": uWSGI would not start`},
		{name: "no such group, uWSGI", file: app + "DIR/app.py\ngid = www-dta", want: `v/site.ini:4: gid: there is no group "www-dta": uWSGI would not start`},
		{name: "processes", file: command + "DIR/serve\nprocesses = many", want: "v/site.ini:4: processes: want a number, got 'many'"},
		{name: "processes, uWSGI", file: app + "DIR/app.py\nprocesses = many",
			want: "v/site.ini:4: warning: processes: want a number from 1 on, got 'many': uWSGI reads it as 0 and starts no worker, and requests wait for ever"},
		{name: "processes with a unit, uWSGI", file: app + "DIR/app.py\nprocesses = 2 cores", want: "v/site.ini:4: warning: processes: want a number, got '2 cores': uWSGI reads it as 2"},
		{name: "no processes, uWSGI", file: app + "DIR/app.py\nworkers = 0",
			want: "v/site.ini:4: warning: processes: want a number from 1 on, got '0': uWSGI reads it as 0 and starts no worker, and requests wait for ever"},

		// uWSGI's files.
		{name: "app in order", file: app + "DIR/app.py"},
		{name: "app missing", file: app + "DIR/appp.py", want: "v/site.ini:3: wsgi-file: there is no DIR/appp.py; did you mean DIR/app.py?"},
		{name: "app relative", file: app + "here.py",
			want: "v/site.ini:3: wsgi-file: there is no DIR/here.py (relative paths count from DIR; %dhere.py is a file beside this one)"},
		{name: "app relative to chdir", file: app + "app.py\nchdir = DIR"},
		{name: "app closed", file: app + "DIR/app.py\nuid = nobody", prepare: func(d *desk) { d.mode("app.py", 0o600); d.mode("run", 0o777) },
			want: "v/site.ini:3: wsgi-file: user nobody may not read DIR/app.py (mode 0600, owner root, group root)"},
		{name: "app mounted", file: "[uwsgi]\nsocket = DIR/run/%n.sock\nmount = /x=DIR/nosuch.py", want: "v/site.ini:3: mount: there is no DIR/nosuch.py"},
		{name: "app a directory", file: app + "DIR/run", want: "v/site.ini:3: wsgi-file: DIR/run is a directory, want a file"},
		{name: "chdir missing, uWSGI", file: app + "app.py\nchdir = DIR/nowhere", want: "v/site.ini:4: chdir: there is no DIR/nowhere"},
		{name: "module", file: "[uwsgi]\nsocket = DIR/run/%n.sock\nmodule = app:application\nchdir = DIR"},
		{name: "module installed", file: "[uwsgi]\nsocket = DIR/run/%n.sock\nmodule = json.decoder\nchdir = DIR"},
		{name: "module missing", file: "[uwsgi]\nsocket = DIR/run/%n.sock\nmodule = shop.wsgi:application\nchdir = DIR",
			want: "v/site.ini:3: warning: module: there is no shop.py or shop/ in DIR: if it is not installed elsewhere the app can not be imported (chdir and pythonpath say where to look)"},
		{name: "module mistyped", file: "[uwsgi]\nsocket = DIR/run/%n.sock\nmodule = appp\nchdir = DIR",
			want: "v/site.ini:3: warning: module: there is no appp.py or appp/ in DIR; did you mean module = app?"},
		{name: "part of a module missing", file: "[uwsgi]\nsocket = DIR/run/%n.sock\nmodule = shop.wsgi\npythonpath = DIR/src", prepare: func(d *desk) { _ = os.MkdirAll(d.path("src/shop"), 0o755) },
			want: "v/site.ini:3: warning: module: there is no wsgi.py in DIR/src/shop"},
		{name: "module in a virtualenv", file: "[uwsgi]\nsocket = DIR/run/%n.sock\nmodule = shop.wsgi\nvirtualenv = DIR/venv", prepare: func(d *desk) { _ = os.MkdirAll(d.path("venv/lib/python3.11/site-packages/shop"), 0o755) }},
		{name: "module of PYTHONPATH", file: "[uwsgi]\nsocket = DIR/run/%n.sock\nmodule = shop.wsgi\nenv = PYTHONPATH=DIR/src", prepare: func(d *desk) { _ = os.MkdirAll(d.path("src/shop"), 0o755) }},
		{name: "virtualenv", file: app + "DIR/app.py\nvirtualenv = DIR/venv", want: "v/site.ini:4: virtualenv: there is no DIR/venv (make it with: python3 -m venv DIR/venv)"},
		{name: "log", file: app + "DIR/app.py\nlogto = DIR/log/site.log", want: "v/site.ini:4: logto: there is no DIR/log: uWSGI ends when it cannot open its log"},
		{name: "log, a directory", file: app + "DIR/app.py\nlogto = DIR/open", want: "v/site.ini:4: logto: DIR/open is a directory, want a file: uWSGI ends when it cannot open its log"},
		{name: "log of its user", file: app + "DIR/app.py\nuid = nobody\nlogto2 = DIR/v/site.log", prepare: func(d *desk) { d.mode("run", 0o777) },
			want: "v/site.ini:5: logto2: user nobody may not make a file in DIR/v (mode 0755, owner root, group root): uWSGI ends when it cannot open its log"},
		{name: "log of another user", file: app + "DIR/app.py\nuid = nobody\nlogto2 = DIR/open/site.log", prepare: func(d *desk) { d.mode("run", 0o777); d.write("open/site.log", "") },
			want: "v/site.ini:5: logto2: user nobody may not write DIR/open/site.log (mode 0644, owner root, group root): uWSGI ends when it cannot open its log"},
		{name: "log of a command", file: "[uwsgi]\ncommand = sleep 9\nsocket = DIR/run/site.sock\nlogto = DIR/log/site.log", want: "v/site.ini:4: warning: logto: there is no DIR/log: its log cannot be written; what it writes is shown by emperor logs only"},
		{name: "log elsewhere", file: app + "DIR/app.py\nlogto = udp:127.0.0.1:514"},
		{name: "binary", file: app + "DIR/app.py\nbinary-path = DIR/uwsgi", want: "v/site.ini:4: binary-path: DIR/uwsgi: no such file"},
		{name: "byte order mark, uWSGI", file: "\ufeff" + app + "DIR/app.py",
			want: "v/site.ini:1: warning: begins with a byte order mark (BOM), behind which uWSGI does not find the section: save the file as UTF-8 without BOM, or put an empty line first"},
		{name: "command that uWSGI gets", file: command + "DIR/serve\ninclude = DIR/app.py",
			want: "v/site.ini:4: warning: include: only uWSGI reads this, so uWSGI gets the whole file, and command (line 3) has no effect: for a configuration file, give it the ending .ini"},
		{name: "byte order mark, command", file: "\ufeff" + command + "DIR/serve"},

		{name: "no plugin", file: app + "DIR/app.py", want: "v/site.ini:3: wsgi-file: this uWSGI (uwsgi) has no such language built in: add plugin = python3"},
		{name: "plugin mistyped", file: app + "DIR/app.py\nplugins = http,pyhton3",
			want: "v/site.ini:4: warning: plugins: there is no pyhton3_plugin.so in /usr/lib/uwsgi/plugins; did you mean python3?"},
		{name: "plugin not installed", file: app + "DIR/app.py\nplugin = 0:python3\nplugin = sqlite9",
			want: "v/site.ini:5: warning: plugin: there is no sqlite9_plugin.so in /usr/lib/uwsgi/plugins: install it (apt install uwsgi-plugin-sqlite9), or say plugins-dir"},
		{name: "plugin elsewhere", file: app + "DIR/app.py\nplugins-dir = DIR/open\nplugin = python3,mine", prepare: func(d *desk) { d.write("open/mine_plugin.so", "") }},
		{name: "an emperor of itself", file: "[uwsgi]\nemperor = DIR/v/*.ini",
			want: "v/site.ini:2: emperor: DIR/v/*.ini finds this file, too: it would start itself without end"},

		// Sockets.
		{name: "port without colon", file: command + "DIR/serve\nsocket = 8000\nchdir = DIR/open",
			want: "v/site.ini:4: warning: socket: 8000 has no colon, and so is a path: want :8000 for a port"},
		{name: "socket's directory", file: "[uwsgi]\nsocket = /srv/no-such/s.sock\ncommand = DIR/serve",
			want: "v/site.ini:2: socket: there is no /srv/no-such: make the directory (only below /run and /tmp the emperor does)\n" + unreached(2)},
		{name: "socket's directory is made", file: "[uwsgi]\nsocket = DIR/made/s.sock\ncommand = DIR/serve", want: unreached(2)},
		{name: "socket's directory is made by nobody", file: "[uwsgi]\nsocket = DIR/made/s.sock\ncommand = DIR/serve\nuid = nobody",
			want: "v/site.ini:2: socket: there is no DIR/made, and user nobody may not make it in DIR (mode 0755, owner root, group root): make it for that user (systemd: tmpfiles.d or RuntimeDirectory=)\n" + unreached(2)},
		{name: "socket's directory is closed", file: command + "DIR/serve\nuid = nobody",
			want: "v/site.ini:2: socket: user nobody may not make a socket in DIR/run (mode 0755, owner root, group root)"},
		{name: "directory in the socket's place", file: command + "DIR/serve", prepare: func(d *desk) { _ = os.Mkdir(d.path("run/site.sock"), 0o755) },
			want: "v/site.ini:2: socket: DIR/run/site.sock exists and is a directory, not a socket: remove it, or choose another path"},
		{name: "file in the socket's place", file: app + "DIR/app.py", prepare: func(d *desk) { d.write("run/site.sock", "") },
			want: "v/site.ini:2: socket: DIR/run/site.sock exists and is a file, not a socket: remove it, or choose another path"},
		{name: "file in the place of the socket's directory", file: "[uwsgi]\nsocket = DIR/app.py/s.sock\ncommand = DIR/serve",
			want: "v/site.ini:2: socket: DIR/app.py is no directory\n" + unreached(2)},
		{name: "somebody else's socket left over", file: command + "DIR/serve\nuid = nobody", prepare: func(d *desk) { d.leftOver("run/site.sock"); d.mode("run", 0o777|os.ModeSticky) },
			want: "v/site.ini:2: socket: DIR/run/site.sock is somebody else's socket (mode 0755, owner root, group root), which user nobody may not remove from DIR/run: remove it, or choose another path"},
		{name: "another program has the abstract socket", file: "[uwsgi]\nsocket = @emperor-test-PORT\ncommand = DIR/serve", prepare: func(d *desk) { d.socat("ABSTRACT-LISTEN:emperor-test-PORT") },
			want: "v/site.ini:2: socket: another program listens at @emperor-test-PORT (socat, OTHER): end it, or choose another address\n" + unreached(2)},
		{name: "socket left over", file: command + "DIR/serve", prepare: func(d *desk) { d.leftOver("run/site.sock") }},
		{name: "another program has the socket", file: command + "DIR/serve", prepare: func(d *desk) { d.socat("UNIX-LISTEN:DIR/run/site.sock") },
			want: "v/site.ini:2: socket: another program listens at DIR/run/site.sock (socat, OTHER): end it, or choose another address"},
		{name: "long path", file: "[uwsgi]\nsocket = DIR/run/" + strings.Repeat("x", 100) + "\ncommand = DIR/serve",
			want: "v/site.ini:2: socket: a socket's path has at most 107 bytes, this one LENGTH"},
		{name: "long path, uWSGI", file: "[uwsgi]\nsocket = DIR/run/" + strings.Repeat("x", 100) + "\nwsgi-file = DIR/app.py",
			want: "v/site.ini:2: socket: the path has LENGTH bytes, a socket's has at most 107: shorten it\n" + unreached(2)},
		{name: "the front's port", file: "[uwsgi]\nsocket = :PORT\ncommand = DIR/serve",
			want: "v/site.ini:2: socket: :PORT is the front's: http = 127.0.0.1:PORT (main.ini:4): choose another port, or a path such as /run/sites/%n.sock\n" + unreached(2)},
		{name: "the front's port, http-socket", file: "[uwsgi]\nhttp-socket = 127.0.0.1:PORT\nwsgi-file = DIR/app.py",
			want: "v/site.ini:2: http-socket: 127.0.0.1:PORT is the front's: http = 127.0.0.1:PORT (main.ini:4): choose another port, or a path such as /run/sites/%n.sock\n" + unreached(2)},
		{name: "the front's port, uWSGI's own http", file: app + "DIR/app.py\nhttp = :PORT",
			want: "v/site.ini:4: http: :PORT is the front's: http = 127.0.0.1:PORT (main.ini:4): choose another port, or a path such as /run/sites/%n.sock"},
		{name: "another vassal's socket", file: "[uwsgi]\nsocket = DIR/run/../run/other.sock\ncommand = DIR/serve", prepare: func(d *desk) { d.write("v/other.ini", command+"DIR/serve") },
			want: "v/site.ini:2: socket: DIR/run/../run/other.sock belongs to vassal other (DIR/v/other.ini:2) already: choose another path (%n in it stands for the file's name)\n" + unreached(2)},
		{name: "another vassal's port", file: app + "DIR/app.py\nstats = 127.0.0.1:9191", prepare: func(d *desk) { d.write("v/other.ini", app+"DIR/app.py\nstats = :9191\nplugin = python3") },
			want: "v/site.ini:4: stats: 127.0.0.1:9191 belongs to vassal other (DIR/v/other.ini:4) already: choose another port, or a path such as /run/sites/%n.sock"},
		{name: "its own port", file: app + "DIR/app.py\nhttp-socket = :9192\nstats = :9192",
			want: "v/site.ini:5: stats: :9192 is taken by http-socket = :9192 (DIR/v/site.ini:4) already: choose another port, or a path such as /run/sites/%n.sock"},
		{name: "another program has the port", file: "[uwsgi]\nsocket = 127.0.0.9:PORT\ncommand = DIR/serve", prepare: func(d *desk) { d.socat("TCP-LISTEN:PORT,bind=127.0.0.9") },
			want: "v/site.ini:2: socket: another program listens on 127.0.0.9:PORT (socat, OTHER): end it, or choose another address\n" + unreached(2)},
		{name: "no address of this machine", file: "[uwsgi]\nsocket = 192.0.2.1:3000\ncommand = DIR/serve",
			want: "v/site.ini:2: socket: 192.0.2.1 is no address of this machine (:3000 listens on all of them)\n" + unreached(2)},
		{name: "low port", file: "[uwsgi]\nsocket = 127.0.0.9:81\ncommand = DIR/serve\nuid = nobody",
			want: "v/site.ini:2: socket: user nobody may not listen on port 81: ports below 1024 need root or CAP_NET_BIND_SERVICE; the router reaches any port, or a path\n" + unreached(2)},

		// The router and the rules.
		{name: "closed to the router", file: command + "DIR/serve", prepare: func(d *desk) { d.mode("run", 0o700) },
			want: "v/site.ini:2: socket: the router (user nobody) may not enter DIR/run (mode 0700, owner root, group root), so every request would fail: open it (chmod o+x DIR/run), or choose another directory"},
		{name: "mode closed to the router", file: command + "DIR/serve\nchmod-socket = 600",
			want: "v/site.ini:2: socket: the router (user nobody) could not connect: the socket would have mode 0600, owner 0, group 0 (chmod-socket (site.ini:4)): say chmod-socket = 666, or 660 with the router's group"},
		{name: "owner closed to the router", file: command + "DIR/serve\nchown-socket = daemon\numask = 022",
			want: "v/site.ini:2: socket: the router (user nobody) could not connect: the socket would have mode 0755, owner 1, group 0 (chown-socket (site.ini:4)): say chmod-socket = 666, or 660 with the router's group"},
		{name: "owner closed to the router, by our umask", file: command + "DIR/serve\nchown-socket = daemon:daemon",
			want: "v/site.ini:2: socket: the router (user nobody) could not connect: the socket would have mode 0755, owner 1, group 1 (chown-socket (site.ini:4)): say chmod-socket = 666, or 660 with the router's group"},
		{name: "the router's own", file: command + "DIR/serve\nchown-socket = nobody"},
		{name: "the router's group", file: command + "DIR/serve\nchown-socket = daemon:nogroup\nchmod-socket = 660"},
		{name: "open to the router", file: command + "DIR/serve\nchown-socket = daemon\nchmod-socket = 666"},
		{name: "made by the command itself", file: command + "DIR/serve DIR/run/%n.sock",
			want: "v/site.ini:2: warning: socket: the command makes this socket itself: the router (user nobody) can connect only if the program gives it a mode such as 0666, or with http-uid = root in the main file"},
		{name: "made by the command itself, as the router", file: command + "DIR/serve DIR/run/%n.sock\nuid = nobody", prepare: func(d *desk) { d.mode("run", 0o777) }},
		{name: "no rule", file: "[uwsgi]\nsocket = DIR/run/site.socket\ncommand = DIR/serve",
			want: unreached(2)},
		{name: "no rule for a port", file: "[uwsgi]\ncommand = DIR/serve",
			want: strings.Replace(unreached(2), "socket:", "command:", 1)},
		{name: "a name that no host has", file: "[uwsgi]\nsocket = DIR/run/my.site.sock\ncommand = DIR/serve",
			want: "v/site.ini:2: warning: socket: no rule reaches vassal site: that of main.ini:5 would, but its pattern matches no host with the name it needs"},
		{name: "capitals", file: "[uwsgi]\nsocket = DIR/run/Site.sock\ncommand = DIR/serve",
			want: "v/site.ini:2: warning: socket: DIR/run/Site.sock has capitals: host names are lower case, so the rule of main.ini:5 opens DIR/run/site.sock"},
		{name: "no web site", file: "[uwsgi]\nmule = DIR/app.py"},
	} {
		t.Run(test.name, func(t *testing.T) {
			d := newDesk(t)
			if !strings.Contains(test.name, "plugin") && !strings.Contains(test.file, "command = ") {
				test.file += "\nplugin = python3"
			}
			d.write("v/site.ini", test.file)
			if test.prepare != nil {
				test.prepare(d)
			}
			got, code := d.check()
			got = strings.ReplaceAll(got, fmt.Sprintf("process %d", d.other), "OTHER")
			want := strings.ReplaceAll(test.want, "LENGTH", fmt.Sprint(len(d.dir)+len("/run/")+100))
			if got != want {
				t.Errorf("check says\n%s\nwant\n%s", got, want)
			}
			if wanted := exitOf(want); code != wanted {
				t.Errorf("exit code %d, want %d", code, wanted)
			}
		})
	}
}

// unreached is what is said besides of a socket in a place that the rules do not know.
func unreached(line int) string {
	return fmt.Sprintf(`v/site.ini:%d: warning: socket: no rule reaches vassal site: that of main.ini:5 looks for one of its name at DIR/run/site.sock; route-host = ^site\.example\.com$ vassal:site would`, line)
}

// exitOf is the exit code that goes with what check says.
func exitOf(problems string) int {
	for line := range strings.SplitSeq(problems, "\n") {
		if line != "" && !strings.Contains(line, ": warning: ") {
			return exitFailed
		}
	}
	return exitFine
}

// datagrams takes them at an address itself, so that the program in the way has our
// name.
func (d *desk) datagrams(network, address string) {
	d.Helper()
	socket, err := net.ListenPacket(network, d.fill(address))
	if err != nil {
		d.Fatal(err)
	}
	d.Cleanup(func() { _ = socket.Close() })
	d.other = os.Getpid()
}

// socat is another program that listens.
func (d *desk) socat(address string) {
	d.Helper()
	command := exec.Command("socat", d.fill(address), "PIPE")
	if err := command.Start(); err != nil {
		d.Fatal(err)
	}
	d.Cleanup(func() { _ = command.Process.Kill(); _ = command.Wait() })
	d.other = command.Process.Pid
	for end := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		// It is there when it can be seen; connecting would end it.
		for _, name := range []string{"run/site.sock", "run/front.sock"} {
			if _, err := os.Stat(d.path(name)); err == nil {
				return
			}
		}
		if text, err := os.ReadFile("/proc/net/unix"); err == nil && bytes.Contains(text, []byte("@emperor-test-"+d.port)) {
			return
		}
		port, _ := strconv.Atoi(d.port)
		if there, _ := listening.OnPort(port); len(there) > 0 {
			return
		}
		if time.Now().After(end) {
			d.Fatal("socat does not listen")
		}
	}
}

// leftOver is a socket that nobody listens on any more.
func (d *desk) leftOver(name string) {
	d.Helper()
	l, err := net.Listen("unix", d.path(name))
	if err != nil {
		d.Fatal(err)
	}
	l.(*net.UnixListener).SetUnlinkOnClose(false)
	l.Close()
}

// TestForeseenBesideVassals is what check says of the main file, of rules, and of
// things that are no vassals.
func TestForeseenBesideVassals(t *testing.T) {
	const site = "[uwsgi]\nsocket = DIR/run/%n.sock\ncommand = DIR/serve\n"
	for _, test := range []struct {
		name, main string // empty: that of every desk
		prepare    func(d *desk)
		want       string
	}{
		{name: "a directory", prepare: func(d *desk) { _ = os.Mkdir(d.path("v/blog.ini"), 0o755) },
			want: "v/blog.ini: is a directory, and so no vassal (emperor = … in main.ini:2 finds it)"},
		{name: "a pipe", prepare: func(d *desk) { _ = syscall.Mkfifo(d.path("v/blog.ini"), 0o644) },
			want: "v/blog.ini: is a named pipe, and so no vassal (emperor = … in main.ini:2 finds it)"},
		{name: "a link that leads nowhere", prepare: func(d *desk) { _ = os.Symlink("../sites/blog.ini", d.path("v/blog.ini")) },
			want: "v/blog.ini: is a symbolic link to ../sites/blog.ini, which leads nowhere (no such file or directory): no vassal until it does (emperor = … in main.ini:2 finds it)"},
		{name: "no vassal", prepare: func(d *desk) { _ = os.Remove(d.path("v/site.ini")) },
			want: "main.ini:2: warning: emperor: v/*.ini: no vassal file yet (its name ends in .ini, .yml, .yaml, .json or .xml)"},
		{name: "no directory", main: strings.Replace(deskMain, "v/*", "vv/*", 1),
			want: "main.ini:2: warning: emperor: vv/*.ini: there is no DIR/vv, and so no vassal"},
		{name: "no uwsgi", prepare: func(d *desk) {
			d.Setenv("PATH", "/nowhere")
			d.write("v/site.ini", "[uwsgi]\nsocket = DIR/run/%n.sock\nwsgi-file = DIR/app.py\nplugin = python3\n")
			d.write("v/blog.ini", "[uwsgi]\nsocket = DIR/run/%n.sock\nwsgi-file = DIR/app.py\nplugin = python3\n")
		}, want: "main.ini: uwsgi: not found on PATH (/nowhere); needed by 2 vassals (blog, site): install uWSGI (Debian, Ubuntu: apt install uwsgi-core and the plugin of the language, such as uwsgi-plugin-python3; elsewhere: pip install uwsgi) or say binary-path"},
		{name: "no uwsgi where the main file says", main: deskMain + "binary-path = DIR/uwsgi\n", prepare: func(d *desk) {
			d.write("v/site.ini", "[uwsgi]\nsocket = DIR/run/%n.sock\nwsgi-file = DIR/app.py\nplugin = python3\n")
		},
			want: "main.ini:6: binary-path: DIR/uwsgi: no such file; needed by vassal site: install uWSGI (Debian, Ubuntu: apt install uwsgi-core and the plugin of the language, such as uwsgi-plugin-python3; elsewhere: pip install uwsgi) or say binary-path"},

		{name: "the front's port is taken", main: strings.Replace(deskMain, "127.0.0.1:", "127.0.0.9:", 1), prepare: func(d *desk) { d.socat("TCP-LISTEN:PORT,bind=127.0.0.9") },
			want: "main.ini:4: http: another program listens on 127.0.0.9:PORT (socat, OTHER): end it, or choose another address"},
		{name: "the front's port twice", main: deskMain + "http = :PORT\n", want: "main.ini:6: http: :PORT cannot be opened beside http = 127.0.0.1:PORT (main.ini:4)"},
		{name: "the front on IPv4 and IPv6", main: strings.Replace(deskMain, "127.0.0.1:", "0.0.0.0:", 1) + "http = [::]:PORT\n"},
		{name: "the front's path is taken", main: strings.Replace(deskMain, "127.0.0.1:PORT", "DIR/run/front.sock", 1), prepare: func(d *desk) { d.socat("UNIX-LISTEN:DIR/run/front.sock") },
			want: "main.ini:4: http: another program listens at DIR/run/front.sock (socat, OTHER): end it, or choose another address"},
		{name: "the front's path is left over", main: strings.Replace(deskMain, "127.0.0.1:PORT", "DIR/run/front.sock", 1), prepare: func(d *desk) { d.leftOver("run/front.sock") }},
		{name: "the front's path is a vassal's", main: strings.Replace(deskMain, "127.0.0.1:PORT", "DIR/run/site.sock", 1),
			want: "v/site.ini:2: socket: DIR/run/site.sock is the front's: http = DIR/run/site.sock (main.ini:4): choose another path (%n in it stands for the file's name)"},
		{name: "localhost", main: strings.Replace(deskMain, "127.0.0.1:PORT", "localhost:PORT", 1), prepare: func(d *desk) {
			d.write("v/site.ini", "[uwsgi]\nsocket = 127.0.0.1:PORT\nhttp-socket = DIR/run/%n.sock\ncommand = DIR/serve\n")
		},
			want: "v/site.ini:2: socket: 127.0.0.1:PORT is the front's: http = localhost:PORT (main.ini:4): choose another port, or a path such as /run/sites/%n.sock"},
		{name: "one user for all", main: deskMain + "uid = nobody\n", prepare: func(d *desk) {
			d.write("v/blog.ini", "[uwsgi]\nsocket = DIR/open/%n.sock\nwsgi-file = DIR/closed.py\nplugin = python3\n")
			d.write("closed.py", "")
			d.mode("closed.py", 0o600)
		}, want: "v/blog.ini:3: wsgi-file: user nobody may not read DIR/closed.py (mode 0600, owner root, group root)\n" +
			strings.NewReplacer("v/site.ini", "v/blog.ini", "site", "blog").Replace(unreached(2)) +
			"\nv/site.ini:2: socket: user nobody may not make a socket in DIR/run (mode 0755, owner root, group root)"},
		{name: "the port of announcements is taken", main: deskMain + "http-subscription-server = 127.0.0.9:PORT\n", prepare: func(d *desk) { d.datagrams("udp", "127.0.0.9:PORT") },
			want: "main.ini:6: warning: http-subscription-server: another emperor (OTHER) has a socket on 127.0.0.9:PORT: if it does not run these files, choose another address"},
		{name: "the path of announcements is taken", main: deskMain + "http-subscription-server = DIR/run/nodes.sock\n", prepare: func(d *desk) { d.datagrams("unixgram", "DIR/run/nodes.sock") },
			want: "main.ini:6: warning: http-subscription-server: another emperor (OTHER) has a socket at DIR/run/nodes.sock: if it does not run these files, choose another address"},
		{name: "announcements beside the front", main: deskMain + "http-subscription-server = 127.0.0.1:PORT\n"},
		{name: "a file in the front's place", main: strings.Replace(deskMain, "127.0.0.1:PORT", "DIR/app.py", 1),
			want: "main.ini:4: http: there is a file of that name which is not a socket; it will not be touched: remove it, or choose another path"},
		{name: "the front's path has no folder", main: strings.Replace(deskMain, "127.0.0.1:PORT", "/nowhere/front.sock", 1), want: "main.ini:4: http: there is no /nowhere: make the directory"},
		{name: "files and sockets of the emperor that have no folder", main: deskMain + "emperor-pidfile = /nowhere/pid\nemperor-stats = DIR/main.ini/s\nemperor-trigger-socket = /run/nowhere/s\n",
			want: "main.ini:6: emperor-pidfile: there is no /nowhere: make the directory\nmain.ini:7: emperor-stats: DIR/main.ini is no directory\nmain.ini:8: warning: emperor-trigger-socket: there is no /run/nowhere: the emperor does not start until something makes it (systemd: tmpfiles.d or RuntimeDirectory=)"},
		{name: "files for every vassal that are not there", main: deskMain + "vassals-include = DIR/none.ini\nvassal-inherit-before = none.ini\n",
			want: "main.ini:6: include: cannot read DIR/none.ini: no such file or directory (vassal site)\nmain.ini:7: inherit: cannot read DIR/none.ini: no such file or directory (vassal site)"},
		{name: "sockets of the emperor that cannot be opened", main: deskMain + "emperor-command-socket = DIR/main.ini\nemperor-stats = 192.0.2.1:99\npidfile = DIR/v\n",
			want: "main.ini:6: emperor-command-socket: there is a file of that name which is not a socket; it will not be touched: remove it, or choose another path\nmain.ini:7: emperor-stats: 192.0.2.1 is no address of this machine (:99 listens on all of them)\nmain.ini:8: pidfile: DIR/v is a directory, want a file"},
		{name: "no address of this machine", main: strings.Replace(deskMain, "127.0.0.1:", "192.0.2.1:", 1), want: "main.ini:4: http: 192.0.2.1 is no address of this machine (:PORT listens on all of them)"},

		{name: "no rule at all", main: "[uwsgi]\nemperor = v/*.ini\ncontrol = DIR/control.sock\nhttp = 127.0.0.1:PORT\n",
			want: `main.ini:4: warning: http: no rule and no http-to say where requests go: each is answered 404 (for example: route-host = ^([-\w]+)\.example\.com$ vassal:$1)`},
		{name: "nothing but announcements", main: "[uwsgi]\nemperor = v/*.ini\ncontrol = DIR/control.sock\nhttp = 127.0.0.1:PORT\nhttp-subscription-server = DIR/run/nodes.sock\n",
			want: `v/site.ini:2: warning: socket: no rule reaches vassal site: route-host = ^site\.example\.com$ vassal:site would`},
		{name: "a rule, and a vassal that announces itself", main: strings.Replace(deskMain, "^([-\\w]+)\\.example\\.com$ uwsgi:DIR/run/$1.sock,0,0", "^x$ return:204", 1) + "http-subscription-server = DIR/run/nodes.sock\n", prepare: func(d *desk) {
			d.write("v/site.ini", "[uwsgi]\nsocket = DIR/run/%n.sock\nwsgi-file = DIR/app.py\nplugin = python3\nsubscribe-to = DIR/run/nodes.sock:www.example.com\n")
		}},
		{name: "http-to", main: "[uwsgi]\nemperor = v/*.ini\ncontrol = DIR/control.sock\nhttp = 127.0.0.1:PORT\nhttp-to = DIR/run/site.sock\n"},
		{name: "a socket of nobody", main: deskMain + "route-host = ^a\\.de$ uwsgi:DIR/run/sites.sock,0,0\n",
			want: "main.ini:6: warning: route-host: no vassal has the socket DIR/run/sites.sock, and nobody answers there: vassal site has DIR/run/site.sock"},
		{name: "a port of nobody", main: deskMain + "route-host = ^a\\.de$ http:127.0.0.9:PORT\n",
			want: "main.ini:6: warning: route-host: no vassal listens on 127.0.0.9:PORT, and nobody else does"},
		{name: "another program's port", main: deskMain + "route-host = ^a\\.de$ http:127.0.0.9:PORT\n", prepare: func(d *desk) { d.socat("TCP-LISTEN:PORT,bind=127.0.0.9") }},
		{name: "another machine", main: deskMain + "route-host = ^a\\.de$ http:db.example.com:80\n"},
		{name: "a vassal that is not there", main: deskMain + "route-host = ^a\\.de$ vassal:sit\n", want: "main.ini:6: warning: route-host: there is no vassal sit; did you mean site?"},
		{name: "a vassal with a mistake is there", main: deskMain + "route-host = ^a\\.de$ vassal:site\n", prepare: func(d *desk) { d.write("v/site.ini", "[uwsgi]\ncommand = '\n") },
			want: "v/site.ini:2: command: a quote ' is not closed"},
		{name: "a rule behind one that takes all", main: deskMain + "route-host = ^([a-z]+)\\.example\\.com$ vassal:$1\n",
			want: `main.ini:6: warning: route-host: never reached: "route-host = ^([-\\w]+)\\.example\\.com$ uwsgi:DIR/run/$1.sock,0,0" (main.ini:5) takes every host that it matches`},
		{name: "a rule behind one that takes it", main: deskMain + "route-host = ^shop\\.example\\.com$ vassal:site\n",
			want: `main.ini:6: warning: route-host: never reached: "route-host = ^([-\\w]+)\\.example\\.com$ uwsgi:DIR/run/$1.sock,0,0" (main.ini:5) takes shop.example.com first`},
		{name: "a rule behind one that only notes", main: "[uwsgi]\nemperor = v/*.ini\ncontrol = DIR/control.sock\nhttp = 127.0.0.1:PORT\nroute-host = .* log:x\nroute-host = ^(.*)\\.de$ vassal:$1\n"},
		{name: "sorted by file and line, mistakes first", main: deskMain + "nosuch = 1\nroute-host = ^a\\.de$ vassal:nobody\n", prepare: func(d *desk) {
			d.write("v/a.ini", "[uwsgi]\nsocket = DIR/run/%n.sock\nnosuch = 1\nprocesses = x\ncommand = '\n")
			d.write("v/b.ini", "[uwsgi]\nsocket = DIR/run/%n.sock\ncommand = DIR/serv\n")
		}, want: "v/a.ini:4: processes: want a number, got 'x'\n" +
			"v/a.ini:5: command: a quote ' is not closed\n" +
			"v/a.ini:3: warning: nosuch: there is no such option and no %(nosuch) uses it\n" +
			"v/b.ini:3: command: DIR/serv: no such file\n" +
			"main.ini:6: warning: nosuch: there is no such option and no %(nosuch) uses it\n" +
			"main.ini:7: warning: route-host: there is no vassal nobody"},
		{name: "one name for all", main: strings.Replace(deskMain, "http =", "vassal-set = socket=DIR/run/%n.sock\nhttp =", 1), prepare: func(d *desk) {
			d.write("v/site.ini", "[uwsgi]\ncommand = DIR/serve\n")
			for _, name := range []string{"a", "b", "c", "d", "e"} {
				d.write("v/"+name+".ini", "[uwsgi]\ncommand = DIR/serve\n")
			}
		}, want: "main.ini:4: socket: DIR/run/main.sock belongs to vassal a (main.ini:4) already: choose another path (%n in it stands for the file's name); in the main file %%n does, while %n is the main file's own name (5 vassals: b, c, d, e …)"},
		{name: "a directory of vassals", main: strings.Replace(deskMain, "v/*.ini", "v", 1), prepare: func(d *desk) {
			d.write("common.ini", "[uwsgi]\nprocesses = x\n")
			d.write("v/site.ini", site+"include = ../common.ini\n")
			d.write("v/blog.ini", site+"chdir = DIR/nowhere\n")
		}, want: "common.ini:2: processes: want a number, got 'x' (vassal site)\nv/blog.ini:4: chdir: there is no DIR/nowhere"},
		{name: "what several include", prepare: func(d *desk) {
			d.write("common.ini", "[uwsgi]\nchdir = DIR/nowhere\n")
			d.write("v/site.ini", site+"include = DIR/common.ini\n")
			d.write("v/blog.ini", site+"include = DIR/common.ini\n")
		}, want: "common.ini:2: chdir: there is no DIR/nowhere (vassals blog, site)"},
	} {
		t.Run(test.name, func(t *testing.T) {
			d := newDesk(t)
			d.write("v/site.ini", site)
			if test.main != "" {
				d.write("main.ini", test.main)
			}
			if test.prepare != nil {
				test.prepare(d)
			}
			got, code := d.check()
			got = strings.ReplaceAll(got, fmt.Sprintf("process %d", d.other), "OTHER")
			if got != test.want {
				t.Errorf("check says\n%s\nwant\n%s", got, test.want)
			}
			if wanted := exitOf(test.want); code != wanted {
				t.Errorf("exit code %d, want %d", code, wanted)
			}
		})
	}
}

// What check says for machines is the same.
func TestCheckForMachines(t *testing.T) {
	d := newDesk(t)
	d.write("v/site.ini", "[uwsgi]\nsocket = DIR/run/%n.sock\ncommand = DIR/serv\n")
	d.write("v/README", "")
	run := func(words ...string) (checked, int) {
		var out, errorOut bytes.Buffer
		code := dispatch(append([]string{"check"}, words...), &out, &errorOut)
		var c checked
		if err := json.Unmarshal(out.Bytes(), &c); err != nil {
			t.Fatalf("%v: %s%s", err, out.String(), errorOut.String())
		}
		return c, code
	}
	c, code := run("main.ini", "--json")
	if code != exitFailed || c.Fine || len(c.Errors) != 1 || len(c.Warnings) != 0 || len(c.Vassals) != 1 || len(c.Listeners) != 1 || len(c.Rules) != 1 {
		t.Fatalf("exit %d, %+v", code, c)
	}
	if p := c.Errors[0]; p.File != "v/site.ini" || p.Line != 3 || p.Key != "command" || !strings.HasSuffix(p.Text, "/serv: no such file") {
		t.Errorf("problem %+v", p)
	}
	if v := c.Vassals[0]; v.Starts || v.Name != "site" || v.Kind != "command" || len(v.Sockets) != 1 || !v.Sockets[0].Held || v.Sockets[0].Address != d.path("run/site.sock") {
		t.Errorf("vassal %+v", v)
	}
	d.write("main.ini", deskMain+"route-host = ( vassal:x\n")
	if c, code = run("main.ini", "--json"); code != exitFailed || c.Fine || len(c.Errors) != 1 || c.Errors[0].Line != 6 || len(c.Vassals) != 0 {
		t.Errorf("a mistake in the main file: exit %d, %+v", code, c)
	}
	d.write("main.ini", deskMain)
	d.write("v/site.ini", "[uwsgi]\nsocket = DIR/run/%n.sock\ncommand = DIR/serve\n")
	if c, code = run("--json", "main.ini"); code != exitFine || !c.Fine || c.Errors == nil || len(c.Errors) != 0 {
		t.Errorf("in order: exit %d, %+v", code, c)
	}
}

func TestCheckWithoutFile(t *testing.T) {
	d := newDesk(t)
	for _, words := range [][]string{{"check"}, {"check", "--show"}, {"check", "--json"}} {
		var out, errorOut bytes.Buffer
		if code := dispatch(words, &out, &errorOut); code != exitUsage || !strings.Contains(errorOut.String(), "want a configuration file") {
			t.Errorf("%s: exit %d, %s%s", words, code, out.String(), errorOut.String())
		}
	}
	if problems, code := d.check("nosuch.ini"); code != exitFailed {
		t.Errorf("a file that is not there: exit %d, %s", code, problems)
	}
}
