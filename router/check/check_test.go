package check

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"emperor/router/balance"
	"emperor/router/upstream"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var errDown = errors.New("it is down")

// bench is a Checker in a bubble of time, whose nodes are the test.
type bench struct {
	*Checker
	t    *testing.T
	stop context.CancelFunc
	log  bytes.Buffer

	mu    sync.Mutex
	down  map[string]bool
	hang  map[string]bool
	tries map[string][]time.Time
	// vassals are the addresses of our own.
	vassals map[string]bool
	now     int // connecting
	most    int
}

func bubble(t *testing.T, f func(*bench)) {
	synctest.Test(t, func(t *testing.T) {
		b := &bench{t: t, down: map[string]bool{}, hang: map[string]bool{}, tries: map[string][]time.Time{}}
		b.Checker = New(balance.NewBook(time.Now), nil, b.skip, slog.New(slog.NewTextHandler(&b.log, nil)))
		b.dial = b.connect
		var ctx context.Context
		ctx, b.stop = context.WithCancel(context.Background())
		var running sync.WaitGroup
		running.Go(func() { b.Run(ctx) })
		defer running.Wait()
		defer b.stop()
		f(b)
	})
}

// connect plays all nodes, which are known by the names of their hosts.
func (b *bench) connect(ctx context.Context, a *upstream.Address, _ []netip.Prefix, timeout time.Duration) error {
	name := a.Host()
	b.mu.Lock()
	b.tries[name] = append(b.tries[name], time.Now())
	b.now++
	b.most = max(b.most, b.now)
	hang := b.hang[name]
	b.mu.Unlock()
	wait := time.Millisecond
	if hang {
		wait = timeout
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.now--
	switch {
	case ctx.Err() != nil:
		return upstream.ErrAborted
	case hang:
		return upstream.ErrTimeout
	case b.down[name]:
		return errDown
	}
	return nil
}

func (b *bench) set(names string, p Plan) {
	var nodes []Node
	for _, name := range strings.Fields(names) {
		nodes = append(nodes, Node{Key: name, Address: name + ":853"})
	}
	b.Set(nodes, p)
}

func (b *bench) turn(name string, down bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.down[name] = down
}

func (b *bench) checks(name string) []time.Time {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.tries[name]
}

func (b *bench) skip(address string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.vassals[address]
}

// pass lets time go by and everything that it brings happen.
func pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func picks(g *balance.Group) string {
	all := ""
	for range 6 {
		c, _ := g.Pick(netip.Addr{}, &balance.Tried{})
		all += c.Address
		c.Done(balance.Unknown)
	}
	return all
}

// TestFailuresAreFoundFirst: a node that is down gets no stream, however long it is
// down, and one that is back gets its share; the log has a line for each.
func TestFailuresAreFoundFirst(t *testing.T) {
	bubble(t, func(b *bench) {
		g := b.book.Group([]balance.Spec{{Address: "a"}, {Address: "b"}, {Address: "c"}}, balance.Options{Grace: time.Second})
		b.turn("b", true)
		b.set("a b c", Plan{Every: 10 * time.Second, Timeout: 3 * time.Second})
		pass(2 * time.Second)
		for range 20 {
			if got := picks(g); strings.Contains(got, "b") {
				t.Fatalf("%s: the node is down", got)
			}
			pass(7 * time.Second)
		}
		b.turn("b", false)
		b.mu.Lock()
		b.hang["c"] = true
		b.mu.Unlock()
		pass(15 * time.Second)
		if got := picks(g); strings.Count(got, "b") != 3 || strings.Contains(got, "c") {
			t.Errorf("%s, want a and b", got)
		}
		if n := len(b.checks("b")); n < 13 || n > 18 {
			t.Errorf("%d checks of 157 s, want one each 10 s", n)
		}
		log := b.log.String()
		for _, line := range []string{
			`level=WARN msg="a node fails its check and is passed over" address=b:853 err="it is down"`,
			`level=INFO msg="a node passes its check again" address=b:853`,
			`level=WARN msg="a node fails its check and is passed over" address=c:853 err="i/o timeout"`,
		} {
			if strings.Count(log, line) != 1 {
				t.Errorf("want once %s", line)
			}
		}
		if n := strings.Count(log, "\n"); n != 3 {
			t.Errorf("%d lines, want 3:\n%s", n, log)
		}
	})
}

// TestRhythm: checks are apart by about what was asked for, and those of several
// nodes do not fall together for ever.
func TestRhythm(t *testing.T) {
	bubble(t, func(b *bench) {
		const every = 10 * time.Second
		begin := time.Now()
		b.set("a b", Plan{Every: every, Timeout: time.Second})
		pass(20 * time.Minute)
		different := map[time.Duration]bool{}
		for _, name := range []string{"a", "b"} {
			at := b.checks(name)
			if first := at[0].Sub(begin); first > firstWithin {
				t.Errorf("%s was checked after %v first", name, first)
			}
			for i := range len(at) - 1 {
				pause := at[i+1].Sub(at[i]).Round(10 * time.Millisecond)
				different[pause] = true
				if pause < every*9/10 || pause > every*11/10 {
					t.Fatalf("%s: %v between checks", name, pause)
				}
			}
		}
		if len(different) < 20 {
			t.Errorf("%d different pauses in %d", len(different), len(b.checks("a"))+len(b.checks("b")))
		}
	})
}

// TestWhatIsNotChecked: one of several with one Key, none that the emperor knows of, by
// name or by address, none that can't be read.
func TestWhatIsNotChecked(t *testing.T) {
	bubble(t, func(b *bench) {
		b.Set([]Node{
			{Key: "k", Address: "a:1"}, {Key: "k", Address: "a:1"}, {Key: "v", Address: "vassal:site"}, {Key: "x", Address: "a:0"},
		}, Plan{Every: 10 * time.Second, Timeout: time.Second})
		pass(time.Minute)
		if n := len(b.checks("a")); n < 5 || n > 7 || len(b.tries) != 1 {
			t.Errorf("%v", b.tries)
		}
		// An address becomes a vassal's, and is let go again.
		turn := func(vassals map[string]bool) (before int) {
			b.mu.Lock()
			defer b.mu.Unlock()
			b.vassals = vassals
			return len(b.tries["a"])
		}
		before := turn(map[string]bool{"a:1": true})
		pass(time.Minute)
		if n := len(b.checks("a")) - before; n != 0 {
			t.Errorf("%d checks of a vassal", n)
		}
		before = turn(nil)
		pass(time.Minute)
		if n := len(b.checks("a")) - before; n < 5 {
			t.Errorf("%d checks when it is nobody's vassal any more", n)
		}
	})
}

// TestFewAtATime: silent nodes do not make the front connect to all at once, nor keep
// the others from being checked.
func TestFewAtATime(t *testing.T) {
	bubble(t, func(b *bench) {
		names := ""
		for i := range 10 * atATime {
			name := fmt.Sprint("n", i)
			names += name + " "
			b.hang[name] = i%2 == 0
		}
		b.set(names, Plan{Every: 5 * time.Second, Timeout: 3 * time.Second})
		pass(time.Minute)
		if b.most != atATime {
			t.Errorf("%d at the same time, want %d", b.most, atATime)
		}
		for name := range strings.FieldsSeq(names) {
			if len(b.checks(name)) < 2 {
				t.Errorf("%s was checked %d times", name, len(b.checks(name)))
			}
		}
	})
}

// TestSet: what stays keeps its rhythm, what goes ends at once, also in the middle.
func TestSet(t *testing.T) {
	bubble(t, func(b *bench) {
		p := Plan{Every: 10 * time.Second, Timeout: 5 * time.Second}
		b.hang["gone"] = true
		b.set("stays gone", p)
		pass(2 * time.Second)
		for range 30 { // reloads, more often than checks
			b.set("stays new", p)
			pass(time.Second)
		}
		if n := len(b.checks("stays")); n < 3 || n > 5 {
			t.Errorf("%d checks in 32 s, reloads disturb them", n)
		}
		if n := len(b.checks("new")); n < 3 || n > 5 {
			t.Errorf("%d checks of the new node in 30 s", n)
		}
		if n := len(b.checks("gone")); n != 1 || b.now != 0 {
			t.Errorf("%d checks of what is gone, %d under way", n, b.now)
		}
		if log := b.log.String(); log != "" {
			t.Errorf("a check that was cut short is in the log: %s", log)
		}
		before := len(b.checks("stays"))
		b.set("stays", Plan{Every: time.Second, Timeout: time.Second})
		pass(20 * time.Second)
		if n := len(b.checks("stays")) - before; n < 17 {
			t.Errorf("%d checks in 20 s after the time was made shorter", n)
		}
		if n := b.Nodes(); n != 1 {
			t.Errorf("%d nodes are checked, want 1", n)
		}
		b.set("stays", Plan{})
		synctest.Wait()
		if n := b.Nodes(); n != 0 {
			t.Errorf("%d nodes are checked while checks are off", n)
		}
		before = len(b.checks("stays"))
		pass(time.Hour)
		if n := len(b.checks("stays")) - before; n != 0 {
			t.Errorf("%d checks while they are off", n)
		}
	})
}

// TestEnd: Run ends in the middle of checks, and while others wait for their turn.
func TestEnd(t *testing.T) {
	bubble(t, func(b *bench) {
		names := ""
		for i := range 3 * atATime {
			name := fmt.Sprint("n", i)
			names += name + " "
			b.hang[name] = true
		}
		b.set(names, Plan{Every: time.Minute, Timeout: time.Hour})
		pass(time.Minute)
		b.stop()
		synctest.Wait()
		if b.now != 0 || b.log.Len() != 0 {
			t.Errorf("%d under way, %s", b.now, &b.log)
		}
		b.set("a", Plan{Every: time.Second}) // nobody takes it
		b.set("b", Plan{Every: time.Second})
	})
}
