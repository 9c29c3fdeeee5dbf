package main

import (
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strings"

	"emperor/emperor"
	"emperor/internal/config"
	"emperor/internal/link"
	"emperor/internal/listening"
	"emperor/internal/near"
	"emperor/router/rule"
	"emperor/router/stream"
)

// ruleProblems compares the rules with the vassals: rules that lead to nobody,
// vassals to whom no rule leads, rules that are never asked. All of it is
// warnings: rules may be ahead of the vassals, and other programs may have sockets.
// notes are what is in order, and may surprise.
func ruleProblems(main *emperor.Main, survey *emperor.Survey, table *rule.Table, streams *stream.Table) (problems config.Problems, notes []string) {
	if table == nil || len(main.Front.Listeners) == 0 {
		return nil, nil
	}
	r := &routes{main: main, survey: survey, table: table, streams: streams, others: map[mismatch][]string{}}
	for i := range survey.Vassals {
		one := &survey.Vassals[i]
		if one.Spec == nil {
			r.unread = append(r.unread, one.Name)
			continue
		}
		r.vassals = append(r.vassals, link.Vassal{Name: one.Name, Addresses: one.Spec.Addresses()})
	}
	rules := table.Rules()
	if l := r.listener(); l != nil && len(rules) == 0 && len(r.defaults()) == 0 && !r.mapped() {
		return config.Problems{{Pos: config.Pos{File: l.File, Line: l.Line}, Key: l.Option, Warning: true,
			Text: `no rule and no http-to say where requests go: each is answered 404 (for example: route-host = ^([-\w]+)\.example\.com$ vassal:$1)`}}, nil
	}
	for _, one := range rules {
		r.leads(one)
	}
	for _, one := range streams.Rules() {
		r.streamLeads(one)
	}
	for i := range survey.Vassals {
		if one := &survey.Vassals[i]; one.Spec != nil {
			r.reached(one)
		}
	}
	r.covered(rules)
	return r.problems, r.noteProtocols()
}

// routes is one comparison of rules and vassals.
type routes struct {
	main     *emperor.Main
	survey   *emperor.Survey
	table    *rule.Table
	streams  *stream.Table
	vassals  []link.Vassal // those whose files can be used
	unread   []string      // the others
	problems config.Problems

	mismatches []mismatch
	others     map[mismatch][]string // the vassals
}

func (r *routes) warn(pos config.Pos, key, format string, args ...any) {
	r.problems = append(r.problems, config.Problem{Pos: pos, Key: key, Warning: true, Text: fmt.Sprintf(format, args...)})
}

// warnOf warns of a rule.
func (r *routes) warnOf(one *rule.Rule, format string, args ...any) {
	key, _, _ := strings.Cut(one.String(), " = ")
	r.warn(config.Pos(one.Pos()), key, format, args...)
}

// defaults are the addresses of http-to and http-fallback.
func (r *routes) defaults() (out []string) {
	for _, o := range r.main.Front.Options {
		if o.Key == "http-to" || o.Key == "http-fallback" {
			out = append(out, o.Value)
		}
	}
	return out
}

// listener is the first on which there are requests, where not everything may go on as
// it is; nil: there is none.
func (r *routes) listener() *link.Listener {
	streams := len(r.streams.Rules()) > 0
	for i := range r.main.Front.Listeners {
		l := &r.main.Front.Listeners[i]
		switch {
		case strings.HasPrefix(l.Option, "sslrouter"), l.Option == "rawrouter", l.Datagrams:
		case strings.HasPrefix(l.Option, "https") && streams:
		default:
			return l
		}
	}
	return nil
}

// leads warns of a rule that sends requests to nobody.
func (r *routes) leads(one *rule.Rule) {
	kind, target, literal := one.Target()
	warn := func(format string, args ...any) { r.warnOf(one, format, args...) }
	switch {
	case kind == rule.Vassal && len(r.vassals)+len(r.unread) > 0:
		r.leadsToVassal(target, literal, warn)
	case kind != rule.Uwsgi && kind != rule.HTTP, !literal, r.isSomebodys(target):
		// One with captures leads to vassals that may come; see reached.
	default:
		r.leadsToAddress(target, warn)
	}
}

// leadsToAddress warns of an address of this machine where nobody is.
func (r *routes) leadsToAddress(target string, warn func(string, ...any)) {
	if rule.Network([]byte(target)) == "tcp" {
		r.leadsToPort(target, warn)
	} else if _, err := listening.AtUnix(target); err != nil {
		warn("no vassal has the socket %s, and nobody answers there%s", target, r.nearest(target))
	}
}

