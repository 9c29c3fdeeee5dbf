package vassal

import (
	"testing"
	"time"
)

// TestEveryStateReachesGone: from everywhere there is a way out.
func TestEveryStateReachesGone(t *testing.T) {
	for s := State(0); s < stateCount; s++ {
		seen := map[State]bool{s: true}
		for queue := []State{s}; len(queue) > 0; queue = queue[1:] {
			for _, m := range moves[queue[0]] {
				if !seen[m.to] {
					seen[m.to] = true
					queue = append(queue, m.to)
				}
			}
		}
		if !seen[Gone] {
			t.Errorf("%s never reaches %s", s, Gone)
		}
	}
}

// TestOutsideEventsAreAlwaysDecided: what can come at any time has a move in
// every state but the last. WantedAlone needs a generation that serves.
func TestOutsideEventsAreAlwaysDecided(t *testing.T) {
	for s := State(0); s < Gone; s++ {
		for _, e := range []Event{Wanted, Refused, Removed, Halted, Shutdown, StartOrdered, StopOrdered, ReloadOrdered, RestartOrdered, Woken} {
			if _, ok := moves[s][e]; !ok {
				t.Errorf("%s in state %s is not decided", e, s)
			}
		}
	}
	for _, s := range []State{Ready, Reloading, Switching, Dozing} {
		if _, ok := moves[s][WantedAlone]; !ok {
			t.Errorf("%s in state %s is not decided", WantedAlone, s)
		}
	}
}

// TestShutdownStartsNothing: whatever comes after it.
func TestShutdownLeads(t *testing.T) {
	for s := State(0); s < Gone; s++ {
		m := moves[s][Shutdown]
		if s == Switching || s == Dozing {
			if m.do != postpone {
				t.Errorf("a hand-over is interrupted by %v", m)
			}
			continue
		}
		if m.to != Leaving || m.do != hurry {
			t.Errorf("shutdown in state %s leads to %s", s, m.to)
		}
	}
	if _, ok := moves[Leaving][BackOffElapsed]; ok {
		t.Error("a back-off starts a vassal that is leaving")
	}
}

func TestNamesAreComplete(t *testing.T) {
	seen := map[string]bool{}
	for s := State(0); s < stateCount; s++ {
		if s.String() == "" || seen[s.String()] {
			t.Errorf("state %d is called %q", s, s)
		}
		seen[s.String()] = true
	}
	for e := Event(0); e < eventCount; e++ {
		if e.String() == "" || seen[e.String()] {
			t.Errorf("event %d is called %q", e, e)
		}
		seen[e.String()] = true
	}
}

func TestNextDelay(t *testing.T) {
	const throttle, most = time.Second, 180 * time.Second
	for _, test := range []struct {
		failures int
		want     time.Duration
	}{{0, 0}, {1, time.Second}, {2, 2 * time.Second}, {3, 4 * time.Second}, {8, 128 * time.Second}, {9, most}, {1000, most}} {
		if got := nextDelay(test.failures, throttle, most); got != test.want {
			t.Errorf("after %d failures: %s, want %s", test.failures, got, test.want)
		}
	}
	if got := nextDelay(1, time.Hour, time.Minute); got != time.Minute {
		t.Errorf("a throttle above the most gives %s, want the most", got)
	}
}
