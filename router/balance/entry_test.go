package balance

import (
	"runtime"
	"testing"
	"time"
)

// TestLooks: an address that fails a look is passed over before a request is sent
// there, as long as looks go on failing, and takes its share when one succeeds.
func TestLooks(t *testing.T) {
	c := clock{at: time.Unix(1000, 0)}
	b := NewBook(c.now)
	g := group(b, WRR, "A B")
	a := b.Entry("A")
	look := func(r Result, want Change) {
		t.Helper()
		if got := a.Look().Done(r, 5*time.Second); got != want {
			t.Errorf("%+v, want %+v", got, want)
		}
	}
	look(Works, Change{})
	look(Unknown, Change{})
	if got := turns(t, g, 4); got != "ABAB" {
		t.Error(got)
	}
	look(Fails, Change{Failed: true, Grace: 5 * time.Second})
	for range 10 {
		if got := turns(t, g, 2); got != "BB" {
			t.Error("a request went to the failed address: ", got)
		}
		c.advance(4 * time.Second)
		look(Fails, Change{})
		look(Unknown, Change{})
	}
	if s := g.Status()[0]; s.Failures != 11 || s.Hits != 2 || s.Until != c.at.Add(5*time.Second) {
		t.Errorf("%+v", s)
	}
	look(Works, Change{Recovered: true})
	if got := turns(t, g, 4); got != "ABAB" {
		t.Error(got)
	}
	// When nobody looks any more, one request tries as it always did.
	look(Fails, Change{Failed: true, Grace: 5 * time.Second})
	c.advance(5 * time.Second)
	if change := pick(t, g, &Tried{}).Done(Works); !change.Recovered {
		t.Errorf("%+v: the request did not try the address again", change)
	}
}

// TestLooksAndRequests: what was found later counts, whoever found it.
func TestLooksAndRequests(t *testing.T) {
	c := clock{at: time.Unix(1000, 0)}
	b := NewBook(c.now)
	g := group(b, WRR, "A B")
	a := b.Entry("A")
	before := a.Look()
	fail(t, g, "A") // passed over for 10 s
	if change := before.Done(Works, time.Second); change != (Change{}) || !a.state.bad.Load() {
		t.Errorf("%+v: an old success counts more than a new failure", change)
	}
	// A look does not shorten what requests have learned, but may end it.
	if change := a.Look().Done(Fails, time.Second); change != (Change{}) {
		t.Errorf("%+v", change)
	}
	if got, want := g.Status()[0].Until, c.at.Add(10*time.Second); got != want {
		t.Errorf("passed over until %v, want %v", got, want)
	}
	if change := a.Look().Done(Works, time.Second); !change.Recovered {
		t.Errorf("%+v", change)
	}
	// A request that was on its way when the look failed says nothing new.
	tried := Tried{}
	tried.Add(&g.Nodes()[1])
	choice := pick(t, g, &tried)
	a.Look().Done(Fails, time.Second)
	if change := choice.Done(Works); change != (Change{}) {
		t.Errorf("%+v", change)
	}
	if change := a.Look().Done(Works, time.Second); !change.Recovered {
		t.Errorf("%+v", change)
	}
	// Groups that never pass an address over for a request's failure do for a look's.
	never := b.Group([]Spec{{Address: "A"}, {Address: "B"}}, Options{})
	a.Look().Done(Fails, time.Second)
	if got := turns(t, never, 4); got != "BBBB" {
		t.Error(got)
	}
}

// TestEntryKeepsAddress: what looks have found outlives the Groups.
func TestEntryKeepsAddress(t *testing.T) {
	b := NewBook(time.Now)
	a := b.Entry("A")
	a.Look().Done(Fails, time.Hour)
	for range 3 {
		runtime.GC()
	}
	if got := turns(t, group(b, WRR, "A B"), 2); got != "BB" {
		t.Error(got)
	}
	runtime.KeepAlive(a)
}
