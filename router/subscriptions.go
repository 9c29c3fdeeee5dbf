package router

import (
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"emperor/internal/config"
	"emperor/internal/link"
	"emperor/router/balance"
	"emperor/router/subscription"
	"emperor/router/upstream"
)

const optionSubscriptions = "http-subscription-server"

var subscriptionOptions = []config.Option{
	{Name: optionSubscriptions, Type: config.Address, Repeat: true, Where: config.Main,
		Help: "Take announcements of nodes (uWSGI's subscribe-to) at ADDRESS, \"127.0.0.1:7000\" or a unix path; requests that no rule decides go to the nodes of their host. http-to and http-use-base have no effect then."},
	{Name: "http-subscription-fallback-key", Type: config.String, Where: config.Main,
		Help: "Send requests for hosts that nobody has announced to the nodes of this key."},
	{Name: "http-cheap", Type: config.Bool, Default: "false", Where: config.Main,
		Help: "While no node at all has announced itself, let requests wait for one (http-hold-timeout, http-hold) instead of answering 404."},
	{Name: "http-resubscribe", Type: config.String, Repeat: true, Where: config.Main,
		Help: "Announce what is announced here to another subscription server, with the address of the first http listener; that server must be told to speak HTTP (uWSGI 2.1, or this program)."},
	{Name: "subscription-algo", Type: config.String, Default: "wrr", Where: config.Main,
		Help: "How nodes of one key share requests: wrr, lrc, wlrc or iphash, unless the first announcement of the key says."},
	{Name: "subscription-dotsplit", Type: config.Bool, Default: "false", Where: config.Main,
		Help: "Let the key .example.com serve all hosts below example.com that have no key of their own."},
	{Name: "subscription-tolerance", Type: config.Seconds, Min: 1, Default: "17", Where: config.Main,
		Help: "How long a node may be silent before it is gone; they announce themselves every 10 seconds (subscribe-freq)."},
	{Name: "subscriptions-sign-check", Type: config.String, Where: config.Main,
		Help: "\"DIGEST:FOLDER\": believe only announcements that are signed; the RSA public key of www.example.com is FOLDER/www.example.com.pem."},
	{Name: "subscriptions-sign-check-tolerance", Type: config.Seconds, Min: 1, Default: "86400", Where: config.Main,
		Help: "How far the clock of who signs an announcement may be off."},
	{Name: "subscriptions-use-credentials", Type: config.Bool, Default: "false", Where: config.Main,
		Help: "Accepted: who sends to a unix path is always known by user and group."},
	{Name: "subscriptions-credentials-check", Type: config.String, Repeat: true, Where: config.Main,
		Help: "FOLDER/: believe an announcement of www.example.com only from the user and group who own FOLDER/www.example.com. It has to come by a unix path."},
	{Name: "subscriptions-sign-skip-uid", Type: config.String, Repeat: true, Where: config.Main,
		Help: "Number of a user (0 is root) who need not sign what he sends to a unix path, in spite of subscriptions-sign-check."},
}

// subscriptions are the options of nodes that announce themselves.
type subscriptions struct {
	active    bool
	servers   []announcementServer
	cheap     bool // http-cheap
	options   subscription.Options
	forwardTo []string // http-resubscribe
	// as is the address that these are told, of which the host may be missing.
	as netip.AddrPort
}

func (s *subscriptions) compile(c *config.Config, supply *supply, mistake, warn func(config.Value, error)) {
	servers := c.All(optionSubscriptions)
	s.active, s.servers, s.cheap = len(servers) > 0, announcementServers(servers), c.Bool("http-cheap")
	s.options = subscription.Options{
		Tolerance: c.Seconds("subscription-tolerance"), DotSplit: c.Bool("subscription-dotsplit"), FallbackKey: c.Text("http-subscription-fallback-key"),
		Check: func(n *subscription.Node) error {
			var a upstream.Address
			return a.Parse([]byte(n.Address))
		},
	}
	var err error
	if s.options.Algorithm, err = balance.ParseAlgorithm(c.Text("subscription-algo")); err != nil {
		v, _ := c.Last("subscription-algo")
		mistake(v, err)
	}
	s.signatures(c, supply, mistake)
	s.owners(c, supply, mistake, warn)
	s.forward(c, mistake)
	for _, v := range c.All(optionSubscriptions, optionSSLSubscriptions, optionRawSubscriptions) {
		if at, err := netip.ParseAddrPort(v.Value); s.options.Signatures == nil && s.options.Owners == nil && !strings.ContainsAny(v.Value, "/@") && (err != nil || !at.Addr().IsLoopback()) && !strings.HasPrefix(v.Value, "localhost:") {
			warn(v, errors.New("whoever can send a datagram to it decides where requests go: want 127.0.0.1:PORT, a unix path, or subscriptions-sign-check"))
		}
	}
	if !s.active {
		return
	}
	for _, v := range c.All("http-to", "http-fallback", "http-use-base") {
		if _, pattern := c.Last("http-use-pattern"); !pattern {
			warn(v, fmt.Errorf("has no effect beside %s, as in uWSGI; for hosts that nobody announced there is http-subscription-fallback-key", optionSubscriptions))
		}
	}
}

