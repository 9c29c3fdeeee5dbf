package socket

import "sync/atomic"

// guard keeps a descriptor open while it is used, although any goroutine may close
// it: its number may be another connection's the moment after.
type guard struct {
	state atomic.Int32 // how many use it, and closedBit
}

const closedBit = 1 << 30

// enter begins a use; false: it is closed. leave ends it.
func (g *guard) enter() bool {
	for {
		users := g.state.Load()
		if users&closedBit != 0 {
			return false
		}
		if g.state.CompareAndSwap(users, users+1) {
			return true
		}
	}
}

// leave tells whether the descriptor is now to be closed.
func (g *guard) leave() (last bool) {
	return g.state.Add(-1) == closedBit
}

// close tells whether it was the first, and whether the descriptor is now to be
// closed (else the last user's leave says so).
func (g *guard) close() (first, last bool) {
	before := g.state.Or(closedBit)
	if before&closedBit != 0 {
		return false, false
	}
	return true, before == 0
}

func (g *guard) isClosed() bool { return g.state.Load()&closedBit != 0 }
