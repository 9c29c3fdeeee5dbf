package emperor

import (
	"context"
	"iter"
	"slices"
	"sync"
	"time"

	"emperor/emperor/control"
	"emperor/vassal"
	"emperor/vassal/spec"
)

const (
	// keptEvents is how many events are kept for who asks afterwards.
	keptEvents = 200
	// followerEvents is how far a reader may fall behind before it loses some.
	followerEvents = 256
	// soberingTime is how long a vassal must have been ready for its earlier failures
	// not to count any more (as for its back-off).
	soberingTime = 10 * time.Second
)

// chronicle notes what becomes of each vassal: one event for each change, for those
// who follow them, and when it did what for the first and the last time, which scripts
// ask the stats socket for. Vassals tell it from goroutines of their own: it never
// waits for anybody.
type chronicle struct {
	now func() time.Time

	mu        sync.Mutex // guards what follows
	lives     map[string]*life
	last      []control.Event // the last events, oldest first
	followers map[chan control.Event]bool
}

// life is what is known of a vassal's past.
type life struct {
	status                            vassal.Status
	firstRun, lastRun, ready, loyal   time.Time
	respawns                          int // generations that took over
	failures                          int // starts in a row that came to nothing, or nearly
	firstFailure, lastFailure, cursed time.Time
}

func newChronicle(now func() time.Time) *chronicle {
	return &chronicle{now: now, lives: map[string]*life{}, followers: map[chan control.Event]bool{}}
}

// see is told each state of a vassal, in order.
func (c *chronicle) see(s vassal.Status) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.now()
	l := c.lives[s.Name]
	if l == nil {
		l = &life{}
		c.lives[s.Name] = l
	}
	before := l.status
	s.Lines = nil
	l.status = s
	l.note(before, s, now)
	if s.State == vassal.Gone {
		delete(c.lives, s.Name)
	}
	if e, ok := eventOf(before, s, now); ok {
		c.tell(e)
	}
}

// note keeps the times.
func (l *life) note(before, s vassal.Status, now time.Time) {
	if s.Starting != 0 && s.Starting != before.Starting || s.Kind == spec.Static && s.Generation != before.Generation {
		l.lastRun = now
		if l.firstRun.IsZero() {
			l.firstRun = now
		}
	}
	if s.Generation != 0 && s.Generation != before.Generation {
		if !l.ready.IsZero() {
			l.respawns++
		}
		l.ready = now
	}
	if s.Loyal && !before.Loyal {
		l.loyal = now
	}
	if s.State == vassal.Failed && before.State != vassal.Failed {
		if before.Generation != 0 && now.Sub(l.ready) >= soberingTime {
			l.failures = 0
		}
		if l.failures == 0 {
			l.firstFailure = now
		}
		l.failures++
		l.lastFailure = now
	}
	switch s.State {
	case vassal.Stopping, vassal.Leaving:
		if l.cursed.IsZero() {
			l.cursed = now
		}
	default:
		l.cursed = time.Time{}
	}
}

// eventOf is what people want to hear of a change, if anything.
func eventOf(before, s vassal.Status, now time.Time) (control.Event, bool) {
	e := control.Event{Time: now, Vassal: s.Name, From: stateOf(before), State: stateOf(s), Generation: s.Generation, PIDs: s.PIDs, Reason: s.Reason}
	if before.Name == "" {
		e.From = ""
	}
	if s.Problem != before.Problem {
		e.Problem = s.Problem
	}
	return e, e.From != e.State || s.Generation != before.Generation || e.Problem != ""
}

// stateOf is a state as `emperor status` calls it.
func stateOf(s vassal.Status) string {
	switch {
	case s.State == vassal.Ready && s.Paused:
		return "paused"
	case s.State == vassal.Ready && s.Loyal:
		return "loyal"
	}
	return s.State.String()
}

// say adds an event that is about the emperor itself.
func (c *chronicle) say(text string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.tell(control.Event{Time: c.now(), Text: text})
}

// tell keeps an event and passes it on; c.mu is held.
func (c *chronicle) tell(e control.Event) {
	if len(c.last) == keptEvents {
		c.last = slices.Delete(c.last, 0, 1)
	}
	c.last = append(c.last, e)
	for follower := range c.followers {
		select {
		case follower <- e:
		default: // a slow reader loses events, and slows nobody
		}
	}
}

// events yields the kept events and, with follow, those that come, until ctx ends.
func (c *chronicle) events(ctx context.Context, follow bool) iter.Seq[control.Event] {
	return func(yield func(control.Event) bool) {
		coming := make(chan control.Event, followerEvents)
		c.mu.Lock()
		last := slices.Clone(c.last)
		if follow {
			c.followers[coming] = true
		}
		c.mu.Unlock()
		defer func() {
			c.mu.Lock()
			delete(c.followers, coming)
			c.mu.Unlock()
		}()
		for _, e := range last {
			if !yield(e) {
				return
			}
		}
		for follow {
			select {
			case e := <-coming:
				if !yield(e) {
					return
				}
			case <-ctx.Done():
				return
			}
		}
	}
}

// knows tells whether there is a vassal of that name.
func (c *chronicle) knows(name string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.lives[name] != nil
}

// past is what is known of each vassal's past: copies.
func (c *chronicle) past() map[string]life {
	c.mu.Lock()
	defer c.mu.Unlock()
	out := make(map[string]life, len(c.lives))
	for name, l := range c.lives {
		out[name] = *l
	}
	return out
}

// Events implements control.Emperor.
func (e *Emperor) Events(ctx context.Context, follow bool) iter.Seq[control.Event] {
	return e.chronicle.events(ctx, follow)
}
