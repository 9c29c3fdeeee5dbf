package vassal

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"emperor/internal/cgroup"
	"emperor/internal/proc"
	"emperor/vassal/clock"
	"emperor/vassal/spec"
)

// slotTime is the most a start holds its slot: what takes longer waits for
// something other than the processor.
const slotTime = 2 * time.Second

// aloneDrain bounds how long requests of an old generation may take when its
// successor can only start after it: meanwhile new requests wait, and the router
// lets them wait 30 seconds. A reload-mercy in the file overrides it.
const aloneDrain = 20 * time.Second

// generation is one incarnation of a vassal: a body and the goroutine that leads
// it from its start to its end. The vassal's loop tells it to abandon (come up no
// more), leave (drain, then end) or hurry (end within the stop time); it tells
// the loop what happened by events that carry its number.
type generation struct {
	number uint64
	spec   *spec.Spec
	body   body
	v      *Vassal

	abandoned context.Context // ends when it is not to come up any more
	abandon   context.CancelFunc
	visited   context.Context // ends when somebody waits for it to come up
	visit     context.CancelFunc
	hurrying  context.Context // ends when it must be quick
	hurry     context.CancelFunc
	leaving   chan struct{} // closed by leave
	leaveOnce sync.Once
	drain     time.Duration // set before leaving is closed: what its requests may take
	row       uint64        // likewise: the row that tells the router, see publisher.wait
	retired   atomic.Bool   // it was asked to take no new work
	over      atomic.Bool   // nothing is left of its body
	done      chan struct{} // closed when nothing is left of it

	pids  atomic.Pointer[[]int]
	group atomic.Pointer[cgroup.Group] // nil: it has none of its own
	// Set by the loop.
	readyAt   time.Time
	leftAt    time.Time       // since when it drains
	stopAging func() bool     // of the timer for longDraining
	selfBound bool            // it binds its own sockets
	serving   map[string]bool // keys of the held sockets at whose address it is the one that accepts
	contested map[string]bool // see surroundings
	wokenBy   string          // who made it start; empty where nobody waited for that
	again     bool            // the vassal has failed, and nobody has changed anything since
	freeSlot  func()          // while it boots: it needs the processor no more than others
	// watchesUse: somebody waits for it to be idle, and hears on awake that it was not.
	watchesUse bool
	vitals     // see health.go
	awake      chan string
	loyal      bool // it has answered a request
	cursed     bool // it can be told nothing any more, see closes
	revived    bool // it takes the place of one that died or did not come up
	prepared   bool // its exec-pre-start has been run
	life       *life
	introduced introductions
}

// newGeneration makes one; run starts it.
func (v *Vassal) newGeneration(spec *spec.Spec, contested map[string]bool) *generation {
	v.number++
	return v.makeGeneration(v.number, spec, contested)
}

func (v *Vassal) makeGeneration(number uint64, s *spec.Spec, contested map[string]bool) *generation {
	g := &generation{number: number, spec: s, v: v, contested: contested, wokenBy: v.wokenBy, vitals: vitals{mustBeWell: v.mustBeWell}, again: v.failures > 0, freeSlot: func() {}, awake: make(chan string, 1), leaving: make(chan struct{}), done: make(chan struct{})}
	g.abandoned, g.abandon = context.WithCancel(context.Background())
	g.visited, g.visit = context.WithCancel(context.Background())
	g.hurrying, g.hurry = context.WithCancel(context.Background())
	g.pids.Store(&[]int{})
	g.body = v.newBody(surroundings{
		name: v.name, generation: g.number, spec: s, log: v.log.With("gen", g.number),
		starter: v.deps.Starter, clock: v.clock, sockets: v.sockets, defaults: v.defaults, output: v.output,
		replacesApp: v.current != nil && (v.current.spec.Kind != spec.UWSGI || v.current.spec.UWSGI.NeedApp),
		stillness:   &v.stillness, contested: contested, try: v.try, underHold: v.underHold, selfBound: v.selfBound,
		prompt: v.wokenBy != "" && v.current == nil,
		group:  g.groupPath,
		idle:   func() { v.send(message{kind: saidIdle, generation: g.number}) },
		loyal:  func() { v.send(message{kind: becameLoyal, generation: g.number}) },
		booted: func() { g.freeSlot() }, heartbeat: g.beats,
		started: func(pids []int) { g.pids.Store(&pids); v.send(message{kind: pidsChanged}); g.asEmperor(pids) },
	})
	v.live(g)
	return g
}

// run is the generation's goroutine. It waits for the ends of others first, when
// its body cannot live beside theirs.
func (g *generation) run(others []*generation) {
	defer func() {
		close(g.done)
		g.v.send(message{kind: generationEnded, generation: g.number})
	}()
	defer g.abandon()
	defer g.visit()
	defer g.hurry()
	if err := g.boot(others); err != nil {
		g.v.send(message{kind: machineEvent, event: StartFailed, generation: g.number, err: err})
		if g.body.accepting() {
			g.withdraw()
		}
		g.end()
		return
	}
	g.v.send(message{kind: machineEvent, event: BecameReady, generation: g.number})
	g.serve()
}

// serve is the time from when it is ready to its end.
func (g *generation) serve() {
	g.accompany()
	g.end()
}

// withdraw ends a body that did not become ready and yet takes requests from
// the socket it shares with others: killing it would lose them.
func (g *generation) withdraw() {
	g.v.underHold(g.hurrying, func() { g.retireShared(g.hurrying) })
	over, stop := clock.After(g.v.clock, g.stopTime())
	defer stop()
	select {
	case <-g.body.died():
	case <-over:
	}
}

