// Package clock is the time that a vassal goes by. Everything below vassal that waits asks
// a Clock, so that a test can be the master of time and needs no sleep.
package clock

import (
	"context"
	"time"
)

// Clock is time, so that a test can be its master.
type Clock interface {
	Now() time.Time
	// AfterFunc calls f in its own goroutine after d; stop says whether it prevented that.
	AfterFunc(d time.Duration, f func()) (stop func() bool)
}

// System is the real one.
type System struct{}

func (System) Now() time.Time { return time.Now() }

func (System) AfterFunc(d time.Duration, f func()) func() bool {
	return time.AfterFunc(d, f).Stop
}

// After is a channel that is closed when d is over; stop frees the timer.
func After(c Clock, d time.Duration) (over <-chan struct{}, stop func() bool) {
	ch := make(chan struct{})
	return ch, c.AfterFunc(d, func() { close(ch) })
}

// Sleep waits for d; false when ctx ended first.
func Sleep(ctx context.Context, c Clock, d time.Duration) bool {
	if d <= 0 {
		return ctx.Err() == nil
	}
	over, stop := After(c, d)
	defer stop()
	select {
	case <-over:
		return true
	case <-ctx.Done():
		return false
	}
}

// Within is a context that ends after d by the given clock, with that cause.
func Within(ctx context.Context, c Clock, d time.Duration, cause error) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	stop := c.AfterFunc(d, func() { cancel(cause) })
	return ctx, func() { stop(); cancel(context.Canceled) }
}
