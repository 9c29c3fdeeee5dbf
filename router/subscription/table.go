package subscription

import (
	"container/list"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"sync"
	"time"

	"emperor/router/balance"
)

// What a Table holds at most. A datagram costs its sender nothing.
const (
	maxNodes  = 16384 // in all, those that are remembered too
	maxSender = 4096  // of one sender
	maxSlot   = 256   // of one key
)

// remembered is how long a key without nodes is known: its site is out of order,
// which is something else than a site that does not exist.
const remembered = 10 * time.Minute

// Options are what a configuration says of a Table.
type Options struct {
	Tolerance   time.Duration // a node that is silent for longer is gone
	Algorithm   balance.Algorithm
	DotSplit    bool        // .example.com serves what has no key of its own
	FallbackKey string      // serves everything else
	Signatures  *Signatures // nil: who can send is believed
	// Unsigned are users who need not sign.
	Unsigned []uint32
	Owners   Owners // nil: anybody may speak for any key
	// Check refuses addresses that can't be connected to.
	Check func(*Node) error
	// Held tells of addresses whose socket outlives the instance behind it. A
	// withdrawal of one may be the last word of an instance whose successor has
	// announced itself already: the node stays until it was silent for the Tolerance.
	Held func(address string) bool
	// Asleep tells of addresses at which nobody runs because nobody asks for anything: a
	// node there is silent, and stays. nil: there are none.
	Asleep func(address string) bool
}

// View is what requests see of one key. It never changes.
type View[P any] struct {
	Key       string
	Algorithm balance.Algorithm
	Nodes     []Node    // in the order of their first announcement; none: all are gone
	Since     time.Time // when one went last
	Prepared  P         // what the prepare of New made of it
}

// Table holds the announced nodes. All methods may be called by any goroutine.
type Table[P any] struct {
	now     func() time.Time
	prepare func(*View[P]) P

	mu       sync.RWMutex
	options  Options             // guarded by mu
	slots    map[string]*slot[P] // guarded by mu; by key
	senders  map[string]*sender  // guarded by mu
	nodes    int                 // guarded by mu; entries of all slots
	version  uint64              // guarded by mu; counts what Records has to carry on
	watching bool                // guarded by mu; datagrams are read: silence means something
}

// slot is one key.
type slot[P any] struct {
	key       string
	algorithm string   // of the packet that made it; "" is the front's
	entries   []*entry // those that are gone too, while they are remembered
	view      *View[P] // nil: as if the key were not known
	newest    int64    // of the Unix of forgotten entries, when signed
}

// entry is a node, or what is remembered of it.
type entry struct {
	Node
	sender  *sender
	element *list.Element // in sender.gone
	since   time.Time     // of the first announcement
	seen    time.Time     // of the last word
	expires time.Time
	gone    bool
	signed  bool // or of a user who need not
	owned   bool // by who may speak for the key
	unix    int64
}

// sender is one source of datagrams.
type sender struct {
	name  string
	nodes int
	gone  list.List // of *remembrance, longest gone first
}

type remembrance struct {
	key   string
	entry *entry
}

// New makes an empty table. prepare is called, with the Table locked, for each
// View before requests see it.
func New[P any](now func() time.Time, prepare func(*View[P]) P) *Table[P] {
	return &Table[P]{now: now, prepare: prepare, slots: map[string]*slot[P]{}, senders: map[string]*sender{}}
}

// Configure puts options in force. Nodes stay.
func (t *Table[P]) Configure(o Options) {
	t.mu.Lock()
	defer t.mu.Unlock()
	o.FallbackKey = Canonical(o.FallbackKey)
	now := t.now()
	if o.Signatures != nil && t.options.Signatures == nil {
		t.dropUnless(func(_ *slot[P], e *entry) bool { return e.signed })
	}
	if o.Owners != nil {
		t.dropUnless(func(s *slot[P], e *entry) bool { return e.owned && o.Owners.check(s.key, e.From) == nil })
	}
	for _, s := range t.slots {
		for _, e := range s.entries {
			e.expires = e.expires.Add(o.Tolerance - t.options.Tolerance)
		}
	}
	t.options = o
	for _, s := range t.slots {
		t.publish(s, now)
	}
}

