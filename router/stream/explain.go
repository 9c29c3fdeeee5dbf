package stream

import (
	"fmt"
	"strings"
)

// Step is what became of one rule when a client was explained.
type Step struct {
	Rule    *Rule
	Matched bool
	Text    string // why it matched or not, and what it did, in words
}

// Explain finds as Find does, and tells of every rule in the order in which they are
// asked, up to the one that decided, why it is for this client or not.
func (t *Table) Explain(c *Client) (steps []Step, d Decision, ok bool) {
	if t == nil {
		return nil, Decision{}, false
	}
	for _, r := range t.asked(c) {
		why, matched := t.why(r, c)
		if !matched {
			steps = append(steps, Step{r, false, why})
			continue
		}
		var groups []int
		r.when.hold(c, &groups)
		if r.source.Key == keySNI && r.pattern != nil {
			r.pattern.Match([]byte(c.Name), &groups)
		}
		d = t.decide(r, c, groups)
		steps = append(steps, Step{r, true, why + r.captured(c, groups) + "; " + d.String()})
		return steps, d, true
	}
	return steps, Decision{}, false
}

// asked returns the rules in the order in which they are asked for a client.
func (t *Table) asked(c *Client) (list []*Rule) {
	list = append(list, t.first...)
	if c.Name == "" {
		return append(append(list, t.nameless...), t.others...)
	}
	byLength := map[int][]*Rule{}
	longest := 0
	for _, r := range t.rules {
		switch {
		case r.source.Key != keySNI || r.pattern != nil || r.name == defaultName:
		case r.below:
			n := len(strings.TrimPrefix(r.name, "*"))
			byLength[n] = append(byLength[n], r)
			longest = max(longest, n)
		default:
			list = append(list, r)
		}
	}
	for n := longest; n > 0; n-- {
		list = append(list, byLength[n]...)
	}
	return append(append(list, t.patterns...), t.others...)
}

// why says why a rule is for a client, or why not.
func (t *Table) why(r *Rule, c *Client) (text string, matched bool) {
	if r.source.Key == keySNI {
		if text, matched = r.whyName(c.Name); !matched {
			return text, false
		}
	} else if r.source.Key == keyDefault {
		text = "no name is asked for"
	}
	if !r.when.alpnHolds(c) {
		return fmt.Sprintf("no match: alpn, and the client offers %s", offered(c.Protocols)), false
	}
	var groups []int
	if !r.when.remoteHolds(c, &groups) {
		if !c.Remote.IsValid() {
			return "no match: the client's address is not known", false
		}
		return fmt.Sprintf("no match: the client's address is %s", c.Remote.Unmap()), false
	}
	var holds []string
	if len(r.when.alpn) > 0 {
		holds = append(holds, "the client offers "+offered(c.Protocols))
	}
	if len(r.when.remotes) > 0 {
		if c.Remote.IsValid() {
			holds = append(holds, "the client's address is "+c.Remote.Unmap().String())
		} else {
			holds = append(holds, "the client's address is not known")
		}
	}
	if text != "" {
		holds = append([]string{text}, holds...)
	}
	return strings.Join(holds, ", "), true
}

// whyName is the same for the name alone.
func (r *Rule) whyName(name string) (text string, matched bool) {
	switch {
	case r.name == defaultName:
		if name == "" {
			return "no name is asked for", true
		}
		return "takes any name", true
	case name == "":
		return "no match: no name is asked for", false
	case r.pattern != nil:
		matched = r.pattern.Match([]byte(name), nil)
	case r.below:
		domain := r.name[strings.IndexByte(r.name, '.'):]
		matched = strings.HasSuffix(name, domain) && len(name) > len(domain) || r.self && name == domain[1:]
	default:
		matched = name == r.name
	}
	if !matched {
		return fmt.Sprintf("no match for %s", name), false
	}
	return "matches " + name, true
}

func offered(protocols [][]byte) string {
	if len(protocols) == 0 {
		return "no protocol"
	}
	var names []string
	for _, one := range protocols {
		names = append(names, fmt.Sprintf("%q", one))
	}
	return strings.Join(names, ", ")
}

// captured lists what the groups hold that the rule uses.
func (r *Rule) captured(c *Client, groups []int) string {
	if r.isFixed || r.pattern == nil {
		return ""
	}
	from := captures{subject: c.Name, offsets: groups}
	if r.source.Key == keyRemote {
		from.subject = c.Remote.Unmap().String()
	}
	text := ""
	for n := 1; n <= r.pattern.Groups(); n++ {
		text += fmt.Sprintf(", $%d = %q", n, from.of(n))
	}
	return text
}
