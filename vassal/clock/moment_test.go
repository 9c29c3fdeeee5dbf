package clock

import (
	"testing"
	"time"
)

// hands is a clock whose two hands a test moves.
type hands struct {
	System
	wall   time.Time
	uptime time.Duration
}

func (h *hands) Now() time.Time        { return h.wall }
func (h *hands) Uptime() time.Duration { return h.uptime }

// TestRecall: a time that was written down is as far away as before, whatever became of
// the wall clock.
func TestRecall(t *testing.T) {
	noon := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	for _, set := range []time.Duration{0, time.Hour, -time.Hour, 10 * 365 * 24 * time.Hour} {
		c := &hands{wall: noon, uptime: 500 * time.Second}
		m := Here(c)
		c.wall, c.uptime = c.wall.Add(3*time.Second+set), c.uptime+3*time.Second
		recall := m.Recall(c)
		for _, ahead := range []time.Duration{time.Minute, 0, -time.Hour} {
			if got := recall(noon.Add(ahead)).Sub(c.wall); got != ahead-3*time.Second {
				t.Errorf("clock set by %s: what was %s ahead is %s ahead after 3s", set, ahead, got)
			}
		}
		if !recall(time.Time{}).IsZero() {
			t.Error("no time has become one")
		}
	}
	// By a binary that did not write the moment down, or after the kernel was booted.
	for _, m := range []Moment{{}, {Wall: noon, Uptime: time.Hour}} {
		if got := m.Recall(&hands{wall: noon.Add(time.Hour), uptime: time.Second})(noon); !got.Equal(noon) {
			t.Errorf("%+v: %s", m, got)
		}
	}
	if Here(System{}).Uptime <= 0 {
		t.Error("the kernel's clock is not known")
	}
}
