package vassal

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"emperor/internal/proc"
	"emperor/vassal/clock"
	"emperor/vassal/commandline"
)

// copySet is the processes of one command: processes = N copies that share the
// sockets. When one dies while others live it is started again, after a pause if
// it does not live long; a copy accepts only when it can answer, so it needs no
// proof of readiness. The set has ended when none is left.
type copySet struct {
	body *commandBody
	// firstDeath has the first death before grown.
	firstDeath chan death
	ended      chan struct{} // closed when no copy lives, and none will

	ctx    context.Context // ends the pauses before restarts
	cancel context.CancelFunc
	tasks  sync.WaitGroup // one for each living copy

	mu       sync.Mutex // guards what follows
	running  map[int]*proc.Process
	started  map[int]time.Time
	adopted  []int // of running, those that nobody looks after yet
	grownUp  bool  // boot is over: deaths are followed by restarts
	retiring bool
	failures int
	last     death
}

func newCopySet(b *commandBody) *copySet {
	s := &copySet{body: b, firstDeath: make(chan death, 1), ended: make(chan struct{}), running: map[int]*proc.Process{}, started: map[int]time.Time{}}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	return s
}

// start starts copy number i.
func (s *copySet) start(ctx context.Context, i int) error {
	command, err := s.body.describe(i)
	if err != nil {
		return err
	}
	p, err := s.body.starter.Start(ctx, command)
	if started := new(proc.StartError); errors.As(err, &started) {
		return fmt.Errorf("%s: %w", s.body.spec.Command.Pos, err)
	}
	if err != nil {
		return err
	}
	started := s.body.clock.Now()
	s.mu.Lock()
	s.running[i], s.started[i] = p, started
	if s.retiring {
		s.signal(p) // it was asked to end while it was started
	}
	s.tasks.Go(func() { s.accompany(i, p, started) })
	s.mu.Unlock()
	s.tell()
	if s.ctx.Err() != nil {
		killTree(context.Background(), s.body.log, p) // end did not see it
	}
	return nil
}

// accompany waits for the end of one copy and does what follows from it.
func (s *copySet) accompany(i int, p *proc.Process, started time.Time) {
	<-p.Done()
	s.body.stillness.RLock()
	restart, pause := s.mourn(i, p, started)
	s.body.stillness.RUnlock()
	if restart {
		s.revive(i, pause)
	}
}

// mourn does what follows from the end of a copy at once.
func (s *copySet) mourn(i int, p *proc.Process, started time.Time) (restart bool, pause time.Duration) {
	lived := s.body.clock.Now().Sub(started)
	how := deathOf("", p.Exit())
	if p.Exit().Success() {
		how.text += stayForeground
	}
	s.mu.Lock()
	delete(s.running, i)
	s.last = how
	if !s.grownUp {
		select {
		case s.firstDeath <- how:
		default:
		}
	}
	restart = s.grownUp && !s.retiring && len(s.running) > 0 && s.ctx.Err() == nil && !s.body.halted.Load()
	if restart && lived >= healthy {
		s.failures = 0
	} else if restart {
		s.failures++
	}
	failures := s.failures
	over := len(s.running) == 0 && (s.grownUp || s.retiring)
	if over {
		s.finish()
	}
	s.mu.Unlock()
	s.tell()
	// What it started must not live on: it would compete for the sockets.
	killTree(context.Background(), s.body.log, p)
	if restart {
		pause = nextDelay(failures, s.body.defaults.Throttle, s.body.defaults.MaxThrottle)
		if how.signal == syscall.SIGTERM {
			pause = max(pause, doubt)
		}
		s.body.log.Warn("one of its processes died, the others serve on", "pid", p.PID(), "how", how.text, "again_in", pause)
	}
	return restart, pause
}

// revive starts a copy again, as often as it takes.
func (s *copySet) revive(i int, pause time.Duration) {
	for {
		if !clock.Sleep(s.ctx, s.body.clock, pause) || s.body.halted.Load() {
			return
		}
		s.body.stillness.RLock()
		err := s.start(s.ctx, i)
		s.body.stillness.RUnlock()
		if err == nil || s.ctx.Err() != nil {
			return
		}
		s.mu.Lock()
		s.failures++
		pause = nextDelay(s.failures, s.body.defaults.Throttle, s.body.defaults.MaxThrottle)
		s.mu.Unlock()
		s.body.log.Warn("one of its processes could not be started again", "err", proc.ExplainLimit(err), "again_in", pause)
	}
}

// finish says that the set has ended. The caller holds mu.
func (s *copySet) finish() {
	select {
	case <-s.ended:
	default:
		close(s.ended)
		s.cancel()
	}
}

// grown says that the set is ready: from now on deaths are followed by restarts.
func (s *copySet) grown() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.grownUp = true
	if len(s.running) == 0 {
		s.finish()
	}
}

// retire asks all copies to end.
func (s *copySet) retire() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.retiring = true
	if len(s.running) == 0 {
		s.finish()
		return
	}
	for _, p := range s.running {
		s.signal(p)
	}
}

// signal asks one copy to end. A line for the shell that is more than one command
// has a shell in between, which would die without telling anybody.
func (s *copySet) signal(p *proc.Process) {
	sig := s.body.spec.Command.Signal
	words, _ := commandline.Vector(s.body.spec.Command.Line)
	var err error
	if len(words) == 3 && words[0] == "/bin/sh" && !strings.HasPrefix(words[2], "exec ") {
		err = p.SignalTree(sig)
	} else {
		err = p.Signal(sig)
	}
	if err == nil {
		err = p.Signal(syscall.SIGCONT) // one that was stopped would not hear it
	}
	if err != nil && !errors.Is(err, os.ErrProcessDone) {
		s.body.log.Warn("it could not be asked to end", "pid", p.PID(), "err", err)
	}
}

// end kills what is left and waits for everything.
func (s *copySet) end(ctx context.Context) {
	s.cancel()
	s.mu.Lock()
	s.retiring = true
	left := make([]*proc.Process, 0, len(s.running))
	for _, p := range s.running {
		left = append(left, p)
	}
	s.mu.Unlock()
	for _, p := range left {
		killTree(ctx, s.body.log, p)
	}
	s.tasks.Wait()
}

func (s *copySet) contains(pid int) bool {
	s.mu.Lock()
	processes := make([]*proc.Process, 0, len(s.running))
	for _, p := range s.running {
		processes = append(processes, p)
	}
	s.mu.Unlock()
	return slices.ContainsFunc(processes, func(p *proc.Process) bool { return p.Contains(pid) })
}

func (s *copySet) lastDeath() death {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.last
}

// tell reports the process numbers.
func (s *copySet) tell() {
	s.mu.Lock()
	pids := make([]int, 0, len(s.running))
	for _, p := range s.running {
		pids = append(pids, p.PID())
	}
	s.mu.Unlock()
	slices.Sort(pids)
	s.body.started(pids)
}

// lastAnswer is what came of the last try to ask a program, for the message when
// time is up.
type lastAnswer struct {
	mu  sync.Mutex
	err error
}

func (q *lastAnswer) note(err error) {
	q.mu.Lock()
	q.err = err
	q.mu.Unlock()
}

func (q *lastAnswer) last() error {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.err
}
