package rule

import (
	"fmt"
	"strconv"
	"strings"
)

// lastAction ends routing; the default applies: last:, continue:.
type lastAction struct{}

func parseLast(arguments string, s *scope) (action, error) { return &lastAction{}, nil }

func (a *lastAction) apply(r *Rule, q *Query, d *Decision) flow {
	d.Rule = r
	return stop
}

func (a *lastAction) String() string { return "last:" }

// gotoAction goes on at a label, or at a rule counted from 0: goto:LABEL. The
// jump is checked when all rules are known, see resolveJumps.
type gotoAction struct {
	label  string
	target int
}

func parseGoto(arguments string, s *scope) (action, error) {
	if arguments == "" || strings.ContainsAny(arguments, "$") {
		return nil, fmt.Errorf("%q: want the name of a label, without captures or variables", arguments)
	}
	return &gotoAction{label: arguments}, nil
}

func (a *gotoAction) apply(r *Rule, q *Query, d *Decision) flow {
	d.target = a.target
	return jump
}

func (a *gotoAction) String() string { return "goto:" + a.label }

// resolve finds the target of a jump from rule at; labels come first, as in uWSGI.
// The first rule that counts is that behind the variables.
func (a *gotoAction) resolve(at, variables, rules int, labels map[string]int) error {
	target, ok := labels[a.label]
	if !ok {
		number, err := strconv.Atoi(a.label)
		if err != nil || number < 0 || number >= rules-variables {
			return fmt.Errorf("action goto: there is no label %q, want route-label = %s below", a.label, a.label)
		}
		target = variables + number
	}
	if target <= at {
		return fmt.Errorf("action goto: %q is not below this rule, want a jump forward", a.label)
	}
	a.target = target
	return nil
}

// labelAction is a jump target: route-label = NAME.
type labelAction struct{ name string }

func (a *labelAction) apply(r *Rule, q *Query, d *Decision) flow { return next }

func (a *labelAction) String() string { return "label " + a.name }
