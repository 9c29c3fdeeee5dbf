package main

import (
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
)

// A main file, or a command line, that is itself about one app: no emperor line, no
// vassal files.

// appMachine has the apps, as release 0.
func appMachine(t *testing.T) *machine {
	t.Helper()
	m := sitesMachine(t)
	m.remove("uwsgi.ini")
	return m
}

// startApp runs `emperor ARGS…`; DIR and PORT in the words stand for the folder and
// the front's port.
func (m *machine) startApp(args ...string) {
	m.t.Helper()
	m.run(m.emperorWith(args...))
}

// emperorWith is the emperor with these arguments and a control socket of its own.
func (m *machine) emperorWith(args ...string) *exec.Cmd {
	m.t.Helper()
	words := []string{"--control", m.path("control.sock")}
	for i, word := range args {
		word = strings.NewReplacer("DIR", m.dir, "PORT", m.port).Replace(word)
		if i == 0 && word == "run" {
			words = append([]string{word}, words...)
			continue
		}
		words = append(words, word)
	}
	return exec.Command(emperorBinary(m.t), words...)
}

// singleInstance is a file as people run it by `uwsgi app.ini`.
const singleInstance = `[uwsgi]
http = 127.0.0.1:PORT
plugin = python3
master = true
chdir = DIR
wsgi-file = DIR/webapp.py
processes = 4
vacuum = true
die-on-term = true
disable-logging = true
`

// oneApp is the ways in which one app is run.
var oneApp = []struct {
	name string
	file string // of app.ini
	env  []string
	args []string
}{
	{name: "uwsgi on the command line", env: []string{"UWSGI_PLUGIN=python3"},
		args: []string{"--http", "127.0.0.1:PORT", "--master", "--module", "webapp", "--processes", "4"}},
	{name: "uwsgi by a file", file: singleInstance, args: []string{"app.ini"}},
	{name: "gunicorn", args: []string{"--http", "127.0.0.1:PORT", "--command", "gunicorn webapp:application --threads 8", "--processes", "2"}},
	{name: "node", args: []string{"run", "--http", "127.0.0.1:PORT", "--", "node", "webapp.js"}},
}

// TestOneAppIsReplacedWithoutALoss: while clients ask without pause, the app is
// deployed by SIGHUP, by an edit, by a touch and by an order; then TERM comes while a
// request is under way.
func TestOneAppIsReplacedWithoutALoss(t *testing.T) {
	t.Parallel()
	for _, way := range oneApp {
		t.Run(way.name, func(t *testing.T) {
			t.Parallel()
			m := appMachine(t)
			m.env = way.env
			if way.file != "" {
				m.write("app.ini", way.file)
			}
			m.startApp(way.args...)
			visitors := m.visitors("any.test")
			deploys := []func(){
				func() { m.signal(syscall.SIGHUP) },
				func() {
					if out, code := m.order("reload", "app"); code != 0 {
						t.Errorf("reload: exit %d\n%s", code, out)
					}
				},
			}
			if way.file != "" {
				deploys = append(deploys, func() { m.touch("app.ini") }, func() { m.write("app.ini", way.file+"env = EDITED=yes\n") })
			}
			for n, deploy := range deploys {
				during := &companions{load: visitors}
				during.accompany(2)
				m.write("RELEASE", fmt.Sprint(n+1))
				deploy()
				m.untilRelease("any.test", fmt.Sprint(n+1))
				during.end()
			}
			report(t, visitors, fmt.Sprintf("%d deploys", len(deploys)))

			begun, result := slowly(m, "any.test", "2")
			<-begun
			mark := m.mark()
			m.signal(syscall.SIGTERM)
			m.waitLog(mark, "stopping")
			if got := <-result; !strings.HasSuffix(got, "done") {
				t.Errorf("the request under way got %q", got)
			}
			if code := m.waitExit(); code != 0 {
				t.Errorf("exit %d", code)
			}
		})
	}
}

// TestOneAppByLetters: uWSGI's short options, and abbreviations of its long ones.
func TestOneAppByLetters(t *testing.T) {
	t.Parallel()
	m := appMachine(t)
	m.env = []string{"UWSGI_PLUGIN=python3"}
	m.startApp("--http", "127.0.0.1:PORT", "-M", "-p", "4", "-w", "webapp", "--threads=2", "--http-keepa=5")
	m.untilRelease("any.test", "0")
	for _, want := range []string{"--master", "processes=4", "module=webapp", "threads=2"} {
		if m.pidOf(want) == 0 {
			t.Errorf("uWSGI was not given %s: %v", want, m.processes())
		}
	}
	m.stop()
}

