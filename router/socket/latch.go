package socket

// latch remembers one "ready" for its one waiter.
type latch chan struct{}

func newLatch() latch { return make(latch, 1) }

func (l latch) set() {
	select {
	case l <- struct{}{}:
	default:
	}
}

func (l latch) clear() {
	select {
	case <-l:
	default:
	}
}
