package emperor

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"emperor/internal/proc"
	"emperor/internal/sysd"
	"emperor/vassal"
	"emperor/vassal/clock"
	"emperor/vassal/spec"
)

// An upgrade replaces the emperor by another binary in the same process (exec), so that
// it stays PID 1 or the service manager's main process, and its children its children.
//
//  1. The other binary is tried (takeover --try, in a child): it has to understand what
//     it will be told, and to accept the main file and every vassal's.
//  2. Everything is brought to a standstill: vassals first, which finish what they are
//     about to do, then the control socket, then the conversations with routers. Requests
//     are answered meanwhile: no vassal and no router takes part in any of this.
//  3. What is in memory is written down (State), and the binary is executed.
//  4. It adopts everything (takeover.go) without touching it. Should it find that it
//     cannot, it executes the binary that was there before, which is kept open, and which
//     adopts everything in the same way.
//  5. It goes on, and replaces the router by one of its own.
//
// Up to 3 whatever goes wrong is one log line, and everything goes on as before.

const (
	// signalPatience is how long the other binary may take to say that it is ready, where
	// nobody waits for it.
	signalPatience = 30 * time.Second
	// settleTime is how long vassals may take to finish what they are about to do.
	settleTime = 15 * time.Second
	// pauseTime is how long everything else may take that has to stand still.
	pauseTime = 5 * time.Second
	// TryReady begins the last line of a binary that can take over.
	TryReady = "ready to take over: "
	// TakeoverVariable and FailedVariable tell the other binary what it is, and the
	// former one why it is there again.
	TakeoverVariable = "EMPEROR_TAKEOVER"
	FailedVariable   = "EMPEROR_TAKEOVER_FAILED"
)

// upgrade is one that is under way.
type upgrade struct {
	path     string        // of the other binary
	patience time.Duration // how long it may take to say that it is ready
	binary   int           // open
	says     string        // its version
	reload   bool          // the main file is to be read afterwards
	answer   int           // who asked, -1: a signal
	failed   chan error
}

var (
	errUpgrading = errors.New("an upgrade is under way already")
	errNotOpen   = errors.New("the emperor is still starting: its front is not open yet")
)

// Upgrade implements control.Emperor.
func (e *Emperor) Upgrade(ctx context.Context, binary string, patience time.Duration, answer int) error {
	return e.beginUpgrade(context.WithoutCancel(ctx), &upgrade{path: binary, patience: patience, answer: answer})
}

// beginUpgrade tries the other binary, and has the loop execute it. It returns only
// if nothing came of it.
func (e *Emperor) beginUpgrade(ctx context.Context, u *upgrade) (err error) {
	if !e.upgrading.CompareAndSwap(false, true) {
		return errUpgrading
	}
	defer e.upgrading.Store(false)
	defer func() {
		if err != nil {
			e.log.Error("the emperor was not upgraded; everything goes on as before", "err", err)
		}
	}()
	if u.path == "" {
		u.path = e.binary.Load().path
	}
	u.failed = make(chan error, 1)
	if u.binary, err = openBinary(u.path); err != nil {
		return err
	}
	defer unix.Close(u.binary)
	if u.says, err = e.try(ctx, u); err != nil {
		return err
	}
	select {
	case e.upgrades <- u:
		return <-u.failed
	case <-e.ending:
		return errEnding
	}
}

var errEnding = errors.New("the emperor is ending")

