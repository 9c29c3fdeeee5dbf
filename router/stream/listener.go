package stream

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"emperor/internal/transport"
	"emperor/router/rule"
)

// The kinds of uWSGI's routers.
const (
	sslRouter = "sslrouter"
	rawRouter = "rawrouter"
)

const keyByName = "sslrouter-sni"

// mapping is what one kind of uWSGI's routers has for nodes. The key of a
// connection is the name that its client asks for, with sslrouter-sni, else the
// address that it came in at; only a pattern or a base makes something of it.
type mapping struct {
	kind          string
	to, fallback  []*Source
	pattern, base *Source
	byName        bool
	rule          *Rule // what came of all that
}

// listenerKeys are the directives for the nodes of uWSGI's routers.
func listenerKeys() []string {
	keys := []string{keyByName}
	for _, kind := range []string{sslRouter, rawRouter} {
		for _, what := range []string{"-to", "-fallback", "-use-base", "-use-pattern"} {
			keys = append(keys, kind+what)
		}
	}
	return keys
}

// addListener reads one line of uWSGI's.
func (c *compiler) addListener(source *Source) error {
	kind, what, _ := strings.Cut(source.Key, "-")
	if !slices.Contains(keys, source.Key) {
		return fmt.Errorf("unknown directive, want one of %s", strings.Join(keys, " "))
	}
	m := c.table.listeners[kind]
	if m == nil {
		m = &mapping{kind: kind}
		c.table.listeners[kind] = m
	}
	switch what {
	case "to":
		m.to = append(m.to, source)
	case "fallback":
		m.fallback = append(m.fallback, source)
	case "use-base":
		m.base = source
	case "use-pattern":
		m.pattern = source
	case "sni":
		on, ok := switches[strings.ToLower(source.Value)]
		if !ok {
			return fmt.Errorf("%q: want true or false", source.Value)
		}
		m.byName = on
	}
	return nil
}

var switches = map[string]bool{"": true, "1": true, "true": true, "yes": true, "on": true, "0": false, "false": false, "no": false, "off": false}

// finishListeners makes a rule of what each kind has.
func (c *compiler) finishListeners() {
	for _, kind := range []string{sslRouter, rawRouter} {
		m := c.table.listeners[kind]
		if m == nil {
			continue
		}
		if c.finishListener(m); m.rule == nil {
			delete(c.table.listeners, kind)
		} else {
			c.table.rules = append(c.table.rules, m.rule)
		}
	}
}

func (c *compiler) finishListener(m *mapping) {
	r := &Rule{action: Pass}
	if m.kind == sslRouter {
		r.action = TCP
	}
	made := m.pattern // comes first where both are given, as in uWSGI
	if made == nil {
		made = m.base
	} else if m.base != nil {
		c.warn(m.base, fmt.Sprintf("does nothing beside %s (%s)", m.pattern.Key, position(m.pattern.File, m.pattern.Line)))
	}
	if made != nil {
		r.source = made
		n, err := mappedNode(made.Value, made == m.pattern, m.byName)
		if err == nil && n.openly() && c.table.allow.empty() {
			err = fmt.Errorf("%s: clients would choose the host, and the front be an open proxy: want a path, a domain of two labels or more behind the name, such as %%s.svc.cluster.local:443, or stream-allow = .example.com", made.Value)
		}
		if err != nil {
			c.mistake(made, err)
			return
		}
		r.nodes = append(r.nodes, *n)
		if len(m.to) > 0 {
			c.warn(m.to[0], fmt.Sprintf("does nothing beside %s (%s)", made.Key, position(made.File, made.Line)))
			m.to = nil
		}
	}
	for _, source := range append(m.to, m.fallback...) {
		n, err := listenerNode(source.Value)
		if err != nil {
			c.mistake(source, err)
			continue
		}
		if strings.HasSuffix(source.Key, "-fallback") {
			n.backup = true
		}
		if r.source == nil {
			r.source = source
		}
		r.nodes = append(r.nodes, *n)
	}
	if len(r.nodes) > 0 {
		m.rule = r
	}
}

