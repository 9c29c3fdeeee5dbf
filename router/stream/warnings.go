package stream

import (
	"fmt"
	"slices"
	"strings"

	"emperor/internal/near"
)

// remark looks for what is valid but probably not meant.
func (c *compiler) remark() {
	for _, r := range c.table.rules {
		c.remarkName(r)
		c.remarkNodes(r)
	}
	c.remarkAllow()
	c.remarkUnreachable()
}

func (c *compiler) remarkName(r *Rule) {
	if r.source.Key != keySNI {
		return
	}
	if r.pattern != nil {
		for _, text := range r.pattern.Remarks(!r.isFixed) {
			c.warn(r.source, text)
		}
		return
	}
	if word, ok := near.Word(r.name, []string{defaultName}); ok && r.name != word {
		c.warn(r.source, fmt.Sprintf("%s is a host's name here, did you mean %s?", r.name, word))
	}
}

func (c *compiler) remarkNodes(r *Rule) {
	backups := 0
	for i := range r.nodes {
		n := &r.nodes[i]
		if n.backup {
			backups++
		}
		if r.pattern == nil || n.kind != hostNode {
			continue
		}
		if _, fixed := n.host.literal(); !fixed {
			continue
		}
		for _, p := range n.port {
			if p.group >= 0 && !r.pattern.FiniteGroup(p.group) {
				c.warn(r.source, fmt.Sprintf("%s: clients choose the port, 22 too: write those it may be into the pattern, such as (443|8443)", n.text))
				break
			}
		}
	}
	if backups == len(r.nodes) && backups > 0 && !r.isListeners() {
		c.warn(r.source, "backup does nothing: there is no other address")
	}
}

// remarkAllow remarks on stream-allow lines that open everything, or nothing.
func (c *compiler) remarkAllow() {
	used := false
	for _, r := range c.table.rules {
		for i := range r.nodes {
			_, fixed := r.nodes[i].host.literal()
			used = used || r.nodes[i].kind == hostNode && !fixed
		}
	}
	for _, source := range c.allowed {
		if !used {
			c.warn(source, "does nothing: no capture decides a host")
		} else if strings.HasSuffix(source.Value, "/0") {
			c.warn(source, "allows every address: the front is an open proxy to all of them")
		} else if domain := strings.Trim(strings.ToLower(strings.TrimSpace(source.Value)), "*."); isPublic(domain) {
			c.warn(source, fmt.Sprintf("allows every host in %s: the front is an open proxy to all of them", domain))
		}
	}
}

// isPublic tells whether a domain is one that anybody can have a name in, as far as it
// can be seen: a single label that is not set apart for private use or for examples.
func isPublic(domain string) bool {
	switch domain {
	case "internal", "local", "lan", "localdomain", "intranet", "private", "corp", "home", "test", "example", "localhost", "onion":
		return false
	}
	_, err := parseNetwork(domain)
	return err != nil && !strings.Contains(domain, ".")
}

// remarkUnreachable remarks on rules that never decide, because one that is asked
// before takes every client which they are for.
func (c *compiler) remarkUnreachable() {
	t := c.table
	c.remarkShadowed(t.first)
	c.remarkShadowed(t.nameless)
	c.remarkShadowed(t.others)
	for _, r := range t.rules {
		switch {
		case r.source.Key != keySNI || r.name == defaultName:
		case r.pattern != nil:
		case r.below:
			list := t.suffixes[r.name[strings.IndexByte(r.name, '.'):]]
			if list[0] == r {
				c.remarkShadowed(list)
			}
		default:
			if list := t.exact[r.name]; list[0] == r {
				c.remarkShadowed(list)
			}
		}
	}
	c.remarkPatterns()
}

// remarkShadowed looks through rules that are asked one after the other, for the
// same names.
func (c *compiler) remarkShadowed(list []*Rule) {
	for i, r := range list {
		for _, before := range list[:min(i, 100)] {
			if before.when.cover(&r.when) && (before.self || !r.self) {
				c.neverReached(r, before)
				break
			}
		}
	}
}

