package router

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"emperor/internal/link"
	"emperor/router/limit"
	"emperor/router/upstream"
)

// table is the router's copy of the vassal table. The emperor's messages change
// it; requests read it.
type table struct {
	mu        sync.RWMutex
	byName    map[string]*site // guarded by mu
	byAddress map[string]*site // guarded by mu; by the text of the address
	// Those that announce themselves, by the canonical key.
	byKey map[string][]*site // guarded by mu
	// Addresses whose vassal was removed: a rule may still name them, and the
	// answer is then that there is no such site, not that it is broken.
	removed map[string]struct{} // guarded by mu
	// departed are those of byName that were removed, and may still be working.
	departed map[string]*site // guarded by mu

	leaving atomic.Bool // a successor has the listeners

	held atomic.Int64        // requests that wait for some site, now
	wake func(vassal string) // tells the emperor that somebody waits
	// loyal tells the emperor that a generation has answered its first request.
	loyal func(vassal string, generation uint64)
	// silent tells the emperor that a generation leaves requests without any answer.
	silent func(vassal string, generation uint64)
}

// holdLimits bound what waits for sites that are not ready (DESIGN §2).
type holdLimits struct {
	time     time.Duration
	perSite  int64
	together int64
}

// site is one vassal as requests see it.
type site struct {
	name    string
	current atomic.Pointer[generation] // never nil
	gate    gate
	held    atomic.Int64
	served  atomic.Uint64
	turns   atomic.Pointer[limit.InFlight] // at the current generation; nil while no request has asked for one

	mu            sync.Mutex
	refusedBefore uint64        // guarded by mu; how many requests got no turn at earlier generations
	changed       chan struct{} // guarded by mu; closed when current or the gate changes
	retired       []*generation // guarded by mu; replaced, with requests under way
	idle          chan struct{} // guarded by mu; closed when a retired generation has none left
}

// turnsOf returns what gives requests their turn at the site.
func (s *site) turnsOf(r *Router) *limit.InFlight {
	for {
		if t := s.turns.Load(); t != nil {
			return t
		}
		s.turns.CompareAndSwap(nil, limit.NewInFlight(r.current().protection.caps, r.room))
		// New limits may have come into force between the two, see Router.use.
		s.setCaps(r.current().protection.caps)
	}
}

// setCaps gives the site other limits; who waits or has a turn stays.
func (s *site) setCaps(caps limit.Caps) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if t := s.turns.Load(); t != nil {
		t.SetCaps(caps)
	}
}

// endTurns begins to count anew, for another generation: what the one before still
// works on does not keep that from working. Who waits is let go, and finds out that
// it waited for the wrong turn. s.mu is held.
func (s *site) endTurns() {
	if t := s.turns.Swap(nil); t != nil {
		t.SetCaps(limit.Caps{})
		s.refusedBefore += t.Refused()
	}
}

// refused is how many requests got no turn.
func (s *site) refused() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	if t := s.turns.Load(); t != nil {
		return s.refusedBefore + t.Refused()
	}
	return s.refusedBefore
}

// generation is one life of a site: what is true of it does not change, but for
// the count of requests it works on.
type generation struct {
	number   uint64
	state    link.State
	reason   string
	retryAt  time.Time // Failed: when the emperor tries again; zero = unknown
	refuse   bool      // and nobody waits until then
	targets  []target
	removed  bool
	since    time.Time     // it is in this state
	harakiri time.Duration // until an answer begins; 0: no limit of its own
	// The keys that it announces itself for.
	announces []link.Announcement
	folder    *folder // of static files, and of those beside scripts; closed with the last request to it

	inFlight atomic.Int64
	begun    atomic.Uint64  // requests, since it is the current one
	loyal    atomic.Bool    // it has answered one
	heard    *atomic.Uint64 // how often a part of an answer came from it; one for all its rows
	silence  silence
}

// ready tells whether requests may be sent to it.
func (g *generation) ready() bool { return g.state == link.Ready && len(g.targets) > 0 }

// isStatic: it consists of files, and nobody works on its requests but us.
func (g *generation) isStatic() bool {
	return len(g.targets) > 0 && g.targets[0].protocol == protocolStatic
}

// target is one socket of a generation.
type target struct {
	text     string
	address  upstream.Address
	invalid  error // why text is no address
	protocol protocol
	root     string // DOCUMENT_ROOT for FastCGI and SCGI; "" if unknown
	single   bool   // connections are not kept

	modifier1, modifier2 byte // that a node has announced
}

