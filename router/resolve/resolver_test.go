package resolve

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// cache is a Resolver in a bubble of time, whose servers are the test.
type cache struct {
	*Resolver
	t   *testing.T
	log bytes.Buffer

	mu    sync.Mutex
	says  map[string]found
	asked []string // names, in their order
	hold  chan struct{}
}

func ips(texts ...string) (all []netip.Addr) {
	for _, text := range texts {
		all = append(all, netip.MustParseAddr(text))
	}
	return all
}

// bubble runs f with a running Resolver.
func bubble(t *testing.T, c Config, f func(*cache)) {
	synctest.Test(t, func(t *testing.T) {
		k := &cache{t: t, says: map[string]found{}}
		k.Resolver = New(c, slog.New(slog.NewTextHandler(&k.log, nil)))
		k.Resolver.lookup = func(ctx context.Context, _ *Config, name string) found {
			k.mu.Lock()
			k.asked = append(k.asked, name)
			hold, says := k.hold, k.says
			k.mu.Unlock()
			if hold != nil {
				select {
				case <-hold:
				case <-ctx.Done():
					return found{err: ctx.Err()}
				}
			}
			k.mu.Lock()
			defer k.mu.Unlock()
			if f, ok := says[name]; ok {
				f.addresses = slices.Clone(f.addresses)
				return f
			}
			return found{err: ErrNotFound, ttl: unsaid}
		}
		ctx, cancel := context.WithCancel(context.Background())
		var running sync.WaitGroup
		running.Go(func() { k.Run(ctx) })
		defer running.Wait()
		defer cancel()
		f(k)
	})
}

func (k *cache) say(name string, f found) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.says[name] = f
}

// now returns the answer there is at once, or what is there instead of one.
func (k *cache) now(name string) string {
	k.t.Helper()
	addresses, pending, err := k.Addresses(name)
	switch {
	case pending != nil:
		return "pending"
	case err != nil:
		return err.Error()
	}
	var texts []string
	for _, a := range addresses {
		texts = append(texts, a.String())
	}
	return strings.Join(texts, " ")
}

func (k *cache) want(name, want string) {
	k.t.Helper()
	if got := k.now(name); got != want {
		k.t.Errorf("after %d questions: %q, want %q", k.count(), got, want)
	}
}

func (k *cache) lookUp(name string) {
	k.t.Helper()
	if _, err := k.Lookup(context.Background(), name); err != nil {
		k.t.Errorf("%s: %v", name, err)
	}
}

func (k *cache) count() int {
	k.mu.Lock()
	defer k.mu.Unlock()
	return len(k.asked)
}

func (k *cache) wantCount(want int) {
	k.t.Helper()
	if got := k.count(); got != want {
		k.t.Errorf("%d questions, want %d", got, want)
	}
}

// pass lets time go by and everything that it brings happen.
func pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func TestAnswersAreKept(t *testing.T) {
	bubble(t, Config{}, func(k *cache) {
		k.say("a.test", found{addresses: ips("10.0.0.1"), ttl: 30 * time.Second})
		k.want("a.test", "pending")
		k.lookUp("A.test")
		k.want("a.test", "10.0.0.1")
		// The new answer is asked for when the old one's time is over, and never
		// waited for.
		k.say("a.test", found{addresses: ips("10.0.0.2"), ttl: 30 * time.Second})
		pass(30*time.Second - 1)
		k.want("a.test", "10.0.0.1")
		k.wantCount(1)
		pass(1)
		k.wantCount(2)
		k.want("a.test", "10.0.0.2")
		k.mu.Lock()
		k.hold = make(chan struct{})
		k.mu.Unlock()
		pass(time.Hour)
		k.wantCount(3)
		k.want("a.test", "10.0.0.2")
		close(k.hold)
	})
}

func TestTTLHasBounds(t *testing.T) {
	for _, test := range []struct{ ttl, want time.Duration }{
		{0, time.Second}, {5 * time.Second, 5 * time.Second}, {time.Hour, 5 * time.Minute},
	} {
		bubble(t, Config{}, func(k *cache) {
			k.say("a.test", found{addresses: ips("10.0.0.1"), ttl: test.ttl})
			k.lookUp("a.test")
			pass(test.want - 1)
			k.wantCount(1)
			pass(1)
			k.wantCount(2)
		})
	}
}

func TestOneQuestionForAll(t *testing.T) {
	bubble(t, Config{}, func(k *cache) {
		k.hold = make(chan struct{})
		k.say("a.test", found{addresses: ips("10.0.0.1"), ttl: time.Minute})
		var waiting sync.WaitGroup
		for range 20 {
			waiting.Go(func() { k.lookUp("a.test") })
		}
		synctest.Wait()
		k.wantCount(1)
		close(k.hold)
		waiting.Wait()
		k.wantCount(1)
	})
}

