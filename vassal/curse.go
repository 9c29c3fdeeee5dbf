package vassal

import (
	"fmt"

	"emperor/vassal/clock"
)

// A uWSGI talks to its emperor over one descriptor. When it closes its end and was not told
// to end, it is about to end by itself (somebody else has told its master to), or something
// in it closes descriptors that it does not know. In both cases it can be told nothing any
// more, and in the first it accepts nothing: its successor is started as if it had died, on
// the same sockets, while it finishes what it has. uWSGI calls that a curse.

// closes is a body that says, by closing its end of a descriptor, that it can be told
// nothing any more. nil: it never does.
type closes interface{ closed() <-chan struct{} }

// closed is nil for one that has done without the descriptor from the beginning.
func (b *uwsgiBody) closed() <-chan struct{} {
	if b.deaf {
		return nil
	}
	return b.hungUp
}

// accompany waits for the generation's end, or for the order to end, and then sees to it.
func (g *generation) accompany() {
	var closed <-chan struct{}
	if b, ok := g.body.(closes); ok {
		closed = b.closed()
	}
	for {
		select {
		case <-g.body.died():
			if !g.retired.Load() {
				g.v.send(message{kind: died, generation: g.number, death: g.explained(g.body.cause())})
			}
			return
		case <-g.leaving:
			g.depart()
			return
		case <-closed:
			closed = nil
			if g.livesOn() {
				g.v.send(message{kind: cursed, generation: g.number})
			}
		}
	}
}

// livesOn: a second after it has closed its end it is still there, and nobody has told it
// to go.
func (g *generation) livesOn() bool {
	over, stop := clock.After(g.v.clock, alive)
	defer stop()
	select {
	case <-over:
		return !g.retired.Load()
	case <-g.body.died():
	case <-g.leaving:
	}
	return false
}

// handleCursed is handleDied for one that lives on.
func (v *Vassal) handleCursed(m message) {
	switch {
	case v.state == Switching, v.state == Dozing:
		v.postponed = append(v.postponed, m)
	case v.current != nil && v.current.number == m.generation:
		v.current.cursed = true
		m.death.text = fmt.Sprintf("cursed: it has closed its end of the control descriptor (UWSGI_EMPEROR_FD=%d) and can be told nothing any more; "+
			"either somebody told its master to end, or its code closes descriptors that it has not opened", controlDescriptor)
		m.kind = died
		v.handleDied(m)
	}
}
