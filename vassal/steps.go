package vassal

import (
	"cmp"
	"errors"
	"fmt"
	"strings"
	"syscall"
	"time"

	"emperor/internal/link"
	"emperor/vassal/sockets"
	"emperor/vassal/spec"
)

// step is the machine's one step: look the move up, take it, publish.
func (v *Vassal) step(e Event, m message) {
	move, ok := moves[v.state][e]
	if !ok {
		v.log.Error("mistake in this program: no move", "state", v.state.String(), "event", e.String())
		return
	}
	if move.do == postpone {
		v.postponed = append(v.postponed, m)
		return
	}
	from := v.state
	if from != move.to {
		v.state, v.since = move.to, v.clock.Now()
	}
	if from == Failed && v.state != Failed {
		v.disarm()
	}
	if from == Asleep && v.state != Asleep {
		v.unwatch()
		v.wokenBy, v.fromSleep = cmp.Or(m.by, because[e]), e == Woken
		defer func() { v.wokenBy = "" }()
	}
	v.act(move.do, e, m)
	if v.state == Failed && v.refused && v.spec != nil && v.spec.Kind == spec.UWSGI {
		v.disarm() // uWSGI would read the file with its mistakes
	}
	if v.state == Stopped && from != Stopped {
		v.reply(OrderStop, nil)
	}
	row := v.publish()
	for _, f := range v.afterwards {
		f(row)
	}
	v.afterwards = nil
	v.releaseSockets()
	v.show()
	v.checkEnded()
	if (from == Switching || from == Dozing) && v.state != from {
		waiting := v.postponed
		v.postponed = nil
		for _, m := range waiting {
			v.handle(m)
		}
	}
}

// act does what a move says. Generations are told to leave afterwards, when the
// router's row is on its way.
func (v *Vassal) act(do action, e Event, m message) {
	switch do {
	case nothing:
		switch {
		case e == Refused && v.current == nil && v.state == Failed:
			v.reason = "the file has mistakes"
		case e == Woken && v.candidate != nil && !v.halted:
			v.candidate.visit()
		}
	case start, restart:
		v.dismiss(&v.candidate, 0)
		v.failuresForgiven(e)
		if e == Woken {
			v.reason = "woken by " + m.by
		}
		if e == Outgrown {
			v.reason = m.by
		}
		v.launch(false)
		v.candidate.revived = e == BackOffElapsed || e == Woken || e == Outgrown
		if e == StartOrdered || e == ReloadOrdered || e == RestartOrdered {
			v.candidate.visit()
		}
	case again:
		v.restarts++
		v.log.Warn("vassal died, starting it again", "gen", m.generation, "how", m.err, "restarts", v.restarts)
		v.remember(m)
		v.mourn()
		v.reason = m.err.Error()
		v.launch(false)
		v.candidate.revived = true
		v.candidate.visit() // it had visitors just now, very likely
	case exchange:
		v.dismiss(&v.candidate, 0)
		drain := min(v.mercy(v.current.spec), aloneDrain)
		if v.current.spec.Mercy > 0 {
			drain = v.current.spec.Mercy
		}
		old := v.current.spec
		v.dismiss(&v.current, drain)
		v.failuresForgiven(e)
		v.launch(true)
		v.candidate.visit()
		v.reason = "the old generation ends before the new one starts: " + v.whyAlone(old)
	case serve:
		v.current, v.candidate = v.candidate, nil
		v.succeed(nil)
		v.becomeReady()
		v.reply("", nil)
	case handOver:
		old, successor := v.current, v.candidate
		row := v.row(successor, v.serving())
		v.tasks.Go(func() { v.handOver(old, successor, row) })
	case complete:
		old := v.current
		v.current, v.candidate = v.candidate, nil
		v.succeed(old)
		v.becomeReady()
		v.dismiss(&old, v.mercy(old.spec))
		v.reply("", nil)
	case keepOld:
		problem := v.problem
		v.problem = fmt.Sprintf("generation %d did not come up: %v; generation %d goes on", m.generation, m.err, v.current.number)
		v.complain("the new generation did not come up, the old one goes on", m)
		v.reason = "" // the old one is ready as it was; what went wrong is the problem
		if v.candidate.heals {
			v.problem = problem // a mistake in the file, perhaps
			v.remedyFailed(m)
		}
		if v.current.spec.Kind != spec.UWSGI {
			// If the old one dies now it comes back as it was. (A uWSGI reads the file
			// by itself: there is no way back.)
			v.spec = v.current.spec
		}
		v.dismiss(&v.candidate, 0)
		v.awaitSocket(m.err)
		v.reply("", m.err)
	case loseOld:
		v.restarts++
		v.log.Warn("the old generation died before its successor was ready", "gen", m.generation, "how", m.err)
		v.remember(m)
		v.mourn()
		v.reason = m.err.Error()
		if len(v.candidate.contested) > 0 && v.candidate.spec.Exchangeable() {
			// It was started on a socket of its own. What waits in the old socket must
			// be answered: start it on that one.
			v.dismiss(&v.candidate, 0)
			v.launch(false)
		}
		v.candidate.visit()
	case heal, healAlone:
		v.heal(do == healAlone, m)
	case arm:
		v.arm(e)
	case doze:
		g := v.current
		v.reason = idleFor(g.spec)
		row := v.row(nil, link.Asleep)
		v.tasks.Go(func() { v.fallAsleep(g, row) })
	case sleepNow:
		v.sleepNow(m)
	case stayAwake:
		v.reason = ""
		v.current.awake <- m.by
	case lieDown:
		v.lieDown(m)
	case hold:
		v.fail(e, m)
	case giveUp:
		v.dismiss(&v.candidate, 0)
		v.reason = ""
		v.reply("", errStopping)
	case rest:
		v.rest(e, m)
	case stop, hurry:
		v.leave(do == hurry, e, m)
	}
}

