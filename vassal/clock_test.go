package vassal

import (
	"context"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"emperor/internal/testlog"
	"emperor/vassal/clock"
	"emperor/vassal/logs"
	"emperor/vassal/spec"
)

// settable is a clock that somebody sets, which no timer notices. A minute of it takes
// pace of one.
type settable struct {
	began time.Time
	pace  time.Duration
	ahead atomic.Int64
}

func (c *settable) Now() time.Time {
	return c.began.Add(time.Since(c.began)*c.pace + time.Duration(c.ahead.Load())).Round(0) // only the wall clock's
}

func (c *settable) AfterFunc(d time.Duration, f func()) func() bool {
	return time.AfterFunc(d/c.pace, f).Stop
}

func (c *settable) Uptime() time.Duration { return time.Since(c.began)*c.pace + time.Hour }

func (c *settable) set(by time.Duration) { c.ahead.Add(int64(by)) }

// slow is a body that is never ready.
type slow struct{ *patient }

func (s slow) boot(ctx context.Context) error { <-ctx.Done(); return context.Cause(ctx) }

// TestClockIsSet: no pause and no deadline is longer or shorter for it.
func TestClockIsSet(t *testing.T) {
	for _, by := range []time.Duration{0, time.Hour, -time.Hour} {
		t.Run(by.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := &settable{began: time.Now(), pace: 1}
				w := &ward{answer: well, begun: time.Now()}
				log := &testlog.Text{}
				v := New("site", Deps{Log: slog.New(slog.NewTextHandler(log, nil)), Front: w, Clock: c,
					Defaults: Defaults{Environment: []string{}, Throttle: 30 * time.Second, MaxThrottle: time.Hour, Boot: 20 * time.Second}})
				v.newBody = func(s surroundings) body {
					w.mu.Lock()
					defer w.mu.Unlock()
					w.made = append(w.made, time.Since(w.begun))
					return slow{&patient{s: s, ward: w, over: make(chan struct{})}}
				}
				ctx, cancel := context.WithCancel(t.Context())
				ended := make(chan struct{})
				go func() { v.Run(ctx); close(ended) }()
				defer func() { cancel(); <-ended }()
				v.Want(&spec.Spec{Name: "site", Kind: spec.UWSGI, Overlap: true}, time.Time{})
				time.Sleep(10 * time.Second)
				c.set(by) // it starts
				time.Sleep(15 * time.Second)
				c.set(by) // it waits for the next try
				time.Sleep(2 * time.Minute)
				// 20 s that it may take, 30 s of pause, 20 s, 60 s.
				w.compare(t, log, []int{0, 50, 130})
			})
		})
	}
}

// TestClockIsSetDuringAnUpgrade: what is left of a pause is what was left of it.
func TestClockIsSetDuringAnUpgrade(t *testing.T) {
	text, err := spec.Carry(&spec.Spec{Name: "site", Kind: spec.UWSGI, Overlap: true})
	if err != nil {
		t.Fatal(err)
	}
	for _, by := range []time.Duration{0, time.Hour, -time.Hour} {
		t.Run(by.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := &settable{began: time.Now(), pace: 1}
				log := &testlog.Text{}
				deps := Deps{Log: slog.New(slog.NewTextHandler(log, nil)), Clock: c, Defaults: Defaults{Environment: []string{}}}
				carried := &Carried{Name: "site", State: Failed.String(), Written: clock.Here(c), Since: c.Now(), RetryAt: c.Now().Add(time.Minute),
					Specs: [][]byte{text}, Wanted: 0, Spec: 0, Failures: 7, Last: []logs.Line{}, Own: map[uint64][]logs.Line{}}
				time.Sleep(5 * time.Second)
				c.set(by)
				w := &ward{answer: well, begun: time.Now()}
				deps.Front = w
				v, err := Adopt(deps, carried, nil)
				if err != nil {
					t.Fatal(err)
				}
				v.newBody = func(s surroundings) body {
					w.mu.Lock()
					defer w.mu.Unlock()
					w.made = append(w.made, time.Since(w.begun))
					return &patient{s: s, ward: w, over: make(chan struct{})}
				}
				ctx, cancel := context.WithCancel(t.Context())
				ended := make(chan struct{})
				go func() { v.Run(ctx); close(ended) }()
				defer func() { cancel(); <-ended }()
				time.Sleep(time.Second)
				if st := v.Status(); st.State != Failed || st.RetryAt.Sub(c.Now()) != 54*time.Second || c.Now().Sub(st.Since) != 6*time.Second {
					t.Errorf("%s since %s, tried again in %s", st.State, c.Now().Sub(st.Since), st.RetryAt.Sub(c.Now()))
				}
				time.Sleep(2 * time.Minute)
				w.compare(t, log, []int{55})
			})
		})
	}
}

// TestCronWhenTheClockIsSet: jobs go by the new time, also if that is years before the
// old one, as on a machine that learns the time after its start.
func TestCronWhenTheClockIsSet(t *testing.T) {
	t.Parallel()
	c := &settable{began: time.Now(), pace: faster}
	s := newSite(t, "", func(d *Deps) {
		fast(d)
		d.Clock = c
	})
	s.eventuallyShown()
	s.write("[uwsgi]\nstatic = DIR\ncron = -1 -1 -1 -1 -1 " + note("ran", "it") + "\n")
	s.want()
	runs := func(more string) {
		t.Helper()
		before := len(s.words("ran"))
		s.until("it runs "+more, func(Status) bool { return len(s.words("ran")) > before+1 })
	}
	runs("at all")
	c.set(-10 * 365 * 24 * time.Hour)
	runs("after the clock was set back")
	if next := s.Status().Crons[0].Next; next.Sub(c.Now()).Abs() > 3*time.Minute {
		t.Errorf("due at %s, and it is %s", next, c.Now())
	}
	c.set(10 * 365 * 24 * time.Hour)
	runs("after it was set forward")
	if log := s.log.String(); strings.Count(log, "its time has long passed") != 1 {
		t.Errorf("not said once that a time was left out:\n%s", log)
	}
}

// TestCronAwaits: a job's time comes by the wall clock, whatever the kernel's says.
func TestCronAwaits(t *testing.T) {
	for _, test := range []struct {
		set, late, after time.Duration
		come             bool
	}{
		{0, 0, 10 * time.Minute, true},
		{9*time.Minute + 30*time.Second, 30 * time.Second, time.Minute, true},
		{30 * time.Minute, 21 * time.Minute, time.Minute, true},
		{-30 * time.Second, 0, 10*time.Minute + 30*time.Second, true}, // as clocks are corrected: not run twice
		{-2 * time.Hour, 0, time.Minute, false},
	} {
		synctest.Test(t, func(t *testing.T) {
			c := &settable{began: time.Now(), pace: 1}
			v := New("site", Deps{Log: slog.New(slog.DiscardHandler), Clock: c})
			j := newJob(v, 0, &spec.Spec{Helpers: spec.Helpers{Crons: []spec.Cron{{}}}})
			defer j.cancel()
			go func() {
				time.Sleep(time.Second)
				c.set(test.set)
			}()
			late, come := j.await(c.Now().Add(10 * time.Minute))
			if after := time.Since(c.began); late != test.late || come != test.come || after != test.after {
				t.Errorf("set by %s: come %v after %s, %s late; want %v, %s, %s", test.set, come, after, late, test.come, test.after, test.late)
			}
		})
	}
}
