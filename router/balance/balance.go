package balance

import (
	"net/netip"
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

// ParseAlgorithm reads uWSGI's name of an algorithm: wrr, lrc, wlrc or iphash.
func ParseAlgorithm(name string) (Algorithm, error) { return WRR, nil }

func (a Algorithm) String() string { return "" }

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
	MaxGrace  time.Duration // what the doubling ends at; 0: 16 × Grace
}

// Book remembers what is known of addresses, for all Groups made with it. What
// no Group and no request refers to any more is forgotten.
type Book struct{}

// NewBook returns an empty Book by the clock now.
func NewBook(now func() time.Time) *Book { return &Book{} }

// Group returns a Group of the addresses, which must not be none. The order of
// the addresses counts for turns and for IPHash.
func (b *Book) Group(specs []Spec, o Options) *Group { return &Group{} }

// Group chooses among its addresses. All methods may be called by any goroutine.
type Group struct{}

// Node is one address of a Group.
type Node struct {
	Spec
	Index int // in the list given to Book.Group
}

// Nodes returns all addresses in their order; the caller must not change them.
func (g *Group) Nodes() []Node { return nil }

// Tried notes which addresses a request has been to, so that it is not sent
// twice to the same. The zero value is none. It allocates nothing for groups of
// up to 64 addresses.
type Tried struct {
	few  uint64
	many []uint64
}

// Add notes the address.
func (t *Tried) Add(n *Node) {}

// Has tells whether the address has been noted.
func (t *Tried) Has(n *Node) bool { return false }

// Choice is what Pick chose. Done must follow, exactly once.
type Choice struct {
	*Node
	probe bool
}

// Pick chooses an address that is not in tried and counts a request in there. ok
// is false when all have been tried. client is what IPHash needs; others do not
// look at it, and a client without one (on a unix socket) gets WRR.
//
// A working address of the lowest Backup level comes first; a failed one whose
// grace is over takes one request at a time among them; when neither is left, the
// one that failed longest ago is chosen.
func (g *Group) Pick(client netip.Addr, tried *Tried) (c Choice, ok bool) { return Choice{}, false }

// Result is what a request learned about an address.
type Result uint8

const (
	// Unknown: nothing, because the client went away, or because the address was
	// busy: a unix socket whose queue is full works.
	Unknown Result = iota
	// Works: it answered.
	Works
	// Fails: it can't be reached.
	Fails
)

// Change is what a Result changed; it is what is worth a line in the log.
type Change struct {
	Failed    bool          // the address is passed over from now on
	Recovered bool          // it is not any more
	Grace     time.Duration // for how long, when Failed
}

// Done counts the request out and notes what it learned.
func (c Choice) Done(r Result) Change { return Change{} }

// Status is what a Group knows of one address, for statistics.
type Status struct {
	Node     *Node
	InFlight int
	Failures int       // in a row
	Until    time.Time // passed over until then; zero: it works
}

// Status returns what is known of every address.
func (g *Group) Status() []Status { return nil }
