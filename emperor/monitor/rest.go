package monitor

import "time"

// Where the kernel reports every change (see result.covered), a scan that nothing
// called for finds nothing: it is a net for what nobody has thought of. So it is made
// as rarely as it takes to cost next to nothing. What no event tells, that a folder
// further up was renamed or something was mounted, is looked at in between: that is
// a stat of each watched directory, and not one of each file.

const (
	// restPerPath is the pause for each path that is looked at: a look takes some 3 µs,
	// and all of them together one part in ten thousand of a processor at most.
	restPerPath = 30 * time.Millisecond
	// rarest is the longest pause where Options give none.
	rarest = time.Minute
)

// pause is the time until so many paths are looked at again, of which the kernel
// reports every change.
func (set *settings) pause(paths int) time.Duration {
	if !set.rarely {
		return set.frequency
	}
	return max(set.frequency, min(time.Duration(paths)*restPerPath, rarest))
}

// mayRest tells whether nothing calls for a scan now.
func (l *loop) mayRest(set *settings, now time.Time) bool {
	return !l.asked && now.Before(l.net) && l.watcher.stand() && !l.mounts.moved(l.places, set.extensions)
}

// rest sets the timer for the next look: at what stands, or at everything.
func (l *loop) rest(set *settings) {
	now := l.now()
	l.due = now.Add(set.pause(len(l.places)))
	if l.net.Before(l.due) {
		l.due = l.net
	}
	l.timer.Reset(l.due.Sub(now))
}
