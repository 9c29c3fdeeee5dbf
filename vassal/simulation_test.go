package vassal

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"emperor/internal/config"
	"emperor/vassal/spec"
)

// A simulation is one to three vassals in one emperor: real state machines, real
// generations and sockets' owners, and simulated processes, router, kernel and time. It
// plays a script of random events, and looks after each of them whether what must always
// hold does (simulation_check_test.go). Everything random is drawn from the seed, so that
// a script that fails can be played again, and shrunk.
var (
	simulations    = flag.Int("simulations", 10000, "TestSimulation: how many scripts are played")
	simulationSeed = flag.Int64("simulation-seed", -1, "TestSimulation: play only this one, and tell what happens")
)

// deed is what happens to a vassal.
type deed uint8

const (
	edited deed = iota
	spoiled
	removedFile
	startOrdered
	stopOrdered
	reloadOrdered
	restartOrdered
	visited
	connected
	crashed
	closedItsEnd
	halted
	deeds
)

var deedNames = [deeds]string{
	"its file is edited", "its file gets a mistake", "its file goes", "start is ordered", "stop is ordered", "reload is ordered",
	"restart is ordered", "a request waits", "somebody connects", "its processes die", "it closes its end", "the emperor announces its end",
}

var deedOrders = map[deed]Order{startOrdered: OrderStart, stopOrdered: OrderStop, reloadOrdered: OrderReload, restartOrdered: OrderRestart}

// act is one step of a script.
type act struct {
	who   int // which vassal
	what  deed
	spec  *spec.Spec // what an edit says
	pause time.Duration
}

func (a act) String() string {
	text := fmt.Sprintf("site%d: %s", a.who, deedNames[a.what])
	if s := a.spec; s != nil {
		text += fmt.Sprintf(" (%s %s, overlap %t, mercy %s, on demand %t, idle %s, sockets", s.Kind, s.Command.Line, s.Overlap, s.Mercy, s.OnDemand, s.Idle)
		for _, socket := range s.Sockets {
			text += " " + socket.Address
		}
		text += ")"
	}
	return text + "; then " + a.pause.String()
}

// script draws what happens.
func script(seed uint64) []act {
	random := rand.New(rand.NewPCG(seed, 1))
	vassals := 1 + random.IntN(3)
	acts := make([]act, 5+random.IntN(25))
	for i := range acts {
		a := act{who: random.IntN(vassals), pause: time.Duration(random.IntN(6000)) * time.Millisecond}
		if random.IntN(4) == 0 {
			a.pause = 0
		}
		switch dice := random.IntN(24); {
		case dice < 8, i == 0:
			a.what, a.spec = edited, randomSpec(random, a.who, i)
		case dice < 19:
			a.what = spoiled + deed(dice-8)%(halted-spoiled)
		case dice < 21:
			a.what = crashed + deed(random.IntN(2))
		case dice < 23:
			a.what = visited
		case i > len(acts)/2:
			a.what = halted
		}
		acts[i] = a
		if a.what == edited && a.spec == nil {
			acts[i].spec = randomSpec(random, a.who, i)
		}
	}
	return acts
}

func randomSpec(random *rand.Rand, who, n int) *spec.Spec {
	s := &spec.Spec{Name: siteName(who), File: "/site.ini", Kind: spec.Command, Overlap: random.IntN(3) > 0}
	switch random.IntN(7) {
	case 0:
		s.Kind = spec.Static
		return s
	case 1, 2, 3:
		s.Kind = spec.UWSGI
	}
	if random.IntN(3) == 0 {
		s.Mercy = time.Duration(1+random.IntN(30)) * time.Second
	}
	s.Command.Line = fmt.Sprint(n / 3)
	if random.IntN(2) == 0 {
		s.OnDemand, s.OnDemandReason = true, "on-demand (site.ini:3)"
	}
	if random.IntN(2) == 0 {
		s.Idle, s.IdleReason = time.Duration(1+random.IntN(10))*time.Second, "idle (site.ini:4)"
	}
	if random.IntN(2) == 0 {
		s.Health = spec.Health{Path: "/health", Interval: time.Duration(1+random.IntN(3)) * time.Second, Timeout: time.Second, Threshold: 1 + random.IntN(3)}
	}
	// An abstract socket: two uWSGI share it, a command cannot be started beside another
	// that has it. Sometimes it is one that others name, too.
	name := ""
	switch random.IntN(6) {
	case 0, 1:
		name = siteName(who)
	case 2:
		name = "common"
	}
	if name != "" {
		s.Sockets = []spec.Socket{{Address: "@" + name, Protocol: "http", Held: true, At: spec.Address{Text: "@" + name, Abstract: name}}}
		s.Overlap = s.Overlap && s.Kind == spec.UWSGI
	}
	if !s.Overlap {
		s.OverlapReason = "overlap (site.ini:5)"
	}
	return s
}

func siteName(who int) string { return fmt.Sprint("site", who) }

