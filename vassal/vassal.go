package vassal

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"emperor/internal/config"
	"emperor/internal/link"
)

// Order is what an operator can ask for.
type Order string

const (
	OrderStart   Order = "start"   // start a stopped or failed one now
	OrderStop    Order = "stop"    // drain, end, stay down until told otherwise
	OrderReload  Order = "reload"  // a new generation from the same file
	OrderRestart Order = "restart" // end the old one first, then start; requests wait meanwhile
)

// maxDraining is how many old generations may finish what they have at a time;
// when there are more the oldest must be quick.
const maxDraining = 2

// Vassal is one running site.
type Vassal struct {
	name      string
	deps      Deps
	defaults  Defaults
	log       *slog.Logger
	clock     Clock
	sockets   *Sockets
	output    *output
	publisher *publisher
	newBody   func(surroundings) body // replaced by tests

	inbox  inbox
	status atomic.Pointer[Status]
	done   chan struct{}

	// Everything below belongs to the goroutine in Run.
	ctx        context.Context
	state      State
	since      time.Time
	reason     string
	problem    string
	refused    bool  // the file as it is now has mistakes
	wanted     *Spec // what the file says
	spec       *Spec // what is started: wanted, or the last that worked (see keepOld)
	shutdown   bool  // from now on nothing is started
	removed    bool  // the file is gone
	number     uint64
	current    *generation            // serves
	candidate  *generation            // on its way up
	draining   map[uint64]*generation // everything else that has not ended yet
	postponed  []message              // until the hand-over is over
	failures   int                    // starts in a row that came to nothing
	restarts   uint64
	loyal      bool
	selfBound  string // the command binds its sockets itself: since when and why
	retryAt    time.Time
	backOff    uint64 // number of the back-off that runs
	stopTimer  func() bool
	waiters    []waiter
	afterwards []func(row uint64) // what a move does once the router's row is on its way
	tasks      sync.WaitGroup     // generations and hand-overs
}

// waiter is somebody who gave an order and wants to know what came of it.
type waiter struct {
	order Order
	reply chan error // buffered
}

// New makes a vassal; it does nothing before Run and Want. Two of one name must
// not run at the same time: their processes are told apart by name and generation.
func New(name string, deps Deps) *Vassal {
	v := &Vassal{
		name: name, deps: deps, log: deps.Log.With("vassal", name), clock: deps.Clock, sockets: deps.Sockets,
		done: make(chan struct{}), draining: map[uint64]*generation{}, defaults: deps.Defaults,
	}
	if v.clock == nil {
		v.clock = systemClock{}
	}
	if v.sockets == nil {
		v.sockets = NewSockets()
	}
	v.defaults.complete()
	v.output = newOutput(name, deps.Log, v.clock)
	v.publisher = newPublisher(deps.Front, v.log)
	v.newBody = newBody
	v.inbox.ready = make(chan struct{}, 1)
	v.since = v.clock.Now()
	v.status.Store(&Status{Name: name, Since: v.since})
	return v
}

func newBody(s surroundings) body {
	if s.spec.Kind == UWSGI {
		return newUWSGIBody(s)
	}
	return newCommandBody(s)
}

// Run owns the vassal until it was removed (nil) or ctx ended (nil), and
// everything it started has ended. Call it once. When ctx ends nothing is
// started any more and everything is stopped within the stop time.
func (v *Vassal) Run(ctx context.Context) error {
	defer close(v.done)
	v.ctx = ctx
	stopping := ctx.Done()
	for v.state != Gone {
		select {
		case <-stopping:
			stopping = nil
			v.handle(message{kind: machineEvent, event: Shutdown})
		case <-v.inbox.ready:
			for _, m := range v.inbox.take() {
				v.handle(m)
			}
			v.show()
		}
	}
	v.tasks.Wait()
	v.sockets.keep(v.name, nil)
	v.publisher.close()
	v.output.close()
	for _, m := range v.inbox.take() {
		v.answerLate(m)
	}
	return nil
}

// Want gives the first or a changed spec: start, or hand over to a new
// generation. It returns at once; the last one wins. After Remove it revives
// the vassal unless Run has returned (see Done).
func (v *Vassal) Want(s *Spec) { v.send(message{kind: wanted, spec: s}) }

// Refuse says that the file has mistakes: what runs stays, the error is shown.
func (v *Vassal) Refuse(p config.Problems) { v.send(message{kind: refused, problems: p}) }

