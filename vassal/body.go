package vassal

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"syscall"
	"time"

	"emperor/internal/link"
	"emperor/internal/proc"
	"emperor/vassal/clock"
	"emperor/vassal/logs"
	"emperor/vassal/sockets"
	"emperor/vassal/spec"
)

// alive is how long a generation must live to be believed.
const alive = time.Second

// body is what a generation consists of: processes and descriptors. It knows
// nothing of states. Its methods are called in this order, by one goroutine at a
// time: boot; then, if that gave nil, promote at most once, retire at most once;
// end, always, last.
type body interface {
	// boot starts it and returns when it is ready; an error says why it is not.
	// What it has started by then stays until end.
	boot(ctx context.Context) error
	// accepting says, after boot has failed, whether it lives and may have taken
	// requests from a socket it shares.
	accepting() bool
	// died is closed when it has ended, asked or not; cause says how.
	died() <-chan struct{}
	cause() death
	// promote makes it the one that new connections reach, where that takes a step.
	promote() error
	// retire asks it to take no new work, finish what it has and end.
	retire()
	// quiet says whether it can be told to end: no connection waits to be accepted by it
	// alone, and none was accepted so lately that it would be dropped.
	quiet() bool
	// halt makes it start no process again that dies. It may be called at any time,
	// by any goroutine.
	halt()
	// busy says, in words, that it wants to go on although nobody wants anything of it;
	// connections is how many clients are connected to its sockets.
	busy() string
	connections() int
	// inquire asks the generation, once it has booted, on a socket of its own: for the
	// path, or with an empty one whether it answers at all. It waits for the answer as
	// long as ctx lasts, and is called by several goroutines.
	inquire(ctx context.Context, path string) error
	// end kills what is left of it and gives everything back.
	end(ctx context.Context)

	addresses() []link.Address // known once boot has returned
	// files are what the router serves in its place, and their open folder, once boot
	// has returned; nil for a body of processes.
	files() (*link.StaticFiles, *link.OpenFolder)
	// alone says, once boot has returned, that it turned out that no second
	// generation can run beside it, and why.
	alone() string
}

// death is how a generation ended.
type death struct {
	text   string // "exit status 1"
	signal syscall.Signal
}

func (d death) String() string { return d.text }

func deathOf(what string, e proc.Exit) death {
	text := e.String()
	if what != "" {
		text = what + ": " + text
	}
	return death{text: text, signal: e.Signal}
}

// surroundings is what a body needs of its vassal.
type surroundings struct {
	name       string
	generation uint64
	spec       *spec.Spec
	log        *slog.Logger // with the vassal's name and generation
	starter    *proc.Starter
	clock      clock.Clock
	sockets    *sockets.Registry
	stillness  *sync.RWMutex // the vassal's
	defaults   Defaults
	output     *logs.Output
	// contested are the keys of those held sockets at which another generation
	// takes connections, so that this one must be tried on sockets of its own.
	contested map[string]bool
	// try asks the router whether it could serve a row.
	try func(ctx context.Context, row link.Vassal) error
	// underHold calls a function while the router sends the vassal nothing new.
	underHold func(ctx context.Context, f func())
	// replacesApp: the generation that serves has an app, is a program or a folder. One that
	// names neither, because a line was lost in an edit, would answer with errors
	// only; so it has to have an app too, wherever it may find one.
	replacesApp bool
	// prompt: requests wait for it and nothing else could serve them, so it is ready as
	// soon as it answers, without the second in which it must prove itself.
	prompt bool
	// idle is called when a uWSGI says that it has nothing to do.
	idle func()
	// SelfBound says why the sockets are not held for it, when that was found out
	// by an earlier generation; empty otherwise.
	selfBound string
	// booted is called, by boot, when it answers: what boot still waits for takes no
	// processor.
	booted func()
	// heartbeat is called when a uWSGI says that a worker waits.
	heartbeat func()
	// loyal is called at the first completed request that can be seen.
	loyal func()
	// group is the directory of the control group for its processes, empty for none; nil:
	// there is none.
	group func() string
	// started is called with the processes it consists of, at each change.
	started func(pids []int)
}

