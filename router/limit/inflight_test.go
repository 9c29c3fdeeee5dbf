package limit

import (
	"errors"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// visitor gives up at a time; the zero value never does.
type visitor struct{ until time.Time }

func (v *visitor) Gone() bool { return !v.until.IsZero() && !time.Now().Before(v.until) }

// started is an Acquire that was begun in a goroutine of its own.
type started struct {
	done chan struct{}
	err  error
	took time.Duration
}

// begin begins an Acquire and returns when it waits or has ended.
func begin(f *InFlight, stop <-chan struct{}, who Client) *started {
	s := &started{done: make(chan struct{})}
	begun := time.Now()
	go func() {
		defer close(s.done)
		s.err = f.Acquire(stop, who)
		s.took = time.Since(begun)
	}()
	synctest.Wait()
	return s
}

func (s *started) over() bool {
	synctest.Wait()
	select {
	case <-s.done:
		return true
	default:
		return false
	}
}

func wantLoad(t *testing.T, f *InFlight, running, waiting int) {
	t.Helper()
	if r, w := f.Load(); r != running || w != waiting {
		t.Errorf("%d run and %d wait, want %d and %d", r, w, running, waiting)
	}
}

func wantEnd(t *testing.T, s *started, err error, took time.Duration) {
	t.Helper()
	if !s.over() {
		t.Fatal("still waits")
	}
	if !errors.Is(s.err, err) || s.took != took {
		t.Errorf("ended after %v with %v, want %v with %v", s.took, s.err, took, err)
	}
}

func TestInFlightTurnsComeInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := NewInFlight(Caps{Running: 2, Waiting: 3, Wait: time.Minute}, nil)
		wantEnd(t, begin(f, nil, nil), nil, 0)
		wantEnd(t, begin(f, nil, nil), nil, 0)
		queue := []*started{begin(f, nil, nil), begin(f, nil, &visitor{}), begin(f, nil, nil)}
		wantLoad(t, f, 2, 3)
		wantEnd(t, begin(f, nil, nil), ErrFull, 0)
		time.Sleep(time.Second)
		for i, s := range queue {
			f.Release()
			wantEnd(t, s, nil, time.Second)
			wantLoad(t, f, 2, 2-i)
		}
		f.Release()
		f.Release()
		wantLoad(t, f, 0, 0)
		if f.Refused() != 1 {
			t.Errorf("%d refused, want 1", f.Refused())
		}
	})
}

func TestInFlightWaitingEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := NewInFlight(Caps{Running: 1, Waiting: 10, Wait: 30 * time.Second}, nil)
		wantEnd(t, begin(f, nil, nil), nil, 0)
		stop := make(chan struct{})
		patient := begin(f, nil, nil)
		gone := begin(f, nil, &visitor{time.Now().Add(2500 * time.Millisecond)})
		stopped := begin(f, stop, nil)
		time.Sleep(5 * time.Second)
		close(stop)
		wantEnd(t, gone, ErrGone, 3*time.Second)
		wantEnd(t, stopped, ErrStopped, 5*time.Second)
		wantLoad(t, f, 1, 1)
		time.Sleep(time.Minute)
		wantEnd(t, patient, ErrWaited, 30*time.Second)
		wantLoad(t, f, 1, 0)
	})
}

// TestInFlightNoTurnIsLostOnTheGone: the turn of a visitor who left since it was
// last asked goes to the next.
func TestInFlightNoTurnIsLostOnTheGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := NewInFlight(Caps{Running: 1, Waiting: 10, Wait: 30 * time.Second}, nil)
		wantEnd(t, begin(f, nil, nil), nil, 0)
		left := begin(f, nil, &visitor{time.Now().Add(100 * time.Millisecond)})
		next := begin(f, nil, &visitor{})
		time.Sleep(200 * time.Millisecond)
		f.Release()
		wantEnd(t, left, ErrGone, 200*time.Millisecond)
		wantEnd(t, next, nil, 200*time.Millisecond)
		wantLoad(t, f, 1, 0)
	})
}

