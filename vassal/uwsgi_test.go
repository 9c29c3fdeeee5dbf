package vassal

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
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
	s := uwsgiTest(t, uwsgiSite)
	s.want()
	first := s.ready(1)
	if !first.Overlap || first.Kind != UWSGI {
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
