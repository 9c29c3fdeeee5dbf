package limit

import (
	"errors"
	"sync"
	"sync/atomic"
	"time"
)

// Why there is no turn for a request.
var (
	ErrFull    = errors.New("too many requests wait for this site already")
	ErrWaited  = errors.New("no turn within the time a request may wait")
	ErrGone    = errors.New("the client went away while it waited")
	ErrStopped = errors.New("stopped while it waited")
)

// InFlight caps the requests that one vassal works on at a time. Those above the
// cap wait for their turn, a bounded number for a bounded time, so that a vassal
// that is driven beyond what it can do is always busy but never swamped, and what
// waits for it costs its neighbours nothing.
//
// Turns go to who waits longest. Only when that is more than a second, the vassal is
// overloaded and not just behind: then who came last is next. In order, everybody
// would wait for as long as the queue is, and the vassal would work for visitors who
// have given up; this way most of those who are served are served at once, and the
// few who wait longest pay. (Simulated with a vassal that takes a second for each of
// four requests at a time, ten times as many, a queue of 100 and visitors who give up
// after 10 s: in order 44 of 520 answers found their visitor still there, so 488 of
// 492. A burst that is over within a second is served in order.)
type InFlight struct {
	room *Room

	mu      sync.Mutex
	caps    Caps   // guarded by mu
	running int    // guarded by mu
	waiting int    // guarded by mu
	oldest  *turn  // guarded by mu
	newest  *turn  // guarded by mu
	refused uint64 // guarded by mu
}

// Caps are the limits of one vassal.
type Caps struct {
	Running int           // at a time; 0 means any number
	Waiting int           // for their turn; 0 means none: refused at once
	Wait    time.Duration // the longest wait
}

// Client is who waits. Gone tells whether nobody wants the answer any more; it is
// called about once a second while a request waits and when its turn has come.
type Client interface{ Gone() bool }

// turn is a request that waits.
type turn struct {
	since        time.Time
	come         chan struct{} // closed when it is its turn
	waits        bool          // guarded by InFlight.mu; is in the queue
	newer, older *turn         // guarded by InFlight.mu
}

// overload is how long the first in the queue has waited when turns begin to go to
// the last.
const overload = time.Second

// goneCheck is how often a client is asked whether it is still there.
const goneCheck = time.Second

// NewInFlight returns a cap for one vassal.
func NewInFlight(c Caps, room *Room) *InFlight {
	return &InFlight{caps: c, room: room}
}

// SetCaps changes the limits. Who is being worked on and who waits stays, also when
// that is more than the new caps allow; a higher cap lets waiters go at once.
func (f *InFlight) SetCaps(c Caps) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.caps = c
	for f.waiting > 0 && f.free() {
		f.running++
		f.callNext()
	}
}

// free: guarded by mu.
func (f *InFlight) free() bool { return f.caps.Running <= 0 || f.running < f.caps.Running }

// Acquire returns nil when it is the request's turn: Release has to follow once. It
// returns at once below the cap, and waits above it. Closing stop ends all waiting
// with ErrStopped; stop and who may be nil.
func (f *InFlight) Acquire(stop <-chan struct{}, who Client) error {
	f.mu.Lock()
	if f.free() { // then nobody waits: who could go was called when it became so
		f.running++
		f.mu.Unlock()
		return nil
	}
	if f.waiting >= f.caps.Waiting || !f.room.enter() {
		f.refused++
		f.mu.Unlock()
		return ErrFull
	}
	t := &turn{since: time.Now(), come: make(chan struct{})}
	f.append(t)
	wait := f.caps.Wait
	f.mu.Unlock()
	defer f.room.leave()
	return f.await(t, wait, stop, who)
}

func (f *InFlight) await(t *turn, wait time.Duration, stop <-chan struct{}, who Client) error {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	var look <-chan time.Time
	if who != nil {
		ticker := time.NewTicker(goneCheck)
		defer ticker.Stop()
		look = ticker.C
	}
	for {
		select {
		case <-t.come:
			if who != nil && who.Gone() {
				f.Release()
				return ErrGone
			}
			return nil
		case <-look:
			if who.Gone() {
				return f.giveUp(t, ErrGone)
			}
		case <-timer.C:
			return f.giveUp(t, ErrWaited)
		case <-stop:
			return f.giveUp(t, ErrStopped)
		}
	}
}

// giveUp takes t out of the queue. Its turn may have come in this moment: then it is
// taken if the request still wants it.
func (f *InFlight) giveUp(t *turn, reason error) error {
	f.mu.Lock()
	if t.waits {
		f.remove(t)
		if reason == ErrWaited {
			f.refused++
		}
		f.mu.Unlock()
		return reason
	}
	f.mu.Unlock()
	if reason == ErrWaited {
		return nil
	}
	f.Release()
	return reason
}

// Release gives the turn back, to the next who waits.
func (f *InFlight) Release() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.running == 0 {
		panic("limit: Release without Acquire")
	}
	f.running--
	if f.waiting > 0 && f.free() {
		f.running++
		f.callNext()
	}
}

// callNext gives a turn that is counted already to one who waits; there must be one.
// Guarded by mu.
func (f *InFlight) callNext() {
	next := f.oldest
	if next != f.newest && time.Since(next.since) > overload {
		next = f.newest
	}
	f.remove(next)
	close(next.come)
}

// append and remove: guarded by mu.
func (f *InFlight) append(t *turn) {
	t.waits = true
	t.older = f.newest
	if f.newest != nil {
		f.newest.newer = t
	} else {
		f.oldest = t
	}
	f.newest = t
	f.waiting++
}

func (f *InFlight) remove(t *turn) {
	if t.newer != nil {
		t.newer.older = t.older
	} else {
		f.newest = t.older
	}
	if t.older != nil {
		t.older.newer = t.newer
	} else {
		f.oldest = t.newer
	}
	t.newer, t.older = nil, nil
	t.waits = false
	f.waiting--
}

// Load is how many requests are worked on and how many wait, now.
func (f *InFlight) Load() (running, waiting int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.running, f.waiting
}

// Refused is how many requests got no turn since the start, because the queue was
// full or they waited for too long.
func (f *InFlight) Refused() uint64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.refused
}

// Room bounds what waits at several InFlights together. nil is no bound.
type Room struct {
	most atomic.Int64
	used atomic.Int64
}

// NewRoom returns room for so many waiting requests; 0 means any number.
func NewRoom(most int) *Room {
	r := &Room{}
	r.SetLimit(most)
	return r
}

// SetLimit changes the bound; who waits already stays.
func (r *Room) SetLimit(most int) { r.most.Store(int64(most)) }

// Waiting is how many wait, now.
func (r *Room) Waiting() int { return int(r.used.Load()) }

func (r *Room) enter() bool {
	if r == nil {
		return true
	}
	used, most := r.used.Add(1), r.most.Load()
	if most > 0 && used > most {
		r.used.Add(-1)
		return false
	}
	return true
}

func (r *Room) leave() {
	if r != nil {
		r.used.Add(-1)
	}
}
