package stream

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"emperor/router/rule"
)

// The directives.
const (
	keySNI     = "route-sni"
	keyALPN    = "route-alpn"
	keyRemote  = "route-remote-addr"
	keyDefault = "stream-default"
	keyAllow   = "stream-allow"
)

// Keys returns the names of the directives that Compile accepts, sorted. Of
// route-remote-addr only those lines are its business whose action is a stream's;
// see [IsRule].
func Keys() []string { return slices.Clone(keys) }

var keys = func() []string {
	all := append([]string{keySNI, keyALPN, keyRemote, keyDefault, keyAllow}, listenerKeys()...)
	slices.Sort(all)
	return all
}()

// Compile reads lines in the order of the file. It reports every mistake at once,
// and remarks on what is valid but probably not meant; with any mistake the Table
// is nil, and also when there are no rules at all.
//
// The Table keeps sources, which must not change afterwards.
func Compile(sources []Source) (*Table, []*Problem) {
	c := compiler{table: &Table{listeners: map[string]*mapping{}}, rules: make(map[identity]*Rule, len(sources))}
	for i := range sources {
		if sources[i].Key == keyAllow {
			c.allow(&sources[i])
		}
	}
	for i := range sources {
		if sources[i].Key != keyAllow {
			c.add(&sources[i])
		}
	}
	c.finishListeners()
	for _, r := range c.table.rules {
		c.finish(r)
	}
	if !c.failed() {
		c.table.file()
		c.remark()
	}
	if c.failed() || len(c.table.rules) == 0 {
		return nil, c.inOrder(sources)
	}
	return c.table, c.inOrder(sources)
}

// compiler is the state of one Compile.
type compiler struct {
	table    *Table
	rules    map[identity]*Rule
	allowed  []*Source
	problems []remark
	mistakes int
}

// remark is a problem and the line that has it.
type remark struct {
	source  *Source
	problem *Problem
}

// identity is what lines have in common that add up to one rule.
type identity struct{ key, name, when string }

func (c *compiler) mistake(source *Source, err error) {
	c.mistakes++
	c.report(source, err.Error(), false)
}

func (c *compiler) warn(source *Source, text string) { c.report(source, text, true) }

func (c *compiler) report(source *Source, text string, warning bool) {
	c.problems = append(c.problems, remark{source, &Problem{File: source.File, Line: source.Line, Key: source.Key, Text: text, Warning: warning}})
}

func (c *compiler) failed() bool { return c.mistakes > 0 }

// inOrder returns the problems in the order of the lines that have them.
func (c *compiler) inOrder(sources []Source) (problems []*Problem) {
	if len(c.problems) == 0 {
		return nil
	}
	places := make(map[*Source]int, len(sources))
	for i := range sources {
		places[&sources[i]] = i
	}
	slices.SortStableFunc(c.problems, func(a, b remark) int { return places[a.source] - places[b.source] })
	for _, r := range c.problems {
		problems = append(problems, r.problem)
	}
	return problems
}

func (c *compiler) allow(source *Source) {
	c.allowed = append(c.allowed, source)
	if err := c.table.allow.add(source.Value); err != nil {
		c.mistake(source, err)
	}
}

// add reads one line.
func (c *compiler) add(source *Source) {
	var err error
	switch source.Key {
	case keySNI:
		err = c.addName(source)
	case keyALPN, keyRemote:
		err = c.addFirst(source)
	case keyDefault:
		r := &Rule{source: source}
		err = c.addRule(r, &scope{}, asAction(source.Value))
	default:
		err = c.addListener(source)
	}
	if err != nil {
		c.mistake(source, err)
	}
}

// asAction puts "pass:" before a bare address of stream-default, where nothing else
// can be meant: there is no TLS that could end here.
func asAction(text string) string {
	text = strings.TrimSpace(text)
	if IsAction(text) {
		return text
	}
	address, _, _ := strings.Cut(text, ",")
	address, _, _ = strings.Cut(address, "|")
	if isAddress(address) || strings.HasPrefix(address, "vassal:") || strings.HasPrefix(address, "unix:") || address != "" && strings.IndexByte("/@.", address[0]) >= 0 {
		return "pass:" + text
	}
	return text
}

