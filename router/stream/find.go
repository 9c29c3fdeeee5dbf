package stream

// Find returns what becomes of a client's connection; ok is false when no rule is
// for it. Without a name, stream-default comes before the rule default.
func (t *Table) Find(c *Client) (d Decision, ok bool) {
	if t == nil {
		return Decision{}, false
	}
	r, groups := t.find(c)
	if r == nil {
		return Decision{}, false
	}
	return t.decide(r, c, groups), true
}

// Default returns what stream-default says to a client of which nothing is known;
// ok is false without one. DefaultFor is for one that is.
func (t *Table) Default() (d Decision, ok bool) { return t.DefaultFor(&Client{}) }

// DefaultFor returns what stream-default says: for bytes that are no TLS. Who may not
// come in by route-remote-addr does not so either.
func (t *Table) DefaultFor(c *Client) (d Decision, ok bool) {
	if t == nil {
		return Decision{}, false
	}
	for _, r := range t.first {
		if r.action == Reject && r.source.Key == keyRemote && r.when.hold(c, nil) {
			return t.decide(r, c, nil), true
		}
	}
	if r := firstThatHolds(t.nameless, c); r != nil {
		return t.decide(r, c, nil), true
	}
	return Decision{}, false
}

// find walks the rules in the order in which they are asked. groups are those of the one
// pattern that matched.
func (t *Table) find(c *Client) (r *Rule, groups []int) {
	if len(t.first) > 0 {
		if r, groups = t.findFirst(c); r != nil {
			return r, groups
		}
	}
	if c.Name == "" {
		if r = firstThatHolds(t.nameless, c); r != nil {
			return r, nil
		}
		return firstThatHolds(t.others, c), nil
	}
	if r = firstThatHolds(t.exact[c.Name], c); r != nil {
		return r, nil
	}
	if r = t.wildcardFor(c.Name, func(r *Rule) bool { return r.when.hold(c, nil) }); r != nil {
		return r, nil
	}
	if len(t.patterns) > 0 {
		if r, groups = t.findPattern(c); r != nil {
			return r, groups
		}
	}
	return firstThatHolds(t.others, c), nil
}

// findFirst looks at the rules that come before names.
func (t *Table) findFirst(c *Client) (*Rule, []int) {
	var groups []int
	for _, r := range t.first {
		if r.when.hold(c, &groups) {
			return r, groups
		}
	}
	return nil, nil
}

func (t *Table) findPattern(c *Client) (*Rule, []int) {
	var groups []int
	name := []byte(c.Name)
	for i := range t.index.Candidates(name) {
		if r := t.patterns[i]; r.when.hold(c, nil) && r.pattern.Match(name, &groups) {
			return r, groups
		}
	}
	return nil, nil
}

func firstThatHolds(rules []*Rule, c *Client) *Rule {
	for _, r := range rules {
		if r.when.hold(c, nil) {
			return r
		}
	}
	return nil
}

// wildcardFor returns the rule of the longest wildcard for a name that takes it:
// ".example.com" for its own name, then what is behind each dot.
func (t *Table) wildcardFor(name string, takes func(*Rule) bool) *Rule {
	if len(t.suffixes) == 0 {
		return nil
	}
	for _, r := range t.suffixes["."+name] {
		if r.self && takes(r) {
			return r
		}
	}
	for at := 1; at < len(name); at++ { // before the first dot there is something
		if name[at] != '.' {
			continue
		}
		for _, r := range t.suffixes[name[at:]] {
			if takes(r) {
				return r
			}
		}
	}
	return nil
}

// decide follows a rule for one client.
func (t *Table) decide(r *Rule, c *Client, groups []int) Decision {
	from := captures{subject: c.Name}
	if r.pattern != nil {
		from.offsets = groups
	}
	switch {
	case r.source.Key == keyRemote:
		from.subject = c.Remote.Unmap().String()
	case c.Name == "" && !r.isFixed:
		return Decision{Rule: r, Action: r.action, Refused: "the client asks for no name"}
	}
	return t.decideFor(r, &from)
}

func (t *Table) decideFor(r *Rule, from *captures) Decision {
	d := Decision{Rule: r, Action: r.action, Proxy: r.proxy, Connect: r.connect, Idle: r.idle, Fixed: r.isFixed, Nodes: r.fixed}
	if r.isFixed {
		return d
	}
	d.Nodes = make([]Node, len(r.nodes))
	for i := range r.nodes {
		n, err := r.nodes[i].fill(from, &t.allow)
		if err != nil {
			d.Nodes, d.Refused = nil, err.Error()
			return d
		}
		d.Nodes[i] = n
	}
	return d
}
