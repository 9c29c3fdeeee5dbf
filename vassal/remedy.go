package vassal

import (
	"errors"
	"fmt"
	"time"

	"emperor/vassal/spec"
)

// An unhealthy vassal is replaced, but never made worse: once, and then not before a
// pause that doubles each time, so that a site whose health path is broken is not
// restarted in a loop; by a generation that does better where the old one does answer,
// so that one with the same fault does not take its place; and where two cannot run at
// the same time only if it does not answer at all.

// remedies is what was tried.
type remedies struct {
	count  int // in a row
	last   time.Time
	next   time.Time // not before
	remark string    // why nothing is done now
}

// handleHealth takes what inspectors and uWSGI's heartbeat have to say.
func (v *Vassal) handleHealth(m message) {
	switch m.kind {
	case foundUnhealthy:
		v.handleUnhealthy(m)
	case heartbeatPromised:
		if v.current != nil && v.current.number == m.generation {
			v.watchHealth()
		}
	case fellSilent:
		if g := v.current; g != nil && g.number == m.generation {
			select {
			case g.silent <- struct{}{}:
			default: // nobody asks, or it is asked already
			}
		}
	case healthChanged:
		if last := v.inspection.Load(); last != nil && last.Failures == 0 {
			v.remedies.remark = ""
		}
	}
}

// handleUnhealthy is told by the inspector, again at each question while it lasts.
func (v *Vassal) handleUnhealthy(m message) {
	if v.current == nil || v.current.number != m.generation || v.state != Ready || v.halted {
		return // it goes anyway, or something else has begun
	}
	now := v.clock.Now()
	m.err = errors.New("unhealthy: " + m.unhealthy.why)
	switch alone := !v.mayOverlap(v.spec); {
	case v.refused && v.spec.Kind == spec.UWSGI:
		v.leaveIt(m, "its file has mistakes, and another generation would read it") // as uWSGI does
	case now.Before(v.remedies.next) && v.remedies.remark != "": // what was tried, and when it is again
	case now.Before(v.remedies.next):
		v.leaveIt(m, "it was replaced just now; again at "+v.remedies.next.Format(time.TimeOnly)+" at the earliest")
	case alone && m.unhealthy.answers:
		v.leaveIt(m, "it does answer, and another generation could only start when it has ended ("+v.whyAlone(v.current.spec)+")")
	case alone:
		if err := v.tryout(); err != nil {
			v.leaveIt(m, fmt.Sprintf("another generation could not start: %v", err))
			v.releaseSockets()
			return
		}
		v.countRemedy(m.unhealthy)
		v.step(UnhealthyAlone, m)
	default:
		v.countRemedy(m.unhealthy)
		v.step(Unhealthy, m)
	}
}

// leaveIt says, once, why an unhealthy vassal is not replaced.
func (v *Vassal) leaveIt(m message, why string) {
	if v.remedies.remark != why {
		v.remedies.remark = why
		v.log.Warn("the vassal is unhealthy, and stays as it is", "gen", m.generation, "how", m.unhealthy.why, "why", why)
	}
}

// countRemedy begins a pause, in which nothing more is tried. A vassal that was well
// for a while was helped by the one before.
func (v *Vassal) countRemedy(u *unhealthy) {
	if !u.wellSince.IsZero() && u.since.Sub(u.wellSince) >= healthy && u.since.After(v.remedies.last) {
		v.remedies.count = 0
	}
	v.remedies.last = v.clock.Now()
	v.remedies.count++
	v.remedies.remark = ""
	v.pauseRemedies()
}

func (v *Vassal) pauseRemedies() {
	h := v.current.spec.Health
	if h.Path == "" && h.Harakiri == 0 {
		h = heartbeatRules(v.defaults.Heartbeat, h)
	}
	least := max(v.defaults.Throttle, h.Interval*time.Duration(h.Threshold))
	v.remedies.next = v.clock.Now().Add(nextDelay(v.remedies.count, least, max(v.defaults.MaxThrottle, least)))
}

// heal starts a generation in the place of one that is unhealthy.
func (v *Vassal) heal(alone bool, m message) {
	v.restarts++
	v.log.Warn("the vassal is unhealthy and is replaced", "gen", m.generation, "how", m.unhealthy.why, "restarts", v.restarts)
	v.remember(m)
	v.reason = m.err.Error()
	if alone {
		old := v.current.spec
		drain := old.Mercy
		if drain == 0 {
			drain = min(v.defaults.Mercy, aloneDrain)
		}
		v.dismiss(&v.current, drain)
	}
	v.mustBeWell = m.unhealthy.answers
	v.launch(alone)
	v.mustBeWell = false
	v.candidate.revived, v.candidate.heals = true, true
}

// remedyFailed: the generation that was to take the place did not come up.
func (v *Vassal) remedyFailed(m message) {
	v.pauseRemedies()
	v.remedies.remark = fmt.Sprintf("generation %d was to take its place and did not come up: %v; again at %s at the earliest", m.generation, m.err, v.remedies.next.Format(time.TimeOnly))
}

// health is the last inspection of the serving generation, with what was done.
func (v *Vassal) health() *Inspection {
	last := v.inspection.Load()
	if last == nil || v.current == nil || last.Generation != v.current.number {
		return nil
	}
	return last.remarked(v.remedies.remark)
}

// remarked adds why nothing is done, where something should be.
func (a *Inspection) remarked(remark string) *Inspection {
	if a == nil || remark == "" || a.Failures < a.Threshold {
		return a
	}
	b := *a
	b.Remark = remark
	return &b
}
