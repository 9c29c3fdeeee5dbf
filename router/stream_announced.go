package router

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"emperor/internal/config"
	"emperor/router/balance"
	"emperor/router/stream"
	"emperor/router/subscription"
	"emperor/router/upstream"
)

// Subscription servers of streams: what uWSGI's sslrouter and rawrouter have.
const (
	optionSSLSubscriptions = optionSSLRouter + "-subscription-server"
	optionRawSubscriptions = optionRawRouter + "-subscription-server"
)

var streamSubscriptionOptions = []config.Option{
	{Name: optionSSLSubscriptions, Type: config.Address, Repeat: true, Where: config.Main,
		Help: "Take announcements of nodes (subscribe-to) for sslrouter at ADDRESS; connections that no route-sni rule decides go to the nodes of their key: the name that the client asks for (sslrouter-sni), else the listener's address. sslrouter-to has no effect then. Signatures and the like are those of http-subscription-server."},
	{Name: optionRawSubscriptions, Type: config.Address, Repeat: true, Where: config.Main,
		Help: "The same for rawrouter, whose key is the listener's address."},
}

// isSubscriptions tells whether a listener takes announcements.
func isSubscriptions(option string) bool {
	return option == optionSubscriptions || option == optionSSLSubscriptions || option == optionRawSubscriptions
}

// subscribedStreams are the kinds of routers whose nodes announce themselves.
func subscribedStreams(c *config.Config, warn func(config.Value, error)) map[string]bool {
	kinds := map[string]bool{}
	for _, kind := range []string{optionSSLRouter, optionRawRouter} {
		servers := c.All(kind + "-subscription-server")
		if len(servers) == 0 {
			continue
		}
		kinds[kind] = true
		for _, v := range c.All(kind+"-to", kind+"-fallback", kind+"-use-base", kind+"-use-pattern") {
			warn(v, fmt.Errorf("has no effect beside %s-subscription-server, as in uWSGI", kind))
		}
	}
	return kinds
}

// announcedTable is what the tables of all kinds of nodes have in common.
type announcedTable interface {
	Apply(p *subscription.Packet, from string) (subscription.Change, error)
	Configure(o subscription.Options)
	Expire() []subscription.Gone
	Watch()
	Rest()
	Records() ([]subscription.Record, uint64)
	Merge([]subscription.Record)
	Version() uint64
	Status() []subscription.SlotStatus
}

// announcedTables yields all tables, by the option of their servers.
func (r *Router) announcedTables(yield func(option string, t announcedTable) bool) {
	_ = yield(optionSubscriptions, r.announced) &&
		yield(optionSSLSubscriptions, r.announcedStreams[optionSSLRouter]) &&
		yield(optionRawSubscriptions, r.announcedStreams[optionRawRouter])
}

// announcedTable returns the one of a server.
func (r *Router) announcedTable(option string) announcedTable {
	for o, t := range r.announcedTables {
		if o == option {
			return t
		}
	}
	return r.announced
}

func (r *Router) newAnnouncedStreams(now func() time.Time) map[string]*subscription.Table[*flowNodes] {
	return map[string]*subscription.Table[*flowNodes]{
		optionSSLRouter: subscription.New(now, r.prepareAnnouncedStream),
		optionRawRouter: subscription.New(now, r.prepareAnnouncedStream),
	}
}

// prepareAnnouncedStream makes a group of the nodes of one key.
func (r *Router) prepareAnnouncedStream(v *subscription.View[*flowNodes]) *flowNodes {
	s := r.current()
	if s == nil || len(v.Nodes) == 0 {
		return nil // Configure follows
	}
	n := &flowNodes{nodes: make([]stream.Node, len(v.Nodes)), addresses: make([]upstream.Address, len(v.Nodes))}
	specs := make([]balance.Spec, len(v.Nodes))
	for i := range v.Nodes {
		node := &v.Nodes[i]
		n.nodes[i].Address = node.Address
		_ = n.addresses[i].Parse([]byte(node.Address)) // Check has done it
		specs[i] = balance.Spec{Address: streamNode(node.Address), Weight: node.Weight, Backup: node.Backup}
	}
	n.group = r.book.Group(specs, balance.Options{Algorithm: v.Algorithm, Grace: s.balancing.options.Grace})
	return n
}

var errNobodyAnnounced = errors.New("nobody has announced itself for it")

// announcedFor returns the nodes of a connection of an sslrouter or rawrouter whose nodes
// announce themselves. A node that went a moment ago may be back: it is waited for, as
// requests wait.
func (c *client) announcedFor(s *Settings, kind, name string) (*flowNodes, error) {
	key := c.peer.listener
	if kind == optionSSLRouter && s.streams.byName && name != "" {
		key = name
	}
	table := c.router.announcedStreams[kind]
	text := []byte(strings.ToLower(key))
	v := table.Lookup(text, text)
	if v == nil {
		return nil, errNobodyAnnounced
	}
	if !v.Empty() {
		return v.Prepared, nil
	}
	end := time.NewTimer(min(s.hold.time, returning-table.Ago(v)))
	defer end.Stop()
	look := time.NewTicker(20 * time.Millisecond)
	defer look.Stop()
	for {
		select {
		case <-look.C:
			if over, _ := c.hungUp(); over {
				return nil, errClientGone
			}
			if v := table.Lookup(text, text); v != nil && !v.Empty() {
				return v.Prepared, nil
			}
		case <-end.C:
			return nil, errNobodyAnnounced
		case <-c.router.stopped:
			return nil, errNotRunning
		}
	}
}
