package resolve

import (
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"slices"
	"sync"
	"time"
)

// Run asks the servers for what is wanted, until ctx ends.
func (r *Resolver) Run(ctx context.Context) {
	var asking sync.WaitGroup
	if r.servers != nil {
		asking.Go(func() { r.servers.resolver.Run(ctx) })
	}
	slots := make(chan struct{}, atATime)
	timer := time.NewTimer(0)
	defer timer.Stop()
	var swept time.Time
	for ctx.Err() == nil {
		if servers := r.newServers(); len(servers) > 0 {
			asking.Go(func() { r.servers.introduce(ctx, servers) })
		}
		for _, e := range r.take() {
			asking.Go(func() {
				select {
				case slots <- struct{}{}:
					defer func() { <-slots }()
				case <-ctx.Done(): // the question fails at once
				}
				r.resolve(ctx, e)
			})
		}
		// Names that are due soon are done together, not each with a sweep of its own.
		if at := latest(r.planned(), swept.Add(sweepPause)); time.Now().Before(at) {
			timer.Reset(time.Until(at))
		} else {
			swept = time.Now()
			r.sweep(swept)
			continue
		}
		select {
		case <-ctx.Done():
		case <-timer.C:
		case <-r.wake:
		}
	}
	r.end()
	asking.Wait()
}

// sweepPause is the least time between two sweeps.
const sweepPause = 200 * time.Millisecond

// farAway is when something happens that does not.
const farAway = 24 * time.Hour

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// planned returns when a sweep is wanted next.
func (r *Resolver) planned() time.Time {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.next
}

// plan has a sweep happen at that time, or before; r.mu is held.
func (r *Resolver) plan(at time.Time) {
	if at.Before(r.next) {
		r.next = at
		r.nudge()
	}
}

// take returns what is to be asked for.
func (r *Resolver) take() []*entry {
	r.mu.Lock()
	defer r.mu.Unlock()
	queue := r.queue
	r.queue = nil
	return queue
}

// newServers returns the servers of a configuration that Run has not seen.
func (r *Resolver) newServers() []Server {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.fresh || r.servers == nil {
		return nil
	}
	r.fresh = false
	return r.config.Servers
}

// end lets nobody wait for an answer that will not come.
func (r *Resolver) end() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ended = true
	for _, e := range r.queue {
		r.settle(e, &answer{err: errEnded, until: time.Now().Add(minTTL)})
	}
	r.queue = nil
}

// sweep has everything asked for again that is due and forgets what nobody uses.
func (r *Resolver) sweep(now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.next = now.Add(farAway)
	for name, e := range r.names {
		if e.restore(now) && e.answer.Load() != nil {
			e.publish()
		}
		for _, until := range e.bad {
			r.plan(until)
		}
		if !now.Before(e.due) && e.used.Swap(false) {
			e.lastUsed = now
		}
		switch {
		case e.fixed || e.asking != nil:
		case now.Before(e.due):
			r.plan(e.due)
		case len(e.addresses) == 0, now.Sub(e.lastUsed) >= unusedTime:
			delete(r.names, name)
		case now.Sub(e.lastUsed) >= e.keep():
			// The next request waits for an answer, but if there is none this one is good.
			e.answer.Store(nil)
			e.due = e.lastUsed.Add(unusedTime)
			r.plan(e.due)
		case r.ask(e) != nil:
			r.plan(now.Add(minTTL))
		}
	}
}

// keep is how long the name is asked for again without being used. Where visitors
// choose names, each may make thousands of them, and none of those is used for long.
func (e *entry) keep() time.Duration {
	return min(max(e.lastUsed.Sub(e.firstUsed), onceTime), unusedTime)
}

// restore forgets that addresses could not be reached, when that is long enough
// ago.
func (e *entry) restore(now time.Time) (changed bool) {
	for a, until := range e.bad {
		if !now.Before(until) {
			delete(e.bad, a)
			changed = true
		}
	}
	return changed
}

// resolve asks for e and takes the answer in.
func (r *Resolver) resolve(ctx context.Context, e *entry) {
	r.mu.RLock()
	c := r.config
	r.mu.RUnlock()
	f := r.lookup(ctx, c, e.name)
	r.mu.Lock()
	defer r.mu.Unlock()
	now := time.Now()
	e.asked = now
	switch {
	case f.err == nil:
		r.learn(e, f, now)
	case errors.Is(f.err, ErrNotFound):
		if len(e.addresses) > 0 {
			r.log.Warn("a host name stands for nothing any more", slog.String("host", e.name))
		}
		e.addresses, e.bad, e.retry = nil, nil, 0
		e.due = now.Add(min(max(f.ttl, minTTL), maxNegativeTTL))
		r.settle(e, &answer{err: f.err, until: e.due})
	default:
		r.bear(e, f.err, now)
	}
	r.plan(e.due)
}

// learn takes in an answer with addresses; r.mu is held.
func (r *Resolver) learn(e *entry, f found, now time.Time) {
	if e.retry > 0 && len(e.addresses) > 0 {
		r.log.Info("a host name is resolved again", slog.String("host", e.name))
	}
	slices.SortStableFunc(f.addresses, func(a, b netip.Addr) int { return a.BitLen() - b.BitLen() })
	e.addresses, e.retry = slices.Compact(f.addresses), 0
	for a := range e.bad {
		if !slices.Contains(e.addresses, a) {
			delete(e.bad, a)
		}
	}
	e.due = now.Add(min(max(f.ttl, minTTL), maxTTL))
	e.publish()
	r.settle(e, nil)
}

// bear takes in that the servers could not be asked; r.mu is held.
func (r *Resolver) bear(e *entry, err error, now time.Time) {
	if e.retry == 0 {
		e.retry = firstRetry
		if len(e.addresses) > 0 {
			r.log.Warn("a host name can't be resolved, its last answer stays in use", slog.String("host", e.name), slog.Any("err", err))
		}
	}
	e.due = now.Add(e.retry)
	e.retry = min(2*e.retry, maxRetry)
	if len(e.addresses) > 0 {
		e.publish()
		r.settle(e, nil)
	} else {
		r.settle(e, &answer{err: err, until: e.due})
	}
}

// settle ends the question under way, with that answer unless it is nil; r.mu is
// held.
func (r *Resolver) settle(e *entry, a *answer) {
	r.asking--
	if a != nil {
		e.answer.Store(a)
	}
	close(e.asking)
	e.asking = nil
}
