package vassal

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"emperor/internal/config"
	"emperor/internal/testport"
	"emperor/vassal/spec"
)

const pythonApp = `
import os, time
def application(env, start_response):
    path = env['PATH_INFO']
    if path == '/slow':
        time.sleep(0.03)
    if path.startswith('/sleep/'):
        time.sleep(float(path[7:]))
    n = int(env.get('CONTENT_LENGTH') or 0)
    body = env['wsgi.input'].read(n) if n else b''
    start_response('200 OK', [('Content-Type', 'text/plain')])
    return [('pid %d gen %s len %d' % (os.getppid(), os.environ.get('EMPEROR_MARK', '').rsplit('/', 1)[-1], len(body))).encode()]
`

const uwsgiSite = `[uwsgi]
plugin = python3
http-socket = DIR/s
wsgi-file = DIR/app.py
processes = 2
`

func uwsgiTest(t *testing.T, text string) *site {
	t.Helper()
	s := newSite(t, "", nil)
	s.app(pythonApp)
	s.write(text)
	return s
}

func (s *site) app(text string) {
	s.t.Helper()
	if err := os.WriteFile(filepath.Join(s.dir, "app.py"), []byte(text), 0o644); err != nil {
		s.t.Fatal(err)
	}
}

func TestUWSGIStartsAndIsReplaced(t *testing.T) {
	t.Parallel()
	s := uwsgiTest(t, uwsgiSite)
	s.want()
	first := s.ready(1)
	if !first.Overlap || first.Kind != spec.UWSGI {
		t.Errorf("status %+v: want a uWSGI vassal whose generations overlap", first)
	}
	if got := s.mustGet("/"); !strings.Contains(got, "gen 1") {
		t.Errorf("answer %q, want one of generation 1", got)
	}
	s.want()
	s.ready(2)
	s.until("alone", func(st Status) bool { return len(st.Draining) == 0 })
	if got := s.mustGet("/"); !strings.Contains(got, "gen 2") {
		t.Errorf("answer %q, want one of generation 2", got)
	}
	s.Remove()
	<-s.ended
	if _, err := os.Lstat(filepath.Join(s.dir, "s")); err == nil {
		t.Error("the socket was left behind")
	}
}

func TestBadEditKeepsTheOldGeneration(t *testing.T) {
	t.Parallel()
	s := uwsgiTest(t, uwsgiSite)
	s.want()
	s.ready(1)
	before := s.mustGet("/")
	for i, bad := range []struct{ name, app, want string }{
		{"import error", "import nothing_of_that_name\n", "nothing_of_that_name"},
		{"syntax error", "def application(\n", "SyntaxError"},
	} {
		t.Run(bad.name, func(t *testing.T) {
			s.app(bad.app)
			s.want()
			failed := fmt.Sprintf("generation %d did not come up", i+2)
			st := s.until("told that it failed", func(st Status) bool { return st.State == Ready && strings.Contains(st.Problem, failed) })
			if st.Generation != 1 {
				t.Errorf("generation %d serves, want 1", st.Generation)
			}
			if after := s.mustGet("/"); after != before {
				t.Errorf("answer %q, want %q as before", after, before)
			}
			if log := s.log.String(); !strings.Contains(log, bad.want) {
				t.Errorf("the log does not say %q", bad.want)
			}
		})
	}
	s.app(pythonApp)
	s.want()
	s.until("mended", func(st Status) bool { return st.State == Ready && st.Generation > 1 && st.Problem == "" })
}

