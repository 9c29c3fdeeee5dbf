package clock

import (
	"time"

	"golang.org/x/sys/unix"
)

// Moment is when something was written down for another process. A time that is written
// down is one of the wall clock's, which may be set before it is read; with the moment
// the reader can tell how long ago it really was.
type Moment struct {
	Wall time.Time
	// Uptime is the kernel's clock, which nobody sets; 0: it is not known.
	Uptime time.Duration
}

// uptimes is a Clock that has the kernel's as well.
type uptimes interface{ Uptime() time.Duration }

// Uptime is CLOCK_MONOTONIC, which Go's own timers go by.
func (System) Uptime() time.Duration {
	var now unix.Timespec
	if unix.ClockGettime(unix.CLOCK_MONOTONIC, &now) != nil {
		return 0
	}
	return time.Duration(now.Nano())
}

// Here is the present moment.
func Here(c Clock) Moment {
	m := Moment{Wall: c.Now()}
	if kernel, ok := c.(uptimes); ok {
		m.Uptime = kernel.Uptime()
	}
	return m
}

// Recall turns times that were written down at m, by the same kernel, into times of c:
// as long ago, or ahead, as they would be had nobody set the clock.
func (m Moment) Recall(c Clock) func(time.Time) time.Time {
	now := Here(c)
	return func(t time.Time) time.Time {
		if t.IsZero() || m.Uptime <= 0 || now.Uptime < m.Uptime {
			return t
		}
		// From now on, so that it is of the kernel's clock again.
		return now.Wall.Add(t.Round(0).Sub(m.Wall.Round(0)) - (now.Uptime - m.Uptime))
	}
}
