package vassal

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"emperor/internal/testlines"
	"emperor/vassal/spec"
)

// appSite is a vassal of an app's lines, with a socket for the front at DIR/s.
func appSite(t *testing.T, text string, adjust func(*Deps)) (s *site, read func() *spec.Spec) {
	t.Helper()
	s = newSite(t, "", adjust)
	return s, func() *spec.Spec {
		t.Helper()
		result := spec.ReadApp(spec.AppReading{Name: "site", File: s.file, Dir: s.dir, Lines: testlines.Lines(strings.ReplaceAll(text, "DIR", s.dir)), Socket: filepath.Join(s.dir, "s")})
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

	spec := func(words ...string) *spec.Spec {
		result := spec.ReadApp(spec.AppReading{Name: "site", File: s.file, Dir: s.dir, Lines: testlines.Lines(command(words...)), Socket: filepath.Join(s.dir, "s")})
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
	s, read := appSite(t, "boot-timeout = 4\nenv = GORACE=atexit_sleep_ms=0\ncommand = "+play(t, "wait"), nil)
	s.Want(read(), time.Now())
	failed := s.until("failed", func(st Status) bool { return st.State == Failed })
	if !strings.Contains(failed.Reason, "neither takes the socket it is given") {
		t.Errorf("reason %q", failed.Reason)
	}
}
