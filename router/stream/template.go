package stream

import (
	"fmt"
	"strings"

	"emperor/router/rule"
)

// template is a text with places for captures:
//
//	$0 … $9        the whole name, group 1 … 9 of the rule's pattern
//	${0} ${name}   the same by number or by the name of the group (?<name>…)
//	$$, $ and else as they stand, as in the HTTP rules
type template []part

// part is a text, or the number of a group.
type part struct {
	literal string
	group   int // -1: literal
}

// captures is what a template is filled in with.
type captures struct {
	subject string // what the pattern matched, or the whole name
	offsets []int  // of the match and of each group; nil without a pattern
	own     bool   // subject comes from the configuration, not from a client
}

// of returns the text of a group, "" when it took no part.
func (c *captures) of(group int) string {
	switch {
	case c.offsets == nil:
		return c.subject
	case c.offsets[2*group] < 0:
		return ""
	}
	return c.subject[c.offsets[2*group]:c.offsets[2*group+1]]
}

// scope is what a template may refer to.
type scope struct {
	pattern *rule.HostPattern // nil: the name is none
	named   bool              // there is a name, so there is $0
}

// nginxNames are variables that people bring along.
var nginxNames = map[string]bool{"ssl_preread_server_name": true, "ssl_server_name": true, "host": true, "server_name": true}

func (s *scope) parse(text string) (t template, err error) {
	literal := ""
	add := func(group int) {
		if literal != "" {
			t = append(t, part{literal, -1})
			literal = ""
		}
		t = append(t, part{group: group})
	}
	for i := 0; i < len(text); i++ {
		if text[i] != '$' || i+1 == len(text) {
			literal += text[i : i+1]
			continue
		}
		switch next := text[i+1]; {
		case isDigit(next):
			if err := s.check(int(next-'0'), text); err != nil {
				return nil, err
			}
			add(int(next - '0'))
			i++
		case next == '{':
			end := strings.IndexByte(text[i:], '}')
			if end < 0 {
				return nil, fmt.Errorf("%s: the ${ has no }, want ${NAME}", text)
			}
			group, err := s.group(text[i+2:i+end], text)
			if err != nil {
				return nil, err
			}
			add(group)
			i += end
		case next == '$':
			literal += "$$"
			i++
		case next == '_' || next|0x20 >= 'a' && next|0x20 <= 'z':
			return nil, s.bare(text, i)
		default:
			literal += "$"
		}
	}
	if literal != "" {
		t = append(t, part{literal, -1})
	}
	return t, nil
}

// bare is the error about $name without braces at offset i.
func (s *scope) bare(text string, i int) error {
	end := i + 1
	for end < len(text) && (text[end] == '_' || isDigit(text[end]) || text[end]|0x20 >= 'a' && text[end]|0x20 <= 'z') {
		end++
	}
	name := text[i+1 : end]
	if nginxNames[name] && !s.has(name) {
		after := ""
		if !strings.Contains(text[end:], ":") {
			after = ", and a port behind it: $0:443"
		}
		return fmt.Errorf("%s: $%s is nginx's, write $0 for the name that the client asks for%s", text, name, after)
	}
	return fmt.Errorf("%s: write ${%s} for the group (?<%s>…): a name is in braces", text, name, name)
}

func (s *scope) has(name string) bool {
	if s.pattern == nil {
		return false
	}
	_, ok := s.pattern.Group(name)
	return ok
}

// group finds the group that stands in ${…}.
func (s *scope) group(name, text string) (int, error) {
	if len(name) > 0 && strings.Trim(name, "0123456789") == "" {
		number := 0
		for i := range len(name) {
			number = min(number*10+int(name[i]-'0'), 1000)
		}
		return number, s.check(number, text)
	}
	if s.pattern != nil {
		if number, ok := s.pattern.Group(name); ok {
			return number, nil
		}
	}
	if nginxNames[name] {
		return 0, fmt.Errorf("%s: ${%s} is nginx's, write $0 for the name that the client asks for", text, name)
	}
	return 0, fmt.Errorf("%s: there is no group (?<%s>…) in the pattern", text, name)
}

// check says what is wrong with a group's number.
func (s *scope) check(number int, text string) error {
	switch {
	case s.pattern == nil && !s.named:
		return fmt.Errorf("%s: there is nothing to capture: no name was asked for", text)
	case s.pattern == nil && number > 0:
		return fmt.Errorf(`%s: there is no pattern to capture $%d; want a NAME such as ^(.+)\.example\.com$, or $0 for the whole name`, text, number)
	case s.pattern != nil && number > s.pattern.Groups():
		return fmt.Errorf("%s: there is no group $%d, the pattern has %s", text, number, countGroups(s.pattern.Groups()))
	}
	return nil
}

func countGroups(n int) string {
	switch n {
	case 0:
		return "none"
	case 1:
		return "one"
	}
	return fmt.Sprint(n)
}

// literal returns the text of a template without captures.
func (t template) literal() (text string, ok bool) {
	switch {
	case len(t) == 0:
		return "", true
	case len(t) == 1 && t[0].group < 0:
		return t[0].literal, true
	}
	return "", false
}

// cut splits a template at the first or the last of a byte in its literals.
func (t template) cut(separator byte, last bool) (before, after template, found bool) {
	index := strings.IndexByte
	if last {
		index = strings.LastIndexByte
	}
	for n := range t {
		i := n
		if last {
			i = len(t) - 1 - n
		}
		at := index(t[i].literal, separator)
		if at < 0 {
			continue
		}
		before = append(before, t[:i]...)
		if at > 0 {
			before = append(before, part{t[i].literal[:at], -1})
		}
		if rest := t[i].literal[at+1:]; rest != "" {
			after = append(after, part{rest, -1})
		}
		return before, append(after, t[i+1:]...), true
	}
	return t, nil, false
}

// fill puts captures in, each of which must be what admit admits.
func (t template) fill(c *captures, admit func(text string) bool, place string) (string, error) {
	var text strings.Builder
	for i := range t {
		one := t[i].literal
		if t[i].group >= 0 {
			if one = c.of(t[i].group); !admit(one) {
				return "", refusal(t[i].group, one, place)
			}
		}
		text.WriteString(one)
	}
	return text.String(), nil
}

// refusal says why a capture may not go where the rule puts it.
func refusal(group int, text, place string) error {
	if text == "" {
		return fmt.Errorf("$%d is empty, which can not be part of %s", group, place)
	}
	if len(text) > 100 {
		text = text[:100]
	}
	return fmt.Errorf("$%d is %q, which can not be part of %s", group, text, place)
}
