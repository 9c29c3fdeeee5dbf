package router

import (
	"fmt"
	"log/slog"
	"math"
	"slices"
	"sync"
	"time"

	"emperor/internal/link"
)

// A site that nobody uses may be put to sleep. Whether it is used shows in two
// numbers that requests count anyway: how many have begun, and how many are under way
// (a download or a websocket is one for as long as it lasts). They are looked at from
// time to time, so that a request need not look at the clock.

// looks is how often they are looked at in the time for which nobody must have come:
// the answer is late by that part of it at most.
const looks = 10

// use is how much of the site's present generation is in use, and how much was.
func (s *site) use() (begun uint64, underWay int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.current.Load()
	for _, g := range append([]*generation{now}, s.retired...) {
		if g.number == now.number { // the same processes, under another row
			begun += g.begun.Load()
			underWay += g.inFlight.Load()
		}
	}
	return begun, underWay
}

// unused returns true when no request to s is under way and none has been for that
// long; false when cancel is closed before.
func (s *site) unused(quiet time.Duration, cancel <-chan struct{}) bool {
	ticker := time.NewTicker(max(quiet/looks, time.Millisecond))
	defer ticker.Stop()
	last, since := uint64(math.MaxUint64), time.Now()
	for {
		begun, underWay := s.use()
		now := time.Now()
		if begun != last || underWay > 0 {
			last, since = begun, now
		}
		if now.Sub(since) >= quiet {
			return true
		}
		select {
		case <-ticker.C:
		case <-cancel:
			return false
		}
	}
}

// Unused returns when no request to the vassal is under way and none has been for
// that long, or cancel is closed. With 0 it returns at once, with an error if one is;
// else connections to the vassal that are kept for the next request are closed.
func (r *Router) Unused(vassal string, quiet time.Duration, cancel <-chan struct{}) error {
	s := r.table.site(vassal)
	if s == nil {
		return nil
	}
	if quiet > 0 {
		s.unused(quiet, cancel)
		return nil
	}
	switch _, underWay := s.use(); underWay {
	case 0:
	case 1:
		return fmt.Errorf("a request is under way")
	default:
		return fmt.Errorf("%d requests are under way", underWay)
	}
	for _, address := range slices.Compact(s.addresses()) {
		r.pool.Retire(address, s.current.Load().number+1)
	}
	return nil
}

// wakeAgain is when the emperor is told once more that somebody waits, should it not
// have heard: it may have been about to learn of the vassal itself.
const wakeAgain = 900 * time.Millisecond

// waking remembers of which sleepers the emperor has been told.
type waking struct {
	mu   sync.Mutex
	told map[string]time.Time // guarded by mu
}

// wake reports that somebody waits for a sleeping vassal: once for all who wait.
func (c *child) wake(vassal string) {
	now := time.Now()
	c.waking.mu.Lock()
	last, told := c.waking.told[vassal]
	told = told && now.Sub(last) < wakeAgain
	if !told {
		if c.waking.told == nil {
			c.waking.told = map[string]time.Time{}
		}
		c.waking.told[vassal] = now
	}
	c.waking.mu.Unlock()
	if told {
		return
	}
	if err := c.peer.Send(link.Message{Kind: link.Wake, Vassal: vassal}); err != nil {
		c.router.log.Error("the emperor cannot be told that somebody waits for a vassal that sleeps", slog.String("vassal", vassal), slog.Any("err", err))
	}
}

// loyal reports that a generation has answered its first request. It is only shown: if it
// cannot be said there are worse things to complain of.
func (c *child) loyal(vassal string, generation uint64) {
	_ = c.peer.Send(link.Message{Kind: link.Loyal, Vassal: vassal, Generation: generation})
}

// silent reports that a generation leaves requests without any answer. If it cannot be
// said now, it is said of the next ones.
func (c *child) silent(vassal string, generation uint64) {
	_ = c.peer.Send(link.Message{Kind: link.Silent, Vassal: vassal, Generation: generation})
}

// news forgets it: there is news of the vassals.
func (w *waking) news(rows []link.Vassal) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for i := range rows {
		delete(w.told, rows[i].Name)
	}
}
