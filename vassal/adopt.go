package vassal

import (
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"emperor/internal/link"
	"emperor/internal/proc"
	"emperor/internal/sysd"
	"emperor/vassal/clock"
	"emperor/vassal/logs"
	"emperor/vassal/pipe"
	"emperor/vassal/sockets"
	"emperor/vassal/spec"
)

// adoption is what the bodies of one emperor share while they are adopted.
type adoption struct {
	sockets *sockets.Registry
}

// standable are the states in which a vassal can stand still.
var standable = []State{Waiting, Asleep, Ready, Failed, Stopped, Stopping, Leaving}

// Adopt makes the vassal that an earlier binary of this emperor has described. It
// stands still until Run; nothing is started, read or closed before. The sockets of
// deps must have been adopted before it (Registry.Adopt).
//
// base, which may be nil, is what the file says to this binary: fields of a spec that
// the earlier one did not know have base's value.
func Adopt(deps Deps, c *Carried, base *spec.Spec) (*Vassal, error) {
	v := New(c.Name, deps)
	c.recall(v.clock)
	specs, err := c.readSpecs(base)
	if err != nil {
		return nil, err
	}
	pick := func(i int) *spec.Spec {
		if i < 0 || i >= len(specs) {
			return nil
		}
		return specs[i]
	}
	found := false
	for _, s := range standable {
		if s.String() == c.State {
			v.state, found = s, true
		}
	}
	if !found {
		return nil, fmt.Errorf("it is %q, in which a vassal cannot stand still", c.State)
	}
	v.since, v.reason, v.problem, v.refused, v.removed = c.Since, c.Reason, c.Problem, c.Refused, c.Removed
	v.paused = c.Paused
	v.wanted, v.spec, v.number = pick(c.Wanted), pick(c.Spec), c.Number
	v.failures, v.restarts, v.blocked, v.failure = c.Failures, c.Restarts, c.Blocked, c.Failure
	v.fromSleep, v.keptAwake, v.selfBound, v.retryAt = c.FromSleep, c.KeptAwake, c.SelfBound, c.RetryAt
	v.hookFailure.Store(c.Hook)
	v.output.Restore(c.Last, c.Own)
	v.errands.Store(c.Errands)
	if v.spec == nil && v.state != Waiting && v.state != Failed && v.state != Stopping && v.state != Stopped && v.state != Leaving {
		return nil, fmt.Errorf("it is %s and has no spec", c.State)
	}
	if v.state != Ready && c.Current != nil {
		return nil, fmt.Errorf("it is %s and has a generation that serves", c.State)
	}
	on := &adoption{sockets: v.sockets}
	if c.Current != nil {
		if v.current, err = v.adoptGeneration(c.Current, pick(c.Current.Spec), on); err != nil {
			return nil, err
		}
	}
	for i := range c.Draining {
		d := &c.Draining[i]
		g, err := v.adoptGeneration(d, pick(d.Spec), on)
		if err != nil {
			return nil, err
		}
		v.draining[g.number] = g
	}
	if v.state == Ready && v.current == nil {
		return nil, errors.New("it is ready and has no generation")
	}
	v.helpers.adopt(c, pick)
	v.stillness.Lock()
	v.holding <- struct{}{}
	v.pausing = &pausing{standing: true}
	v.adopted = c
	return v, nil
}

// readSpecs reads the specs. Each begins as base.
func (c *Carried) readSpecs(base *spec.Spec) ([]*spec.Spec, error) {
	specs := make([]*spec.Spec, len(c.Specs))
	for i, text := range c.Specs {
		var err error
		if specs[i], err = spec.Uncarry(text, base); err != nil {
			return nil, err
		}
	}
	return specs, nil
}

func (v *Vassal) adoptGeneration(c *CarriedGeneration, spec *spec.Spec, on *adoption) (*generation, error) {
	if spec == nil {
		return nil, fmt.Errorf("generation %d has no spec", c.Number)
	}
	v.wokenBy = c.WokenBy
	g := v.makeGeneration(c.Number, spec, set(c.Contested))
	v.wokenBy = ""
	v.life.begun = true
	g.readyAt, g.leftAt, g.selfBound, g.revived, g.loyal = c.ReadyAt, c.LeftAt, c.SelfBound, c.Revived, c.Loyal
	if now := v.clock.Now(); c.Beats {
		g.beat.Store(&now)
	}
	if c.Group != "" && v.deps.Groups != nil {
		g.group.Store(v.deps.Groups.Adopt(c.Group))
	}
	g.serving = set(c.Serving)
	g.retired.Store(c.Retired)
	body, ok := g.body.(carriable)
	if !ok {
		return nil, fmt.Errorf("generation %d cannot be adopted", c.Number)
	}
	if err := body.adopt(&c.Body, on); err != nil {
		return nil, fmt.Errorf("generation %d: %w", c.Number, err)
	}
	pids := []int{}
	for _, p := range c.Body.Processes {
		if !p.Process.Ended {
			pids = append(pids, p.Process.PID)
		}
	}
	g.pids.Store(&pids)
	return g, nil
}