// listeners binds or fetches the sockets the emperor holds for the spec: where
// another generation takes connections at the path a fresh one, elsewhere (and
// where sockets cannot be exchanged) the one that is passed on. named: the fresh
// ones must have exactly the name that the file says.
func (s *surroundings) listeners(ctx context.Context, named bool) ([]*sockets.Listener, error) {
	rules := s.rules()
	held := s.spec.Held()
	out := make([]*sockets.Listener, len(held))
	var missing []int
	for i, socket := range held {
		l, err := s.sockets.Hold(s.name, socket, rules)
		if err != nil {
			releaseAll(out)
			return nil, fmt.Errorf("%s: %w", socket.Pos, err)
		}
		switch {
		case !s.contested[socket.Key(s.spec)]:
			if err := l.Blocking(); err != nil {
				s.log.Warn("cannot make a socket blocking", "socket", socket.Address, "err", err)
			}
		case s.spec.Exchangeable():
			// The other's stays at its path; now it is certain that it is there.
			l.Release()
			missing = append(missing, i)
			continue
		}
		out[i] = l
	}
	if err := s.bindFresh(ctx, missing, out, named); err != nil {
		releaseAll(out)
		return nil, err
	}
	return out, nil
}

// bindFresh binds sockets for those of the spec's that are missing, and adds them to out.
func (s *surroundings) bindFresh(ctx context.Context, missing []int, out []*sockets.Listener, named bool) error {
	rules, held := s.rules(), s.spec.Held()
	bind := func(how func(string, spec.Socket, spec.SocketRules, uint64) (*sockets.Listener, error)) error {
		for _, i := range missing {
			if out[i] != nil {
				continue
			}
			l, err := how(s.name, held[i], rules, s.generation)
			if err != nil {
				return fmt.Errorf("%s: %w", held[i].Pos, err)
			}
			out[i] = l
		}
		return nil
	}
	if !named {
		return bind(s.sockets.Beside)
	}
	err := bind(s.sockets.Twin)
	if errors.Is(err, sockets.ErrOnlyInPlace) {
		s.underHold(ctx, func() { err = bind(s.sockets.TwinInPlace) })
	}
	return err
}

// fresh says whether it has sockets that nobody connects to before promote.
func (s *surroundings) fresh() bool { return len(s.contested) > 0 && s.spec.Exchangeable() }

// exchange gives the fresh sockets among the listeners the paths that everybody
// knows.
func (s *surroundings) exchange(listeners []*sockets.Listener) error {
	if !s.fresh() {
		return nil
	}
	for i, socket := range s.spec.Held() {
		if s.contested[socket.Key(s.spec)] {
			if err := s.sockets.Exchange(s.name, socket, s.rules(), listeners[i]); err != nil {
				return err
			}
		}
	}
	return nil
}

// rules are the spec's with the emperor's default for who may connect.
func (s *surroundings) rules() spec.SocketRules {
	rules := s.spec.SocketRules
	rules.Group = s.defaults.SocketGroup
	return rules
}

func releaseAll(listeners []*sockets.Listener) {
	for _, l := range listeners {
		if l != nil {
			l.Release()
		}
	}
}

// killTree ends a process and all it has made; what cannot be ended is said.
func killTree(ctx context.Context, log *slog.Logger, p *proc.Process) {
	if err := p.KillTree(ctx); err != nil {
		log.Error("processes could not be ended", "pid", p.PID(), "err", err)
	}
}

// restrictions are what the vassal's processes are started with.
func (s *surroundings) restrictions() proc.Restrictions {
	l := &s.spec.Limits
	r := proc.Restrictions{NoNewPrivileges: l.NoNewPrivileges, Limits: l.Resources, Bounded: l.Bounded, Bounding: l.Bounding, Granted: l.Granted,
		NoAmbient: s.spec.Kind == spec.Command}
	if s.group != nil {
		r.Group = s.group()
	}
	return r
}
