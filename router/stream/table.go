package stream

import (
	"net/netip"
	"strconv"
	"strings"
	"time"

	"emperor/router/rule"
)

// Source is one line as it was read: a key of [Keys], the text after the equals
// sign, and where it stands.
type Source struct {
	Key, Value string
	File       string
	Line       int
}

// Problem is a mistake in one line, or a remark about it.
type Problem struct {
	File    string
	Line    int
	Key     string // "route-sni"
	Text    string // what is wrong and what was expected
	Warning bool   // the line is valid, but probably not what was meant
}

// Error returns "file:line: key: text".
func (p *Problem) Error() string { return position(p.File, p.Line) + ": " + p.Key + ": " + p.Text }

func position(file string, line int) string { return rule.Pos{File: file, Line: line}.String() }

// Client is what is known of a client when its ClientHello has been read.
type Client struct {
	// Name is the server name it asks for: lower case, no trailing dot; "" for none,
	// and for bytes that are no TLS at all.
	Name      string
	Protocols [][]byte // those it offers (ALPN)
	Remote    netip.Addr
}

// Action is what a rule does with a connection.
type Action uint8

const (
	Pass   Action = iota + 1 // its bytes go to a node untouched
	TCP                      // TLS ends here, what was in it goes to a node
	HTTP                     // it goes on to the HTTP rules
	Reject                   // it is closed with an alert
)

// String returns the action as a line spells it.
func (a Action) String() string {
	switch a {
	case Pass:
		return "pass"
	case TCP:
		return "tcp"
	case HTTP:
		return "http"
	case Reject:
		return "reject"
	}
	return "none"
}

// Decision is what becomes of one connection.
type Decision struct {
	Rule    *Rule
	Action  Action
	Nodes   []Node        // any of them; shared, not to be changed
	Proxy   int           // version of the PROXY header that nodes get, 0 for none
	Connect time.Duration // for connecting to a node, 0: as the options say
	Idle    time.Duration // how long both sides may be silent, 0: likewise
	Fixed   bool          // Nodes are the same for every client

	// Refused says why the rule, though it matches, may not be followed for this
	// client. There are no Nodes then.
	Refused string
}

// String says in words what was decided.
func (d *Decision) String() string {
	switch {
	case d.Refused != "":
		return "refused: " + d.Refused
	case d.Action == HTTP:
		return "on to the HTTP rules"
	case d.Action == Reject:
		return "rejected"
	}
	var text strings.Builder
	if d.Action == TCP {
		text.WriteString("TLS ends here, the plain bytes go to ")
	} else {
		text.WriteString("the bytes go untouched to ")
	}
	for i := range d.Nodes {
		if i > 0 {
			text.WriteString(" or ")
		}
		text.WriteString(d.Nodes[i].String())
	}
	if d.Proxy != 0 {
		text.WriteString(", after a PROXY header v" + strconv.Itoa(d.Proxy))
	}
	return text.String()
}

// Node is one address that a stream may go to.
type Node struct {
	// Address is "10.0.0.1:443", "[::1]:443", "db.svc.cluster.local:443", the path
	// of a unix socket ("/run/x.sock", "@abstract", "./x.sock") or "vassal:NAME".
	Address string
	Weight  int  // 1 or more
	Backup  bool // only when no other can be reached
	// Networks, when there are any, hold each address that may be connected to
	// under the name in Address.
	Networks []netip.Prefix
}

// String returns the address and what it has beside.
func (n *Node) String() string {
	text := n.Address
	if n.Weight > 1 {
		text += " (weight " + strconv.Itoa(n.Weight) + ")"
	}
	if n.Backup {
		text += " (backup)"
	}
	for i, network := range n.Networks {
		if i == 0 {
			text += " if it is in "
		} else {
			text += ", "
		}
		text += network.String()
	}
	return text
}

// Table is a compiled list of rules. It never changes: any number of goroutines
// may use one at the same time. A nil Table decides nothing.
type Table struct {
	rules []*Rule // in the order of their first lines

	first    []*Rule // route-alpn and route-remote-addr
	exact    map[string][]*Rule
	suffixes map[string][]*Rule // of wildcards, by ".example.com"
	patterns []*Rule
	index    *rule.HostPatterns // of patterns
	others   []*Rule            // route-sni = default
	nameless []*Rule            // stream-default

	allow     allowList
	listeners map[string]*mapping // of uWSGI's routers, by kind
}

// Rule is one rule: a line, or several of the same name that add up.
type Rule struct {
	source  *Source
	name    string // as it is looked up; of route-sni
	pattern *rule.HostPattern
	when    conditions
	action  Action

	nodes       []node
	fixed       []Node // the same, when there are no captures in them
	proxy       int
	connect     time.Duration
	idle        time.Duration
	isFixed     bool
	self, below bool // of wildcards: takes the domain itself, and the names in it
}

// Pos returns where the rule was written; of several lines, the first.
func (r *Rule) Pos() (file string, line int) { return r.source.File, r.source.Line }

// Place returns the same as "file:line".
func (r *Rule) Place() string { return position(r.source.File, r.source.Line) }

// String returns the line as it was written; of several, the first.
func (r *Rule) String() string { return r.source.Key + " = " + r.source.Value }

// Key returns the directive: "route-sni", "stream-default", …
func (r *Rule) Key() string { return r.source.Key }

// isListeners tells that the rule is not asked by name, but by a listener.
func (r *Rule) isListeners() bool {
	return strings.HasPrefix(r.source.Key, sslRouter) || strings.HasPrefix(r.source.Key, rawRouter)
}

// Name returns what the rule is for, of route-sni: "www.example.com",
// "*.example.com", ".example.com", "default" or the regular expression.
func (r *Rule) Name() string { return r.name }

// Action returns what the rule does.
func (r *Rule) Action() Action { return r.action }

// Conditional tells that the rule is passed over for some clients that ask for its
// name.
func (r *Rule) Conditional() bool { return !r.when.none() }

// Fixed returns the addresses of the rule, when they are the same for every client.
func (r *Rule) Fixed() (nodes []Node, ok bool) { return r.fixed, r.isFixed }

// Addresses returns the addresses as they are written, captures included.
func (r *Rule) Addresses() []string {
	addresses := make([]string, len(r.nodes))
	for i := range r.nodes {
		addresses[i] = r.nodes[i].text
	}
	return addresses
}

// Rules returns all rules in the order in which they were written.
func (t *Table) Rules() []*Rule {
	if t == nil {
		return nil
	}
	return t.rules
}
