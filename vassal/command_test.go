package vassal

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"emperor/internal/link"
	"emperor/vassal/spec"
)

// commandSite is a file with that command on a socket.
func commandSite(t testing.TB, words ...string) string {
	return "[uwsgi]\nsocket = DIR/s\nenv = GORACE=atexit_sleep_ms=0\ncommand = " + play(t, words...) + "\n"
}

func TestCommandGetsItsSurroundings(t *testing.T) {
	t.Setenv("PORT", "8080")
	t.Setenv("LISTEN_FDS", "7")
	t.Setenv("WATCHDOG_USEC", "1")
	t.Setenv("UWSGI_RELOADS", "1")
	t.Setenv("KEPT", "yes")
	t.Setenv("DROPPED", "yes")
	s := newSite(t, strings.Replace(commandSite(t, "serve", "fd=3"), "\ncommand",
		"\nenv = OWN=fd %(fd)\nunenv = DROPPED\numask = 027\ncommand", 1), nil)
	s.ready(1)
	for name, want := range map[string]string{
		"PORT": "", "WATCHDOG_USEC": "", "UWSGI_RELOADS": "", "DROPPED": "",
		"KEPT": "yes", "OWN": "fd 3", "LISTEN_FDS": "1", "LISTEN_FDNAMES": "http",
	} {
		if got := s.mustGet("/env?" + name); got != want {
			t.Errorf("%s=%q, want %q", name, got, want)
		}
	}
	if got, want := s.mustGet("/env?LISTEN_PID"), strconv.Itoa(s.Status().PIDs[0]); got != want {
		t.Errorf("LISTEN_PID=%s, want its own number %s", got, want)
	}
	if got := s.mustGet("/env?NOTIFY_SOCKET"); got == "" {
		t.Error("it has no notify socket of its own")
	}
}

func TestPortOfItsOwn(t *testing.T) {
	t.Parallel()
	front := newFakeFront()
	s := newSite(t, "[uwsgi]\nport = auto\nenv = GORACE=atexit_sleep_ms=0\nenv = SAID=%(port)\ncommand = "+play(t, "serve", "port")+"\n", func(d *Deps) { d.Front = front })
	first := s.ready(1)
	s.want()
	second := s.ready(2)
	if len(first.Addresses) != 1 || len(second.Addresses) != 1 || first.Addresses[0] == second.Addresses[0] {
		t.Errorf("addresses %v, then %v: want two different ports", first.Addresses, second.Addresses)
	}
	if !strings.HasPrefix(second.Addresses[0].Address, "127.0.0.1:") || second.Addresses[0].Protocol != "http" {
		t.Errorf("address %+v", second.Addresses[0])
	}
	c, err := net.Dial("tcp", second.Addresses[0].Address)
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
	rows := front.published()
	last := rows[len(rows)-1]
	if last.State != link.Ready || last.Generation != 2 || last.Addresses[0] != second.Addresses[0] {
		t.Errorf("the router knows %+v", last)
	}
}

func TestStrangersPortIsNotTaken(t *testing.T) {
	stranger, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer stranger.Close()
	port := stranger.Addr().(*net.TCPAddr).Port
	_, ours, others, err := portOwner(port, func(int) bool { return false })
	if err != nil || ours || !others {
		t.Errorf("ours %t, others %t, %v; want another program's", ours, others, err)
	}
	at, ours, others, err := portOwner(port, func(pid int) bool { return pid == os.Getpid() })
	if err != nil || !ours || others || at != stranger.Addr().String() {
		t.Errorf("at %s, ours %t, others %t, %v; want ours", at, ours, others, err)
	}
}

