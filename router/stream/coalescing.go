package stream

import (
	"fmt"
	"iter"
	"slices"
	"strings"
)

// KeyShared is the option by which somebody says that names sharing a certificate
// are taken care of: with it, nobody needs Coalescing or Covered.
const KeyShared = "stream-shared-certificate"

// Coalescing warns of names that a browser may take for one server's, though rules
// pass them to several: when the certificate it was shown for one name covers another
// one with the same address, it sends the requests for both over one HTTP/2
// connection (RFC 9113, 9.1.1), whose ClientHello named the first. Nobody who passes
// bytes on can see that.
//
// Which certificates the servers behind have can't be known, so what counts is that
// there may be one: the names are in one domain, as a wildcard's are. ends are the
// names that are served here beside those of rules with the action http, and
// where each is written ("file:line", or ""). There is one warning for each domain.
func (t *Table) Coalescing(ends iter.Seq2[string, string]) []*Problem {
	if t == nil {
		return nil
	}
	var domains []*domain // in the order of their first rules
	byName := map[string]*domain{}
	enter := func(name string, s *sharer, create bool) {
		for _, parent := range parents(name) {
			d := byName[parent]
			if d == nil {
				if !create {
					continue
				}
				d = &domain{}
				byName[parent] = d
				domains = append(domains, d)
			}
			d.sharers = append(d.sharers, s)
		}
	}
	for _, r := range t.rules {
		if !r.coalesces() {
			continue
		}
		target := r.target()
		for _, name := range r.covers() {
			enter(name, &sharer{name: name, target: target, rule: r}, true)
		}
	}
	if ends != nil && len(domains) > 0 {
		for name, place := range ends {
			name = strings.TrimSuffix(strings.ToLower(name), ".")
			if t.endsHere(name) {
				enter(name, &sharer{name: name, place: place}, false)
			}
		}
	}
	var problems []*Problem
	for _, d := range domains {
		if p := d.warning(); p != nil {
			problems = append(problems, p)
		}
	}
	return problems
}

// Covered warns of a certificate of ours, for the names that it is for: where it is
// good for names that rules pass on, too, a browser that was shown it sends requests
// for those here. The text is "" if it is not, or for such names only.
func (t *Table) Covered(names []string) string {
	if t == nil {
		return ""
	}
	own := false
	for _, name := range names {
		own = own || t.endsHere(strings.ToLower(name))
	}
	if !own {
		return "" // nothing that ends here shows it
	}
	var found []string
	for _, r := range t.rules {
		if r.action != Pass || !r.coalesces() {
			continue
		}
		for _, name := range r.covers() {
			if slices.ContainsFunc(names, func(certified string) bool { return certifies(strings.ToLower(certified), name) }) {
				found = append(found, fmt.Sprintf("%s (%s)", name, r.Place()))
			}
		}
	}
	if len(found) == 0 {
		return ""
	}
	return fmt.Sprintf("it is for %s, and so for what is passed on, too: %s; a browser that was shown it here sends requests for that here, over the same HTTP/2 connection, and is answered 421; if what is behind shows it, too, that has to do the same for other names (%s)",
		shorten(names, " "), shorten(found, ", "), seeCoalescing)
}

const seeCoalescing = `docs/streams.md, "One certificate, several names"; ` + KeyShared + " = true: this is taken care of"

// mostSharers bounds how many names a warning lists.
const mostSharers = 4

func shorten(list []string, separator string) string {
	if more := len(list) - mostSharers; more > 0 {
		return fmt.Sprintf("%s and %d more", strings.Join(list[:mostSharers], separator), more)
	}
	return strings.Join(list, separator)
}

// domain is the names that one wildcard certificate may cover.
type domain struct{ sharers []*sharer }

// sharer is one of these names, or a pattern for many.
type sharer struct {
	name   string
	target string // where it goes, "" if it ends here
	rule   *Rule  // nil: served here without a rule
	place  string // where that is written, if it is known
}