func TestInFlightCapsChange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := NewInFlight(Caps{}, nil)
		for range 5 {
			wantEnd(t, begin(f, nil, nil), nil, 0)
		}
		// A cap below what runs: nobody is stopped, nobody is let in.
		f.SetCaps(Caps{Running: 2, Waiting: 4, Wait: time.Minute})
		var queue []*started
		for range 4 {
			queue = append(queue, begin(f, nil, nil))
		}
		wantLoad(t, f, 5, 4)
		for range 3 {
			f.Release()
		}
		wantLoad(t, f, 2, 4)
		f.Release()
		wantEnd(t, queue[0], nil, 0)
		wantLoad(t, f, 2, 3)
		// A shorter queue: who waits stays.
		f.SetCaps(Caps{Running: 2, Waiting: 1, Wait: time.Minute})
		wantLoad(t, f, 2, 3)
		wantEnd(t, begin(f, nil, nil), ErrFull, 0)
		// A higher cap: who may, goes.
		f.SetCaps(Caps{Running: 4, Waiting: 1, Wait: time.Minute})
		wantEnd(t, queue[1], nil, 0)
		wantEnd(t, queue[2], nil, 0)
		wantLoad(t, f, 4, 1)
		f.SetCaps(Caps{})
		wantEnd(t, queue[3], nil, 0)
		wantLoad(t, f, 5, 0)
	})
}

func TestInFlightRoomIsShared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		room := NewRoom(3)
		caps := Caps{Running: 1, Waiting: 2, Wait: time.Minute}
		a, b := NewInFlight(caps, room), NewInFlight(caps, room)
		for _, f := range []*InFlight{a, b} {
			wantEnd(t, begin(f, nil, nil), nil, 0)
		}
		first := begin(a, nil, nil)
		begin(a, nil, nil)
		wantEnd(t, begin(a, nil, nil), ErrFull, 0) // a's own queue
		begin(b, nil, nil)
		wantEnd(t, begin(b, nil, nil), ErrFull, 0) // the room
		a.Release()
		wantEnd(t, first, nil, 0)
		begin(b, nil, nil)
		if room.Waiting() != 3 {
			t.Errorf("%d wait, want 3", room.Waiting())
		}
		time.Sleep(time.Hour)
		synctest.Wait()
		if room.Waiting() != 0 {
			t.Errorf("%d wait at the end", room.Waiting())
		}
	})
}

// run drives f with requests that take service each, one every gap and a burst of
// them every 20 s, for two minutes, and tells how long those had waited whose
// visitors still were there at the end.
func run(f *InFlight, service, gap, patience time.Duration, burst int) (waits []time.Duration, useless int) {
	var mu sync.Mutex
	var requests sync.WaitGroup
	request := func() {
		begun := time.Now()
		who := &visitor{begun.Add(patience)}
		if f.Acquire(nil, who) != nil {
			return
		}
		waited := time.Since(begun)
		time.Sleep(service)
		f.Release()
		mu.Lock()
		defer mu.Unlock()
		if who.Gone() {
			useless++
		} else {
			waits = append(waits, waited)
		}
	}
	for at := time.Duration(0); at < 2*time.Minute; at += gap {
		requests.Go(request)
		if at%(20*time.Second) < gap {
			for range burst {
				requests.Go(request)
			}
		}
		time.Sleep(gap)
	}
	requests.Wait()
	slices.Sort(waits)
	return waits, useless
}

func TestInFlightOverloadServesThoseStillThere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := NewInFlight(Caps{Running: 4, Waiting: 100, Wait: 30 * time.Second}, nil)
		waits, useless := run(f, time.Second, 25*time.Millisecond, 10*time.Second, 0)
		// It can do 480 in that time.
		if len(waits) < 450 || useless > 25 {
			t.Errorf("%d were served, %d of them after they had given up", len(waits)+useless, useless)
		}
		if median := waits[len(waits)/2]; median > 100*time.Millisecond {
			t.Errorf("the median of those served waited %v", median)
		}
		wantLoad(t, f, 0, 0)
	})
}

func TestInFlightBurstIsServedInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := NewInFlight(Caps{Running: 8, Waiting: 100, Wait: 30 * time.Second}, nil)
		waits, _ := run(f, 50*time.Millisecond, 7*time.Millisecond, time.Hour, 60)
		if last := waits[len(waits)-1]; last > 450*time.Millisecond {
			t.Errorf("one of a burst waited %v while others overtook it", last)
		}
	})
}

