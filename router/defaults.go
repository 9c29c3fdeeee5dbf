package router

import (
	"log/slog"
	"sync/atomic"
	"time"
)

// defaults are the addresses of http-to, which take turns, and of http-fallback,
// which stand in when none of those can be reached. One that could not is passed
// over for a while (http-gracetime); when nothing else is left it is tried all
// the same.
type defaults struct {
	targets   []target
	fallbacks []target
	failed    []atomic.Int64 // of targets: unix nanoseconds until which it is passed over
	grace     time.Duration
}

// turn walks over the defaults for one request.
type turn struct {
	first uint32 // the target with the first turn
	step  int
	tried []bool // of targets; only made when something failed
}

// next returns the next address to try and its index in targets (-1 for a
// fallback), or nil when all were tried.
func (d *defaults) next(t *turn, now time.Time) (*target, int) {
	n, m := len(d.targets), len(d.fallbacks)
	for t.step < 2*n+m {
		step := t.step
		t.step++
		if n <= step && step < n+m {
			return &d.fallbacks[step-n], -1
		}
		i := int(t.first%uint32(n)) + step
		if step >= n {
			i -= n + m
		}
		i %= n
		if t.tried != nil && t.tried[i] || step < n && d.failed[i].Load() > now.UnixNano() {
			continue
		}
		return &d.targets[i], i
	}
	return nil, -1
}

// unreachable notes that target i was tried in vain.
func (x *exchange) unreachable(d *destination, i int, err error) {
	all := &x.settings.defaults
	if i < 0 {
		return
	}
	if d.turn.tried == nil {
		d.turn.tried = make([]bool, len(all.targets))
	}
	d.turn.tried[i] = true
	now := time.Now()
	if all.failed[i].Swap(now.Add(all.grace).UnixNano()) < now.UnixNano() && len(all.targets)+len(all.fallbacks) > 1 {
		x.router.log.Warn("an address of http-to is passed over for a while", slog.String("address", all.targets[i].text),
			slog.Any("err", err), slog.Duration("time", all.grace))
	}
}