// TestBindsItself: programs that do not take the socket held for them work, and
// are replaced one after the other.
func TestBindsItself(t *testing.T) {
	for _, test := range []struct{ name, command string }{
		{"named in the command", play(t, "serve", "unix=DIR/s")},
		{"fails to bind", "./run"},
		{"replaces the file", "./run"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, "", nil)
			// The path is hidden from the emperor in a file of the site's.
			script := "#!/bin/sh\nexec " + strings.ReplaceAll(play(t, "serve", "unix=DIR/s"), "DIR", s.dir) + "\n"
			if test.name == "replaces the file" {
				script = strings.Replace(script, "exec ", "rm -f "+s.dir+"/s\nexec ", 1)
			}
			if err := os.WriteFile(filepath.Join(s.dir, "run"), []byte(script), 0o755); err != nil {
				t.Fatal(err)
			}
			s.write("[uwsgi]\nsocket = DIR/s\nenv = GORACE=atexit_sleep_ms=0\ncommand = " + test.command + "\n")
			s.want()
			st := s.ready(1)
			if st.Overlap {
				t.Errorf("status %+v: generations of a program that binds its socket itself cannot overlap", st)
			}
			first := s.mustGet("/")
			s.want()
			s.until("replaced", func(st Status) bool { return st.State == Ready && st.Generation == 2 && len(st.Draining) == 0 })
			if second := s.mustGet("/"); second == first {
				t.Errorf("still answered by %q", first)
			}
			if n := strings.Count(s.log.String(), "the program binds its socket itself, which works"); n > 1 {
				t.Errorf("said %d times", n)
			}
		})
	}
}

func TestProcessesShareTheSocket(t *testing.T) {
	t.Parallel()
	s := newSite(t, strings.Replace(commandSite(t, "serve", "fd=3"), "\ncommand", "\nprocesses = 2\ncommand", 1), func(d *Deps) { d.Defaults.Throttle = time.Millisecond })
	st := s.ready(1)
	if len(st.PIDs) != 2 {
		t.Fatalf("processes %v, want 2", st.PIDs)
	}
	syscall.Kill(st.PIDs[0], syscall.SIGKILL)
	after := s.until("complete again", func(now Status) bool {
		return len(now.PIDs) == 2 && (now.PIDs[0] != st.PIDs[0] || now.PIDs[1] != st.PIDs[1])
	})
	if after.Generation != 1 || after.State != Ready {
		t.Errorf("status %+v, want the same generation", after)
	}
	for _, pid := range after.PIDs {
		if pid == st.PIDs[0] {
			t.Errorf("%d is listed and dead", pid)
		}
	}
	s.mustGet("/")
}

// TestNotReady: why a program did not come up is said as exactly as it is known. Some
// have to come so far within their boot-timeout that there is more to say, which on a
// busy machine takes longer: these are tried again with a longer one.
func TestNotReady(t *testing.T) {
	const patient = 16 // seconds
	for _, test := range []struct {
		name    string
		seconds int // of boot-timeout at first; 0: it fails by itself
		extra   string
		command string
		want    string
	}{
		{"program missing", 0, "", "/nowhere/program", "/nowhere/program"},
		{"exits", 0, "", play(t, "error=I cannot", "exit=3"), "exit status 3"},
		{"does not answer", 1, "", play(t, "wait"), "not ready within 1s"},
		{"answers with 500", 2, "ready-path = /health\n", play(t, "status=500", "serve", "fd=3"), "/health is answered with status 500"},
		{"never says READY=1", 2, "", play(t, "notify=STATUS=loading", "serve", "fd=3"), "did not send READY=1 (its status: loading)"},
		{"does not listen on its port", 1, "port = auto\n", play(t, "wait"), "does not listen on port"},
		{"wrong protocol", 2, "protocol = fastcgi\n", play(t, "serve", "fd=3"), "it does not answer on its socket (asked in fastcgi); it gets it as descriptor 3"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			for seconds := test.seconds; ; seconds *= 2 {
				text := "[uwsgi]\nenv = GORACE=atexit_sleep_ms=0\n" + test.extra + "command = " + test.command + "\n"
				if !strings.Contains(test.extra, "port") {
					text += "socket = DIR/s\n"
				}
				if seconds > 0 {
					text += fmt.Sprintf("boot-timeout = %d\n", seconds)
				}
				s := newSite(t, text, nil)
				st := s.until("failed", func(st Status) bool { return st.State == Failed })
				if !strings.Contains(st.Reason, test.want) {
					if seconds > 0 && seconds < patient && strings.Contains(st.Reason, "not ready within") {
						continue
					}
					t.Errorf("reason %q, want %q", st.Reason, test.want)
				}
				if st.RetryAt.IsZero() {
					t.Error("it is not tried again")
				}
				if test.name == "exits" {
					s.until("telling what it wrote", func(st Status) bool { return len(st.Lines) > 0 && st.Lines[0].Text == "I cannot" })
				}
				return
			}
		})
	}
}