// TestOneAppAtASharedSocket: as uWSGI's manual has it for ports that only root may
// take. The front takes them, and the app hears nothing of it.
func TestOneAppAtASharedSocket(t *testing.T) {
	t.Parallel()
	m := appMachine(t)
	m.env = []string{"UWSGI_PLUGIN=python3"}
	m.startApp("--shared-socket", m.path("unused.sock"), "--shared-socket", "127.0.0.1:PORT", "--http", "=1", "-M", "-w", "webapp")
	m.untilRelease("any.test", "0")
	m.waitLog(0, "command line: shared-socket: nobody listens there: no line says http = =0")
	if words := m.processes()[m.pidOf("module=webapp")]; words == "" || strings.Contains(words, "shared-socket") {
		t.Errorf("uWSGI was given %q", words)
	}
	m.stop()
}

// TestOneAppThatDies: what it held is lost, everybody else waits until it is back.
func TestOneAppThatDies(t *testing.T) {
	t.Parallel()
	for _, way := range oneApp[1:] {
		t.Run(way.name, func(t *testing.T) {
			t.Parallel()
			m := appMachine(t)
			m.write("app.ini", singleInstance)
			m.startApp(way.args...)
			m.untilRelease("any.test", "0")
			out, code := m.order("status", "--json")
			if code != 0 || !strings.Contains(out, `"name": "app"`) {
				t.Fatalf("status: exit %d\n%s", code, out)
			}
			mark := m.mark()
			for _, pid := range m.children() {
				_ = syscall.Kill(pid, syscall.SIGKILL)
			}
			m.waitLog(mark, "app: ", "died")
			m.page("any.test", "/") // waits for it
			m.waitLog(mark, "app: vassal ready")
			m.stop()
		})
	}
}

// children are the processes of the app: all but the emperor and its router.
func (m *machine) children() []int {
	var out []int
	for pid, words := range m.processes() {
		if pid != m.command.Process.Pid && !strings.Contains(words, "router --link") {
			out = append(out, pid)
		}
	}
	return out
}

// TestOneAppThatDoesNotStart: the emperor ends with the status of failure, and with
// the app's last words.
func TestOneAppThatDoesNotStart(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, file string
		args       []string
		want       []string
	}{
		{name: "a program", args: []string{"run", "--http", "127.0.0.1:PORT", "--", "sh", "-c", "echo no database >&2; exit 3"},
			want: []string{"the app did not start: ended before it was ready: exit status 3", "| no database"}},
		{name: "its words are its own", args: []string{"run", "--http", "127.0.0.1:PORT", "--", "sh", "-c", "echo said $0 $(echo done); exit 3", "--help"},
			want: []string{"| said --help done"}},
		{name: "no such program", args: []string{"run", "--http", "127.0.0.1:PORT", "--", "/nowhere/program"}, want: []string{"/nowhere/program"}},
		{name: "import error", file: strings.Replace(singleInstance, "webapp.py", "broken.py", 1), args: []string{"app.ini"},
			want: []string{"could not be loaded", "| ModuleNotFoundError: No module named 'no_such_module'"}},
		{name: "no plugin", file: strings.Replace(singleInstance, "plugin = python3\n", "", 1), args: []string{"app.ini"},
			want: []string{"plugin = python3"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			m := appMachine(t)
			m.write("broken.py", "import no_such_module\n")
			if test.file != "" {
				m.write("app.ini", test.file)
			}
			m.startApp(test.args...)
			if code := m.waitExit(); code != 1 {
				t.Errorf("exit %d, want 1", code)
			}
			for _, want := range test.want {
				if !m.logged("emperor: ", want) {
					t.Errorf("it does not say %q", want)
				}
			}
		})
	}
}

// TestPortOfThePlatform: with neither --http nor a file the front listens where the
// platform says, and the program never sees that port.
func TestPortOfThePlatform(t *testing.T) {
	t.Parallel()
	m := appMachine(t)
	m.env = []string{"PORT=" + m.port}
	m.startApp("run", "--", "node", "webapp.js")
	m.untilRelease("any.test", "0")
	for _, pid := range m.children() {
		environment, _ := os.ReadFile(fmt.Sprintf("/proc/%d/environ", pid))
		if strings.Contains(string(environment), "PORT="+m.port+"\x00") || !strings.Contains(string(environment), "\x00PORT=") {
			t.Errorf("process %d has %q", pid, environment)
		}
	}
	m.stop()
}

