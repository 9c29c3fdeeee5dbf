package vassal

import "emperor/internal/link"

// A paused vassal goes on with what it has; new requests wait in the front, as if it
// were about to start, until it is resumed. Everything else happens as ever: it may be
// deployed, crash and come back meanwhile.

// handlePause carries out OrderPause and OrderResume. They are answered when the
// router knows, and the Status says so.
func (v *Vassal) handlePause(m message) {
	pause := m.order == OrderPause
	switch {
	case pause && (v.shutdown || v.halted):
		m.reply <- errStopping
		return
	case v.state == Leaving || v.state == Gone:
		m.reply <- errGone
		return
	}
	if v.paused != pause {
		v.paused = pause
		v.log.Info(map[bool]string{true: "vassal paused: new requests wait", false: "vassal resumed"}[pause])
	}
	row := v.publish() // in a hand-over it does nothing: that is followed by a row of its own
	// Not before the Status says so: whoever gave the order asks for that next.
	v.answers = append(v.answers, func() {
		v.tasks.Go(func() {
			v.publisher.wait(v.ctx, row)
			m.reply <- nil
		})
	})
}

// serving is what the router is told of a vassal that can answer.
func (v *Vassal) serving() link.State {
	if v.paused {
		return link.Starting
	}
	return link.Ready
}