// signatures reads the public keys.
func (s *subscriptions) signatures(c *config.Config, supply *supply, mistake func(config.Value, error)) {
	v, ok := c.Last("subscriptions-sign-check")
	if !ok {
		return
	}
	name, folder, _ := strings.Cut(v.Value, ":")
	digest, err := subscription.ParseDigest(name)
	if err == nil && folder == "" {
		err = fmt.Errorf("want DIGEST:FOLDER, such as SHA256:/etc/keys, got %q", v.Value)
	}
	if err != nil {
		mistake(v, err)
		return
	}
	signatures := &subscription.Signatures{Digest: digest, Tolerance: c.Seconds("subscriptions-sign-check-tolerance"), Keys: map[string]*rsa.PublicKey{}}
	s.options.Signatures = signatures
	known := !supply.checking || len(supply.wanted) < len(supply.given)
	content, _, err := supply.take(link.Folded, folder, v)
	if err != nil || !known {
		if err != nil {
			mistake(v, err)
		}
		return
	}
	var files map[string][]byte
	if err := json.Unmarshal(content, &files); err != nil {
		mistake(v, fmt.Errorf("%s: %w", folder, err))
		return
	}
	for file, text := range files {
		name, isKey := strings.CutSuffix(file, ".pem")
		if !isKey {
			continue
		}
		key, err := subscription.ParseKey(text)
		if err != nil {
			mistake(v, fmt.Errorf("%s: %w", filepath.Join(folder, file), err))
			continue
		}
		signatures.Keys[strings.ToLower(name)] = key
	}
}

// owners reads who may speak for which key, and who need not sign.
func (s *subscriptions) owners(c *config.Config, supply *supply, mistake, warn func(config.Value, error)) {
	for _, v := range c.All("subscriptions-sign-skip-uid") {
		uid, err := strconv.ParseUint(v.Value, 10, 32)
		if err != nil {
			mistake(v, fmt.Errorf("want a user's number, got %q", v.Value))
			continue
		}
		s.options.Unsigned = append(s.options.Unsigned, uint32(uid))
	}
	for _, v := range c.All("subscriptions-credentials-check") {
		if s.options.Owners == nil {
			s.options.Owners = subscription.Owners{}
		}
		// As in uWSGI the key is put behind the text, whatever that ends with.
		folder, prefix := filepath.Split(v.Value)
		if prefix != "" {
			warn(v, fmt.Errorf("does not end with a slash: as in uWSGI the file of www.example.com is %swww.example.com", v.Value))
		}
		if folder == "" {
			folder = "."
		}
		content, _, err := supply.take(link.Owners, folder, v)
		if err != nil {
			mistake(v, err)
			continue
		}
		files := map[string][2]uint32{}
		if len(content) > 0 {
			if err := json.Unmarshal(content, &files); err != nil {
				mistake(v, fmt.Errorf("%s: %w", folder, err))
			}
		}
		for name, owner := range files {
			if key, ok := strings.CutPrefix(name, prefix); ok {
				key = subscription.Canonical(key)
				s.options.Owners[key] = append(s.options.Owners[key], subscription.Owner{UID: owner[0], GID: owner[1]})
			}
		}
	}
	for _, v := range c.All(optionSubscriptions) {
		if s.options.Owners != nil && !strings.ContainsAny(v.Value, "/@") {
			warn(v, errors.New("nothing that comes here is believed: with subscriptions-credentials-check want a unix path"))
		}
	}
}

// Held: the socket of a vassal is the emperor's, it is there for whoever runs next.
func (r *Router) heldSocket(address string) bool {
	s := r.table.named(address)
	return s != nil && !s.current.Load().removed
}

// asleep: the vassal at the address runs again when a request comes for it.
func (r *Router) asleep(address string) bool {
	s := r.table.named(address)
	return s != nil && s.current.Load().state == link.Asleep
}

