package emperor

import (
	"context"
	"os"
	"syscall"
	"time"

	"emperor/internal/proc"
)

// The whole emperor is gone 25 seconds after it was asked to: a platform kills
// after 30, systemd by its unit after 30. Of these the requests under way get the
// first part, in which vassals still run, and the vassals' own end gets the rest.
const (
	requestsTime = 12 * time.Second
	endTime      = 24 * time.Second
)

// shutdown ends everything, from the outside in: no request fails because the
// one behind it is already gone.
func (e *Emperor) shutdown(signals <-chan os.Signal, cancelVassals context.CancelFunc) {
	began := time.Now()
	e.stateful.stopping()
	// From here on nothing is started again: a vassal that was sent SIGTERM by the
	// same platform that sent it to us ends, and stays ended.
	e.slots.Close()
	e.registry.halt()

	deadline, cancel := context.WithDeadline(context.Background(), began.Add(endTime))
	defer cancel()
	drained := make(chan struct{})
	requests, hurry := context.WithTimeout(deadline, requestsTime)
	defer hurry()
	go func() { // ends with drained, which is closed below
		defer close(drained)
		e.router.Quit(requests)
	}()
	// Our own descriptors would keep the ports open, and clients waiting in a queue
	// that nobody serves. The router has what was queued before.
	closeListeners(e.listeners)
	e.listeners = nil
	e.serveUntil(drained, signals, hurry)

	cancelVassals()
	ended := make(chan struct{})
	go func() { // ends with the last vassal
		defer close(ended)
		e.registry.running.Wait()
		e.front.wait()
	}()
	select {
	case <-ended:
	case <-deadline.Done():
		e.log.Error("vassals did not end in time; they are killed")
	}
	e.endDescendants()
	for again := time.NewTicker(time.Second); ; {
		select {
		case <-ended:
			again.Stop()
			e.endDescendants() // what a hook at the end of a vassal has left
			e.log.Info("ended", "after", time.Since(began).Round(time.Millisecond))
			return
		case <-again.C:
			e.endDescendants() // hooks that came after it, which have no more time
		}
	}
}

// serveUntil does what the loop did for vassals, but starts none, until done.
func (e *Emperor) serveUntil(done <-chan struct{}, signals <-chan os.Signal, hurry context.CancelFunc) {
	for {
		select {
		case <-done:
			return
		case gone := <-e.registry.ended:
			delete(e.registry.entries, gone.name)
			e.registry.names = nil
		case <-e.changed:
		case s := <-signals:
			// Platforms repeat SIGTERM; a person who presses Ctrl-C again means it.
			if s == syscall.SIGINT || s == syscall.SIGQUIT {
				e.log.Warn("asked again: not waiting for requests any longer", "signal", s.String())
				hurry()
			}
		}
		e.publish()
	}
}

// endDescendants kills what is still there: by now that is only what vassals have
// put into sessions of its own and forgot.
func (e *Emperor) endDescendants() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if err := proc.KillDescendants(ctx); err != nil {
		e.log.Error("processes are left", "err", err)
	}
}
