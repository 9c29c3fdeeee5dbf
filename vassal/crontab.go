package vassal

import (
	"context"
	"fmt"
	"sync"
	"time"

	"emperor/vassal/clock"
	"emperor/vassal/spec"
)

// CronStatus is what can be seen of a cron line.
type CronStatus struct {
	spec.Program
	Schedule string
	// Next is when it is due.
	Next time.Time
	// Running is how many runs of it are under way.
	Running int
	// Last is when the last run that is over began, and Result how it went; empty:
	// well, or there was none.
	Last   time.Time
	Result string
}

const (
	// cronLook is the most that the clock is not looked at: it may be set.
	cronLook = time.Minute
	// cronLate is how late a job may be and is run all the same: a busy machine, but
	// not one that was asleep the whole night, or whose clock was set.
	cronLate = time.Hour
	// cronTogether bounds how many runs of one line are under way.
	cronTogether = 10
)

// job is one cron line of a vassal. A goroutine waits for its times; each run has its
// own.
type job struct {
	spec.Cron
	v     *Vassal
	spec  *spec.Spec
	place int // of its line in the spec

	ctx     context.Context // ends when it is not to be started any more
	cancel  context.CancelFunc
	runs    context.Context // ends when the runs under way are to end, too
	endRuns context.CancelFunc

	mu      sync.Mutex // guards what follows
	status  CronStatus
	waiting bool // its goroutine lives
}

func newJob(v *Vassal, place int, s *spec.Spec) *job {
	c := s.Crons[place]
	j := &job{Cron: c, v: v, spec: s, place: place, status: CronStatus{Program: c.Program, Schedule: c.Schedule.String()}, waiting: true}
	j.ctx, j.cancel = context.WithCancel(context.Background())
	j.runs, j.endRuns = context.WithCancel(context.Background())
	return j
}

// run is its goroutine.
func (j *job) run() {
	defer func() {
		j.change(func(s *CronStatus) { j.waiting, s.Next = false, time.Time{} })
	}()
	due, _ := j.snapshot()
	for next := due.Next; ; next = (time.Time{}) { // that of an adopted one may have come meanwhile
		if next.IsZero() {
			next = j.Schedule.Next(j.wall())
		}
		if next.IsZero() {
			return // a machine whose clock is far off
		}
		j.change(func(s *CronStatus) { s.Next = next })
		late, come := j.await(next)
		if j.ctx.Err() != nil {
			return
		}
		switch {
		case !come: // the clock was set back
		case late > cronLate:
			j.v.log.Warn("a cron job was not run, because its time has long passed", "option", j.Program.String(), "late", late.Round(time.Second))
		default:
			j.begin()
		}
	}
}

// wall is the time that schedules are about: not the one of the kernel's clock, by which
// everything else goes, and which is not set with it.
func (j *job) wall() time.Time { return j.v.clock.Now().Round(0) }

// await waits until the time has come, however the clock is set meanwhile, and says how
// late it is then. It gives up when the clock was set back so far that the next time may be
// another one, and when no job is to be started any more.
func (j *job) await(next time.Time) (late time.Duration, come bool) {
	for {
		now := j.wall()
		left := next.Sub(now)
		if left <= 0 {
			return -left, true
		}
		nap := min(left, cronLook)
		if !clock.Sleep(j.ctx, j.v.clock, nap) || now.Add(nap).Sub(j.wall()) > cronLook {
			return 0, false
		}
	}
}

// change publishes a change of the status.
func (j *job) change(f func(*CronStatus)) {
	j.mu.Lock()
	f(&j.status)
	j.mu.Unlock()
	j.v.send(message{kind: helpersChanged})
}

// begin starts a run.
func (j *job) begin() {
	j.mu.Lock()
	running := j.status.Running
	most := cronTogether
	if j.Unique {
		most = 1
	}
	if running < most {
		j.status.Running++
	}
	j.mu.Unlock()
	if running >= most {
		j.v.log.Warn("a cron job is not started, because it still runs", "option", j.Program.String(), "running", running)
		return
	}
	j.perform(j.v.clock.Now(), func() error {
		e := j.errand()
		var err error
		if e.command, err = j.v.helperCommand(j.spec, "cron", j.Line); err != nil {
			return fmt.Errorf("%s: %w", j.Program, err)
		}
		return j.v.perform(j.runs, e)
	})
}

// perform does a run, which has been counted, beside.
func (j *job) perform(began time.Time, run func() error) {
	j.v.tasks.Go(func() {
		err := run()
		if err != nil {
			j.v.log.Warn("a cron job failed", "err", err)
		}
		j.change(func(s *CronStatus) {
			s.Running--
			s.Last, s.Result = began, ""
			if err != nil {
				s.Result = err.Error()
			}
		})
	})
}

// errand is a run of it.
func (j *job) errand() errand {
	return errand{what: j.Program, spec: j.spec, job: j, limit: j.Limit, grace: j.v.defaults.Stop, limitedBy: "cron-harakiri"}
}

// snapshot is its status now; busy tells whether anything of it is left.
func (j *job) snapshot() (s CronStatus, busy bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.status, j.waiting || j.status.Running > 0
}
