package vassal

import (
	"reflect"
	"slices"
	"time"

	"emperor/internal/link"
)

// publish tells the router the row for the present state, unless a hand-over is
// under way, which does that itself.
func (v *Vassal) publish() uint64 {
	if v.state == Switching || v.state == Dozing || v.state == Waiting {
		return 0
	}
	if v.shutdown {
		// The front has stopped taking requests, or has gone, before its vassals go.
		return 0
	}
	return v.publisher.publish(v.row(v.current, v.linkState()))
}

func (v *Vassal) linkState() link.State {
	switch v.state {
	case Ready, Reloading, Switching, Dozing:
		return v.serving()
	case Asleep:
		return link.Asleep
	case Failed:
		return link.Failed
	case Stopping, Stopped:
		return link.Stopped
	}
	return link.Starting
}

// row is the vassal's row of the router's table, with the addresses of that
// generation if there is one.
func (v *Vassal) row(g *generation, state link.State) link.Vassal {
	r := link.Vassal{Name: v.name, State: state}
	switch {
	case g != nil:
		r.Generation = g.number
		r.Addresses = g.body.addresses()
		r.Files, r.Opened = g.body.files()
		r.Harakiri = g.spec.Health.Harakiri.Milliseconds()
		r.Announces = g.spec.Announcements()
	case v.candidate != nil:
		r.Generation = v.candidate.number
	default:
		r.Generation = v.number
	}
	if g == nil && v.spec != nil {
		r.Addresses, r.Files, r.Announces = v.spec.Addresses(), v.spec.StaticFiles(), v.spec.Announcements()
	}
	if state != link.Ready {
		r.Reason = v.reason
	}
	if state == link.Failed && !v.retryAt.IsZero() {
		r.Retry = max(1, v.retryAt.Sub(v.clock.Now()).Milliseconds())
		r.Refuse = v.maySleep() // it starts when somebody comes then, and not by itself
	}
	if v.state == Leaving || v.state == Gone {
		r.Removed = true
	}
	return r
}

// show publishes the Status, once for each change.
func (v *Vassal) show() {
	s := Status{
		Name: v.name, State: v.state, Since: v.since, Reason: v.reason, Problem: v.problem,
		Restarts: v.restarts, Loyal: v.current != nil && v.current.loyal, RetryAt: v.retryAt, Lines: v.output.Lines(0),
		Failure: v.failure, Awake: v.awakeness(), Health: v.health(), Paused: v.paused, Hook: v.hookFailure.Load(),
	}
	s.Daemons, s.Crons = v.helpers.status()
	if v.spec != nil {
		s.File, s.Kind = v.spec.File, v.spec.Kind
		s.Overlap, s.OverlapReason = v.spec.Overlap, v.spec.OverlapReason
		s.Sleep = v.spec.Sleep
		s.Addresses, s.Files = v.spec.Addresses(), v.spec.StaticFiles()
		if v.selfBound != "" {
			s.Overlap, s.OverlapReason = false, v.selfBound
		}
	}
	if v.current != nil {
		s.Generation = v.current.number
		s.PIDs = *v.current.pids.Load()
		s.Addresses = v.current.body.addresses()
		s.Files, _ = v.current.body.files()
	}
	if v.candidate != nil {
		s.Starting, s.StartingPIDs = v.candidate.number, *v.candidate.pids.Load()
	}
	for number := range v.draining {
		s.Draining = append(s.Draining, number)
	}
	slices.Sort(s.Draining)
	if old := v.status.Load(); sameStatus(*old, s) {
		return
	}
	v.status.Store(&s)
	if v.deps.Changed != nil {
		v.deps.Changed(s)
	}
}

// sameStatus compares everything but the lines of output, which are no change.
func sameStatus(a, b Status) bool {
	return a.State == b.State && a.Since.Equal(b.Since) && a.Reason == b.Reason && a.Problem == b.Problem &&
		a.File == b.File && a.Kind == b.Kind && a.Generation == b.Generation && a.Starting == b.Starting &&
		slices.Equal(a.PIDs, b.PIDs) && slices.Equal(a.StartingPIDs, b.StartingPIDs) && a.Failure == b.Failure && slices.Equal(a.Draining, b.Draining) && a.Restarts == b.Restarts &&
		a.Loyal == b.Loyal && a.RetryAt.Equal(b.RetryAt) && slices.Equal(a.Addresses, b.Addresses) && reflect.DeepEqual(a.Files, b.Files) && a.OverlapReason == b.OverlapReason &&
		a.Awake == b.Awake && a.Health.same(b.Health) && a.Sleep == b.Sleep && a.Paused == b.Paused && a.Hook == b.Hook && slices.Equal(a.Daemons, b.Daemons) && slices.Equal(a.Crons, b.Crons)
}

// complete puts the documented defaults where nothing is set.
func (d *Defaults) complete() {
	documented := DefaultDefaults()
	if d.UWSGI == "" {
		d.UWSGI = documented.UWSGI
	}
	for _, field := range []struct {
		value *time.Duration
		or    time.Duration
	}{
		{&d.Boot, documented.Boot}, {&d.Stop, documented.Stop}, {&d.Mercy, documented.Mercy},
		{&d.Heartbeat, documented.Heartbeat}, {&d.Answer, documented.Answer}, {&d.Throttle, documented.Throttle}, {&d.MaxThrottle, documented.MaxThrottle},
	} {
		if *field.value <= 0 {
			*field.value = field.or
		}
	}
}
