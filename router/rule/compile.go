package rule

import (
	"errors"
	"fmt"
	"sort"
	"strconv"
	"strings"
)

// Keys returns the names of the directives that Compile accepts, sorted.
func Keys() []string {
	var keys []string
	for c := range chainPrefixes {
		keys = append(keys, keysOf(Chain(c))...)
	}
	sort.Strings(keys)
	return keys
}

// keysOf returns the names of the directives of one chain, sorted.
func keysOf(c Chain) []string {
	prefix := chainPrefixes[c]
	keys := []string{prefix + "-host", prefix + "-if", prefix + "-if-not", prefix + "-label", prefix + "-run"}
	if c != RequestChain {
		keys = append(keys, prefix+"-status")
	}
	for suffix := range subjects {
		keys = append(keys, prefix+suffix)
	}
	sort.Strings(keys)
	return keys
}

// chainOf splits the name of a directive: "error-route-host" is the error chain's
// "-host".
func chainOf(key string) (c Chain, suffix string, ok bool) {
	for c, prefix := range chainPrefixes {
		if suffix, ok := strings.CutPrefix(key, prefix); ok {
			return Chain(c), suffix, true
		}
	}
	return 0, "", false
}

// VariableKey is a directive beside those of Keys: NAME=VALUE gives every request
// that variable, as "route-run = addvar:NAME=VALUE" would. Such directives come
// before all others, and rules that goto: counts are counted without them.
const VariableKey = "http-var"

const variableSuffix = "=" // of no route directive

// Compile reads directives in the order in which they apply. It reports every
// mistake at once, each a *[Problem]; with any mistake the Table is nil.
// No directives make a Table that leaves every request to the default.
//
// The Table keeps sources, which must not change afterwards.
func Compile(sources []Source) (*Table, []error) {
	c := compiler{table: &Table{}}
	for i := range sources {
		if sources[i].Key == VariableKey {
			c.chains[RequestChain].count++
			c.chains[RequestChain].variables++
		} else if chain, _, ok := chainOf(sources[i].Key); ok {
			c.chains[chain].count++
		}
	}
	for i := range c.chains {
		c.chains[i].init(&c.table.chains[i])
	}
	for i := range sources {
		c.add(i, &sources[i])
	}
	for i := range c.chains {
		c.resolveJumps(&c.chains[i])
	}
	if len(c.errors) > 0 {
		return nil, inOrder(c.errors)
	}
	for i := range c.chains {
		one := &c.chains[i]
		one.rules().index.build(one.filings)
		c.warnUnreachable(one)
	}
	c.table.warnings = inOrder(c.warnings)
	return c.table, nil
}

// compiler is the state of one Compile.
type compiler struct {
	table    *Table
	chains   [chains]chainCompiler
	errors   []remark
	warnings []remark
}

// chainCompiler is the same for one chain.
type chainCompiler struct {
	table   *chain
	count   int       // of rules to come
	places  []int     // which directive each rule is
	filings []*filing // for the index, one for each rule
	labels  map[string]int
	jumps   bool

	variables int // how many rules at the start are VariableKey
}

func (c *chainCompiler) init(table *chain) {
	c.table = table
	if c.count > 0 {
		table.rules = make([]Rule, 0, c.count)
		c.filings = make([]*filing, 0, c.count)
		c.places = make([]int, 0, c.count)
		c.labels = make(map[string]int)
	}
}

func (c *chainCompiler) rules() *chain { return c.table }

// remark is a problem and the number of the directive that has it.
type remark struct {
	place   int
	problem *Problem
}

func newRemark(place int, source *Source, text string) remark {
	return remark{place, &Problem{Pos: Pos{source.File, source.Line}, Key: source.Key, Text: text}}
}

func (c *compiler) warn(place int, source *Source, text string) {
	c.warnings = append(c.warnings, newRemark(place, source, text))
}

func inOrder(remarks []remark) []error {
	sort.SliceStable(remarks, func(i, j int) bool { return remarks[i].place < remarks[j].place })
	var problems []error
	for _, r := range remarks {
		problems = append(problems, r.problem)
	}
	return problems
}

// add compiles one directive.
func (c *compiler) add(place int, source *Source) {
	chain, suffix, ok := chainOf(source.Key)
	if source.Key == VariableKey {
		chain, suffix, ok = RequestChain, variableSuffix, true
	}
	if !ok {
		c.errors = append(c.errors, newRemark(place, source, "unknown route directive, want one of "+strings.Join(Keys(), " ")))
		return
	}
	one := &c.chains[chain]
	b := builder{
		rule:  Rule{source: source},
		scope: scope{groups: -1, compiler: c, chain: chain, place: place, source: source},
	}
	if err := b.build(suffix, one); err != nil {
		c.errors = append(c.errors, newRemark(place, source, err.Error()))
	}
	// A rule with a mistake keeps its number, so that jumps are judged rightly.
	one.table.rules = append(one.table.rules, b.rule)
	one.filings = append(one.filings, b.filing)
	one.places = append(one.places, place)
}

// root enters what a rule needs of the file system, once.
func (c *compiler) root(source *Source, use RootUse, dir, name string) int {
	for i := range c.table.roots {
		if r := &c.table.roots[i]; r.Use == use && r.Dir == dir && r.Name == name {
			return i
		}
	}
	c.table.roots = append(c.table.roots, Root{Use: use, Dir: dir, Name: name, Pos: Pos{source.File, source.Line}})
	return len(c.table.roots) - 1
}

// builder makes one rule.
type builder struct {
	rule   Rule
	filing *filing // nil: the rule is tried for every host
	scope  scope
}