// Remove says that the file is gone: drain by its mercy, stop, Run returns.
func (v *Vassal) Remove() { v.send(message{kind: machineEvent, event: Removed}) }

// Done is closed when Run has returned: a Want after that is lost.
func (v *Vassal) Done() <-chan struct{} { return v.done }

// Order carries out an operator's order and returns when the outcome is known:
// nil when it is done, an error that says why it could not be, or ctx's error
// when that ends first (the order is carried out all the same).
func (v *Vassal) Order(ctx context.Context, o Order) error {
	reply := make(chan error, 1)
	v.send(message{kind: ordered, order: o, reply: reply})
	select {
	case err := <-reply:
		return err
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-v.done:
		select {
		case err := <-reply:
			return err
		default:
			return errGone
		}
	}
}

var errGone = errors.New("the vassal is gone")

// Status is the last published snapshot, with the lines of output as they are now.
func (v *Vassal) Status() Status {
	s := *v.status.Load()
	s.Lines = v.output.lines(0)
	return s
}

// Follow gives the last lines and a channel of the coming ones. A reader that
// is slower than the vassal loses lines, never slows it. Call stop when done;
// the channel is closed then, or when Run returns.
func (v *Vassal) Follow() (last []Line, coming <-chan Line, stop func()) { return v.output.follow() }

// messageKind says what a message is about.
type messageKind uint8

const (
	machineEvent    messageKind = iota // event (generation, err)
	wanted                             // spec
	refused                            // problems
	ordered                            // order, reply
	died                               // generation, death
	becameLoyal                        // generation
	pidsChanged                        //
	generationEnded                    // generation
	backOffOver                        // generation: the number of the back-off
)

// message is what the owner of the state is told. Those about a generation
// carry its number: by the time they are read it may be another one's turn.
type message struct {
	kind       messageKind
	event      Event
	generation uint64
	err        error
	death      death
	spec       *Spec
	problems   config.Problems
	order      Order
	reply      chan error
}

// inbox is a queue without end: who tells a vassal something never waits.
type inbox struct {
	mu    sync.Mutex
	queue []message
	ready chan struct{} // has one entry when the queue is not empty
}

func (v *Vassal) send(m message) {
	v.inbox.mu.Lock()
	v.inbox.queue = append(v.inbox.queue, m)
	v.inbox.mu.Unlock()
	select {
	case v.inbox.ready <- struct{}{}:
	default:
	}
}

func (i *inbox) take() []message {
	i.mu.Lock()
	defer i.mu.Unlock()
	q := i.queue
	i.queue = nil
	return q
}

// handle turns a message into an event of the machine, or drops what is about a
// generation whose time is over.
func (v *Vassal) handle(m message) {
	switch m.kind {
	case wanted:
		v.handleWanted(m)
	case refused:
		v.refused = true
		v.problem = strings.TrimSpace(m.problems.Errors().String())
		v.log.Error("the file has mistakes; what runs stays", "err", m.problems.Err())
		v.step(Refused, m)
		v.reply(OrderReload, errors.New(v.problem))
	case ordered:
		v.handleOrder(m)
	case died:
		v.handleDied(m)
	case becameLoyal:
		if v.current != nil && v.current.number == m.generation || v.candidate != nil && v.candidate.number == m.generation {
			v.loyal = true
		}
	case pidsChanged:
	case generationEnded:
		delete(v.draining, m.generation)
		v.releaseSockets()
		v.checkEnded()
	case backOffOver:
		if m.generation == v.backOff && v.state == Failed {
			v.step(BackOffElapsed, m)
		}
	case machineEvent:
		v.handleEvent(m)
	}
}

func (v *Vassal) handleEvent(m message) {
	switch m.event {
	case BecameReady, StartFailed, HandedOver, HandOverFailed:
		if v.candidate == nil || v.candidate.number != m.generation {
			return // abandoned meanwhile
		}
		if m.event == BecameReady {
			if why := v.candidate.body.alone(); why != "" {
				v.selfBound = why
			}
		}
		if m.event == BecameReady && v.state == Starting {
			if err := v.candidate.body.promote(); err != nil {
				m.event, m.err = StartFailed, err
				v.candidate.hurry()
				v.candidate.askToLeave(0, 0)
			}
		}
	case Shutdown:
		v.shutdown = true
		v.reply("", errors.New("the emperor is stopping"))
	case Removed:
		v.removed = true
	}
	v.step(m.event, m)
}

