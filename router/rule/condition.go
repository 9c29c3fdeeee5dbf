package rule

import (
	"errors"
	"fmt"
	"sort"
	"strconv"
	"strings"
)

// conditions are the names that route-if knows besides the comparisons.
const (
	conditionEmpty  = "empty"
	conditionRegexp = "regexp"
)

// fileConditions ask about a file.
var fileConditions = map[string]FileKind{
	"exists": Exists, "isfile": Regular, "isdir": Directory, "islink": Symlink, "isexec": Executable,
}

// parseCondition reads "CONDITION:ARGUMENTS" and returns the test and what the
// action may refer to.
func parseCondition(text string, negate bool, s *scope) (test, *scope, error) {
	name, arguments, found := strings.Cut(text, ":")
	if !found {
		return nil, nil, fmt.Errorf("%q is no condition, want CONDITION:ARGUMENTS such as equal:${REQUEST_METHOD};POST", text)
	}
	if kind, ok := fileConditions[name]; ok {
		path, err := parseFilePath(arguments, TestRoot, s)
		if err != nil {
			return nil, nil, fmt.Errorf("condition %s: %w", name, err)
		}
		return &fileTest{name, kind, path, negate}, s, nil
	}
	switch name {
	case conditionEmpty:
		operand, err := parseTemplate(arguments, anywhere, s)
		return &emptyTest{operand, negate}, s, err
	case "lord":
		return nil, nil, errors.New("condition lord is not available: there is no legion in the front; use one emperor per machine and a load balancer that asks for its health")
	case "incache":
		return nil, nil, errors.New("condition incache is not available: the front has no cache; the vassal itself can still use it")
	}
	compare := comparisons[name]
	isRegexp := name == conditionRegexp || name == "re"
	if compare == nil && !isRegexp {
		return nil, nil, fmt.Errorf("unknown condition %q, want one of %s", name, conditionNames())
	}
	leftText, rightText, found := strings.Cut(arguments, ";")
	if !found {
		return nil, nil, fmt.Errorf("condition %s: want two operands with a ; between them, such as %s:${REQUEST_METHOD};POST", name, name)
	}
	left, err := parseTemplate(leftText, anywhere, s)
	if err != nil {
		return nil, nil, err
	}
	if isRegexp {
		return parseRegexpCondition(name, left, rightText, negate, s)
	}
	right, err := parseTemplate(rightText, anywhere, s)
	if (name == "ipv4in" || name == "ipv6in") && err == nil && right.isLiteral() {
		network, ok := parseNetwork(rightText)
		if !ok {
			s.warning(fmt.Sprintf("%s:…;%s never holds: want an address or a network such as 10.0.0.0/8", name, rightText))
		}
		compare = addressIn(network)
	}
	return &compareTest{name, left, right, compare, negate}, s, err
}

func parseRegexpCondition(name string, left template, right string, negate bool, s *scope) (test, *scope, error) {
	if strings.Contains(right, "${") {
		return nil, nil, fmt.Errorf("condition %s: want a fixed pattern, without variables", name)
	}
	p, shape, err := compilePattern(right, false)
	if err != nil {
		return nil, nil, err
	}
	raw := true
	for i := range left.list() {
		raw = raw && (*left.parts)[i].raw
	}
	inner := *s
	inner.groups, inner.names, inner.slashes, inner.raw = shape.groups, shape.names, shape.slashes(), raw
	if negate {
		inner.groups, inner.names = -1, nil // where it does not match there are none
	}
	return &regexpTest{name: name, left: left, pattern: p, text: right, negate: negate}, &inner, nil
}

func conditionNames() string {
	names := []string{conditionEmpty, conditionRegexp, "re"}
	for name := range comparisons {
		names = append(names, name)
	}
	for name := range fileConditions {
		names = append(names, name)
	}
	sort.Strings(names)
	return strings.Join(names, " ")
}

// compareTest is a condition with two operands.
type compareTest struct {
	name        string
	left, right template
	compare     func(left, right []byte) bool
	negate      bool
}

func (t *compareTest) holds(q *Query, d *Decision) bool {
	at := len(d.buf)
	left, _ := d.fill(&t.left, q)
	right, _ := d.fill(&t.right, q)
	held := t.compare(left, right)
	d.buf = d.buf[:at]
	d.groups = d.groups[:0]
	return held != t.negate
}

func (t *compareTest) String() string {
	return negated(t.negate, strconv.Quote(t.name+":"+t.left.String()+";"+t.right.String()))
}

func (t *compareTest) whyNot(q *Query, d *Decision) string {
	left, _ := d.fill(&t.left, q)
	right, _ := d.fill(&t.right, q)
	return fmt.Sprintf("%s does not hold: it compares %q with %q", t, left, right)
}

func (t *compareTest) found(d *Decision) string { return t.String() + " holds" }

// regexpTest is a pattern on whatever a template makes.
type regexpTest struct {
	name    string
	left    template
	pattern pattern
	text    string
	groups  bool // the action uses groups
	negate  bool
}

func (t *regexpTest) holds(q *Query, d *Decision) bool {
	d.groups = d.groups[:0]
	left, _ := d.fill(&t.left, q)
	d.subject = left // stays: the action's captures are in it
	if t.groups && !t.negate {
		return t.pattern.match(left, &d.groups)
	}
	return t.pattern.match(left, nil) != t.negate
}

func (t *regexpTest) String() string {
	return negated(t.negate, strconv.Quote(t.name+":"+t.left.String()+";"+t.text))
}

func (t *regexpTest) whyNot(q *Query, d *Decision) string {
	left, _ := d.fill(&t.left, q)
	return fmt.Sprintf("%s does not hold for %q", t, left)
}

func (t *regexpTest) found(d *Decision) string {
	return t.String() + " holds" + d.captured(t.groups && !t.negate)
}

// emptyTest is empty:TEXT.
type emptyTest struct {
	operand template
	negate  bool
}

func (t *emptyTest) holds(q *Query, d *Decision) bool {
	at := len(d.buf)
	text, _ := d.fill(&t.operand, q)
	d.buf = d.buf[:at]
	d.groups = d.groups[:0]
	return (len(text) == 0) != t.negate
}

func (t *emptyTest) String() string {
	return negated(t.negate, strconv.Quote("empty:"+t.operand.String()))
}

func (t *emptyTest) whyNot(q *Query, d *Decision) string {
	text, _ := d.fill(&t.operand, q)
	return fmt.Sprintf("%s does not hold: it is %q", t, text)
}

func (t *emptyTest) found(d *Decision) string { return t.String() + " holds" }

// fileTest asks whether there is a file. A name that can not be one, because of
// what the client sent, is that of no file.
type fileTest struct {
	name   string
	kind   FileKind
	path   filePath
	negate bool
}

func (t *fileTest) holds(q *Query, d *Decision) bool {
	d.groups = d.groups[:0]
	at := len(d.buf)
	held := t.path.is(t.kind, q, d)
	d.buf = d.buf[:at]
	return held != t.negate
}

func (t *fileTest) String() string {
	return negated(t.negate, strconv.Quote(t.name+":"+t.path.String()))
}

func (t *fileTest) whyNot(q *Query, d *Decision) string {
	path, ok := d.fill(&t.path.path, q)
	if !ok {
		return t.String() + " does not hold: " + d.refusal()
	}
	return fmt.Sprintf("%s does not hold for %s", t, path)
}

func (t *fileTest) found(d *Decision) string { return t.String() + " holds" }

func negated(negate bool, text string) string {
	if negate {
		return "not " + text
	}
	return text
}
