package balance

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"time"
)

// Algorithm is how a Group chooses among addresses that work. The names are
// uWSGI's.
type Algorithm uint8

const (
	// WRR, weighted round robin: each address gets its weight's share, spread
	// evenly (A B A C A for 3, 1, 1).
	WRR Algorithm = iota
	// LRC, least reference count: the fewest requests under way; in turns when
	// several have as few.
	LRC
	// WLRC: as LRC, the requests under way counted per weight.
	WLRC
	// IPHash: a client stays at its address as long as the set of working
	// addresses stays. Weights have no meaning.
	IPHash
)

var algorithms = [...]string{WRR: "wrr", LRC: "lrc", WLRC: "wlrc", IPHash: "iphash"}

// ParseAlgorithm reads uWSGI's name of an algorithm: wrr, lrc, wlrc or iphash.
func ParseAlgorithm(name string) (Algorithm, error) {
	for a, known := range algorithms {
		if name == known {
			return Algorithm(a), nil
		}
	}
	return WRR, fmt.Errorf("algorithm %q, want wrr, lrc, wlrc or iphash", name)
}

func (a Algorithm) String() string { return algorithms[a] }

// Spec is one address of a Group as configured.
type Spec struct {
	// Address names the address in the Book. Two that speak different protocols
	// at one place should be two texts ("http::8000", "uwsgi::8000").
	Address string
	Weight  int // 0 counts as 1
	// Backup is 0 for an address that is always used; one of a higher level is
	// used while no address of a lower level works.
	Backup int
}

// Options of a Group.
type Options struct {
	Algorithm Algorithm
	Grace     time.Duration // how long a failed address is passed over at first; 0: it is not
	MaxGrace  time.Duration // what the doubling ends at; 0: 8 × Grace
}

// Group chooses among its addresses. All methods may be called by any goroutine.
type Group struct {
	book    *Book
	options Options
	nodes   []Node
	levels  [][]*Node // by Backup, lowest first, in the order of nodes

	// The choice and its count are one step: two requests at the same time must
	// not both find the same address the least busy.
	mu      sync.Mutex
	current []int  // guarded by mu; by Index: the credit of smooth weighted round robin
	taking  []bool // guarded by mu; by Index: who took part in it last
	next    int    // guarded by mu; the Index behind the last choice
}

// Node is one address of a Group.
type Node struct {
	Spec
	Index int // in the list given to Book.Group

	state *state
}

// Group returns a Group of the addresses. Their order counts for turns and for
// IPHash.
func (b *Book) Group(specs []Spec, o Options) *Group {
	if o.MaxGrace == 0 {
		o.MaxGrace = 8 * o.Grace
	}
	g := &Group{book: b, options: o, nodes: make([]Node, len(specs)), current: make([]int, len(specs)), taking: make([]bool, len(specs))}
	byLevel := map[int][]*Node{}
	var levels []int
	for i, s := range specs {
		s.Weight = max(s.Weight, 1)
		n := &g.nodes[i]
		*n = Node{Spec: s, Index: i, state: b.state(s.Address)}
		if byLevel[s.Backup] == nil {
			levels = append(levels, s.Backup)
		}
		byLevel[s.Backup] = append(byLevel[s.Backup], n)
	}
	slices.Sort(levels)
	for _, level := range levels {
		g.levels = append(g.levels, byLevel[level])
	}
	return g
}

// Algorithm is how the Group chooses.
func (g *Group) Algorithm() Algorithm { return g.options.Algorithm }

// Nodes returns all addresses in their order; the caller must not change them.
func (g *Group) Nodes() []Node { return g.nodes }

// Tried notes which addresses a request has been to, so that it is not sent
// twice to the same. The zero value is none. It allocates nothing for groups of
// up to 64 addresses.
type Tried struct {
	few  uint64
	many []uint64
}

// Add notes the address.
func (t *Tried) Add(n *Node) {
	if n.Index < 64 {
		t.few |= 1 << n.Index
		return
	}
	for len(t.many) < n.Index/64 {
		t.many = append(t.many, 0)
	}
	t.many[n.Index/64-1] |= 1 << (n.Index % 64)
}

// Has tells whether the address has been noted.
func (t *Tried) Has(n *Node) bool {
	if n.Index < 64 {
		return t.few>>n.Index&1 != 0
	}
	i := n.Index/64 - 1
	return i < len(t.many) && t.many[i]>>(n.Index%64)&1 != 0
}

// Choice is what Pick chose. Done must follow, exactly once.
type Choice struct {
	*Node
	group *Group
	probe bool
	epoch uint64 // of the state when it was chosen
}

// Pick chooses an address that is not in tried and counts a request in there. ok
// is false when all have been tried. client is what IPHash needs; others do not
// look at it, and a client without one (on a unix socket) gets WRR.
//
// A working address of the lowest Backup level comes first; a failed one whose
// grace is over takes one request at a time among them; when neither is left, the
// one that failed longest ago is chosen.
func (g *Group) Pick(client netip.Addr, tried *Tried) (c Choice, ok bool) {
	v := view{now: g.book.now, tried: tried}
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, level := range g.levels {
		for {
			n := g.choose(level, client, &v)
			if n == nil {
				break
			}
			// Another Group may have sent its one request there since the look.
			if probe, ok := n.state.enter(&v); ok {
				return g.chosen(n, probe), true
			}
		}
	}
	if n := g.longestAgo(tried); n != nil {
		n.state.inFlight.Add(1)
		return g.chosen(n, false), true
	}
	return Choice{}, false
}

