package vassal

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	"emperor/internal/carry"
	"emperor/vassal/clock"
	"emperor/vassal/pipe"
	"emperor/vassal/sockets"
	"emperor/vassal/spec"
)

// carriable is a body that can be handed to another binary of the emperor.
type carriable interface {
	// pause stops everything that reads, and describes the body.
	pause() (CarriedBody, error)
	// resume reads on, after pause or after adopt.
	resume()
	// adopt makes it what was described. It reads, starts and closes nothing: should
	// the other binary have to go on, everything is as it was.
	adopt(c *CarriedBody, on *adoption) error
}

// describe writes the vassal down, which stands still.
func (v *Vassal) describe() (*Carried, error) {
	if v.pausing == nil || !v.pausing.standing {
		return nil, errors.New("it does not stand still")
	}
	c := &Carried{
		Name: v.name, Written: clock.Here(v.clock), State: v.state.String(), Since: v.since, Reason: v.reason, Problem: v.problem, Refused: v.refused, Removed: v.removed,
		Paused: v.paused,
		Number: v.number, Failures: v.failures, Restarts: v.restarts, Blocked: v.blocked, Failure: v.failure, Hook: v.hookFailure.Load(),
		FromSleep: v.fromSleep, KeptAwake: v.keptAwake, SelfBound: v.selfBound, RetryAt: v.retryAt,
	}
	specs := &specTable{}
	c.Wanted, c.Spec = specs.index(v.wanted), specs.index(v.spec)
	var err error
	if v.current != nil && !v.current.over.Load() {
		if c.Current, err = v.current.describe(specs); err != nil {
			return nil, err
		}
	}
	for _, number := range slices.Sorted(maps.Keys(v.draining)) {
		g := v.draining[number]
		if g.over.Load() {
			continue // only the news of it is under way
		}
		one, err := g.describe(specs)
		if err != nil {
			return nil, err
		}
		c.Draining = append(c.Draining, *one)
	}
	c.Beside, c.Helpers, c.Jobs = v.helpers.describe(specs)
	if c.Specs, err = specs.text, specs.err; err != nil {
		return nil, err
	}
	c.Last, c.Own = v.output.Kept()
	c.Errands = v.errands.Load()
	// Readers have stopped; what they said last may still be in the inbox.
	v.pausing.later = append(v.pausing.later, v.inbox.take()...)
	for _, m := range v.pausing.later {
		switch {
		case m.kind == wokenUp:
			c.Woken = m.by
		case m.kind == saidIdle, m.kind == machineEvent && m.event == GrownIdle && v.current != nil && v.current.spec.Kind == spec.UWSGI:
			c.Idle = true
		case m.kind == folderMoved:
			c.Moved = true
		}
	}
	return c, nil
}

// specTable writes each spec once.
type specTable struct {
	known []*spec.Spec
	text  [][]byte
	err   error
}

func (t *specTable) index(s *spec.Spec) int {
	if s == nil {
		return -1
	}
	if i := slices.Index(t.known, s); i >= 0 {
		return i
	}
	text, err := carry.Marshal(s)
	t.err = errors.Join(t.err, err)
	t.known, t.text = append(t.known, s), append(t.text, text)
	return len(t.known) - 1
}

func (g *generation) describe(specs *specTable) (*CarriedGeneration, error) {
	c := &CarriedGeneration{
		Number: g.number, Spec: specs.index(g.spec), ReadyAt: g.readyAt, LeftAt: g.leftAt, Retired: g.retired.Load(), Hurrying: g.hurrying.Err() != nil,
		SelfBound: g.selfBound, Revived: g.revived, WokenBy: g.wokenBy, Loyal: g.loyal, Beats: g.beat.Load() != nil, Group: g.groupPath(),
		Serving: slices.Sorted(maps.Keys(g.serving)), Contested: slices.Sorted(maps.Keys(g.contested)),
	}
	select {
	case <-g.leaving:
		c.Leaving, c.Drain = true, g.drain
	default:
	}
	body, ok := g.body.(carriable)
	if !ok {
		return nil, fmt.Errorf("generation %d cannot be carried", g.number)
	}
	var err error
	c.Body, err = body.pause()
	return c, err
}

func describeListeners(listeners []*sockets.Listener) (out []sockets.CarriedListener) {
	for _, l := range listeners {
		out = append(out, l.Describe())
	}
	return out
}

func (b *staticBody) pause() (CarriedBody, error) {
	return CarriedBody{Control: -1, Folder: describeFolder(b.folder)}, nil
}

func (b *uwsgiBody) pause() (CarriedBody, error) {
	c := CarriedBody{Listeners: describeListeners(b.listeners), Accepts: b.accepts, PIDFiles: b.pidFiles, Log: b.ownLog.describe()}
	c.Processes = []CarriedCopy{{Process: b.process.Carry()}}
	c.Output = b.capture.Pause()
	var reports []pipe.Report
	c.Control, reports = b.conn.Pause()
	for _, r := range reports {
		c.Reports = append(c.Reports, byte(r))
	}
	return c, nil
}

func (b *commandBody) pause() (CarriedBody, error) {
	c := CarriedBody{
		Control: -1, Listeners: describeListeners(b.listeners), Folder: describeFolder(b.folder),
		Port: b.port, At: b.at, ByPort: b.byPort, Reason: b.reason,
	}
	c.Output = b.capture.Pause()
	if b.notify != nil {
		notify := b.notify.Pause()
		c.Notify = &notify
	}
	s := b.copies
	s.mu.Lock()
	defer s.mu.Unlock()
	c.Retiring, c.Failures = s.retiring, s.failures
	for i, p := range s.running {
		c.Processes = append(c.Processes, CarriedCopy{Copy: i, Started: s.started[i], Process: p.Carry()})
	}
	return c, nil
}
