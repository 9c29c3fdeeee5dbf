// Package deadline gives every connection of the front its time limits without
// a timer per request.
//
// The one idea: setting a limit is one atomic store, and a single sweeper looks
// at all of them four times a second. A limit therefore fires up to one Tick
// late, never early, which is nothing beside limits of whole seconds, and a
// request that meets its limits (nearly all do) pays a few nanoseconds for them.
//
// A Deadline is registered once in the life of its connection, not per request, and only
// if a limit is ever set: a connection that is over in a moment costs the sweeper
// nothing.
package deadline

import (
	"context"
	"math"
	"sync"
	"sync/atomic"
	"time"
)

// Tick is how often limits are looked at, and so how late they may fire.
const Tick = 250 * time.Millisecond

const (
	unset   = int64(math.MaxInt64)
	expired = int64(math.MinInt64)
)

// Deadline is the one limit its connection is under at the moment. The zero
// value is not usable: Sweeper.Add makes it so. Set, Clear and Expired may be
// called from any goroutine.
type Deadline struct {
	at      atomic.Int64 // nanoseconds on the sweeper's clock, or unset, or expired
	sweeper *Sweeper
	owner   Owner
	known   atomic.Uint32 // to the sweeper: one of the constants; changed under sweeper.mu
	index   int           // place in sweeper.all; guarded by sweeper.mu
}

// Owner has one Deadline or more.
type Owner interface {
	// Expired is called when the limit fired, from the sweeper's goroutine, at most
	// once per Set, and must not block. It may find that the limit was set anew
	// meanwhile: what it does (wake the waiter, who then asks) must be harmless then.
	Expired(*Deadline)
}

// What the sweeper knows of a Deadline.
const (
	unknown uint32 = iota // no limit has been set so far
	swept
	removed
)

// Set limits the connection to d from now on; it replaces the limit before it.
// A limit that has already fired is lifted.
func (d *Deadline) Set(after time.Duration) {
	d.at.Store(int64(d.sweeper.now() + after))
	if d.known.Load() == unknown {
		d.sweeper.learn(d)
	}
	if d.sweeper.parked.Load() {
		d.sweeper.unpark()
	}
}

// Clear lifts the limit.
func (d *Deadline) Clear() { d.at.Store(unset) }

// Expire makes the limit one that is over. It fires nothing: who calls it wakes.
func (d *Deadline) Expire() { d.at.Store(expired) }

// Expired tells whether the limit fired since it was last set.
func (d *Deadline) Expired() bool { return d.at.Load() == expired }

// Sweeper owns the clock and the goroutine (Run) that fires limits.
type Sweeper struct {
	now    func() time.Duration
	tick   func(context.Context) bool // waits one Tick; false when the context ended
	parked atomic.Bool
	wake   chan struct{}

	mu  sync.Mutex
	all []*Deadline // guarded by mu
}

// NewSweeper returns a Sweeper on the real clock.
func NewSweeper() *Sweeper {
	start := time.Now()
	s := &Sweeper{
		now:  func() time.Duration { return time.Since(start) },
		wake: make(chan struct{}, 1),
	}
	s.tick = func(ctx context.Context) bool {
		select {
		case <-time.After(Tick):
			return true
		case <-ctx.Done():
			return false
		}
	}
	return s
}

// Add makes d usable; owner is told when a limit fires.
func (s *Sweeper) Add(d *Deadline, owner Owner) {
	d.sweeper, d.owner = s, owner
	d.at.Store(unset)
}

// learn takes d among those that are looked at.
func (s *Sweeper) learn(d *Deadline) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if d.known.CompareAndSwap(unknown, swept) {
		d.index = len(s.all)
		s.all = append(s.all, d)
	}
}

// Remove forgets d: its owner is not told after Remove returns, but for a call that is
// under way. A limit that is set from now on does nothing.
func (s *Sweeper) Remove(d *Deadline) {
	if d.known.CompareAndSwap(unknown, removed) {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !d.known.CompareAndSwap(swept, removed) {
		return
	}
	last := s.all[len(s.all)-1]
	s.all[d.index] = last
	last.index = d.index
	s.all[len(s.all)-1] = nil
	s.all = s.all[:len(s.all)-1]
	if cap(s.all) > 1024 && len(s.all) < cap(s.all)/4 {
		s.all = append(make([]*Deadline, 0, cap(s.all)/2), s.all...)
	}
}

// Run fires limits until the context ends. With no limit set anywhere it
// sleeps: an idle front uses no CPU.
func (s *Sweeper) Run(ctx context.Context) {
	var due []*Deadline
	for s.tick(ctx) {
		var any bool
		due, any = s.sweep(due[:0])
		for _, d := range due {
			d.owner.Expired(d)
		}
		if any {
			continue
		}
		// The flag first, then one more look: a Set between the look and the flag
		// would otherwise find nobody to wake.
		s.parked.Store(true)
		if due, any = s.sweep(due[:0]); any || len(due) > 0 {
			s.parked.Store(false)
			for _, d := range due {
				d.owner.Expired(d)
			}
			continue
		}
		select {
		case <-s.wake:
		case <-ctx.Done():
			return
		}
	}
}

func (s *Sweeper) unpark() {
	if s.parked.CompareAndSwap(true, false) {
		select {
		case s.wake <- struct{}{}:
		default:
		}
	}
}

// sweep marks what is over as expired and returns it, and whether any limit
// remains.
func (s *Sweeper) sweep(due []*Deadline) ([]*Deadline, bool) {
	now := int64(s.now())
	any := false
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, d := range s.all {
		at := d.at.Load()
		switch {
		case at == unset || at == expired:
		case at > now:
			any = true
		// Swapped only if nobody has set another limit since the load.
		case d.at.CompareAndSwap(at, expired):
			due = append(due, d)
		default:
			any = true
		}
	}
	return due, any
}