// cutSpace splits "NAME ACTION" at the first blanks.
func cutSpace(value string) (name, action string, found bool) {
	value = strings.TrimSpace(value)
	at := strings.IndexAny(value, " \t")
	if at < 0 {
		return value, "", false
	}
	return value[:at], strings.TrimLeft(value[at:], " \t"), true
}

func (c *compiler) addName(source *Source) error {
	name, action, found := cutSpace(source.Value)
	if !found {
		return fmt.Errorf("%q: want NAME ACTION with a space between them, such as www.example.com pass:10.0.0.1:443", source.Value)
	}
	r := &Rule{source: source}
	s := &scope{named: true}
	var err error
	if isRegex(name) {
		if r.pattern, err = compileRegex(name); err != nil {
			return err
		}
		if r.pattern.SpellsColon() {
			return fmt.Errorf("pattern %s: a name that a client asks for has no port", name)
		}
		r.name, s.pattern = name, r.pattern
	} else if r.name, err = parseName(name); err != nil {
		return err
	}
	return c.addRule(r, s, action)
}

// addFirst reads route-alpn and route-remote-addr, whose first half is a condition.
func (c *compiler) addFirst(source *Source) error {
	subject, action, found := cutSpace(source.Value)
	if !found {
		if source.Key == keyALPN {
			return fmt.Errorf("%q: want PROTOCOL ACTION with a space between them, such as acme-tls/1 pass:10.0.0.1:443", source.Value)
		}
		return fmt.Errorf("%q: want NETWORK ACTION with a space between them, such as 10.0.0.0/8 pass:10.0.0.1:443", source.Value)
	}
	r := &Rule{source: source, name: subject}
	s := &scope{}
	if source.Key == keyALPN {
		if err := r.when.addALPN(subject); err != nil {
			return errors.New(strings.TrimPrefix(err.Error(), "alpn="))
		}
	} else {
		remote, err := parseRemote(subject)
		if err != nil {
			return err
		}
		if r.when.remotes = []remoteTest{remote}; !remote.not {
			r.pattern, s.pattern = remote.pattern, remote.pattern
		}
	}
	return c.addRule(r, s, action)
}

// addRule reads the action and enters the rule, or adds to the one there is.
func (c *compiler) addRule(r *Rule, s *scope, action string) error {
	p, err := s.parseAction(action)
	if err != nil {
		return err
	}
	if err := r.twice(p); err != nil {
		return err
	}
	r.when.alpn = append(r.when.alpn, p.when.alpn...)
	r.when.remotes = append(r.when.remotes, p.when.remotes...)
	for i := range p.nodes {
		if n := &p.nodes[i]; n.openly() && c.table.allow.empty() {
			return c.noProxy(n, s)
		}
	}
	id := identity{r.source.Key, r.name, r.when.String()}
	before := c.rules[id]
	if before == nil {
		r.action, r.nodes, r.proxy, r.connect, r.idle = p.action, p.nodes, p.proxy, p.connect, p.idle
		c.rules[id] = r
		c.table.rules = append(c.table.rules, r)
		return nil
	}
	return c.addTo(before, r, p)
}

// twice says what is wrong with a condition behind the action that the line begins
// with: as one of several it would make the rule wider.
func (r *Rule) twice(p *parsed) error {
	for _, one := range p.when.alpn {
		if r.source.Key == keyALPN && !one.not {
			return fmt.Errorf("alpn=%s beside %s: want several protocols as %s|%s in front, or exceptions as alpn=!%s", one.name, r.name, r.name, one.name, one.name)
		}
	}
	for _, one := range p.when.remotes {
		if r.source.Key == keyRemote && !one.not {
			return fmt.Errorf("remote-addr=%s beside %s: want a line for each network, or exceptions as remote-addr=!%s", one.network, r.name, one.network)
		}
	}
	return nil
}

