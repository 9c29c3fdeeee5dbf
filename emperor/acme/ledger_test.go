package acme

import (
	"errors"
	"fmt"
	"testing"
	"time"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// until is when a ledger lets an order through; 0: now.
func until(t *testing.T, l *ledger, name string, most int, now time.Time) time.Duration {
	t.Helper()
	err := l.enter(name, most, now)
	var r *refused
	if err == nil {
		return 0
	}
	if !errors.As(err, &r) {
		t.Fatal(err)
	}
	return r.until.Sub(now)
}

// TestLedgerOfFailures: each order that fails puts the next one off for longer, and so
// does one whose end nobody has seen.
func TestLedgerOfFailures(t *testing.T) {
	for _, crash := range []bool{false, true} {
		l, now := &ledger{}, noon
		for i, want := range []time.Duration{5 * time.Minute, time.Hour, 4 * time.Hour, 12 * time.Hour, 24 * time.Hour, 24 * time.Hour} {
			if wait := until(t, l, "a.example.com", 100, now); wait != 0 {
				t.Fatalf("crash %v: order %d has to wait for %v", crash, i, wait)
			}
			if !crash {
				l.leave("a.example.com", now, errors.New("no"), false)
			}
			if wait := until(t, l, "a.example.com", 100, now.Add(time.Second)); wait != want-time.Second {
				t.Errorf("crash %v: after order %d the next has to wait for %v, want %v", crash, i, wait, want)
			}
			now = now.Add(want)
		}
		// Another name is not concerned, and success forgets.
		if wait := until(t, l, "b.example.com", 100, now); wait != 0 {
			t.Errorf("another name has to wait for %v", wait)
		}
		if err := l.enter("a.example.com", 100, now); err != nil {
			t.Fatal(err)
		}
		l.leave("a.example.com", now, nil, false)
		if r := l.Names["a.example.com"]; r.Failures != 0 || r.Trouble != "" || !r.Next.IsZero() || len(r.Issued) != 1 {
			t.Errorf("after a success: %+v", r)
		}
	}
}

// TestLedgerLimits: certificates for one name, orders of one name, orders in all; each
// limit ends when its time is over.
func TestLedgerLimits(t *testing.T) {
	tests := map[string]struct {
		orders int
		every  time.Duration
		end    func(l *ledger, name string, at time.Time)
		same   bool // one name
		most   int
		wait   time.Duration // after the last of them
	}{
		"five certificates for one name": {5, 20 * time.Minute, func(l *ledger, name string, at time.Time) { l.leave(name, at, nil, false) }, true, 100, week - 80*time.Minute},
		"five interruptions":             {5, time.Minute, func(l *ledger, name string, at time.Time) { l.leave(name, at, nil, true); l.Names[name].Issued = nil }, true, 100, time.Hour - 4*time.Minute},
		"orders in all":                  {7, time.Hour, func(l *ledger, name string, at time.Time) { l.leave(name, at, nil, false) }, false, 7, week - 6*time.Hour},
	}
	for what, test := range tests {
		l, now := &ledger{}, noon
		name := "a.example.com"
		for i := range test.orders {
			if !test.same {
				name = fmt.Sprintf("%d.example.com", i)
			}
			if wait := until(t, l, name, test.most, now); wait != 0 {
				t.Fatalf("%s: order %d has to wait for %v", what, i, wait)
			}
			test.end(l, name, now)
			now = now.Add(test.every)
		}
		now = now.Add(-test.every)
		if !test.same {
			name = "new.example.com"
		}
		if wait := until(t, l, name, test.most, now); wait != test.wait {
			t.Errorf("%s: the next has to wait for %v, want %v", what, wait, test.wait)
		}
		if wait := until(t, l, name, test.most, now.Add(test.wait)); wait != 0 {
			t.Errorf("%s: and then for %v", what, wait)
		}
	}
}

// TestLedgerAuthorityLimit: an authority that has had enough is left alone for longer.
func TestLedgerAuthorityLimit(t *testing.T) {
	l := &ledger{}
	if err := l.enter("a.example.com", 10, noon); err != nil {
		t.Fatal(err)
	}
	l.leave("a.example.com", noon, &refusal{limited: true, text: "too many"}, false)
	if wait := until(t, l, "a.example.com", 10, noon); wait != limitedFor {
		t.Errorf("the next has to wait for %v, want %v", wait, limitedFor)
	}
}

// TestLedgerClock: a clock that was years ahead forbids nothing when it is right again.
func TestLedgerClock(t *testing.T) {
	l := &ledger{}
	wrong := noon.AddDate(10, 0, 0)
	for range 5 {
		if err := l.enter("a.example.com", 10, wrong); err != nil {
			t.Fatal(err)
		}
		l.leave("a.example.com", wrong, nil, false)
	}
	if err := l.enter("b.example.com", 10, wrong); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"a.example.com", "b.example.com"} {
		if wait := until(t, l, name, 1+len(name), noon); wait != 0 {
			t.Errorf("%s has to wait for %v", name, wait)
		}
	}
}
