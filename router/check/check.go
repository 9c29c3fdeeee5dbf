package check

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"emperor/router/balance"
	"emperor/router/upstream"
)

// atATime is how many nodes are connected to at the same time.
const atATime = 16

// firstWithin is when a new node is checked first, at the latest.
const firstWithin = time.Second

// Node is what is checked.
type Node struct {
	Key      string         // its address in the Book; of nodes with one Key one is checked
	Address  string         // as upstream.Address reads it
	Networks []netip.Prefix // as in upstream's DialWithin
}

// Plan is how often nodes are checked.
type Plan struct {
	Every   time.Duration // 0: not at all
	Timeout time.Duration // of one connection
}

// grace is how long a node that fails is passed over without another check: two may
// be late before a client has to try.
func (p Plan) grace() time.Duration { return 2*p.Every + p.Timeout }

// Checker checks nodes. Run has to run.
type Checker struct {
	book *balance.Book
	skip func(address string) bool
	log  *slog.Logger
	dial func(context.Context, *upstream.Address, []netip.Prefix, time.Duration) error

	slots  chan struct{}
	nodes  atomic.Int64
	wanted chan map[string]work // the last of Set, until Run takes it
}

// work is one node with all that matters, by text for comparing.
type work struct {
	text    string
	node    Node
	address upstream.Address
	plan    Plan
}

// New returns a Checker that connects with d and notes what it finds in book. skip says
// of an address, each time, that it is nobody's to check: a connection to a vassal that
// sleeps would wake it.
func New(book *balance.Book, d *upstream.Dialer, skip func(address string) bool, log *slog.Logger) *Checker {
	return &Checker{
		book: book, skip: skip, log: log, dial: connector(d),
		slots: make(chan struct{}, atATime), wanted: make(chan map[string]work, 1),
	}
}

// Set replaces what is checked. A node that was checked before, in the same way, keeps
// its rhythm. "vassal:" nodes are passed over, for the emperor knows of those, and so
// are addresses that can't be read, which nobody can be sent to.
func (c *Checker) Set(nodes []Node, p Plan) {
	all := map[string]work{}
	for _, n := range nodes {
		w := work{node: n, plan: p, text: fmt.Sprint(n.Address, n.Networks, p)}
		if _, known := all[n.Key]; known || p.Every <= 0 || strings.HasPrefix(n.Address, "vassal:") || w.address.Parse([]byte(n.Address)) != nil {
			continue
		}
		all[n.Key] = w
	}
	for {
		select {
		case c.wanted <- all:
			return
		case <-c.wanted: // nobody has taken the one before
		}
	}
}

// Nodes is how many are being checked at this moment.
func (c *Checker) Nodes() int { return int(c.nodes.Load()) }

// Run checks until ctx ends.
func (c *Checker) Run(ctx context.Context) {
	type checked struct {
		text string
		stop context.CancelFunc
	}
	var working sync.WaitGroup
	defer working.Wait()
	running := map[string]checked{}
	for {
		var all map[string]work
		select {
		case all = <-c.wanted:
		case <-ctx.Done():
			return
		}
		for key, r := range running {
			if all[key].text != r.text {
				r.stop()
				delete(running, key)
			}
		}
		for key, w := range all {
			if _, ok := running[key]; ok {
				continue
			}
			one, stop := context.WithCancel(ctx)
			running[key] = checked{w.text, stop}
			working.Go(func() { c.watch(one, &w) })
		}
	}
}

// watch checks one node until ctx ends.
func (c *Checker) watch(ctx context.Context, w *work) {
	c.nodes.Add(1)
	defer c.nodes.Add(-1)
	entry := c.book.Entry(w.node.Key)
	timer := time.NewTimer(rand.N(min(w.plan.Every, firstWithin)))
	defer timer.Stop()
	for {
		select {
		case <-timer.C:
		case <-ctx.Done():
			return
		}
		if !c.skip(w.node.Address) {
			c.check(ctx, entry, w)
		}
		// From nine tenths to eleven: nodes that began together drift apart.
		timer.Reset(w.plan.Every*9/10 + rand.N(w.plan.Every/5+1))
	}
}

// check finds out about one node, when it is its turn.
func (c *Checker) check(ctx context.Context, entry *balance.Entry, w *work) {
	select {
	case c.slots <- struct{}{}:
	case <-ctx.Done():
		return
	}
	look := entry.Look()
	err := c.dial(ctx, &w.address, w.node.Networks, w.plan.Timeout)
	<-c.slots
	if ctx.Err() == nil { // else what was found may be about that
		c.note(&w.node, look.Done(resultOf(err), w.plan.grace()), err)
	}
}

// note says what has changed; a check that changes nothing is no news.
func (c *Checker) note(n *Node, change balance.Change, err error) {
	switch {
	case change.Failed:
		c.log.Warn("a node fails its check and is passed over", slog.String("address", n.Address), slog.Any("err", err))
	case change.Recovered:
		c.log.Info("a node passes its check again", slog.String("address", n.Address))
	}
}

// resultOf is what an attempt to connect says about the node.
func resultOf(err error) balance.Result {
	switch {
	case err == nil:
		return balance.Works
	case errors.Is(err, upstream.ErrBusy), // a full queue is a busy node
		errors.Is(err, upstream.ErrAborted),
		errors.Is(err, upstream.ErrOutside),                            // for this rule; others may go there
		errors.Is(err, syscall.EMFILE), errors.Is(err, syscall.ENFILE): // ours, not the node's
		return balance.Unknown
	}
	return balance.Fails
}

// connector returns what connects and hangs up.
func connector(d *upstream.Dialer) func(context.Context, *upstream.Address, []netip.Prefix, time.Duration) error {
	return func(ctx context.Context, a *upstream.Address, networks []netip.Prefix, timeout time.Duration) error {
		conn := d.NewConn()
		defer conn.Release()
		conn.Deadline.Set(timeout)
		// Expire as well: Dial takes back an Abort that comes just before it.
		stop := context.AfterFunc(ctx, func() {
			conn.Deadline.Expire()
			conn.Abort()
		})
		defer stop()
		return conn.DialWithin(a, networks)
	}
}
