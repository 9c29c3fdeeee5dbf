package vassal

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"emperor/internal/proc"
	"emperor/vassal/clock"
	"emperor/vassal/commandline"
	"emperor/vassal/logs"
	"emperor/vassal/spec"
)

// DaemonStatus is what can be seen of an attached daemon.
type DaemonStatus struct {
	spec.Program
	PID      int       // 0: it does not run
	Since    time.Time // since when it does, or does not
	Restarts uint64    // that nobody asked for
	Reason   string    // why it does not run
	RetryAt  time.Time // when it is started again
}

// attached is one daemon of a vassal, kept running by a goroutine of its own. Its
// processes are a session, which is killed as a whole when it is over.
type attached struct {
	spec.Daemon
	v     *Vassal
	spec  *spec.Spec
	place int               // of its line in the spec
	after []<-chan struct{} // what must have ended before
	epoch uint64            // the generation that it belongs to; the loop's

	ctx    context.Context // ends when it is to stop
	cancel context.CancelFunc
	anew   chan string   // why it is to be restarted; holds one
	done   chan struct{} // closed when nothing is left of it
	status atomic.Pointer[DaemonStatus]

	restarts uint64
	touched  map[string]int64 // times of the files of Touch
	adopted  *adoptedHelper   // it runs already; nil: it does not
}

func newAttached(v *Vassal, place int, s *spec.Spec, epoch uint64, after []<-chan struct{}) *attached {
	d := s.Daemons[place]
	a := &attached{Daemon: d, v: v, spec: s, place: place, epoch: epoch, after: after, anew: make(chan string, 1), done: make(chan struct{})}
	a.ctx, a.cancel = context.WithCancel(context.Background())
	a.status.Store(&DaemonStatus{Program: d.Program, Since: v.clock.Now()})
	return a
}

// restart makes it end and start again; with a reload signal, it only gets that.
func (a *attached) restart(why string) {
	select {
	case a.anew <- why:
	default: // it is about to
	}
}

// run is its goroutine.
func (a *attached) run() {
	defer func() {
		a.cancel()
		close(a.done)
		a.v.send(message{kind: helpersChanged})
	}()
	for _, ended := range a.after {
		select {
		case <-ended:
		case <-a.ctx.Done():
			return
		}
	}
	failures := 0
	for a.ctx.Err() == nil {
		began := a.v.clock.Now()
		if a.adopted != nil {
			began = a.adopted.beside.began
		}
		asked, err := a.once()
		if a.ctx.Err() != nil {
			return
		}
		if asked {
			failures = 0
			continue
		}
		a.restarts++
		lived := a.v.clock.Now().Sub(began)
		if failures++; lived >= healthy {
			failures = 1
		}
		most := a.v.defaults.MaxThrottle
		if a.MaxThrottle > 0 {
			most = a.MaxThrottle
		}
		pause := nextDelay(failures, min(a.v.defaults.Throttle, most), most)
		a.v.log.Warn("a daemon ended", "option", a.Program.String(), "how", err, "after", roundedAge(lived), "again_in", pause)
		a.tell(DaemonStatus{Reason: fmt.Sprintf("%v, %s after its start", err, roundedAge(lived)), RetryAt: a.v.clock.Now().Add(pause)})
		if a.Control && lived > 0 {
			a.v.send(message{kind: helpersChanged, by: a.Program.String()})
		}
		a.rest(pause)
	}
}

// rest is the pause before the next start, which a deploy ends.
func (a *attached) rest(d time.Duration) {
	over, stop := clock.After(a.v.clock, d)
	defer stop()
	select {
	case <-over:
	case <-a.anew:
	case <-a.ctx.Done():
	}
}

// tell publishes what it is now.
func (a *attached) tell(s DaemonStatus) {
	s.Program, s.Since, s.Restarts = a.Program, a.v.clock.Now(), a.restarts
	a.status.Store(&s)
	a.v.send(message{kind: helpersChanged})
}

