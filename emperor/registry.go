package emperor

import (
	"context"
	"errors"
	"iter"
	"log/slog"
	"maps"
	"os"
	"reflect"
	"slices"
	"sync"
	"time"

	"emperor/emperor/monitor"
	"emperor/internal/config"
	"emperor/internal/link"
	"emperor/vassal"
	"emperor/vassal/logs"
	"emperor/vassal/spec"
)

// site is a vassal, as far as the registry needs it (*vassal.Vassal).
type site interface {
	Run(ctx context.Context) error
	Want(s *spec.Spec, seen time.Time)
	Refuse(p config.Problems)
	Remove()
	Moved(generation uint64)
	KeysChanged()
	Wake(by string)
	Loyal(generation uint64)
	Silent(generation uint64)
	Halt()
	Forgive()
	Order(ctx context.Context, o vassal.Order) error
	State() vassal.State
	Status() vassal.Status
	LogFiles() []logs.File
	Follow() (last []logs.Line, coming <-chan logs.Line, stop func())
}

// patience is how many times a file that keeps changing under the reader is read
// again before what was read counts as what is there. At one try per scan this is
// some seconds.
const patience = 30

// entry is one vassal in the registry.
type entry struct {
	name string
	site site
	item monitor.Item
	// includes are the further files it was read from, print what they looked like
	// then, and seen what they looked like in the last snapshot.
	includes    []string
	print, seen monitor.Fingerprint

	born      int64           // when its file was changed last before it was seen first
	spec      *spec.Spec      // the last one that was wanted; nil: none yet
	specPrint string          // of spec, for `emperor plan`
	problems  config.Problems // of the last reading
	refused   bool            // the last reading had errors
	leaving   bool            // its file is gone
	unread    bool            // it was not stable when it was read
	attempts  int
	// edited is when the edit was seen that was read last; zero for what was there when
	// the emperor came, and for a change of the main file.
	edited time.Time
	touch  touched
	keys   touched // files of keys that it announces
	// after is a vassal whose socket this one takes over, and which does not know
	// yet that it leaves (its file was renamed).
	after *entry
}

// registry keeps the vassals equal to the snapshots of the monitor. Vassals are
// known by name: one that moves to another file keeps running and gets a new
// generation. It belongs to the emperor's loop.
type registry struct {
	log      *slog.Logger
	main     *Main
	make     func(name string) site
	watch    func(owner string, files []string)
	ask      *onDemandProgram // nil: nobody is asked
	order    func(s site, o vassal.Order)
	entries  map[string]*entry
	names    []string // of entries, sorted; nil: to be found out
	someGo   bool     // some may be leaving
	someWait bool     // some may wait for another to leave
	// read holds files that were read ahead.
	read map[string]readAhead
	// many is told of new vassals that come by the dozen, before they start, and edited
	// of those whose files changed; nil: nobody is.
	many   func(fresh []readAhead)
	edited func(name string)
	// files is told of vassals of which the front will serve files, before they start;
	// nil: nobody is.
	files func()

	ctx     context.Context // of the vassals: when it ends they stop
	ended   chan *entry
	running sync.WaitGroup
}

func newRegistry(ctx context.Context, main *Main, makeSite func(name string) site, watch func(string, []string), log *slog.Logger) *registry {
	return &registry{
		log: log, main: main, make: makeSite, watch: watch, ctx: ctx,
		entries: map[string]*entry{}, ended: make(chan *entry),
		order: func(s site, o vassal.Order) { go func() { _ = s.Order(ctx, o) }() },
	}
}

// all yields the entries by name.
func (r *registry) all() iter.Seq[*entry] {
	return func(yield func(*entry) bool) {
		if r.names == nil {
			r.names = slices.Sorted(maps.Keys(r.entries))
		}
		for _, name := range r.names {
			if e := r.entries[name]; e != nil && !yield(e) {
				return
			}
		}
	}
}