// listenerNode reads "ADDRESS [weight=N] [backup]", as http-to has it.
func listenerNode(text string) (*node, error) {
	words := strings.Fields(text)
	if len(words) == 0 {
		return nil, errors.New("want an address")
	}
	if err := cmp.Or(transport.Check(words[0]), transport.Check(strings.Join(words[:min(2, len(words))], " "))); err != nil {
		return nil, err
	}
	n := &node{text: words[0], weight: 1, host: template{{words[0], -1}}}
	var err error
	switch {
	case strings.HasPrefix(words[0], "vassal:"):
		n, err = (&scope{}).parseNode(words[0])
	case isPath(words[0]):
		n.kind = pathNode
		err = n.checkPath()
	default:
		err = n.checkHost()
	}
	if err != nil {
		return nil, err
	}
	for _, word := range words[1:] {
		number, weight := strings.CutPrefix(word, "weight=")
		switch {
		case word == "backup":
			n.backup = true
		case weight:
			if n.weight, err = strconv.Atoi(number); err != nil || n.weight < 1 || n.weight > 1000 {
				return nil, fmt.Errorf("want weight=1 to 1000, got %q", word)
			}
		default:
			return nil, fmt.Errorf("want ADDRESS [weight=N] [backup], got %q", word)
		}
	}
	return n, nil
}

// isPath tells the path of a unix socket from host:port as uWSGI does: whatever has
// no colon is a path.
func isPath(text string) bool {
	return strings.IndexByte("/@.", text[0]) >= 0 || strings.IndexByte(text, ':') < 0
}

// mappedNode reads a use-base, which the key is put behind, or a use-pattern, in
// which it takes the place of %s.
func mappedNode(text string, pattern, byName bool) (*node, error) {
	before, after := text, ""
	if pattern {
		var ok bool
		if before, after, ok = rule.CutPattern(text); !ok {
			return nil, fmt.Errorf("%q: want one %%s, which becomes the name that the client asks for (%s) or else the listening address; in a file it is written %%%%s", text, keyByName)
		}
	}
	if before == "" && after == "" {
		return nil, errors.New("want the beginning of a path, such as /run/sites/")
	}
	if err := transport.Check(text); err != nil {
		return nil, err
	}
	n := &node{text: text, weight: 1}
	if before != "" {
		n.host = append(n.host, part{before, -1})
	}
	n.host = append(n.host, part{group: 0})
	if after != "" {
		n.host = append(n.host, part{after, -1})
	}
	if before != "" && strings.IndexByte("/@.", before[0]) >= 0 || strings.IndexByte(before+after, ':') < 0 && before != "" {
		n.kind = pathNode
		return n, n.checkPath()
	}
	if strings.IndexByte(after, ':') < 0 && strings.HasSuffix(before, ":") {
		return nil, fmt.Errorf("%s: the client would choose the port by the name it asks for", text)
	}
	if !byName {
		return nil, fmt.Errorf("%s: the key is the listening address here, which is no host; want a path, or %s = true", text, keyByName)
	}
	return n, n.checkHost()
}

// Listener returns where a connection goes that came in at a listener of uWSGI's:
// kind is "sslrouter" or "rawrouter", address what it listens at as the option
// spells it. ok is false when the kind has no nodes.
//
// As in uWSGI, but for what was wrong there: an address that can not be reached is
// marked as such whatever its family, and fallbacks are used whenever no other
// address can be reached.
func (t *Table) Listener(kind, address string, c *Client) (d Decision, ok bool) {
	if t == nil || t.listeners[kind] == nil {
		return Decision{}, false
	}
	m := t.listeners[kind]
	key, own := c.Name, false
	if !m.byName || key == "" {
		key, own = address, true
	}
	d = t.decideFor(m.rule, &captures{subject: key, own: own})
	return d, true
}
