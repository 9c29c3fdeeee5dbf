package deadline

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func start(t *testing.T) *Sweeper {
	t.Helper()
	s := NewSweeper()
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { s.Run(ctx) })
	t.Cleanup(func() { cancel(); running.Wait() })
	return s
}

// fires counts how often the limit has fired.
type fires struct{ atomic.Int32 }

func (f *fires) Expired(*Deadline) { f.Add(1) }

func TestFiresOnceAfterItsTimeNeverBefore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := start(t)
		var d Deadline
		var fired fires
		s.Add(&d, &fired)
		time.Sleep(time.Hour) // long enough for the sweeper to park
		d.Set(3 * time.Second)
		time.Sleep(3*time.Second - time.Millisecond)
		if fired.Load() != 0 || d.Expired() {
			t.Fatal("fired before its time")
		}
		time.Sleep(2 * Tick)
		if fired.Load() != 1 || !d.Expired() {
			t.Fatalf("fired %d times after its time", fired.Load())
		}
		time.Sleep(time.Minute)
		if fired.Load() != 1 {
			t.Fatalf("fired %d times for one Set", fired.Load())
		}
		d.Set(time.Second)
		if d.Expired() {
			t.Fatal("a new limit starts expired")
		}
		d.Clear()
		time.Sleep(time.Minute)
		if fired.Load() != 1 {
			t.Fatal("a cleared limit fired")
		}
	})
}

func TestSetAgainMovesTheLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := start(t)
		var d Deadline
		var fired fires
		s.Add(&d, &fired)
		for range 100 {
			d.Set(time.Second)
			time.Sleep(900 * time.Millisecond)
		}
		if fired.Load() != 0 {
			t.Fatal("fired although it was always set anew in time")
		}
	})
}

func TestRemoveForgets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := start(t)
		var fired [3]fires
		var d [3]Deadline
		for i := range d {
			s.Add(&d[i], &fired[i])
			d[i].Set(time.Second)
		}
		s.Remove(&d[0])
		time.Sleep(time.Minute)
		for i, want := range []int32{0, 1, 1} {
			if got := fired[i].Load(); got != want {
				t.Errorf("deadline %d fired %d times, want %d", i, got, want)
			}
		}
	})
}

// TestRemovedBeforeOrAfter: who was never limited is not kept, and a limit that is set on a
// closed connection does nothing.
func TestRemovedBeforeOrAfter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := start(t)
		var fired fires
		var d, other Deadline
		s.Add(&d, &fired)
		s.Add(&other, &fired)
		s.Remove(&d)
		d.Set(time.Second)
		other.Set(time.Second)
		s.Remove(&other)
		s.Remove(&other)
		other.Set(time.Second)
		time.Sleep(time.Minute)
		if n := fired.Load(); n != 0 || len(s.all) != 0 {
			t.Errorf("fired %d times, %d are still looked at", n, len(s.all))
		}
	})
}

func BenchmarkSet(b *testing.B) {
	s := NewSweeper()
	var d Deadline
	s.Add(&d, new(fires))
	for b.Loop() {
		d.Set(time.Minute)
	}
}
