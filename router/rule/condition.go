package rule

import (
	"bytes"
	"fmt"
	"net/netip"
	"sort"
	"strconv"
	"strings"
)

// conditionTest is route-if and route-if-not: CONDITION:ARGUMENTS.
type conditionTest struct {
	name        string
	left, right template
	compare     func(left, right []byte) bool
	pattern     pattern // of regexp:, then compare is nil
	groups      bool
	negate      bool
}

// comparisons are the conditions with two operands, "a;b".
var comparisons = map[string]func(left, right []byte) bool{
	"equal": bytes.Equal, "isequal": bytes.Equal, "eq": bytes.Equal, "==": bytes.Equal,
	"startswith": bytes.HasPrefix, "endswith": bytes.HasSuffix,
	"contains": bytes.Contains, "contain": bytes.Contains,
	">": isHigher, "ishigher": isHigher,
	"<": isLower, "islower": isLower,
	">=": isHigherEqual, "ishigherequal": isHigherEqual,
	"<=": isLowerEqual, "islowerequal": isLowerEqual,
	"ipv4in": isAddressIn, "ipv6in": isAddressIn,
}

func isHigher(a, b []byte) bool      { return number(a) > number(b) }
func isLower(a, b []byte) bool       { return number(a) < number(b) }
func isHigherEqual(a, b []byte) bool { return number(a) >= number(b) }
func isLowerEqual(a, b []byte) bool  { return number(a) <= number(b) }

// number reads the leading integer of text as atoi does; 0 if there is none.
func number(text []byte) (n int64) {
	negative := len(text) > 0 && text[0] == '-'
	if negative || len(text) > 0 && text[0] == '+' {
		text = text[1:]
	}
	for _, c := range text {
		if !isDigit(c) || n > 1<<50 {
			break
		}
		n = n*10 + int64(c-'0')
	}
	if negative {
		return -n
	}
	return n
}

// isAddressIn reports whether an address is in a network; false for what is none.
func isAddressIn(address, network []byte) bool {
	a, err := netip.ParseAddr(string(address))
	if err != nil {
		return false
	}
	text := string(network)
	if !strings.Contains(text, "/") {
		b, err := netip.ParseAddr(text)
		return err == nil && a.Unmap() == b.Unmap()
	}
	prefix, err := netip.ParsePrefix(text)
	return err == nil && prefix.Contains(a.Unmap())
}

func parseCondition(text string, negate bool, warning func(string)) (*conditionTest, *scope, error) {
	none := &scope{groups: -1, warning: warning}
	name, arguments, found := strings.Cut(text, ":")
	if !found {
		return nil, nil, fmt.Errorf("%q is no condition, want CONDITION:ARGUMENTS such as equal:${REQUEST_METHOD};POST", text)
	}
	t := &conditionTest{name: name, negate: negate}
	var err error
	if name == "empty" {
		t.left, err = parseTemplate(arguments, anywhere, none)
		t.compare = func(left, _ []byte) bool { return len(left) == 0 }
		return t, none, err
	}
	t.compare = comparisons[name]
	isRegexp := name == "regexp" || name == "re"
	switch {
	case strings.HasPrefix(name, "exists"), strings.HasPrefix(name, "isfile"), strings.HasPrefix(name, "isdir"),
		strings.HasPrefix(name, "islink"), strings.HasPrefix(name, "isexec"):
		return nil, nil, fmt.Errorf("condition %s is not available: the front does not look at files for a request", name)
	case t.compare == nil && !isRegexp:
		return nil, nil, fmt.Errorf("unknown condition %q, want one of %s", name, conditionNames())
	}
	left, right, found := strings.Cut(arguments, ";")
	if !found {
		return nil, nil, fmt.Errorf("condition %s: want two operands with a ; between them, such as %s:${REQUEST_METHOD};POST", name, name)
	}
	if t.left, err = parseTemplate(left, anywhere, none); err != nil {
		return nil, nil, err
	}
	if !isRegexp {
		t.right, err = parseTemplate(right, anywhere, none)
		return t, none, err
	}
	if strings.Contains(right, "${") {
		return nil, nil, fmt.Errorf("condition %s: want a fixed pattern, without variables", name)
	}
	p, s, err := compilePattern(right, false)
	if err != nil {
		return nil, nil, err
	}
	t.pattern, t.right = p, template{literal: right}
	raw := true
	for i := range t.left.list() {
		raw = raw && (*t.left.parts)[i].raw
	}
	return t, &scope{groups: s.groups, names: s.names, raw: raw, warning: warning}, nil
}

func conditionNames() string {
	names := []string{"empty", "regexp", "re"}
	for name := range comparisons {
		names = append(names, name)
	}
	sort.Strings(names)
	return strings.Join(names, " ")
}

func (t *conditionTest) holds(q *Query, d *Decision) bool {
	at := len(d.buf)
	left, _ := d.fill(&t.left, q)
	if t.pattern != nil {
		d.subject = left // stays: the action's captures are in it
		d.groups = d.groups[:0]
		if t.groups && !t.negate {
			return t.pattern.match(left, &d.groups)
		}
		return t.pattern.match(left, nil) != t.negate
	}
	right, _ := d.fill(&t.right, q)
	held := t.compare(left, right)
	d.buf = d.buf[:at]
	d.groups = d.groups[:0]
	return held != t.negate
}

func (t *conditionTest) String() string {
	text := t.name + ":" + t.left.String()
	if t.name != "empty" {
		text += ";" + t.right.String()
	}
	if t.negate {
		return "not " + strconv.Quote(text)
	}
	return strconv.Quote(text)
}
