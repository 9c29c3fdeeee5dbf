package vassal

import (
	"context"
	"fmt"
	"time"

	"emperor/vassal/spec"
)

// rehearsal is the exec-pre-start of a generation that cannot run beside the one that
// serves. It is run while that one still serves: if it fails nothing has changed.
type rehearsal struct {
	spec   *spec.Spec
	event  Event
	m      message
	cancel context.CancelFunc
}

// rehearse begins one, where an event is about to end the serving generation; false
// when there is nothing to run.
func (v *Vassal) rehearse(event Event, m message) bool {
	if v.current == nil || len(v.spec.PreStart) == 0 {
		return false
	}
	v.cancelRehearsal()
	ctx, cancel := context.WithCancel(context.Background())
	r := &rehearsal{spec: v.spec, event: event, m: m, cancel: cancel}
	v.rehearsal = r
	number := v.number + 1
	v.log.Info("running what comes before its start, while the old generation serves", "gen", number)
	v.tasks.Go(func() {
		err := v.preStart(ctx, r.spec, number)
		v.send(message{kind: rehearsed, rehearsal: r, generation: number, err: err})
	})
	return true
}

func (v *Vassal) cancelRehearsal() {
	if v.rehearsal != nil {
		v.rehearsal.cancel()
		v.rehearsal = nil
	}
}

// handleRehearsed goes on with what has waited for a rehearsal.
func (v *Vassal) handleRehearsed(m message) {
	r := m.rehearsal
	if v.rehearsal != r {
		return // something else has happened meanwhile
	}
	v.cancelRehearsal()
	if v.current == nil || v.halted {
		return
	}
	if m.err != nil {
		v.problem = fmt.Sprintf("generation %d was not started: %v; generation %d goes on", m.generation, m.err, v.current.number)
		v.complain("the new generation was not started, the old one goes on", m)
		if v.current.spec.Kind != spec.UWSGI { // as in keepOld
			v.spec = v.current.spec
		}
		v.releaseSockets()
		v.reply("", m.err)
		return
	}
	v.spec, v.rehearsed = r.spec, r.spec
	v.seen = r.m.seen
	v.step(r.event, r.m)
	v.seen, v.rehearsed = time.Time{}, nil
}
