package router

import "time"

// A vassal that does not answer the emperor's own questions may be dead, or so busy
// with visitors that the question waits behind theirs. Only the router can tell: of
// each part of an answer that comes from a vassal it counts one.

// listenAgain is how often the count is looked at: the answer is late by that much.
const listenAgain = 50 * time.Millisecond

// hear counts a part of an answer.
func (x *exchange) hear() {
	if x.pinned != nil {
		x.pinned.heard.Add(1)
	}
}

// heard is the count for a generation, also for one that new requests do not go to.
func (s *site) heard(number uint64) uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, g := range append([]*generation{s.current.Load()}, s.retired...) {
		if g.number == number {
			return g.heard.Load()
		}
	}
	return 0
}

// Answered begins to listen to a generation, and returns what waits until it has sent
// a part of an answer since, or cancel is closed.
func (r *Router) Answered(vassal string, number uint64) (wait func(cancel <-chan struct{})) {
	count := func() uint64 {
		if s := r.table.site(vassal); s != nil {
			return s.heard(number)
		}
		return 0
	}
	last := count()
	return func(cancel <-chan struct{}) {
		ticker := time.NewTicker(listenAgain)
		defer ticker.Stop()
		for {
			now := count()
			if now > last {
				return
			}
			last = now // none any more, when it was replaced and has nothing under way
			select {
			case <-ticker.C:
			case <-cancel:
				return
			}
		}
	}
}
