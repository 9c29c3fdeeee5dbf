package emperor

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime/debug"
	"slices"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"emperor/emperor/control"
	"emperor/internal/proc"
	"emperor/vassal"
	"emperor/vassal/spec"
)

// rowsTime is how long all vassals together may take to say what the router is to know.
const rowsTime = time.Minute

// Takeover is what a binary needs that takes over from an earlier one.
type Takeover struct {
	State *State
	// Text is the descriptor of the state; Failed is why another binary, which was to
	// take over, could not: we are the one that was there before.
	Text   int
	Failed string
	// Fault makes taking over fail, in tests.
	Fault func()
}

// taking is a takeover that is under way.
type taking struct {
	*Takeover
	release   func() // ends are noticed from then on
	percent   int    // of the garbage collector
	entries   []*entry
	restarted []string
	strays    []proc.Carried // of vassals that are started anew
	kept      int
}

// takeOver adopts everything without touching it. After an error, or a panic, everything
// is as it was for the binary that was there before.
func (e *Emperor) takeOver() (t *taking, err error) {
	t = &taking{Takeover: e.program.Takeover}
	// A descriptor that nothing refers to would be closed by the collector.
	t.percent = debug.SetGCPercent(-1)
	t.release = proc.HoldReaping()
	defer func() {
		if p := recover(); p != nil {
			e.log.Error("mistake in this program", "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
			err = fmt.Errorf("panic: %v", p)
		}
	}()
	s := t.State
	if err := s.mine(); err != nil {
		return t, err
	}
	for _, fd := range s.descriptors() {
		if _, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err != nil {
			return t, fmt.Errorf("descriptor %d: %w", fd, err)
		}
	}
	s.recall()
	e.since, e.problems, e.stateful.ready, e.open = s.Since, s.Problems, s.Ready, true
	for _, l := range s.Listeners {
		e.listeners = append(e.listeners, &bound{Listener: l.Listener, fd: l.FD, path: l.Path, inherited: l.Inherited})
	}
	for i := range s.Inherited {
		e.inherited = append(e.inherited, &s.Inherited[i])
	}
	if s.Control.FD >= 0 {
		if e.server, err = control.Adopt(s.Control.FD, s.Control.Path, e, e.log); err != nil {
			return t, err
		}
	}
	e.front.number, e.front.challenges = s.Router.Table, s.Challenges
	var request *routerRequest
	if s.Router.Live != nil || len(e.listeners) > 0 {
		request = newRouterRequest(e.main.Front, e.listeners, false)
	}
	if err := e.router.adopt(s.Router, request); err != nil {
		return t, err
	}
	for _, problem := range e.sockets.Adopt(s.Sockets) {
		e.log.Warn("a socket is bound anew", "err", problem)
	}
	for i := range s.Vassals {
		t.adopt(e, &s.Vassals[i])
	}
	e.sockets.Adopted()
	if t.Fault != nil {
		t.Fault()
	}
	return t, nil
}

// adopt makes one vassal of the registry. One that cannot be adopted is started anew.
func (t *taking) adopt(e *Emperor, c *CarriedEntry) {
	if c.Vassal == nil {
		return // it has ended
	}
	entry := &entry{
		name: c.Name, item: c.Item, includes: c.Includes, print: c.Print, seen: c.Seen, problems: c.Problems, refused: c.Refused,
		leaving: c.Leaving, unread: c.Unread, attempts: c.Attempts, edited: c.Edited,
	}
	t.entries = append(t.entries, entry)
	// A binary with another idea of a file reads it, to know what the earlier one did not.
	var base *spec.Spec
	if t.State.Shape != spec.Shape() && !c.Leaving {
		base = e.main.read(c.Item, c.Includes, t.answerFor(c.Item.Path)).spec
	}
	if c.Known {
		entry.spec = c.Vassal.WantedSpec(base)
		if c.After != "" {
			entry.spec, _ = spec.Uncarry(c.Spec, base)
		}
	}
	v, err := vassal.Adopt(e.deps, c.Vassal, base)
	if err == nil && c.Known && entry.spec == nil {
		err = errors.New("its spec cannot be read")
	}
	if err != nil {
		e.log.Error("a vassal could not be taken over and is started anew", "vassal", c.Name, "err", err)
		t.restarted = append(t.restarted, c.Name)
		t.strays = append(t.strays, c.Vassal.Processes()...)
		entry.site, entry.unread = e.newVassal()(c.Name), true
		if entry.spec == nil {
			entry.spec = base
		}
		return
	}
	t.kept++
	entry.site = v
	if entry.spec != nil {
		entry.specPrint = entry.spec.Fingerprint()
	}
}

func (t *taking) answerFor(path string) string {
	for _, a := range t.State.Answers {
		if a.Path == path {
			return a.Text
		}
	}
	return ""
}

// fallBack executes the binary that was there before, which finds everything as it
// left it. It returns only with an error: then nobody is left who could go on.
func (e *Emperor) fallBack(t *taking, why error) error {
	s := t.State
	e.log.Error("this binary cannot take over; the one that was there before goes on", "version", e.program.Version, "before", s.Version, "err", why)
	if t.Failed != "" {
		return fmt.Errorf("neither binary could take over: %w", why)
	}
	if e.program.Flush != nil {
		e.program.Flush()
	}
	keep := append(s.descriptors(), t.Text)
	slices.Sort(keep)
	err := errEnding
	e.starter.Exec(func() {
		err = proc.Exec(s.Old, os.Args, takeoverEnvironment(t.Text, s.Old, why.Error()), slices.Compact(keep))
	})
	return fmt.Errorf("the binary that was there before cannot be executed: %w", err)
}

// TakeoverFromEnvironment finds what an earlier binary of this process has left to us, and
// takes the variables that say so out of the environment; nil if there is nothing. If it
// cannot be understood that binary is executed again: only if that fails there is an error.
func TakeoverFromEnvironment() (*Takeover, error) {
	value, failed := os.Getenv(TakeoverVariable), os.Getenv(FailedVariable)
	_, _ = os.Unsetenv(TakeoverVariable), os.Unsetenv(FailedVariable)
	var text, old, pid int
	if n, err := fmt.Sscanf(value, "%d:%d:%d", &text, &old, &pid); n != 3 || err != nil || pid != os.Getpid() || text < 3 || old < 3 {
		return nil, nil // somebody has left the variable in the environment
	}
	state, err := ReadState(text)
	if err == nil {
		err = state.mine()
	}
	if err == nil {
		return &Takeover{State: state, Text: text, Failed: failed}, nil
	}
	if failed != "" {
		return nil, fmt.Errorf("neither binary could take over: %w", err)
	}
	// Which descriptors matter is in the state.
	keep, listErr := proc.OpenDescriptors()
	if listErr != nil {
		return nil, errors.Join(err, listErr)
	}
	starter := proc.NewStarter("takeover")
	starter.Exec(func() { listErr = proc.Exec(old, os.Args, takeoverEnvironment(text, old, err.Error()), keep) })
	return nil, errors.Join(err, listErr)
}

// carryOn lets everything go on that was adopted: from here there is no way back.
func (e *Emperor) carryOn(ctx context.Context, t *taking) {
	s := t.State
	t.release()
	debug.SetGCPercent(t.percent)
	unix.Close(s.Old)
	unix.Close(t.Text)
	e.registry.ask.restore(s.Answers)
	names := map[string]string{}
	byName := map[string]*entry{}
	for _, entry := range t.entries {
		byName[entry.name] = entry
		names[entry.item.Path] = entry.name
		if len(entry.includes) > 0 {
			e.monitor.Watch(entry.item.Path, entry.includes)
		}
	}
	e.monitor.Remember(names)
	for _, c := range s.Vassals {
		if entry := byName[c.Name]; entry != nil && c.After != "" {
			entry.after, e.registry.someWait = byName[c.After], true
			if entry.after == nil {
				entry.unread = true
			}
		}
	}
	e.endStrays(t.strays)
	for _, entry := range t.entries {
		e.registry.resume(entry)
	}
	// The router's table must not lack anybody. With nobody to be told it takes no time.
	waiting, cancel := context.WithTimeout(ctx, rowsTime)
	defer cancel()
	for _, entry := range t.entries {
		if v, ok := entry.site.(*vassal.Vassal); ok && !slices.Contains(t.restarted, entry.name) {
			select {
			case <-v.CarriedOn():
			case <-v.Done():
			case <-waiting.Done():
			}
		}
	}
	e.router.carryOn(ctx)
	e.first.over = true
	e.issue()
}

// binary is the file that we are.
func (t *Takeover) binary() binaryFile {
	if t.Failed != "" {
		return lookAtBinary(t.State.BinaryBefore)
	}
	return lookAtBinary(t.State.Binary)
}

// endStrays ends processes of vassals that are started anew.
func (e *Emperor) endStrays(all []proc.Carried) {
	ctx, cancel := context.WithTimeout(context.Background(), pauseTime)
	defer cancel()
	for _, one := range all {
		if p, err := proc.Adopt(one); err == nil {
			if err := p.KillTree(ctx); err != nil {
				e.log.Error("a process of a vassal that is started anew could not be ended", "pid", one.PID, "err", err)
			}
		}
	}
}

// concludeUpgrade replaces the router and tells who asked for the upgrade. It runs
// beside the loop.
func (e *Emperor) concludeUpgrade(ctx context.Context, t *taking) {
	s := t.State
	u := control.Upgrade{Before: s.Version, Version: e.program.Version, PID: os.Getpid(), Kept: t.kept, Restarted: t.restarted}
	var failed error
	if t.Failed != "" {
		failed = fmt.Errorf("the other binary failed, and everything goes on with the one before: %s", t.Failed)
		e.log.Error("the emperor was not upgraded; everything goes on as before", "err", t.Failed)
	} else {
		e.log.Info("the emperor was upgraded", "from", s.Version, "to", e.program.Version, "vassals", t.kept, "restarted", len(t.restarted))
		if err := e.router.Renew(ctx); err != nil {
			e.log.Error("the router of the new version does not start; the one before goes on", "err", err)
			u.Problem = "the router of the new version does not start; the one before goes on: " + err.Error()
		}
	}
	if s.Reply >= 0 {
		control.AnswerUpgrade(s.Reply, u, failed)
	}
}

// resignal puts the signals that came meanwhile in front of those to come.
func (t *taking) resignal(signals chan os.Signal) {
	for _, n := range t.State.Signals {
		select {
		case signals <- syscall.Signal(n):
		default: // as many as that mean the same
		}
	}
}

// restore puts back what known gave.
func (p *onDemandProgram) restore(answers []CarriedAnswer) {
	for _, c := range answers {
		a := &onDemandAnswer{command: c.Command, stamp: c.Stamp, done: make(chan struct{}), text: c.Text}
		close(a.done)
		p.answers[c.Path] = a
	}
}

// resume runs a vassal that was adopted.
func (r *registry) resume(e *entry) {
	r.entries[e.name] = e
	r.names = nil
	r.run(e)
}