// prepareAnnounced makes a group of the nodes of one key.
func (r *Router) prepareAnnounced(v *subscription.View[*nodes]) *nodes {
	s := r.current()
	if s == nil || len(v.Nodes) == 0 {
		return nil // Configure follows
	}
	n := &nodes{}
	specs := make([]balance.Spec, 0, len(v.Nodes))
	for i := range v.Nodes {
		node := &v.Nodes[i]
		p := protocolUwsgi
		if node.HTTP {
			p = protocolHTTP
		}
		n.add(node.Address, p)
		n.targets[i].modifier1, n.targets[i].modifier2 = node.Modifier1, node.Modifier2
		specs = append(specs, balance.Spec{Address: p.String() + ":" + node.Address, Weight: node.Weight, Backup: node.Backup})
	}
	n.group = r.book.Group(specs, balance.Options{Algorithm: v.Algorithm, Grace: s.balancing.options.Grace})
	return n
}

// useSubscriptions puts options in force; s are the settings in force.
func (r *Router) useSubscriptions(s *Settings) {
	o := s.subscriptions.options
	o.Held, o.Asleep = r.heldSocket, r.asleep
	for _, t := range r.announcedTables {
		t.Configure(o)
	}
	r.resubscriber.use(&s.subscriptions, r.log)
}

// toAnnounced sends the request to the nodes that have announced themselves for its
// host; false when it was answered.
func (x *exchange) toAnnounced(d *destination) bool {
	v := x.router.announced.Lookup(x.request.Host.Name, x.hostPort)
	if s := x.announcer(v); s != nil {
		if v = x.awaitAnnouncer(s); v == nil {
			return false
		}
	}
	if v == nil && x.settings.subscriptions.cheap && x.router.announced.Deserted() {
		if v = x.awaitView(x.settings.hold.time, func(v *subscription.View[*nodes]) bool { return !v.Empty() }); v == nil {
			x.answerNoNode()
			return false
		}
	}
	if v == nil {
		x.answerNoRule()
		return false
	}
	if x.goesToHTTPS() {
		return true
	}
	if v.Empty() {
		if v = x.awaitNode(v, nil); v == nil {
			x.answerNoNode()
			return false
		}
	}
	d.key, d.nodes = v.Key, v.Prepared
	return true
}

// returning is how long after a node went a key's requests are kept for the next
// when nobody else answers: an instance that is reloaded withdraws and is back when its
// app is loaded, which takes a second, or some.
const returning = 10 * time.Second

// awaitNode waits until there are other nodes for the host than those, which do not
// answer, if one of them went a moment ago. v is what there is now; nil: none came.
func (x *exchange) awaitNode(v *subscription.View[*nodes], than *nodes) *subscription.View[*nodes] {
	limit := min(x.settings.hold.time, returning-x.router.announced.Ago(v))
	return x.awaitView(limit, func(v *subscription.View[*nodes]) bool { return !v.Empty() && v.Prepared != than })
}

// awaitView waits until what there is for the host is good; nil: it did not come to
// be in time.
func (x *exchange) awaitView(limit time.Duration, good func(*subscription.View[*nodes]) bool) *subscription.View[*nodes] {
	t := x.router.table
	defer t.held.Add(-1)
	if t.held.Add(1) > x.settings.hold.together {
		return nil
	}
	end := time.NewTimer(limit)
	defer end.Stop()
	look := time.NewTicker(20 * time.Millisecond)
	defer look.Stop()
	for {
		select {
		case <-look.C:
			if x.down.gone() {
				return nil
			}
			if v := x.router.announced.Lookup(x.request.Host.Name, x.hostPort); v != nil && good(v) {
				return v
			}
		case <-end.C:
			return nil
		case <-x.router.stopped:
			return nil
		}
	}
}

// announcedSince picks among the nodes that announce themselves while those that d had
// do not answer. Both nil: nobody does.
func (x *exchange) announcedSince(d *destination) (*target, error) {
	v := x.router.announced.Lookup(x.request.Host.Name, x.hostPort)
	if v == nil || time.Since(x.started) > 2*returning {
		return nil, nil
	}
	if v.Empty() || v.Prepared == d.nodes {
		if v = x.awaitNode(v, d.nodes); v == nil {
			return nil, nil
		}
	}
	d.key, d.nodes, d.tried = v.Key, v.Prepared, balance.Tried{}
	return x.pick(d)
}

// cheapNow is what uWSGI's stats call it: 1 while http-cheap makes requests wait.
func (r *Router) cheapNow() int {
	if s := r.current(); s != nil && s.subscriptions.active && s.subscriptions.cheap && r.announced.Deserted() {
		return 1
	}
	return 0
}
