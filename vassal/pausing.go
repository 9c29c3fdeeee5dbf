package vassal

import (
	"context"
	"time"
)

// pausing is how far a vassal is on its way to a standstill. While it is on its way
// nothing is begun (an edit, an order, a wake, the end of a back-off wait), and what is
// under way is brought to its end; then it stands still: its generations take no step
// either, and what happens to it waits.
type pausing struct {
	asked    chan struct{} // closed when it stands still
	standing bool
	later    []message
}

// askAgain is how often it is looked whether a step that was under way is over.
const askAgain = 5 * time.Millisecond

// Pause brings the vassal to a standstill, in which Describe can be called, and
// returns when it stands or ctx has ended. Resume must follow in either case. A vassal that
// has ended stands still for ever.
func (v *Vassal) Pause(ctx context.Context) error {
	standing := make(chan struct{})
	v.send(message{kind: pauseAsked, standing: standing})
	select {
	case <-standing:
		return nil
	case <-v.done:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// Resume lets the vassal go on after Pause.
func (v *Vassal) Resume() { v.send(message{kind: resumeAsked}) }

// Describe writes a vassal down that stands still; nil for one that has ended.
func (v *Vassal) Describe() (*Carried, error) {
	reply := make(chan described, 1)
	v.send(message{kind: describeAsked, described: reply})
	select {
	case d := <-reply:
		return d.carried, d.err
	case <-v.done:
		return nil, nil
	}
}

type described struct {
	carried *Carried
	err     error
}

// held back tells whether a message has to wait until the vassal goes on, and takes
// those that are about standing still.
func (v *Vassal) heldBack(m message) bool {
	switch m.kind {
	case pauseAsked:
		if v.pausing == nil {
			v.pausing = &pausing{asked: m.standing}
		}
		v.tryToStand()
		return true
	case resumeAsked:
		v.goOn()
		return true
	case describeAsked:
		c, err := v.describe()
		m.described <- described{c, err}
		return true
	case standAgain:
		v.tryToStand()
		return true
	}
	if v.pausing == nil {
		return false
	}
	switch {
	case m.kind == pidsChanged, m.kind == generationEnded, m.kind == becameLoyal, m.kind == staysBusy, m.kind == helpersChanged && m.by == "", m.kind == lifeEnded, m.kind == rehearsed:
		return false
	case v.pausing.standing:
	case m.kind == ordered, m.kind == backOffOver, m.kind == socketFreed, m.kind == folderMoved, m.kind == wokenUp, m.kind == saidIdle, m.kind == foundUnhealthy,
		m.kind == machineEvent && m.event == GrownIdle:
	default:
		return false
	}
	v.pausing.later = append(v.pausing.later, m)
	return true
}

// tryToStand stands still if nothing is under way.
func (v *Vassal) tryToStand() {
	p := v.pausing
	if p == nil || p.standing {
		return
	}
	if !v.mayStand() {
		v.clock.AfterFunc(askAgain, func() { v.send(message{kind: standAgain}) })
		return
	}
	p.standing = true
	close(p.asked)
}

// mayStand tells whether nothing is under way, and sees to it that nothing is begun.
func (v *Vassal) mayStand() bool {
	switch v.state {
	case Waiting, Asleep, Ready, Failed, Stopped, Stopping, Leaving:
	default:
		return false
	}
	if v.candidate != nil || v.rehearsal != nil || v.endings > 0 || !v.publisher.idle() {
		return false
	}
	for _, g := range v.draining {
		if g.readyAt.IsZero() {
			return false // it is about to be ended
		}
	}
	if !v.stillness.TryLock() { // a generation is just taking a step
		return false
	}
	select {
	case v.holding <- struct{}{}:
		return true
	default: // the router is holding requests back
		v.stillness.Unlock()
		return false
	}
}

// goOn ends the standstill, and does what had to wait.
func (v *Vassal) goOn() {
	p := v.pausing
	if p == nil {
		return
	}
	v.pausing = nil
	if p.standing {
		v.readOn()
		<-v.holding
		v.stillness.Unlock()
	}
	for _, m := range p.later {
		v.handle(m)
	}
}

// readOn lets those read who were stopped for describe.
func (v *Vassal) readOn() {
	for _, g := range v.generations() {
		if b, ok := g.body.(carriable); ok {
			b.resume()
		}
	}
	v.helpers.readOn()
}

// generations are all that have not ended.
func (v *Vassal) generations() []*generation {
	var all []*generation
	for _, g := range v.draining {
		all = append(all, g)
	}
	if v.current != nil {
		all = append(all, v.current)
	}
	return all
}

// idle tells whether the router knows everything that was given.
func (p *publisher) idle() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return !p.sending
}