// once runs it until it ends, or is to end or be restarted, which is what asked says.
func (a *attached) once() (asked bool, err error) {
	if it := a.adopted; it != nil {
		a.adopted, a.touched = nil, a.times()
		return a.accompany(it.process, it.beside, it.endGroup)
	}
	b := &beside{daemon: a, began: a.v.clock.Now()}
	if b.capture, err = logs.NewCapture(a.v.output, 0, a.spec.Logs...); err != nil {
		return false, err
	}
	begun := false
	defer func() {
		if !begun {
			b.capture.Finish()
		}
	}()
	a.touched = a.times()
	if other := a.fromPIDFile(); other != nil {
		a.v.log.Info("a daemon runs already", "option", a.Program.String(), "pid", other.PID())
		return a.follow(nil, other)
	}
	c, err := a.v.helperCommand(a.spec, "daemon", a.Line)
	if err != nil {
		return false, err
	}
	c.Dir, c.Files = a.Dir, map[int]int{1: b.capture.Write, 2: b.capture.Write}
	if a.User != a.spec.Helpers.User {
		a.v.asUser(c, a.User)
	}
	var endGroup func()
	b.group, endGroup = a.v.ownGroup(a.spec, c)
	p, err := a.v.startHelper(a.ctx, c, b)
	if err != nil {
		endGroup()
		return false, proc.ExplainLimit(err)
	}
	begun = true
	a.v.log.Info("daemon started", "option", a.Program.String(), "pid", p.PID())
	if a.PIDFile != "" && !a.Detaches {
		if err := a.writePID(p.PID()); err != nil {
			a.v.log.Warn("the pid file of a daemon cannot be written", "option", a.Program.String(), "err", err)
		}
	}
	return a.accompany(p, b, endGroup)
}

// accompany follows a child of ours, and takes away what is left of it.
func (a *attached) accompany(p *proc.Process, b *beside, endGroup func()) (asked bool, err error) {
	defer b.capture.Finish()
	defer endGroup()
	defer a.v.endHelper(p)
	defer a.v.clear(p)
	if a.PIDFile != "" && !a.Detaches {
		defer a.removePID(p.PID())
	}
	return a.follow(p, nil)
}

// clear kills what is left of a process's session.
func (v *Vassal) clear(p *proc.Process) {
	ctx, cancel := context.WithTimeout(context.Background(), killTime)
	defer cancel()
	killTree(ctx, v.log, p)
}

// follow accompanies a running daemon: our child, or, after it has put itself into the
// background, the process that its pid file names.
func (a *attached) follow(p *proc.Process, other *proc.Stranger) (asked bool, err error) {
	ours := p != nil         // somebody else's is not ours to end
	var left <-chan struct{} // the child has put something into the background
	defer func() {
		if other != nil {
			other.Leave()
		}
	}()
	for {
		a.running(p, other)
		looking, stop := a.nextLook(left != nil)
		var ended <-chan struct{}
		switch {
		case other != nil:
			ended = other.Done()
		case left != nil:
			ended = left
		default:
			ended = p.Done()
		}
		select {
		case <-looking:
			if why := a.changed(); why != "" {
				if a.renew(p, other, why) {
					return true, nil
				}
			}
			if now := a.fromPIDFile(); now != nil && (other == nil && now.PID() != p.PID() || other != nil && now.PID() != other.PID()) {
				if other != nil {
					other.Leave()
				}
				other, left = now, nil
			} else if now != nil {
				now.Leave()
			}
		case why := <-a.anew:
			if a.renew(p, other, why) {
				return true, nil
			}
		case <-a.ctx.Done():
			stop()
			if ours {
				a.stop(p, other)
			}
			return true, nil
		case <-ended:
			switch {
			case other != nil:
				stop()
				return false, errors.New("its process has ended")
			case left == nil && a.Detaches && p.Exit().Success():
				// It is in the background by now, or about to be: its pid file says where.
				if other = a.fromPIDFile(); other == nil {
					var stopLeft func() bool
					left, stopLeft = clock.After(a.v.clock, a.Every)
					defer stopLeft()
				}
			case left != nil:
				if other = a.fromPIDFile(); other == nil {
					stop()
					return false, fmt.Errorf("it ended, and %s names no process %s later", a.PIDFile, a.Every)
				}
				left = nil
			default:
				stop()
				return false, errors.New(p.Exit().String())
			}
		}
		stop()
	}
}

// running publishes that it does.
func (a *attached) running(p *proc.Process, other *proc.Stranger) {
	pid := 0
	if p != nil {
		pid = p.PID()
	}
	if other != nil {
		pid = other.PID()
	}
	if a.status.Load().PID != pid {
		a.tell(DaemonStatus{PID: pid})
	}
}

// pidLook is how often a pid file is looked for that is about to be written.
const pidLook = 200 * time.Millisecond

