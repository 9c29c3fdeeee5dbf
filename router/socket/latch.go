package socket

import "sync/atomic"

// latch remembers one "ready" for its one waiter. Its zero value is ready for use: the
// channel comes about only when somebody waits, which in many a short connection nobody
// does.
type latch struct {
	state   atomic.Uint32
	channel chan struct{} // set by the waiter before hasChannel
}

// Bits of latch.state.
const (
	hasNote    = 1 << iota // there is a note, and no channel so far
	hasChannel             // notes go there
)

func (l *latch) set() {
	for {
		state := l.state.Load()
		if state&hasChannel != 0 {
			note(l.channel)
			return
		}
		if l.state.CompareAndSwap(state, state|hasNote) {
			return
		}
	}
}

// wait is the channel that receives once for all that was noted since the last time.
func (l *latch) wait() <-chan struct{} {
	if l.state.Load()&hasChannel == 0 {
		l.channel = make(chan struct{}, 1)
		if l.state.Swap(hasChannel)&hasNote != 0 {
			note(l.channel)
		}
	}
	return l.channel
}

func note(channel chan struct{}) {
	select {
	case channel <- struct{}{}:
	default:
	}
}

// isSet tells whether wait would receive at once.
func (l *latch) isSet() bool {
	state := l.state.Load()
	return state&hasNote != 0 || state&hasChannel != 0 && len(l.channel) > 0
}

func (l *latch) clear() {
	if l.state.And(^uint32(hasNote))&hasChannel != 0 {
		select {
		case <-l.channel:
		default:
		}
	}
}
