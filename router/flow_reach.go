package router

import (
	"cmp"
	"errors"
	"net/netip"
	"strings"
	"time"

	"emperor/router/balance"
	"emperor/router/check"
	"emperor/router/stream"
	"emperor/router/upstream"
)

// flowNodes are the addresses of a rule.
type flowNodes struct {
	group     *balance.Group
	nodes     []stream.Node
	addresses []upstream.Address // of those that are no vassal's
}

// reach connects to one of the decision's addresses and sends what goes ahead of the
// client's bytes.
func (f *flow) reach() error {
	var failures []string
	for f.pick() {
		choice := f.holding.node
		node := &f.nodes.nodes[choice.Index]
		err := f.dial(node, &f.nodes.addresses[choice.Index])
		if err == nil {
			f.noted(choice.Connected(), nil)
			return nil
		}
		failures = append(failures, node.Address+": "+err.Error())
		result := balance.Fails
		if f.c.aborted() || errors.Is(err, upstream.ErrBusy) || errors.Is(err, upstream.ErrOutside) || f.vassal != "" {
			result = balance.Unknown
		}
		f.holding.hasNode = false
		f.noted(choice.Done(result), err)
		f.letGo()
		if f.c.aborted() {
			break
		}
	}
	return errors.New(strings.Join(failures, "; "))
}

// pick chooses an address that has not been tried, unless one has been chosen.
func (f *flow) pick() bool {
	if f.holding.hasNode {
		return true
	}
	choice, ok := f.nodes.group.Pick(f.c.peer.remote, &f.tried)
	if ok {
		f.tried.Add(choice.Node)
		f.holding.node, f.holding.hasNode = choice, true
	}
	return ok
}

// dial connects to one address; one that is a vassal's is waited for as a request
// waits for it.
func (f *flow) dial(node *stream.Node, address *upstream.Address) error {
	f.address, f.vassal = node.Address, ""
	table := f.c.router.table
	site := table.named(node.Address)
	if name, ok := strings.CutPrefix(node.Address, "vassal:"); ok {
		if site = table.vassal([]byte(name)); site == nil {
			return errors.New("there is no such vassal")
		}
	}
	if site == nil {
		return f.dialAt(address, node.Networks)
	}
	f.vassal = site.name
	// A vassal in the table that can't be reached means that the emperor is about to
	// tell us something: it restarts, or has moved.
	for until := time.Now().Add(time.Second); ; {
		to, err := f.enter(site)
		if err != nil {
			return err
		}
		f.address = to.text
		if err = f.dialAt(&to.address, nil); err == nil || f.c.aborted() || time.Now().After(until) {
			return err
		}
		g := f.holding.pinned
		f.leaveVassal()
		site.awaitChange(g)
	}
}

// dialAt connects to an address, and sends what goes ahead.
func (f *flow) dialAt(address *upstream.Address, networks []netip.Prefix) error {
	f.conn.Deadline.Set(cmp.Or(f.decision.Connect, f.settings.streams.connect))
	f.c.sends(f.conn)
	err := f.conn.DialWith(address, networks, f.opening())
	f.c.sends(f.conn) // Dial forgets an abort that came before it
	if err != nil {
		return err
	}
	if f.holding.inside {
		f.holding.inside = false
		f.holding.site.gate.leave()
	}
	return nil
}

// enter waits until a vassal may be connected to, as the request of an exchange would,
// and takes over what that holds.
func (f *flow) enter(s *site) (*target, error) {
	x := f.c.router.exchanges.borrow()
	x.settings, x.down, x.peer = f.settings, f.c, &f.c.peer
	to, err := x.enter(s, []byte(f.address))
	f.holding.site, f.holding.pinned, f.holding.inside, f.holding.turn = x.site, x.pinned, x.inside, x.turn
	if err == nil && to.text != f.address {
		to = f.holding.pinned.forStreams()
	}
	x.holding = holding{}
	x.entry.Held = 0
	f.c.router.exchanges.giveBack(x)
	if err == nil && to.protocol == protocolStatic {
		return nil, errors.New("the vassal has files and no socket")
	}
	return to, err
}

func (f *flow) leaveVassal() {
	h := &f.holding
	if h.inside {
		h.site.gate.leave()
	}
	if h.pinned != nil {
		if f.result.FromUpstream > 0 {
			f.c.router.table.served(h.site, h.pinned)
		}
		h.site.end(h.pinned)
	}
	if h.turn != nil {
		h.turn.Release()
	}
	h.site, h.pinned, h.inside, h.turn = nil, nil, false, nil
}

// noted says what became of an address, unless a client has named it, who may name
// thousands: the line about its stream says enough.
func (f *flow) noted(change balance.Change, err error) {
	if f.decision.Fixed {
		f.c.router.noteChange(f.address, change, err)
	}
}

// unreached is the alert for a client whose stream leads to nobody. An address that it
// has named itself may not even exist; its name was right for any other.
func (f *flow) unreached() byte {
	if f.decision.Fixed {
		return internalError
	}
	return unrecognizedName
}

// flowNodesOf returns the addresses of a decision, in a group that remembers what is
// known of them.
func (r *Router) flowNodesOf(s *Settings, d *stream.Decision) *flowNodes {
	if d.Fixed && d.Rule != nil {
		if n, ok := s.streamNodes.Load(d.Rule); ok {
			return n.(*flowNodes)
		}
	}
	n := &flowNodes{nodes: d.Nodes, addresses: make([]upstream.Address, len(d.Nodes))}
	specs := make([]balance.Spec, len(d.Nodes))
	for i, node := range d.Nodes {
		specs[i] = balance.Spec{Address: streamNode(node.Address), Weight: max(node.Weight, 1)}
		if node.Backup {
			specs[i].Backup = 1
		}
		if !strings.HasPrefix(node.Address, "vassal:") {
			_ = n.addresses[i].Parse([]byte(node.Address)) // the rule has checked it
		}
	}
	n.group = r.book.Group(specs, s.balancing.options)
	if d.Fixed && d.Rule != nil {
		kept, _ := s.streamNodes.LoadOrStore(d.Rule, n)
		return kept.(*flowNodes)
	}
	return n
}

// checked says which addresses are to be looked at beside the streams, and how often.
func (s *streams) checked() (nodes []check.Node, p check.Plan) {
	for _, r := range s.table.Rules() {
		fixed, _ := r.Fixed()
		for _, n := range fixed {
			nodes = append(nodes, check.Node{Key: streamNode(n.Address), Address: n.Address, Networks: n.Networks})
		}
	}
	return nodes, check.Plan{Every: s.check, Timeout: s.connect}
}

// streamNode is the name of a stream's address in the Book: whether it answers HTTP
// is another matter.
func streamNode(address string) string { return "stream:" + address }
