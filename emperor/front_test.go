package emperor

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"emperor/internal/link"
)

// fakeRouter records what it is sent and answers when it is told to.
type fakeRouter struct {
	mu       sync.Mutex
	messages []link.Message
	sent     chan link.Message
	answer   func(link.Message) error // nil: yes
}

func newFakeRouter() *fakeRouter { return &fakeRouter{sent: make(chan link.Message, 100)} }

func (f *fakeRouter) Call(ctx context.Context, m link.Message, _ ...int) error {
	_ = f.Send(m)
	if f.answer != nil {
		return f.answer(m)
	}
	return nil
}

func (f *fakeRouter) Send(m link.Message, _ ...int) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.messages = append(f.messages, m)
	f.sent <- m
	return nil
}

func (f *fakeRouter) all() []link.Message {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.messages)
}

func deadline(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func TestWithoutRouterEverythingIsAnsweredAtOnceAndRemembered(t *testing.T) {
	ctx := deadline(t)
	f := newFront()
	for _, err := range []error{
		f.Publish(ctx, link.Vassal{Name: "b", Generation: 1}),
		f.Publish(ctx, link.Vassal{Name: "a", Generation: 1}),
		f.Publish(ctx, link.Vassal{Name: "gone", Generation: 1}),
		f.Publish(ctx, link.Vassal{Name: "gone", Removed: true}),
		f.Hold(ctx, "a"), f.Hold(ctx, "b"), f.Drained(ctx, "a", 2),
	} {
		if err != nil {
			t.Error(err)
		}
	}
	f.Release("b")

	router := newFakeRouter()
	if err := f.connect(ctx, router); err != nil {
		t.Fatal(err)
	}
	got := router.all()
	if len(got) != 2 || got[0].Kind != link.Tabulate || got[1].Kind != link.Hold || got[1].Vassal != "a" {
		t.Fatalf("want the whole table, then what is held; got %+v", got)
	}
	table := got[0].Table
	if !table.Full || len(table.Vassals) != 2 || table.Vassals[0].Name != "a" || table.Vassals[1].Name != "b" {
		t.Errorf("the table is %+v", table)
	}
	f.wait()
}

func TestPublishReturnsWhenAcknowledgedAndRowsTravelTogether(t *testing.T) {
	ctx := deadline(t)
	f := newFront()
	router := newFakeRouter()
	if err := f.connect(ctx, router); err != nil {
		t.Fatal(err)
	}
	<-router.sent // the whole table
	first := make(chan struct{})
	router.answer = func(m link.Message) error {
		if m.Kind == link.Tabulate && m.Table.Vassals[0].Name == "first" {
			<-first
		}
		return nil
	}
	var done sync.WaitGroup
	publish := func(name string) {
		done.Go(func() {
			if err := f.Publish(ctx, link.Vassal{Name: name}); err != nil {
				t.Error(err)
			}
		})
	}
	publish("first")
	<-router.sent
	names := []string{"a", "b", "c", "d"}
	rows := make(chan struct{}, len(names))
	f.published = func() { rows <- struct{}{} }
	for _, name := range names {
		publish(name)
	}
	for range names {
		<-rows
	}
	close(first)
	done.Wait()
	f.wait()

	number := uint64(0)
	seen := map[string]int{}
	for _, m := range router.all() {
		if m.Table.Number <= number {
			t.Errorf("table %d after %d", m.Table.Number, number)
		}
		number = m.Table.Number
		for _, row := range m.Table.Vassals {
			seen[row.Name]++
		}
	}
	for _, name := range append(names, "first") {
		if seen[name] != 1 {
			t.Errorf("%s was sent %d times", name, seen[name])
		}
	}
	if n := len(router.all()); n > 4 {
		t.Errorf("%d messages for rows that changed while one was under way", n)
	}
}

// The front's doors open when every vassal is known: known is what the router has
// answered for, not what is on its way.
func TestKnownIsWhatTheRouterHasAnsweredFor(t *testing.T) {
	ctx := deadline(t)
	f := newFront()
	if err := f.Publish(ctx, link.Vassal{Name: "early"}); err != nil || !f.knows("early") {
		t.Errorf("without a router a row is known (%v)", err)
	}
	router := newFakeRouter()
	if err := f.connect(ctx, router); err != nil {
		t.Fatal(err)
	}
	<-router.sent // the whole table
	answer := make(chan struct{})
	router.answer = func(link.Message) error { <-answer; return nil }
	var done sync.WaitGroup
	done.Go(func() {
		if err := f.Publish(ctx, link.Vassal{Name: "late"}); err != nil {
			t.Error(err)
		}
	})
	<-router.sent
	if f.knows("late") || !f.knows("early") {
		t.Error("a row that is on its way counts as known")
	}
	close(answer)
	done.Wait()
	if !f.knows("late") {
		t.Error("a row that was answered for does not count as known")
	}
	if err := f.Publish(ctx, link.Vassal{Name: "late", Removed: true}); err != nil || f.knows("late") {
		t.Errorf("a removed row is known (%v)", err)
	}
}

// Who has said nothing of itself is introduced as one that is being started; what it has
// said, and will say, counts more.
func TestIntroduceAddsOnlyWhatIsNotThere(t *testing.T) {
	ctx := deadline(t)
	f := newFront()
	if err := f.Publish(ctx, link.Vassal{Name: "asleep", State: link.Asleep}); err != nil {
		t.Fatal(err)
	}
	router := newFakeRouter()
	if err := f.connect(ctx, router); err != nil {
		t.Fatal(err)
	}
	<-router.sent // the whole table
	f.introduce([]string{"asleep", "late"})
	if got := (<-router.sent).Table.Vassals; len(got) != 1 || got[0].Name != "late" || got[0].State != link.Starting {
		t.Errorf("introduced: %+v", got)
	}
	f.wait()
	if !f.knows("late") {
		t.Error("who was introduced is not known")
	}
	f.introduce([]string{"asleep", "late"})
	f.wait()
	if err := f.Publish(ctx, link.Vassal{Name: "late", State: link.Ready, Generation: 1}); err != nil {
		t.Fatal(err)
	}
	if got := (<-router.sent).Table.Vassals; len(got) != 1 || got[0].State != link.Ready {
		t.Errorf("its own row: %+v", got)
	}
}

func TestRouterThatGoesIsNoError(t *testing.T) {
	ctx := deadline(t)
	f := newFront()
	router := newFakeRouter()
	if err := f.connect(ctx, router); err != nil {
		t.Fatal(err)
	}
	router.answer = func(link.Message) error { return errors.Join(link.ErrGone, errors.New("broken pipe")) }
	if err := f.Publish(ctx, link.Vassal{Name: "a"}); err != nil {
		t.Error(err)
	}
	if err := f.Hold(ctx, "a"); err != nil {
		t.Error(err)
	}
	if err := f.Drained(ctx, "a", 3); err != nil {
		t.Error(err)
	}
	f.disconnect(router)
	next := newFakeRouter()
	if err := f.connect(ctx, next); err != nil {
		t.Fatal(err)
	}
	if got := next.all(); len(got) != 2 || len(got[0].Table.Vassals) != 1 || got[1].Kind != link.Hold {
		t.Errorf("the successor was told %+v", got)
	}
}

func TestRefusalReachesTheVassal(t *testing.T) {
	ctx := deadline(t)
	f := newFront()
	router := newFakeRouter()
	if err := f.connect(ctx, router); err != nil {
		t.Fatal(err)
	}
	refusal := errors.New("router: no")
	router.answer = func(link.Message) error { return refusal }
	if err := f.Publish(ctx, link.Vassal{Name: "a"}); !errors.Is(err, refusal) {
		t.Errorf("got %v", err)
	}
	if err := f.Hold(ctx, "a"); !errors.Is(err, refusal) {
		t.Errorf("got %v", err)
	}
}

func TestRoutersThatFinishAreAskedToo(t *testing.T) {
	ctx := deadline(t)
	f := newFront()
	old, young := newFakeRouter(), newFakeRouter()
	for _, r := range []*fakeRouter{old, young} {
		if err := f.connect(ctx, r); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.Hold(ctx, "a"); err != nil {
		t.Fatal(err)
	}
	f.Release("a")
	for name, r := range map[string]*fakeRouter{"old": old, "young": young} {
		kinds := []link.Kind{}
		for _, m := range r.all() {
			kinds = append(kinds, m.Kind)
		}
		if want := []link.Kind{link.Tabulate, link.Hold, link.Release}; !slices.Equal(kinds, want) {
			t.Errorf("%s: %v, want %v", name, kinds, want)
		}
	}
}

// The newest router is asked whether it could serve a folder, once it may read.
func TestTryAsksTheRouterThatAccepts(t *testing.T) {
	ctx := deadline(t)
	f := newFront()
	row := link.Vassal{Name: "a", Files: &link.StaticFiles{Path: "/srv"}}
	if err := f.Try(ctx, row); err != nil {
		t.Errorf("without a router: %v", err)
	}
	earlier, newest := newFakeRouter(), newFakeRouter()
	newest.answer = func(m link.Message) error {
		if m.Kind == link.Try {
			return errors.New("nobody may read it")
		}
		return nil
	}
	for _, router := range []*fakeRouter{earlier, newest} {
		if err := f.connect(ctx, router); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.Try(ctx, row); err == nil || err.Error() != "nobody may read it" {
		t.Errorf("got %v", err)
	}
	if n := len(earlier.all()); n != 1 {
		t.Errorf("the earlier router got %d messages", n)
	}
	f.mayRead = func(context.Context) error { return errors.New("no router could be started") }
	before := len(newest.all())
	if err := f.Try(ctx, row); err == nil || err.Error() != "no router could be started" || len(newest.all()) != before {
		t.Errorf("got %v", err)
	}
}
