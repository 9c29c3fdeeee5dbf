package vassal

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"

	"emperor/internal/link"
	"emperor/vassal/spec"
)

// TestUWSGIProvesItselfFirst: until a new generation is ready nobody is answered
// by it, and who waits in the old one's queue then is answered by the old one.
func TestUWSGIProvesItselfFirst(t *testing.T) {
	t.Parallel()
	for _, socket := range []string{"DIR/s", "s\nchdir = DIR"} {
		s := uwsgiTest(t, "[uwsgi]\nplugin = python3\nprocesses = 1\nwsgi-file = DIR/app.py\nhttp-socket = "+socket+"\n")
		s.want()
		s.ready(1)
		s.app("import time; time.sleep(1)\n" + pythonApp)
		s.want()
		for {
			answer := s.mustGet("/")
			if s.Status().State != Reloading {
				break
			}
			if !strings.Contains(answer, "gen 1") {
				t.Fatalf("answered by %q while generation 2 was not ready", answer)
			}
		}
		s.ready(2)
		if answer := s.mustGet("/"); !strings.Contains(answer, "gen 2") {
			t.Errorf("answered by %q, want generation 2", answer)
		}
		s.until("alone", func(st Status) bool { return len(st.Draining) == 0 })
		path := filepath.Join(s.dir, "s")
		queued := make(chan string, 3)
		held := s.sockets.Describe().Held[0].Listener
		for range cap(queued) {
			go func() { // each answers once
				text, err := get(path, "/sleep/1")
				queued <- fmt.Sprint(text, err)
			}()
		}
		eventually(t, "somebody waits at the socket", func() bool {
			waiting := []unix.PollFd{{Fd: int32(held.FD), Events: unix.POLLIN}}
			n, err := unix.Poll(waiting, 0)
			return err == nil && n == 1
		})
		s.want()
		s.ready(3)
		for range cap(queued) {
			if answer := <-queued; !strings.Contains(answer, "gen 2") {
				t.Errorf("who waited was answered %q, want generation 2", answer)
			}
		}
	}
}

// TestFailedGenerationLeavesNoSocket: its own file goes, the path stays.
func TestFailedGenerationLeavesNoSocket(t *testing.T) {
	t.Parallel()
	s := uwsgiTest(t, uwsgiSite)
	s.want()
	s.ready(1)
	s.app("raise SystemExit(1)\n")
	s.want()
	s.until("told", func(st Status) bool {
		return st.State == Ready && strings.Contains(st.Problem, "generation 2 did not come up") && len(st.Draining) == 0
	})
	if st := s.Status(); st.Reason != "" {
		t.Errorf("a vassal that is ready gives the reason %q", st.Reason)
	}
	s.mustGet("/")
	names, err := filepath.Glob(filepath.Join(s.dir, "*s*"))
	hidden, _ := filepath.Glob(filepath.Join(s.dir, ".*"))
	if names = append(names, hidden...); err != nil || !slices.Equal(names, []string{filepath.Join(s.dir, "s"), s.file}) {
		t.Errorf("left behind: %q, %v", names, err)
	}
}

// TestKindChanges: a site becomes a program and a uWSGI again. Requests of the
// old kind end well, mistakes leave it serving.
func TestKindChanges(t *testing.T) {
	t.Parallel()
	front := newFakeFront()
	s := newSite(t, "", func(d *Deps) { d.Front = front })
	s.app(pythonApp)
	command := commandSite(t, "serve", "fd=3")
	s.write(uwsgiSite)
	s.want()
	s.ready(1)
	path := filepath.Join(s.dir, "s")

	s.write("[uwsgi]\nsocket = DIR/s\ncommand = /nowhere/program\n")
	s.want()
	s.until("told", func(st Status) bool { return st.State == Ready && strings.Contains(st.Problem, "/nowhere/program") })
	if answer := s.mustGet("/"); !strings.Contains(answer, "gen 1") {
		t.Errorf("answered by %q", answer)
	}

	stop, finished := make(chan struct{}), make(chan struct{})
	var failures []string
	go func() {
		_, failures = hammer(front, path, 8, stop)
		close(finished)
	}()
	generation := s.Status().Generation
	for _, text := range []string{command, uwsgiSite, command, uwsgiSite} {
		s.write(text)
		s.want()
		st := s.until("changed", func(st Status) bool { return st.State == Ready && st.Generation > generation && st.Problem == "" })
		generation = st.Generation
	}
	close(stop)
	<-finished
	if len(failures) > 0 {
		t.Errorf("requests failed:\n%s", strings.Join(failures, "\n"))
	}
	s.until("alone", func(st Status) bool { return len(st.Draining) == 0 })
}

