package vassal

import (
	"context"
	"errors"
	"fmt"
	"slices"
)

// Order is what an operator can ask for.
type Order string

const (
	OrderStart   Order = "start"   // start a stopped or failed one now
	OrderStop    Order = "stop"    // drain, end, stay down until told otherwise
	OrderReload  Order = "reload"  // a new generation from the same file
	OrderRestart Order = "restart" // end the old one first, then start; requests wait meanwhile
	OrderPause   Order = "pause"   // let new requests wait in the front
	OrderResume  Order = "resume"  // and let them go
)

// waiter is somebody who gave an order and wants to know what came of it.
type waiter struct {
	order Order
	reply chan error // buffered
}

// Order carries out an operator's order and returns when the outcome is known:
// nil when it is done, an error that says why it could not be, or ctx's error
// when that ends first (the order is carried out all the same).
func (v *Vassal) Order(ctx context.Context, o Order) error {
	reply := make(chan error, 1)
	v.send(message{kind: ordered, order: o, reply: reply})
	select {
	case err := <-reply:
		return err
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-v.done:
		select {
		case err := <-reply:
			return err
		default:
			return errGone
		}
	}
}

var (
	errGone     = errors.New("the vassal is gone")
	errStopping = errors.New("the emperor is stopping")
)

func (v *Vassal) handleOrder(m message) {
	var event Event
	switch m.order {
	case OrderStart:
		event = StartOrdered
	case OrderStop:
		event = StopOrdered
	case OrderReload:
		event = ReloadOrdered
		switch {
		case v.current != nil && v.wanted != nil && !v.mayOverlap(v.wanted):
			event = RestartOrdered
		case v.state == Asleep && v.wanted != nil && !v.wanted.Sleeps():
			event = StartOrdered // the edit that took its sleep away did not come up
		}
	case OrderRestart:
		event = RestartOrdered
	case OrderPause, OrderResume:
		v.handlePause(m)
		return
	default:
		m.reply <- fmt.Errorf("unknown order %q", m.order)
		return
	}
	switch {
	case v.shutdown, v.halted:
		m.reply <- errStopping
		return
	case v.state == Leaving || v.state == Gone:
		m.reply <- errGone
		return
	case event != StopOrdered && (v.spec == nil || v.refused):
		m.reply <- fmt.Errorf("the file has mistakes: %s", v.problem)
		return
	case event == StartOrdered && v.current != nil && v.state != Dozing, event == StopOrdered && v.state == Stopped:
		m.reply <- nil
		return
	}
	if moves[v.state][event].do == postpone {
		v.step(event, m) // it comes back here when the hand-over is over
		return
	}
	if event != StopOrdered {
		before := v.spec
		v.spec = v.wanted
		if event == ReloadOrdered && v.state == Asleep || event == RestartOrdered && v.current != nil {
			// What runs, or sleeps, must not be ended for what cannot be had.
			if err := v.tryout(); err != nil {
				v.spec = before
				v.releaseSockets()
				m.reply <- err
				return
			}
		}
	} else {
		v.paused = false
	}
	if event != RestartOrdered || !v.rehearse(event, m) {
		v.step(event, m)
	}
	v.waiters = append(v.waiters, waiter{m.order, m.reply})
	switch v.state {
	case Stopped:
		v.reply(OrderStop, nil)
	case Asleep: // there is nothing to reload
		v.reply(m.order, nil)
	}
}

// reply answers those who wait for an order's outcome: those of a stop, or (any
// other value) all the others. They are told when the Status says so, too.
func (v *Vassal) reply(o Order, err error) {
	v.waiters = slices.DeleteFunc(v.waiters, func(w waiter) bool {
		if (w.order == OrderStop) != (o == OrderStop) {
			return false
		}
		v.answers = append(v.answers, func() { w.reply <- err })
		return true
	})
}

// answer tells what came of orders, now that the Status is published.
func (v *Vassal) answer() {
	for _, tell := range v.answers {
		tell()
	}
	v.answers = nil
}

// answerLate answers orders that came while Run was about to return.
func (v *Vassal) answerLate(m message) {
	if m.kind == ordered {
		m.reply <- errGone
	}
}