// boot brings the body up, within the boot time, when its turn has come.
func (g *generation) boot(others []*generation) error {
	for _, other := range others {
		select {
		case <-other.done:
		case <-g.abandoned.Done():
			return context.Cause(g.abandoned)
		}
	}
	// Opening a folder takes no processor, and for one that is woken requests wait.
	if g.v.deps.Slots != nil && g.spec.Kind != spec.Static && g.wokenBy == "" {
		release, err := g.v.deps.Slots.Acquire(g.abandoned, Turn{Name: g.v.name, Again: g.again, Visited: g.visited})
		if err != nil {
			return err
		}
		g.freeSlot = sync.OnceFunc(release)
		stop := g.v.clock.AfterFunc(slotTime, g.freeSlot)
		defer func() { stop(); g.freeSlot() }()
	}
	if err := g.prepare(g.abandoned); err != nil {
		return err
	}
	limit := g.spec.Boot
	if limit <= 0 {
		limit = g.v.defaults.Boot
	}
	ctx, cancel := clock.Within(g.abandoned, g.v.clock, limit, fmt.Errorf("not ready within %s (boot-timeout)", limit))
	defer cancel()
	g.enterGroup()
	if err := g.body.boot(ctx); err != nil {
		return proc.ExplainLimit(err)
	}
	return g.proveWell(ctx)
}

// askToLeave lets the generation finish what it has, for at most drain, and end.
// row tells the router that new requests go elsewhere.
func (g *generation) askToLeave(drain time.Duration, row uint64) {
	g.leaveOnce.Do(func() {
		g.drain, g.row = drain, row
		close(g.leaving)
	})
}

// retire asks the body, once, to take no new work and end when it is done.
func (g *generation) retire() {
	g.v.stillness.RLock()
	defer g.v.stillness.RUnlock()
	if g.retired.CompareAndSwap(false, true) {
		g.body.retire()
	}
}

// retireShared is retire for a body whose socket another one shares, while the
// router holds requests back.
func (g *generation) retireShared(ctx context.Context) {
	clock.Sleep(ctx, g.v.clock, settle)
	g.retire()
	clock.Sleep(ctx, g.v.clock, handOverTime)
}

// depart drains and ends a serving body.
func (g *generation) depart() {
	ctx, cancel := clock.Within(g.hurrying, g.v.clock, g.drain, errors.New("its mercy is over"))
	defer cancel()
	started := g.v.clock.Now()
	if g.spec.Kind == spec.Static {
		// The router has what requests under way need of it.
		g.v.publisher.wait(ctx, g.row)
		g.retire()
		return
	}
	if !g.retired.Load() {
		g.v.publisher.wait(ctx, g.row)
		g.awaitDrained(ctx)
		g.retire()
	}
	// A uWSGI finishes requests after byte 2; a command was drained before it was
	// asked to end, and has the stop time for its farewell.
	left := g.drain - g.v.clock.Now().Sub(started)
	stop := g.stopTime()
	if g.spec.Kind != spec.UWSGI || left < stop {
		left = stop
	}
	over, stopTimer := clock.After(g.v.clock, left)
	defer stopTimer()
	select {
	case <-g.body.died():
		return
	case <-over:
		g.v.log.Warn("an old generation did not end in time and is killed", "gen", g.number, "after", g.v.clock.Now().Sub(started).Round(time.Second))
		return
	case <-g.hurrying.Done():
	}
	over, stopHurry := clock.After(g.v.clock, stop)
	defer stopHurry()
	select {
	case <-g.body.died():
	case <-over:
		g.v.log.Warn("it did not end within its stop time and is killed", "gen", g.number, "stop", stop)
	}
}

// awaitDrained returns when no request is under way to it any more, its process
// has died, or ctx ended.
func (g *generation) awaitDrained(ctx context.Context) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	finished := make(chan struct{})
	go func() { // ends with ctx, at the end of this function
		select {
		case <-g.body.died():
			cancel()
		case <-ctx.Done():
		}
		close(finished)
	}()
	if front := g.v.deps.Front; front != nil {
		if err := front.Drained(ctx, g.v.name, g.number+1); err != nil && ctx.Err() == nil {
			g.v.log.Warn("the router did not say when the old generation was drained", "gen", g.number, "err", err)
		}
	}
	// Who connected without the router may still wait to be accepted, or to be
	// read from; a server that is told to end drops both.
	pause := settle
	for quiet := 0; quiet < 2 && ctx.Err() == nil; quiet++ {
		if g.body.quiet() {
			pause = settle
		} else {
			quiet, pause = -1, min(2*pause, 20*settle)
		}
		clock.Sleep(ctx, g.v.clock, pause)
	}
	cancel()
	<-finished
}

// answers says whether it has been ready and still lives. Only the loop may ask.
func (g *generation) answers() bool {
	if g.readyAt.IsZero() {
		return false
	}
	select {
	case <-g.body.died():
		return false
	default:
		return true
	}
}

func (g *generation) stopTime() time.Duration {
	if g.spec.Stop > 0 {
		return g.spec.Stop
	}
	return g.v.defaults.Stop
}

// end kills what is left.
func (g *generation) end() {
	g.v.stillness.RLock()
	defer g.v.stillness.RUnlock()
	ctx, cancel := context.WithTimeout(context.Background(), g.stopTime())
	defer cancel()
	g.body.end(ctx)
	g.leaveGroup(ctx)
	g.over.Store(true)
}

// whileServing runs f until g is dismissed, or the vassal ends.
func (v *Vassal) whileServing(g *generation, f func(context.Context)) {
	ctx, cancel := context.WithCancel(v.ctx)
	stop := context.AfterFunc(g.abandoned, cancel)
	v.tasks.Go(func() {
		defer cancel()
		defer stop()
		f(ctx)
	})
}
