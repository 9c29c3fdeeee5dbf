package balance

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// clock is a time that only moves when told to.
type clock struct{ at time.Time }

func (c *clock) now() time.Time          { return c.at }
func (c *clock) advance(d time.Duration) { c.at = c.at.Add(d) }

var nobody netip.Addr

// group makes one of addresses written as "A", "B*3" (weight) and "C/1" (backup).
func group(b *Book, a Algorithm, addresses string) *Group {
	var specs []Spec
	for _, text := range strings.Fields(addresses) {
		s := Spec{Address: text[:1]}
		switch {
		case strings.Contains(text, "*"):
			_, _ = fmt.Sscanf(text[1:], "*%d", &s.Weight)
		case strings.Contains(text, "/"):
			_, _ = fmt.Sscanf(text[1:], "/%d", &s.Backup)
		}
		specs = append(specs, s)
	}
	return b.Group(specs, Options{Algorithm: a, Grace: 10 * time.Second, MaxGrace: time.Minute})
}

func pick(t *testing.T, g *Group, tried *Tried) Choice {
	t.Helper()
	c, ok := g.Pick(nobody, tried)
	if !ok {
		t.Fatal("nothing was picked")
	}
	return c
}

// turns makes requests one after the other and returns where they went.
func turns(t *testing.T, g *Group, n int) string {
	t.Helper()
	var all strings.Builder
	for range n {
		c := pick(t, g, &Tried{})
		all.WriteString(c.Address)
		c.Done(Works)
	}
	return all.String()
}

// fail makes the address A, B … fail once.
func fail(t *testing.T, g *Group, address string) Change {
	t.Helper()
	tried := Tried{}
	for i := range g.Nodes() {
		if n := &g.Nodes()[i]; n.Address != address {
			tried.Add(n)
		}
	}
	return pick(t, g, &tried).Done(Fails)
}

func TestSequences(t *testing.T) {
	for _, test := range []struct {
		algorithm Algorithm
		addresses string
		want      string
	}{
		{WRR, "A B C", "ABCABC"},
		{WRR, "A*3 B C", "ABACAABACA"},
		{WRR, "A*1 B*2 C*4", "CBCACBCCBCACBC"}, // uWSGI: CABBCCC, the same shares in lumps
		{WRR, "A B/1", "AAAA"},
		{LRC, "A B C", "ABCABC"},
		{LRC, "A*3 B C", "ABCABC"},
		{WLRC, "A*3 B C", "ABCABC"}, // as uWSGI: no weight among the idle
		{IPHash, "A B C", "ABCABC"}, // a client without an address
	} {
		g := group(NewBook(time.Now), test.algorithm, test.addresses)
		if got := turns(t, g, len(test.want)); got != test.want {
			t.Errorf("%v over %s: %s, want %s", test.algorithm, test.addresses, got, test.want)
		}
	}
}

// TestWeights: whatever the weights are and whoever has failed, in every round
// each working address serves as often as its weight says.
func TestWeights(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		c := &clock{at: time.Unix(1000, 0)}
		n := 1 + random.IntN(8)
		var addresses []string
		for i := range n {
			addresses = append(addresses, fmt.Sprintf("%c*%d", 'A'+i, 1+random.IntN(10)))
		}
		g := group(NewBook(c.now), WRR, strings.Join(addresses, " "))
		turns(t, g, random.IntN(20)) // begin anywhere
		total, failed := 0, map[string]bool{}
		for i := range g.Nodes() {
			if node := &g.Nodes()[i]; i > 0 && random.IntN(3) == 0 {
				failed[node.Address] = true
				fail(t, g, node.Address)
			} else {
				total += node.Weight
			}
		}
		for range 3 {
			got := turns(t, g, total)
			for _, node := range g.Nodes() {
				want := node.Weight
				if failed[node.Address] {
					want = 0
				}
				if count := strings.Count(got, node.Address); count < want-1 || count > want+1 || want == 0 && count > 0 {
					t.Fatalf("%v: %s served %d of %d, want %d: %s", addresses, node.Address, count, total, want, got)
				}
			}
		}
	}
}