func (v *Vassal) handleWanted(m message) {
	if v.shutdown {
		return
	}
	if v.spec == nil || v.spec.command.line != m.spec.command.line {
		v.selfBound = "" // perhaps it takes its socket now
	}
	v.wanted, v.spec, v.refused, v.problem, v.removed = m.spec, m.spec, false, "", false
	v.sockets.leave(v.name, false)
	event := Wanted
	if v.current != nil && !v.mayOverlap() {
		event = WantedAlone
		// The old generation will be gone when the new one starts: find out before
		// whether its sockets can be had.
		if err := v.tryout(); err != nil {
			m.err, m.generation = err, v.current.number
			v.problem = fmt.Sprintf("the change cannot be carried out: %v; generation %d goes on", err, v.current.number)
			v.log.Error("the change cannot be carried out, the old generation goes on", "err", err)
			v.spec = v.current.spec
			v.releaseSockets()
			return
		}
	}
	v.step(event, m)
}

// tryout binds the sockets of a spec that are not held yet, or says why not.
func (v *Vassal) tryout() error {
	if v.selfBound != "" {
		return nil
	}
	rules := (&surroundings{spec: v.spec, defaults: v.defaults}).rules()
	for _, socket := range v.spec.held() {
		l, err := v.sockets.hold(v.name, socket, rules)
		if err != nil {
			return fmt.Errorf("%s: %w", socket.Pos, err)
		}
		l.release()
	}
	return nil
}

// mayOverlap: the generation that serves and one of the spec can run side by side.
func (v *Vassal) mayOverlap() bool {
	old := v.current
	return v.spec.Overlap && old.spec.Overlap && old.spec.Kind == v.spec.Kind && v.selfBound == "" && old.body.alone() == ""
}

func (v *Vassal) handleOrder(m message) {
	var event Event
	switch m.order {
	case OrderStart:
		event = StartOrdered
	case OrderStop:
		event = StopOrdered
	case OrderReload:
		event = ReloadOrdered
		if v.current != nil && v.wanted != nil && !v.mayOverlap() {
			event = RestartOrdered
		}
	case OrderRestart:
		event = RestartOrdered
	default:
		m.reply <- fmt.Errorf("unknown order %q", m.order)
		return
	}
	switch {
	case v.shutdown:
		m.reply <- errors.New("the emperor is stopping")
		return
	case v.state == Leaving || v.state == Gone:
		m.reply <- errGone
		return
	case event != StopOrdered && (v.spec == nil || v.refused):
		m.reply <- fmt.Errorf("the file has mistakes: %s", v.problem)
		return
	case event == StartOrdered && v.current != nil, event == StopOrdered && v.state == Stopped:
		m.reply <- nil
		return
	}
	if moves[v.state][event].do == postpone {
		v.step(event, m) // it comes back here when the hand-over is over
		return
	}
	v.log.Info("order", "order", string(m.order))
	if event != StopOrdered {
		v.spec = v.wanted
	}
	v.step(event, m)
	v.waiters = append(v.waiters, waiter{m.order, m.reply})
	if v.state == Stopped {
		v.reply(OrderStop, nil)
	}
}

func (v *Vassal) handleDied(m message) {
	switch {
	case v.state == Switching:
		// Of the old one it does not matter any more; of the new one it does later.
		v.postponed = append(v.postponed, m)
		return
	case v.current == nil || v.current.number != m.generation:
		return
	}
	lived := v.clock.Now().Sub(v.current.readyAt)
	event := ExitedEarly
	if lived >= healthy {
		v.failures = 0
		if m.death.signal != syscall.SIGTERM {
			event = Exited
		}
	}
	m.err = fmt.Errorf("%s, %s after it was ready", m.death, roundedAge(lived))
	v.step(event, m)
}

func roundedAge(d time.Duration) time.Duration {
	if d < 10*time.Second {
		return d.Round(100 * time.Millisecond)
	}
	return d.Round(time.Second)
}

// step is the machine's one step: look the move up, take it, publish.
func (v *Vassal) step(e Event, m message) {
	move, ok := moves[v.state][e]
	if !ok {
		v.log.Error("mistake in this program: no move", "state", v.state.String(), "event", e.String())
		return
	}
	if move.do == postpone {
		v.postponed = append(v.postponed, m)
		return
	}
	from := v.state
	if from != move.to {
		v.state, v.since = move.to, v.clock.Now()
	}
	if from == Failed && v.state != Failed {
		v.disarm()
	}
	v.act(move.do, e, m)
	if v.state == Failed && v.refused && v.spec != nil && v.spec.Kind == UWSGI {
		v.disarm() // uWSGI would read the file with its mistakes
	}
	if v.state == Stopped && from != Stopped {
		v.reply(OrderStop, nil)
	}
	row := v.publish()
	for _, f := range v.afterwards {
		f(row)
	}
	v.afterwards = nil
	v.releaseSockets()
	v.show()
	v.checkEnded()
	if from == Switching && v.state != Switching {
		waiting := v.postponed
		v.postponed = nil
		for _, m := range waiting {
			v.handle(m)
		}
	}
}

