package vassal

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"emperor/internal/config"
	"emperor/internal/link"
)

// world is a simulated vassal: real state machine, simulated bodies and time.
type world struct {
	t    *testing.T
	seed uint64

	mu      sync.Mutex // guards what follows
	random  *rand.Rand
	bodies  map[uint64]*fakeBody
	row     link.Vassal
	status  Status
	halted  bool // nothing may be started
	allowed bool // a start may happen: something asked for it since the back-off began
	history []string
}

func (w *world) note(format string, args ...any) {
	w.history = append(w.history, fmt.Sprintf(format, args...))
}

// fakeBody lives as the dice say.
type fakeBody struct {
	w         *world
	s         surroundings
	bootTime  time.Duration
	bootError error
	life      time.Duration // 0: until it is asked to end
	farewell  time.Duration // after retire; negative: never
	killer    syscall.Signal
	aloneWhy  string
	busyDice  int // of 4

	mu      sync.Mutex
	over    chan struct{}
	isOver  bool
	retired bool
	ready   bool
	ended   bool
	up      bool
	timers  []*time.Timer
}

func (w *world) newBody(s surroundings) body {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.note("gen %d made", s.generation)
	if w.halted {
		w.t.Errorf("seed %d: generation %d is started after the end was announced\n%v", w.seed, s.generation, w.history)
	}
	if w.status.State == Asleep && !w.allowed {
		w.t.Errorf("seed %d: generation %d is started although nobody wants anything\n%v", w.seed, s.generation, w.history)
	}
	if w.status.State == Failed && !w.allowed && time.Now().Before(w.status.RetryAt) {
		w.t.Errorf("seed %d: generation %d is started while the back-off runs\n%v", w.seed, s.generation, w.history)
	}
	w.allowed = false
	b := &fakeBody{w: w, s: s, over: make(chan struct{})}
	b.bootTime = time.Duration(w.random.IntN(3000)) * time.Millisecond
	switch w.random.IntN(10) {
	case 0, 1:
		b.bootError = errors.New("no luck")
	case 2:
		b.bootTime = time.Hour // beyond the boot time
	}
	if w.random.IntN(2) == 0 {
		b.life = time.Duration(1+w.random.IntN(20)) * time.Second
	}
	b.farewell = time.Duration(w.random.IntN(4)-1) * 3 * time.Second
	b.killer = []syscall.Signal{0, syscall.SIGKILL, syscall.SIGTERM}[w.random.IntN(3)]
	if w.random.IntN(10) == 0 {
		b.aloneWhy = "it binds by itself"
	}
	b.busyDice = w.random.IntN(3)
	w.bodies[s.generation] = b
	return b
}

func (b *fakeBody) boot(ctx context.Context) error {
	b.w.mu.Lock()
	for n, other := range b.w.bodies {
		if n != b.s.generation && !other.hasEnded() && (!b.s.spec.Overlap || !other.s.spec.Overlap) && other.booted() {
			b.w.t.Errorf("seed %d: generation %d boots beside %d\n%v", b.w.seed, b.s.generation, n, b.w.history)
		}
	}
	b.w.mu.Unlock()
	b.mu.Lock()
	b.ready = true // it has processes from now on
	b.mu.Unlock()
	if !sleep(ctx, systemClock{}, b.bootTime) {
		return context.Cause(ctx)
	}
	if b.bootError != nil {
		return b.bootError
	}
	b.s.started([]int{int(b.s.generation)})
	b.mu.Lock()
	b.up = true
	b.mu.Unlock()
	if b.s.spec.Kind == UWSGI && b.s.spec.Idle > 0 {
		b.timers = append(b.timers, time.AfterFunc(b.s.spec.Idle, b.s.idle))
	}
	if b.life > 0 {
		b.timers = append(b.timers, time.AfterFunc(b.life, b.finish))
	}
	return nil
}

func (b *fakeBody) booted() bool { b.mu.Lock(); defer b.mu.Unlock(); return b.ready }

func (b *fakeBody) hasEnded() bool { b.mu.Lock(); defer b.mu.Unlock(); return b.ended }

// serves: it has become ready, and neither died nor was told to end.
func (b *fakeBody) serves() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.up && !b.isOver && !b.retired
}

func (b *fakeBody) finish() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.isOver {
		b.isOver = true
		close(b.over)
	}
}

