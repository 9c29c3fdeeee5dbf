package vassal

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"emperor/internal/config"
	"emperor/internal/logsink"
	"emperor/vassal/clock"
	"emperor/vassal/logs"
	"emperor/vassal/sockets"
	"emperor/vassal/spec"
)

// Vassal is one running site.
type Vassal struct {
	name      string
	deps      Deps
	defaults  Defaults
	log       *slog.Logger
	clock     clock.Clock
	sockets   *sockets.Registry
	output    *logs.Output
	publisher *publisher
	newBody   func(surroundings) body // replaced by tests

	inbox  inbox
	status atomic.Pointer[Status]
	// lastBeat is the last heartbeat of any generation.
	lastBeat atomic.Pointer[time.Time]
	// inspection is the last one, of the generation that it names.
	inspection atomic.Pointer[Inspection]
	done       chan struct{}
	// holding has an entry while the router holds requests back: one at a time,
	// because the router does not count how often it was asked to.
	holding chan struct{}
	// stillness is held by whoever ends, asks to end or starts again a process, and by
	// a vassal that stands still (pausing.go).
	stillness sync.RWMutex
	carried   chan struct{} // closed when an adopted one goes on

	// Everything below belongs to the goroutine in Run.
	ctx        context.Context
	state      State
	since      time.Time
	reason     string
	problem    string
	refused    bool       // the file as it is now has mistakes
	wanted     *spec.Spec // what the file says
	spec       *spec.Spec // what is started: wanted, or the last that worked (see keepOld)
	halted     bool       // from now on nothing is started
	paused     bool       // new requests wait
	shutdown   bool       // and nothing runs on
	removed    bool       // the file is gone
	number     uint64
	current    *generation            // serves
	candidate  *generation            // on its way up
	draining   map[uint64]*generation // everything else that has not ended yet
	postponed  []message              // until the hand-over is over
	failures   int                    // starts in a row that came to nothing
	restarts   uint64
	seen       time.Time // when the change was seen that leads to the next start
	blocked    string    // the address that another vassal has, for which this one failed
	failure    *Failure  // the last one
	wokenBy    string    // who makes it start just now, from sleep
	fromSleep  bool      // what failed last was to wake it
	keptAwake  string    // why it does not sleep although nobody wants anything
	remedies   remedies  // of one that is unhealthy
	mustBeWell bool      // the next generation has to do better than the serving one
	watches    []func()  // end the watches of its sockets, while it sleeps
	selfBound  string    // the command binds its sockets itself: since when and why
	retryAt    time.Time
	backOff    uint64 // number of the back-off that runs
	stopTimer  func() bool
	waiters    []waiter
	answers    []func()           // to waiters, once the Status is published
	afterwards []func(row uint64) // what a move does once the router's row is on its way
	pausing    *pausing           // nil: it does not stand still
	adopted    *Carried           // what it was made of; nil once it goes on
	tasks      sync.WaitGroup     // generations, hand-overs, hooks, daemons and cron jobs

	helpers  *helpers
	life     *life // nil: nothing runs
	pastLife *life
	endings  int    // lives that are over, but for their hooks
	epoch    uint64 // the last generation for which daemons were restarted
	errands  atomic.Uint64
	// hookFailure is the last one that changed nothing; nil: none since the last start.
	hookFailure atomic.Pointer[HookFailure]
	// toldAsleep: the main file's hooks know that it sleeps.
	toldAsleep bool

	rehearsal *rehearsal // under way
	rehearsed *spec.Spec // whose exec-pre-start has just been run
}

// New makes a vassal; it does nothing before Run and Want. Two of one name must
// not run at the same time: their processes are told apart by name and generation.
func New(name string, deps Deps) *Vassal {
	v := &Vassal{
		name: name, deps: deps, log: deps.Log.With("vassal", name), clock: deps.Clock, sockets: deps.Sockets,
		done: make(chan struct{}), carried: make(chan struct{}), holding: make(chan struct{}, 1), draining: map[uint64]*generation{}, defaults: deps.Defaults,
	}
	if v.clock == nil {
		v.clock = clock.System{}
	}
	if v.sockets == nil {
		v.sockets = sockets.New()
	}
	v.defaults.complete()
	if deps.Logs == nil {
		deps.Logs = logsink.NewSet(deps.Log, nil)
	}
	v.output = logs.NewOutput(name, deps.Logs, v.clock)
	v.publisher = newPublisher(deps.Front, v.log)
	v.newBody = newBody
	v.helpers = newHelpers(v)
	v.inbox.ready = make(chan struct{}, 1)
	v.since = v.clock.Now()
	v.status.Store(&Status{Name: name, Since: v.since})
	return v
}

