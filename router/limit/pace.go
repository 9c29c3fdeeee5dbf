package limit

import "time"

// Pace is the least rate at which a client must take an answer. It is a bucket of
// time: waiting for the client empties it, bytes that the client takes fill it at
// the least rate, and it never holds more than Grace. So a client may stall for
// Grace now and then, but one that drips is cut after little more than Grace (at
// half the least rate: after twice Grace), however much it took before.
//
// What the client has taken is not what was written: the kernel keeps up to some
// megabytes for a slow client and lets a blocked write go on only when a third of
// them are gone. A client that takes ten kilobytes a second can so look dead for
// minutes, and one that takes nothing lively. Written less what the kernel still
// holds (ioctl SIOCOUTQ) is the truth, and needed only when a write has waited long:
//
//	limit the write to meter.Patience(pace)
//	n, err := write(b)
//	meter.Waited(how long that took)
//	if the limit ended it {
//		meter.Took(pace, written-SIOCOUTQ)
//		if meter.TooSlow(pace) { end the connection }
//		go on with b[n:]
//	}
type Pace struct {
	BytesPerSecond int64         // 0: any byte within Grace will do
	Grace          time.Duration // the longest stall
}

// Meter is how one client keeps to a Pace during one answer; the zero value is the
// start of an answer.
type Meter struct {
	spent time.Duration // of the bucket
	taken int64         // bytes, when it was last looked at
}

// Patience is the limit for the next write. It is a part of Grace only: a client is
// looked at more often than it may be cut, so that a stall is not excused by what
// came long before it.
func (m *Meter) Patience(p Pace) time.Duration {
	return max(min(p.Grace-m.spent, p.Grace/4), time.Millisecond)
}

// TooSlow tells whether the bucket is empty.
func (m *Meter) TooSlow(p Pace) bool { return m.spent >= p.Grace }

// Waited says how long a write waited for the client.
func (m *Meter) Waited(d time.Duration) { m.spent += d }

// Took says how many bytes of the answer the client has taken so far, in all.
func (m *Meter) Took(p Pace, total int64) {
	n := total - m.taken
	m.taken = total
	switch {
	case n <= 0:
	case p.BytesPerSecond <= 0:
		m.spent = 0
	default:
		earned := float64(n) / float64(p.BytesPerSecond) // seconds; as a Duration it might overflow
		if earned >= m.spent.Seconds() {
			m.spent = 0
		} else {
			m.spent -= time.Duration(earned * float64(time.Second))
		}
	}
}
