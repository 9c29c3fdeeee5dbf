package router

import (
	"net/http"
	"sync"
)

// streamWorkers answer the requests of HTTP/2 streams. The library begins a
// goroutine for each stream; to let that answer the request, its small stack would
// be copied again and again on the way down to the vassal, which costs more than to
// hand the request to a goroutine whose stack has grown before.
type streamWorkers struct {
	running sync.WaitGroup

	mu     sync.Mutex
	idle   []*streamWorker // guarded by mu; the one that worked last is the last
	closed bool            // guarded by mu
}

// mostIdleWorkers bounds how many are kept for the next burst.
const mostIdleWorkers = 64

// streamRequest is what a worker needs to know.
type streamRequest struct {
	w http.ResponseWriter
	r *http.Request
	c *client
}

// streamWorker is one goroutine, and the way to it and back.
type streamWorker struct {
	requests chan streamRequest
	whole    chan bool // the answer was complete
}

// do has a request answered, and returns whether the answer is whole.
func (p *streamWorkers) do(m *multiplexed, q streamRequest) bool {
	w := p.take(m)
	w.requests <- q
	whole := <-w.whole
	p.giveBack(w)
	return whole
}

func (p *streamWorkers) take(m *multiplexed) *streamWorker {
	p.mu.Lock()
	defer p.mu.Unlock()
	if last := len(p.idle) - 1; last >= 0 {
		w := p.idle[last]
		p.idle[last] = nil
		p.idle = p.idle[:last]
		return w
	}
	w := &streamWorker{requests: make(chan streamRequest), whole: make(chan bool)}
	p.running.Go(func() {
		for q := range w.requests {
			w.whole <- m.answer(q)
		}
	})
	return w
}

func (p *streamWorkers) giveBack(w *streamWorker) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed || len(p.idle) >= mostIdleWorkers {
		close(w.requests)
		return
	}
	p.idle = append(p.idle, w)
}

// close ends the workers and waits for them. No request is under way.
func (p *streamWorkers) close() {
	p.mu.Lock()
	p.closed = true
	for _, w := range p.idle {
		close(w.requests)
	}
	p.idle = nil
	p.mu.Unlock()
	p.running.Wait()
}
