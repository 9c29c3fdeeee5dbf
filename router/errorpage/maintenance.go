package errorpage

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// Closure is one host, or many, in maintenance.
type Closure struct {
	Host       Host
	Open       bool           // not closed, though a wider pattern closes it; the rest means nothing then
	RetryAfter int            // seconds; 0 means five minutes
	Allow      []netip.Prefix // visitors who see the site all the same
	File       string         // a page of its own; empty: the error page for 503
	Content    []byte         // of File
}

const wantClosure = "want HOST [FILE] [retry-after=SECONDS] [allow=ADDRESS[/BITS],…], or HOST off"

const fiveMinutes = 300

// ParseClosure reads the value of maintenance: which host (* for all), and behind it
// the file of a page, in how many seconds it is worth trying again, who is let in all
// the same; or off, for a host that stays open while others are closed.
func ParseClosure(value string) (c Closure, err error) {
	word, rest := cutWord(value)
	if word == "" {
		return Closure{}, errors.New(wantClosure)
	}
	if c.Host, err = ParseHost(word); err != nil {
		return Closure{}, err
	}
	if rest == "off" {
		c.Open = true
		return c, nil
	}
	for rest != "" {
		word, rest = cutWord(rest)
		name, argument, assigned := strings.Cut(word, "=")
		switch {
		case assigned && name == "retry-after":
			n, ok := number(argument)
			if !ok || n == 0 {
				return Closure{}, fmt.Errorf("retry-after: want seconds, 1 to 65535, got %q", argument)
			}
			c.RetryAfter = n
		case assigned && name == "allow":
			for text := range strings.SplitSeq(argument, ",") {
				prefix, ok := parsePrefix(text)
				if !ok {
					return Closure{}, fmt.Errorf("allow: want addresses like 192.0.2.1, 10.0.0.0/8 or 2001:db8::/32, got %q", text)
				}
				c.Allow = append(c.Allow, prefix)
			}
		case c.File == "" && strings.ContainsAny(word, "/."):
			c.File = word
		default:
			return Closure{}, fmt.Errorf("%s; got %q", wantClosure, word)
		}
	}
	return c, nil
}

// parsePrefix reads an address or a network.
func parsePrefix(text string) (netip.Prefix, bool) {
	if a, err := netip.ParseAddr(text); err == nil && a.Zone() == "" {
		a = a.Unmap()
		return netip.PrefixFrom(a, a.BitLen()), true
	}
	p, err := netip.ParsePrefix(text)
	return p.Masked(), err == nil
}

// Maintenance is the compiled set. It is immutable; nil is usable: nothing is closed.
type Maintenance struct {
	hosts hosts[Notice]
}

// Notice is what a closed site answers: 503.
type Notice struct {
	RetryAfter int // seconds

	open  bool
	allow []netip.Prefix
	pages *Pages // its own page, for every host
}

// CompileMaintenance compiles closures. As with pages the most specific host counts,
// and of several for the same host the allow-lists add up. The error is all that is
// wrong, joined, each an *Error.
func CompileMaintenance(closures []Closure) (*Maintenance, error) {
	m := &Maintenance{}
	var problems []error
	for i := range closures {
		if err := m.add(&closures[i]); err != nil {
			problems = append(problems, &Error{i, err.Error()})
		}
	}
	if len(problems) > 0 {
		return nil, errors.Join(problems...)
	}
	return m, nil
}

func (m *Maintenance) add(c *Closure) error {
	n := m.hosts.at(c.Host)
	n.open = n.open || c.Open
	n.allow = append(n.allow, c.Allow...)
	if c.RetryAfter > 0 {
		n.RetryAfter = c.RetryAfter
	} else if n.RetryAfter == 0 {
		n.RetryAfter = fiveMinutes
	}
	if c.File == "" {
		return nil
	}
	if n.pages == nil {
		n.pages = &Pages{}
	}
	return n.pages.add(&Page{Selector{Statuses: []Status{{503, 503}}}, c.Content, c.File})
}

// Closed tells whether host is closed to the visitor, and what to answer: nil lets
// the request through. host is canonical; the address is the visitor's, as far as
// trusted proxies tell it, and invalid if it has none.
func (m *Maintenance) Closed(host []byte, visitor netip.Addr) *Notice {
	if m == nil {
		return nil
	}
	var notice *Notice
	m.hosts.all(host, func(n *Notice) bool {
		notice = n
		return false
	})
	if notice == nil || notice.open || notice.allows(visitor) {
		return nil
	}
	return notice
}

func (n *Notice) allows(visitor netip.Addr) bool {
	visitor = visitor.Unmap().WithZone("")
	return slices.ContainsFunc(n.allow, func(p netip.Prefix) bool { return p.Contains(visitor) })
}

// Append appends the body of the answer, as Pages.Append does; pages are those of
// the front, for a closure without a page of its own. It sets what the notice
// decides in a: Status, Text and RetryAfter.
func (n *Notice) Append(dst []byte, a *Answer, pages *Pages) (body []byte, contentType string) {
	a.Status, a.Text, a.RetryAfter = 503, "this site is being worked on", n.RetryAfter
	return appendAnswer(dst, a, n.pages, pages)
}
