package emperor

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	"emperor/internal/link"
	"emperor/vassal"
)

// answerTime is how long the router may take to answer what it only has to note.
// Much longer than it ever takes: when it is over, the router is not well, and
// vassals go on without its word.
const answerTime = 5 * time.Second

// caller is the emperor's end of the conversation with a router (link.Peer).
type caller interface {
	Call(ctx context.Context, m link.Message, descriptors ...int) error
	Send(m link.Message, descriptors ...int) error
}

// front is what vassals ask of the router: of the process that accepts, and of
// earlier ones that still finish what they have. It keeps the vassal table, so
// that a new router can be told all of it; while there is none, rows are
// remembered and everything is answered at once.
//
// Rows that change while the routers have not yet answered go out together with
// the next message: a thousand vassals that become ready at once are a handful of
// messages, in order, each acknowledged.
type front struct {
	// order is held while a table is on its way, so that none overtakes another.
	// Taken before mu.
	order sync.Mutex

	mu      sync.Mutex // guards what follows
	routers []caller
	number  uint64 // of the last Table sent
	rows    map[string]link.Vassal
	held    map[string]bool // between Hold and Release
	told    map[string]bool // of rows: the routers have answered for a row of that name
	changed map[string]bool // rows that the routers have not been sent
	waiting []chan error    // of Publish: answered when changed has been acknowledged
	sending bool            // send is under way

	// proving is held while routers are told of challenges. Taken before mu.
	proving    sync.Mutex
	challenges []link.Challenge // guarded by mu; what certificate authorities may ask for now

	sends sync.WaitGroup

	// mayRead makes sure that the router which accepts may read files, as far as their
	// permissions allow. Set before the first use.
	mayRead func(context.Context) error

	// published is called after each Publish that changed a row, and when routers
	// have answered for rows; it must return at once. Set before the first use.
	published func()
}

var _ vassal.Front = (*front)(nil)

func newFront() *front {
	return &front{mayRead: func(context.Context) error { return nil }, rows: map[string]link.Vassal{}, held: map[string]bool{}, told: map[string]bool{}, changed: map[string]bool{}}
}

// Publish implements vassal.Front.
func (f *front) Publish(ctx context.Context, row link.Vassal) error {
	f.mu.Lock()
	if row.Removed {
		delete(f.rows, row.Name)
		delete(f.told, row.Name)
	} else {
		f.rows[row.Name] = row
		f.told[row.Name] = f.told[row.Name] || len(f.routers) == 0
	}
	if f.published != nil {
		f.published()
	}
	if len(f.routers) == 0 {
		f.mu.Unlock()
		return nil
	}
	f.changed[row.Name] = true
	answer := make(chan error, 1)
	f.waiting = append(f.waiting, answer)
	f.sendSoon()
	f.mu.Unlock()
	select {
	case err := <-answer:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// introduce has the routers told of vassals that have not published a row yet: as of
// some that are being started, for whom requests wait. It returns at once.
func (f *front) introduce(names []string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, name := range names {
		if _, ok := f.rows[name]; ok {
			continue
		}
		f.rows[name] = link.Vassal{Name: name, State: link.Starting, Reason: "the emperor has not come to it yet"}
		f.told[name] = len(f.routers) == 0
		if len(f.routers) > 0 {
			f.changed[name] = true
		}
	}
	if len(f.changed) > 0 {
		f.sendSoon()
	}
}

// sendSoon has what has changed sent; mu is held.
func (f *front) sendSoon() {
	if !f.sending {
		f.sending = true
		f.sends.Go(f.send)
	}
}

// send sends what has changed until nothing is left, one message at a time.
func (f *front) send() {
	for f.sendOnce() {
	}
}

func (f *front) sendOnce() (more bool) {
	f.order.Lock()
	defer f.order.Unlock()
	f.mu.Lock()
	routers, waiting := slices.Clone(f.routers), f.waiting
	rows := make([]link.Vassal, 0, len(f.changed))
	for name := range f.changed {
		row, ok := f.rows[name]
		if !ok {
			row = link.Vassal{Name: name, Removed: true}
		}
		rows = append(rows, row)
	}
	f.changed, f.waiting = map[string]bool{}, nil
	if len(rows) == 0 && len(waiting) == 0 {
		f.sending = false
		f.mu.Unlock()
		return false
	}
	f.number++
	table := &link.Table{Number: f.number, Vassals: sorted(rows)}
	f.mu.Unlock()
	var err error
	if len(rows) > 0 {
		ctx, cancel := context.WithTimeout(context.Background(), answerTime)
		defer cancel()
		descriptors, release := table.Borrow()
		err = callAll(ctx, routers, link.Message{Kind: link.Tabulate, Table: table}, descriptors...)
		release()
		f.answered(rows)
	}
	for _, answer := range waiting {
		answer <- err
	}
	return true
}

// answered notes that the routers know of these rows, or have refused them.
func (f *front) answered(rows []link.Vassal) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, row := range rows {
		if _, ok := f.rows[row.Name]; ok {
			f.told[row.Name] = true
		}
	}
	if f.published != nil {
		f.published()
	}
}

// Try implements vassal.Front. Only the newest router is asked: earlier ones accept
// no more, and may have been started before there were folders to be served.
func (f *front) Try(ctx context.Context, row link.Vassal) error {
	if err := f.mayRead(ctx); err != nil {
		return err
	}
	f.mu.Lock()
	routers := slices.Clone(f.routers)
	f.mu.Unlock()
	if len(routers) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	table := &link.Table{Vassals: []link.Vassal{row}}
	descriptors, release := table.Borrow()
	defer release()
	return callAll(ctx, routers[len(routers)-1:], link.Message{Kind: link.Try, Table: table}, descriptors...)
}

// Hold implements vassal.Front.
func (f *front) Hold(ctx context.Context, name string) error {
	f.mu.Lock()
	f.held[name] = true
	routers := slices.Clone(f.routers)
	f.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	return callAll(ctx, routers, link.Message{Kind: link.Hold, Vassal: name})
}

// Release implements vassal.Front.
func (f *front) Release(name string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.held, name)
	for _, router := range f.routers {
		// An error means that the router is gone, and its holding with it.
		_ = router.Send(link.Message{Kind: link.Release, Vassal: name})
	}
}

