package vassal

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"emperor/internal/link"
	"emperor/vassal/clock"
	"emperor/vassal/probe"
	"emperor/vassal/sockets"
	"emperor/vassal/spec"
)

// world is what the simulated vassals live in.
type world struct {
	seed    uint64
	tracing bool
	began   time.Time
	actors  []*actor
	sockets *sockets.Registry
	slots   chan struct{}

	mu       sync.Mutex // guards what follows, and what actors have
	halted   bool       // nothing may be started
	failures []string
	history  []string
	watched  map[int]func() // by descriptor; what the kernel watches for sleepers
	nextFD   int
}

// actor is one vassal and what the world knows of it.
type actor struct {
	w      *world
	name   string
	number uint64
	v      *Vassal
	ended  chan struct{}
	life   uint64 // how often it was made

	// guarded by w.mu
	random   *rand.Rand
	bodies   map[uint64]*fakeBody
	row      link.Vassal
	rows     int
	status   Status
	statuses int
	allowed  bool   // a start may happen: something asked for it since the back-off began
	asked    deed   // the last that was
	atPath   uint64 // generation that new connections reach at the paths
}

func newWorld(seed uint64, acts []act, tracing bool) *world {
	w := &world{seed: seed, tracing: tracing, began: time.Now(), sockets: sockets.New(), slots: make(chan struct{}, 2), watched: map[int]func(){}}
	// The kernel: descriptors of its own, which no system call knows.
	w.sockets.Listen = func(spec.Address, spec.SocketRules) (*sockets.Listener, error) {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.nextFD--
		return sockets.NewListener(w.nextFD - 1000), nil
	}
	w.sockets.Watch = func(fd int, somebody func()) (func(), error) {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.watched[fd] = somebody
		return func() {
			w.mu.Lock()
			defer w.mu.Unlock()
			delete(w.watched, fd)
		}, nil
	}
	vassals := 0
	for _, a := range acts {
		vassals = max(vassals, a.who+1)
	}
	for i := range vassals {
		w.actors = append(w.actors, &actor{w: w, name: siteName(i), number: uint64(i), random: rand.New(rand.NewPCG(seed, uint64(i)+100))})
	}
	return w
}

// note is for people; w.mu is held.
func (w *world) note(format string, args ...any) {
	if w.tracing {
		w.history = append(w.history, fmt.Sprintf("%8.3fs ", time.Since(w.began).Seconds())+fmt.Sprintf(format, args...))
	}
}

// fail notes what does not hold; w.mu is held.
func (w *world) fail(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	w.note("MUST NOT BE: %s", text)
	w.failures = append(w.failures, text)
}

// launch makes the vassal, as the registry does when its file comes, or comes back.
func (a *actor) launch(ctx context.Context) {
	a.w.mu.Lock()
	a.life++
	a.bodies, a.row, a.status, a.atPath, a.ended = map[uint64]*fakeBody{}, link.Vassal{}, Status{}, 0, make(chan struct{})
	a.w.mu.Unlock()
	a.v = New(a.name, Deps{
		Log: slog.New(auditor{a}), Front: a.w, Sockets: a.w.sockets, Slots: a.w,
		Changed: a.changed, Defaults: Defaults{Environment: []string{}},
	})
	a.v.newBody = a.newBody
	v, ended := a.v, a.ended
	go func() { _ = v.Run(ctx); close(ended) }()
}

func (a *actor) hasEnded() bool {
	select {
	case <-a.ended:
		return true
	default:
		return false
	}
}

