package rule

import (
	"fmt"
	"sort"
	"strings"
)

// Keys returns the names of the directives that Compile accepts, sorted.
func Keys() []string {
	keys := []string{"route-host", "route-if", "route-if-not", "route-label", "route-run"}
	for suffix := range subjects {
		keys = append(keys, "route"+suffix)
	}
	sort.Strings(keys)
	return keys
}

// Compile reads directives in the order in which they apply. It reports every
// mistake at once, each a *[Problem]; with any mistake the Table is nil.
// No directives make a Table that leaves every request to the default.
//
// The Table keeps sources, which must not change afterwards.
func Compile(sources []Source) (*Table, []error) {
	c := compiler{
		table:   &Table{chains: [chains]chain{{rules: make([]Rule, 0, len(sources))}}},
		filings: make([]*filing, 0, len(sources)),
		labels:  make(map[string]int),
	}
	for i := range sources {
		c.add(&sources[i])
	}
	c.resolveJumps()
	if len(c.errors) > 0 {
		return nil, inOrder(c.errors)
	}
	c.table.chains[RequestChain].index.build(c.filings)
	c.warnUnreachable()
	c.table.warnings = inOrder(c.warnings)
	return c.table, nil
}

// compiler is the state of one Compile.
type compiler struct {
	table    *Table
	filings  []*filing // for the index, one for each rule
	labels   map[string]int
	jumps    bool
	errors   []remark
	warnings []remark
}

// remark is a problem and the number of the rule that has it.
type remark struct {
	rule    int
	problem *Problem
}

func newRemark(rule int, source *Source, text string) remark {
	return remark{rule, &Problem{Pos: Pos{source.File, source.Line}, Key: source.Key, Text: text}}
}

func (c *compiler) warn(rule int, source *Source, text string) {
	c.warnings = append(c.warnings, newRemark(rule, source, text))
}

func inOrder(remarks []remark) []error {
	sort.SliceStable(remarks, func(i, j int) bool { return remarks[i].rule < remarks[j].rule })
	var problems []error
	for _, r := range remarks {
		problems = append(problems, r.problem)
	}
	return problems
}

// add compiles one directive.
func (c *compiler) add(source *Source) {
	at := len(c.table.chains[RequestChain].rules)
	rule := Rule{source: source}
	file, err := c.compile(&rule, at)
	if err != nil {
		c.errors = append(c.errors, newRemark(at, source, err.Error()))
	}
	// A rule with a mistake keeps its number, so that jumps are judged rightly.
	c.table.chains[RequestChain].rules = append(c.table.chains[RequestChain].rules, rule)
	c.filings = append(c.filings, file)
}

func (c *compiler) compile(rule *Rule, at int) (*filing, error) {
	source := rule.source
	warning := func(text string) { c.warn(at, source, text) }
	switch source.Key {
	case "route-host":
		return c.compileHost(rule, warning)
	case "route-run":
		action, err := parseAction(strings.TrimLeft(source.Value, " \t"), &scope{groups: -1, warning: warning})
		rule.test, rule.action = always{}, action
		return nil, err
	case "route-label":
		return nil, c.compileLabel(rule, at)
	case "route-if", "route-if-not":
		return nil, compileIf(rule, source.Key == "route-if-not", warning)
	}
	suffix, isRoute := strings.CutPrefix(source.Key, "route")
	if subject := subjects[suffix]; isRoute && subject != nil {
		return nil, compileSubject(rule, subject, warning)
	}
	for _, chain := range []string{"error-route", "response-route", "final-route"} {
		if strings.HasPrefix(source.Key, chain) {
			return nil, fmt.Errorf("the %s chain is not available in the front, want one of %s", chain, strings.Join(Keys(), " "))
		}
	}
	return nil, fmt.Errorf("unknown route directive, want one of %s", strings.Join(Keys(), " "))
}

