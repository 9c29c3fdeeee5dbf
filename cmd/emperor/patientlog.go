package main

import (
	"fmt"
	"io"
	"sync"
	"time"
)

// patientLog writes lines in the background: when nobody reads our log (a full
// pipe), lines are dropped and counted, and supervising goes on. A log that is
// written while the writer waits would stop the whole emperor.
type patientLog struct {
	to io.Writer

	mu      sync.Mutex
	pending [][]byte      // guarded by mu
	size    int           // guarded by mu; bytes in pending
	dropped int           // guarded by mu; lines, since the last one that was taken
	more    chan struct{} // holds one when pending is not empty
	done    chan struct{} // closed when everything is written after close
	closing chan struct{}
	once    sync.Once
}

// pendingLog bounds what waits to be written, in bytes.
const pendingLog = 1 << 20

// newPatientLog starts the writer; close must follow.
func newPatientLog(to io.Writer) *patientLog {
	l := &patientLog{to: to, more: make(chan struct{}, 1), done: make(chan struct{}), closing: make(chan struct{})}
	go l.run() // ends after close
	return l
}

// Write takes p, or drops it; it never waits and never fails.
func (l *patientLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.size+len(p) > pendingLog {
		l.dropped++
		return len(p), nil
	}
	if l.dropped > 0 {
		l.take(fmt.Appendf(nil, "%d lines of the log were dropped: nobody read it\n", l.dropped))
		l.dropped = 0
	}
	l.take(append([]byte(nil), p...))
	select {
	case l.more <- struct{}{}:
	default:
	}
	return len(p), nil
}

func (l *patientLog) take(line []byte) {
	l.pending = append(l.pending, line)
	l.size += len(line)
}

func (l *patientLog) run() {
	defer close(l.done)
	for {
		closing := false
		select {
		case <-l.more:
		case <-l.closing:
			closing = true
		}
		l.mu.Lock()
		lines := l.pending
		l.pending = nil
		l.mu.Unlock()
		for _, line := range lines {
			_, _ = l.to.Write(line) // there is nowhere to say that it failed
			l.mu.Lock()
			l.size -= len(line)
			l.mu.Unlock()
		}
		if closing {
			return
		}
	}
}

// close writes what is left, but does not wait for it longer than that.
func (l *patientLog) close(wait time.Duration) {
	l.once.Do(func() { close(l.closing) })
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-l.done:
	case <-timer.C:
	}
}