func (r *routes) leadsToVassal(target string, literal bool, warn func(string, ...any)) {
	names := slices.Clone(r.unread)
	for i := range r.vassals {
		names = append(names, r.vassals[i].Name)
	}
	if slices.ContainsFunc(names, func(name string) bool { return canBe(target, name) }) {
		return
	}
	if !literal {
		warn("no vassal has a name such as %s", target)
		return
	}
	meant := ""
	if name, ok := near.Word(target, names); ok {
		meant = "; did you mean " + name + "?"
	}
	warn("there is no vassal %s%s", target, meant)
}

// isSomebodys tells whether a vassal has the address.
func (r *routes) isSomebodys(address string) bool {
	return slices.ContainsFunc(r.vassals, func(v link.Vassal) bool {
		return slices.ContainsFunc(v.Addresses, func(a link.Address) bool { return a.Address == address })
	})
}

// leadsToPort: a port of this machine on which nobody listens now.
func (r *routes) leadsToPort(target string, warn func(string, ...any)) {
	at, err := netip.ParseAddrPort(target)
	if err != nil || !at.Addr().IsLoopback() {
		return // another machine, or a name
	}
	for i := range r.survey.Vassals {
		v := &r.survey.Vassals[i]
		if v.Spec == nil {
			continue
		}
		for _, c := range v.Spec.Claims(v.Config) {
			if c.Port.IsValid() && listening.Overlap(c.Port, at) {
				return
			}
		}
	}
	if _, ok := listening.AtTCP(at); !ok {
		warn("no vassal listens on %s, and nobody else does%s", target, r.nearest(target))
	}
}

// nearest is what may have been meant by an address, as the end of a message.
func (r *routes) nearest(address string) string {
	if meant := link.Nearest(address, r.vassals); meant != "" {
		return ": " + meant
	}
	return ""
}

// reached warns of a vassal that no rule reaches, and of one that is reached in
// another way than the rule says.
func (r *routes) reached(one *emperor.Surveyed) {
	addresses := one.Spec.Addresses()
	var pos config.Pos
	key := "socket"
	switch {
	case one.Spec.StaticFiles() != nil:
		line, _ := one.Config.Last("static")
		pos, key = line.Pos, line.Key
	case len(addresses) > 0:
		pos = one.Spec.Sockets[0].Pos
	case one.Spec.Port:
		line, _ := one.Config.Last("command")
		pos, key = line.Pos, line.Key
	default:
		r.unreachable(one)
		return
	}
	pos = one.At(pos)
	if one.Spec.OnlyStreams() {
		r.onlyStreams(one, pos, key)
		return
	}
	found := r.announces(one) || r.reachedByStream(one.Name, addresses)
	var nearly *rule.Rule // its address is right, but the host pattern has no such name
	for _, a := range addresses {
		if opens, by, ok := r.table.Capitals(a.Address); ok {
			r.warn(pos, key, "%s has capitals: host names are lower case, so the rule of %s opens %s", a.Address, by.Pos(), opens)
			found = true
		}
		found = found || slices.Contains(r.defaults(), a.Address)
	}
	for _, by := range r.table.Rules() {
		kind, target, _ := by.Target()
		switch kind {
		case rule.Vassal:
			if canBe(target, one.Name) {
				found = found || captures(by, target, one.Name)
				nearly = by
			}
		case rule.Uwsgi, rule.HTTP:
			for _, a := range addresses {
				if !canBe(target, a.Address) {
					continue
				}
				if !captures(by, target, a.Address) {
					nearly = by
					continue
				}
				if !found {
					r.protocol(one, by, kind, a)
				}
				found = true
			}
		}
	}
	switch {
	case found:
	case nearly != nil:
		r.warn(pos, key, "no rule reaches vassal %s: that of %s would, but its pattern matches no host with the name it needs", one.Name, nearly.Pos())
	default:
		text := fmt.Sprintf(`route-host = ^%s\.example\.com$ vassal:%s would`, regexp.QuoteMeta(one.Name), one.Name)
		if address, by, ok := r.table.AddressOf(one.Name); ok {
			text = fmt.Sprintf("that of %s looks for one of its name at %s; %s", by.Pos(), address, text)
		}
		r.warn(pos, key, "no rule reaches vassal %s: %s", one.Name, text)
	}
}

// unreachable warns of a rule for a vassal that has no socket for the front. One that has
// none at all does something else than answer requests, unless a rule names it.
func (r *routes) unreachable(one *emperor.Surveyed) {
	has := "no socket"
	for i, s := range one.Spec.Sockets {
		if i == 0 {
			has = "only "
		} else {
			has += ", "
		}
		has += s.Protocol + ":" + s.Address
		if s.Why != "" {
			has += " (" + s.Why + ")"
		}
	}
	for _, by := range r.table.Rules() {
		kind, target, literal := by.Target()
		if kind == rule.Vassal && (literal && target == one.Name || len(one.Spec.Sockets) > 0 && canBe(target, one.Name) && captures(by, target, one.Name)) {
			r.warnOf(by, "the front cannot ask vassal %s, which has %s: want socket or http-socket in %s", one.Name, has, one.File)
			return
		}
	}
}