func (b *fakeBody) accepting() bool                              { return b.s.spec.Kind == UWSGI && b.bootError == nil }
func (b *fakeBody) died() <-chan struct{}                        { return b.over }
func (b *fakeBody) cause() death                                 { return death{"fate", b.killer} }
func (b *fakeBody) promote() error                               { return nil }
func (b *fakeBody) quiet() bool                                  { return true }
func (b *fakeBody) addresses() []link.Address                    { return nil }
func (b *fakeBody) files() (*link.StaticFiles, *link.OpenFolder) { return nil, nil }
func (b *fakeBody) alone() string                                { return b.aloneWhy }
func (b *fakeBody) halt()                                        {}
func (b *fakeBody) connections() int                             { return b.w.dice(4, b.busyDice) }

func (b *fakeBody) busy() string {
	if b.w.dice(4, b.busyDice) > 0 {
		return "it works for itself"
	}
	return ""
}

func (b *fakeBody) retire() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.retired {
		b.w.t.Errorf("seed %d: generation %d is retired twice", b.w.seed, b.s.generation)
	}
	b.retired = true
	if b.farewell >= 0 {
		b.timers = append(b.timers, time.AfterFunc(b.farewell, b.finish))
	}
}

func (b *fakeBody) end(context.Context) {
	b.finish()
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.ended {
		b.w.t.Errorf("seed %d: generation %d is ended twice", b.w.seed, b.s.generation)
	}
	b.ended = true
	for _, t := range b.timers {
		t.Stop()
	}
}

// The world is the router, too.
func (w *world) Publish(_ context.Context, row link.Vassal) error {
	w.mu.Lock()
	w.row = row
	w.note("row %s gen %d removed %t", row.State, row.Generation, row.Removed)
	slow := w.random.IntN(20) == 0
	w.mu.Unlock()
	if slow {
		time.Sleep(200 * time.Millisecond)
	}
	return nil
}

func (w *world) Try(ctx context.Context, _ link.Vassal) error { return ctx.Err() }

func (w *world) Hold(ctx context.Context, _ string) error { return ctx.Err() }
func (w *world) Release(string)                           {}

func (w *world) Drained(ctx context.Context, _ string, _ uint64) error {
	w.mu.Lock()
	d := time.Duration(w.random.IntN(8)-1) * 5 * time.Second
	w.mu.Unlock()
	if d < 0 {
		<-ctx.Done() // a websocket that stays
		return ctx.Err()
	}
	sleep(ctx, systemClock{}, d)
	return ctx.Err()
}

// dice is 1 in so many of that many cases, else 0.
func (w *world) dice(sides, lucky int) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.random.IntN(sides) < lucky {
		return 1
	}
	return 0
}

func (w *world) Unused(ctx context.Context, _ string, quiet time.Duration) error {
	if quiet > 0 {
		sleep(ctx, systemClock{}, quiet+time.Duration(w.dice(2, 1))*5*time.Second)
	} else if w.dice(5, 1) > 0 {
		return errors.New("a request is under way")
	}
	return ctx.Err()
}

func (w *world) spec(n int) *Spec {
	s := &Spec{Name: "site", File: "/site.ini", Kind: Command, Overlap: w.random.IntN(3) > 0}
	if w.random.IntN(2) == 0 {
		s.Kind = UWSGI
	}
	if w.random.IntN(3) == 0 {
		s.Mercy = time.Duration(1+w.random.IntN(30)) * time.Second
	}
	s.command.line = fmt.Sprint(n / 3)
	if w.random.IntN(2) == 0 {
		s.OnDemand, s.OnDemandReason = true, "on-demand (site.ini:3)"
	}
	if w.random.IntN(2) == 0 {
		s.Idle, s.IdleReason = time.Duration(1+w.random.IntN(10))*time.Second, "idle (site.ini:4)"
	}
	return s
}

// TestSimulation throws dice: file edits, orders, deaths, hangs and the end, in
// any order, and checks what must always hold.
func TestSimulation(t *testing.T) {
	lives := 3000
	if testing.Short() {
		lives = 300
	}
	for seed := range uint64(lives) {
		synctest.Test(t, func(t *testing.T) { simulate(t, seed) })
		if t.Failed() {
			return
		}
	}
}