// warning is what there is to say of a domain, nil if each client of it gets to the
// same place, or nothing of it is passed on.
func (d *domain) warning() *Problem {
	var passed *sharer
	targets := map[string]map[string]bool{} // by name
	several := false
	for _, s := range d.sharers {
		if s.rule != nil && s.rule.action == Pass {
			if passed == nil {
				passed = s
			}
			several = several || !s.rule.isFixed
		}
		if targets[s.name] == nil {
			targets[s.name] = map[string]bool{}
		}
		targets[s.name][s.target] = true
	}
	if passed == nil {
		return nil
	}
	// A name with conditions has several targets, of which a client gets to see one:
	// names differ if they do not have the same ones.
	for _, others := range targets {
		several = several || !sameKeys(others, targets[passed.name])
	}
	if !several {
		return nil
	}
	var list []string
	for _, s := range d.sharers {
		if text := s.describe(s.rule != passed.rule); !slices.Contains(list, text) {
			list = append(list, text)
		}
	}
	text := fmt.Sprintf("%s: if a certificate behind one name is good for another, such as a wildcard's, browsers send the requests for both over one HTTP/2 connection, and the wrong one gets them; "+
		"want 421 from each server for names that are not its own, certificates that do not cover the others' names, or alpn=http/1.1 (%s)", shorten(list, ", "), seeCoalescing)
	source := passed.rule.source
	return &Problem{File: source.File, Line: source.Line, Key: source.Key, Text: text, Warning: true}
}

// describe says where a name goes, and where that is written.
func (s *sharer) describe(placed bool) string {
	place := s.place
	if s.rule != nil {
		place = s.rule.Place()
	}
	if place != "" && placed {
		place = " (" + place + ")"
	} else {
		place = ""
	}
	if s.target == "" {
		return s.name + " ends here" + place
	}
	name := s.name
	if s.rule.pattern != nil {
		name = s.rule.name
	}
	return name + " goes to " + s.target + place
}

func sameKeys(a, b map[string]bool) bool {
	for key := range a {
		if !b[key] {
			return false
		}
	}
	return len(a) == len(b)
}

// coalesces tells whether a connection that a rule takes may be one of HTTP/2.
func (r *Rule) coalesces() bool {
	if r.source.Key != keySNI || r.action == Reject {
		return false
	}
	wanted, found := false, false
	for _, one := range r.when.alpn {
		switch {
		case one.not && one.name == "h2":
			return false
		case !one.not:
			wanted = true
			found = found || one.name == "h2"
		}
	}
	return found || !wanted
}

// target is where a rule's connections go: the same text for the same place.
func (r *Rule) target() string {
	if r.action == HTTP {
		return ""
	}
	addresses := r.Addresses()
	if len(addresses) == 1 {
		return addresses[0]
	}
	slices.Sort(addresses)
	return strings.Join(slices.Compact(addresses), "|")
}

// covers are the names that a rule is for, those of a whole domain as "*.domain".
func (r *Rule) covers() []string {
	switch {
	case r.pattern != nil:
		if names := r.pattern.Finite(); names != nil {
			return names
		}
		if domain := r.pattern.Suffix(); domain != "" {
			return []string{"*" + domain}
		}
		return nil
	case r.name == defaultName:
		return nil
	case r.self:
		return []string{r.name[1:], "*" + r.name}
	}
	return []string{r.name}
}

// browser is a client that may speak HTTP/2.
var browser = [][]byte{[]byte("h2"), []byte("http/1.1")}

// endsHere tells whether a browser that asks for a name, or for one of a wildcard's,
// is shown a certificate of ours and gets to the HTTP rules.
func (t *Table) endsHere(name string) bool {
	r, _ := t.find(&Client{Name: strings.Replace(name, "*", "any", 1), Protocols: browser})
	return r == nil || r.action == HTTP
}

// parents are the domains whose certificates may cover a name: the one it is in, and
// since a wildcard's certificate mostly has its domain's own name beside it, that.
func parents(name string) (domains []string) {
	_, parent, _ := strings.Cut(name, ".")
	if !isRegistry(parent) {
		domains = append(domains, parent)
	}
	if !strings.HasPrefix(name, "*.") && !isRegistry(name) {
		domains = append(domains, name)
	}
	return domains
}

// isRegistry tells the domains in which names have nothing to do with each other, as
// far as that can be seen without a list of all: com, co.uk.
func isRegistry(domain string) bool {
	first, country, ok := strings.Cut(domain, ".")
	if !ok {
		return true
	}
	switch first {
	case "ac", "co", "com", "edu", "go", "gob", "gov", "gouv", "ltd", "mil", "ne", "net", "nom", "or", "org", "plc", "sch":
		return len(country) == 2
	}
	return false
}

// certifies tells whether a certificate's name is good for a name, or for some of those
// that "*.domain" stands for.
func certifies(certified, name string) bool {
	if certified == name {
		return true
	}
	_, domain, _ := strings.Cut(name, ".")
	if strings.HasPrefix(name, "*.") {
		return strings.HasSuffix(certified, "."+domain)
	}
	wild, ok := strings.CutPrefix(certified, "*.")
	return ok && wild == domain
}