func TestLookupEndsWithItsContext(t *testing.T) {
	bubble(t, Config{}, func(k *cache) {
		k.hold = make(chan struct{})
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		if _, err := k.Lookup(ctx, "a.test"); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
	})
}

// TestServersFail: the last answer stays, and they are asked less and less often.
func TestServersFail(t *testing.T) {
	bubble(t, Config{}, func(k *cache) {
		broken := found{err: errors.New("no answer")}
		k.say("a.test", found{addresses: ips("10.0.0.1"), ttl: 10 * time.Second})
		k.lookUp("a.test")
		k.say("a.test", broken)
		pass(10 * time.Second)
		asked := 2
		k.wantCount(asked)
		for _, wait := range []time.Duration{1, 2, 4, 8, 16, 30, 30} {
			k.want("a.test", "10.0.0.1")
			pass(wait*time.Second - 1)
			k.wantCount(asked)
			pass(1)
			asked++
			k.wantCount(asked)
		}
		k.say("a.test", found{addresses: ips("10.0.0.2"), ttl: 10 * time.Second})
		pass(30 * time.Second)
		k.want("a.test", "10.0.0.2")
		log := k.log.String()
		for _, line := range []string{`level=WARN msg="a host name can't be resolved, its last answer stays in use" host=a.test err="no answer"`, `level=INFO msg="a host name is resolved again" host=a.test`} {
			if strings.Count(log, line) != 1 {
				t.Errorf("want once %s in\n%s", line, log)
			}
		}
		// A name that was never known: its request is told, the next asks again.
		k.say("b.test", broken)
		if _, err := k.Lookup(context.Background(), "b.test"); !errors.Is(err, broken.err) {
			t.Error(err)
		}
		k.want("b.test", "no answer")
		pass(time.Second)
		k.want("b.test", "pending")
	})
}

func TestMissingNames(t *testing.T) {
	for _, test := range []struct{ ttl, want time.Duration }{
		{0, time.Second}, {3 * time.Second, 3 * time.Second}, {time.Hour, 10 * time.Second}, {unsaid, 10 * time.Second},
	} {
		bubble(t, Config{}, func(k *cache) {
			k.say("a.test", found{err: ErrNotFound, ttl: test.ttl})
			if _, err := k.Lookup(context.Background(), "a.test"); !errors.Is(err, ErrNotFound) {
				t.Error(err)
			}
			k.say("a.test", found{addresses: ips("10.0.0.1"), ttl: time.Minute})
			pass(test.want - 1)
			k.want("a.test", "no such host")
			pass(1)
			k.wantCount(1) // nobody asks for what nobody wants
			k.want("a.test", "pending")
			k.lookUp("a.test")
			// It goes, for the servers say so.
			k.say("a.test", found{err: ErrNotFound, ttl: test.ttl})
			pass(time.Minute)
			k.want("a.test", "no such host")
			if want := `msg="a host name stands for nothing any more" host=a.test`; !strings.Contains(k.log.String(), want) {
				t.Errorf("want %s in\n%s", want, &k.log)
			}
		})
	}
}

func TestAddressesTakeTurns(t *testing.T) {
	bubble(t, Config{}, func(k *cache) {
		k.say("a.test", found{addresses: ips("10.0.0.1", "fd00::1", "10.0.0.2", "10.0.0.3", "fd00::2"), ttl: time.Minute})
		k.lookUp("a.test")
		seen := map[string]int{}
		for range 9 {
			seen[k.now("a.test")]++
		}
		for _, order := range []string{"10.0.0.1 10.0.0.2 10.0.0.3 fd00::1 fd00::2", "10.0.0.2 10.0.0.3 10.0.0.1 fd00::1 fd00::2", "10.0.0.3 10.0.0.1 10.0.0.2 fd00::1 fd00::2"} {
			if seen[order] != 3 {
				t.Errorf("%d times %s, want 3 of 9: %v", seen[order], order, seen)
			}
		}
		if n := testing.AllocsPerRun(100, func() { _, _, _ = k.Addresses("a.test") }); n > 0 {
			t.Errorf("%v allocations", n)
		}
	})
}