// TestLeastBusy: whatever is under way, the least busy serves, and in the long
// run everybody.
func TestLeastBusy(t *testing.T) {
	for _, algorithm := range []Algorithm{LRC, WLRC} {
		random := rand.New(rand.NewPCG(3, 4))
		g := group(NewBook(time.Now), algorithm, "A*1 B*2 C*3 D*1")
		var under []Choice
		served := map[string]int{}
		load := func(n *Node) float64 {
			busy := float64(n.state.inFlight.Load())
			if algorithm == WLRC {
				busy /= float64(n.Weight)
			}
			return busy
		}
		for range 10000 {
			if len(under) > 0 && random.IntN(2) == 0 {
				i := random.IntN(len(under))
				under[i].Done(Works)
				under = append(under[:i], under[i+1:]...)
				continue
			}
			least := load(&g.Nodes()[0])
			for i := range g.Nodes() {
				least = min(least, load(&g.Nodes()[i]))
			}
			c, ok := g.Pick(nobody, &Tried{})
			if !ok {
				t.Fatal("nothing was picked")
			}
			c.state.inFlight.Add(-1)
			if load(c.Node) > least {
				t.Fatalf("%v: %s was picked with %v under way, the least is %v", algorithm, c.Address, load(c.Node), least)
			}
			c.state.inFlight.Add(1)
			served[c.Address]++
			under = append(under, c)
		}
		if len(served) != 4 {
			t.Errorf("%v: only %v served", algorithm, served)
		}
	}
}

// TestIPHash: the address that uWSGI's arithmetic gives, and no other while it
// works.
func TestIPHash(t *testing.T) {
	c := &clock{at: time.Unix(1000, 0)}
	g := group(NewBook(c.now), IPHash, "A B C")
	at := func(client string) string {
		t.Helper()
		choice, ok := g.Pick(netip.MustParseAddr(client), &Tried{})
		if !ok {
			t.Fatal("nothing was picked")
		}
		choice.Done(Works)
		return choice.Address
	}
	for _, test := range []struct{ client, whole, withoutB string }{
		{"1.0.0.0", "B", "C"},   // 1 % 3, 1 % 2
		{"0.1.0.0", "B", "A"},   // 256 % 3, 256 % 2
		{"10.0.0.10", "C", "A"}, // 0x0a00000a % 3 == 2, % 2 == 0
		{"127.0.0.1", "C", "C"}, // 0x0100007f
		{"::ffff:1.0.0.0", "B", "C"},
	} {
		if got := at(test.client); got != test.whole {
			t.Errorf("%s: %s, want %s", test.client, got, test.whole)
		}
	}
	if v6 := at("2001:db8::1"); v6 != at("2001:db8::1") {
		t.Error("an IPv6 client does not stay")
	}
	fail(t, g, "B")
	for client, want := range map[string]string{"1.0.0.0": "C", "0.1.0.0": "A", "10.0.0.10": "A", "127.0.0.1": "C"} {
		if got := at(client); got != want {
			t.Errorf("%s without B: %s, want %s", client, got, want)
		}
	}
	// B is tried again by one of its own; the others stay where they are.
	c.advance(time.Minute)
	probe, _ := g.Pick(netip.MustParseAddr("1.0.0.0"), &Tried{})
	if probe.Address != "B" {
		t.Fatalf("%s is tried again, want B", probe.Address)
	}
	for client, want := range map[string]string{"1.0.0.0": "C", "0.1.0.0": "A", "10.0.0.10": "A", "127.0.0.1": "C"} {
		if got := at(client); got != want {
			t.Errorf("%s while B is tried: %s, want %s", client, got, want)
		}
	}
	probe.Done(Works)
	if got := at("1.0.0.0"); got != "B" {
		t.Errorf("after B has recovered: %s", got)
	}
}