// TestSimulation throws dice: file edits, orders, visitors, deaths, hangs and the end, in
// any order, and checks what must always hold.
func TestSimulation(t *testing.T) {
	if *simulationSeed >= 0 {
		seed := uint64(*simulationSeed)
		failures, history := simulate(t, seed, script(seed), true)
		t.Logf("seed %d:\n%s", seed, strings.Join(history, "\n"))
		for _, f := range failures {
			t.Error(f)
		}
		return
	}
	scripts := uint64(*simulations)
	if testing.Short() {
		scripts = min(scripts, 500)
	}
	workers := uint64(runtime.GOMAXPROCS(0))
	for worker := range workers {
		t.Run(fmt.Sprint("part ", worker+1), func(t *testing.T) {
			t.Parallel()
			for seed := worker; seed < scripts && !t.Failed(); seed += workers {
				acts := script(seed)
				if failures, _ := simulate(t, seed, acts, false); len(failures) > 0 {
					explainFailure(t, seed, acts, failures)
				}
			}
		})
	}
}

// explainFailure shrinks the script and tells the seed and what is left.
func explainFailure(t *testing.T, seed uint64, acts []act, failures []string) {
	t.Helper()
	short := shrink(acts, func(acts []act) bool {
		f, _ := simulate(t, seed, acts, false)
		return len(f) > 0
	})
	var history []string
	for range 3 { // goroutines of one instant may run in another order
		var again []string
		if again, history = simulate(t, seed, short, true); len(again) > 0 {
			failures = again
			break
		}
	}
	var text strings.Builder
	for _, a := range short {
		fmt.Fprintln(&text, "  ", a)
	}
	t.Errorf("seed %d: %s\n%d of its %d acts are enough (go test ./vassal -run TestSimulation -simulation-seed %d plays all):\n%swhat happened:\n   %s",
		seed, strings.Join(failures, "\n"), len(short), len(acts), seed, &text, strings.Join(history, "\n   "))
}

// shrink leaves out acts, and then pauses, as long as what is left fails.
func shrink(acts []act, fails func([]act) bool) []act {
	for size := (len(acts) + 1) / 2; size > 0; {
		smaller := false
		for i := 0; i+size <= len(acts); {
			if without := slices.Concat(acts[:i], acts[i+size:]); fails(without) {
				acts, smaller = without, true
			} else {
				i += size
			}
		}
		if !smaller || size > len(acts) {
			size /= 2
		}
	}
	for i := range acts {
		hasty := slices.Clone(acts)
		if hasty[i].pause = 0; acts[i].pause > 0 && fails(hasty) {
			acts = hasty
		}
	}
	return acts
}

// TestShrink: what is left is what it takes, in order, and no more.
func TestShrink(t *testing.T) {
	var acts []act
	for i := range 29 {
		acts = append(acts, act{who: i, pause: time.Second})
	}
	got := shrink(acts, func(acts []act) bool {
		needed := 0
		for _, a := range acts {
			switch {
			case a.who == 3 && needed == 0, a.who == 17 && needed == 1 && a.pause > 0, a.who == 28 && needed == 2:
				needed++
			}
		}
		return needed == 3
	})
	if want := []act{{who: 3}, {who: 17, pause: time.Second}, {who: 28}}; !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}

// simulate plays a script from the beginning to the end of the emperor, and returns what
// did not hold; with tracing also what happened.
func simulate(t *testing.T, seed uint64, acts []act, tracing bool) (failures, history []string) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(seed, acts, tracing)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		for _, a := range w.actors {
			a.launch(ctx)
		}
		var orders sync.WaitGroup
		for _, act := range acts {
			w.play(ctx, &orders, act)
			time.Sleep(act.pause)
			synctest.Wait()
			w.check()
		}
		w.mu.Lock()
		w.halted = true
		w.note("the emperor ends")
		w.mu.Unlock()
		cancel()
		time.Sleep(time.Minute) // everything is over within the stop time
		synctest.Wait()
		w.checkEnd()
		orders.Wait()
		failures, history = w.failures, w.history
	})
	return failures, history
}

// play lets one thing happen, to one vassal: the others must not notice, in the same
// instant, that it has.
func (w *world) play(ctx context.Context, orders *sync.WaitGroup, act act) {
	a := w.actors[act.who]
	w.mu.Lock()
	w.note("%s", act)
	before := make([]appearance, len(w.actors))
	for i, other := range w.actors {
		before[i] = other.appearance()
	}
	a.asked = act.what
	a.allowed = a.allows(act.what)
	w.mu.Unlock()
	switch act.what {
	case edited:
		if a.hasEnded() && !w.halted {
			a.launch(ctx)
		}
		a.v.Want(act.spec, time.Time{})
	case spoiled:
		a.v.Refuse(config.Problems{{Text: "a mistake"}})
	case removedFile:
		a.v.Remove()
	case startOrdered, stopOrdered, reloadOrdered, restartOrdered:
		v, order := a.v, deedOrders[act.what]
		orders.Go(func() { _ = v.Order(ctx, order) })
	case visited:
		a.v.Wake("a request through the front")
	case connected:
		a.connect()
	case crashed:
		a.crash()
	case closedItsEnd:
		a.closeEnd()
	case halted:
		for _, each := range w.actors {
			each.v.Halt()
		}
	}
	synctest.Wait()
	w.mu.Lock()
	defer w.mu.Unlock()
	if act.what == halted {
		w.halted = true
	} else {
		for i, other := range w.actors {
			if after := other.appearance(); other != a && after != before[i] && !before[i].waits {
				w.fail("what happened to %s has changed %s: %+v, before %+v", a.name, other.name, after, before[i])
			}
		}
	}
	a.allowed = a.status.State != Failed && a.status.State != Asleep
}