func (c *compiler) neverReached(r, before *Rule) {
	c.warn(r.source, fmt.Sprintf("never reached: %q (%s) takes every client first", before.String(), before.Place()))
}

// remarkPatterns compares patterns with what is asked before them.
func (c *compiler) remarkPatterns() {
	t := c.table
	takers := map[string][]*Rule{} // patterns that take a whole domain, by its suffix
	for i, r := range t.patterns {
		var before *Rule
		if names := r.pattern.Finite(); names != nil {
			before = c.takerOf(i, names)
		} else {
			before = c.takerBelow(r, takers)
		}
		if before != nil {
			c.neverReached(r, before)
		}
		if r.pattern.Everything() {
			suffix := r.pattern.Suffix()
			takers[suffix] = append(takers[suffix], r)
		}
	}
}

// takerOf returns the rule that takes each of a pattern's few names before it.
func (c *compiler) takerOf(number int, names []string) (taker *Rule) {
	t, r := c.table, c.table.patterns[number]
	takes := func(one *Rule) bool { return one.when.cover(&r.when) }
	for _, name := range names {
		found := t.exact[name]
		if i := slices.IndexFunc(found, takes); i >= 0 {
			taker = found[i]
			continue
		}
		if one := t.wildcardFor(name, takes); one != nil {
			taker = one
			continue
		}
		one := (*Rule)(nil)
		for i := range t.index.Candidates([]byte(name)) {
			if i >= number {
				break
			}
			if takes(t.patterns[i]) && t.patterns[i].pattern.Match([]byte(name), nil) {
				one = t.patterns[i]
				break
			}
		}
		if one == nil {
			return nil
		}
		taker = one
	}
	return taker
}

// takerBelow returns the rule that takes all of the domain which a pattern's names
// are in.
func (c *compiler) takerBelow(r *Rule, takers map[string][]*Rule) *Rule {
	takes := func(one *Rule) bool { return one.when.cover(&r.when) }
	suffix := r.pattern.Suffix()
	if suffix != "" {
		if one := c.table.wildcardFor("x"+suffix, takes); one != nil {
			return one
		}
	}
	for {
		if i := slices.IndexFunc(takers[suffix], takes); i >= 0 {
			return takers[suffix][i]
		}
		if suffix == "" {
			return nil
		}
		if next := strings.IndexByte(suffix[1:], '.'); next < 0 {
			suffix = ""
		} else {
			suffix = suffix[1+next:]
		}
	}
}

// cover tells whether they hold for every client for which the others do. It may
// miss that they do.
func (c *conditions) cover(others *conditions) bool {
	return c.coverALPN(others) && c.coverRemotes(others)
}

func (c *conditions) coverALPN(others *conditions) bool {
	wants, gets := false, false
	for _, one := range c.alpn {
		if one.not {
			if !slices.Contains(others.alpn, one) {
				return false
			}
			continue
		}
		wants = true
	}
	for _, other := range others.alpn {
		if other.not {
			continue
		}
		gets = true
		if wants && !slices.Contains(c.alpn, other) {
			return false
		}
	}
	return gets || !wants
}

func (c *conditions) coverRemotes(others *conditions) bool {
	wants, gets := false, false
	for _, one := range c.remotes {
		if one.not {
			if !slices.ContainsFunc(others.remotes, func(other remoteTest) bool { return other.not && other.contains(&one) }) {
				return false
			}
			continue
		}
		wants = true
	}
	for _, other := range others.remotes {
		if other.not {
			continue
		}
		gets = true
		if wants && !slices.ContainsFunc(c.remotes, func(one remoteTest) bool { return !one.not && one.contains(&other) }) {
			return false
		}
	}
	return gets || !wants
}

// contains tells whether every address that another test holds for is one of this.
func (r *remoteTest) contains(other *remoteTest) bool {
	return r.pattern == nil && other.pattern == nil && r.network.Bits() <= other.network.Bits() && r.network.Contains(other.network.Addr())
}