func (g *Group) chosen(n *Node, probe bool) Choice {
	g.next = n.Index + 1
	n.state.hits.Add(1)
	return Choice{Node: n, group: g, probe: probe, epoch: n.state.epoch.Load()}
}

// choose applies the algorithm to one level; nil when nothing there may be used.
func (g *Group) choose(level []*Node, client netip.Addr, v *view) *Node {
	switch g.options.Algorithm {
	case LRC, WLRC:
		return g.leastBusy(level, v)
	case IPHash:
		if client.IsValid() {
			return byHash(level, hash(client), v)
		}
	}
	return g.inTurn(level, v)
}

// inTurn is smooth weighted round robin: everybody earns its weight, the richest
// serves and pays what all have earned.
func (g *Group) inTurn(level []*Node, v *view) *Node {
	g.settle(level, v)
	var best *Node
	total := 0
	for _, n := range level {
		if !g.taking[n.Index] || v.tried.Has(n) {
			continue
		}
		total += n.Weight
		g.current[n.Index] += n.Weight
		if best == nil || g.current[n.Index] > g.current[best.Index] {
			best = n
		}
	}
	if best != nil {
		g.current[best.Index] -= total
	}
	return best
}

// settle finds out who takes part. When somebody comes or goes everybody begins
// anew: credit earned beside others says nothing about the shares from now on.
func (g *Group) settle(level []*Node, v *view) {
	changed := false
	for _, n := range level {
		if takes := v.alive(n); takes != g.taking[n.Index] {
			g.taking[n.Index] = takes
			changed = true
		}
	}
	if changed {
		for _, n := range level {
			g.current[n.Index] = 0
		}
	}
}

// leastBusy begins behind the last choice, so that equals take turns.
func (g *Group) leastBusy(level []*Node, v *view) *Node {
	start, _ := slices.BinarySearchFunc(level, g.next, func(n *Node, index int) int { return n.Index - index })
	var best *Node
	var least int64
	for i := range level {
		n := level[(start+i)%len(level)]
		if !v.usable(n) {
			continue
		}
		busy := n.state.inFlight.Load()
		better := best == nil || busy < least
		if best != nil && g.options.Algorithm == WLRC {
			better = busy*int64(best.Weight) < least*int64(n.Weight)
		}
		if better {
			best, least = n, busy
		}
	}
	return best
}

// byHash: only addresses that work count for the division, so that one that is
// being tried again does not move everybody else's clients about.
func byHash(level []*Node, h uint32, v *view) *Node {
	if n := nth(level, h, v.usable); n != nil && n.state.bad.Load() {
		return n
	}
	return nth(level, h, v.working)
}

// nth returns the address that h falls on among those that may be used.
func nth(level []*Node, h uint32, may func(*Node) bool) *Node {
	count := uint32(0)
	for _, n := range level {
		if may(n) {
			count++
		}
	}
	if count == 0 {
		return nil
	}
	index := h % count
	for _, n := range level {
		if may(n) {
			if index == 0 {
				return n
			}
			index--
		}
	}
	return nil
}

// hash is uWSGI's: an IPv4 address as a little-endian machine reads it, an IPv6
// address through the hash that uWSGI uses for its keys.
func hash(client netip.Addr) uint32 {
	client = client.Unmap()
	if client.Is4() {
		b := client.As4()
		return binary.LittleEndian.Uint32(b[:])
	}
	h := uint32(5381)
	for _, c := range client.As16() {
		h = h<<5 + h ^ uint32(c)
	}
	return h
}

// longestAgo returns the address that failed longest ago; all that are left have.
func (g *Group) longestAgo(tried *Tried) *Node {
	var best *Node
	var oldest time.Time
	for i := range g.nodes {
		n := &g.nodes[i]
		if tried.Has(n) {
			continue
		}
		if since := n.state.failedAt(); best == nil || since.Before(oldest) {
			best, oldest = n, since
		}
	}
	return best
}

// view is what one Pick sees; it asks for the time only when an address has
// failed.
type view struct {
	now   func() time.Time
	at    time.Time
	tried *Tried
}

func (v *view) time() time.Time {
	if v.at.IsZero() {
		v.at = v.now()
	}
	return v.at
}

// working: not failed, not tried.
func (v *view) working(n *Node) bool { return !n.state.bad.Load() && !v.tried.Has(n) }

// alive: not failed, or to be tried again.
func (v *view) alive(n *Node) bool { return !n.state.bad.Load() || n.state.due(v.time()) }

// usable: alive, not tried.
func (v *view) usable(n *Node) bool { return !v.tried.Has(n) && v.alive(n) }