// TestProtocolChangesUnderHold: the router must not speak the old protocol to the
// new generation.
func TestProtocolChanges(t *testing.T) {
	at := func(address, protocol string) []link.Address {
		return []link.Address{{Address: address, Protocol: protocol}}
	}
	for _, test := range []struct {
		before, after []link.Address
		want          bool
	}{
		{at("/s", "uwsgi"), at("/s", "http"), true},
		{at("/s", "http"), at("/s", "http"), false},
		{at("/s", "uwsgi"), at("/t", "http"), false},
		{nil, at("/s", "http"), false},
	} {
		if got := changesProtocol(test.before, test.after); got != test.want {
			t.Errorf("%v, then %v: %t", test.before, test.after, got)
		}
	}
}

// stubborn is a body that is ready at once and has requests that never end.
type stubborn struct {
	fakeBody
	hurried chan<- uint64
}

func (b *stubborn) boot(context.Context) error { return nil }
func (b *stubborn) retire()                    { b.hurried <- b.s.generation; b.finish() }

type endless struct{ world }

func (*endless) Publish(context.Context, link.Vassal) error { return nil }
func (*endless) Drained(ctx context.Context, _ string, _ uint64) error {
	<-ctx.Done()
	return ctx.Err()
}

// TestLongRequestsSurviveManyDeploys: old generations keep their requests for a
// minute even if somebody deploys all the time, but not without end.
func TestLongRequestsSurviveManyDeploys(t *testing.T) {
	for _, test := range []struct {
		name    string
		deploys int
		pause   time.Duration
		want    func(since time.Duration) int // how many were ended by then
	}{
		{"some", 5, 2 * time.Second, func(since time.Duration) int {
			// Replaced 0, 2, 4, 6 s after the start; a minute later there may be two.
			switch {
			case since < 64*time.Second:
				return 0
			case since < 66*time.Second:
				return 1
			}
			return 2
		}},
		{"many", 20, time.Second, nil},
		{"rare", 4, 2 * time.Minute, nil},
	} {
		synctest.Test(t, func(t *testing.T) {
			hurried, alone := make(chan uint64, 100), &actor{name: "site", w: &world{}}
			v := New("site", Deps{Log: slog.New(slog.DiscardHandler), Front: &endless{}, Defaults: Defaults{Environment: []string{}, Mercy: time.Hour}})
			v.newBody = func(s surroundings) body {
				return &stubborn{fakeBody: fakeBody{a: alone, s: s, over: make(chan struct{})}, hurried: hurried}
			}
			ctx, cancel := context.WithCancel(t.Context())
			ended := make(chan struct{})
			go func() { v.Run(ctx); close(ended) }()
			spec := &spec.Spec{Name: "site", Kind: spec.Command, Overlap: true}
			for n := range test.deploys {
				if n > 0 {
					time.Sleep(test.pause)
				}
				v.Want(spec, time.Time{})
				synctest.Wait()
				if st := v.Status(); st.State != Ready || st.Generation != uint64(n+1) {
					t.Fatalf("%s: deploy %d: %+v", test.name, n+1, st)
				}
			}
			switch test.name {
			case "many":
				// 19 were replaced, 12 remain.
				if got := len(hurried); got != 7 {
					t.Errorf("%s: %d were ended, want 7", test.name, got)
				}
				for want := uint64(1); len(hurried) > 0; want++ {
					if got := <-hurried; got != want {
						t.Errorf("%s: generation %d was ended, want %d: the oldest first", test.name, got, want)
					}
				}
			case "rare":
				// Of three the first two have drained for long, the third has not.
				if got := len(hurried); got != 0 {
					t.Errorf("%s: %d were ended, want none", test.name, got)
				}
				time.Sleep(time.Minute)
				synctest.Wait()
				if got := len(hurried); got != 1 {
					t.Errorf("%s: %d were ended after a minute more, want 1", test.name, got)
				}
			default:
				first := 2 * time.Second // when the first was replaced
				for since := time.Duration(test.deploys-1) * test.pause; since < 90*time.Second; since += time.Second {
					if got, want := len(hurried), test.want(since-first); got != want {
						t.Errorf("%s: %s after the first was replaced %d were ended, want %d", test.name, since-first, got, want)
					}
					time.Sleep(time.Second)
					synctest.Wait()
				}
			}
			cancel()
			<-ended
		})
	}
}

