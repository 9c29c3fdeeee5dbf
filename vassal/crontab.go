package vassal

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// CronStatus is what can be seen of a cron line.
type CronStatus struct {
	Program
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
	Cron
	v    *Vassal
	spec *Spec

	ctx     context.Context // ends when it is not to be started any more
	cancel  context.CancelFunc
	runs    context.Context // ends when the runs under way are to end, too
	endRuns context.CancelFunc

	mu      sync.Mutex // guards what follows
	status  CronStatus
	waiting bool // its goroutine lives
}

func newJob(v *Vassal, c Cron, s *Spec) *job {
	j := &job{Cron: c, v: v, spec: s, status: CronStatus{Program: c.Program, Schedule: c.Schedule.String()}, waiting: true}
	j.ctx, j.cancel = context.WithCancel(context.Background())
	j.runs, j.endRuns = context.WithCancel(context.Background())
	return j
}

// run is its goroutine.
func (j *job) run() {
	defer func() {
		j.change(func(s *CronStatus) { j.waiting, s.Next = false, time.Time{} })
	}()
	for {
		next := j.Schedule.Next(j.v.clock.Now())
		if next.IsZero() {
			return // a machine whose clock is far off
		}
		j.change(func(s *CronStatus) { s.Next = next })
		for {
			left := next.Sub(j.v.clock.Now())
			if left <= 0 {
				if left < -cronLate {
					j.v.log.Warn("a cron job was not run, because its time has long passed", "option", j.Program.String(), "late", (-left).Round(time.Second))
					break
				}
				j.begin()
				break
			}
			if !sleep(j.ctx, j.v.clock, min(left, cronLook)) {
				return
			}
		}
		if j.ctx.Err() != nil {
			return
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
	began := j.v.clock.Now()
	j.v.tasks.Go(func() {
		err := j.perform()
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

func (j *job) perform() error {
	c, err := j.v.helperCommand(j.spec, "cron", j.Line)
	if err != nil {
		return fmt.Errorf("%s: %w", j.Program, err)
	}
	return j.v.perform(j.runs, errand{what: j.Program, spec: j.spec, command: c, limit: j.Limit, grace: j.v.defaults.Stop, limitedBy: "cron-harakiri"})
}

// snapshot is its status now; busy tells whether anything of it is left.
func (j *job) snapshot() (s CronStatus, busy bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.status, j.waiting || j.status.Running > 0
}