func newTable() *table {
	return &table{byName: map[string]*site{}, byAddress: map[string]*site{}, byKey: map[string][]*site{}, removed: map[string]struct{}{}, departed: map[string]*site{}, wake: func(string) {}, loyal: func(string, uint64) {}, silent: func(string, uint64) {}}
}

// vassal returns the site of that name, or nil.
func (t *table) vassal(name []byte) *site {
	t.mu.RLock()
	defer t.mu.RUnlock()
	if s := t.byName[string(name)]; s != nil && !s.current.Load().removed {
		return s
	}
	return nil
}

// site is vassal for the emperor's orders: it finds a removed one too, as long as
// requests to it are under way.
func (t *table) site(name string) *site {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.byName[name]
}

// at returns the site that listens on that address, or nil.
func (t *table) at(address []byte) *site {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.byAddress[string(address)]
}

// named is at for an address that is text already.
func (t *table) named(address string) *site {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.byAddress[address]
}

// apply takes a message of the emperor's into the table. When it returns, every
// request that starts sees the new state. A row that is wrong harms that vassal
// only. It owns the descriptors, those of the rows' folders.
func (t *table) apply(m *link.Table, descriptors []int) error {
	if len(descriptors) != m.Descriptors() {
		closeAll(descriptors)
		return errors.New("router: a table without its descriptors")
	}
	t.forget()
	if m.Full {
		listed := make(map[string]bool, len(m.Vassals))
		for i := range m.Vassals {
			listed[m.Vassals[i].Name] = true
		}
		for _, s := range t.all() {
			if !listed[s.name] && !s.current.Load().removed {
				_ = t.set(&link.Vassal{Name: s.name, Removed: true}, nil)
			}
		}
	}
	var errs []error
	for i := range m.Vassals {
		var own []int
		if f := m.Vassals[i].Files; f != nil && f.Opened {
			own, descriptors = descriptors[:2:2], descriptors[2:]
		}
		errs = append(errs, t.set(&m.Vassals[i], own))
	}
	return errors.Join(errs...)
}

// forget drops removed sites to which no request is under way.
func (t *table) forget() {
	t.mu.Lock()
	defer t.mu.Unlock()
	for name, s := range t.departed {
		if !s.busy(math.MaxUint64) {
			delete(t.byName, name)
			delete(t.departed, name)
		}
	}
}

// rememberedRemovals bounds what is kept of vassals that are gone.
const rememberedRemovals = 10000

// bury remembers the address of a removed vassal; t.mu is held.
func (t *table) bury(address string) {
	if len(t.removed) >= rememberedRemovals {
		clear(t.removed)
	}
	t.removed[address] = struct{}{}
}

// wasRemoved tells whether the vassal that was at that address is gone.
func (t *table) wasRemoved(address []byte) bool {
	t.mu.RLock()
	defer t.mu.RUnlock()
	_, ok := t.removed[string(address)]
	return ok
}

// all returns the sites, removed ones too.
func (t *table) all() []*site {
	t.mu.RLock()
	defer t.mu.RUnlock()
	sites := make([]*site, 0, len(t.byName))
	for _, s := range t.byName {
		sites = append(sites, s)
	}
	return sites
}