// dropUnless forgets who is not to be believed any more; t.mu is held.
func (t *Table[P]) dropUnless(believed func(*slot[P], *entry) bool) {
	for key, s := range t.slots {
		for _, e := range slices.Clone(s.entries) {
			if !believed(s, e) {
				t.remove(s, e)
				t.version++
			}
		}
		if len(s.entries) == 0 {
			delete(t.slots, key)
		}
	}
}

// forget gives up an entry's place; t.mu is held.
func (t *Table[P]) forget(e *entry) {
	t.nodes--
	if e.element != nil {
		e.sender.gone.Remove(e.element)
		e.element = nil
	}
	if e.sender.nodes--; e.sender.nodes == 0 {
		delete(t.senders, e.sender.name)
	}
}

// Watch begins to take silence for an end: datagrams are read from now on. Who was
// there has the whole tolerance to speak, as nobody listened before.
func (t *Table[P]) Watch() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.watching {
		return
	}
	t.watching = true
	until := t.now().Add(t.options.Tolerance)
	for _, s := range t.slots {
		for _, e := range s.entries {
			e.expires = until
		}
	}
}

// Rest is the opposite: somebody else reads the datagrams.
func (t *Table[P]) Rest() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.watching = false
}

// Change says what a packet changed.
type Change uint8

const (
	Nothing Change = iota // the node is where it was
	Added
	Removed
)

// Apply acts on a packet, or says why it is refused.
func (t *Table[P]) Apply(p *Packet, from string) (Change, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := t.now()
	s := t.slots[p.Key]
	e := s.find(p.Address)
	if err := t.believe(p, s, e, now); err != nil {
		return Nothing, err
	}
	signed, owned := t.options.Signatures != nil, t.options.Owners != nil
	if signed {
		t.version++ // the Unix of the entry
	}
	if p.Withdraw {
		return t.withdraw(s, e, p.Unix, now), nil
	}
	if e != nil && !e.gone {
		e.seen, e.unix, e.signed, e.owned, e.expires = now, max(e.unix, p.Unix), signed, owned, now.Add(t.options.Tolerance)
		changed := e.Node
		changed.Cores, changed.Load, changed.Weight, changed.Backup = p.Cores, p.Load, p.Weight, p.Backup
		changed.From, changed.Pair = p.From, p.Pair
		if changed != e.Node {
			// Load changes all the time and nobody chooses by it.
			seen := changed.Weight != e.Weight || changed.Backup != e.Backup || changed.Pair != e.Pair
			e.Node = changed
			t.version++
			if seen {
				t.publish(s, now)
			}
		}
		return Nothing, nil
	}
	if t.options.Check != nil {
		if err := t.options.Check(&p.Node); err != nil {
			return Nothing, err
		}
	}
	if e == nil {
		var err error
		if s, e, err = t.insert(p.Key, from, p.Algorithm); err != nil {
			return Nothing, err
		}
	} else {
		s.revive(e)
	}
	e.Node, e.signed, e.owned = p.Node, signed, owned
	e.since, e.seen, e.expires, e.unix = now, now, now.Add(t.options.Tolerance), max(e.unix, p.Unix)
	t.version++
	t.publish(s, now)
	return Added, nil
}

// believe tells why a packet is refused; t.mu is held.
func (t *Table[P]) believe(p *Packet, s *slot[P], e *entry, now time.Time) error {
	if t.options.Owners != nil {
		if err := t.options.Owners.check(p.Key, p.From); err != nil {
			return err
		}
	}
	signatures := t.options.Signatures
	if signatures == nil || p.From.Known && slices.Contains(t.options.Unsigned, p.From.UID) {
		return nil
	}
	if err := signatures.check(p, now); err != nil {
		return err
	}
	known := int64(0)
	if e != nil {
		known = e.unix
	} else if s != nil {
		known = s.newest
	}
	if p.Unix <= known {
		return errors.New("it is not newer than the last one (a replay)")
	}
	return nil
}

func (t *Table[P]) withdraw(s *slot[P], e *entry, unix int64, now time.Time) Change {
	if e == nil {
		return Nothing
	}
	e.unix = max(e.unix, unix)
	switch {
	case e.gone:
		return Nothing
	case t.options.Held != nil && t.options.Held(e.Address):
		e.expires = now.Add(t.options.Tolerance)
		return Nothing
	}
	t.end(s, e, now)
	t.publish(s, now)
	return Removed
}