func TestRetryGoesElsewhere(t *testing.T) {
	var long []string
	for i := range 200 {
		long = append(long, string(rune('A'+i%26)))
	}
	for _, addresses := range []string{"A", "A B C", "A B/1 C/2", strings.Join(long, " ")} {
		g := group(NewBook(time.Now), WRR, addresses)
		var tried Tried
		seen := map[int]bool{}
		for range g.Nodes() {
			c := pick(t, g, &tried)
			if seen[c.Index] {
				t.Fatalf("%s: %d a second time", addresses, c.Index)
			}
			seen[c.Index] = true
			tried.Add(c.Node)
			c.Done(Unknown)
		}
		if _, ok := g.Pick(nobody, &tried); ok {
			t.Errorf("%s: picked one that was tried", addresses)
		}
	}
	if _, ok := group(NewBook(time.Now), WRR, "").Pick(nobody, &Tried{}); ok {
		t.Error("picked one of none")
	}
}

func TestBackups(t *testing.T) {
	c := &clock{at: time.Unix(1000, 0)}
	g := group(NewBook(c.now), WRR, "X/2 A B Y/1")
	for _, step := range []struct{ fails, want string }{
		{"", "ABAB"}, {"A", "BBBB"}, {"B", "YYYY"}, {"Y", "XXXX"},
	} {
		if step.fails != "" {
			fail(t, g, step.fails)
		}
		if got := turns(t, g, 4); got != step.want {
			t.Errorf("after %s failed: %s, want %s", step.fails, got, step.want)
		}
	}
	// A works again: it is found out, and the backups rest.
	c.advance(time.Hour)
	if got := turns(t, g, 4); strings.ContainsAny(got, "XY") {
		t.Errorf("afterwards: %s", got)
	}
}

func TestGrace(t *testing.T) {
	c := &clock{at: time.Unix(1000, 0)}
	g := group(NewBook(c.now), WRR, "A B")
	for i, want := range []time.Duration{10, 20, 40, 60, 60} {
		want *= time.Second
		if change := fail(t, g, "A"); !change.Failed || change.Grace != want {
			t.Fatalf("failure %d: %+v, want %v", i+1, change, want)
		}
		c.advance(want - 1)
		if got := turns(t, g, 4); got != "BBBB" {
			t.Errorf("within the grace: %s", got)
		}
		c.advance(1)
	}
	var tried Tried
	tried.Add(&g.Nodes()[1])
	if change := pick(t, g, &tried).Done(Works); !change.Recovered {
		t.Errorf("%+v", change)
	}
	if change := fail(t, g, "A"); change.Grace != 10*time.Second {
		t.Errorf("after a recovery: %+v", change)
	}
	none := NewBook(c.now).Group([]Spec{{Address: "A"}, {Address: "B"}}, Options{})
	if change := fail(t, none, "A"); change != (Change{}) {
		t.Errorf("without a grace: %+v", change)
	}
	if got := turns(t, none, 4); got != "BABA" && got != "ABAB" {
		t.Errorf("without a grace: %s", got)
	}
}

// TestOneTriesAgain: when the grace is over a failed address gets one request at
// a time, whoever asks, until one has succeeded.
func TestOneTriesAgain(t *testing.T) {
	c := &clock{at: time.Unix(1000, 0)}
	book := NewBook(c.now)
	g, other := group(book, WRR, "A B"), group(book, LRC, "B A")
	fail(t, g, "A")
	c.advance(10 * time.Second)
	probing := func() (probes []Choice) {
		for i := range 8 {
			choice := pick(t, []*Group{g, other}[i%2], &Tried{})
			if choice.Address == "A" {
				probes = append(probes, choice)
			} else {
				choice.Done(Works)
			}
		}
		return probes
	}
	for _, result := range []Result{Unknown, Fails, Unknown} {
		probes := probing()
		if len(probes) != 1 {
			t.Fatalf("%d requests tried A", len(probes))
		}
		if probes[0].Done(result); result == Fails {
			if again := probing(); len(again) != 0 {
				t.Fatal("A was tried again at once")
			}
			c.advance(20 * time.Second)
		}
	}
	probing()[0].Done(Works)
	if probes := probing(); len(probes) < 2 {
		t.Errorf("A got %d of 8 after it recovered", len(probes))
	}
}