// tell sends all routers what they only have to note.
func (f *front) tell(m link.Message) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, router := range f.routers {
		_ = router.Send(m) // an error means that the router is gone
	}
}

// tellOthers is tell for all routers but one. It may have much to say, so it keeps
// nobody else waiting for a router that is slow to listen.
func (f *front) tellOthers(but caller, m link.Message) {
	f.mu.Lock()
	routers := slices.Clone(f.routers)
	f.mu.Unlock()
	for _, router := range routers {
		if router != but {
			_ = router.Send(m)
		}
	}
}

// Drained implements vassal.Front. How long it may take is the vassal's mercy, in
// ctx.
func (f *front) Drained(ctx context.Context, name string, generation uint64) error {
	f.mu.Lock()
	routers := slices.Clone(f.routers)
	f.mu.Unlock()
	return callAll(ctx, routers, link.Message{Kind: link.Drained, Vassal: name, Generation: generation})
}

// Unused implements vassal.Front. All routers are asked: one that accepts no more may
// still have a websocket. One that ends while it is asked has cut what it had, and
// what comes now reaches another.
func (f *front) Unused(ctx context.Context, name string, quiet time.Duration) error {
	for {
		f.mu.Lock()
		routers := slices.Clone(f.routers)
		f.mu.Unlock()
		if len(routers) == 0 {
			if quiet == 0 {
				return nil
			}
			select {
			case <-time.After(quiet): // whoever comes without the router cannot be seen
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		errs := make([]error, len(routers))
		var calls sync.WaitGroup
		for i, router := range routers {
			calls.Go(func() {
				errs[i] = router.Call(ctx, link.Message{Kind: link.Unused, Vassal: name, Quiet: quiet})
			})
		}
		calls.Wait()
		if err := errors.Join(errs...); !errors.Is(err, link.ErrGone) || ctx.Err() != nil {
			return err
		}
	}
}

// connect tells a new router the whole table and what is held, and from then on
// each change. It must be called before the router gets its listeners: no request
// may meet an empty table.
func (f *front) connect(ctx context.Context, router caller) error {
	f.order.Lock()
	defer f.order.Unlock()
	f.mu.Lock()
	f.number++
	rows := make([]link.Vassal, 0, len(f.rows))
	for _, row := range f.rows {
		rows = append(rows, row)
	}
	held := make([]string, 0, len(f.held))
	for name := range f.held {
		held = append(held, name)
	}
	// From here on changes wait for order, and holds reach the new router directly.
	f.routers = append(f.routers, router)
	table := &link.Table{Number: f.number, Full: true, Vassals: sorted(rows)}
	f.mu.Unlock()

	ctx, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	descriptors, release := table.Borrow()
	err := router.Call(ctx, link.Message{Kind: link.Tabulate, Table: table}, descriptors...)
	release()
	if err == nil {
		err = f.proveTo(ctx, router)
	}
	for _, name := range held {
		if err == nil {
			err = router.Call(ctx, link.Message{Kind: link.Hold, Vassal: name})
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, name := range held {
		if !f.held[name] { // released while we were telling the router to hold
			_ = router.Send(link.Message{Kind: link.Release, Vassal: name})
		}
	}
	return err
}

// knows tells whether the routers, if there are any, have been told of the vassal:
// one that is given sockets now will not answer that there is no such site.
func (f *front) knows(name string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.told[name]
}

// disconnect forgets a router that is gone.
func (f *front) disconnect(router caller) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.routers = slices.DeleteFunc(f.routers, func(r caller) bool { return r == router })
}

// wait returns when no message is under way. Nothing may be published after it.
func (f *front) wait() { f.sends.Wait() }

// callAll asks all routers at the same time and returns when each has answered
// or is gone: what a process that is gone was asked not to do, it does no more.
func callAll(ctx context.Context, routers []caller, m link.Message, descriptors ...int) error {
	errs := make([]error, len(routers))
	var calls sync.WaitGroup
	for i, router := range routers {
		ask := func() {
			if err := router.Call(ctx, m, descriptors...); !errors.Is(err, link.ErrGone) {
				errs[i] = err
			}
		}
		if i == len(routers)-1 {
			ask() // mostly there is one, and no goroutine is needed
			break
		}
		calls.Go(ask)
	}
	calls.Wait()
	return errors.Join(errs...)
}

func sorted(rows []link.Vassal) []link.Vassal {
	slices.SortFunc(rows, func(a, b link.Vassal) int { return strings.Compare(a.Name, b.Name) })
	return rows
}
