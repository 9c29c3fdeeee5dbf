package limit

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"testing"
	"time"
)

func TestRatesAllowABurstThenTheRate(t *testing.T) {
	r := NewRates(Rate{PerSecond: 2, Burst: 3}, 100)
	now := time.Unix(1000, 0)
	allow := func(key string, want bool, retry time.Duration) {
		t.Helper()
		ok, got := r.Allow([]byte(key), now)
		if ok != want || (got-retry).Abs() > time.Microsecond {
			t.Errorf("Allow(%s) = %v, %v; want %v, %v", key, ok, got, want, retry)
		}
	}
	for range 3 {
		allow("a", true, 0)
	}
	allow("a", false, 500*time.Millisecond)
	allow("b", true, 0)
	now = now.Add(200 * time.Millisecond)
	allow("a", false, 300*time.Millisecond)
	_, retry := r.Allow([]byte("a"), now)
	now = now.Add(retry)
	allow("a", true, 0) // who waits as long as told is let in
	allow("a", false, 500*time.Millisecond)
	now = now.Add(-time.Hour) // a clock that is set back
	allow("a", false, 500*time.Millisecond)
	now = now.Add(2 * time.Hour)
	for range 3 {
		allow("a", true, 0) // not more than a burst is saved up
	}
	allow("a", false, 500*time.Millisecond)
}

func TestRatesCanBeChanged(t *testing.T) {
	r := NewRates(Rate{}, 100)
	now := time.Unix(1000, 0)
	allowed := func(key string) int {
		n := 0
		for range 50 {
			if ok, _ := r.Allow([]byte(key), now); ok {
				n++
			}
		}
		return n
	}
	if got := allowed("a"); got != 50 {
		t.Errorf("%d of 50 without a limit", got)
	}
	r.SetRate(Rate{PerSecond: 0.001})
	if got := allowed("a"); got != 1 {
		t.Errorf("%d of 50 with a burst that was not given, want 1", got)
	}
	r.SetRate(Rate{PerSecond: 10, Burst: 10})
	if got := allowed("a"); got != 0 {
		t.Errorf("%d of 50 although the bucket was empty", got)
	}
	now = now.Add(time.Second)
	if got := allowed("a"); got != 10 {
		t.Errorf("%d of 50 a second later, want 10", got)
	}
	now = now.Add(time.Second)
	r.SetRate(Rate{PerSecond: 10, Burst: 4})
	if got := allowed("a"); got != 4 {
		t.Errorf("%d of 50 after the burst became less, want 4", got)
	}
}

// TestRatesAgainstTheirDefinition: in any window, a key gets no more than a burst and
// what the rate brings; and one that stays below it is never refused, whatever
// others do.
func TestRatesAgainstTheirDefinition(t *testing.T) {
	random := rand.New(rand.NewPCG(2, 3))
	for range 50 {
		rate := Rate{PerSecond: 0.5 + 50*random.Float64(), Burst: 1 + random.IntN(20)}
		r := NewRates(rate, 1000)
		now := time.Unix(1000, 0)
		var times []time.Time
		polite := now
		for range 2000 {
			now = now.Add(time.Duration(random.ExpFloat64() / rate.PerSecond / 3 * float64(time.Second)))
			if ok, _ := r.Allow([]byte("greedy"), now); ok {
				times = append(times, now)
			}
			if now.After(polite) {
				if ok, retry := r.Allow([]byte("polite"), now); !ok {
					t.Fatalf("%+v: a polite key is refused for %v", rate, retry)
				}
				polite = now.Add(time.Duration(1.0001 / rate.PerSecond * float64(time.Second)))
			}
		}
		for i := range times {
			for _, j := range []int{i + 1, i + 5, i + 50, i + 500} {
				if j >= len(times) {
					break
				}
				most := float64(rate.Burst) + times[j].Sub(times[i]).Seconds()*rate.PerSecond + 0.001
				if n := float64(j - i + 1); n > most {
					t.Fatalf("%+v: %v requests in %v", rate, n, times[j].Sub(times[i]))
				}
			}
		}
	}
}

// TestRatesRememberABoundedNumber: a flood of keys neither grows without bound nor
// makes a key that is in use forgotten, and is forgotten itself.
func TestRatesRememberABoundedNumber(t *testing.T) {
	const keys = 16 * 400
	r := NewRates(Rate{PerSecond: 1, Burst: 10}, keys)
	now := time.Unix(1000, 0)
	allowed := 0
	for i := range 200_000 {
		now = now.Add(10 * time.Microsecond)
		r.Allow(strconv.AppendInt([]byte("flood"), int64(i), 10), now)
		if i%50 == 0 {
			if ok, _ := r.Allow([]byte("in use"), now); ok {
				allowed++
			}
		}
	}
	if n := r.Keys(); n > keys {
		t.Errorf("%d keys are remembered, want at most %d", n, keys)
	}
	if allowed > 12 {
		t.Errorf("a key in use was allowed %d requests in 2 s", allowed)
	}
	now = now.Add(time.Minute)
	for i := range 2 * keys { // ordinary traffic of a few hosts
		now = now.Add(time.Millisecond)
		r.Allow(fmt.Appendf(nil, "host%d", i%64), now)
	}
	if n := r.Keys(); n > keys/4 { // a shard without traffic keeps what it has
		t.Errorf("%d keys of %d are remembered after the flood", n, keys)
	}
}

func BenchmarkRates(b *testing.B) {
	r := NewRates(Rate{PerSecond: 1e9, Burst: 1000}, 10_000)
	keys := make([][]byte, 1000)
	for i := range keys {
		keys[i] = fmt.Appendf(nil, "host%d.example.com", i)
	}
	now := time.Now()
	i := 0
	b.ReportAllocs()
	for b.Loop() {
		r.Allow(keys[i%len(keys)], now)
		i++
	}
}