func simulate(t *testing.T, seed uint64) {
	w := &world{t: t, seed: seed, random: rand.New(rand.NewPCG(seed, 1)), bodies: map[uint64]*fakeBody{}}
	log := &lockedBuffer{}
	v := New("site", Deps{
		Log: slog.New(slog.NewTextHandler(log, nil)), Front: w,
		Changed:  func(s Status) { w.mu.Lock(); w.status = s; w.note("%s gen %d", s.State, s.Generation); w.mu.Unlock() },
		Defaults: Defaults{Environment: []string{}},
	})
	v.newBody = w.newBody
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ended := make(chan struct{})
	go func() { v.Run(ctx); close(ended) }()

	w.mu.Lock()
	steps := 5 + w.random.IntN(25)
	w.mu.Unlock()
	for n := range steps {
		w.mu.Lock()
		dice, pause := w.random.IntN(20), time.Duration(w.random.IntN(6000))*time.Millisecond
		if w.random.IntN(4) == 0 {
			pause = 0
		}
		w.allowed = true
		spec := w.spec(n)
		w.note("step %d: dice %d, then %s", n, dice, pause)
		w.mu.Unlock()
		switch dice {
		case 0:
			v.Refuse(config.Problems{{Text: "a mistake"}})
		case 19:
			if n > steps/2 {
				v.Halt()
				synctest.Wait()
				w.mu.Lock()
				w.halted = true
				w.note("halted")
				w.mu.Unlock()
			}
		case 1:
			v.Remove()
		case 2, 3, 4, 5:
			order := []Order{OrderStart, OrderStop, OrderReload, OrderRestart}[dice-2]
			impatient, stop := context.WithTimeout(ctx, time.Millisecond)
			v.Order(impatient, order)
			stop()
		case 16, 17, 18:
			v.Wake("a request through the front")
			v.Wake("a connection to its socket")
		default:
			if dice < 12 {
				v.Want(spec, time.Time{})
			}
		}
		synctest.Wait()
		w.mu.Lock()
		w.allowed = w.status.State != Failed && w.status.State != Asleep
		w.mu.Unlock()
		time.Sleep(pause)
		synctest.Wait()
		w.check(v)
	}
	w.mu.Lock()
	w.halted = true
	w.note("shutdown")
	w.mu.Unlock()
	cancel()
	time.Sleep(time.Minute) // everything is over within the stop time
	synctest.Wait()
	select {
	case <-ended:
	default:
		t.Fatalf("seed %d: Run has not returned a minute after the end: %+v\n%v\n%s", seed, v.Status(), w.history, log)
	}
	for n, b := range w.bodies {
		if !b.hasEnded() {
			t.Errorf("seed %d: generation %d was not ended\n%v", seed, n, w.history)
		}
	}
	if log := log.String(); strings.Contains(log, "mistake in this program") || strings.Contains(log, `why=""`) {
		t.Errorf("seed %d:\n%s", seed, log)
	}
}

// check looks at a moment in which nothing moves.
func (w *world) check(v *Vassal) {
	w.mu.Lock()
	defer w.mu.Unlock()
	s := v.Status()
	v.publisher.mu.Lock()
	known := v.publisher.done == v.publisher.put // else the router is still being told
	v.publisher.mu.Unlock()
	switch s.State {
	case Ready, Reloading:
		b := w.bodies[s.Generation]
		if b == nil || b.hasEnded() || b.retired {
			w.t.Errorf("seed %d: %s with generation %d, which does not serve\n%v", w.seed, s.State, s.Generation, w.history)
		}
		if known && (w.row.State != link.Ready || w.row.Generation != s.Generation) {
			w.t.Errorf("seed %d: %s with generation %d, but the router knows %+v\n%v", w.seed, s.State, s.Generation, w.row, w.history)
		}
	case Asleep, Starting, Failed, Stopped, Stopping, Leaving:
		for n, b := range w.bodies {
			if s.State == Asleep && b.serves() && !slices.Contains(s.Draining, n) {
				w.t.Errorf("seed %d: asleep, and generation %d serves\n%v", w.seed, n, w.history)
			}
		}
		if s.State == Asleep && known && w.row.State != link.Asleep {
			w.t.Errorf("seed %d: asleep, but the router knows %+v\n%v", w.seed, w.row, w.history)
		}
		if w.halted && s.State == Failed {
			w.t.Errorf("seed %d: it waits for a start that will not come\n%v", w.seed, w.history)
		}
		if s.Generation != 0 {
			w.t.Errorf("seed %d: %s with generation %d\n%v", w.seed, s.State, s.Generation, w.history)
		}
		if known && w.row.State == link.Ready && !w.row.Removed {
			w.t.Errorf("seed %d: %s, but the router knows %+v\n%v", w.seed, s.State, w.row, w.history)
		}
	}
	// Those that were made to hurry take their stop time yet.
	if len(s.Draining) > maxDraining+4 {
		w.t.Errorf("seed %d: %d generations linger\n%v", w.seed, len(s.Draining), w.history)
	}
}
