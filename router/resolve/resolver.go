package resolve

import (
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// ErrNotFound: there is no such name, or it has no address.
var ErrNotFound = errors.New("no such host")

var (
	errEnded = errors.New("names are not resolved any more")
	errMany  = errors.New("too many names are being resolved")
)

// How long answers are believed, whatever the servers say. A name that is missing
// is often about to appear: a container that starts.
const (
	minTTL         = time.Second
	maxTTL         = 5 * time.Minute
	maxNegativeTTL = 10 * time.Second
	firstRetry     = time.Second // after a failure, doubled up to
	maxRetry       = 30 * time.Second
)

const (
	unusedTime = 10 * time.Minute // after it a name that no request used is forgotten
	onceTime   = time.Minute      // after it one that was used only once is not asked for any more
	badTime    = 10 * time.Second // an address that could not be reached is named last for so long
	atATime    = 32               // names asked for at the same time
	maxAsking  = 1000             // names asked for, or waiting for that
	maxNames   = 10000            // names known: rules may make them of what visitors send
)

// Resolver answers from what it knows and asks in the background. All methods
// may be called by any goroutine. Run has to run.
type Resolver struct {
	log     *slog.Logger
	lookup  func(context.Context, *Config, string) found // asks the servers
	servers *serverNames                                 // nil in the one that resolves those
	wake    chan struct{}

	mu     sync.RWMutex
	config *Config           // guarded by mu
	names  map[string]*entry // guarded by mu; by name in lower case
	queue  []*entry          // guarded by mu; to be asked for
	asking int               // guarded by mu; names with a question under way
	next   time.Time         // guarded by mu; when something is due
	fresh  bool              // guarded by mu; the configuration has not been looked at by Run
	ended  bool              // guarded by mu
}

// entry is what is known of a name. Its fields are guarded by the Resolver's mu
// but for those that are read for each request.
type entry struct {
	name   string
	answer atomic.Pointer[answer] // nil: nothing known yet, or not lately
	turn   atomic.Uint32
	used   atomic.Bool // since it was last asked for

	fixed     bool          // the configuration says what it stands for
	asking    chan struct{} // closed when the question under way is answered; nil: none is
	asked     time.Time     // when the last question was answered
	due       time.Time     // when to ask again, or forget what is not there
	firstUsed time.Time
	lastUsed  time.Time     // as seen when it was due last
	retry     time.Duration // what to wait for after the next failure; 0: the last answer was one
	addresses []netip.Addr  // as answered
	bad       map[netip.Addr]time.Time
}

// answer is what requests get. Immutable.
type answer struct {
	orders [][]netip.Addr // the same addresses, in the order of each turn; nil when those would be too many
	good   []netip.Addr   // those that take turns
	rest   []netip.Addr   // those behind them
	err    error
	until  time.Time // of an err
}

// maxOrders is up to how many addresses each order is made once; it is as many times
// the memory of all addresses. Of more addresses it is made when it is asked for.
const maxOrders = 32

// order returns the addresses in the order of a turn.
func (a *answer) order(turn uint32) []netip.Addr {
	if len(a.orders) > 0 {
		return a.orders[turn%uint32(len(a.orders))]
	}
	i := 0
	if len(a.good) > 0 {
		i = int(turn % uint32(len(a.good)))
	}
	return slices.Concat(a.good[i:], a.good[:i], a.rest)
}

// New returns a Resolver that knows nothing yet.
func New(c Config, log *slog.Logger) *Resolver {
	servers := newServerNames(log)
	r := newResolver(&asker{names: servers}, log)
	r.servers = servers
	r.Configure(c)
	return r
}

func newResolver(a *asker, log *slog.Logger) *Resolver {
	return &Resolver{log: log, lookup: a.lookup, wake: make(chan struct{}, 1), config: &Config{}, names: map[string]*entry{}}
}

// Configure replaces the configuration. What servers have answered stays until
// its TTL ends; what they did not know or could not say is asked for anew.
func (r *Resolver) Configure(c Config) {
	if r.servers != nil {
		r.servers.configure(c)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.config, r.fresh = &c, true
	for name, e := range r.names {
		if e.fixed || c.fixed(name) != nil || len(e.addresses) == 0 && e.asking == nil {
			delete(r.names, name) // read anew when it is used
		}
	}
	r.nudge()
}

// Addresses returns what host stands for, best first, or why that is not known,
// at once. The caller must not change it; the next call may give another order,
// so that the addresses take turns. If nothing is known yet it returns only a
// channel that is closed when something is: ask again then.
func (r *Resolver) Addresses(host string) (addresses []netip.Addr, pending <-chan struct{}, err error) {
	e, a, pending, err := r.entry(host)
	if e == nil {
		return nil, pending, err
	}
	if a.err != nil {
		return nil, nil, a.err
	}
	if !e.used.Load() {
		e.used.Store(true)
	}
	return a.order(e.turn.Add(1)), nil, nil
}

// entry returns the one for host with its answer if that may be used; otherwise it has
// it asked for.
func (r *Resolver) entry(host string) (*entry, *answer, <-chan struct{}, error) {
	name := strings.ToLower(host)
	r.mu.RLock()
	e := r.names[name]
	r.mu.RUnlock()
	if a := e.usable(); a != nil {
		return e, a, nil, nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	e = r.names[name]
	if a := e.usable(); a != nil {
		return e, a, nil, nil
	}
	if e == nil {
		if e = r.add(name); e.fixed {
			return e, e.answer.Load(), nil, nil
		}
	}
	if err := r.ask(e); err != nil {
		return nil, nil, nil, err
	}
	return nil, nil, e.asking, nil
}

// usable returns the answer of e, unless it is an error that is over.
func (e *entry) usable() *answer {
	if e == nil {
		return nil
	}
	a := e.answer.Load()
	if a == nil || a.err != nil && !time.Now().Before(a.until) {
		return nil
	}
	return a
}

// add makes the entry for a name; r.mu is held.
func (r *Resolver) add(name string) *entry {
	if len(r.names) >= maxNames {
		r.makeRoom()
	}
	now := time.Now()
	e := &entry{name: name, firstUsed: now, lastUsed: now}
	r.names[name] = e
	if ip, err := netip.ParseAddr(name); err == nil {
		e.addresses = []netip.Addr{ip}
	} else {
		e.addresses = r.config.fixed(name)
	}
	if e.fixed = e.addresses != nil; e.fixed {
		e.publish()
	}
	return e
}

// makeRoom forgets a name, one that is not there if it comes upon one; r.mu is
// held.
func (r *Resolver) makeRoom() {
	var any *entry
	seen := 0
	for _, e := range r.names {
		if e.asking != nil {
			continue
		}
		any = e
		if seen++; len(e.addresses) == 0 || seen == 100 {
			break
		}
	}
	if any != nil {
		delete(r.names, any.name)
	}
}

// ask has Run ask for e, unless that is under way; r.mu is held.
func (r *Resolver) ask(e *entry) error {
	switch {
	case e.asking != nil:
		return nil
	case r.ended:
		return errEnded
	case r.asking >= maxAsking:
		return errMany
	}
	e.asking = make(chan struct{})
	r.asking++
	r.queue = append(r.queue, e)
	r.nudge()
	return nil
}

// Lookup is Addresses, but waits.
func (r *Resolver) Lookup(ctx context.Context, host string) ([]netip.Addr, error) {
	for {
		addresses, pending, err := r.Addresses(host)
		if pending == nil {
			return addresses, err
		}
		select {
		case <-pending:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// Poke says that a connection to the address of host could not be made: for a
// while it is named last, and the servers are asked again now. It returns a
// channel that is closed when they have answered, or nil when they did so within
// the last second.
func (r *Resolver) Poke(host string, failed netip.Addr) (asked <-chan struct{}) {
	r.mu.Lock()
	defer r.mu.Unlock()
	e := r.names[strings.ToLower(host)]
	if e == nil || len(e.addresses) == 0 {
		return nil
	}
	if e.bad == nil {
		e.bad = map[netip.Addr]time.Time{}
	}
	now := time.Now()
	e.bad[failed] = now.Add(badTime)
	if e.answer.Load() != nil {
		e.publish()
	}
	r.plan(now.Add(badTime))
	if e.asking == nil {
		if e.fixed || now.Sub(e.asked) < minTTL {
			return nil
		}
		if r.ask(e) != nil {
			return nil
		}
	}
	return e.asking
}

// nudge has Run look around.
func (r *Resolver) nudge() {
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// publish makes what is known the answer: the IPv4 addresses take turns, then
// come those of the other kind, then those that could not be reached.
// Addresses of a kind that this machine has no route to would otherwise be tried
// by every second request.
func (e *entry) publish() {
	var good, other, bad []netip.Addr
	for _, a := range e.addresses {
		switch {
		case !e.bad[a].IsZero():
			bad = append(bad, a)
		case a.Is4() == e.addresses[0].Is4():
			good = append(good, a)
		default:
			other = append(other, a)
		}
	}
	if len(good) == 0 {
		good, other = other, nil
	}
	a := &answer{good: good, rest: append(other, bad...)}
	if n := max(len(good), 1); n <= maxOrders {
		orders := make([][]netip.Addr, n)
		for i := range orders {
			orders[i] = a.order(uint32(i))
		}
		a.orders = orders
	}
	e.answer.Store(a)
}