func set(keys []string) map[string]bool {
	out := make(map[string]bool, len(keys))
	for _, key := range keys {
		out[key] = true
	}
	return out
}

// carryOn begins the second life of an adopted vassal. It belongs to the loop.
func (v *Vassal) carryOn() {
	c := v.adopted
	v.adopted, v.pausing = nil, nil
	v.readOn()
	<-v.holding
	v.stillness.Unlock()
	row := v.publish()
	v.publisher.wait(v.ctx, row)
	v.show()
	close(v.carried)
	if v.current != nil {
		g := v.current
		v.tasks.Go(g.goOn)
		v.watchUse(false)
		v.watchHealth()
		v.watchMemory()
	}
	for i := range c.Draining {
		d := &c.Draining[i]
		g := v.draining[d.Number]
		left := time.Duration(0)
		if d.Leaving {
			left = max(0, d.Drain-v.clock.Now().Sub(d.LeftAt))
		}
		if !d.LeftAt.IsZero() {
			g.stopAging = v.clock.AfterFunc(max(0, longDraining-v.clock.Now().Sub(d.LeftAt)), func() { v.send(message{kind: drainsLong}) })
		}
		if d.Hurrying {
			g.hurry()
		}
		g.abandon()
		g.askToLeave(left, row)
		v.tasks.Go(g.goOn)
	}
	switch v.state {
	case Asleep:
		v.watchSockets()
	case Failed:
		if !v.retryAt.IsZero() {
			v.backOff++
			number := v.backOff
			v.stopTimer = v.clock.AfterFunc(max(0, v.retryAt.Sub(v.clock.Now())), func() { v.send(message{kind: backOffOver, generation: number}) })
		}
	}
	if key := v.blocked; key != "" {
		v.sockets.Await(key, v.name, func() { v.send(message{kind: socketFreed, address: key}) })
	}
	if c.Woken != "" {
		v.Wake(c.Woken)
	}
	if v.current != nil && c.Idle {
		v.send(message{kind: saidIdle, generation: v.current.number})
	}
	if v.current != nil && c.Moved {
		v.send(message{kind: folderMoved, generation: v.current.number})
	}
	v.helpers.goOn()
	v.endStrays(c.Helpers)
	v.checkEnded()
}

// CarriedOn is closed when the router may be told of an adopted vassal: its row is
// what it was.
func (v *Vassal) CarriedOn() <-chan struct{} { return v.carried }

// straysTime is how long processes that cannot be adopted may take to end.
const straysTime = 3 * time.Second

// endStrays ends what cannot be adopted, before it is started anew.
func (v *Vassal) endStrays(all []proc.Carried) {
	if len(all) == 0 {
		return
	}
	over, stop := clock.After(v.clock, straysTime)
	defer stop()
	var strays []*proc.Process
	for _, one := range all {
		if p, err := proc.Adopt(one); err == nil {
			_ = p.Signal(syscall.SIGTERM) // or it has ended
			strays = append(strays, p)
		}
	}
	for _, p := range strays {
		select {
		case <-p.Done():
		case <-over:
		}
		killTree(v.ctx, v.log, p)
	}
	v.log.Info("processes that cannot be taken over are ended", "ended", len(strays))
}

// goOn is the goroutine of an adopted generation.
func (g *generation) goOn() {
	defer func() {
		close(g.done)
		g.v.send(message{kind: generationEnded, generation: g.number})
	}()
	defer g.abandon()
	defer g.hurry()
	g.serve()
}

func (on *adoption) listeners(all []sockets.CarriedListener) (out []*sockets.Listener, err error) {
	for _, c := range all {
		l, err := on.sockets.AdoptListener(c)
		if err != nil {
			return nil, err
		}
		out = append(out, l)
	}
	return out, nil
}