// TestConnected: who can be reached has its share before the request that found out
// has ended, and a failure after it is a new one.
func TestConnected(t *testing.T) {
	c := &clock{at: time.Unix(1000, 0)}
	g := group(NewBook(c.now), WRR, "A B")
	fail(t, g, "A")
	c.advance(10 * time.Second)
	var tried Tried
	tried.Add(&g.Nodes()[1])
	download := pick(t, g, &tried)
	if change := download.Connected(); !change.Recovered {
		t.Errorf("%+v", change)
	}
	if got := turns(t, g, 4); strings.Count(got, "A") != 2 {
		t.Errorf("during the download: %s", got)
	}
	if change := download.Connected(); change != (Change{}) {
		t.Errorf("once more: %+v", change)
	}
	if change := fail(t, g, "A"); !change.Failed || change.Grace != 10*time.Second {
		t.Errorf("it fails again: %+v", change)
	}
	if change := download.Done(Works); change != (Change{}) {
		t.Errorf("what is older than the failure: %+v", change)
	}
}

// TestAllFailed: trying is better than an error, and the one that failed longest
// ago is the likeliest to be back.
func TestAllFailed(t *testing.T) {
	c := &clock{at: time.Unix(1000, 0)}
	g := group(NewBook(c.now), WRR, "A B C/1")
	for _, address := range []string{"B", "C", "A"} {
		fail(t, g, address)
		c.advance(time.Second)
	}
	order := func() string {
		var tried Tried
		var all string
		for range 3 {
			choice := pick(t, g, &tried)
			all += choice.Address
			tried.Add(choice.Node)
			if change := choice.Done(Fails); change != (Change{}) {
				t.Errorf("%s, tried for want of a better one: %+v", choice.Address, change)
			}
			c.advance(time.Millisecond)
		}
		return all
	}
	if first, second := order(), order(); first != "BCA" || second != "BCA" {
		t.Errorf("%s, then %s", first, second)
	}
	// A failure then does not make the grace longer; a success ends it.
	choice := pick(t, g, &Tried{})
	if change := choice.Done(Works); !change.Recovered || choice.Address != "B" {
		t.Errorf("%s: %+v", choice.Address, change)
	}
	if got := turns(t, g, 3); got != "BBB" {
		t.Errorf("%s", got)
	}
	c.advance(9 * time.Second)
	if got := turns(t, g, 4); !strings.Contains(got, "A") {
		t.Errorf("A's grace grew: %s", got)
	}
}

// TestFailuresTogether: requests that fail at the same time are one failure, and
// one that began before it proves nothing.
func TestFailuresTogether(t *testing.T) {
	c := &clock{at: time.Unix(1000, 0)}
	g := group(NewBook(c.now), WRR, "A")
	var under []Choice
	for range 10 {
		under = append(under, pick(t, g, &Tried{}))
	}
	for i, choice := range under[:8] {
		if change := choice.Done(Fails); change.Failed != (i == 0) {
			t.Errorf("failure %d: %+v", i+1, change)
		}
	}
	if change := under[8].Done(Works); change != (Change{}) {
		t.Errorf("an old success: %+v", change)
	}
	under[9].Done(Unknown)
	if s := g.Status()[0]; s.Failures != 1 || s.InFlight != 0 || !s.Until.Equal(c.at.Add(10*time.Second)) {
		t.Errorf("%+v", s)
	}
}

