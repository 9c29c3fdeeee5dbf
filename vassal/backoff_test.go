package vassal

import (
	"fmt"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"emperor/internal/testlog"
	"emperor/vassal/clock"
	"emperor/vassal/spec"
)

// TestRestarts: one that dies within ten seconds after it was ready waits longer each time;
// one that dies later is started at once, and what was before is forgotten. Whether it is
// loyal has no part in that.
func TestRestarts(t *testing.T) {
	for _, loyal := range []bool{false, true} {
		t.Run(fmt.Sprint("loyal ", loyal), func(t *testing.T) { synctest.Test(t, func(t *testing.T) { restarts(t, loyal) }) })
	}
}

func restarts(t *testing.T, loyal bool) {
	log := &testlog.Text{}
	w := &ward{answer: well}
	v := w.open(t, log, &spec.Spec{Name: "site", Kind: spec.UWSGI, Overlap: true})
	for i, life := range []time.Duration{9, 9, 9, 11, 9, 11, 11} {
		synctest.Wait()
		for v.Status().State != Ready {
			time.Sleep(100 * time.Millisecond)
			synctest.Wait()
		}
		w.mu.Lock()
		last := w.bodies[len(w.bodies)-1]
		w.mu.Unlock()
		if loyal {
			last.s.loyal()
		}
		time.Sleep(life * time.Second)
		if v.Status().Loyal != loyal {
			t.Errorf("life %d: loyal %t", i, !loyal)
		}
		last.retire()
		synctest.Wait()
		if wantsPause := life < 10; (v.Status().State == Failed) != wantsPause {
			t.Errorf("death %d, after %d s: %s", i, life, v.Status().State)
		}
	}
	time.Sleep(5 * time.Second)
	// Pauses of 1, 2, 4 and, after the eleven seconds, again 1.
	w.compare(t, log, []int{0, 10, 21, 34, 45, 55, 66, 77})
}

// manual is a clock that a test moves; only what waits goes by the real one.
type manual struct {
	clock.System
	mu  sync.Mutex
	now time.Time
}

func (m *manual) Now() time.Time {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.now
}

func (m *manual) move(d time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.now = m.now.Add(d)
}

// withManual gives a site such a clock. Its first pause is a millisecond.
func withManual(c *manual) func(*Deps) {
	c.now = time.Now()
	return func(d *Deps) { d.Clock, d.Defaults.Throttle = c, time.Millisecond }
}

// killed kills one process of the site so long after it was started, and waits for the
// line of the log that says what follows.
func (s *site) killed(c *manual, after time.Duration, pid func(Status) int, text string, want string) {
	s.t.Helper()
	gone := 0
	s.until("it runs", func(st Status) bool { gone = pid(st); return gone != 0 })
	c.move(after)
	before := strings.Count(s.log.String(), text)
	if err := syscall.Kill(gone, syscall.SIGKILL); err != nil {
		s.t.Fatal(err)
	}
	s.until("said to be dead", func(Status) bool { return strings.Count(s.log.String(), text) > before })
	lines := strings.Split(s.log.String(), "\n")
	last := ""
	for _, line := range lines {
		if strings.Contains(line, text) {
			last = line
		}
	}
	if !strings.HasSuffix(last, want) {
		s.t.Errorf("death %s after its start: %s\nwant %s", after, last, want)
	}
	s.until("another one runs", func(st Status) bool { next := pid(st); return next != 0 && next != gone })
}

// TestRestartsOfCopies: the same holds for each of a command's processes.
func TestRestartsOfCopies(t *testing.T) {
	t.Parallel()
	c := &manual{}
	s := newSite(t, commandSite(t, "serve", "fd=3")+"processes = 2\n", withManual(c))
	s.ready(1)
	stays := s.until("both run", func(st Status) bool { return len(st.PIDs) == 2 }).PIDs[0]
	for _, death := range []struct {
		after time.Duration
		pause string
	}{{9 * time.Second, "1ms"}, {9 * time.Second, "2ms"}, {11 * time.Second, "0s"}, {9 * time.Second, "1ms"}} {
		s.killed(c, death.after, func(st Status) int {
			for _, pid := range st.PIDs {
				if pid != stays {
					return pid
				}
			}
			return 0
		}, "one of its processes died", "again_in="+death.pause)
	}
}

// TestRestartsOfDaemons: a daemon always waits, and the shortest time if it has lived long.
func TestRestartsOfDaemons(t *testing.T) {
	t.Parallel()
	c := &manual{}
	s := newSite(t, "", withManual(c))
	s.write(strings.Replace(commandSite(t, "serve", "fd=3"), "\ncommand", "\nattach-daemon = "+play(t, "sleep=1h")+"\ncommand", 1))
	s.want()
	s.ready(1)
	for _, death := range []struct {
		after time.Duration
		pause string
	}{{9 * time.Second, "1ms"}, {9 * time.Second, "2ms"}, {11 * time.Second, "1ms"}} {
		s.killed(c, death.after, func(st Status) int {
			if len(st.Daemons) != 1 {
				return 0
			}
			return st.Daemons[0].PID
		}, "a daemon ended", fmt.Sprintf("after=%s again_in=%s", death.after, death.pause))
	}
}