// TestHundredsOfAddresses take turns, too, and cost memory for each and not for each
// pair.
func TestHundredsOfAddresses(t *testing.T) {
	bubble(t, Config{}, func(k *cache) {
		const n = 300
		var all []netip.Addr
		for i := range n {
			all = append(all, netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}))
		}
		k.say("a.test", found{addresses: append(all, ips("fd00::1")...), ttl: time.Minute})
		k.lookUp("a.test")
		firsts := map[netip.Addr]int{}
		for range 3 * n {
			got, _, _ := k.Addresses("a.test")
			firsts[got[0]]++
			different := map[netip.Addr]bool{}
			for _, a := range got {
				different[a] = true
			}
			if len(got) != n+1 || len(different) != n+1 || got[n] != ips("fd00::1")[0] {
				t.Fatalf("%d addresses, %d different, %v last", len(got), len(different), got[n])
			}
		}
		for _, a := range all {
			if firsts[a] != 3 {
				t.Fatalf("%v was first %d times of %d", a, firsts[a], 3*n)
			}
		}
		a := k.names["a.test"].answer.Load()
		if kept := len(a.orders) + len(a.good) + len(a.rest); kept > 2*n {
			t.Errorf("%d lists and addresses are kept for %d", kept, n)
		}
		k.Poke("a.test", all[0])
		got, _, _ := k.Addresses("a.test")
		if got[n] != all[0] {
			t.Errorf("the address that can't be reached is not the last: %v", got[n])
		}
	})
}

// TestReload: what was not known is asked for again at once, for somebody may just
// have mended it.
func TestReload(t *testing.T) {
	bubble(t, Config{}, func(k *cache) {
		k.say("known.test", found{addresses: ips("10.0.0.1"), ttl: time.Hour})
		k.say("broken.test", found{err: errors.New("no answer")})
		k.lookUp("known.test")
		for _, name := range []string{"missing.test", "broken.test"} {
			if _, err := k.Lookup(context.Background(), name); err == nil {
				t.Errorf("%s has an address", name)
			}
		}
		k.Configure(Config{})
		k.want("known.test", "10.0.0.1")
		k.want("missing.test", "pending")
		k.want("broken.test", "pending")
	})
}

func TestPoke(t *testing.T) {
	bubble(t, Config{}, func(k *cache) {
		k.say("a.test", found{addresses: ips("10.0.0.1", "10.0.0.2"), ttl: time.Minute})
		k.lookUp("a.test")
		if asked := k.Poke("a.test", ips("10.0.0.1")[0]); asked != nil {
			t.Error("asked twice in a second")
		}
		for range 3 {
			k.want("a.test", "10.0.0.2 10.0.0.1")
		}
		pass(2 * time.Second)
		k.wantCount(1)
		k.say("a.test", found{addresses: ips("10.0.0.1", "10.0.0.2", "10.0.0.3"), ttl: time.Minute})
		k.hold = make(chan struct{})
		asked, again := k.Poke("A.test", ips("10.0.0.2")[0]), k.Poke("a.test", ips("10.0.0.2")[0])
		if asked == nil || again != asked {
			t.Fatal("the servers are not asked")
		}
		close(k.hold)
		<-asked
		k.wantCount(2)
		for range 3 {
			k.want("a.test", "10.0.0.3 10.0.0.1 10.0.0.2")
		}
		// None is left out for ever.
		pass(8 * time.Second)
		if a, b := k.now("a.test"), k.now("a.test"); a == b {
			t.Errorf("10.0.0.1 does not take its turn again: %s, %s", a, b)
		}
		pass(2 * time.Second)
		seen := map[string]bool{k.now("a.test"): true, k.now("a.test"): true, k.now("a.test"): true}
		if len(seen) != 3 {
			t.Errorf("10.0.0.2 does not take its turn again: %v", seen)
		}
		k.wantCount(2)
		for _, a := range ips("10.0.0.1", "10.0.0.2", "10.0.0.3") {
			k.Poke("a.test", a)
		}
		if got := k.now("a.test"); len(strings.Fields(got)) != 3 {
			t.Errorf("with all of them bad: %s", got)
		}
		if k.Poke("unknown.test", ips("10.0.0.1")[0]) != nil {
			t.Error("a name nobody uses is asked for")
		}
	})
}

func TestUnusedNamesAreForgotten(t *testing.T) {
	bubble(t, Config{}, func(k *cache) {
		k.say("a.test", found{addresses: ips("10.0.0.1"), ttl: time.Minute})
		k.say("b.test", found{addresses: ips("10.0.0.2"), ttl: time.Minute})
		k.lookUp("a.test")
		k.lookUp("b.test")
		for range 20 {
			pass(time.Minute)
			k.want("a.test", "10.0.0.1")
		}
		k.want("b.test", "pending")
		pass(time.Hour)
		count := k.count()
		pass(time.Hour)
		k.wantCount(count)
	})
}

