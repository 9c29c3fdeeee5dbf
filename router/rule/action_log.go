package rule

import (
	"fmt"
	"strings"
)

// logAction writes a line to the log: log:TEXT. With a name it is an alarm, which
// is a warning in the log: alarm:NAME TEXT.
type logAction struct {
	alarm string
	text  template
}

func parseLog(arguments string, s *scope) (action, error) {
	text, err := parseTemplate(arguments, logLine, s)
	return &logAction{text: text}, err
}

func parseAlarm(arguments string, s *scope) (action, error) {
	name, rest, found := strings.Cut(arguments, " ")
	if !found || name == "" || strings.Contains(name, "$") {
		return nil, fmt.Errorf("%q: want NAME TEXT", arguments)
	}
	text, err := parseTemplate(rest, logLine, s)
	return &logAction{alarm: name, text: text}, err
}

func (a *logAction) apply(r *Rule, q *Query, d *Decision) flow {
	text, _ := d.fill(&a.text, q)
	d.Notes = append(d.Notes, Note{Rule: r, Text: text, Alarm: a.alarm, Warning: a.alarm != ""})
	return next
}

func (a *logAction) String() string {
	if a.alarm != "" {
		return "alarm:" + a.alarm + " " + a.text.String()
	}
	return "log:" + a.text.String()
}

func (a *logAction) templates(visit func(*template)) { visit(&a.text) }

// logVarAction makes a value for the access log's format: logvar:NAME=VALUE.
type logVarAction struct {
	name  string
	value template
}

func parseLogVar(arguments string, s *scope) (action, error) {
	name, text, found := strings.Cut(arguments, "=")
	if !found || !isVariableName(name) {
		return nil, fmt.Errorf("%q: want NAME=VALUE", arguments)
	}
	value, err := parseTemplate(text, logLine, s)
	return &logVarAction{name, value}, err
}

func (a *logVarAction) apply(r *Rule, q *Query, d *Decision) flow {
	value, _ := d.fill(&a.value, q)
	d.LogVars = append(d.LogVars, Var{Name: a.name, Value: value})
	return next
}

func (a *logVarAction) String() string                  { return "logvar:" + a.name + "=" + a.value.String() }
func (a *logVarAction) templates(visit func(*template)) { visit(&a.value) }

// doNotLogAction keeps the request out of the access log: donotlog:.
type doNotLogAction struct{}

func parseDoNotLog(arguments string, s *scope) (action, error) { return doNotLogAction{}, nil }

func (doNotLogAction) apply(r *Rule, q *Query, d *Decision) flow {
	d.Unlogged = true
	return next
}

func (doNotLogAction) String() string { return "donotlog:" }
