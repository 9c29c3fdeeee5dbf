package balance

import (
	"runtime"
	"sync"
	"sync/atomic"
	"time"
	"weak"
)

// Book remembers what is known of addresses, for all Groups made with it. What
// no Group and no request refers to any more is forgotten.
type Book struct {
	now func() time.Time

	mu     sync.Mutex
	states map[string]weak.Pointer[state] // guarded by mu; by address
}

// NewBook returns an empty Book by the clock now.
func NewBook(now func() time.Time) *Book {
	return &Book{now: now, states: map[string]weak.Pointer[state]{}}
}

// state is what is known of an address.
type state struct {
	inFlight atomic.Int64
	hits     atomic.Uint64
	bad      atomic.Bool   // it failed last; written under mu
	epoch    atomic.Uint64 // counts failures; written under mu

	mu       sync.Mutex
	failures int       // guarded by mu; in a row, those of a request that had no choice not counted
	since    time.Time // guarded by mu; the last failure
	until    time.Time // guarded by mu; passed over until then
	probing  bool      // guarded by mu; a request is trying it again
}

// state returns the one for the address.
func (b *Book) state(address string) *state {
	b.mu.Lock()
	defer b.mu.Unlock()
	if s := b.states[address].Value(); s != nil {
		return s
	}
	s := &state{}
	b.states[address] = weak.Make(s)
	runtime.AddCleanup(s, b.forget, address)
	return s
}

// forget drops an address whose state is gone, unless it has another by now.
func (b *Book) forget(address string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.states[address].Value() == nil {
		delete(b.states, address)
	}
}

// due tells that the grace is over and nobody tries the address yet.
func (s *state) due(now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return !s.probing && !now.Before(s.until)
}

// enter counts a request in, unless that is not due any more. probe tells that
// it is the one that tries the address again.
func (s *state) enter(v *view) (probe, ok bool) {
	if s.bad.Load() {
		now := v.time()
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.bad.Load() {
			if s.probing || now.Before(s.until) {
				return false, false
			}
			s.probing, probe = true, true
		}
	}
	s.inFlight.Add(1)
	return probe, true
}

func (s *state) failedAt() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.since
}

// Result is what a request learned about an address.
type Result uint8

const (
	// Unknown: nothing, because the client went away, or because the address was
	// busy: a unix socket whose queue is full works.
	Unknown Result = iota
	// Works: it answered.
	Works
	// Fails: it can't be reached.
	Fails
)

// Change is what a Result changed; it is what is worth a line in the log.
type Change struct {
	Failed    bool          // the address is passed over from now on
	Recovered bool          // it is not any more
	Grace     time.Duration // for how long, when Failed
}

// Done counts the request out and notes what it learned.
func (c Choice) Done(r Result) Change {
	s := c.state
	s.inFlight.Add(-1)
	if !c.probe && (r == Unknown || r == Works && !s.bad.Load()) {
		return Change{}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if c.probe {
		s.probing = false
	}
	// A failure since this request chose the address: what it learned is older
	// than what is known. And ten requests that fail together are one failure.
	if c.epoch != s.epoch.Load() {
		return Change{}
	}
	switch {
	case r == Works && s.bad.Load():
		s.recover()
		return Change{Recovered: true}
	case r == Fails && c.group.options.Grace > 0:
		return s.fail(c.probe, c.group)
	}
	return Change{}
}

// Connected notes that the address could be reached: it takes its share from now on,
// not only when the request that found out has ended, which may be a long download.
// Done still follows.
func (c Choice) Connected() Change {
	s := c.state
	if !s.bad.Load() {
		return Change{}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.bad.Load() || c.epoch != s.epoch.Load() {
		return Change{}
	}
	s.recover()
	return Change{Recovered: true}
}

// recover makes the address whole again; s.mu is held.
func (s *state) recover() {
	s.bad.Store(false)
	s.failures, s.until = 0, time.Time{}
}

// fail notes a failure; s.mu is held.
func (s *state) fail(probe bool, g *Group) Change {
	now := g.book.now()
	s.since = now
	s.epoch.Add(1)
	if s.bad.Load() && !probe {
		// Tried for want of anything better: no reason to wait longer than said.
		return Change{}
	}
	s.bad.Store(true)
	grace := g.options.Grace
	for range s.failures {
		if grace = min(2*grace, g.options.MaxGrace); grace == g.options.MaxGrace {
			break
		}
	}
	s.failures++
	s.until = now.Add(grace)
	return Change{Failed: true, Grace: grace}
}

// Status is what a Group knows of one address, for statistics.
type Status struct {
	Node     *Node
	InFlight int
	Hits     uint64    // requests that were sent there, or tried to
	Failures int       // in a row
	Since    time.Time // the last failure; zero: it works
	Until    time.Time // passed over until then; zero: it works
}

// Status returns what is known of every address.
func (g *Group) Status() []Status {
	all := make([]Status, len(g.nodes))
	for i := range g.nodes {
		s := g.nodes[i].state
		s.mu.Lock()
		all[i] = Status{Node: &g.nodes[i], InFlight: int(s.inFlight.Load()), Hits: s.hits.Load(), Failures: s.failures, Until: s.until}
		if s.bad.Load() {
			all[i].Since = s.since
		}
		s.mu.Unlock()
	}
	return all
}
