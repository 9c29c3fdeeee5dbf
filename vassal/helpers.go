package vassal

import (
	"cmp"
	"slices"
	"strings"
	"sync"

	"emperor/internal/proc"
	"emperor/vassal/spec"
)

// helpers are the daemons and cron jobs of a vassal. They belong to the vassal and not
// to a generation, so that a deploy never has two of one daemon: the old one ends before
// the new one starts, and that only when the new generation has taken over. Where nothing
// serves they start with the generation, which may need them to come up.
//
// Everything here belongs to the loop, but for what attached and job keep themselves.
type helpers struct {
	v       *Vassal
	daemons map[string]*attached
	jobs    map[string]*job
	going   []*attached // told to end
	ending  []*job      // not started again, while runs are under way

	mu      sync.Mutex
	running map[*proc.Process]*beside // guarded by mu; all that run beside the generations
	// adopted are to be taken care of when the vassal goes on; nil: there are none.
	adopted *adoptedHelpers
}

func newHelpers(v *Vassal) *helpers {
	return &helpers{v: v, daemons: map[string]*attached{}, jobs: map[string]*job{}, running: map[*proc.Process]*beside{}}
}

// quiet tells that no daemon is left.
func (h *helpers) quiet() bool { return len(h.daemons)+len(h.going) == 0 }

// busy tells whether anything of them is left.
func (h *helpers) busy() bool {
	return len(h.daemons)+len(h.jobs)+len(h.going)+len(h.ending) > 0
}

// sweep forgets what has ended.
func (h *helpers) sweep() {
	h.going = slices.DeleteFunc(h.going, func(a *attached) bool {
		select {
		case <-a.done:
			return true
		default:
			return false
		}
	})
	h.ending = slices.DeleteFunc(h.ending, func(j *job) bool {
		_, busy := j.snapshot()
		return !busy
	})
}

// attend makes the helpers what the vassal's state wants.
func (v *Vassal) attend() {
	h := v.helpers
	h.sweep()
	if v.pausing != nil {
		return // nothing is begun
	}
	if v.current == nil || v.halted || v.state == Stopping || v.state == Leaving {
		v.cancelRehearsal()
	}
	switch {
	case v.shutdown, v.halted && v.state == Stopped:
		h.keepDaemons(nil)
		h.keepJobs(nil)
		h.endRuns()
	case v.state == Stopping || v.state == Leaving || v.state == Stopped:
		h.keepJobs(nil)
		h.endRuns()
		if len(v.draining) == 0 { // what finishes its requests may need them
			h.keepDaemons(nil)
		}
	case v.current != nil:
		if !v.current.revived {
			v.epoch = v.current.number
		}
		h.keepDaemons(v.current)
		h.renew(v.epoch)
		h.keepJobs(v.current.spec)
	case v.candidate != nil:
		h.keepDaemons(v.candidate) // and jobs go on as they were
	case v.state == Asleep:
		if len(v.draining) == 0 {
			h.keepDaemons(nil)
		}
		h.keepJobs(v.spec)
	}
	// Failed: daemons go on, for the next try.
	v.fallenAsleep()
	v.endLife()
	v.checkEnded()
}

// handleHelpers is told that one of them has changed; with a name, that a daemon has
// ended without which the vassal is not to run.
func (v *Vassal) handleHelpers(m message) {
	if m.by == "" || v.current == nil || v.state != Ready || v.halted {
		return
	}
	v.log.Warn("a control daemon ended, and so the vassal is restarted", "option", m.by)
	v.handleOrder(message{kind: ordered, order: OrderRestart, reply: make(chan error, 1)})
}

// handleLifeEnded is told that the hooks at the end of a life are over.
func (v *Vassal) handleLifeEnded(m message) {
	v.endings--
	if m.err != nil && v.current == nil && v.candidate == nil {
		v.reason = strings.TrimPrefix(v.reason+"; "+m.err.Error(), "; ")
	}
}

// unattended tells that nothing of a vassal that is stopped is left beside its generations.
func (v *Vassal) unattended() bool { return v.life == nil && v.endings == 0 && !v.helpers.busy() }

// comparePlaces orders programs by their lines.
func comparePlaces(a, b spec.Program) int {
	return cmp.Or(cmp.Compare(a.Pos.File, b.Pos.File), cmp.Compare(a.Pos.Line, b.Pos.Line), cmp.Compare(a.Line, b.Line))
}

// keepDaemons makes those of a generation run, and no others; nil: none.
func (h *helpers) keepDaemons(g *generation) {
	if len(h.daemons) == 0 && (g == nil || len(g.spec.Daemons) == 0) {
		return // as most of ten thousand vassals
	}
	wanted := map[string]bool{}
	fresh := map[string]int{}
	if g != nil {
		for place, key := range g.spec.DaemonKeys() {
			wanted[key] = true
			if h.daemons[key] == nil {
				fresh[key] = place
			}
		}
	}
	for key, a := range h.daemons {
		if !wanted[key] {
			a.cancel()
			delete(h.daemons, key)
			h.going = append(h.going, a)
		}
	}
	var before []<-chan struct{} // a changed line may want the port or file of the old one
	for _, a := range h.going {
		before = append(before, a.done)
	}
	for key, place := range fresh {
		a := newAttached(h.v, place, g.spec, g.number, before)
		h.daemons[key] = a
		h.v.tasks.Go(a.run)
	}
}

// renew restarts those that a deploy restarts, once for each that has taken over.
func (h *helpers) renew(epoch uint64) {
	for _, a := range h.daemons {
		if a.epoch >= epoch {
			continue
		}
		a.epoch = epoch
		if !a.Keep || a.Reload != 0 {
			a.restart("a new generation has taken over")
		}
	}
}

// keepJobs makes those of the spec wait for their times, and no others. Runs under way
// go on.
func (h *helpers) keepJobs(s *spec.Spec) {
	if len(h.jobs) == 0 && (s == nil || len(s.Crons) == 0) {
		return
	}
	wanted := map[string]bool{}
	if s != nil {
		for place, key := range s.CronKeys() {
			wanted[key] = true
			if h.jobs[key] == nil {
				j := newJob(h.v, place, s)
				h.jobs[key] = j
				h.v.tasks.Go(j.run)
			}
		}
	}
	for key, j := range h.jobs {
		if !wanted[key] {
			j.cancel()
			delete(h.jobs, key)
			h.ending = append(h.ending, j)
		}
	}
}

// endRuns ends the runs of jobs that are not wanted any more.
func (h *helpers) endRuns() {
	for _, j := range h.ending {
		j.endRuns()
	}
}

// status lists them in the order of their lines.
func (h *helpers) status() (daemons []DaemonStatus, crons []CronStatus) {
	for _, a := range h.daemons {
		daemons = append(daemons, *a.status.Load())
	}
	for _, j := range h.jobs {
		s, _ := j.snapshot()
		crons = append(crons, s)
	}
	slices.SortFunc(daemons, func(a, b DaemonStatus) int { return comparePlaces(a.Program, b.Program) })
	slices.SortFunc(crons, func(a, b CronStatus) int { return comparePlaces(a.Program, b.Program) })
	return daemons, crons
}