// act does what a move says. Generations are told to leave afterwards, when the
// router's row is on its way.
func (v *Vassal) act(do action, e Event, m message) {
	switch do {
	case nothing:
		if e == Refused && v.current == nil && v.state == Failed {
			v.reason = "the file has mistakes"
		}
	case start, restart:
		v.dismiss(&v.candidate, 0)
		v.failuresForgiven(e)
		v.launch(false)
	case again:
		v.restarts++
		v.log.Warn("vassal died, starting it again", "gen", m.generation, "how", m.err, "restarts", v.restarts)
		v.mourn()
		v.launch(false)
		v.reason = m.err.Error()
	case exchange:
		v.dismiss(&v.candidate, 0)
		drain := min(v.mercy(v.current.spec), aloneDrain)
		if v.current.spec.Mercy > 0 {
			drain = v.current.spec.Mercy
		}
		v.dismiss(&v.current, drain)
		v.failuresForgiven(e)
		v.launch(true)
		v.reason = "the old generation ends before the new one starts: " + v.whyAlone()
	case serve:
		v.current, v.candidate = v.candidate, nil
		v.becomeReady()
		v.reply("", nil)
	case handOver:
		old, successor := v.current, v.candidate
		row := v.row(successor, link.Ready)
		v.tasks.Go(func() { v.handOver(old, successor, row) })
	case complete:
		old := v.current
		v.current, v.candidate = v.candidate, nil
		v.becomeReady()
		v.dismiss(&old, v.mercy(old.spec))
		v.reply("", nil)
	case keepOld:
		v.problem = fmt.Sprintf("generation %d did not come up: %v; generation %d goes on", m.generation, m.err, v.current.number)
		v.complain("the new generation did not come up, the old one goes on", m)
		if v.current.spec.Kind == Command {
			// If the old one dies now it comes back as it was. (A uWSGI reads the file
			// by itself: there is no way back.)
			v.spec = v.current.spec
		}
		v.dismiss(&v.candidate, 0)
		v.reply("", m.err)
	case loseOld:
		v.restarts++
		v.log.Warn("the old generation died before its successor was ready", "gen", m.generation, "how", m.err)
		v.mourn()
		v.reason = m.err.Error()
		if v.candidate.spec.Kind == Command {
			// It was started on a socket of its own. What waits in the old socket must
			// be answered: start it on that one.
			v.dismiss(&v.candidate, 0)
			v.launch(false)
		}
	case hold:
		v.fail(e, m)
	case stop, hurry:
		v.leave(do == hurry, e)
	}
}

// failuresForgiven: a changed file and an operator's order begin a new count.
func (v *Vassal) failuresForgiven(e Event) {
	switch e {
	case BackOffElapsed:
		v.restarts++
	default:
		v.failures = 0
		v.reason = e.String()
	}
}

// launch starts a generation of the spec, beside whatever still answers. It
// first waits for those that would collide with it, or answer in its place; with
// alone for all.
func (v *Vassal) launch(alone bool) {
	beside := v.current != nil
	var others []*generation
	alone = alone || !v.spec.Overlap || v.selfBound != "" || v.anyAlone()
	for _, d := range v.draining {
		switch {
		case alone, v.spec.Kind == Command && d.readyAt.IsZero():
			others = append(others, d)
		case d.answers():
			beside = true
		}
	}
	g := v.newGeneration(v.spec, beside)
	v.candidate = g
	v.log.Info("vassal starting", "gen", g.number, "kind", v.spec.Kind.String(), "why", v.reason)
	v.tasks.Go(func() { g.run(others) })
}

// anyAlone: something that is still ending would collide with a new generation.
func (v *Vassal) anyAlone() bool {
	for _, d := range v.draining {
		if !d.spec.Overlap || d.spec.Kind != v.spec.Kind || d.selfBound {
			return true
		}
	}
	return false
}

