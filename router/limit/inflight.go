package limit

import (
	"errors"
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
type InFlight struct{}

// Caps are the limits of one vassal.
type Caps struct {
	Running int           // at a time; 0 means any number
	Waiting int           // for their turn; 0 means none: refused at once
	Wait    time.Duration // the longest wait
}

// Room bounds what waits at several InFlights together. nil is no bound.
type Room struct{}

// NewRoom returns room for so many waiting requests; 0 means any number.
func NewRoom(most int) *Room { return &Room{} }

// SetLimit changes the bound; who waits already stays.
func (r *Room) SetLimit(most int) {}

// Client is who waits. Gone tells whether nobody wants the answer any more; it is
// called about once a second while a request waits and when its turn has come.
type Client interface{ Gone() bool }

// NewInFlight returns a cap for one vassal.
func NewInFlight(c Caps, room *Room) *InFlight { return &InFlight{} }

// SetCaps changes the limits. Who is being worked on and who waits stays, also when
// that is more than the new caps allow; a higher cap lets waiters go at once.
func (f *InFlight) SetCaps(c Caps) {}

// Acquire returns nil when it is the request's turn: Release has to follow once. It
// returns at once below the cap, and waits above it. Closing stop ends all waiting
// with ErrStopped; stop and who may be nil.
func (f *InFlight) Acquire(stop <-chan struct{}, who Client) error { return nil }

// Release gives the turn back, to the next who waits.
func (f *InFlight) Release() {}

// Load is how many requests are worked on and how many wait, now.
func (f *InFlight) Load() (running, waiting int) { return 0, 0 }
