package vassal

import (
	"fmt"
	"slices"
	"time"

	"emperor/internal/proc"
	"emperor/vassal/spec"
)

// How many old generations may finish what they have at a time; when there are
// more the oldest must be quick. Those that were replaced within the last minute
// do not count at first: somebody who deploys every two seconds would else cut
// every request that takes longer than four. But each is a whole copy of the
// site in memory, so there is an end to that as well. (Who must be quick still has
// the stop time.)
const (
	longDraining    = time.Minute
	maxLongDraining = 2  // of those that have been draining for longer than that
	maxDraining     = 12 // of all
)

// tryout binds the sockets of a spec that are not held yet, or says why not.
func (v *Vassal) tryout() error {
	if v.selfBound != "" {
		return nil
	}
	rules := (&surroundings{spec: v.spec, defaults: v.defaults}).rules()
	for _, socket := range v.spec.Held() {
		l, err := v.sockets.Hold(v.name, socket, rules)
		if err != nil {
			return proc.ExplainLimit(fmt.Errorf("%s: %w", socket.Pos, err))
		}
		l.Release()
	}
	return nil
}

// mayOverlap: the generation that serves and one of that spec can run side by side.
func (v *Vassal) mayOverlap(next *spec.Spec) bool {
	if next.Kind == spec.Static || v.current.spec.Kind == spec.Static {
		return true
	}
	return v.selfBound == "" && v.current.body.alone() == "" && sideBySide(v.current.spec, next)
}

// sideBySide: generations of the two specs can run at the same time. Those of
// different kinds can when no socket has to pass from one to the other: what one
// program leaves behind on it (non-blocking, half accepted) the other does not expect.
func sideBySide(a, b *spec.Spec) bool {
	if a.Kind == spec.Static || b.Kind == spec.Static {
		return true // files collide with nothing
	}
	return a.Overlap && b.Overlap && (a.Kind == b.Kind || a.Exchangeable() && b.Exchangeable())
}

// launch starts a generation of the spec, beside whatever still answers. It
// first waits for those that would collide with it, or answer in its place; with
// alone for all.
func (v *Vassal) launch(alone bool) {
	var others []*generation
	contested := map[string]bool{}
	besides := func(g *generation) {
		if g.cursed {
			return // nobody knows whether it accepts; who waits at its sockets must be answered
		}
		for _, socket := range v.spec.Held() {
			if key := socket.Key(v.spec); g.serving[key] {
				contested[key] = true
			}
		}
	}
	if v.current != nil {
		besides(v.current)
	}
	alone = alone || !v.spec.Overlap || v.selfBound != "" || v.anyAlone()
	for _, d := range v.draining {
		switch {
		case v.spec.Kind == spec.Static || d.spec.Kind == spec.Static:
		case alone, d.readyAt.IsZero() && (v.spec.Kind == spec.Command || d.spec.Kind == spec.Command):
			others = append(others, d)
		case d.answers():
			besides(d)
		}
	}
	g := v.newGeneration(v.spec, contested)
	v.candidate = g
	v.blocked = ""
	about := []any{"gen", g.number, "kind", v.spec.Kind.String(), "why", v.reason}
	if !v.seen.IsZero() {
		about = append(about, "since_edit", v.clock.Now().Sub(v.seen).Round(time.Microsecond))
	}
	v.log.Info("vassal starting", about...)
	v.tasks.Go(func() { g.run(others) })
}

// anyAlone: something that is still ending would collide with a new generation.
func (v *Vassal) anyAlone() bool {
	for _, d := range v.draining {
		if d.selfBound || !sideBySide(d.spec, v.spec) {
			return true
		}
	}
	return false
}

// succeed notes that the generation that serves now has the sockets of its spec:
// no other takes connections that come from now on.
func (v *Vassal) succeed(old *generation) {
	v.current.serving = map[string]bool{}
	for _, socket := range v.current.spec.Held() {
		key := socket.Key(v.current.spec)
		v.current.serving[key] = true
		if old != nil {
			delete(old.serving, key)
		}
		for _, d := range v.draining {
			if d.serving[key] {
				delete(d.serving, key)
				v.retireBeside(d)
			}
		}
	}
}

