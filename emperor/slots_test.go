package emperor

import (
	"context"
	"math"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"emperor/vassal"
)

// queue is slots whose takers are noted in their order.
type queue struct {
	*slots
	t *testing.T

	mu    sync.Mutex
	order []string          // guarded by mu
	free  map[string]func() // guarded by mu

	crowds []bool // guarded by slots.mu; what was said to crowded
}

// take asks for a slot in the background; the result is noted when it is given.
func (q *queue) take(ctx context.Context, name string, turn vassal.Turn) {
	if turn.Visited == nil {
		turn.Visited = context.Background()
	}
	go func() { // ends with its slot, or ctx
		if release, err := q.Acquire(ctx, turn); err == nil {
			q.mu.Lock()
			defer q.mu.Unlock()
			q.order = append(q.order, name)
			q.free[name] = release
		}
	}()
	synctest.Wait()
}

// release gives a slot back; twice is once.
func (q *queue) release(name string) {
	q.mu.Lock()
	free := q.free[name]
	q.mu.Unlock()
	free()
	free()
}

func (q *queue) want(names ...string) {
	q.t.Helper()
	synctest.Wait()
	q.mu.Lock()
	defer q.mu.Unlock()
	if !slices.Equal(q.order, names) {
		q.t.Errorf("%v have got a slot, want %v", q.order, names)
	}
}

func inQueue(t *testing.T, limit int, f func(t *testing.T, ctx context.Context, q *queue)) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		q := &queue{t: t, free: map[string]func(){}}
		q.slots = &slots{limit: limit, idle: func() bool { return false }, crowded: func(now bool) { q.crowds = append(q.crowds, now) }}
		f(t, ctx, q)
		cancel()
		synctest.Wait()
		q.Close()
	})
}

// TestWhoStartsFirst: who has visitors, then who is new, then who has failed before;
// and among equals who came first. For those with visitors there are as many slots again.
func TestWhoStartsFirst(t *testing.T) {
	inQueue(t, 1, func(t *testing.T, ctx context.Context, q *queue) {
		visited, visit := context.WithCancel(ctx)
		q.take(ctx, "first", vassal.Turn{})
		q.take(ctx, "failed", vassal.Turn{Again: true})
		q.take(ctx, "new", vassal.Turn{})
		q.take(ctx, "newer", vassal.Turn{})
		q.take(ctx, "visited later", vassal.Turn{Visited: visited})
		impatient, giveUp := context.WithCancel(ctx)
		q.take(impatient, "impatient", vassal.Turn{})
		failed, visitFailed := context.WithCancel(ctx)
		q.take(ctx, "failed, visited", vassal.Turn{Again: true, Visited: failed})
		q.want("first")
		visit()
		q.want("first", "visited later") // beside it
		giveUp()
		visitFailed()
		want := []string{"first", "visited later"}
		q.release("visited later") // it had one of those for visitors only
		for _, next := range []string{"new", "newer", "failed, visited", "failed"} {
			q.want(want...)
			q.release(want[len(want)-1])
			if next == "new" {
				q.release("first")
			}
			want = append(want, next)
			q.want(want...)
		}
		q.release("failed")
		if q.taken != 0 {
			t.Errorf("%d slots are taken, and nobody has one", q.taken)
		}
	})
}

// TestSlowStartsDoNotHoldOthersUp: after two seconds, and while a processor is idle.
func TestSlowStartsDoNotHoldOthersUp(t *testing.T) {
	inQueue(t, 1, func(t *testing.T, ctx context.Context, q *queue) {
		q.take(ctx, "slow", vassal.Turn{})
		q.take(ctx, "next", vassal.Turn{})
		time.Sleep(slotTime - time.Millisecond)
		q.want("slow")
		time.Sleep(time.Millisecond)
		q.want("slow", "next")
	})
	inQueue(t, 1, func(t *testing.T, ctx context.Context, q *queue) {
		var idle atomic.Bool
		q.idle = idle.Load
		q.take(ctx, "slow", vassal.Turn{})
		q.take(ctx, "next", vassal.Turn{})
		time.Sleep(slotTime / 2)
		q.want("slow")
		idle.Store(true)
		time.Sleep(idleLook)
		q.want("slow", "next")
	})
}

// TestCrowds: that some wait is said once, and that nobody does any more.
func TestCrowds(t *testing.T) {
	inQueue(t, 1, func(t *testing.T, ctx context.Context, q *queue) {
		names := []string{"one", "two", "three"}
		q.take(ctx, names[0], vassal.Turn{})
		want := []bool(nil)
		for range 2 {
			for _, name := range names[1:] {
				q.take(ctx, name, vassal.Turn{})
			}
			want = append(want, true)
			for _, name := range names {
				time.Sleep(2 * idleLook)
				q.release(name)
			}
			want = append(want, false)
			q.take(ctx, names[0], vassal.Turn{}) // has not to wait
			q.slots.mu.Lock()
			if !slices.Equal(q.crowds, want) {
				t.Errorf("crowded: %v, want %v", q.crowds, want)
			}
			q.slots.mu.Unlock()
		}
	})
}

func TestNothingStartsAfterSlotsAreClosed(t *testing.T) {
	inQueue(t, 2, func(t *testing.T, ctx context.Context, q *queue) {
		q.take(ctx, "before", vassal.Turn{})
		q.Close()
		q.take(ctx, "after", vassal.Turn{})
		visited, visit := context.WithCancel(ctx)
		visit()
		q.take(ctx, "visited", vassal.Turn{Visited: visited})
		q.release("before")
		q.want("before")
	})
}

func TestWantToRun(t *testing.T) {
	for text, want := range map[string]int{"0.20 0.18 0.12 3/80 11206\n": 2, "0.20 0.18 0.12 1/80 11206": 0, "": math.MaxInt, "a b c d": math.MaxInt} {
		if got := wantToRun(text); got != want {
			t.Errorf("%q: %d, want %d", text, got, want)
		}
	}
	text, err := os.ReadFile("/proc/loadavg")
	if err != nil || wantToRun(string(text)) == math.MaxInt {
		t.Errorf("this kernel says %q, %v", text, err)
	}
}