// try runs the other binary as a child that says whether it could take over.
func (e *Emperor) try(ctx context.Context, u *upgrade) (says string, err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, u.patience, fmt.Errorf("%s has not said within %s that it can take over", u.path, u.patience))
	defer cancel()
	go func() { // ends with ctx
		select {
		case <-e.ending:
			cancel()
		case <-ctx.Done():
		}
	}()
	v := e.view.Load()
	state := mainState(v.main, nil)
	state.Version = e.program.Version
	for _, name := range v.names {
		one := v.vassals[name]
		if !one.leaving && len(one.problems) == 0 {
			state.Vassals = append(state.Vassals, CarriedEntry{Name: name, Item: one.item})
		}
	}
	state.Refused = len(v.problems) > 0
	text, err := state.encode()
	if err != nil {
		return "", err
	}
	defer unix.Close(text)
	var pipe [2]int
	if err := unix.Pipe2(pipe[:], unix.O_CLOEXEC); err != nil {
		return "", os.NewSyscallError("pipe2", err)
	}
	_ = unix.SetNonblock(pipe[0], true)
	output := os.NewFile(uintptr(pipe[0]), "output of the other binary")
	defer func() { _ = output.Close() }()
	process, err := e.starter.Start(ctx, &proc.Command{
		Name: "takeover", Generation: e.tries.Add(1), Path: "/proc/self/fd/3", Args: []string{os.Args[0], "takeover", "--try", "4"},
		Env: sysd.StripEnv(os.Environ()), Files: map[int]int{1: pipe[1], 2: pipe[1], 3: u.binary, 4: text}, Umask: -1, ParentDeathSignal: true,
	})
	unix.Close(pipe[1])
	if err != nil {
		return "", fmt.Errorf("%s: %w", u.path, errors.Join(context.Cause(ctx), err))
	}
	stop := context.AfterFunc(ctx, func() { _ = output.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	said, _ := io.ReadAll(io.LimitReader(output, 64<<10))
	select {
	case <-process.Done():
	case <-ctx.Done():
	}
	killing, stopKilling := context.WithTimeout(context.Background(), pauseTime)
	defer stopKilling()
	_ = process.KillTree(killing)
	lines := strings.Split(strings.TrimSpace(string(said)), "\n")
	version, ready := strings.CutPrefix(lines[len(lines)-1], TryReady)
	switch exit := process.Exit(); {
	case ctx.Err() != nil:
		return "", context.Cause(ctx)
	case exit.Success() && ready:
		return version, nil
	case exit.Success():
		return "", fmt.Errorf("%s does not know how to take over: it is another program, or too old", u.path)
	default:
		return "", fmt.Errorf("%s cannot take over: %s: %s", u.path, exit, strings.Join(lines[max(0, len(lines)-10):], "; "))
	}
}

// carryOutUpgrade is the loop's part: it returns only if nothing came of it.
func (e *Emperor) carryOutUpgrade(u *upgrade, signals <-chan os.Signal) {
	began := time.Now()
	e.log.Info("upgrading: another binary takes over in this process", "binary", u.path, "version", u.says)
	e.stateful.reloading()
	err := e.standStill(func() error { return e.execute(u, signals, began) })
	e.stateful.reloaded()
	u.failed <- err
}

// upgradeInstead begins an upgrade if our file was replaced.
func (e *Emperor) upgradeInstead() bool {
	if e.upgrading.Load() || !e.binary.Load().replaced() {
		return false
	}
	e.log.Info("SIGHUP: the emperor's program was replaced: upgrading, then reading the main file again", "binary", e.binary.Load().path)
	e.orders.Go(e.upgradeThenReload)
	return true
}

// upgradeThenReload is what a SIGHUP means when our file was replaced. If the upgrade
// comes to nothing the main file is read again all the same.
func (e *Emperor) upgradeThenReload() {
	_ = e.upgradeOrReload(context.Background(), "SIGHUP", -1)
}

// ReloadMain implements control.Emperor.
func (e *Emperor) ReloadMain(ctx context.Context, answer int) error {
	const why = "emperor reload"
	if e.binary.Load().replaced() {
		return e.upgradeOrReload(context.WithoutCancel(ctx), why, answer)
	}
	return e.readAgain(why)
}

func (e *Emperor) upgradeOrReload(ctx context.Context, why string, answer int) error {
	// It returns only if nothing came of it.
	err := e.beginUpgrade(ctx, &upgrade{patience: signalPatience, reload: true, answer: answer})
	return errors.Join(err, e.readAgain(why))
}

// readAgain has the loop read the main file again, and waits for what comes of it.
func (e *Emperor) readAgain(why string) error {
	done := make(chan error, 1)
	select {
	case e.reloads <- rereading{why, done}:
	case <-e.ending:
		return errEnding
	}
	select {
	case err := <-done:
		return err
	case <-e.ending:
		return errEnding
	}
}

// standStill calls f when everything stands still, and lets everything go on if f
// returns.
func (e *Emperor) standStill(f func() error) error {
	if !e.open {
		return errNotOpen
	}
	var standing []pausable
	defer func() {
		for _, v := range standing {
			v.Resume()
		}
	}()
	ctx, cancel := context.WithTimeout(context.Background(), settleTime)
	defer cancel()
	type outcome struct {
		name string
		err  error
	}
	outcomes := make(chan outcome, len(e.registry.entries))
	for entry := range e.registry.all() {
		v, ok := entry.site.(pausable)
		if !ok {
			continue
		}
		standing = append(standing, v)
		go func() { outcomes <- outcome{entry.name, v.Pause(ctx)} }() // ends with ctx
	}
	var busy []string
	for range standing {
		if o := <-outcomes; o.err != nil {
			state := ""
			if entry := e.registry.entries[o.name]; entry != nil {
				state = " (" + entry.site.State().String() + ")"
			}
			busy = append(busy, o.name+state)
		}
	}
	if len(busy) > 0 {
		slices.Sort(busy)
		return fmt.Errorf("after %s still in the middle of a change: %s; try again later", settleTime, strings.Join(busy, ", "))
	}
	waiting, stopWaiting := context.WithTimeoutCause(context.Background(), pauseTime, errors.New("the router does not answer"))
	defer stopWaiting()
	if err := e.front.settle(waiting); err != nil {
		return err
	}
	if e.server != nil {
		e.controlFD = e.server.Pause()
		defer e.server.Resume()
	}
	routers, resume, err := e.router.StandStill(waiting)
	if err != nil {
		return err
	}
	defer resume()
	e.routers = routers
	return f()
}

// pausable is a site that can be carried.
type pausable interface {
	Pause(ctx context.Context) error
	Resume()
	Describe() (*vassal.Carried, error)
}

var _ pausable = (*vassal.Vassal)(nil)

// settle returns when no message to routers is under way.
func (f *front) settle(ctx context.Context) error {
	for {
		f.mu.Lock()
		quiet := !f.sending && len(f.held) == 0
		f.mu.Unlock()
		if quiet {
			return nil
		}
		select {
		case <-time.After(time.Millisecond):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// execute writes everything down and executes the other binary. It returns only with
// an error.
func (e *Emperor) execute(u *upgrade, signals <-chan os.Signal, began time.Time) (err error) {
	old, err := unix.Open("/proc/self/exe", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("our own binary: %w", err)
	}
	defer unix.Close(old)
	running := e.starter.Exclusively(func() {
		var s *State
		if s, err = e.describe(u); err != nil {
			return
		}
		s.Old = old
		for len(signals) > 0 {
			if sig, ok := (<-signals).(syscall.Signal); ok {
				s.Signals = append(s.Signals, int(sig))
			}
		}
		var text int
		if text, err = s.encode(); err != nil {
			return
		}
		defer unix.Close(text)
		keep := append(s.descriptors(), text)
		slices.Sort(keep)
		e.log.Info("everything stands still; executing the other binary", "after", time.Since(began).Round(time.Millisecond))
		if e.program.Flush != nil {
			e.program.Flush()
		}
		err = proc.Exec(u.binary, os.Args, takeoverEnvironment(text, old, ""), slices.Compact(keep))
		err = fmt.Errorf("%s: exec: %w", u.path, err)
	})
	if !running {
		return errEnding
	}
	return err
}

// takeoverEnvironment is ours, with the variables that tell a binary to take over: where
// the state and the binary that wrote it are open, and for which process.
func takeoverEnvironment(state, old int, failed string) []string {
	env := slices.DeleteFunc(os.Environ(), func(kv string) bool {
		return strings.HasPrefix(kv, TakeoverVariable+"=") || strings.HasPrefix(kv, FailedVariable+"=") || strings.HasPrefix(kv, "GODEBUG=")
	})
	// So that SIGURG is ours; without it the other binary would execute itself once more.
	env = append(env, "GODEBUG="+strings.TrimPrefix(os.Getenv("GODEBUG")+",asyncpreemptoff=1", ","))
	env = append(env, fmt.Sprintf("%s=%d:%d:%d", TakeoverVariable, state, old, os.Getpid()))
	if failed != "" {
		env = append(env, FailedVariable+"="+strings.ReplaceAll(failed, "\x00", " "))
	}
	return env
}

// describe writes everything down, which stands still.
func (e *Emperor) describe(u *upgrade) (*State, error) {
	s := mainState(e.main, e.program.Files)
	s.Version, s.PID, s.Start, s.Since = e.program.Version, os.Getpid(), proc.StartTime(os.Getpid()), e.since
	s.Written = clock.Here(clock.System{})
	s.MainPrint, s.Problems, s.Binary, s.BinaryBefore = e.mainPrint, e.problems, u.path, e.binary.Load().path
	s.Reply, s.Reload, s.Ready = u.answer, u.reload, e.stateful.ready
	for _, l := range e.listeners {
		s.Listeners = append(s.Listeners, CarriedListener{Listener: l.Listener, FD: l.fd, Path: l.path, Inherited: l.inherited})
	}
	for _, in := range e.inherited {
		s.Inherited = append(s.Inherited, *in)
	}
	if e.server != nil {
		s.Control = CarriedControl{FD: e.controlFD, Path: e.server.Path()}
	}
	s.Router = e.routers
	e.front.mu.Lock()
	s.Router.Table, s.Challenges = e.front.number, e.front.challenges
	e.front.mu.Unlock()
	s.Sockets = e.sockets.Describe()
	s.Answers = e.registry.ask.known()
	for entry := range e.registry.all() {
		one, err := entry.describe()
		if err != nil {
			return nil, fmt.Errorf("vassal %s: %w", entry.name, err)
		}
		s.Vassals = append(s.Vassals, one)
	}
	return &s, nil
}

// describe writes a vassal of the registry down.
func (e *entry) describe() (CarriedEntry, error) {
	c := CarriedEntry{
		Name: e.name, Item: e.item, Includes: e.includes, Print: e.print, Seen: e.seen, Problems: e.problems, Refused: e.refused,
		Leaving: e.leaving, Known: e.spec != nil, Unread: e.unread, Attempts: e.attempts, Edited: e.edited,
	}
	var err error
	if e.after != nil {
		c.After = e.after.name
		if c.Spec, err = spec.Carry(e.spec); err != nil {
			return c, err
		}
	}
	if site, ok := e.site.(pausable); ok {
		c.Vassal, err = site.Describe()
	}
	return c, err
}

// known are the answers that programs have given.
func (p *onDemandProgram) known() (out []CarriedAnswer) {
	for path, a := range p.answers {
		select {
		case <-a.done:
			if a.err == nil {
				out = append(out, CarriedAnswer{Path: path, Command: a.command, Stamp: a.stamp, Text: a.text})
			}
		default: // it is asked again
		}
	}
	return out
}
