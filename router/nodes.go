package router

import (
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"sync/atomic"

	"emperor/internal/config"
	"emperor/internal/link"
	"emperor/router/balance"
	"emperor/router/limit"
	"emperor/router/rule"
	"emperor/router/upstream"
)

var nodeOptions = []config.Option{
	{Name: "http-to", Type: config.String, Repeat: true, Where: config.Main,
		Help: "\"ADDRESS [weight=N] [backup]\": send requests that no rule decides to this uwsgi address; several share them (http-balance)."},
	{Name: "http-fallback", Type: config.String, Repeat: true, Where: config.Main,
		Help: "Send requests to this uwsgi address when no http-to address can be reached."},
	{Name: "http-balance", Type: config.String, Default: "wrr", Where: config.Main,
		Help: "How addresses of one group share requests: wrr (in turns, by weight), lrc (fewest requests under way), wlrc (the same, by weight), iphash (by the visitor's address)."},
	{Name: "resolver", Type: config.String, Repeat: true, Where: config.Main,
		Help: "DNS servers (ADDRESS[:PORT] …) for host names in addresses; the default are those of /etc/resolv.conf. One that is named (kube-dns.kube-system.svc.cluster.local) is looked up there and in /etc/hosts."},
	{Name: "http-gracetime", Type: config.Seconds, Default: "30", Where: config.Main,
		Help: "How long an address that could not be reached is passed over; doubled with each further failure."},
}

// nodes are several addresses any of which may answer: http-to with
// http-fallback, or a rule's a|b|c. One that can't be reached is passed over for a
// while; when nothing else is left it is tried all the same.
type nodes struct {
	group   *balance.Group
	targets []target // by balance.Node's Index
}

// balancing is what groups of addresses have in common.
type balancing struct {
	options balance.Options
	// groups are those of rules that name the same addresses for every request.
	groups map[*rule.Rule]*nodes
}

func (b *balancing) compile(c *config.Config, mistake func(config.Value, error)) {
	algorithm, err := balance.ParseAlgorithm(c.Text("http-balance"))
	if err != nil {
		v, _ := c.Last("http-balance")
		mistake(v, err)
	}
	b.options = balance.Options{Algorithm: algorithm, Grace: c.Seconds("http-gracetime")}
}

// prepare makes the groups of rules with several fixed addresses.
func (b *balancing) prepare(book *balance.Book, rules []*rule.Rule) {
	b.groups = map[*rule.Rule]*nodes{}
	for _, r := range rules {
		kind, address, literal := r.Target()
		p, ok := protocolOf(kind)
		if !ok || !literal || !strings.Contains(address, "|") {
			continue
		}
		b.groups[r] = b.split(book, []byte(address), p)
	}
}

// split makes a group of "a|b|c".
func (b *balancing) split(book *balance.Book, addresses []byte, p protocol) *nodes {
	n := &nodes{}
	var specs []balance.Spec
	for len(addresses) > 0 {
		var one []byte
		one, addresses = rule.NextNode(addresses)
		n.add(string(one), p)
		specs = append(specs, balance.Spec{Address: p.String() + ":" + string(one)})
	}
	n.group = book.Group(specs, b.options)
	return n
}

func (n *nodes) add(text string, p protocol) {
	to := target{text: text, protocol: p}
	to.invalid = to.address.Parse([]byte(text))
	n.targets = append(n.targets, to)
}

// defaults are http-to and http-fallback.
type defaults struct {
	specs   []balance.Spec
	targets []target
	nodes   *nodes         // of more than one address; made in the router
	only    []byte         // the one address
	hits    *atomic.Uint64 // requests that went there; outlives reloads that do not change it

	protocol protocol // uwsgi, or HTTP by http-backend-http
}

func (d *defaults) compile(c *config.Config, mistake func(config.Value, error)) {
	if c.Bool("http-backend-http") {
		d.protocol = protocolHTTP
	}
	fallbacks := 0
	for _, v := range c.All("http-to", "http-fallback") {
		words := strings.Fields(v.Value)
		if len(words) == 0 {
			mistake(v, errors.New("want an address"))
			continue
		}
		spec := balance.Spec{Address: d.protocol.String() + ":" + words[0], Weight: 1}
		if v.Key == "http-fallback" {
			fallbacks++
			spec.Backup = fallbacks
		}
		var err error
		for _, word := range words[1:] {
			key, value, _ := strings.Cut(word, "=")
			switch {
			case word == "backup":
				spec.Backup = 1
			case key == "weight":
				if spec.Weight, err = strconv.Atoi(value); err != nil || spec.Weight < 1 || spec.Weight > 1000 {
					mistake(v, fmt.Errorf("want weight=1 to 1000, got %q", word))
				}
			default:
				mistake(v, fmt.Errorf("want ADDRESS [weight=N] [backup], got %q", word))
			}
		}
		to := target{text: words[0], protocol: d.protocol}
		if err := to.address.Parse([]byte(words[0])); err != nil {
			mistake(v, err)
			continue
		}
		d.specs, d.targets, d.only = append(d.specs, spec), append(d.targets, to), []byte(to.text)
	}
}