// TestEditsOfOneApp: mistakes change nothing, and what concerns only the front
// leaves the app alone.
func TestEditsOfOneApp(t *testing.T) {
	t.Parallel()
	m := appMachine(t)
	m.write("app.ini", singleInstance)
	m.startApp("app.ini")
	m.untilRelease("any.test", "0")
	visitors := m.visitors("any.test")

	mark := m.mark()
	m.write("app.ini", singleInstance+"http-timeout = 30\n")
	m.waitLog(mark, "the main file was applied", "front")
	mark = m.mark()
	m.write("app.ini", strings.Replace(singleInstance, "wsgi-file", ";wsgi-file", 1))
	m.waitLog(mark, "app.ini: it names no app any more (it was wsgi-file")
	m.write("app.ini", singleInstance+"http-timeot = 30\n")
	m.waitLog(mark, "app.ini:11: http-timeot: there is no such option; did you mean http-timeout?")
	if m.logged("vassal starting", "gen=2") {
		t.Error("one of these started a new generation")
	}
	m.write("broken.py", "import no_such_module\n")
	m.write("app.ini", strings.Replace(singleInstance, "webapp.py", "broken.py", 1))
	m.waitLog(mark, "app: the new generation did not come up")
	m.write("RELEASE", "1")
	m.write("app.ini", singleInstance)
	m.untilRelease("any.test", "1")
	report(t, visitors, "edits of one app")
	m.stop()
}

// TestOneAppAsAnotherUser: uWSGI starts as root and becomes that user, as ever; the
// front reaches it although its own socket is closed to the front.
func TestOneAppAsAnotherUser(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Log("only root can become others")
		return
	}
	m := appMachine(t)
	m.write("app.ini", singleInstance+"uid = 65534\ngid = 65534\nsocket = DIR/own.sock\nchmod-socket = 600\nhttp-uid = daemon\n")
	if err := os.Chmod(m.dir, 0o777); err != nil {
		t.Fatal(err)
	}
	m.startApp("app.ini")
	m.untilRelease("any.test", "0")
	if pid := m.answering("any.test"); !strings.Contains(status(t, pid), "Uid:\t65534\t65534") {
		t.Errorf("it runs as\n%s", status(t, pid))
	}
	if info, err := os.Stat(m.path("own.sock")); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("its own socket: %v, %v", info, err)
	}
	visitors := m.visitors("any.test")
	m.write("RELEASE", "1")
	m.signal(syscall.SIGHUP)
	m.untilRelease("any.test", "1")
	report(t, visitors, "SIGHUP")
	m.stop()
}

func status(t *testing.T, pid int) string {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestRulesInsideTheApp: in a file that runs today uWSGI's workers carry out its
// rules; they still do.
func TestRulesInsideTheApp(t *testing.T) {
	t.Parallel()
	m := appMachine(t)
	m.write("app.ini", strings.Replace(singleInstance, "http =", "http-socket =", 1)+"route-uri = ^/inside break:418 teapot\nroute-run = addheader:X-Inside: yes\n")
	m.startApp("app.ini")
	m.untilRelease("any.test", "0")
	response, err := http.Get("http://" + m.address() + "/")
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	if response.Header.Get("X-Inside") != "yes" {
		t.Errorf("the app's rule was not run: %v", response.Header)
	}
	if status, _, err := m.get("any.test", "/inside"); err != nil || status != 418 {
		t.Errorf("/inside: %d, %v", status, err)
	}
	out, code := m.ask("check", "app.ini")
	for _, want := range []string{"one app", "wsgi-file (app.ini:6)", "2 rules of app.ini are run inside the app"} {
		if code != 0 || !strings.Contains(out, want) {
			t.Errorf("check: exit %d, want %q in\n%s", code, want, out)
		}
	}
	if out, code := m.ask("explain", "app.ini", "http://any.test/inside"); code != 0 || !strings.Contains(out, "vassal app") || !strings.Contains(out, "inside the app") {
		t.Errorf("explain: exit %d\n%s", code, out)
	}
	m.stop()
}

// TestMistypedOptions: nothing is handed to uWSGI that was meant for us.
func TestMistypedOptions(t *testing.T) {
	t.Parallel()
	m := appMachine(t)
	for _, test := range []struct {
		args []string
		want string
	}{
		{[]string{"--http", ":PORT", "--comand", "x"}, "--comand: there is no such option; did you mean command?"},
		{[]string{"--http", ":PORT", "--module", "x", "--set", "http-hodl=3"}, "http-hodl: there is no such option; did you mean http-hold?"},
		{[]string{"run", "--http", ":PORT", "--"}, "want a program and its arguments after --"},
		{[]string{"--module", "x"}, "nothing listens for it"},
	} {
		out, err := m.emperorWith(test.args...).CombinedOutput()
		exit, ok := err.(*exec.ExitError)
		if !ok || exit.ExitCode() != exitUsage || !strings.Contains(string(out), test.want) {
			t.Errorf("%q: %v, want %q in\n%s", test.args, err, test.want, out)
		}
	}
}
