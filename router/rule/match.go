package rule

// Query is what the rules may ask about a request. The caller fills it in; Match
// reads it and keeps nothing of it.
type Query struct {
	// Host is the canonical host: lower case, without port, without a trailing
	// dot; an IPv6 address in brackets. Empty when the request named none.
	Host []byte
	// HostPort is Host with ":" and the port appended as the client sent it, or
	// empty when the client sent none. A route-host pattern that spells a colon is
	// tried on HostPort first and then on Host; any other pattern sees Host only.
	HostPort []byte
	// Path is PATH_INFO: decoded and normalised. URI is REQUEST_URI: as sent, in
	// origin form (it begins with a slash), because rules put it behind a host.
	Path, URI []byte
	// QueryString is what follows the first "?", as sent.
	QueryString []byte
	// RemoteAddr is the client's address in text, without port.
	RemoteAddr []byte
	// Vars answers for all other request variables. May be nil.
	Vars Vars
}

// Vars looks up request variables by CGI name: HTTP_USER_AGENT, HTTP_HOST (as
// the vassal gets it), REQUEST_METHOD, REMOTE_USER, SERVER_PORT, HTTPS, … It is
// asked for everything but PATH_INFO, REQUEST_URI, QUERY_STRING and REMOTE_ADDR,
// which are in Query. The answer must stay unchanged while Match runs.
type Vars interface {
	Var(name string) (value []byte, ok bool)
}

// Kind says what a Decision decided.
type Kind uint8

const (
	// None: no rule decided, or one said "last": the default (http-to) applies.
	// When Decision.HasModifiers is set, Modifier1 and Modifier2 replace those of
	// the default; Decision.Vars are sent as for every other kind.
	None Kind = iota
	// Uwsgi: send to Address in the uwsgi protocol with Modifier1 and Modifier2.
	Uwsgi
	// HTTP: send to Address in HTTP; Host and URI, where not nil, replace the
	// Host field and the request target.
	HTTP
	// Vassal: send to the vassal called Name, whatever its address and protocol.
	Vassal
	// Redirect: answer Code (301 or 302) with Location and Body.
	Redirect
	// Status: answer Code with the reason phrase Reason and Body (nil: none).
	Status
	// Close: close the connection without an answer ("break:" without a status).
	Close
	// Unsafe: the rule matched, but what the client sent may not stand where the
	// rule would put it. Answer 400; Why says what it was.
	Unsafe
)

// Var is a request variable that a rule added.
type Var struct {
	Name  string
	Value []byte

	trusted bool // the rule spells the whole value
}

// Note is a line that a "log:" action wants in the log. Control bytes are
// already escaped.
type Note struct {
	Rule *Rule
	Text []byte
}

// Decision is the outcome of one Match, and owns the memory it needs. The zero
// value is ready; reuse one for many requests, by one goroutine at a time. All
// byte slices are valid until its next Match.
type Decision struct {
	Kind Kind
	// Rule is the rule that decided; nil when the rules ended without one.
	Rule *Rule

	Address              []byte // Uwsgi, HTTP: unix path, "@abstract" or "host:port"; see Network
	HasModifiers         bool
	Modifier1, Modifier2 uint8
	Host, URI            []byte // HTTP: nil = as received
	Name                 []byte // Vassal
	Code                 int    // Redirect, Status
	Location             []byte // Redirect: printable ASCII only
	Reason               []byte // Status, Redirect: reason phrase
	Body                 []byte // Status, Redirect: text/plain; nil = empty
	CloseAfter           bool   // Status: the connection ends with the answer ("break:CODE")
	Why                  string // Unsafe: what was refused, for the log

	// Vars were added by rules, in order; a later one of a name wins.
	Vars []Var
	// Notes are lines for the log, in order.
	Notes []Note

	buf     []byte   // holds what templates made
	subject []byte   // the text that the current rule's pattern matched
	groups  []int    // offsets of its groups in subject, see pattern.match
	cursors []cursor // of the walk through the index
	target  int      // of a jump
	gap     bool     // the last expand met an optional group that took no part

	refused     []byte // the text that the last expand refused,
	refusedPart *part  // and where it should have gone
}

// reset makes d empty and keeps its memory.
func (d *Decision) reset() {
	*d = Decision{
		Vars: d.Vars[:0], Notes: d.Notes[:0],
		buf: d.buf[:0], groups: d.groups[:0], cursors: d.cursors[:0],
	}
}

// fill fills in a template; the result lives in d.
func (d *Decision) fill(t *template, q *Query) (text []byte, ok bool) {
	at := len(d.buf)
	d.buf, ok = t.expand(d.buf, q, d)
	return d.buf[at:len(d.buf):len(d.buf)], ok
}

// keep returns text as bytes that live in d.
func (d *Decision) keep(text string) []byte {
	at := len(d.buf)
	d.buf = append(d.buf, text...)
	return d.buf[at:len(d.buf):len(d.buf)]
}

// refuse ends routing because of the last template that did not fill.
func (d *Decision) refuse() flow {
	d.Kind, d.Why = Unsafe, d.refusal()
	return stop
}

// Match decides what to do with the request that q describes and fills in d.
// It allocates nothing, once d has grown to its working size, unless a pattern
// needs package regexp and its captures are used, or the outcome is Unsafe.
func (t *Table) Match(q *Query, d *Decision) {
	d.reset()
	c := &t.request
	d.cursors = c.index.start(d.cursors, q)
	for at := 0; ; {
		i := c.index.next(d.cursors, at)
		if i < 0 {
			return
		}
		at = i + 1
		r := &c.rules[i]
		if !r.test.holds(q, d) {
			continue
		}
		switch r.action.apply(r, q, d) {
		case stop:
			return
		case jump:
			at = d.target
		}
	}
}
