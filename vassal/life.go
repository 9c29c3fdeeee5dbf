package vassal

import (
	"context"
	"errors"

	"emperor/vassal/spec"
)

// life is the time in which something of a vassal runs: from the start of its first
// generation to the end of its last. Each end has its hooks. A life begins when those at
// the end of the one before are over.
type life struct {
	before <-chan struct{} // closed when the one before is over; nil: there was none
	over   chan struct{}   // closed when this one is
	turn   chan struct{}   // has an entry while somebody runs hooks
	begun  bool            // guarded by turn
	spec   *spec.Spec      // of the last generation; belongs to the loop
}

func newLife(before *life) *life {
	l := &life{over: make(chan struct{}), turn: make(chan struct{}, 1)}
	if before != nil {
		l.before = before.over
	}
	return l
}

// begin runs f, unless that was done in this life.
func (l *life) begin(ctx context.Context, f func()) error {
	if l.before != nil {
		select {
		case <-l.before:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	select {
	case l.turn <- struct{}{}:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	defer func() { <-l.turn }()
	if !l.begun {
		f()
	}
	l.begun = true
	return nil
}

// end runs f if it has begun. It is called once, when nothing runs any more.
func (l *life) end(f func()) {
	if l.before != nil {
		<-l.before
	}
	l.turn <- struct{}{}
	if l.begun {
		f()
	}
	close(l.over)
}

// live is called with each generation that is launched.
func (v *Vassal) live(g *generation) {
	if v.life == nil {
		v.life = newLife(v.pastLife)
	}
	v.life.spec = g.spec
	g.life = v.life
	g.prepared = v.rehearsed == g.spec
	v.cancelRehearsal()
}

// endLife, when nothing of the vassal is left and nothing is about to come up, runs the
// hooks at the end of its life.
func (v *Vassal) endLife() {
	if v.life == nil || v.current != nil || v.candidate != nil || len(v.draining) > 0 {
		return
	}
	switch v.state {
	case Failed:
	case Asleep:
		if !v.helpers.quiet() {
			return
		}
	case Stopping, Stopped, Leaving:
		if v.helpers.busy() {
			return
		}
	default:
		return
	}
	l, s, main := v.life, v.life.spec, v.mainHooks()
	v.life, v.pastLife = nil, l
	if len(s.PostStop) == 0 && main.Stop.Line == "" {
		// Nobody waits for it, and so it needs no goroutine: a thousand may end at once.
		close(l.over)
		return
	}
	v.endings++
	v.tasks.Go(func() {
		var failed error
		l.end(func() { failed = v.afterLife(main, s) })
		v.send(message{kind: lifeEnded, err: failed})
	})
}

// errEmperorEnds is why the last hooks have little time.
var errEmperorEnds = errors.New("it was killed, because the emperor ends")

// afterLife runs the hooks at the end of a life.
func (v *Vassal) afterLife(main *MainHooks, s *spec.Spec) (failed error) {
	ctx, cancel := context.WithCancelCause(context.Background())
	defer cancel(nil)
	stop := context.AfterFunc(v.ctx, func() {
		v.clock.AfterFunc(shutdownHooks, func() { cancel(errEmperorEnds) })
	})
	defer stop()
	for _, hook := range s.PostStop {
		c, err := v.helperCommand(s, "hook", hook.Line)
		if err == nil {
			err = v.perform(ctx, errand{what: hook, spec: s, command: c, limit: s.HookLimit()})
		}
		if err != nil {
			failed = err // and a reason of the state
			v.log.Warn("a hook failed; going on", "err", err)
		}
	}
	v.say(v.stopHook(ctx, main, s))
	return failed
}
