package vassal

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"emperor/internal/link"
	"emperor/vassal/clock"
	"emperor/vassal/sockets"
	"emperor/vassal/spec"
)

// A vassal that sleeps has its sockets and nothing else. Its row of the router's table
// says so: a request for it is held, nothing is connected, and one message wakes it
// (Wake). Who connects to a socket without the router wakes it, too (sentry).
//
// It is put to sleep as it is handed over, to nobody: while the router holds requests
// back and none is under way, it is told to end. A request that comes in that moment
// is held, and wakes the next generation.

// lookAgain is how long somebody who keeps a vassal awake is left alone, at least and
// at most. Between them it is the idle time.
const (
	lookAgainMin = time.Second
	lookAgainMax = 30 * time.Second
)

// Wake says that somebody wants something of the vassal; by says who ("a request
// through the front"). It is for sleepers; others hear it and go on.
func (v *Vassal) Wake(by string) { v.send(message{kind: wokenUp, by: by}) }

func (v *Vassal) handleWoken(m message) {
	switch {
	case v.state == Gone:
	case v.state == Asleep && v.refused && v.spec.Kind == spec.UWSGI:
		v.reason = "it was woken, but its file has mistakes" // and uWSGI would read it
		v.log.Warn("somebody wants something of a vassal that sleeps, but its file has mistakes", "by", m.by)
		v.step(WokenInVain, m)
	default:
		v.step(Woken, m)
	}
}

// goToSleep takes a step that leads to sleep, if its sockets can be had; otherwise the
// step is NotArmed.
func (v *Vassal) goToSleep(e Event, m message) {
	if err := v.tryout(); err != nil {
		m.err = err
		e = NotArmed
	}
	v.step(e, m)
}

// maySleep: nothing runs, and nothing is to before somebody wants something of it. (One
// that only sleeps when it is idle starts by itself, unless it slept just now.)
func (v *Vassal) maySleep() bool {
	return v.spec != nil && v.spec.Sleeps() && v.current == nil && v.candidate == nil &&
		(v.spec.OnDemand || v.fromSleep || v.state == Asleep)
}

// watchSockets makes whoever connects wake it.
func (v *Vassal) watchSockets() {
	v.unwatch()
	if v.selfBound != "" {
		return
	}
	rules := (&surroundings{spec: v.spec, defaults: v.defaults}).rules()
	for _, socket := range v.spec.Watchable() {
		l, err := v.sockets.Hold(v.name, socket, rules)
		if err == nil {
			var stop func()
			by := "a connection to " + socket.Address
			if stop, err = v.sockets.Watch(l.FD, func() { v.Wake(by) }); err == nil {
				v.watches = append(v.watches, func() { stop(); l.Release() })
				continue
			}
			l.Release()
		}
		v.log.Error("its socket cannot be watched: only requests through the front wake it", "socket", socket.Address, "err", err)
	}
}

// unwatch ends it, before the sockets are handed over.
func (v *Vassal) unwatch() {
	for _, stop := range v.watches {
		stop()
	}
	v.watches = nil
}

// arm is the move to sleep of one that does not run.
func (v *Vassal) arm(e Event) {
	switch {
	case e == BackOffOver:
		v.reason = "its last start failed: " + v.reason
	default:
		v.failures = 0
		v.reason = cmp.Or(v.spec.OnDemandReason, v.spec.IdleReason)
	}
	v.watchSockets()
	v.log.Info("vassal asleep", "why", v.reason)
}

// sleepNow is the move of one that was told to end, because nobody wants anything.
func (v *Vassal) sleepNow(m message) {
	old := v.current
	v.failures = 0
	v.reason = idleFor(old.spec)
	v.dismiss(&v.current, v.mercy(old.spec))
	old.serving = nil // it accepts no more, so its successor need not fear it
	v.keptAwake = ""
	v.watchSockets()
	v.log.Info("vassal asleep", "gen", old.number, "why", v.reason)
}

// idleFor says why a vassal is put to sleep.
func idleFor(s *spec.Spec) string {
	if s.Idle == 0 {
		return "nobody wanted anything"
	}
	return fmt.Sprintf("nobody wanted anything for %s: %s", s.Idle, s.IdleReason)
}

// lieDown is the move of one that ended by itself and starts on demand.
func (v *Vassal) lieDown(m message) {
	v.log.Warn("vassal ended, and sleeps until somebody wants something of it", "gen", m.generation, "how", m.err)
	v.remember(m)
	v.mourn()
	v.reason = m.err.Error()
	v.keptAwake = ""
	v.watchSockets()
}

// watchUse puts the serving generation to sleep when nobody has wanted anything for as
// long as its file says. A uWSGI counts by itself, and says it once: said.
func (v *Vassal) watchUse(said bool) {
	g := v.current
	if g.watchesUse || !said && (g.spec.Kind != spec.Command || g.spec.Idle == 0) {
		return
	}
	g.watchesUse = true
	v.whileServing(g, func(ctx context.Context) { v.awaitIdle(ctx, g, said) })
}

// awaitIdle asks for sleep as often as it takes, until ctx ends, the generation has
// died, or it was told to end.
func (v *Vassal) awaitIdle(ctx context.Context, g *generation, said bool) {
	idle := max(g.spec.Idle, time.Second)
	for ctx.Err() == nil {
		select {
		case <-g.body.died():
			return
		default:
		}
		if !said {
			if err := v.unused(ctx, idle); err != nil {
				if !clock.Sleep(ctx, v.clock, min(max(idle, lookAgainMin), lookAgainMax)) {
					return
				}
				continue
			}
		}
		said = false
		why := v.occupied(ctx, g)
		if why == "" {
			v.send(message{kind: machineEvent, event: GrownIdle, generation: g.number})
			select {
			case why = <-g.awake: // somebody came just then
			case <-g.body.died():
				return
			case <-ctx.Done():
				return
			}
		}
		v.send(message{kind: staysBusy, generation: g.number, by: why})
		if !clock.Sleep(ctx, v.clock, min(max(idle, lookAgainMin), lookAgainMax)) {
			return
		}
	}
}

