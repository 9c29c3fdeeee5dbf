package router

import "sync"

// clientWorkers serve connections. A goroutine begins with a small stack, which is
// copied again and again on the way down to a vassal: a twentieth of the processor
// time of a connection that carries one request. So those that are done wait for the
// next connection, for a while as a burst lasts.
type clientWorkers struct {
	mu     sync.Mutex
	idle   []chan *client // guarded by mu; of the one that worked last is the last
	closed bool           // guarded by mu
}

// serve has a connection served by a worker, one more if none is idle.
func (w *clientWorkers) serve(r *Router, c *client) {
	w.mu.Lock()
	last := len(w.idle) - 1
	if last < 0 {
		w.mu.Unlock()
		r.serving.Go(func() { w.work(r, c) })
		return
	}
	next := w.idle[last]
	w.idle[last] = nil
	w.idle = w.idle[:last]
	w.mu.Unlock()
	next <- c
}

// work serves one connection after the other until there are idle workers enough.
func (w *clientWorkers) work(r *Router, c *client) {
	var next chan *client
	for open := true; open; c, open = <-next {
		c.serve()
		if next == nil {
			next = make(chan *client, 1) // so that who accepts need not wait for us to listen
		}
		if !w.rest(next) {
			return
		}
	}
}

// rest makes a worker one of the idle, if there is a place.
func (w *clientWorkers) rest(next chan *client) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed || len(w.idle) >= mostIdleWorkers {
		return false
	}
	w.idle = append(w.idle, next)
	return true
}

// close ends the idle workers, and the others when their connections have ended.
func (w *clientWorkers) close() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.closed = true
	for _, next := range w.idle {
		close(next)
	}
	w.idle = nil
}