// end takes a node away and remembers it; t.mu is held, publish follows.
func (t *Table[P]) end(s *slot[P], e *entry, at time.Time) {
	e.gone, e.seen = true, at
	e.element = e.sender.gone.PushBack(&remembrance{s.key, e})
	t.version++
}

// revive is the opposite of end; t.mu is held. Its turn comes last.
func (s *slot[P]) revive(e *entry) {
	e.gone = false
	e.sender.gone.Remove(e.element)
	e.element = nil
	s.entries = append(slices.DeleteFunc(s.entries, func(other *entry) bool { return other == e }), e)
}

// insert makes room for a new entry; t.mu is held.
func (t *Table[P]) insert(key, from, algorithm string) (*slot[P], *entry, error) {
	from = strings.Clone(from)
	who := t.senders[from]
	if who != nil && who.nodes >= maxSender || t.nodes >= maxNodes {
		if who == nil || who.gone.Len() == 0 {
			return nil, nil, fmt.Errorf("too many nodes are announced (%d, %d by one sender)", maxNodes, maxSender)
		}
		old := who.gone.Front().Value.(*remembrance)
		t.remove(t.slots[old.key], old.entry)
		who = t.senders[from]
	}
	s := t.slots[key]
	if s != nil && len(s.entries) >= maxSlot {
		gone := slices.IndexFunc(s.entries, func(e *entry) bool { return e.gone })
		if gone < 0 {
			return nil, nil, fmt.Errorf("%s has %d nodes, which is the limit", key, maxSlot)
		}
		t.remove(s, s.entries[gone])
		who, s = t.senders[from], t.slots[key]
	}
	if who == nil {
		who = &sender{name: from}
		t.senders[from] = who
	}
	if s == nil {
		s = &slot[P]{key: key, algorithm: algorithm}
		t.slots[key] = s
	}
	e := &entry{sender: who}
	s.entries = append(s.entries, e)
	who.nodes++
	t.nodes++
	return s, e, nil
}

// remove forgets a node that is gone; t.mu is held.
func (t *Table[P]) remove(s *slot[P], e *entry) {
	s.newest = max(s.newest, e.unix)
	s.entries = slices.DeleteFunc(s.entries, func(other *entry) bool { return other == e })
	t.forget(e)
	if len(s.entries) == 0 && t.options.Signatures == nil {
		delete(t.slots, s.key)
	}
}

func (s *slot[P]) find(address string) *entry {
	if s == nil {
		return nil
	}
	for _, e := range s.entries {
		if e.Address == address {
			return e
		}
	}
	return nil
}

// publish makes what requests see of the slot; t.mu is held.
func (t *Table[P]) publish(s *slot[P], now time.Time) {
	v := &View[P]{Key: s.key, Algorithm: t.options.Algorithm}
	if a, err := balance.ParseAlgorithm(s.algorithm); err == nil {
		v.Algorithm = a
	}
	recent := false
	for _, e := range s.entries {
		if !e.gone {
			v.Nodes = append(v.Nodes, e.Node)
		}
		if e.gone && e.seen.After(v.Since) {
			v.Since = e.seen
		}
		recent = recent || !e.gone || now.Sub(e.seen) < remembered
	}
	if !recent {
		s.view = nil
		return
	}
	v.Prepared = t.prepare(v)
	s.view = v
}

// Gone is a node that is gone because it was silent, or that went so before.
type Gone struct {
	Key, Address string
	Silent       time.Duration
	Last         bool // the key has none left
}