// protocol says that the vassal's protocol counts and not the rule's. Only the first
// rule for an address has something to add.
func (r *routes) protocol(one *emperor.Surveyed, by *rule.Rule, kind rule.Kind, a link.Address) {
	spoken := "uwsgi"
	if kind == rule.HTTP {
		spoken = "http"
	}
	if spoken != a.Protocol && a.Protocol != link.Static {
		m := mismatch{by.Pos(), spoken, a.Protocol}
		if r.others[m] == nil {
			r.mismatches = append(r.mismatches, m)
		}
		r.others[m] = append(r.others[m], one.Name)
	}
}

// mismatch is a rule that names another protocol than its vassals speak.
type mismatch struct {
	rule           rule.Pos
	spoken, theirs string
}

// noteProtocols says it once for each rule.
func (r *routes) noteProtocols() (notes []string) {
	for _, m := range r.mismatches {
		names := r.others[m]
		verb := "speaks"
		if len(names) > 1 {
			verb = "speak"
		}
		notes = append(notes, fmt.Sprintf("%s: the rule says %s, but %s %s %s: the vassal's own protocol is used", m.rule, m.spoken, enumerate(names), verb, m.theirs))
	}
	return notes
}

// covered warns of a rule all of whose hosts an earlier one takes. (Rules for a
// handful of hosts are compared by the route language itself.)
func (r *routes) covered(rules []*rule.Rule) {
	const most = 200 // patterns: each is compared with all before it
	type open struct {
		rule    *rule.Rule
		pattern string
	}
	warned := map[rule.Pos]bool{}
	for _, w := range r.table.Warnings() {
		if p, ok := w.(*rule.Problem); ok && strings.HasPrefix(p.Text, "never reached") {
			warned[p.Pos] = true
		}
	}
	var earlier []open
	for _, one := range rules {
		if strings.HasPrefix(one.Action(), "goto:") {
			return // which rules are passed over is then not known
		}
		pattern, isHost := hostPattern(one)
		if !isHost || strings.Contains(pattern, ":") {
			continue
		}
		for _, before := range earlier {
			if !warned[one.Pos()] && rule.Covers(before.pattern, pattern) {
				r.warnOf(one, "never reached: %q (%s) takes every host that it matches", before.rule.String(), before.rule.Pos())
				warned[one.Pos()] = true
				break
			}
		}
		if isFinal(one) && len(earlier) < most && !isOneHost.MatchString(pattern) {
			earlier = append(earlier, open{one, pattern})
		}
	}
}

// isOneHost is a pattern without anything that could match more than one host.
var isOneHost = regexp.MustCompile(`^\^(?:[-\w]|\\\.)+\$$`)

// hostPattern is the pattern of a route-host rule.
func hostPattern(one *rule.Rule) (pattern string, ok bool) {
	value, ok := strings.CutPrefix(one.String(), "route-host = ")
	if !ok {
		return "", false
	}
	pattern, _, ok = strings.Cut(value, " ")
	return pattern, ok
}

// isFinal: no later rule has a turn after this one.
func isFinal(one *rule.Rule) bool {
	if kind, _, _ := one.Target(); kind != rule.None {
		return true
	}
	word, _, _ := strings.Cut(one.Action(), ":")
	switch word {
	case "redirect", "redirect-permanent", "redirect-301", "redirect-302", "return", "break", "break-with-status", "last", "continue":
		return true
	}
	return false
}

// placeholder is a capture or variable in a rule's target.
var placeholder = regexp.MustCompile(`\$(?:([0-9])|\{([0-9]+|[A-Za-z_][A-Za-z0-9_]*)\})`)

// targetPattern is a target as a pattern; captures are groups. A capture never holds
// a slash.
func targetPattern(target string) *regexp.Regexp {
	var text strings.Builder
	at := 0
	for _, p := range placeholder.FindAllStringIndex(target, -1) {
		text.WriteString(regexp.QuoteMeta(target[at:p[0]]) + `([^/]+)`)
		at = p[1]
	}
	text.WriteString(regexp.QuoteMeta(target[at:]))
	return regexp.MustCompile(`^(?:` + text.String() + `)$`)
}

// canBe tells whether a rule's target, with its captures filled in, can be the
// address.
func canBe(target, address string) bool { return targetPattern(target).MatchString(address) }

// captures tells whether the pattern of a rule can capture what makes its target the
// address. It is false only where that is certain: a route-host rule with one
// capture, whose group does not match the name that is needed.
func captures(one *rule.Rule, target, address string) bool {
	pattern, ok := hostPattern(one)
	places := placeholder.FindAllStringSubmatch(target, -1)
	if !ok || len(places) != 1 {
		return true
	}
	name := targetPattern(target).FindStringSubmatch(address)
	if name == nil {
		return false
	}
	return rule.MayCapture(pattern, places[0][1]+places[0][2], name[1])
}