// retireBeside makes a generation that was told to end, and waits for its requests,
// accept no more: its successor accepts at the same socket, and half of what comes now
// would be answered by what should be gone. (Where there is a path its socket has no name
// any more, and what waits in it is its own.)
func (v *Vassal) retireBeside(d *generation) {
	if d.spec.Kind == spec.UWSGI && (d.cursed || !d.spec.Exchangeable()) && !d.retired.Load() {
		v.tasks.Go(func() {
			v.underHold(d.hurrying, func() { d.retireShared(d.hurrying) })
		})
	}
}

// whyAlone says why a generation of the old spec and one of the new cannot overlap.
func (v *Vassal) whyAlone(old *spec.Spec) string {
	switch {
	case v.spec.OverlapReason != "":
		return v.spec.OverlapReason
	case old.OverlapReason != "":
		return old.OverlapReason
	case v.selfBound != "":
		return v.selfBound
	case !sideBySide(old, v.spec):
		return fmt.Sprintf("it was a %s and becomes a %s, with a socket that is not a path", old.Kind, v.spec.Kind)
	}
	return "a restart was ordered"
}

// dismiss lets a generation go: one that serves drains first, one on its way up
// is abandoned.
func (v *Vassal) dismiss(g **generation, drain time.Duration) {
	gone := *g
	if gone == nil {
		return
	}
	*g = nil
	v.linger(gone)
	gone.selfBound = v.selfBound != ""
	gone.leftAt = v.clock.Now()
	gone.stopAging = v.clock.AfterFunc(longDraining, func() { v.send(message{kind: drainsLong}) })
	gone.abandon()
	v.afterwards = append(v.afterwards, func(row uint64) { gone.askToLeave(drain, row) })
	v.limitDraining()
}

// mourn forgets the serving generation, which died; its remains are cleared away
// by its own goroutine.
func (v *Vassal) mourn() {
	switch {
	case v.current == nil:
	case v.current.cursed: // it lives, and finishes what it has
		v.dismiss(&v.current, v.mercy(v.current.spec))
	default:
		v.linger(v.current)
		v.current = nil
	}
}

// linger remembers a generation until it has ended, unless it has.
func (v *Vassal) linger(g *generation) {
	select {
	case <-g.done:
	default:
		v.draining[g.number] = g
	}
}

// limitDraining makes the oldest hurry when too many old generations linger.
func (v *Vassal) limitDraining() {
	var lingering []uint64
	long := 0
	for number, g := range v.draining {
		if g.leftAt.IsZero() || g.readyAt.IsZero() || g.hurrying.Err() != nil {
			continue
		}
		lingering = append(lingering, number)
		if v.clock.Now().Sub(g.leftAt) >= longDraining {
			long++
		}
	}
	slices.Sort(lingering) // who was started first was replaced first
	for ; len(lingering) > maxDraining || long > maxLongDraining; lingering, long = lingering[1:], long-1 {
		v.log.Warn("too many old generations have not finished; the oldest is ended", "gen", lingering[0], "draining", len(lingering))
		v.draining[lingering[0]].hurry()
	}
}

func (v *Vassal) mercy(s *spec.Spec) time.Duration {
	if s.Mercy > 0 {
		return s.Mercy
	}
	return v.defaults.Mercy
}

// releaseSockets lets go of the sockets that nothing needs any more: those of a
// spec that is no longer used, and all of a vassal that was stopped.
func (v *Vassal) releaseSockets() {
	needed := map[string]bool{}
	need := func(s *spec.Spec) {
		for _, socket := range s.Held() {
			needed[socket.At.In(s.SocketRules.Dir)] = true
		}
	}
	for _, g := range v.draining {
		need(g.spec)
	}
	if v.current != nil {
		need(v.current.spec)
	}
	if v.candidate != nil {
		need(v.candidate.spec)
	}
	if v.spec != nil && v.current == nil && (v.state == Failed || v.state == Starting || v.state == Asleep) {
		need(v.spec)
	}
	v.sockets.Keep(v.name, needed)
}
