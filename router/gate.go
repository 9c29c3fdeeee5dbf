package router

import (
	"sync"
	"sync/atomic"
)

// gate lets requests through to a vassal until it is closed, and tells who
// closed it when the last one that had entered has left. Between enter and leave
// a request connects and sends; that is the moment at which an unmodified uWSGI,
// told to go, would lose it.
//
// A request pays two atomic additions.
type gate struct {
	state atomic.Int64 // closedBit | number of requests inside

	mu    sync.Mutex
	empty chan struct{} // guarded by mu; closed by the last to leave a closed gate
}

const closedBit = 1 << 40

// enter tells whether the request may go. If so, leave must follow.
func (g *gate) enter() bool {
	if g.state.Add(1) < closedBit {
		return true
	}
	g.leave()
	return false
}

func (g *gate) leave() {
	if g.state.Add(-1) != closedBit {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.empty != nil && g.state.Load() == closedBit {
		close(g.empty)
		g.empty = nil
	}
}

// close closes the gate; the channel is closed when nobody is inside.
func (g *gate) close() <-chan struct{} {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.state.Load() < closedBit {
		g.state.Add(closedBit)
	}
	if g.empty == nil {
		g.empty = make(chan struct{})
	}
	empty := g.empty
	if g.state.Load() == closedBit {
		close(g.empty)
		g.empty = nil
	}
	return empty
}

func (g *gate) open() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.state.Load() >= closedBit {
		g.state.Add(-closedBit)
	}
}

func (g *gate) closed() bool { return g.state.Load() >= closedBit }