// TestHalt: what runs goes on, nothing is started, neither a generation nor a
// single process.
func TestHalt(t *testing.T) {
	t.Parallel()
	s := newSite(t, strings.Replace(commandSite(t, "serve", "fd=3"), "\ncommand", "\nprocesses = 2\ncommand", 1), func(d *Deps) { d.Defaults.Throttle = time.Millisecond })
	pids := s.ready(1).PIDs
	s.Halt()
	s.want()
	if err := s.Order(t.Context(), OrderReload); err == nil || !strings.Contains(err.Error(), "the emperor is stopping") {
		t.Errorf("a reload was answered %v", err)
	}
	s.mustGet("/")
	syscall.Kill(pids[0], syscall.SIGTERM)
	s.until("down to one process", func(st Status) bool { return len(st.PIDs) == 1 })
	s.mustGet("/")
	syscall.Kill(pids[1], syscall.SIGTERM)
	st := s.until("stopped", func(st Status) bool { return st.State == Stopped })
	if !st.RetryAt.IsZero() || !strings.Contains(st.Reason, "it is not started again") {
		t.Errorf("status %+v: want no word of a start to come", st)
	}
	s.cancel()
	<-s.ended
	if log := s.log.String(); strings.Count(log, "vassal starting") != 1 || strings.Contains(log, "again_in") {
		t.Error("something was started")
	}
}

// TestHaltInABackOff: what was to be started again is not.
func TestHaltInABackOff(t *testing.T) {
	t.Parallel()
	s := newSite(t, commandSite(t, "exit=3"), func(d *Deps) { d.Defaults.Throttle = time.Hour; d.Defaults.MaxThrottle = time.Hour })
	s.until("failed", func(st Status) bool { return st.State == Failed })
	s.Halt()
	st := s.until("stopped", func(st Status) bool { return st.State == Stopped })
	if !strings.Contains(st.Reason, "exit status 3") || !st.RetryAt.IsZero() {
		t.Errorf("status %+v", st)
	}
}

// TestMainFilesUser: it wins over the vassal's own, which is warned of.
func TestMainFilesUser(t *testing.T) {
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
		{"uwsgi", "plugin = python3\nhttp-socket = DIR/s\nwsgi-file = DIR/app.py\nuid = daemon\ngid = nogroup\npidfile = DIR/pid\n"},
		{"command", "socket = DIR/s\nchdir = DIR\nenv = PYTHONPATH=DIR\nenv = HOME=DIR\ncommand = gunicorn app:application\nuid = daemon\n"},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := newSite(t, "", nil)
			s.app(pythonApp)
			os.Chmod(filepath.Join(s.dir, "app.py"), 0o644)
			os.Chown(s.dir, int(nobody.UID), int(nobody.GID))
			s.write("[uwsgi]\n" + test.text)
			spec, problems := readSpec(spec.Reading{Name: "site", File: s.file, User: nobody.Credential()})
			if spec == nil || len(problems) != 1 || !strings.Contains(problems[0].Error(), "uid: no effect") || problems[0].Pos.Line == 0 {
				t.Fatalf("problems: %s; want one warning of uid", problems)
			}
			for n := range uint64(2) {
				s.Want(spec, time.Time{})
				st := s.ready(n + 1)
				var file syscall.Stat_t
				if err := syscall.Lstat(filepath.Join(s.dir, "s"), &file); err != nil || file.Uid != nobody.UID || file.Gid != nobody.GID {
					t.Errorf("socket of %d:%d, %v", file.Uid, file.Gid, err)
				}
				if err := syscall.Lstat(fmt.Sprintf("/proc/%d", st.PIDs[0]), &file); err != nil || file.Uid != nobody.UID || file.Gid != nobody.GID {
					t.Errorf("process of %d:%d, %v", file.Uid, file.Gid, err)
				}
				if test.name == "uwsgi" {
					if err := syscall.Lstat(filepath.Join(s.dir, "pid"), &file); err != nil || file.Uid != nobody.UID {
						t.Errorf("pid file of %d, %v", file.Uid, err)
					}
				}
				s.mustGet("/")
			}
		})
	}
}