// Expire takes away who was silent for too long, and returns them.
func (t *Table[P]) Expire() (gone []Gone) {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := t.now()
	memory := remembered
	if t.options.Signatures != nil {
		memory = max(memory, 2*t.options.Signatures.Tolerance) // after it a replay is refused by its time
	}
	for key, s := range t.slots {
		changed, live, first := false, 0, len(gone)
		for _, e := range slices.Clone(s.entries) {
			silent := now.Sub(e.seen)
			switch {
			case e.gone && silent >= memory:
				t.remove(s, e)
				t.version++
				changed = true
			case e.gone:
			case t.watching && now.After(e.expires) && t.options.Asleep != nil && t.options.Asleep(e.Address):
				e.expires = now.Add(t.options.Tolerance) // it begins to announce itself again when it is woken
				live++
			case t.watching && now.After(e.expires):
				t.end(s, e, now)
				gone, changed = append(gone, Gone{Key: key, Address: e.Address, Silent: silent}), true
			default:
				live++
			}
		}
		for i := first; i < len(gone); i++ {
			gone[i].Last = live == 0
		}
		if len(s.entries) == 0 && now.Sub(time.Unix(s.newest, 0)) >= memory {
			delete(t.slots, key)
		} else if changed || live == 0 && s.view != nil {
			t.publish(s, now)
		}
	}
	return gone
}

// Lookup returns what serves a request for the host; nil: nothing is known of it.
// A view without nodes is of a site that is out of order. hostPort is the host with
// the port when the request names one, else empty.
func (t *Table[P]) Lookup(host, hostPort []byte) *View[P] {
	t.mu.RLock()
	defer t.mu.RUnlock()
	v := t.find(host, hostPort)
	if (v == nil || len(v.Nodes) == 0) && t.options.FallbackKey != "" {
		if s := t.slots[t.options.FallbackKey]; s != nil && s.view != nil && (v == nil || len(s.view.Nodes) > 0) {
			return s.view
		}
	}
	return v
}

// Deserted tells whether there is no node of any key.
func (t *Table[P]) Deserted() bool {
	t.mu.RLock()
	defer t.mu.RUnlock()
	for _, s := range t.slots {
		if s.view != nil && !s.view.Empty() {
			return false
		}
	}
	return true
}

// Ago is how long ago, by the table's clock, a node of the view's went.
func (t *Table[P]) Ago(v *View[P]) time.Duration { return t.now().Sub(v.Since) }

// Pair returns the certificate that the first node of a host has announced for it.
func (t *Table[P]) Pair(host string) (Pair, bool) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	for _, key := range [...]string{host, host + ":443"} {
		if s := t.slots[key]; s != nil && s.view != nil {
			for i := range s.view.Nodes {
				if pair := s.view.Nodes[i].Pair; !pair.IsZero() {
					return pair, true
				}
			}
		}
	}
	return Pair{}, false
}

// Key returns the view of exactly that key, or nil.
func (t *Table[P]) Key(key string) *View[P] {
	t.mu.RLock()
	defer t.mu.RUnlock()
	if s := t.slots[key]; s != nil {
		return s.view
	}
	return nil
}

// find looks for the key; t.mu is held.
func (t *Table[P]) find(host, hostPort []byte) *View[P] {
	for key := range keys(host, hostPort, t.options.DotSplit) {
		if s := t.slots[string(key)]; s != nil && s.view != nil {
			return s.view
		}
	}
	return nil
}

// Keys are those that may serve a request for the host, in the order in which they are
// looked for.
func (t *Table[P]) Keys(host, hostPort []byte) iter.Seq[[]byte] {
	t.mu.RLock()
	dotSplit, fallback := t.options.DotSplit, t.options.FallbackKey
	t.mu.RUnlock()
	return func(yield func([]byte) bool) {
		for key := range keys(host, hostPort, dotSplit) {
			if !yield(key) {
				return
			}
		}
		if fallback != "" {
			yield([]byte(fallback))
		}
	}
}

// keys are the host with its port, the host, and as in uWSGI the host without its first
// labels, the dot kept.
func keys(host, hostPort []byte, dotSplit bool) iter.Seq[[]byte] {
	const most = 5
	return func(yield func([]byte) bool) {
		if len(hostPort) > 0 && !yield(hostPort) {
			return
		}
		for try := 0; try < most && len(host) > 0; try++ {
			if !yield(host) || !dotSplit {
				return
			}
			next := slices.Index(host[1:], '.')
			if next < 0 {
				return
			}
			host = host[1+next:]
		}
	}
}

// Empty tells whether the table knows a key but no node of it.
func (v *View[P]) Empty() bool { return len(v.Nodes) == 0 }