// prepare makes what is needed for requests; before is what was in force until now.
func (d *defaults) prepare(book *balance.Book, options balance.Options, before *defaults) {
	switch {
	case len(d.targets) > 1:
		d.nodes = &nodes{group: book.Group(d.specs, options), targets: d.targets}
	case before.hits != nil && string(before.only) == string(d.only):
		d.hits = before.hits
	default:
		d.hits = &atomic.Uint64{}
	}
}

// figures are what http-stats shows of them, with uWSGI's keys and some of ours.
func (d *defaults) figures() []any {
	all := []any{}
	switch {
	case d.nodes != nil:
		for _, s := range d.nodes.group.Status() {
			failed := int64(0)
			if !s.Since.IsZero() {
				failed = s.Since.Unix()
			}
			all = append(all, map[string]any{"name": d.targets[s.Node.Index].text, "hits": s.Hits, "grace": failed, "in_flight": s.InFlight, "failures": s.Failures, "weight": s.Node.Weight})
		}
	case d.hits != nil && len(d.targets) == 1:
		all = append(all, map[string]any{"name": string(d.only), "hits": d.hits.Load(), "grace": 0})
	}
	return all
}

// pickNode chooses an address of d's group that was not tried yet. Where a vassal
// of ours is at it, it waits for that as it would without a group, but not as long
// as there are others: a vassal that starts or is out of order is left for last.
// Both nil: all were tried.
func (x *exchange) pickNode(d *destination) (*target, error) {
	var last *target
	var refusal error
	for {
		choice, ok := d.nodes.group.Pick(x.visitorIf(d.nodes.group.Algorithm() == balance.IPHash), &d.tried)
		if !ok {
			break
		}
		d.tried.Add(choice.Node)
		x.node, x.hasNode = choice, true
		to := &d.nodes.targets[choice.Index]
		if d.key != "" {
			x.speakAs(d, to)
		}
		if d.site = x.router.table.named(to.text); d.site == nil {
			return to, nil
		}
		if state := d.site.current.Load().state; state != link.Ready && state != link.Asleep {
			last = to
			x.learned(balance.Unknown, nil)
			continue
		}
		at, err := x.enter(d.site, []byte(to.text))
		if err == nil {
			return at, nil
		}
		x.letGo() // also of the choice: a vassal that is busy has not failed
		if errors.Is(err, errClientGone) || errors.Is(err, limit.ErrGone) || errors.Is(err, limit.ErrStopped) {
			return nil, err
		}
		refusal = err
	}
	switch {
	case last != nil:
		d.site = x.router.table.named(last.text)
		if d.site == nil {
			return last, nil
		}
		return x.enter(d.site, []byte(last.text))
	case refusal != nil:
		return nil, refusal
	}
	return nil, nil
}

// speakAs sets the modifiers that a node has announced; http-modifier1 and rules
// come first.
func (x *exchange) speakAs(d *destination, to *target) {
	d.modifier1, d.modifier2 = x.settings.modifier1, x.settings.modifier2
	x.modifiers(d, &x.decision)
	if d.modifier1 == 0 {
		d.modifier1 = to.modifier1
	}
	if d.modifier2 == 0 {
		d.modifier2 = to.modifier2
	}
}

// learned notes what a request found out about the address it went to.
func (x *exchange) learned(result balance.Result, err error) {
	if !x.hasNode {
		return
	}
	x.hasNode = false
	x.noteChange(x.node.Done(result), err)
	x.node = balance.Choice{}
}

// noteChange says what became of the address that the request went to.
func (x *exchange) noteChange(change balance.Change, err error) {
	x.router.noteChange(x.node.Address, change, err)
}

// noteChange says what became of an address.
func (r *Router) noteChange(address string, change balance.Change, err error) {
	switch {
	case change.Failed:
		r.log.Warn("an address is passed over for a while", slog.String("address", address), slog.Any("err", err), slog.Duration("time", change.Grace))
	case change.Recovered:
		r.log.Info("an address works again", slog.String("address", address))
	}
}

// resultOf is what an attempt's outcome says about the address.
func resultOf(o *outcome) balance.Result {
	switch {
	case o.err == nil || o.answered:
		return balance.Works
	case errors.Is(o.err, upstream.ErrBusy), notBegun(o.err):
		return balance.Unknown // a full queue is a busy vassal
	case o.unreachable:
		return balance.Fails
	}
	return balance.Unknown
}
