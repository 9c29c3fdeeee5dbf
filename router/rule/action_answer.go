package rule

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
)

// redirectAction answers with a Location: redirect:URL, redirect-permanent:URL.
type redirectAction struct {
	code     int
	location template
	// local: the rule spells neither scheme nor host, so the result must not get a
	// host from what the client sent: a path such as //evil.example would be one.
	local bool
}

func parseRedirect(code int) parser {
	return func(arguments string, s *scope) (action, error) {
		location, err := parseLocation(arguments, s)
		if err != nil {
			return nil, err
		}
		if arguments == "" {
			return nil, errors.New("want a URL such as https://${HTTP_HOST}${REQUEST_URI}")
		}
		head := location.head()
		return &redirectAction{code: code, location: location, local: !location.isLiteral() && (head == "" || head == "/")}, nil
	}
}

// redirectBodies are what uWSGI sends with a redirect.
var redirectBodies = map[int]string{301: "Moved Permanently", 302: "Moved"}

func (a *redirectAction) apply(r *Rule, q *Query, d *Decision) flow {
	d.Rule = r
	location, ok := d.fill(&a.location, q)
	if !ok {
		return d.refuse()
	}
	for a.local && len(location) > 1 && location[0] == '/' && location[1] == '/' {
		location = location[1:]
	}
	d.Kind, d.Code, d.Location = Redirect, a.code, location
	d.Reason, d.Body = d.keep(http.StatusText(a.code)), d.keep(redirectBodies[a.code])
	return stop
}

func (a *redirectAction) templates(visit func(*template)) { visit(&a.location) }

func (a *redirectAction) String() string {
	return "redirect-" + strconv.Itoa(a.code) + ":" + a.location.String()
}

// statusAction answers with a status: return:CODE[ TEXT] with the text as body,
// break:CODE TEXT without a body and closing the connection.
type statusAction struct {
	code   int
	reason string
	body   bool
	close  bool
}

func parseReturn(arguments string, s *scope) (action, error) {
	return parseStatus(arguments)
}

func parseBreak(arguments string, s *scope) (action, error) {
	switch {
	case s.chain == FinalChain && arguments == "":
		return &lastAction{}, nil
	case s.chain == FinalChain:
		return nil, fmt.Errorf("%q: the response has been sent, want break: without a status", arguments)
	case arguments == "":
		return &closeAction{}, nil
	}
	a, err := parseStatus(arguments)
	if err != nil {
		return nil, err
	}
	a.body, a.close = false, true
	return a, nil
}

func parseStatus(text string) (*statusAction, error) {
	digits, reason, _ := strings.Cut(text, " ")
	code, err := strconv.Atoi(digits)
	if err != nil || code < 200 || code > 599 {
		return nil, fmt.Errorf("%q: want a status from 200 to 599, with a text if need be, such as 404 Not Found", text)
	}
	if reason == "" {
		if reason = http.StatusText(code); reason == "" {
			return nil, fmt.Errorf("status %d has no standard text, want %d and a text", code, code)
		}
	}
	if hasControl([]byte(reason)) {
		return nil, fmt.Errorf("%q: want a text without control characters", text)
	}
	return &statusAction{code: code, reason: reason, body: code != 204 && code != 304}, nil
}

func (a *statusAction) apply(r *Rule, q *Query, d *Decision) flow {
	d.Rule, d.Kind, d.Code, d.Reason, d.CloseAfter = r, Status, a.code, d.keep(a.reason), a.close
	if a.body {
		d.Body = d.Reason
	}
	return stop
}

func (a *statusAction) String() string {
	name := "return"
	if a.close {
		name = "break"
	}
	return name + ":" + strconv.Itoa(a.code) + " " + a.reason
}

// closeAction is break: without a status: the connection ends without an answer.
type closeAction struct{}

func (a *closeAction) apply(r *Rule, q *Query, d *Decision) flow {
	d.Rule, d.Kind = r, Close
	return stop
}

func (a *closeAction) String() string { return "break:" }
