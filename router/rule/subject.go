package rule

// A test is the left half of a rule: whether its action runs.
type test interface {
	// holds reports whether the test holds for q. When it has a pattern whose
	// groups the action uses, it leaves them in d.subject and d.groups.
	holds(q *Query, d *Decision) bool
	// String describes the test for Explain.
	String() string
}

// always is the test of route-run and of labels.
type always struct{}

func (always) holds(q *Query, d *Decision) bool {
	d.groups = d.groups[:0]
	return true
}

func (always) String() string { return "always" }

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

// subjectTest is a pattern on any other part of the request.
type subjectTest struct {
	subject *subject
	pattern pattern
	text    string
	groups  bool
}

func (t *subjectTest) holds(q *Query, d *Decision) bool {
	d.subject = t.subject.of(q)
	if t.groups {
		return t.pattern.match(d.subject, &d.groups)
	}
	return t.pattern.match(d.subject, nil)
}

func (t *subjectTest) String() string { return t.subject.name + " matches " + t.text }

// subject is a part of the request that a pattern looks at.
type subject struct {
	name string
	raw  bool // percent-encoded as the client sent it
	of   func(q *Query) []byte
}

// subjects are those of route* directives, by what follows "route".
var subjects = map[string]*subject{
	"":             {"path", false, func(q *Query) []byte { return q.Path }},
	"-uri":         {"URI", true, func(q *Query) []byte { return q.URI }},
	"-qs":          {"query string", true, func(q *Query) []byte { return q.QueryString }},
	"-remote-addr": {"client address", true, func(q *Query) []byte { return q.RemoteAddr }},
	"-user-agent":  {"user agent", true, func(q *Query) []byte { return q.variable("HTTP_USER_AGENT") }},
	"-referer":     {"referer", true, func(q *Query) []byte { return q.variable("HTTP_REFERER") }},
	"-remote-user": {"remote user", false, func(q *Query) []byte { return q.variable("REMOTE_USER") }},
}