// Acquire is a slot: two vassals start at a time.
func (w *world) Acquire(ctx context.Context, _ Turn) (func(), error) {
	select {
	case w.slots <- struct{}{}:
		return func() { <-w.slots }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// connect is somebody at its socket who comes without the router.
func (a *actor) connect() {
	held := a.w.sockets.Describe().Held
	a.w.mu.Lock()
	var call func()
	for _, h := range held {
		if h.Owner == a.name {
			call = a.w.watched[h.Listener.FD]
		}
	}
	a.w.mu.Unlock()
	if call != nil {
		call()
	}
}

// crash ends the processes of the generation that serves.
func (a *actor) crash() {
	a.w.mu.Lock()
	b := a.bodies[a.status.Generation]
	a.w.mu.Unlock()
	if b != nil {
		b.finish()
	}
}

// closeEnd makes the uWSGI that serves close its end of the control descriptor.
func (a *actor) closeEnd() {
	a.w.mu.Lock()
	defer a.w.mu.Unlock()
	if b := a.bodies[a.status.Generation]; b != nil && b.s.spec.Kind == spec.UWSGI && !b.hungUp {
		b.hungUp = true
		close(b.itsEnd)
	}
}

// fakeBody lives as the dice say.
type fakeBody struct {
	a         *actor
	s         surroundings
	forkTime  time.Duration
	bootTime  time.Duration
	bootError error
	life      time.Duration // 0: until it is asked to end
	farewell  time.Duration // after retire; negative: never
	killer    syscall.Signal
	aloneWhy  string
	busyDice  int // of 4

	over, itsEnd chan struct{}
	// guarded by a.w.mu
	random   *rand.Rand
	begun    bool // boot was called
	process  bool // it has one
	up       bool
	retired  bool
	isOver   bool
	ended    bool
	hungUp   bool
	timers   []*time.Timer
	promoted atomic.Bool
}

func (a *actor) newBody(s surroundings) body {
	w := a.w
	w.mu.Lock()
	defer w.mu.Unlock()
	w.note("%s gen %d made", a.name, s.generation)
	a.checkStart(s.generation)
	a.allowed = false
	b := &fakeBody{a: a, s: s, over: make(chan struct{}), itsEnd: make(chan struct{}), random: rand.New(rand.NewPCG(w.seed, a.number<<40|a.life<<32|s.generation))}
	r := b.random
	b.forkTime, b.bootTime = time.Duration(1+r.IntN(20))*time.Millisecond, time.Duration(r.IntN(3000))*time.Millisecond
	switch r.IntN(10) {
	case 0, 1:
		b.bootError = errors.New("no luck")
	case 2:
		b.bootTime = time.Hour // beyond the boot time
	}
	if r.IntN(2) == 0 {
		b.life = time.Duration(1+r.IntN(20)) * time.Second
	}
	b.farewell = time.Duration(r.IntN(4)-1) * 3 * time.Second
	b.killer = []syscall.Signal{0, syscall.SIGKILL, syscall.SIGTERM}[r.IntN(3)]
	if r.IntN(10) == 0 && s.spec.Kind == spec.Command {
		b.aloneWhy = "it binds by itself"
	}
	b.busyDice = r.IntN(3)
	a.bodies[s.generation] = b
	return b
}

func (b *fakeBody) boot(ctx context.Context) error {
	w := b.a.w
	w.mu.Lock()
	b.begun = true
	for n, other := range b.a.bodies {
		if n != b.s.generation && !other.ended && other.begun && (!b.s.spec.Overlap || !other.s.spec.Overlap) && b.s.spec.Kind != spec.Static && other.s.spec.Kind != spec.Static {
			w.fail("%s: generation %d boots beside %d", b.a.name, b.s.generation, n)
		}
	}
	w.mu.Unlock()
	var err error
	held, err := b.s.listeners(ctx, false)
	defer releaseAll(held)
	if err != nil {
		return err
	}
	if !clock.Sleep(ctx, clock.System{}, b.forkTime) {
		return context.Cause(ctx)
	}
	w.mu.Lock()
	b.process = true
	w.mu.Unlock()
	b.s.started([]int{int(b.s.generation)})
	if !clock.Sleep(ctx, clock.System{}, b.bootTime) {
		return context.Cause(ctx)
	}
	if b.bootError != nil {
		return b.bootError
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	b.up = true
	if b.s.spec.Kind == spec.UWSGI && b.s.spec.Idle > 0 {
		b.timers = append(b.timers, time.AfterFunc(b.s.spec.Idle, b.s.idle))
	}
	if b.life > 0 {
		b.timers = append(b.timers, time.AfterFunc(b.life, b.finish))
	}
	b.timers = append(b.timers, time.AfterFunc(time.Second, b.s.loyal))
	return nil
}

func (b *fakeBody) finish() {
	b.a.w.mu.Lock()
	defer b.a.w.mu.Unlock()
	if !b.isOver {
		b.a.w.note("%s gen %d is over", b.a.name, b.s.generation)
		b.isOver = true
		close(b.over)
	}
}

func (b *fakeBody) accepting() bool                              { return b.s.spec.Kind == spec.UWSGI && b.bootError == nil }
func (b *fakeBody) closed() <-chan struct{}                      { return b.itsEnd }
func (b *fakeBody) died() <-chan struct{}                        { return b.over }
func (b *fakeBody) cause() death                                 { return death{"fate", b.killer} }
func (b *fakeBody) quiet() bool                                  { return true }
func (b *fakeBody) addresses() []link.Address                    { return nil }
func (b *fakeBody) files() (*link.StaticFiles, *link.OpenFolder) { return nil, nil }
func (b *fakeBody) alone() string                                { return b.aloneWhy }
func (b *fakeBody) halt()                                        {}
func (b *fakeBody) connections() int                             { return b.dice() }

// inquire: it is well, it says that it is not, or it is silent.
func (b *fakeBody) inquire(ctx context.Context, path string) error {
	if b.s.spec.Kind == spec.UWSGI && len(b.s.contested) > 0 && !b.promoted.Load() {
		return nil // its sockets are abstract, and not its own alone
	}
	switch b.dice() + b.dice() {
	case 2:
		return &probe.BadAnswer{Path: path, Status: "500"}
	case 1:
		<-ctx.Done()
		return ctx.Err()
	}
	return nil
}

func (b *fakeBody) promote() error {
	b.a.w.mu.Lock()
	defer b.a.w.mu.Unlock()
	b.a.atPath = b.s.generation
	b.promoted.Store(true)
	return nil
}

func (b *fakeBody) busy() string {
	if b.dice() > 0 {
		return "it works for itself"
	}
	return ""
}

func (b *fakeBody) dice() int {
	b.a.w.mu.Lock()
	defer b.a.w.mu.Unlock()
	if b.random.IntN(4) < b.busyDice {
		return 1
	}
	return 0
}

func (b *fakeBody) retire() {
	w := b.a.w
	w.mu.Lock()
	defer w.mu.Unlock()
	w.note("%s gen %d is retired", b.a.name, b.s.generation)
	if b.retired {
		w.fail("%s: generation %d is retired twice", b.a.name, b.s.generation)
	}
	b.retired = true
	if b.farewell >= 0 {
		b.timers = append(b.timers, time.AfterFunc(b.farewell, b.finish))
	}
}

func (b *fakeBody) end(context.Context) {
	b.finish()
	w := b.a.w
	w.mu.Lock()
	defer w.mu.Unlock()
	w.note("%s gen %d is ended", b.a.name, b.s.generation)
	if b.ended {
		w.fail("%s: generation %d is ended twice", b.a.name, b.s.generation)
	}
	b.ended = true
	for _, t := range b.timers {
		t.Stop()
	}
}

// The world is the router, too.
func (w *world) actor(name string) *actor {
	for _, a := range w.actors {
		if a.name == name {
			return a
		}
	}
	panic("a vassal of another name: " + name)
}

// throw is a throw of the actor's dice.
func (w *world) throw(name string, sides int) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.actor(name).random.IntN(sides)
}

func (w *world) Publish(_ context.Context, row link.Vassal) error {
	w.mu.Lock()
	a := w.actor(row.Name)
	a.row = row
	a.rows++
	w.note("%s row %s gen %d removed %t", a.name, row.State, row.Generation, row.Removed)
	slow := a.random.IntN(20) == 0
	w.mu.Unlock()
	if slow {
		time.Sleep(200 * time.Millisecond)
	}
	return nil
}

func (w *world) Try(ctx context.Context, _ link.Vassal) error { return ctx.Err() }
func (w *world) Hold(ctx context.Context, _ string) error     { return ctx.Err() }
func (w *world) Release(string)                               {}

func (w *world) Drained(ctx context.Context, name string, _ uint64) error {
	d := time.Duration(w.throw(name, 8)-1) * 5 * time.Second
	if d < 0 {
		<-ctx.Done() // a websocket that stays
		return ctx.Err()
	}
	clock.Sleep(ctx, clock.System{}, d)
	return ctx.Err()
}

func (w *world) Unused(ctx context.Context, name string, quiet time.Duration) error {
	if quiet > 0 {
		clock.Sleep(ctx, clock.System{}, quiet+time.Duration(w.throw(name, 2))*5*time.Second)
	} else if w.throw(name, 5) == 0 {
		return errors.New("a request is under way")
	}
	return ctx.Err()
}

func (w *world) Answered(ctx context.Context, name string, _ uint64) error {
	clock.Sleep(ctx, clock.System{}, time.Duration(w.throw(name, 4))*20*time.Second)
	return ctx.Err()
}

// auditor is a log that only looks for what must not be in it.
type auditor struct{ a *actor }

func (h auditor) Enabled(context.Context, slog.Level) bool { return true }
func (h auditor) WithAttrs([]slog.Attr) slog.Handler       { return h }
func (h auditor) WithGroup(string) slog.Handler            { return h }
func (h auditor) Handle(_ context.Context, r slog.Record) error {
	h.a.w.mu.Lock()
	defer h.a.w.mu.Unlock()
	text := r.Message
	r.Attrs(func(attr slog.Attr) bool {
		if attr.Key == "why" && attr.Value.String() == "" {
			h.a.w.fail("%s: %s, without a reason", h.a.name, text)
		}
		if h.a.w.tracing {
			text += " " + attr.String()
		}
		return true
	})
	if strings.HasPrefix(text, "mistake in this program") {
		h.a.w.fail("%s: %s", h.a.name, text)
	}
	h.a.w.note("%s log: %s", h.a.name, text)
	return nil
}