// addTo adds a line to the rule that an earlier one of the same name has begun.
func (c *compiler) addTo(before, r *Rule, p *parsed) error {
	switch {
	case before.action != p.action:
		return fmt.Errorf("%s has %s already at %s, want one kind of action for a name", r.subject(), before.action, before.Place())
	case len(p.nodes) == 0:
		c.warn(r.source, fmt.Sprintf("%s has %s already at %s", r.subject(), before.action, before.Place()))
		return nil
	case before.proxy != p.proxy:
		return fmt.Errorf("%s at %s, want the same proxy= in all lines of %s", proxyText(before.proxy), before.Place(), r.subject())
	case before.connect != 0 && p.connect != 0 && before.connect != p.connect:
		return fmt.Errorf("connect-timeout=%g at %s, want one for all lines of %s", before.connect.Seconds(), before.Place(), r.subject())
	case before.idle != 0 && p.idle != 0 && before.idle != p.idle:
		return fmt.Errorf("timeout=%g at %s, want one for all lines of %s", before.idle.Seconds(), before.Place(), r.subject())
	}
	for i := range p.nodes {
		for k := range before.nodes {
			if p.nodes[i].text == before.nodes[k].text {
				c.warn(r.source, fmt.Sprintf("%s has the address %s already at %s", r.subject(), p.nodes[i].text, before.Place()))
				break
			}
		}
	}
	before.nodes = append(before.nodes, p.nodes...)
	before.connect, before.idle = max(before.connect, p.connect), max(before.idle, p.idle)
	return nil
}

// subject names what lines of a rule have in common.
func (r *Rule) subject() string {
	text := r.name
	if text == "" {
		text = r.source.Key
	}
	if when := r.when.String(); when != "" && r.source.Key != keyALPN && r.source.Key != keyRemote {
		text += " with " + when
	}
	return text
}

func proxyText(version int) string {
	if version == 0 {
		return "no proxy="
	}
	return fmt.Sprintf("proxy=v%d", version)
}

// noProxy is the error about a host that a client would choose.
func (c *compiler) noProxy(n *node, s *scope) error {
	example := ".example.com"
	if s.pattern != nil && s.pattern.Suffix() != "" {
		example = s.pattern.Suffix()
	}
	behind := n.host[len(n.host)-1]
	instead := "$1.svc.cluster.local"
	if behind.group >= 0 {
		instead = n.text[:strings.LastIndexByte(n.text, ':')] + ".svc.cluster.local"
	}
	return fmt.Errorf("%s: clients would choose the host, and the front be an open proxy: want a domain of two labels or more behind the last capture, such as %s, or stream-allow = %s (a domain or a network that the host must be in)", n.text, instead, example)
}

// finish prepares what is the same for every client.
func (c *compiler) finish(r *Rule) {
	r.isFixed = true
	for i := range r.nodes {
		r.isFixed = r.isFixed && r.nodes[i].fixed()
	}
	if !r.isFixed {
		return
	}
	for i := range r.nodes {
		n, err := r.nodes[i].fill(&captures{}, &c.table.allow)
		if err != nil {
			c.mistake(r.source, err)
			return
		}
		r.fixed = append(r.fixed, n)
	}
}

// file puts the rules where Find looks for them.
func (t *Table) file() {
	t.exact, t.suffixes = map[string][]*Rule{}, map[string][]*Rule{}
	var patterns []*rule.HostPattern
	for _, r := range t.rules {
		switch {
		case r.isListeners():
		case r.source.Key == keyDefault:
			t.nameless = append(t.nameless, r)
		case r.source.Key == keyALPN || r.source.Key == keyRemote:
			t.first = append(t.first, r)
		case r.pattern != nil:
			t.patterns = append(t.patterns, r)
			patterns = append(patterns, r.pattern)
		case r.name == defaultName:
			t.others = append(t.others, r)
		case strings.HasPrefix(r.name, "."):
			r.self, r.below = true, true
			t.suffixes[r.name] = append(t.suffixes[r.name], r)
		case strings.HasPrefix(r.name, "*."):
			r.below = true
			t.suffixes[r.name[1:]] = append(t.suffixes[r.name[1:]], r)
		default:
			t.exact[r.name] = append(t.exact[r.name], r)
		}
	}
	t.index = rule.NewHostPatterns(patterns)
}