// TestKindsOfUWSGI: each of these starts, is replaced, answers all the time it
// should, and leaves nothing behind.
func TestKindsOfUWSGI(t *testing.T) {
	for _, test := range []struct {
		name, text string
		overlap    bool
		check      func(t *testing.T, s *site)
	}{
		{"relative socket", "http-socket = s\nchdir = DIR\nwsgi-file = app.py\n", true, nil},
		{"no master", "http-socket = DIR/s\nmaster = false\nwsgi-file = DIR/app.py\n", true, nil},
		{"vacuum", "http-socket = DIR/s\nvacuum = true\nwsgi-file = DIR/app.py\npidfile = DIR/pid\n", true, func(t *testing.T, s *site) {
			text, err := os.ReadFile(filepath.Join(s.dir, "pid"))
			if want := fmt.Sprintln(s.Status().PIDs[0]); err != nil || string(text) != want {
				t.Errorf("pid file %q, %v; want %q", text, err, want)
			}
		}},
		{"cheap", "http-socket = DIR/s\ncheap = true\nprocesses = 2\nwsgi-file = DIR/app.py\n", true, nil},
		{"cheaper", "http-socket = DIR/s\ncheaper = 1\nprocesses = 3\nwsgi-file = DIR/app.py\n", true, nil},
		{"lazy apps", "http-socket = DIR/s\nlazy-apps = true\nwsgi-file = DIR/app.py\n", true, nil},
		{"log file", "http-socket = DIR/s\nlogto = DIR/log\nwsgi-file = DIR/app.py\n", true, func(t *testing.T, s *site) {
			s.mustGet("/logged")
			text, _ := os.ReadFile(filepath.Join(s.dir, "log"))
			if !strings.Contains(string(text), "spawned uWSGI worker 1") {
				t.Errorf("log file %q", text)
			}
		}},
		{"two sockets", "http-socket = DIR/s\nsocket = @DIR/second\nwsgi-file = DIR/app.py\n", true, nil},
		{"one bound by uWSGI", "http-socket = DIR/s\nsocket = localhost:0\nwsgi-file = DIR/app.py\n", false, nil},
		{"stats on a port", "http-socket = DIR/s\nstats = 127.0.0.1:PORT\nwsgi-file = DIR/app.py\n", false, nil},
		{"no overlap wanted", "http-socket = DIR/s\noverlap = false\nwsgi-file = DIR/app.py\n", false, nil},
		{"nothing held", "chroot = /\nhttp-socket = DIR/s\nwsgi-file = DIR/app.py\n", false, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s := uwsgiTest(t, "[uwsgi]\nplugin = python3\n"+strings.ReplaceAll(test.text, "PORT", testport.Free(t)))
			s.want()
			if st := s.ready(1); st.Overlap != test.overlap {
				t.Errorf("overlap %t because of %q, want %t", st.Overlap, st.OverlapReason, test.overlap)
			}
			s.mustGet("/")
			s.want()
			s.until("replaced", func(st Status) bool { return st.State == Ready && st.Generation == 2 && len(st.Draining) == 0 })
			if got := s.mustGet("/"); !strings.Contains(got, "gen 2") {
				t.Errorf("answered by %q, want generation 2", got)
			}
			if test.check != nil {
				test.check(t, s)
			}
			s.Remove()
			<-s.ended
			for _, name := range []string{"s", "pid"} {
				if _, err := os.Lstat(filepath.Join(s.dir, name)); err == nil && test.name != "nothing held" {
					t.Errorf("%s was left behind", name)
				}
			}
		})
	}
}

func TestUWSGIMissing(t *testing.T) {
	t.Parallel()
	s := uwsgiTest(t, uwsgiSite+"binary-path = /nowhere/uwsgi\n")
	s.want()
	st := s.until("failed", func(st Status) bool { return st.State == Failed })
	for _, want := range []string{"/nowhere/uwsgi", "install uWSGI", "binary-path"} {
		if !strings.Contains(st.Reason, want) {
			t.Errorf("reason %q does not say %q", st.Reason, want)
		}
	}
}

// TestUWSGIKilled: the master and all its workers end, and the next generation
// answers what waits.
func TestUWSGIKilled(t *testing.T) {
	t.Parallel()
	s := newSite(t, "", func(d *Deps) { d.Defaults.Throttle = time.Millisecond })
	s.app(pythonApp)
	s.write(uwsgiSite)
	s.want()
	st := s.ready(1)
	s.mustGet("/")
	s.until("loyal", func(st Status) bool { return st.Loyal })
	syscall.Kill(st.PIDs[0], syscall.SIGKILL)
	s.until("noticed", func(st Status) bool { return st.Generation != 1 })
	if got := s.mustGet("/"); !strings.Contains(got, "gen 2") {
		t.Errorf("answered by %q, want generation 2", got)
	}
	s.until("alone", func(st Status) bool { return st.State == Ready && len(st.Draining) == 0 })
}

// TestTermToAll: a platform sends TERM to every process at once, the emperor
// last. Nothing is started again.
func TestTermToAll(t *testing.T) {
	t.Parallel()
	s := uwsgiTest(t, uwsgiSite)
	s.want()
	st := s.ready(1)
	syscall.Kill(-st.PIDs[0], syscall.SIGTERM) // its whole group
	s.until("in doubt", func(st Status) bool { return st.State == Failed })
	s.cancel()
	<-s.ended
	if n := strings.Count(s.log.String(), "vassal starting"); n != 1 {
		t.Errorf("%d starts, want 1", n)
	}
}