// reconcile makes the vassals what the snapshot wants, touching only those that
// differ. again says that some file was not stable: call it once more, soon.
func (r *registry) reconcile(s monitor.Snapshot) (again bool) {
	items := r.main.items(s)
	wanted := make(map[string]monitor.Item, len(items))
	for _, item := range items {
		wanted[item.Name] = item
	}
	// First those that go: a renamed file takes over the socket of its old name.
	for e := range r.all() {
		if _, ok := wanted[e.name]; !ok && !e.leaving {
			r.log.Info("its file is gone: finishing what it has, then ending it", "vassal", e.name, "file", e.item.Path)
			e.leaving, e.unread, e.after = true, false, nil
			r.watch(e.item.Path, nil)
			r.watchTouch(e)
			r.watchKeys(e)
			e.site.Remove()
		}
	}
	r.someGo = r.anyLeaving()
	r.readAhead(items)
	changed := map[*entry]bool{}
	for _, item := range items {
		e := r.entries[item.Name]
		if e == nil {
			e = r.add(item.Name)
		}
		// A snapshot may be older than the last reading, but then it was seen before.
		print, known := s.Owners[item.Path]
		includesChanged := known && len(e.includes) > 0 && print != e.print && print != e.seen
		e.seen = print
		if e.item != item || e.leaving || e.unread || includesChanged {
			if !e.unread && s.Number > 1 {
				e.edited = s.Scanned
			}
			changed[e] = true
			again = r.update(e, item, nil) || again
		}
	}
	r.checkTouched(s, changed)
	r.checkKeys(s)
	return again
}

// adopt changes the main file that vassals are read with, and reads again those
// that may mean something else now. With renew the one app gets a new generation
// even if it does not.
func (r *registry) adopt(main *Main, renew bool) (again bool) {
	same := r.main.sameForVassals(main)
	mode := (r.main.App == nil) == (main.App == nil)
	r.main = main
	if !mode {
		return true // others are wanted from now on
	}
	renew = renew && main.App != nil
	r.someGo = r.anyLeaving()
	for e := range r.all() {
		// What was refused may be in order by the new rules, or get a better message.
		// And an address that the rules give may be another one.
		if e.leaving || same && !e.refused && !renew && (e.spec == nil || !e.spec.FollowsRules()) {
			continue
		}
		e.edited = time.Time{}
		unless := e.spec
		if renew {
			unless = nil
		}
		again = r.update(e, e.item, unless) || again
	}
	return again
}

// update reads e's file and tells the vassal. A spec equal to unless is no news.
func (r *registry) update(e *entry, item monitor.Item, unless *spec.Spec) (again bool) {
	said, known := r.askProgram(item)
	if !known {
		e.item, e.unread = item, true
		return true
	}
	got := r.reading(item, e.includes, said)
	if e.item.Path != item.Path && e.item.Path != "" {
		r.watch(e.item.Path, nil)
		e.touch.watch(touchOwner+e.item.Path, nil, r.watch)
		e.keys.watch(keysOwner+e.item.Path, nil, r.watch)
	}
	if !slices.Equal(got.includes, e.includes) || e.item.Path != item.Path {
		r.watch(item.Path, got.includes)
	}
	e.item, e.includes, e.print = item, got.includes, got.print
	if !got.stable && e.attempts < patience {
		e.unread = true
		e.attempts++
		return true
	}
	if !got.stable {
		r.log.Warn("the file keeps changing; taking it as it is now", "vassal", e.name, "file", item.Path)
	}
	e.unread, e.attempts, e.leaving = false, 0, false
	e.problems, e.refused = got.problems, got.problems.Err() != nil
	for _, p := range got.problems.Warnings() {
		r.log.Warn(p.Error(), "vassal", e.name)
	}
	if e.refused || got.spec == nil {
		e.refused = true
		e.site.Refuse(got.problems)
		return false
	}
	if unless != nil && reflect.DeepEqual(unless, got.spec) {
		return false
	}
	if r.edited != nil && !e.edited.IsZero() {
		r.edited(e.name)
	}
	e.spec, e.specPrint = got.spec, got.spec.Fingerprint()
	r.watchTouch(e)
	if r.files != nil && e.spec.ServesFiles() {
		r.files()
	}
	if e.after = r.leavingOwner(got.spec); e.after != nil {
		r.someWait = true
		return false
	}
	e.site.Want(e.spec, e.edited)
	return false
}