func TestReadyAnnounced(t *testing.T) {
	t.Parallel()
	s := newSite(t, commandSite(t, "notify=STATUS=loading", "notify=READY=1", "serve", "fd=3"), nil)
	s.ready(1)
}

// TestQueueSurvivesACrash: what waits in the socket is answered by the next generation.
func TestQueueSurvivesACrash(t *testing.T) {
	t.Parallel()
	s := newSite(t, commandSite(t, "serve", "fd=3"), func(d *Deps) { d.Defaults.Throttle = time.Millisecond })
	st := s.ready(1)
	syscall.Kill(st.PIDs[0], syscall.SIGKILL)
	if got := s.mustGet("/"); !strings.Contains(got, "/2") {
		t.Errorf("answered by %q, want generation 2", got)
	}
	st = s.ready(2)
	if st.Restarts != 1 {
		t.Errorf("%d restarts, want 1", st.Restarts)
	}
	if log := s.log.String(); !strings.Contains(log, "killed by SIGKILL") {
		t.Error("the log does not say how it died")
	}
}

// TestTermIsDoubted: a death by TERM waits a second, in which the emperor may
// learn that it is ending.
func TestTermIsDoubted(t *testing.T) {
	t.Parallel()
	s := newSite(t, commandSite(t, "serve", "fd=3"), nil)
	st := s.ready(1)
	// A program that dies by TERM: the default action.
	s.write(strings.Replace(commandSite(t, "serve", "fd=3"), "command = ", "command = sh -c 'trap - TERM; \"$@\" & wait' x ", 1))
	s.want()
	st = s.ready(2)
	syscall.Kill(st.PIDs[0], syscall.SIGTERM)
	failed := s.until("in doubt", func(st Status) bool { return st.State == Failed })
	if wait := failed.RetryAt.Sub(failed.Since); wait < doubt {
		t.Errorf("started again after %s, want a second of doubt", wait)
	}
	s.cancel()
	<-s.ended
	if n := strings.Count(s.log.String(), "vassal starting"); n != 2 {
		t.Errorf("%d starts, want none after the end", n-2)
	}
}

func TestOrders(t *testing.T) {
	t.Parallel()
	s := newSite(t, commandSite(t, "serve", "fd=3"), nil)
	ctx, cancel := context.WithTimeout(t.Context(), deadline)
	defer cancel()
	s.ready(1)
	if err := s.Order(ctx, OrderReload); err != nil {
		t.Fatal(err)
	}
	s.ready(2)
	if err := s.Order(ctx, OrderStop); err != nil {
		t.Fatal(err)
	}
	if st := s.Status(); st.State != Stopped || st.Generation != 0 {
		t.Errorf("after stop: %+v", st)
	}
	if _, err := os.Lstat(filepath.Join(s.dir, "s")); err == nil {
		t.Error("the socket of a stopped vassal still takes connections")
	}
	s.want() // an edit does not start what an operator stopped
	if err := s.Order(ctx, OrderStart); err != nil {
		t.Fatal(err)
	}
	st := s.ready(3)
	if err := s.Order(ctx, OrderRestart); err != nil {
		t.Fatal(err)
	}
	if now := s.ready(4); now.PIDs[0] == st.PIDs[0] || len(now.Draining) > 0 {
		t.Errorf("after a restart: %+v; want another process, and the old one gone", now)
	}
	s.write(commandSite(t, "error=no luck", "exit=9"))
	s.want()
	if err := s.Order(ctx, OrderReload); err == nil || !strings.Contains(err.Error(), "exit status 9") {
		t.Errorf("a reload that fails says %v", err)
	}
	s.mustGet("/")
	if err := s.Order(ctx, "dance"); err == nil {
		t.Error("an unknown order was carried out")
	}
	s.Remove()
	<-s.ended
	if err := s.Order(ctx, OrderStart); !errors.Is(err, errGone) {
		t.Errorf("an order to one that is gone says %v", err)
	}
}