// TestInFlightKeepsItsCount does everything at once, at random, and looks at the
// promise: never more at a time than the highest cap, all waiting ends, and at the
// end nothing is counted.
func TestInFlightKeepsItsCount(t *testing.T) {
	for seed := range uint64(30) {
		synctest.Test(t, func(t *testing.T) {
			random := rand.New(rand.NewPCG(7, seed))
			room := NewRoom(1 + random.IntN(40))
			highest := 1 + random.IntN(8)
			f := NewInFlight(Caps{Running: highest, Waiting: 10, Wait: 2 * time.Second}, room)
			stop := make(chan struct{})
			var now, ended atomic.Int64
			var requests sync.WaitGroup
			const all = 500
			for range all {
				service := time.Duration(random.ExpFloat64() * float64(100*time.Millisecond))
				who := &visitor{time.Now().Add(time.Duration(random.ExpFloat64() * float64(5*time.Second)))}
				requests.Go(func() {
					defer ended.Add(1)
					if f.Acquire(stop, who) != nil {
						return
					}
					if n := now.Add(1); n > int64(highest) {
						t.Errorf("%d at a time, the cap is %d", n, highest)
					}
					time.Sleep(service)
					now.Add(-1)
					f.Release()
				})
				if random.IntN(20) == 0 {
					f.SetCaps(Caps{Running: 1 + random.IntN(highest), Waiting: random.IntN(30), Wait: time.Duration(random.IntN(3000)) * time.Millisecond})
				}
				time.Sleep(time.Duration(random.ExpFloat64() * float64(20*time.Millisecond)))
			}
			close(stop)
			requests.Wait()
			wantLoad(t, f, 0, 0)
			if room.Waiting() != 0 || ended.Load() != all {
				t.Errorf("%d wait at the end, %d of %d ended", room.Waiting(), ended.Load(), all)
			}
		})
	}
}

// TestInFlightFromManyGoroutines is for the race detector, on the real clock.
func TestInFlightFromManyGoroutines(t *testing.T) {
	f := NewInFlight(Caps{Running: 2, Waiting: 50, Wait: time.Second}, NewRoom(20))
	var workers sync.WaitGroup
	for range 16 {
		workers.Go(func() {
			for i := range 2000 {
				if f.Acquire(nil, nil) == nil {
					f.Release()
				}
				if i%500 == 0 {
					f.SetCaps(Caps{Running: 1 + i%3, Waiting: 50, Wait: time.Second})
				}
			}
		})
	}
	workers.Wait()
	wantLoad(t, f, 0, 0)
}

func TestInFlightBelowTheCapAllocatesNothing(t *testing.T) {
	f := NewInFlight(Caps{Running: 2, Waiting: 1, Wait: time.Second}, NewRoom(10))
	who := &visitor{}
	if n := testing.AllocsPerRun(1000, func() {
		_ = f.Acquire(nil, who)
		f.Release()
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
	// Nor does a refusal, of which there are most when it matters.
	_ = f.Acquire(nil, nil)
	f.SetCaps(Caps{Running: 1})
	if n := testing.AllocsPerRun(1000, func() { _ = f.Acquire(nil, who) }); n != 0 {
		t.Errorf("%v allocations for a refusal", n)
	}
}

func BenchmarkInFlight(b *testing.B) {
	f := NewInFlight(Caps{Running: 2, Waiting: 1, Wait: time.Second}, NewRoom(10))
	who := &visitor{}
	b.ReportAllocs()
	for b.Loop() {
		_ = f.Acquire(nil, who)
		f.Release()
	}
}

// BenchmarkInFlightQueued hands each turn from one goroutine to the next.
func BenchmarkInFlightQueued(b *testing.B) {
	f := NewInFlight(Caps{Running: 1, Waiting: 1000, Wait: time.Minute}, NewRoom(1000))
	who := &visitor{}
	b.ReportAllocs()
	b.SetParallelism(16)
	b.RunParallel(func(p *testing.PB) {
		for p.Next() {
			if f.Acquire(nil, who) == nil {
				f.Release()
			}
		}
	})
}
