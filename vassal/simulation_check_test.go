package vassal

import (
	"slices"
	"strings"
	"time"

	"emperor/internal/link"
)

// What must always hold:
//
//   - at most one generation takes new work, besides the moment of a hand-over, and it
//     is the one that the router sends requests to;
//   - nothing is started while a back-off runs, while it sleeps, or after the end was
//     announced, unless somebody asked for it;
//   - what happens to one vassal changes no other (see play), but for one that waits for
//     a socket that it has;
//   - every process is known, or is being ended;
//   - a state has a reason, and no two generations that collide are there at once;
//   - in the end everything ends.

// appearance is what one vassal shows of itself, and would show if it were touched.
type appearance struct {
	status *Status
	rows   int // that the router was sent
	bodies int // made
	marks  int // of bodies that were asked to end, have ended, or were taken away
	waits  bool
}

// appearance: w.mu is held.
func (a *actor) appearance() appearance {
	s := a.v.status.Load()
	p := appearance{status: s, rows: a.rows, bodies: len(a.bodies)}
	for _, b := range a.bodies {
		for _, mark := range []bool{b.retired, b.isOver, b.ended, b.up, b.process} {
			if mark {
				p.marks++
			}
		}
	}
	p.waits = waitsForSocket(s)
	return p
}

// waitsForSocket: it starts when another vassal lets go of a socket.
func waitsForSocket(s *Status) bool {
	const taken = "belongs to vassal"
	return strings.Contains(s.Reason, taken) || strings.Contains(s.Problem, taken)
}

// allows tells whether a vassal in its present state may be started after that. w.mu is held.
func (a *actor) allows(what deed) bool {
	switch what {
	case edited, startOrdered, reloadOrdered, restartOrdered:
		return true
	case visited, connected:
		return a.status.State == Asleep || a.allowed
	}
	return a.allowed
}

// changed takes each new status.
func (a *actor) changed(s Status) {
	w := a.w
	w.mu.Lock()
	defer w.mu.Unlock()
	before := a.status
	a.status = s
	a.statuses++
	w.note("%s %s gen %d starting %d draining %v: %s%s", a.name, s.State, s.Generation, s.Starting, s.Draining, s.Reason, s.Problem)
	switch {
	case s.State == Ready, s.State == Waiting, s.State == Switching, s.State == Gone:
	case s.Reason == "":
		w.fail("%s: %s after %s, without a reason", a.name, s.State, before.State)
	}
	if s.Restarts < before.Restarts {
		w.fail("%s: %d restarts after %d", a.name, s.Restarts, before.Restarts)
	}
	if s.State == Failed && before.State != Failed && s.RetryAt.IsZero() && s.Problem == "" {
		w.fail("%s: failed, and nobody says when it is tried again or what is wrong", a.name)
	}
}

// checkStart looks at a generation that is about to be made. w.mu is held.
func (a *actor) checkStart(generation uint64) {
	w := a.w
	if w.halted {
		w.fail("%s: generation %d is started after the end was announced", a.name, generation)
	}
	waits := waitsForSocket(&a.status)
	if a.status.State == Asleep && !a.allowed && !waits {
		w.fail("%s: generation %d is started although nobody wants anything", a.name, generation)
	}
	if a.status.State == Failed && !a.allowed && !waits && time.Now().Before(a.status.RetryAt) {
		w.fail("%s: generation %d is started while the back-off runs", a.name, generation)
	}
}

// takesNew gives where a connection that comes now may be answered by it: at its
// sockets, or at a path that rename(2) has given it. w.mu is held.
func (b *fakeBody) takesNew() (at []string) {
	switch {
	case !b.up, b.isOver, b.retired:
	case !b.s.spec.Exchangeable():
		for _, s := range b.s.spec.Held() {
			at = append(at, s.Address)
		}
	case b.a.atPath == b.s.generation:
		at = []string{"its path"}
	}
	return at
}

// check looks at a moment in which nothing moves.
func (w *world) check() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, a := range w.actors {
		a.check()
	}
}

func (a *actor) check() {
	w, s := a.w, a.v.status.Load()
	p := a.v.publisher
	p.mu.Lock()
	known := p.done == p.put // else the router is still being told
	p.mu.Unlock()

	taking := map[string]uint64{}
	for n, b := range a.bodies {
		for _, at := range b.takesNew() {
			// One that was told to end at a socket that others share is given a moment.
			handOver := s.State == Switching || s.State == Dozing || time.Since(s.Since) < settle+handOverTime
			if other := taking[at]; other != 0 && !handOver {
				w.fail("%s: %s, and generations %d and %d take new work at %s", a.name, s.State, other, n, at)
			}
			taking[at] = n
			if s.State == Asleep && !slices.Contains(s.Draining, n) {
				w.fail("%s: asleep, and generation %d serves", a.name, n)
			}
		}
		if !b.process || b.ended {
			continue
		}
		switch pid := int(n); {
		case s.Generation == n && slices.Contains(s.PIDs, pid), s.Starting == n && slices.Contains(s.StartingPIDs, pid), slices.Contains(s.Draining, n):
		default:
			w.fail("%s: process %d of generation %d is neither known nor being ended; %+v", a.name, pid, n, *s)
		}
	}
	switch s.State {
	case Ready, Reloading:
		if b := a.bodies[s.Generation]; b == nil || b.ended || b.retired {
			w.fail("%s: %s with generation %d, which does not serve", a.name, s.State, s.Generation)
		}
		if known && (a.row.State != link.Ready || a.row.Generation != s.Generation) {
			w.fail("%s: %s with generation %d, but the router knows %+v", a.name, s.State, s.Generation, a.row)
		}
	case Asleep, Starting, Failed, Stopped, Stopping, Leaving:
		if s.State == Asleep && known && a.row.State != link.Asleep {
			w.fail("%s: asleep, but the router knows %+v", a.name, a.row)
		}
		if w.halted && s.State == Failed {
			w.fail("%s: it waits for a start that will not come", a.name)
		}
		if s.Generation != 0 {
			w.fail("%s: %s with generation %d", a.name, s.State, s.Generation)
		}
		if known && a.row.State == link.Ready && !a.row.Removed {
			w.fail("%s: %s, but the router knows %+v", a.name, s.State, a.row)
		}
	}
	// Those that were made to hurry take their stop time yet.
	if len(s.Draining) > maxDraining+4 {
		w.fail("%s: %d generations linger", a.name, len(s.Draining))
	}
}

// checkEnd looks a minute after the emperor was told to end.
func (w *world) checkEnd() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, a := range w.actors {
		if !a.hasEnded() {
			w.fail("%s: Run has not returned a minute after the end: %+v", a.name, a.v.Status())
		}
		for n, b := range a.bodies {
			if !b.ended && b.begun {
				w.fail("%s: generation %d was not ended", a.name, n)
			}
		}
	}
	if held := w.sockets.Describe().Held; len(held) > 0 || len(w.watched) > 0 {
		w.fail("%d sockets are still held, %d watched", len(held), len(w.watched))
	}
}