// nextLook is when files are to be looked at; never, where there are none. soon: the
// pid file is about to be written.
func (a *attached) nextLook(soon bool) (<-chan struct{}, func() bool) {
	if a.PIDFile == "" && len(a.Touch) == 0 {
		return nil, func() bool { return true }
	}
	every := a.Every
	if soon {
		every = min(every, pidLook)
	}
	return clock.After(a.v.clock, every)
}

// times are those of the last change of the files of Touch.
func (a *attached) times() map[string]int64 {
	if len(a.Touch) == 0 {
		return nil
	}
	out := map[string]int64{}
	for _, path := range a.Touch {
		if info, err := os.Stat(path); err == nil {
			out[path] = info.ModTime().UnixNano()
		}
	}
	return out
}

// changed names a file of Touch that was changed since the last look.
func (a *attached) changed() string {
	now := a.times()
	for path, at := range now {
		if before, ok := a.touched[path]; ok && before != at || !ok {
			a.touched = now
			return path + " was touched"
		}
	}
	a.touched = now
	return ""
}

// renew makes it take notice of a change; true when it was ended for that.
func (a *attached) renew(p *proc.Process, other *proc.Stranger, why string) bool {
	if a.Reload != 0 {
		a.v.log.Info("daemon reloaded", "option", a.Program.String(), "why", why)
		a.ask(p, other, a.Reload)
		return false
	}
	if p == nil {
		return false // it was not started by us
	}
	a.v.log.Info("daemon restarted", "option", a.Program.String(), "why", why)
	a.stop(p, other)
	return true
}

// ask sends it a signal. A line for the shell that is more than one command has a shell
// in between, which would tell nobody.
func (a *attached) ask(p *proc.Process, other *proc.Stranger, sig syscall.Signal) {
	var err error
	words, _ := commandline.Vector(a.Line)
	switch {
	case other != nil:
		err = other.Signal(sig)
	case len(words) == 3 && words[0] == "/bin/sh" && !strings.HasPrefix(words[2], "exec "):
		err = p.SignalTree(sig)
	default:
		err = p.Signal(sig)
	}
	if err != nil && !errors.Is(err, os.ErrProcessDone) {
		a.v.log.Warn("a daemon could not be told", "option", a.Program.String(), "signal", sig.String(), "err", err)
	}
}

// stop ends it: asked first, killed when it does not listen.
func (a *attached) stop(p *proc.Process, other *proc.Stranger) {
	a.ask(p, other, a.Stop)
	limit := a.v.defaults.Stop
	over, stop := clock.After(a.v.clock, limit)
	defer stop()
	ended := p.Done()
	if other != nil {
		ended = other.Done()
	}
	select {
	case <-ended:
	case <-over:
		a.v.log.Warn("a daemon did not end in time and is killed", "option", a.Program.String(), "stop", limit)
		if other != nil {
			_ = other.Signal(syscall.SIGKILL)
		}
	}
	// The caller kills what is left of p's session.
}

// fromPIDFile is the living process that the pid file names, if it may be ours.
func (a *attached) fromPIDFile() *proc.Stranger {
	if a.PIDFile == "" {
		return nil
	}
	var text []byte
	err := a.asItsUser(func() error {
		var err error
		text, err = readShort(a.PIDFile)
		return err
	})
	if err != nil {
		return nil
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		return nil
	}
	other, err := proc.Meet(pid, int(a.User.OrSelf().UID))
	if err != nil {
		return nil
	}
	return other
}

// asItsUser does something to a file with the daemon's rights: the emperor's own would
// let whoever writes the vassal's file write anywhere.
func (a *attached) asItsUser(f func() error) error {
	return spec.SocketRules{Umask: -1, As: a.User}.OnBehalf(f)
}

func (a *attached) writePID(pid int) error {
	return a.asItsUser(func() error { return os.WriteFile(a.PIDFile, []byte(strconv.Itoa(pid)+"\n"), 0o644) })
}

// removePID takes the file away, unless it is about somebody else by now.
func (a *attached) removePID(pid int) {
	_ = a.asItsUser(func() error {
		text, err := readShort(a.PIDFile)
		if err == nil && strings.TrimSpace(string(text)) == strconv.Itoa(pid) {
			err = os.Remove(a.PIDFile)
		}
		return err
	})
}

// readShort reads the beginning of a file that is to hold a number, if it is a file: a
// pipe would make us wait.
func readShort(path string) ([]byte, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is no file", path)
	}
	text := make([]byte, 32)
	n, err := f.Read(text)
	return text[:n], err
}
