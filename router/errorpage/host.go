package errorpage

import (
	"bytes"
	"fmt"
	"regexp"
	"strings"
)

// Host is a pattern of host names: "example.com", "*.example.com" (any number of
// labels in front), "^regular expression", "*" or nothing for every host.
type Host struct {
	kind hostKind
	text string // name; what follows the *; the expression
	re   *regexp.Regexp
}

type hostKind uint8

const (
	every hostKind = iota
	exact
	suffix
	pattern
)

// ParseHost checks a pattern.
func ParseHost(text string) (Host, error) {
	switch {
	case text == "" || text == "*":
		return Host{}, nil
	case text[0] == '^':
		re, err := regexp.Compile(text)
		if err != nil {
			return Host{}, fmt.Errorf("host %q: %w", text, err)
		}
		return Host{pattern, text, re}, nil
	}
	name, wildcard := strings.CutPrefix(text, "*.")
	name = strings.ToLower(strings.TrimSuffix(name, "."))
	if !plainHost(name) {
		return Host{}, fmt.Errorf("host %q: want a name like example.com, *.example.com, a regular expression that starts with ^, or * for every host", text)
	}
	if wildcard {
		return Host{kind: suffix, text: "." + name}, nil
	}
	return Host{kind: exact, text: name}, nil
}

// plainHost tells whether name is what a request's host can be, without a port.
func plainHost(name string) bool {
	if strings.HasPrefix(name, "[") {
		return strings.HasSuffix(name, "]") && strings.Trim(name[1:len(name)-1], "0123456789abcdef:.") == ""
	}
	for label := range strings.SplitSeq(name, ".") {
		if label == "" || strings.Trim(label, "abcdefghijklmnopqrstuvwxyz0123456789-_") != "" {
			return false
		}
	}
	return true
}

func (h Host) String() string {
	switch h.kind {
	case exact, pattern:
		return h.text
	case suffix:
		return "*" + h.text
	}
	return "*"
}

// Matches tells whether a canonical name is meant.
func (h Host) Matches(name []byte) bool {
	switch h.kind {
	case exact:
		return string(name) == h.text
	case suffix:
		return len(name) > len(h.text) && bytes.HasSuffix(name, []byte(h.text))
	case pattern:
		return h.re.Match(name)
	}
	return true
}

// hosts finds what is set for a host: the most specific first. The number of hosts
// does not matter, but for patterns, which are tried one after the other.
type hosts[T any] struct {
	exact    map[string]*T
	suffixes map[string]*T
	patterns []hostPattern[T]
	every    *T
}

type hostPattern[T any] struct {
	host  Host
	value *T
}

// at is the value for exactly this pattern, made if there is none.
func (h *hosts[T]) at(host Host) *T {
	switch host.kind {
	case exact:
		return valueIn(&h.exact, host.text)
	case suffix:
		return valueIn(&h.suffixes, host.text)
	case pattern:
		for i := range h.patterns {
			if h.patterns[i].host.text == host.text {
				return h.patterns[i].value
			}
		}
		value := new(T)
		h.patterns = append(h.patterns, hostPattern[T]{host, value})
		return value
	}
	if h.every == nil {
		h.every = new(T)
	}
	return h.every
}

func valueIn[T any](m *map[string]*T, key string) *T {
	if *m == nil {
		*m = map[string]*T{}
	}
	value := (*m)[key]
	if value == nil {
		value = new(T)
		(*m)[key] = value
	}
	return value
}

// all yields the values for a canonical name, the most specific first, until yield
// returns false.
func (h *hosts[T]) all(name []byte, yield func(*T) bool) {
	if value := h.exact[string(name)]; value != nil && !yield(value) {
		return
	}
	if len(h.suffixes) > 0 {
		for i, c := range name {
			if c != '.' || i == 0 {
				continue
			}
			if value := h.suffixes[string(name[i:])]; value != nil && !yield(value) {
				return
			}
		}
	}
	for i := range h.patterns {
		if h.patterns[i].host.Matches(name) && !yield(h.patterns[i].value) {
			return
		}
	}
	if h.every != nil {
		yield(h.every)
	}
}