// isOpen fails for a descriptor that is not.
func isOpen(fd int) error {
	_, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0)
	return os.NewSyscallError(fmt.Sprintf("descriptor %d", fd), err)
}

func describeFolder(o *link.OpenFolder) []int {
	if o == nil {
		return nil
	}
	directory, parent := o.Descriptors()
	return []int{directory, parent}
}

func adoptFolder(c []int) (*link.OpenFolder, error) {
	if len(c) != 2 {
		return nil, errors.New("its folder is missing")
	}
	if err := errors.Join(isOpen(c[0]), isOpen(c[1])); err != nil {
		return nil, err
	}
	return link.NewOpenFolder(c[0], c[1]), nil
}

func (b *staticBody) adopt(c *CarriedBody, _ *adoption) (err error) {
	b.folder, err = adoptFolder(c.Folder)
	return err
}

func (b *staticBody) resume() {}

func (b *uwsgiBody) adopt(c *CarriedBody, on *adoption) (err error) {
	if len(c.Processes) != 1 || c.Output == nil {
		return errors.New("its process is missing")
	}
	if err := isOpen(c.Control); err != nil {
		return err
	}
	if b.listeners, err = on.listeners(c.Listeners); err != nil {
		return err
	}
	if b.capture, err = logs.Adopt(b.output, b.generation, nil, c.Output); err != nil {
		return err
	}
	if err := b.adoptLog(c.Log); err != nil {
		return err
	}
	if b.process, err = proc.Adopt(c.Processes[0].Process); err != nil {
		return err
	}
	reports := make([]pipe.Report, len(c.Reports))
	for i, r := range c.Reports {
		reports[i] = pipe.Report(r)
	}
	b.accepts, b.pidFiles = c.Accepts, c.PIDFiles
	b.conn, err = pipe.Adopt(c.Control, reports)
	return err
}

func (b *uwsgiBody) resume() {
	b.conn.Resume()
	b.capture.Resume()
	if b.hungUp == nil {
		b.watch(b.conn.Events())
	}
}

func (b *commandBody) adopt(c *CarriedBody, on *adoption) (err error) {
	if c.Output == nil {
		return errors.New("its output is missing")
	}
	if b.listeners, err = on.listeners(c.Listeners); err != nil {
		return err
	}
	if c.Folder != nil {
		if b.folder, err = adoptFolder(c.Folder); err != nil {
			return err
		}
	}
	if b.capture, err = logs.Adopt(b.output, b.generation, b.spec.Logs, c.Output); err != nil {
		return err
	}
	if c.Notify != nil {
		if b.notify, err = sysd.AdoptNotifySocket(*c.Notify); err != nil {
			return err
		}
	}
	if b.port, b.at, b.byPort, b.reason = c.Port, c.At, c.ByPort, c.Reason; b.port != 0 {
		promisePort(b.port)
	}
	b.copies = newCopySet(b)
	return b.copies.adopt(c)
}

func (b *commandBody) resume() {
	b.capture.Resume()
	switch {
	case b.notify == nil:
	case b.senders.Load() == nil:
		b.senders.Store(b.copies)
		b.notify.Receive(func(pid, _ int) bool { return b.senders.Load().contains(pid) })
	default:
		b.notify.Resume()
	}
	b.copies.resume()
}

// adopt takes over the processes; resume looks after them.
func (s *copySet) adopt(c *CarriedBody) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.grownUp, s.retiring, s.failures = true, c.Retiring, c.Failures
	for _, one := range c.Processes {
		p, err := proc.Adopt(one.Process)
		if err != nil {
			return err
		}
		s.running[one.Copy], s.started[one.Copy] = p, one.Started
		s.adopted = append(s.adopted, one.Copy)
	}
	return nil
}

// resume looks after what was adopted, and starts those copies that had died and were
// about to be started.
func (s *copySet) resume() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.adopted == nil {
		return
	}
	for _, i := range s.adopted {
		p, started := s.running[i], s.started[i]
		s.tasks.Go(func() { s.accompany(i, p, started) })
	}
	s.adopted = nil
	if s.retiring || s.body.byPort || s.body.spec.Port {
		return
	}
	pause := nextDelay(max(1, s.failures), s.body.defaults.Throttle, s.body.defaults.MaxThrottle)
	for i := range s.body.spec.Command.Copies {
		if s.running[i] == nil {
			s.tasks.Go(func() { s.revive(i, pause) })
		}
	}
}
