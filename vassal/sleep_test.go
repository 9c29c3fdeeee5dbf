package vassal

import (
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"emperor/internal/config"
	"emperor/vassal/clock"
)

// TestSleeperWithoutItsSocket: another vassal has it. It is asleep as soon as that lets
// go of it, and an edit that wants such a socket leaves it as it was.
func TestSleeperWithoutItsSocket(t *testing.T) {
	t.Parallel()
	s := newSite(t, "", func(d *Deps) { d.Defaults.Throttle, d.Defaults.MaxThrottle = time.Hour, time.Hour })
	free := s.takenSocket("s")
	text := strings.Replace(commandSite(t, "serve", "fd=3"), "[uwsgi]", "[uwsgi]\non-demand = true", 1)
	s.write(text)
	s.want()
	st := s.until("failed", func(st Status) bool { return st.State == Failed })
	if !strings.Contains(st.Reason, "belongs to vassal other") {
		t.Errorf("it failed because %s", st.Reason)
	}
	free("lets go")
	s.until("asleep", func(st Status) bool { return st.State == Asleep })

	free = s.takenSocket("t")
	s.write(strings.Replace(text, "DIR/s", "DIR/t", 1))
	s.want()
	st = s.until("refused", func(st Status) bool { return st.Problem != "" })
	if st.State != Asleep || !strings.Contains(st.Problem, "it sleeps on as it was") || st.Addresses[0].Address != filepath.Join(s.dir, "s") {
		t.Errorf("%+v", st)
	}
	free("lets go")
	s.until("asleep at the other", func(st Status) bool {
		return st.State == Asleep && st.Problem == "" && st.Addresses[0].Address == filepath.Join(s.dir, "t")
	})
	if text, err := get(filepath.Join(s.dir, "t"), "/"); err != nil || text == "" {
		t.Errorf("it does not wake: %q, %v", text, err)
	}
	s.Remove()
	<-s.ended
}

// TestMistakesWhileAsleep: a uWSGI would read the file with its mistakes, so it is not
// woken; a command starts as it was.
func TestMistakesWhileAsleep(t *testing.T) {
	t.Parallel()
	s := newSite(t, "[uwsgi]\nmodule = a\nsocket = DIR/s\non-demand = true\n", nil)
	s.until("asleep", func(st Status) bool { return st.State == Asleep })
	s.Refuse(config.Problems{{Text: "a mistake"}})
	s.Wake("somebody")
	st := s.until("failed", func(st Status) bool { return st.State == Failed })
	if !strings.Contains(st.Reason, "its file has mistakes") || !st.RetryAt.IsZero() {
		t.Errorf("%+v", st)
	}
	s.Want(s.read(), time.Time{})
	s.until("asleep", func(st Status) bool { return st.State == Asleep })
}

// counted is a clock that knows how many of its timers run.
type counted struct {
	clock.System
	running atomic.Int64
}

func (c *counted) AfterFunc(d time.Duration, f func()) func() bool {
	c.running.Add(1)
	over := sync.OnceFunc(func() { c.running.Add(-1) })
	stop := c.System.AfterFunc(d, func() { over(); f() })
	return func() bool { over(); return stop() }
}

// TestSleepersAreCheap: each takes one goroutine and little memory; and nothing is due
// while they sleep, so they take nothing of a processor. (It runs beside no other test.)
func TestSleepersAreCheap(t *testing.T) {
	const many = 500
	specs := readSleepers(t, many)
	c := &counted{}
	before, goroutines := memory(), runtime.NumGoroutine()
	end := fallAsleep(specs, c)
	defer end()
	if got := runtime.NumGoroutine() - goroutines; got > many+many/10 {
		t.Errorf("%d goroutines for %d sleepers", got, many)
	}
	if got := (memory() - before) / many; got > 64<<10 {
		t.Errorf("%d bytes for each sleeper", got)
	}
	eventually(t, "no timer runs", func() bool { return c.running.Load() == 0 })
}