func newBody(s surroundings) body {
	switch s.spec.Kind {
	case spec.UWSGI:
		return newUWSGIBody(s)
	case spec.Static:
		return newStaticBody(s)
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
	if v.adopted != nil {
		v.carryOn()
		v.show()
	}
	for v.state != Gone {
		select {
		case <-stopping:
			stopping = nil
			v.handle(message{kind: machineEvent, event: Shutdown})
		case <-v.inbox.ready:
			for _, m := range v.inbox.take() {
				v.handle(m)
			}
		}
		v.attend()
		v.show()
		v.answer()
	}
	v.tasks.Wait()
	v.unwatch()
	v.sockets.Abandon(v.name)
	v.sockets.Keep(v.name, nil)
	v.publisher.close()
	v.output.Close()
	for _, m := range v.inbox.take() {
		v.answerLate(m)
	}
	return nil
}

// Want gives the first or a changed spec: start, or hand over to a new
// generation. It returns at once; the last one wins. After Remove it revives
// the vassal unless Run has returned (see Done). seen is when an edit of the file
// was seen, for the log; zero where there was none.
func (v *Vassal) Want(s *spec.Spec, seen time.Time) {
	v.send(message{kind: wanted, spec: s, seen: seen})
}

// KeysChanged says that one of its KeyFiles is not what it was.
func (v *Vassal) KeysChanged() { v.send(message{kind: keysChanged}) }

// Refuse says that the file has mistakes: what runs stays, the error is shown.
func (v *Vassal) Refuse(p config.Problems) { v.send(message{kind: refused, problems: p}) }

// Remove says that the file is gone: drain by its mercy, stop, Run returns.
func (v *Vassal) Remove() { v.send(message{kind: machineEvent, event: Removed}) }

// Moved says that the folder's name has become another folder, which the router may
// not take by itself: it is opened anew, in a new generation, if the given one still
// serves.
func (v *Vassal) Moved(generation uint64) {
	v.send(message{kind: folderMoved, generation: generation})
}

// Halt says that the emperor is about to end: from now on nothing is started, be
// it after a change, an order or a death. What runs goes on until the context of
// Run ends, and so does a first generation on its way up, for which requests
// wait; a successor that is not ready yet is given up.
func (v *Vassal) Halt() { v.send(message{kind: machineEvent, event: Halted}) }

// Loyal says that a generation has answered a request. (A uWSGI says so by itself, too.)
func (v *Vassal) Loyal(generation uint64) {
	v.send(message{kind: becameLoyal, generation: generation})
}

// Silent says that a generation has left several requests in a row without any answer
// until its harakiri: it may hang, and is asked.
func (v *Vassal) Silent(generation uint64) {
	v.send(message{kind: fellSilent, generation: generation})
}

// Done is closed when Run has returned: a Want after that is lost.
func (v *Vassal) Done() <-chan struct{} { return v.done }

// State is the last published state: Status without its cost, for those who look at
// thousands.
func (v *Vassal) State() State { return v.status.Load().State }

// Status is the last published snapshot, with the lines of output as they are now.
func (v *Vassal) Status() Status {
	s := *v.status.Load()
	s.Lines = v.output.Lines(0)
	if last := v.lastBeat.Load(); last != nil {
		s.LastHeartbeat = *last
	}
	if last := v.inspection.Load(); s.Health != nil && last.Generation == s.Generation {
		s.Health = last.remarked(s.Health.Remark)
	}
	return s
}

// Follow gives the last lines and a channel of the coming ones. A reader that
// is slower than the vassal loses lines, never slows it. Call stop when done;
// the channel is closed then, or when Run returns.
func (v *Vassal) Follow() (last []logs.Line, coming <-chan logs.Line, stop func()) {
	return v.output.Follow()
}

// LogFiles are those of the vassal that are its own. Two vassals may share one.
func (v *Vassal) LogFiles() []logs.File {
	return v.output.LogFiles()
}