// TestRemovedDrains: a request that is under way when the file goes is answered.
func TestRemovedDrains(t *testing.T) {
	t.Parallel()
	s := uwsgiTest(t, uwsgiSite)
	s.want()
	s.ready(1)
	answer := make(chan error, 1)
	started := make(chan struct{})
	go func() {
		close(started)
		_, err := get(filepath.Join(s.dir, "s"), "/sleep/2")
		answer <- err
	}()
	<-started
	// The worker has the request when the queue is empty and the app is running;
	// a second request that is answered shows that the first was taken.
	s.mustGet("/")
	s.Remove()
	if err := <-answer; err != nil {
		t.Error(err)
	}
	<-s.ended
}

// TestAsAnotherUser: the socket is made with the rights of the vassal's user.
func TestAsAnotherUser(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Log("only root can start something as another user; nothing to see here")
		return
	}
	nobody, err := spec.LookupAccount("nobody", "")
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct{ name, text string }{
		{"uwsgi", "plugin = python3\nhttp-socket = DIR/run/s\nwsgi-file = DIR/app.py\nuid = nobody\ngid = nogroup\n"},
		{"command", "socket = DIR/run/s\nchdir = DIR\nenv = PYTHONPATH=DIR\nenv = HOME=DIR/run\ncommand = gunicorn app:application\nuid = nobody\n"},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := newSite(t, "", func(d *Deps) { d.Defaults.SocketGroup = 4242 })
			s.app(pythonApp)
			os.Chmod(s.dir, 0o755)
			run := filepath.Join(s.dir, "run")
			os.Mkdir(run, 0o755)
			os.Chown(run, int(nobody.UID), int(nobody.GID))
			s.write("[uwsgi]\n" + test.text)
			s.want()
			st := s.ready(1)
			var file syscall.Stat_t
			if err := syscall.Lstat(filepath.Join(run, "s"), &file); err != nil || file.Uid != nobody.UID || file.Gid != 4242 || file.Mode&0o777 != 0o660 {
				t.Errorf("socket of %d:%d, mode %o, %v", file.Uid, file.Gid, file.Mode&0o777, err)
			}
			if err := syscall.Lstat(fmt.Sprintf("/proc/%d", st.PIDs[0]), &file); err != nil || file.Uid != nobody.UID {
				t.Errorf("process of user %d, %v", file.Uid, err)
			}
			s.want()
			s.ready(2)
			if _, err := get(filepath.Join(run, "s"), "/"); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestArgumentsOfUWSGI(t *testing.T) {
	spec, problems, dir := readText(t, "site.ini", "[uwsgi]\nsocket = DIR/s\nmodule = m\nlogto = DIR/log\nvacuum = true\n", func(r *spec.Reading) {
		r.Set = []config.Value{{Key: "env", Value: "LANG=C.UTF-8", HasValue: true}, {Key: "master"}}
		path := filepath.Join(filepath.Dir(r.File), "empty.ini")
		os.WriteFile(path, []byte("[uwsgi]\n"), 0o644)
		empty := []config.Value{{Value: path}}
		r.IncludeBefore, r.IncludeAfter, r.InheritBefore, r.InheritAfter = empty, empty, empty, empty
	})
	if spec == nil {
		t.Fatal(problems)
	}
	b := newUWSGIBody(surroundings{spec: spec, defaults: DefaultDefaults()})
	empty, file := filepath.Join(dir, "empty.ini"), filepath.Join(dir, "site.ini")
	want := "--inherit " + empty + " --include " + empty + " --set env=LANG=C.UTF-8 --set master --ini " + file +
		" --inherit " + empty + " --include " + empty +
		" --set worker-reload-mercy=600 --set no-orphans=true --set die-on-term=true --set hook-master-start=unix_signal:15 gracefully_kill_them_all --set hook-accepting=unix_signal:15 abs --set need-app=true" +
		" --set shutdown-sockets=false --set vacuum=false --set log-reopen=true"
	if got := strings.Join(b.arguments(), " "); got != want {
		t.Errorf("arguments\n%s\nwant\n%s", got, want)
	}
}
