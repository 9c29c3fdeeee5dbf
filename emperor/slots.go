package emperor

import (
	"context"
	"math"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"time"

	"emperor/internal/processors"
	"emperor/vassal"
)

// slotTime is how long one start may count as under way: a slow one does not
// hold up the others for longer.
const slotTime = 2 * time.Second

// idleLook is how often it is looked, while some wait for a slot, whether a processor is
// idle: programs that wait for something else than the processor when they start (a
// database, a sleep) do not keep the others waiting.
const idleLook = 20 * time.Millisecond

// slots bound how many vassals start at the same time, so that a machine with a
// hundred of them boots them one after the other at full speed instead of all at
// once at none. Whoever has visitors is first, whoever has failed before or will hardly
// start is last; for the former there are as many slots again.
type slots struct {
	limit    int
	idle     func() bool            // a processor has nothing to do; replaced by tests
	doubtful func(name string) bool // that vassal will hardly start; nil: none is known
	crowded  func(bool)             // some begin to wait, or nobody does any more; mu is held

	mu      sync.Mutex // guards what follows
	taken   int
	waiting [ranks][]*waitingStart
	looking bool // somebody looks for idle processors
	closed  bool
	lookers sync.WaitGroup
}

// rank is whose turn it is first.
type rank int

const (
	visited rank = iota
	fresh
	again
	ranks
)

// waitingStart is one who waits for a slot.
type waitingStart struct {
	turn    vassal.Turn
	rank    rank
	granted chan struct{}
}

// One more than there are processors, so that none waits while the emperor is between the
// end of one start and the beginning of the next.
func newSlots() *slots {
	return &slots{limit: 1 + runtime.NumCPU(), idle: idleProcessor, crowded: share}
}

// share leaves half of the processors to those who start, while there is a crowd of them. It
// takes all of them to read ten thousand files.
func share(crowded bool) {
	if crowded {
		processors.Half()
	} else {
		processors.All()
	}
}

// rankOf: one with visitors goes before the others of its kind.
func (s *slots) rankOf(t vassal.Turn, hasVisitors bool) rank {
	if !t.Again && s.doubtful != nil && s.doubtful(t.Name) {
		t.Again = true
	}
	switch {
	case t.Again && !hasVisitors:
		return again
	case t.Again || !hasVisitors:
		return fresh
	}
	return visited
}

// rethink moves those to the end of whom there is doubt since they wait.
func (s *slots) rethink() {
	s.mu.Lock()
	defer s.mu.Unlock()
	var stay []*waitingStart
	for _, w := range s.waiting[fresh] {
		if w.rank = s.rankOf(w.turn, w.turn.Visited.Err() != nil); w.rank == again {
			s.waiting[again] = append(s.waiting[again], w)
			continue
		}
		w.rank = fresh // one that is visited just now moves by itself
		stay = append(stay, w)
	}
	s.waiting[fresh] = stay
}

// Acquire waits for a slot. After Close it waits until ctx ends.
func (s *slots) Acquire(ctx context.Context, turn vassal.Turn) (func(), error) {
	s.mu.Lock()
	w := &waitingStart{turn: turn, rank: s.rankOf(turn, turn.Visited.Err() != nil), granted: make(chan struct{})}
	s.waiting[w.rank] = append(s.waiting[w.rank], w)
	s.grant()
	s.look()
	s.mu.Unlock()
	visitors := turn.Visited.Done()
	for {
		select {
		case <-w.granted:
			release := sync.OnceFunc(s.release)
			timer := time.AfterFunc(slotTime, release)
			return func() { timer.Stop(); release() }, nil
		case <-visitors:
			visitors = nil
			s.mu.Lock()
			if s.remove(w) {
				w.rank = s.rankOf(turn, true)
				s.waiting[w.rank] = append(s.waiting[w.rank], w)
				s.grant()
			}
			s.mu.Unlock()
		case <-ctx.Done():
			s.mu.Lock()
			if !s.remove(w) { // it was granted just then
				s.taken--
				s.grant()
			}
			s.mu.Unlock()
			return nil, ctx.Err()
		}
	}
}

func (s *slots) release() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.taken--
	s.grant()
}

// grant gives away what is free. s.mu is held.
func (s *slots) grant() {
	for !s.closed {
		switch {
		case len(s.waiting[visited]) > 0 && s.taken < 2*s.limit:
		case s.taken < s.limit:
		default:
			return
		}
		if !s.next() {
			return
		}
	}
}

// next gives one slot to whose turn it is, false if nobody waits. s.mu is held.
func (s *slots) next() bool {
	for r, queue := range s.waiting {
		if len(queue) > 0 {
			s.waiting[r] = queue[1:]
			s.taken++
			close(queue[0].granted)
			return true
		}
	}
	return false
}

// remove takes w out of its queue; false if it has been granted a slot. s.mu is held.
func (s *slots) remove(w *waitingStart) bool {
	queue := s.waiting[w.rank]
	for i := range queue {
		if queue[i] == w {
			s.waiting[w.rank] = append(queue[:i:i], queue[i+1:]...)
			return true
		}
	}
	return false
}

func (s *slots) anybodyWaits() bool {
	for _, queue := range s.waiting {
		if len(queue) > 0 {
			return true
		}
	}
	return false
}

// look gives away a slot more at each look that finds a processor idle, as long as
// somebody waits. s.mu is held.
func (s *slots) look() {
	if s.looking || s.closed || !s.anybodyWaits() {
		return
	}
	s.looking = true
	s.crowded(true)
	s.lookers.Go(func() {
		for {
			time.Sleep(idleLook)
			idle := s.idle()
			s.mu.Lock()
			if s.closed || !s.anybodyWaits() {
				s.looking = false
				s.crowded(false)
				s.mu.Unlock()
				return
			}
			if idle {
				s.next()
			}
			s.mu.Unlock()
		}
	})
}

// Close ends all starts: the emperor is going, and what ends now stays ended.
func (s *slots) Close() {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.lookers.Wait()
}

// idleProcessor tells whether a processor has nothing to do. Where nobody says, none is idle.
func idleProcessor() bool {
	text, err := os.ReadFile("/proc/loadavg")
	return err == nil && wantToRun(string(text)) < runtime.NumCPU()
}

// wantToRun is how many threads do, without the one that asks: the fourth word of
// "0.20 0.18 0.12 3/80 11206" (proc_loadavg(5)).
func wantToRun(loadavg string) int {
	if fields := strings.Fields(loadavg); len(fields) > 3 {
		running, _, _ := strings.Cut(fields[3], "/")
		if n, err := strconv.Atoi(running); err == nil {
			return n - 1
		}
	}
	return math.MaxInt
}
