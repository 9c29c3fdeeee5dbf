package vassal

import "time"

// healthy is how long a generation must have been ready for its death to be an
// accident: then it is started again at once, and earlier failures are forgotten.
const healthy = 10 * time.Second

// doubt is how long a death by TERM waits before it counts as a crash. Platforms
// and service managers send TERM to every process at once; ours may reach us a
// little later than the vassal's reached it, and a start now would be in vain.
const doubt = time.Second

// nextDelay is how long the next start waits after that many failures in a row
// (1: the first): the throttle, doubled each time, up to the most.
func nextDelay(failures int, throttle, most time.Duration) time.Duration {
	if failures < 1 {
		return 0
	}
	d := throttle
	for range failures - 1 {
		if d *= 2; d >= most || d <= 0 {
			return most
		}
	}
	return min(d, most)
}
