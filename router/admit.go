package router

import (
	"errors"
	"time"

	"emperor/internal/link"
	"emperor/router/balance"
	"emperor/router/limit"
	"emperor/router/upstream"
)

// Why a request is not sent to a site; each has an answer of its own.
var (
	errHeldTooLong = errors.New("not ready within the time a request may wait")
	errHeldTooMany = errors.New("too many requests wait already")
	errNotRunning  = errors.New("not running")
	errNoSocket    = errors.New("it has no socket that the front can reach: want socket, http-socket or protocol in its file")
	errRemoved     = errors.New("removed")
	errClientGone  = errors.New("the client went away while it waited")
)

// holding is what a request holds of others, and has to give back however it ends.
type holding struct {
	site    *site
	pinned  *generation // of site
	inside  bool        // of site's gate
	pooled  *upstream.Pooled
	turn    *limit.InFlight // of a vassal, while it has one
	node    balance.Choice  // the address in use, while hasNode
	hasNode bool
}

// leave says that the request has been sent: what holds the site back need not
// wait for it any more.
func (x *exchange) leave() {
	if x.inside {
		x.inside = false
		x.site.gate.leave()
	}
}

// letGo gives back what an attempt holds.
func (x *exchange) letGo() {
	x.leave()
	if x.pinned != nil {
		x.site.end(x.pinned)
		x.site, x.pinned = nil, nil
	}
	if x.down != nil {
		x.down.sends(nil)
	}
	if x.pooled != nil {
		x.router.pool.Discard(x.pooled)
		x.pooled = nil
	}
	x.learned(balance.Unknown, nil)
	x.endTurn()
}

// admit returns when the request may be sent to s: it is its turn, the generation
// is pinned and the gate is entered. leave follows when the request has been sent,
// letGo in any case.
//
// Until then nothing is sent, not even a connection made: bytes in a backlog are
// executed later, also after the client was told 503; and a connection made now
// might be to a socket that the next generation replaces.
func (x *exchange) admit(s *site) (*generation, error) {
	for {
		g := s.current.Load()
		if !g.ready() {
			x.endTurn() // those who wait for a start are counted by other limits
			if err := x.waitForReady(s); err != nil {
				return nil, err
			}
			continue
		}
		if !g.isStatic() { // files have no workers that could be busy
			if err := x.takeTurn(s); err != nil {
				return nil, err
			}
		}
		if s.gate.enter() {
			if s.begin(g) {
				x.site, x.pinned, x.inside = s, g, true
				return g, nil
			}
			s.gate.leave()
			continue
		}
		if err := x.waitForGate(s); err != nil {
			return nil, err
		}
		if x.down.gone() {
			return nil, errClientGone
		}
	}
}

// waitForGate waits out a hand-over: some ten milliseconds, which do not count
// as waiting for a site that starts.
func (x *exchange) waitForGate(s *site) error {
	s.mu.Lock()
	changed := s.changed
	closed := s.gate.closed()
	s.mu.Unlock()
	if !closed {
		return nil
	}
	timer := time.NewTimer(x.settings.hold.time)
	defer timer.Stop()
	select {
	case <-changed:
		return nil
	case <-timer.C:
		return errHeldTooLong
	case <-x.router.stopped:
		return errNotRunning
	}
}

// waitForReady waits until s is ready, in its turn counted against the limits.
func (x *exchange) waitForReady(s *site) error {
	limits := &x.settings.hold
	t := x.router.table
	defer t.held.Add(-1)
	defer s.held.Add(-1)
	// Both counts first: the deferred calls take both back.
	together, here := t.held.Add(1), s.held.Add(1)
	if together > limits.together || here > limits.perSite {
		return errHeldTooMany
	}
	timer := time.NewTimer(limits.time)
	defer timer.Stop()
	// A visitor who has given up must not keep the place of another.
	look := time.NewTicker(time.Second)
	defer look.Stop() // and whoever is to wake the site is reminded
	for {
		s.mu.Lock()
		changed := s.changed
		g := s.current.Load()
		s.mu.Unlock()
		if x.down.gone() {
			return errClientGone
		}
		switch {
		case g.removed:
			return errRemoved
		case g.ready():
			return nil
		case g.state == link.Ready:
			return errNoSocket // what it does, it does without us
		case g.state == link.Stopped:
			return errNotRunning
		case g.state == link.Failed:
			// Worth waiting for only if it will be tried again while we may wait.
			if g.retryAt.IsZero() || g.refuse || time.Until(g.retryAt) > limits.time {
				return errNotRunning
			}
		case g.state == link.Asleep, g.state == link.Starting: // who is waited for starts first
			t.wake(s.name)
		}
		select {
		case <-changed:
		case <-look.C:
		case <-timer.C:
			return errHeldTooLong
		case <-x.router.stopped:
			return errNotRunning
		}
	}
}