func (v *Vassal) whyAlone() string {
	switch {
	case v.spec.OverlapReason != "":
		return v.spec.OverlapReason
	case v.selfBound != "":
		return v.selfBound
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
	gone.abandon()
	v.afterwards = append(v.afterwards, func(row uint64) { gone.askToLeave(drain, row) })
	v.limitDraining()
}

// mourn forgets the serving generation, which died; its remains are cleared away
// by its own goroutine.
func (v *Vassal) mourn() {
	if v.current != nil {
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
	for number, g := range v.draining {
		if g.hurrying.Err() == nil && !g.readyAt.IsZero() {
			lingering = append(lingering, number)
		}
	}
	slices.Sort(lingering)
	for len(lingering) > maxDraining {
		v.draining[lingering[0]].hurry()
		lingering = lingering[1:]
	}
}

func (v *Vassal) becomeReady() {
	v.current.readyAt = v.clock.Now()
	v.reason = ""
	v.problem = ""
	v.log.Info("vassal ready", "gen", v.current.number, "pids", *v.current.pids.Load())
}

// fail arms the back-off.
func (v *Vassal) fail(e Event, m message) {
	if e == StartFailed {
		v.complain("the vassal did not start", m)
		v.dismiss(&v.candidate, 0)
	} else {
		v.complain("the vassal died", m)
		v.mourn()
	}
	delay := time.Duration(0)
	if e == StartFailed || m.death.signal != syscall.SIGTERM || v.failures > 0 {
		v.failures++
		delay = nextDelay(v.failures, v.defaults.Throttle, v.defaults.MaxThrottle)
	}
	if m.death.signal == syscall.SIGTERM {
		delay = max(delay, doubt)
	}
	v.reason = m.err.Error()
	v.retryAt = v.clock.Now().Add(delay)
	v.backOff++
	number := v.backOff
	v.stopTimer = v.clock.AfterFunc(delay, func() { v.send(message{kind: backOffOver, generation: number}) })
	v.reply("", m.err)
}

func (v *Vassal) disarm() {
	if v.stopTimer != nil {
		v.stopTimer()
		v.stopTimer = nil
	}
	v.backOff++
	v.retryAt = time.Time{}
}

// complain logs a failure with the last lines of the generation that failed.
func (v *Vassal) complain(what string, m message) {
	var text []string
	for _, l := range v.output.lines(m.generation) {
		text = append(text, l.Text)
	}
	v.log.Error(what, "gen", m.generation, "err", m.err, "output", strings.Join(text, "\n"))
}

// leave ends everything.
func (v *Vassal) leave(hurry bool, e Event) {
	v.reason = e.String()
	v.reply("", errors.New("the vassal was stopped meanwhile"))
	v.dismiss(&v.candidate, 0)
	if v.current != nil {
		v.log.Info("vassal stopping", "gen", v.current.number, "why", v.reason)
		v.dismiss(&v.current, v.mercy(v.current.spec))
	}
	if hurry {
		for _, g := range v.draining {
			g.hurry()
		}
	}
	if v.removed {
		v.sockets.leave(v.name, true)
	}
}

func (v *Vassal) mercy(s *Spec) time.Duration {
	if s.Mercy > 0 {
		return s.Mercy
	}
	return v.defaults.Mercy
}

// checkEnded notices that nothing is left where that is waited for.
func (v *Vassal) checkEnded() {
	if (v.state == Stopping || v.state == Leaving) && v.current == nil && v.candidate == nil && len(v.draining) == 0 {
		v.step(EverythingEnded, message{})
	}
}

// releaseSockets lets go of the sockets that nothing needs any more: those of a
// spec that is no longer used, and all of a vassal that was stopped.
func (v *Vassal) releaseSockets() {
	needed := map[string]bool{}
	need := func(s *Spec) {
		for _, socket := range s.held() {
			needed[socket.address.in(s.sockets.dir)] = true
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
	if v.spec != nil && v.current == nil && (v.state == Failed || v.state == Starting) {
		need(v.spec)
	}
	v.sockets.keep(v.name, needed)
}

// reply answers those who wait for an order's outcome: those of a stop, or (any
// other value) all the others.
func (v *Vassal) reply(o Order, err error) {
	v.waiters = slices.DeleteFunc(v.waiters, func(w waiter) bool {
		if (w.order == OrderStop) != (o == OrderStop) {
			return false
		}
		w.reply <- err
		return true
	})
}

// answerLate answers orders that came while Run was about to return.
func (v *Vassal) answerLate(m message) {
	if m.kind == ordered {
		m.reply <- errGone
	}
}
