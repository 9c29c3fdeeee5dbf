// Package pause stops a goroutine that reads from a descriptor between two reads,
// and lets it go on: what it holds half read can be looked at meanwhile.
//
// An emperor that is about to be replaced by another binary (emperor upgrade) must
// know what its readers have read and not yet used: after exec there are no goroutines
// any more, and bytes taken from a pipe are in nobody's hands. So whoever reads does
// so with a Reader:
//
//	for {
//		n, err := file.Read(buffer)
//		if errors.Is(err, os.ErrDeadlineExceeded) && r.Parked() {
//			continue
//		}
//		…
//	}
//	r.End()
//
// and whoever stops it interrupts the read by a deadline that has passed.
package pause

import (
	"sync"
	"time"
)

// Deadliner is a descriptor whose reads a deadline ends.
type Deadliner interface{ SetReadDeadline(time.Time) error }

// Reader is a goroutine that reads. The zero value is one that runs.
type Reader struct {
	mu    sync.Mutex    // guards what follows
	asked chan struct{} // closed when it has stopped; nil: nobody waits for that
	again chan struct{} // closed when it may go on; nil: it was not asked to stop
	ended bool
}

// Stop returns when the reader stands still, or has ended. Until Go is called what it
// has read may be looked at by the caller.
func (r *Reader) Stop(from Deadliner) {
	r.mu.Lock()
	if r.ended || r.again != nil {
		r.mu.Unlock()
		return
	}
	stopped := make(chan struct{})
	r.asked, r.again = stopped, make(chan struct{})
	r.mu.Unlock()
	_ = from.SetReadDeadline(time.Unix(1, 0)) // a closed one ends the reader by itself
	<-stopped
}

// Go lets it read on.
func (r *Reader) Go(from Deadliner) {
	r.mu.Lock()
	again := r.again
	r.again = nil
	r.mu.Unlock()
	if again != nil {
		_ = from.SetReadDeadline(time.Time{})
		close(again)
	}
}

// Parked is called by the reader when a read was ended by its deadline. It is false
// if nobody has asked it to stop; otherwise it returns when it may read on.
func (r *Reader) Parked() bool {
	r.mu.Lock()
	asked, again := r.asked, r.again
	r.asked = nil
	r.mu.Unlock()
	if asked == nil {
		return false
	}
	close(asked)
	<-again
	return true
}

// End is called by the reader when it reads no more.
func (r *Reader) End() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ended = true
	if r.asked != nil {
		close(r.asked)
		r.asked = nil
	}
}