func (b *builder) build(suffix string, one *chainCompiler) error {
	value := b.rule.source.Value
	switch suffix {
	case "-host":
		return b.host(value)
	case variableSuffix:
		b.rule.test = always{}
		return b.action("addvar:"+value, &b.scope)
	case "-run":
		b.rule.test = always{}
		return b.action(strings.TrimLeft(value, " \t"), &b.scope)
	case "-label":
		b.filing = neverTried
		return b.label(value, one)
	case "-if", "-if-not":
		return b.condition(value, suffix == "-if-not")
	case "-status":
		return b.status(value)
	}
	if subject := subjects[suffix]; subject != nil {
		return b.subject(value, subject)
	}
	return errors.New("unknown route directive, want one of " + strings.Join(keysOf(b.scope.chain), " "))
}

// splitRule splits "PATTERN ACTION:ARGUMENTS" at the first space.
func splitRule(value string) (pattern, action string, err error) {
	pattern, action, found := strings.Cut(value, " ")
	if !found {
		return "", "", fmt.Errorf("%q: want PATTERN ACTION:ARGUMENTS with a space between them", value)
	}
	return pattern, strings.TrimLeft(action, " \t"), nil
}

func (b *builder) action(text string, s *scope) (err error) {
	b.rule.action, err = parseAction(text, s)
	return err
}

// pattern compiles "PATTERN ACTION:ARGUMENTS" up to the test itself.
func (b *builder) pattern(value string, host, raw bool) (p pattern, text string, s *shape, err error) {
	text, action, err := splitRule(value)
	if err != nil {
		return nil, "", nil, err
	}
	if p, s, err = compilePattern(text, host); err != nil {
		return nil, "", nil, withAdvice(err, b.rule.source.Key, text)
	}
	b.scope.groups, b.scope.names, b.scope.slashes, b.scope.raw = s.groups, s.names, s.slashes(), raw
	return p, text, s, b.action(action, &b.scope)
}

func (b *builder) host(value string) error {
	p, text, shape, err := b.pattern(value, true, true)
	if err != nil {
		return err
	}
	groups := usesGroups(b.rule.action)
	b.rule.test = &hostTest{pattern: p, text: text, colon: shape.colon, groups: groups}
	if shape.tree != nil {
		warnHostPattern(shape, groups, b.scope.warning)
	}
	b.filing = &filing{finite: shape.finite, suffix: shape.suffix, must: shape.must, colon: shape.colon}
	return nil
}

func (b *builder) subject(value string, subject *subject) error {
	p, text, _, err := b.pattern(value, false, subject.raw)
	if err != nil {
		return err
	}
	b.rule.test = &subjectTest{subject: subject, pattern: p, text: text, groups: usesGroups(b.rule.action)}
	return nil
}

func (b *builder) condition(value string, negate bool) error {
	text, action, err := splitRule(value)
	if err != nil {
		return fmt.Errorf("%q: want CONDITION:ARGUMENTS ACTION:ARGUMENTS with a space between them", value)
	}
	test, scope, err := parseCondition(text, negate, &b.scope)
	if err != nil {
		return err
	}
	if err := b.action(action, scope); err != nil {
		return err
	}
	if t, ok := test.(*regexpTest); ok {
		t.groups = usesGroups(b.rule.action)
	}
	b.rule.test = test
	return nil
}

func (b *builder) status(value string) error {
	if b.scope.chain == RequestChain {
		return errors.New("there is no status before the response, want error-route-status, response-route-status or final-route-status")
	}
	text, action, err := splitRule(value)
	if err != nil {
		return fmt.Errorf("%q: want STATUS ACTION:ARGUMENTS with a space between them", value)
	}
	code, err := strconv.Atoi(text)
	if err != nil || code < 100 || code > 599 {
		return fmt.Errorf("%q: want one status from 100 to 599; for several write %s-if = regexp:${uwsgi[status]};^5", text, chainPrefixes[b.scope.chain])
	}
	if code < 400 && b.scope.chain == ErrorChain {
		b.scope.warning(fmt.Sprintf("never runs: the error chain is for a status of 400 or more; write response-route-status for %d", code))
	}
	b.rule.test = statusTest(code)
	return b.action(action, &b.scope)
}

func (b *builder) label(name string, one *chainCompiler) error {
	if name == "" || strings.ContainsAny(name, " \t$") {
		return fmt.Errorf("%q: want one word, the name that goto jumps to", name)
	}
	if first, ok := one.labels[name]; ok {
		return fmt.Errorf("the label %s stands already at %s, want another name", name, one.table.rules[first].Pos())
	}
	one.labels[name] = len(one.table.rules)
	b.rule.test, b.rule.action = always{}, &labelAction{name}
	return nil
}

// resolveJumps gives every goto its target, now that all labels are known.
func (c *compiler) resolveJumps(one *chainCompiler) {
	rules := one.table.rules
	for i := range rules {
		jump, ok := rules[i].action.(*gotoAction)
		if !ok {
			continue
		}
		one.jumps = true
		if err := jump.resolve(i, one.variables, len(rules), one.labels); err != nil {
			c.errors = append(c.errors, newRemark(one.places[i], rules[i].source, err.Error()))
		}
	}
}

// usesGroups reports whether any argument of an action needs the pattern's groups.
func usesGroups(a action) bool {
	u, ok := a.(templateUser)
	if !ok {
		return false
	}
	uses := false
	u.templates(func(t *template) { uses = uses || t.usesGroups() })
	return uses
}

// templateUser is an action with arguments that captures and variables go into.
type templateUser interface {
	templates(visit func(*template))
}