// unused returns nil when the router has sent the vassal nothing for that long and
// nothing is under way.
func (v *Vassal) unused(ctx context.Context, quiet time.Duration) error {
	if v.deps.Front == nil {
		if !clock.Sleep(ctx, v.clock, quiet) {
			return context.Cause(ctx)
		}
		return nil
	}
	return v.deps.Front.Unused(ctx, v.name, quiet)
}

// occupied says what keeps a generation from sleep, although the time is over; empty:
// nothing does.
func (v *Vassal) occupied(ctx context.Context, g *generation) string {
	if why := g.spec.BusyFile(); why != "" {
		return why
	}
	if why := g.body.busy(); why != "" {
		return why
	}
	if g.spec.Kind != spec.Command {
		return "" // a uWSGI has looked by itself
	}
	// What clients have who came without the router. The router's own idle connections
	// are closed first; the program needs a moment to notice.
	if err := v.unused(ctx, 0); err != nil {
		return err.Error()
	}
	if !g.body.quiet() {
		return "somebody waits at its socket"
	}
	connections := 0
	for range 5 {
		if connections = g.body.connections(); connections == 0 {
			return ""
		}
		if !clock.Sleep(ctx, v.clock, 100*time.Millisecond) {
			break
		}
	}
	if connections == 1 {
		return "a connection to its socket is open"
	}
	return fmt.Sprintf("%d connections to its socket are open", connections)
}

// fallAsleep tells a generation to end while the router sends nothing. It runs in a
// goroutine of its own and tells the loop how it went.
func (v *Vassal) fallAsleep(g *generation, row link.Vassal) {
	event, why := FellAsleep, ""
	v.underHold(v.ctx, func() {
		ctx, cancel := context.WithTimeout(v.ctx, answerTime)
		defer cancel()
		if v.deps.Front != nil {
			if err := v.deps.Front.Unused(ctx, v.name, 0); err != nil {
				event, why = StaysAwake, err.Error()
				return
			}
		}
		v.publisher.wait(ctx, v.publisher.publish(row))
		if !v.takeSockets(g) {
			g.retireShared(v.ctx)
		}
	})
	v.send(message{kind: machineEvent, event: event, generation: g.number, by: why})
}

// takeSockets puts new sockets in the place of those a uWSGI listens at, for its next
// generation: who comes without the router from now on cannot meet a worker that has just
// been told to end. It can go on with what it has, and be told at leisure (depart). False:
// it and the next generation share a socket.
func (v *Vassal) takeSockets(g *generation) bool {
	if g.spec.Kind != spec.UWSGI || !g.spec.Exchangeable() {
		return false // a command was asked whether anybody is connected
	}
	rules := (&surroundings{spec: g.spec, defaults: v.defaults}).rules()
	for _, socket := range g.spec.Held() {
		if err := v.sockets.Renew(v.name, socket, rules, g.number); err != nil {
			if !errors.Is(err, sockets.ErrOnlyInPlace) {
				v.log.Warn("its socket cannot be renewed while it is put to sleep; who comes without the front just now may see the end of the connection", "socket", socket.Address, "err", err)
			}
			return false
		}
	}
	return true
}

// awakeness says why a vassal that may sleep does not; empty for all others.
func (v *Vassal) awakeness() string {
	if v.current == nil || !v.current.spec.Sleeps() && v.keptAwake == "" {
		return ""
	}
	text := "since its start"
	if by := v.current.wokenBy; by != "" {
		text = "woken by " + by
	}
	switch {
	case v.keptAwake != "":
		text += "; it would sleep, but " + v.keptAwake
	case v.current.spec.Idle > 0:
		text += fmt.Sprintf("; sleeps when nobody wants anything for %s: %s", v.current.spec.Idle, v.current.spec.IdleReason)
	default:
		text += "; it does not sleep again, because no idle line says when"
	}
	return text
}

// refuseWaiting answers those who wait at the sockets of a vassal that did not start,
// as the router answers those who wait there: what they have sent is not to be carried
// out later, when they have gone. It also takes out of the queue what nobody waits for,
// such as our own questions, which would wake it again.
func (v *Vassal) refuseWaiting(retry time.Duration) {
	if v.selfBound != "" {
		return
	}
	rules := (&surroundings{spec: v.spec, defaults: v.defaults}).rules()
	for _, socket := range v.spec.Watchable() {
		l, err := v.sockets.Hold(v.name, socket, rules)
		if err != nil {
			continue // then nobody waits there
		}
		if n := l.Refuse(refusal(socket.Protocol, retry)); n > 0 {
			v.log.Warn("clients that had connected without the front were told that it does not start", "socket", socket.Address, "clients", n)
		}
		l.Release()
	}
}

// refusal is an answer in a protocol, to any request; empty: only the end of the
// connection can be understood. (The answers of uWSGI's protocol are HTTP's.)
func refusal(protocol string, retry time.Duration) string {
	fields := fmt.Sprintf("Retry-After: %d\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", int(retry/time.Second)+1)
	switch protocol {
	case "http", "uwsgi":
		return "HTTP/1.1 503 Service Unavailable\r\n" + fields
	case "scgi":
		return "Status: 503 Service Unavailable\r\n" + fields
	}
	return ""
}