// TestNamesUsedOnce do not keep the front and the servers busy for long: visitors may
// choose them.
func TestNamesUsedOnce(t *testing.T) {
	bubble(t, Config{}, func(k *cache) {
		k.say("once.test", found{addresses: ips("10.0.0.1"), ttl: 10 * time.Second})
		k.lookUp("once.test")
		pass(50 * time.Second)
		k.want("once.test", "10.0.0.1") // the second time
		before := k.count()
		pass(time.Hour)
		if n := k.count() - before; n > 7 {
			t.Errorf("%d questions for a name that was used twice within a minute", n)
		}
		// It is not believed any more, unless there is nobody to ask.
		k.lookUp("once.test")
		pass(5 * time.Minute)
		k.want("once.test", "pending")
		k.lookUp("once.test")
		k.say("once.test", found{err: errors.New("no answer")})
		pass(5 * time.Minute)
		k.lookUp("once.test")
		k.want("once.test", "10.0.0.1")
		k.say("once.test", found{addresses: ips("10.0.0.1"), ttl: 10 * time.Second})
		for range 20 {
			pass(time.Minute)
			k.want("once.test", "10.0.0.1")
		}
		before = k.count()
		pass(time.Hour)
		if n := k.count() - before; n < 59 || n > 62 {
			t.Errorf("%d questions after the last use of a name that was used for long, want those of ten minutes", n)
		}
	})
}

func TestWhatTheConfigurationSays(t *testing.T) {
	hosts := ParseConfig(nil, []byte("10.0.0.9 printer printer.lan\n::9 printer\n10.0.0.8 site.localhost"))
	bubble(t, hosts, func(k *cache) {
		for name, want := range map[string]string{
			"Printer": "10.0.0.9 ::9", "printer.lan": "10.0.0.9", "printer.lan.": "10.0.0.9",
			"localhost": "127.0.0.1 ::1", "a.localhost": "127.0.0.1 ::1", "site.localhost": "10.0.0.8",
			"10.1.2.3": "10.1.2.3", "fd00::1": "fd00::1",
		} {
			k.want(name, want)
		}
		k.wantCount(0)
		if k.Poke("localhost", ips("127.0.0.1")[0]) != nil {
			t.Error("localhost is asked for")
		}
		k.want("localhost", "::1 127.0.0.1")
		pass(10 * time.Second)
		k.want("localhost", "127.0.0.1 ::1")

		k.say("printer", found{addresses: ips("10.0.0.1"), ttl: time.Hour})
		k.say("b.test", found{addresses: ips("10.0.0.2"), ttl: time.Hour})
		k.lookUp("b.test")
		k.Configure(ParseConfig(nil, []byte("10.0.0.3 b.test")))
		k.want("printer", "pending")
		k.want("b.test", "10.0.0.3")
		k.lookUp("printer")
		k.want("printer", "10.0.0.1")
	})
}

func TestNamesAreBounded(t *testing.T) {
	bubble(t, Config{}, func(k *cache) {
		k.say("kept.test", found{addresses: ips("10.0.0.1"), ttl: time.Hour})
		k.lookUp("kept.test")
		for i := range 3 * maxNames {
			k.want(fmt.Sprint("x", i, ".test"), "pending")
			if i%500 == 0 {
				synctest.Wait()
			}
		}
		synctest.Wait()
		if n := len(k.names); n > maxNames {
			t.Errorf("%d names are known", n)
		}
		k.hold = make(chan struct{})
		refused := 0
		for i := range 2 * maxAsking {
			if k.now(fmt.Sprint("y", i, ".test")) == errMany.Error() {
				refused++
			}
		}
		if refused != maxAsking {
			t.Errorf("%d of %d were refused", refused, 2*maxAsking)
		}
		close(k.hold)
		synctest.Wait()
		k.want("z.test", "pending")
	})
}

func TestEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := New(Config{}, slog.New(slog.DiscardHandler))
		r.lookup = func(ctx context.Context, _ *Config, _ string) found {
			<-ctx.Done()
			return found{err: ctx.Err()}
		}
		ctx, cancel := context.WithCancel(context.Background())
		var running sync.WaitGroup
		running.Go(func() { r.Run(ctx) })
		for i := range 2 * atATime {
			running.Go(func() {
				if _, err := r.Lookup(context.Background(), fmt.Sprint("a", i)); err == nil {
					t.Error("an answer from nobody")
				}
			})
		}
		synctest.Wait()
		cancel()
		running.Wait()
		if _, err := r.Lookup(context.Background(), "later"); !errors.Is(err, errEnded) {
			t.Error(err)
		}
	})
}