// splitRule splits "PATTERN ACTION:ARGUMENTS" at the first space.
func splitRule(value string) (pattern, action string, err error) {
	pattern, action, found := strings.Cut(value, " ")
	if !found {
		return "", "", fmt.Errorf("%q: want PATTERN ACTION:ARGUMENTS with a space between them", value)
	}
	return pattern, strings.TrimLeft(action, " \t"), nil
}

func (c *compiler) compileHost(rule *Rule, warning func(string)) (*filing, error) {
	text, actionText, err := splitRule(rule.source.Value)
	if err != nil {
		return nil, err
	}
	pattern, shape, err := compilePattern(text, true)
	if err != nil {
		return nil, err
	}
	rule.action, err = parseAction(actionText, &scope{groups: shape.groups, names: shape.names, raw: true, warning: warning})
	if err != nil {
		return nil, err
	}
	groups := usesGroups(rule.action)
	rule.test = &hostTest{pattern: pattern, text: text, colon: shape.colon, groups: groups}
	if shape.tree != nil {
		warnHostPattern(shape, groups, warning)
	}
	return &filing{finite: shape.finite, suffix: shape.suffix, must: shape.must, colon: shape.colon}, nil
}

func compileSubject(rule *Rule, subject *subject, warning func(string)) error {
	text, actionText, err := splitRule(rule.source.Value)
	if err != nil {
		return err
	}
	pattern, shape, err := compilePattern(text, false)
	if err != nil {
		return err
	}
	rule.action, err = parseAction(actionText, &scope{groups: shape.groups, names: shape.names, raw: subject.raw, warning: warning})
	if err != nil {
		return err
	}
	rule.test = &subjectTest{subject: subject, pattern: pattern, text: text, groups: usesGroups(rule.action)}
	return nil
}

func compileIf(rule *Rule, negate bool, warning func(string)) error {
	text, actionText, err := splitRule(rule.source.Value)
	if err != nil {
		return fmt.Errorf("%q: want CONDITION:ARGUMENTS ACTION:ARGUMENTS with a space between them", rule.source.Value)
	}
	condition, scope, err := parseCondition(text, negate, warning)
	if err != nil {
		return err
	}
	rule.action, err = parseAction(actionText, scope)
	if err != nil {
		return err
	}
	condition.groups = usesGroups(rule.action)
	rule.test = condition
	return nil
}

func (c *compiler) compileLabel(rule *Rule, at int) error {
	name := rule.source.Value
	if name == "" || strings.ContainsAny(name, " \t$") {
		return fmt.Errorf("%q: want one word, the name that goto jumps to", name)
	}
	if first, ok := c.labels[name]; ok {
		return fmt.Errorf("the label %s stands already at %s, want another name", name, c.table.chains[RequestChain].rules[first].Pos())
	}
	c.labels[name] = at
	rule.test, rule.action = always{}, &labelAction{name}
	return nil
}

// resolveJumps gives every goto its target, now that all labels are known.
func (c *compiler) resolveJumps() {
	rules := c.table.chains[RequestChain].rules
	for i := range rules {
		jump, ok := rules[i].action.(*gotoAction)
		if !ok {
			continue
		}
		c.jumps = true
		if err := jump.resolve(i, len(rules), c.labels); err != nil {
			c.errors = append(c.errors, newRemark(i, rules[i].source, err.Error()))
		}
	}
}

// usesGroups reports whether any argument of an action needs the pattern's groups.
func usesGroups(a action) bool {
	switch a := a.(type) {
	case *uwsgiAction:
		return a.address.usesGroups()
	case *httpAction:
		return a.address.usesGroups() || a.host.usesGroups() || a.uri.usesGroups()
	case *vassalAction:
		return a.name.usesGroups()
	case *redirectAction:
		return a.location.usesGroups()
	case *logAction:
		return a.text.usesGroups()
	case *addVarAction:
		return a.value.usesGroups()
	}
	return false
}
