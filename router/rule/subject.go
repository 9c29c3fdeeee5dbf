package rule

import (
	"fmt"
	"strconv"
)

// A test is the left half of a rule: whether its action runs.
type test interface {
	// holds reports whether the test holds for q. When it has a pattern whose
	// groups the action uses, it leaves them in d.subject and d.groups.
	holds(q *Query, d *Decision) bool
	// String describes the test for Explain.
	String() string
	// whyNot says in words why the test does not hold.
	whyNot(q *Query, d *Decision) string
	// found says in words what a test that has just held has found.
	found(d *Decision) string
}

// always is the test of route-run and of labels.
type always struct{}

func (always) holds(q *Query, d *Decision) bool {
	d.groups = d.groups[:0]
	return true
}

func (always) String() string                      { return "always" }
func (always) whyNot(q *Query, d *Decision) string { return "" }
func (always) found(d *Decision) string            { return "always" }

// hostTest is route-host: a pattern on the canonical host.
type hostTest struct {
	pattern pattern
	text    string // as written
	colon   bool   // spells a colon: look at host:port first
	groups  bool   // the action uses groups
}

func (t *hostTest) holds(q *Query, d *Decision) bool {
	var groups *[]int
	if t.groups {
		groups = &d.groups
	}
	if t.colon && len(q.HostPort) > 0 && t.pattern.match(q.HostPort, groups) {
		d.subject = q.HostPort
		return true
	}
	d.subject = q.Host
	return t.pattern.match(q.Host, groups)
}

func (t *hostTest) String() string { return "host matches " + t.text }

func (t *hostTest) whyNot(q *Query, d *Decision) string {
	switch {
	case len(q.Host) == 0:
		return "no match: the request names no host"
	case t.colon && len(q.HostPort) == 0:
		return fmt.Sprintf("no match for host %q, which has no port", q.Host)
	case t.colon:
		return fmt.Sprintf("no match for host %q", q.HostPort)
	}
	return fmt.Sprintf("no match for host %q", q.Host)
}

func (t *hostTest) found(d *Decision) string {
	return fmt.Sprintf("matches host %q", d.subject) + d.captured(t.groups)
}

// subjectTest is a pattern on any other part of the request.
type subjectTest struct {
	subject *subject
	pattern pattern
	text    string
	groups  bool
}

func (t *subjectTest) holds(q *Query, d *Decision) bool {
	d.subject = t.subject.of(q, d)
	if t.groups {
		return t.pattern.match(d.subject, &d.groups)
	}
	return t.pattern.match(d.subject, nil)
}

func (t *subjectTest) String() string { return t.subject.name + " matches " + t.text }

func (t *subjectTest) whyNot(q *Query, d *Decision) string {
	return fmt.Sprintf("no match for %s %q", t.subject.name, t.subject.of(q, d))
}

func (t *subjectTest) found(d *Decision) string {
	return fmt.Sprintf("matches %s %q", t.subject.name, d.subject) + d.captured(t.groups)
}

// captured lists the groups of the last match for Explain; used says that the
// action needs them, and so that they are known.
func (d *Decision) captured(used bool) string {
	text := ""
	if !used {
		return text
	}
	for n := 1; 2*n+1 < len(d.groups); n++ {
		if d.groups[2*n] >= 0 {
			text += fmt.Sprintf(", $%d = %q", n, d.subject[d.groups[2*n]:d.groups[2*n+1]])
		}
	}
	return text
}

// statusTest is -status: the status of the response.
type statusTest int

func (t statusTest) holds(q *Query, d *Decision) bool {
	d.groups = d.groups[:0]
	return q.Status == int(t)
}

func (t statusTest) String() string { return "status is " + strconv.Itoa(int(t)) }

func (t statusTest) whyNot(q *Query, d *Decision) string {
	return fmt.Sprintf("no match for status %d", q.Status)
}

func (t statusTest) found(d *Decision) string { return t.String() }

// subject is a part of the request that a pattern looks at.
type subject struct {
	name string
	raw  bool // percent-encoded as the client sent it
	// of returns what rules made of that part, or else what the client sent.
	of func(q *Query, d *Decision) []byte
}

// subjects are those that a pattern can look at, by what follows "route". The host
// and the status have tests of their own.
var subjects = map[string]*subject{
	"":             {"path", false, pathOf},
	"-uri":         {"URI", true, uriOf},
	"-qs":          {"query string", true, queryStringOf},
	"-remote-addr": {"client address", true, remoteAddrOf},
	"-user-agent":  {"user agent", true, func(q *Query, d *Decision) []byte { return q.variable("HTTP_USER_AGENT") }},
	"-referer":     {"referer", true, func(q *Query, d *Decision) []byte { return q.variable("HTTP_REFERER") }},
	"-remote-user": {"remote user", false, remoteUserOf},
}

func edited(edit, original []byte) []byte {
	if edit != nil {
		return edit
	}
	return original
}

func pathOf(q *Query, d *Decision) []byte       { return edited(d.Request.Path, q.Path) }
func uriOf(q *Query, d *Decision) []byte        { return edited(d.Request.URI, q.URI) }
func remoteAddrOf(q *Query, d *Decision) []byte { return edited(d.Request.RemoteAddr, q.RemoteAddr) }

func queryStringOf(q *Query, d *Decision) []byte {
	return edited(d.Request.QueryString, q.QueryString)
}

func remoteUserOf(q *Query, d *Decision) []byte {
	if d.Request.RemoteUser != nil {
		return d.Request.RemoteUser
	}
	return q.variable("REMOTE_USER")
}