// TestPauseIsShown: whoever has ordered a pause, or its end, and asks for the state next
// is told of it.
func TestPauseIsShown(t *testing.T) {
	t.Parallel()
	s := newSite(t, "[uwsgi]\nsocket = DIR/s\ncommand = "+play(t, "serve")+"\n", nil)
	s.ready(1)
	for i := range 500 {
		order, paused := OrderPause, true
		if i%2 == 1 {
			order, paused = OrderResume, false
		}
		if err := s.Order(t.Context(), order); err != nil {
			t.Fatal(err)
		}
		if s.Status().Paused != paused {
			t.Fatalf("after %s the state is paused = %t", order, !paused)
		}
	}
}

// TestOrderBeatsBackOff: nobody has to wait for it.
func TestOrderBeatsBackOff(t *testing.T) {
	t.Parallel()
	s := newSite(t, commandSite(t, "exit=1"), func(d *Deps) { d.Defaults.Throttle = time.Hour; d.Defaults.MaxThrottle = time.Hour })
	s.until("failed", func(st Status) bool { return st.State == Failed })
	ctx, cancel := context.WithTimeout(t.Context(), deadline)
	defer cancel()
	if err := s.Order(ctx, OrderStart); err == nil {
		t.Error("it did not fail again")
	}
	s.write(commandSite(t, "serve", "fd=3"))
	s.want()
	s.until("ready", func(st Status) bool { return st.State == Ready })
}

// TestNothingSurvives: processes that leave the session, ignore TERM or double-fork.
func TestNothingSurvives(t *testing.T) {
	t.Parallel()
	s := newSite(t, "", nil)
	s.write("[uwsgi]\nsocket = DIR/s\nstop-timeout = 1\nreload-mercy = 1\nenv = GORACE=atexit_sleep_ms=0\ncommand = " +
		strings.ReplaceAll(play(t, "daemon=ignore=TERM,file=DIR/daemon,wait", "child=file=DIR/child,wait", "ignore=TERM", "serve", "fd=3"), "DIR", s.dir) + "\n")
	s.want()
	st := s.ready(1)
	pids := st.PIDs
	for _, name := range []string{"daemon", "child"} {
		var text []byte
		eventually(t, name+" has written its pid", func() bool {
			text, _ = os.ReadFile(filepath.Join(s.dir, name))
			return len(text) > 0
		})
		pid, _ := strconv.Atoi(string(text))
		pids = append(pids, pid)
	}
	s.Remove()
	<-s.ended
	for _, pid := range pids {
		if err := syscall.Kill(pid, 0); !errors.Is(err, syscall.ESRCH) {
			if state, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid)); !strings.Contains(string(state), ") Z ") {
				t.Errorf("process %d survived: %s", pid, state)
			}
		}
	}
}

// TestRefused: a file with mistakes changes nothing that runs.
func TestRefused(t *testing.T) {
	t.Parallel()
	s := newSite(t, commandSite(t, "serve", "fd=3"), nil)
	s.ready(1)
	before := s.mustGet("/")
	s.write("[uwsgi]\nsocket = DIR/s\ncommand = 'x\n")
	_, problems := readSpec(spec.Reading{Name: "site", File: s.file})
	s.Refuse(problems)
	st := s.until("showing the mistake", func(st Status) bool { return st.Problem != "" })
	if st.State != Ready || !strings.Contains(st.Problem, "site.ini:3: command: a quote ' is not closed") {
		t.Errorf("status %+v", st)
	}
	if after := s.mustGet("/"); after != before {
		t.Errorf("answered by %q, want %q", after, before)
	}
	if err := s.Order(t.Context(), OrderReload); err == nil {
		t.Error("a file with mistakes was reloaded")
	}
	s.write(commandSite(t, "serve", "fd=3"))
	s.want()
	if st := s.ready(2); st.Problem != "" {
		t.Errorf("the problem stays: %q", st.Problem)
	}
}