// failuresForgiven: a changed file and an operator's order begin a new count.
func (v *Vassal) failuresForgiven(e Event) {
	switch e {
	case BackOffElapsed:
		v.restarts++
	case Woken: // if it fails again the pause grows
	default:
		v.failures = 0
		v.reason = because[e]
	}
}

func (v *Vassal) becomeReady() {
	v.current.readyAt = v.clock.Now()
	if !v.current.revived {
		v.failure = nil // who made a change has seen it by now; a crash is still to be explained
	}
	v.reason = ""
	if !v.refused && v.blocked == "" { // else the last edit has still not taken effect
		v.problem = ""
	}
	v.log.Info("vassal ready", "gen", v.current.number, "pids", *v.current.pids.Load())
	v.keptAwake, v.fromSleep = "", false
	v.watchUse(false)
	v.watchHealth()
	v.watchMemory()
}

// fail arms the back-off.
func (v *Vassal) fail(e Event, m message) {
	switch e {
	case StartFailed:
		v.complain("the vassal did not start", m)
		v.dismiss(&v.candidate, 0)
	case NotArmed:
		v.unwatch()
		v.complain("the vassal cannot be woken, because its sockets cannot be had", m)
	default:
		v.complain("the vassal died", m)
		v.mourn()
	}
	delay := time.Duration(0)
	if e != ExitedEarly || m.death.signal != syscall.SIGTERM || v.failures > 0 {
		v.failures++
		delay = nextDelay(v.failures, v.defaults.Throttle, v.defaults.MaxThrottle)
	}
	if m.death.signal == syscall.SIGTERM {
		delay = max(delay, doubt)
	}
	v.reason = m.err.Error()
	if v.refused && v.spec.Kind == spec.UWSGI { // see step
		v.reason += "; it is not tried again before the mistakes in its file are mended"
	}
	v.retryAt = v.clock.Now().Add(delay)
	if v.maySleep() && e != NotArmed {
		v.refuseWaiting(delay)
	}
	v.awaitSocket(m.err)
	v.backOff++
	number := v.backOff
	v.stopTimer = v.clock.AfterFunc(delay, func() { v.send(message{kind: backOffOver, generation: number}) })
	v.reply("", m.err)
}

// rest notes that what is down stays down.
func (v *Vassal) rest(e Event, m message) {
	switch e {
	case StartFailedLast:
		v.complain("the vassal did not start", m)
		v.dismiss(&v.candidate, 0)
	case ExitedLast:
		v.log.Warn("the vassal ended before it was asked to", "gen", m.generation, "how", m.err)
		v.mourn()
	default:
		m.err = errStopping
		if v.reason != "" {
			m.err = errors.New(v.reason)
		}
	}
	v.reason = m.err.Error()
	if m.err != errStopping {
		v.reason += "; it is not started again, because the emperor is stopping"
	}
	v.reply("", m.err)
}

func (v *Vassal) disarm() {
	if v.stopTimer != nil {
		v.stopTimer()
		v.stopTimer = nil
	}
	v.backOff++
	v.retryAt = time.Time{}
}

// awaitSocket, after a failure, makes the vassal try again as soon as the socket
// is free, if it was for that another vassal has it.
func (v *Vassal) awaitSocket(err error) {
	var taken *sockets.TakenError
	if errors.As(err, &taken) {
		v.blocked = taken.Key
		v.sockets.Await(taken.Key, v.name, func() { v.send(message{kind: socketFreed, address: taken.Key}) })
	}
}

// remember keeps the last words of a generation that failed.
func (v *Vassal) remember(m message) {
	v.failure = &Failure{Generation: m.generation, At: v.clock.Now(), How: m.err.Error(), Lines: v.output.Lines(m.generation)}
}

// complain logs a failure with the last lines of the generation that failed.
func (v *Vassal) complain(what string, m message) {
	v.remember(m)
	var text []string
	for _, l := range v.failure.Lines {
		text = append(text, l.Text)
	}
	v.log.Error(what, "gen", m.generation, "err", m.err, "output", strings.Join(text, "\n"))
}

// leave ends everything.
func (v *Vassal) leave(hurry bool, e Event, m message) {
	v.reason = cmp.Or(m.by, because[e])
	v.reply("", errors.New("the vassal was stopped meanwhile"))
	v.dismiss(&v.candidate, 0)
	if v.current != nil {
		v.log.Info("vassal stopping", "gen", v.current.number, "why", v.reason)
		v.dismiss(&v.current, v.mercy(v.current.spec))
	}
	if hurry {
		for _, g := range v.draining {
			g.hurry()
		}
	}
	if v.removed {
		v.sockets.Leave(v.name, true)
	}
}

// checkEnded notices that nothing is left where that is waited for.
func (v *Vassal) checkEnded() {
	if (v.state == Stopping || v.state == Leaving) && v.current == nil && v.candidate == nil && len(v.draining) == 0 && v.unattended() {
		v.step(EverythingEnded, message{})
	}
}