// TestReload: what is known of an address outlives the list that names it, and
// is forgotten when nobody names it any more.
func TestReload(t *testing.T) {
	c := &clock{at: time.Unix(1000, 0)}
	book := NewBook(c.now)
	old := group(book, WRR, "A B")
	under := pick(t, old, &Tried{})
	for under.Address != "B" {
		under.Done(Works)
		under = pick(t, old, &Tried{})
	}
	fail(t, old, "A")
	fresh := group(book, LRC, "C B A")
	for i, want := range []Status{{InFlight: 0}, {InFlight: 1}, {Failures: 1}} {
		if got := fresh.Status()[i]; got.InFlight != want.InFlight || got.Failures != want.Failures {
			t.Errorf("%s: %+v, want %+v", got.Node.Address, got, want)
		}
	}
	under.Done(Works)
	if got := fresh.Status()[1].InFlight; got != 0 {
		t.Errorf("%d under way", got)
	}
	runtime.KeepAlive(old)
	old, fresh, under = nil, nil, Choice{}
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(time.Millisecond) {
		runtime.GC()
		book.mu.Lock()
		n := len(book.states)
		book.mu.Unlock()
		if n == 0 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d addresses are still known", n)
		}
	}
	if s := group(book, WRR, "A").Status()[0]; s.Failures != 0 {
		t.Errorf("%+v", s)
	}
}

func TestManyAtATime(t *testing.T) {
	for _, algorithm := range []Algorithm{WRR, LRC, WLRC, IPHash} {
		book := NewBook(time.Now)
		specs := []Spec{{Address: "A", Weight: 2}, {Address: "B"}, {Address: "C", Backup: 1}}
		options := Options{Algorithm: algorithm, Grace: time.Microsecond}
		groups := []*Group{book.Group(specs, options), book.Group(specs[1:], options)}
		var working sync.WaitGroup
		for i := range 8 {
			working.Go(func() {
				random := rand.New(rand.NewPCG(uint64(i), 0))
				for range 2000 {
					g := groups[random.IntN(2)]
					var tried Tried
					for {
						c, ok := g.Pick(netip.AddrFrom4([4]byte{byte(random.IntN(256))}), &tried)
						if !ok {
							break
						}
						tried.Add(c.Node)
						if result := Result(random.IntN(3)); c.Done(result).Failed != true && result == Works {
							break
						}
					}
				}
			})
		}
		working.Wait()
		for _, s := range groups[0].Status() {
			if s.InFlight != 0 {
				t.Errorf("%v: %+v", algorithm, s)
			}
		}
	}
}

func TestAlgorithmNames(t *testing.T) {
	for _, a := range []Algorithm{WRR, LRC, WLRC, IPHash} {
		if got, err := ParseAlgorithm(a.String()); got != a || err != nil {
			t.Errorf("%v: %v, %v", a, got, err)
		}
	}
	if _, err := ParseAlgorithm("rr"); err == nil || err.Error() != `algorithm "rr", want wrr, lrc, wlrc or iphash` {
		t.Error(err)
	}
}

func TestNothingAllocates(t *testing.T) {
	for _, algorithm := range []Algorithm{WRR, LRC, WLRC, IPHash} {
		g := group(NewBook(time.Now), algorithm, "A B*2 C/1")
		fail(t, g, "B")
		client := netip.MustParseAddr("10.1.2.3")
		if n := testing.AllocsPerRun(100, func() {
			var tried Tried
			c, _ := g.Pick(client, &tried)
			tried.Add(c.Node)
			c.Done(Works)
		}); n > 0 {
			t.Errorf("%v: %v allocations", algorithm, n)
		}
	}
}

func BenchmarkPick(b *testing.B) {
	for _, algorithm := range []Algorithm{WRR, LRC, IPHash} {
		b.Run(algorithm.String(), func(b *testing.B) {
			g := group(NewBook(time.Now), algorithm, "A B C D")
			client := netip.MustParseAddr("10.1.2.3")
			for b.Loop() {
				c, _ := g.Pick(client, &Tried{})
				c.Done(Works)
			}
		})
	}
}