// askProgram asks emperor-on-demand-exec, where no other line names a socket.
func (r *registry) askProgram(item monitor.Item) (said string, known bool) {
	o := &r.main.onDemand
	if r.ask == nil || o.Exec.Value == "" || o.Directory != "" || r.main.App != nil {
		return "", true
	}
	if _, err := os.Stat(item.Path + o.Extension); o.Extension != "" && err == nil {
		return "", true
	}
	return r.ask.ask(o.Exec.Value, item, r.main.reading(item), r.main.vassalUser)
}

// leavingOwner finds a vassal that was told to leave, has one of the sockets, and
// has not begun to leave.
func (r *registry) leavingOwner(spec *spec.Spec) *entry {
	var found *entry
	if !r.someGo {
		return nil
	}
	for _, e := range r.entries { // not in order: it is asked for each of thousands
		if e.leaving && e.spec != nil && e.spec.Name != spec.Name && sharesAddress(e.spec, spec) && !hasLeft(e) && (found == nil || e.name < found.name) {
			found = e
		}
	}
	return found
}

func sharesAddress(a, b *spec.Spec) bool {
	return slices.ContainsFunc(a.Addresses(), func(x link.Address) bool {
		return slices.ContainsFunc(b.Addresses(), func(y link.Address) bool { return x.Address == y.Address })
	})
}

func hasLeft(e *entry) bool {
	state := e.site.State()
	return state == vassal.Leaving || state == vassal.Gone
}

// proceed starts the vassals that waited for another to leave. It is called when
// some vassal's state has changed.
func (r *registry) proceed() {
	if !r.someWait {
		return
	}
	r.someWait = false
	for e := range r.all() {
		if e.after != nil && (hasLeft(e.after) || !e.after.leaving) {
			e.after = nil
			e.site.Want(e.spec, e.edited)
		}
		r.someWait = r.someWait || e.after != nil
	}
}

func (r *registry) add(name string) *entry {
	e := &entry{name: name}
	r.entries[name] = e
	r.names = nil
	r.launch(e)
	return e
}

func (r *registry) launch(e *entry) {
	e.site = r.make(e.name)
	r.run(e)
}

// run is the vassal's life.
func (r *registry) run(e *entry) {
	s := e.site
	r.running.Go(func() {
		if err := s.Run(r.ctx); err != nil {
			r.log.Error("the vassal's supervisor ended", "vassal", e.name, "err", err)
		}
		select {
		case r.ended <- e:
		case <-r.ctx.Done(): // nobody listens any more
		}
	})
}

// forget is called with what came out of ended: a vassal that left is taken out;
// one whose file came back in the last moment begins anew.
func (r *registry) forget(e *entry) {
	if e.leaving {
		r.log.Info("gone", "vassal", e.name)
		delete(r.entries, e.name)
		r.names = nil
		r.proceed()
		return
	}
	r.launch(e)
	switch {
	case e.refused:
		e.site.Refuse(e.problems)
	case e.spec != nil && e.after == nil:
		e.site.Want(e.spec, e.edited)
	}
}

// errNotYet is what an order for a vassal gets that is on its way out.
var errNotYet = errors.New("its file is gone; it only finishes what it has")

// halt says to every vassal that nothing is started any more.
func (r *registry) halt() {
	for e := range r.all() {
		e.site.Halt()
	}
}

// settled tells whether every vassal is as far as it comes by itself.
func (r *registry) settled() bool {
	for _, e := range r.entries {
		if e.unread || e.after != nil {
			return false
		}
		if e.refused && e.spec == nil {
			continue
		}
		if !e.site.State().Settled() {
			return false
		}
	}
	return true
}
