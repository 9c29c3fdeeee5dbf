package emperor

import (
	"context"
	"runtime"
	"sync"
	"time"
)

// slotTime is how long one start may count as under way: a slow one does not
// hold up the others for longer.
const slotTime = 2 * time.Second

// slots bound how many vassals start at the same time, so that a machine with a
// hundred of them boots them one after the other at full speed instead of all at
// once at none.
type slots struct {
	free   chan struct{}
	closed chan struct{}
	once   sync.Once
}

func newSlots() *slots {
	s := &slots{free: make(chan struct{}, max(2, runtime.NumCPU())), closed: make(chan struct{})}
	for range cap(s.free) {
		s.free <- struct{}{}
	}
	return s
}

// Acquire waits for a slot. After Close it waits until ctx ends.
func (s *slots) Acquire(ctx context.Context) (func(), error) {
	select {
	case <-s.closed:
		<-ctx.Done()
		return nil, ctx.Err()
	default:
	}
	select {
	case <-s.free:
	case <-s.closed:
		<-ctx.Done()
		return nil, ctx.Err()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	release := sync.OnceFunc(func() { s.free <- struct{}{} })
	timer := time.AfterFunc(slotTime, release)
	return func() { timer.Stop(); release() }, nil
}

// Close ends all starts: the emperor is going, and what ends now stays ended.
func (s *slots) Close() { s.once.Do(func() { close(s.closed) }) }
