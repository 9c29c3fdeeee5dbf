package vassal

import (
	"context"
	"errors"
	"time"

	"golang.org/x/sys/unix"

	"emperor/internal/proc"
	"emperor/vassal/logs"
	"emperor/vassal/spec"
)

// Daemons and cron jobs go on when the emperor is replaced by another binary: the
// processes are children of the same process as before, and what they write is read on.
// One that cannot be understood is ended, and started anew. Hooks are awaited before the
// vassal stands still.

// CarriedHelper is a process that runs beside a vassal's generations.
type CarriedHelper struct {
	Process proc.Carried
	Output  *logs.Carried
	Group   string // its control group; empty: none of its own
	Began   time.Time
	// Spec and Place say which line it is: of the daemons, or with Cron of the cron jobs.
	Spec, Place int
	Cron        bool
	// Of a daemon.
	Epoch, Restarts uint64
}

// CarriedJob is a cron line.
type CarriedJob struct {
	Spec, Place int
	Next, Last  time.Time
	Result      string
}

// beside is what is known of a process that runs beside the generations.
type beside struct {
	daemon  *attached // whose it is; both nil: a hook's
	job     *job
	began   time.Time
	capture *logs.Capture
	group   string
}

// enter notes one that runs.
func (h *helpers) enter(p *proc.Process, b *beside) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.running[p] = b
}

// describe writes down what goes on, and what cannot: strays.
func (h *helpers) describe(specs *specTable) (on []CarriedHelper, strays []proc.Carried, jobs []CarriedJob) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for p, b := range h.running {
		c := CarriedHelper{Process: p.Carry(), Group: b.group, Began: b.began}
		switch {
		case b.daemon != nil && b.daemon.ctx.Err() == nil:
			c.Spec, c.Place = specs.index(b.daemon.spec), b.daemon.place
			c.Epoch, c.Restarts = b.daemon.epoch, b.daemon.status.Load().Restarts
		case b.job != nil && b.job.runs.Err() == nil:
			c.Spec, c.Place, c.Cron = specs.index(b.job.spec), b.job.place, true
		default: // it is about to end
			strays = append(strays, c.Process)
			continue
		}
		c.Output = b.capture.Pause()
		on = append(on, c)
	}
	for _, j := range h.jobs {
		s, _ := j.snapshot()
		jobs = append(jobs, CarriedJob{Spec: specs.index(j.spec), Place: j.place, Next: s.Next, Last: s.Last, Result: s.Result})
	}
	return on, strays, jobs
}

// readOn reads what they write, after describe or adopt.
func (h *helpers) readOn() {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, b := range h.running {
		b.capture.Resume()
	}
}

// adoptedHelper is a process that is about to be taken care of again.
type adoptedHelper struct {
	process  *proc.Process
	beside   *beside
	endGroup func()
}

// adoptedHelpers are what goes on when the vassal does.
type adoptedHelpers struct {
	runs   []func() // of cron jobs
	strays []strayHelper
}

// strayHelper is one that cannot be taken care of. Its pipe has to stay open, and one
// owner, up to goOn: until then the binary that was there before may need it again.
type strayHelper struct {
	process proc.Carried
	output  *logs.Carried // nil: there is none, or
	capture *logs.Capture // this owns it
}

func (s *strayHelper) close() {
	switch {
	case s.capture != nil:
		s.capture.Abandon()
	case s.output != nil:
		_, _ = unix.Close(s.output.Read), unix.Close(s.output.Write)
	}
}

// adopt takes over what describe has written down. Nothing is read, started or ended
// before goOn.
func (h *helpers) adopt(c *Carried, pick func(int) *spec.Spec) {
	h.adopted = &adoptedHelpers{}
	for _, one := range c.Jobs {
		if s := pick(one.Spec); s != nil && one.Place >= 0 && one.Place < len(s.Crons) {
			j := h.jobOf(s, one.Place)
			j.status.Next, j.status.Last, j.status.Result = one.Next, one.Last, one.Result
		}
	}
	for i := range c.Beside {
		one := &c.Beside[i]
		if owner, err := h.adoptOne(one, pick(one.Spec)); err != nil {
			h.v.log.Error("a process beside the vassal is started anew", "pid", one.Process.PID, "err", err)
			h.adopted.strays = append(h.adopted.strays, strayHelper{process: one.Process, output: one.Output, capture: owner})
		}
	}
}

// jobOf is the cron job of a line.
func (h *helpers) jobOf(s *spec.Spec, place int) *job {
	key := s.CronKeys()[place]
	if h.jobs[key] == nil {
		h.jobs[key] = newJob(h.v, place, s)
	}
	return h.jobs[key]
}

// adoptOne takes over one. With an error, owner has its pipe if somebody has.
func (h *helpers) adoptOne(c *CarriedHelper, s *spec.Spec) (owner *logs.Capture, err error) {
	if s == nil || c.Output == nil || c.Place < 0 || c.Cron && c.Place >= len(s.Crons) || !c.Cron && c.Place >= len(s.Daemons) {
		return nil, errors.New("its line is not known")
	}
	key := ""
	if !c.Cron {
		if key = s.DaemonKeys()[c.Place]; h.daemons[key] != nil {
			return nil, errors.New("there are two of one line")
		}
	}
	b := &beside{began: c.Began, group: c.Group}
	if b.capture, err = logs.Adopt(h.v.output, 0, s.Logs, c.Output); err != nil {
		return nil, err
	}
	p, err := proc.Adopt(c.Process)
	if err != nil {
		return b.capture, err
	}
	it := &adoptedHelper{process: p, beside: b, endGroup: func() {}}
	if c.Group != "" && h.v.deps.Groups != nil {
		group := h.v.deps.Groups.Adopt(c.Group)
		it.endGroup = func() { h.v.endGroup(group) }
	}
	h.enter(p, b)
	if c.Cron {
		j := h.jobOf(s, c.Place)
		b.job = j
		j.status.Running++
		h.adopted.runs = append(h.adopted.runs, func() { j.goOn(it) })
		return nil, nil
	}
	a := newAttached(h.v, c.Place, s, c.Epoch, nil)
	a.restarts, a.adopted, b.daemon = c.Restarts, it, a
	a.status.Store(&DaemonStatus{Program: a.Program, PID: p.PID(), Since: c.Began, Restarts: c.Restarts})
	h.daemons[key] = a
	return nil, nil
}

// goOn takes care of them again.
func (h *helpers) goOn() {
	adopted := h.adopted
	if adopted == nil {
		return
	}
	h.adopted = nil
	for _, a := range h.daemons {
		h.v.tasks.Go(a.run)
	}
	for _, j := range h.jobs {
		h.v.tasks.Go(j.run)
	}
	for _, run := range adopted.runs {
		run()
	}
	var strays []proc.Carried
	for i := range adopted.strays {
		strays = append(strays, adopted.strays[i].process)
		adopted.strays[i].close()
	}
	h.v.endStrays(strays)
}

// goOn sees an adopted run through.
func (j *job) goOn(it *adoptedHelper) {
	j.perform(it.beside.began, func() error {
		e := j.errand()
		return j.v.accompany(j.runs, e, it.beside, it.endGroup, func(ctx context.Context) error {
			return seeThrough(ctx, j.v, j.v.log, it.process, e.grace)
		})
	})
}
