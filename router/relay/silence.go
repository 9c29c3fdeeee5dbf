package relay

import (
	"sync"
	"sync/atomic"
	"time"
)

// silence ends a Relay on which nothing moves. That something moved costs a look at
// the clock; the timer is set again only when it fires.
type silence struct {
	relay *Relay
	start time.Time
	last  atomic.Int64 // when something moved, nanoseconds since start

	mu      sync.Mutex
	limit   time.Duration // guarded by mu; 0: none
	timer   *time.Timer   // guarded by mu; nil if there is nothing to be done at any time
	lasting bool          // guarded by mu; Lasts is still to be called
}

func (s *silence) begin(r *Relay) {
	s.relay, s.start, s.limit, s.lasting = r, time.Now(), r.options.Idle, r.options.Owner != nil
	s.mu.Lock()
	defer s.mu.Unlock()
	if next := s.next(); next > 0 {
		s.timer = time.AfterFunc(next, s.look)
	}
}

// broken is called when something moved.
func (s *silence) broken() { s.last.Store(int64(time.Since(s.start))) }

// shorten sets a limit, from now on, unless there is a lower one.
func (s *silence) shorten(limit time.Duration) {
	s.broken()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.limit == 0 || limit < s.limit {
		s.limit = limit
		if s.timer == nil {
			s.timer = time.AfterFunc(limit, s.look)
		} else {
			s.timer.Reset(s.next())
		}
	}
}

// next is how long there is nothing to be done; 0 for ever, less than 0 if silence has
// lasted for too long. The caller holds mu.
func (s *silence) next() time.Duration {
	now := time.Since(s.start)
	next := time.Duration(0)
	if s.limit > 0 {
		if next = time.Duration(s.last.Load()) + s.limit - now; next <= 0 {
			return -1
		}
	}
	if left := max(aWhile-now, 1); s.lasting && (next == 0 || left < next) {
		next = left
	}
	return next
}

func (s *silence) look() {
	s.mu.Lock()
	lasting := s.lasting && time.Since(s.start) >= aWhile
	if lasting {
		s.lasting = false
	}
	next := s.next()
	if next > 0 {
		s.timer.Reset(next)
	}
	s.mu.Unlock()
	if lasting {
		s.relay.lasts()
	}
	if next < 0 {
		s.relay.end(Idle, nil)
	}
}

// end takes the limit away. A look may be under way.
func (s *silence) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.limit, s.lasting = 0, false
	if s.timer != nil {
		s.timer.Stop()
	}
}
