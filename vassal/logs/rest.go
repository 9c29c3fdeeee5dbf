package logs

import "time"

// A program that starts, or serves, says one line after the other, and to be woken for
// each costs the emperor more than the line does: the thirty of a uWSGI's start took a
// millisecond of a processor. So who says something again within a moment is read a
// moment later, unless so much may come in it that the pipe fills and holds the program
// up.

const (
	// restTime is how long a line waits at most before it is read.
	restTime = 10 * time.Millisecond
	// restBytes is how much may come meanwhile, a quarter of what a pipe holds: the
	// program may become faster than it was.
	restBytes = pipeSize / 4
	// shortRest is not worth it.
	shortRest = time.Millisecond
)

// restAfter is how long to wait after a read that has brought so many bytes, which came
// within so long, and for which the reader has waited so long.
func restAfter(n int, within, waited time.Duration) time.Duration {
	if n <= 0 || n >= restBytes || waited >= restTime {
		return 0
	}
	rest := min(restTime, within*restBytes/time.Duration(n))
	if rest < shortRest {
		return 0
	}
	return rest
}

// rest waits; less long if somebody is waiting for what is in the pipe.
func (c *Capture) rest(long time.Duration) {
	select {
	case <-c.hurried: // that was about an earlier rest
	default:
	}
	if long <= 0 || c.settling.Load() {
		return
	}
	timer := time.NewTimer(long)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-c.hurried:
	}
}

// hurry ends a rest.
func (c *Capture) hurry() {
	select {
	case c.hurried <- struct{}{}:
	default:
	}
}