func TestRefusedFromTheStart(t *testing.T) {
	t.Parallel()
	s := newSite(t, "", nil)
	s.write("[uwsgi]\nsocket = DIR/s\ncommand = 'x\n")
	_, problems := readSpec(spec.Reading{Name: "site", File: s.file})
	s.Refuse(problems)
	s.until("failed", func(st Status) bool { return st.State == Failed && st.Problem != "" })
	s.write(commandSite(t, "serve", "fd=3"))
	s.want()
	s.ready(1)
}

// TestSocketChanges: the address itself is edited.
func TestSocketChanges(t *testing.T) {
	t.Parallel()
	s := newSite(t, commandSite(t, "serve", "fd=3"), nil)
	s.ready(1)
	s.write(strings.Replace(commandSite(t, "serve", "fd=3"), "DIR/s\n", "DIR/other\n", 1))
	s.want()
	s.until("moved", func(st Status) bool { return st.State == Ready && st.Generation == 2 && len(st.Draining) == 0 })
	if _, err := get(filepath.Join(s.dir, "other"), "/"); err != nil {
		t.Error(err)
	}
	if _, err := os.Lstat(filepath.Join(s.dir, "s")); err == nil {
		t.Error("the former socket was left behind")
	}
}

// TestComesBack: the file of a vassal that drains appears again.
func TestComesBack(t *testing.T) {
	t.Parallel()
	front := newFakeFront()
	s := newSite(t, commandSite(t, "serve", "fd=3"), func(d *Deps) { d.Front = front })
	s.ready(1)
	request := front.begin() // keeps generation 1 from ending
	front.connected()
	s.Remove()
	s.until("leaving", func(st Status) bool { return st.State == Leaving })
	s.want()
	s.ready(2)
	s.mustGet("/")
	front.end(request)
	s.until("alone", func(st Status) bool { return len(st.Draining) == 0 })
	s.mustGet("/")
}

// TestBadEditOfACommand: the old process goes on, and comes back after a crash.
func TestBadEditOfACommand(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	s := newSite(t, commandSite(t, "serve", "fd=3"), func(d *Deps) { d.Defaults.Throttle = time.Millisecond })
	s.ready(1)
	before := s.mustGet("/")
	for _, edit := range []struct{ name, text, want string }{
		{"missing program", "[uwsgi]\nsocket = DIR/s\ncommand = /nowhere/program\n", "/nowhere/program"},
		{"missing directory", "[uwsgi]\nsocket = DIR/s\nchdir = /nowhere\ncommand = true\n", "/nowhere"},
		{"exits", "[uwsgi]\nsocket = DIR/s\ncommand = false\n", "exit status 1"},
		{"port in use", "[uwsgi]\nsocket = " + taken.Addr().String() + "\ncommand = " + play(t, "serve", "fd=3") + "\n", "another program listens there"},
		{"socket in a missing directory", "[uwsgi]\nsocket = /nowhere/s\ncommand = " + play(t, "serve", "fd=3") + "\n", "/nowhere does not exist"},
	} {
		s.write(edit.text)
		s.want()
		st := s.until("told: "+edit.name, func(st Status) bool { return st.State == Ready && strings.Contains(st.Problem, edit.want) })
		if st.Generation != 1 {
			t.Errorf("%s: generation %d serves", edit.name, st.Generation)
		}
		if after := s.mustGet("/"); after != before {
			t.Errorf("%s: answered by %q, want %q", edit.name, after, before)
		}
	}
	syscall.Kill(s.Status().PIDs[0], syscall.SIGKILL)
	s.until("back", func(st Status) bool { return st.State == Ready && st.Generation > 1 })
	s.mustGet("/")
}