func (t *table) set(v *link.Vassal, descriptors []int) (err error) {
	g := &generation{heard: new(atomic.Uint64), number: v.Generation, state: v.State, reason: v.Reason, removed: v.Removed, refuse: v.Refuse, since: time.Now(), harakiri: time.Duration(v.Harakiri) * time.Millisecond}
	if !v.Removed {
		g.announces = v.Announces
	}
	if v.Retry > 0 {
		g.retryAt = time.Now().Add(time.Duration(v.Retry) * time.Millisecond)
	}
	for _, a := range v.Addresses {
		p, err := parseProtocol(a.Protocol)
		if err != nil {
			closeAll(descriptors)
			return fmt.Errorf("vassal %s: %w", v.Name, err)
		}
		to := target{text: a.Address, protocol: p, root: a.Root, single: a.Single}
		to.invalid = to.address.Parse([]byte(a.Address))
		g.targets = append(g.targets, to)
	}
	if v.Files != nil {
		g.folder, err = openFolder(v.Files, descriptors)
		if err != nil && t.leaving.Load() {
			// Who is still connected here is sent to our successor.
			g.folder.elsewhere, err = true, nil
		}
		if err != nil {
			err = fmt.Errorf("vassal %s: %w", v.Name, err)
		}
		if len(g.targets) == 0 {
			g.targets = []target{{protocol: protocolStatic}} // rules know it by its name only
		}
	} else {
		closeAll(descriptors)
	}

	t.mu.Lock()
	s := t.byName[v.Name]
	if s == nil {
		if v.Removed {
			t.mu.Unlock()
			g.folder.close()
			return err
		}
		s = &site{name: v.Name, changed: make(chan struct{}), idle: make(chan struct{})}
		s.current.Store(&generation{heard: new(atomic.Uint64), state: link.Starting})
		t.byName[v.Name] = s
	}
	for _, old := range s.current.Load().targets {
		if t.byAddress[old.text] == s {
			delete(t.byAddress, old.text)
			if v.Removed {
				t.bury(old.text)
			}
		}
	}
	for _, to := range g.targets {
		if !v.Removed && !t.isListening(to.text, s, to.protocol) {
			t.byAddress[to.text] = s
			delete(t.removed, to.text)
		}
	}
	t.setKeys(s, s.current.Load().announces, g.announces)
	if v.Removed {
		t.departed[v.Name] = s
	} else {
		delete(t.departed, v.Name)
	}
	t.mu.Unlock()

	s.replace(g)
	return err
}

// isListening tells whether an address is not to be s's, because it is nobody's or
// because s has only its name, and another site listens there. t.mu is held.
func (t *table) isListening(address string, s *site, p protocol) bool {
	if address == "" {
		return true
	}
	other := t.byAddress[address]
	return p == protocolStatic && other != nil && other != s && !other.current.Load().isStatic()
}

// replace makes g what new requests see and wakes those that wait.
func (s *site) replace(g *generation) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if before := s.current.Load(); before.number == g.number {
		g.heard = before.heard
		if before.state == g.state {
			g.since = before.since
		}
	}
	old := s.current.Swap(g)
	if g.number != old.number {
		s.endTurns()
	}
	s.retired = append(s.retired, old)
	s.prune()
	s.announce()
}

// announce wakes whoever waits for a change; s.mu is held.
func (s *site) announce() {
	close(s.changed)
	s.changed = make(chan struct{})
}

// prune forgets retired generations without requests; s.mu is held. (A request
// that counts itself in just now finds out that its generation is not current.)
func (s *site) prune() {
	s.retired = slices.DeleteFunc(s.retired, func(g *generation) bool {
		if g.inFlight.Load() > 0 {
			return false
		}
		g.folder.close()
		return true
	})
}

// addresses returns every address of the site's that requests may be using.
func (s *site) addresses() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []string
	for _, g := range append([]*generation{s.current.Load()}, s.retired...) {
		for i := range g.targets {
			all = append(all, g.targets[i].text)
		}
	}
	return all
}

// busy tells whether requests to replaced generations older than number are
// under way.
func (s *site) busy(number uint64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.busyLocked(number)
}

func (s *site) busyLocked(number uint64) bool {
	s.prune()
	return slices.ContainsFunc(s.retired, func(g *generation) bool { return g.number < number })
}

// drained waits until no request to a generation older than number is under way.
func (s *site) drained(number uint64, cancel <-chan struct{}) {
	for {
		s.mu.Lock()
		busy := s.busyLocked(number)
		idle := s.idle
		s.mu.Unlock()
		if !busy {
			return
		}
		select {
		case <-idle:
		case <-cancel:
			return
		}
	}
}

// begin counts a request in; it fails if g is not what new requests should see
// any more. (Count first, look after: drained looks after the switch, so one of
// the two notices the other.)
func (s *site) begin(g *generation) bool {
	g.inFlight.Add(1)
	g.begun.Add(1)
	if s.current.Load() == g {
		return true
	}
	s.end(g)
	return false
}

// served notes that s has answered a request; g is the generation that did, if it is
// known.
func (t *table) served(s *site, g *generation) {
	s.served.Add(1)
	if g != nil && !g.loyal.Load() && g.loyal.CompareAndSwap(false, true) {
		t.loyal(s.name, g.number)
	}
}

// end counts a request out.
func (s *site) end(g *generation) {
	if g.inFlight.Add(-1) > 0 || s.current.Load() == g {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.prune()
	close(s.idle)
	s.idle = make(chan struct{})
}

// release opens the gate and wakes who waits at it.
func (s *site) release() {
	s.gate.open()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.announce()
}
