package rule

// Kind says what a Decision decided.
type Kind uint8

const (
	// None: no rule decided, or one said "last". After the request chain the
	// default (http-to) applies; when Decision.HasModifiers is set, Modifier1 and
	// Modifier2 replace those of the default. After any other chain all goes on as
	// it would without rules.
	None Kind = iota

	// The request chain only: send the request to an upstream.

	// Uwsgi: send to Address in the uwsgi protocol with Modifier1 and Modifier2.
	Uwsgi
	// HTTP: send to Address in HTTP; Host and URI, where not nil, replace the
	// Host field and the request target.
	HTTP
	// HTTPS: the same inside TLS; Host is also the name asked for and verified.
	HTTPS
	// FastCGI and SCGI: send to Address in that protocol.
	FastCGI
	SCGI
	// Vassal: send to the vassal called Name, whatever its address and protocol.
	Vassal

	// The request, error and response chains: answer instead of a vassal.

	// Redirect: answer Code (301 or 302) with Location and Body.
	Redirect
	// Status: answer Code with the reason phrase Reason and Body (nil: none).
	Status
	// Challenge: answer Code (401) with the WWW-Authenticate field Challenge and Body.
	Challenge
	// Static: serve the file Path below Root as any static file: ranges, conditions,
	// media type by name; 404 when there is none.
	Static
	// File: send the file Path below Root with Code, Reason and ContentType; where
	// ContentType is nil and GuessType set, the media type goes by the name. 404 when
	// there is no such file.
	File
	// Close: close the connection without an answer ("break:" without a status).
	Close
	// Unsafe: the rule matched, but what the client sent may not stand where the
	// rule would put it. Answer 400; Why says what it was. Comes from the request
	// chain only: the others pass the rule over, with a Note.
	Unsafe
)

// Decision is the outcome of the rules for one request, and owns the memory it
// needs. The zero value is ready; reuse one for many requests, by one goroutine at
// a time. [Table.Match] starts it anew for a request. The later chains of the same
// request are given the same Decision: each decides anew (Kind and all that
// belongs to it), sees what earlier chains changed, and adds to Vars, Request,
// Response and LogVars. All byte slices are valid until the next Match.
type Decision struct {
	Kind Kind
	// Rule is the rule that decided; nil when the rules ended without one.
	Rule *Rule

	// Address of an upstream: a unix path, "@abstract" or "host:port", see Network.
	// A rule may name several, "a|b|c", see NextNode.
	Address              []byte
	HasModifiers         bool
	Modifier1, Modifier2 uint8
	Host, URI            []byte // HTTP, HTTPS: nil = as received
	Name                 []byte // Vassal

	Code       int    // Redirect, Status, Challenge, File
	Reason     []byte // Redirect, Status, Challenge, File: reason phrase
	Body       []byte // Redirect, Status, Challenge: text/plain; nil = empty
	Location   []byte // Redirect: printable ASCII only
	Challenge  []byte // Challenge: value of WWW-Authenticate
	CloseAfter bool   // Status: the connection ends with the answer ("break:CODE")
	Why        string // Unsafe: what was refused, for the log

	Root        int    // Static, File: number of a [Root]
	Path        []byte // Static, File: below its Dir, see Files; ends with a slash where the client's path does
	ContentType []byte // File: nil = none was given
	GuessType   bool   // File: by name

	// Request is what rules changed of the request, Response what they want changed
	// of the response, whoever makes it.
	Request  RequestEdits
	Response ResponseEdits
	// Vars were added by rules, in order; a later one of a name wins. What Request
	// says is also in here, so that a uwsgi, FastCGI or SCGI upstream needs no more.
	Vars []Var
	// LogVars are for the access log's format ("logvar:NAME=VALUE"), in order.
	LogVars []Var
	// Notes are lines for the log, in order, of the chain that ran last.
	Notes []Note
	// Unlogged: the access log shall not have this request ("donotlog:").
	Unlogged bool

	scratch
}

// Var is a request variable that a rule added.
type Var struct {
	Name  string
	Value []byte

	from origin
}

// RequestEdits are the parts of a request that rules replaced; nil: unchanged.
// Later rules see the new ones.
type RequestEdits struct {
	Method      []byte // an HTTP token. The answer is still one to the client's own method: a HEAD gets no body
	URI         []byte // REQUEST_URI: begins with a slash, percent-encoded
	Path        []byte // PATH_INFO: begins with a slash, decoded, normalised
	QueryString []byte // percent-encoded; not nil but empty: none
	RemoteAddr  []byte
	RemoteUser  []byte
	Scheme      []byte // "http" or "https"
	ScriptName  []byte
	// DocumentRoot: a directory.
	DocumentRoot []byte
}

// ResponseEdits are what rules want changed of the response.
type ResponseEdits struct {
	// Headers are changes of the head. Removals concern the fields that the response
	// came with, never those that a rule adds, whichever was written first, as in
	// uWSGI: make all removals, and then all additions in order.
	Headers []HeaderEdit
	// Reset: of all fields that the response came with, none stays but those about
	// its framing, and its status is Code with Reason ("clearheaders:").
	Reset  bool
	Code   int
	Reason string
	// Gzip: compress the body, if the client takes it. Chunked: send the body in
	// chunks, if the client takes them.
	Gzip, Chunked bool
	// Close: the connection ends with this response.
	Close bool
}

// HeaderEdit is one change of a response's head. Framing is never touched by it:
// rules can not name Content-Length, Transfer-Encoding and their kind.
type HeaderEdit struct {
	Remove bool   // drop all fields called Name, in any case; else add one
	Name   string // as the rule spells it
	Value  []byte // no control characters
}

// Note is a line that a rule wants in the log. Control bytes are already escaped.
type Note struct {
	Rule *Rule
	Text []byte
	// Warning: of "alarm:", or the rule could not do what it says.
	Warning bool
	// Alarm is the first argument of "alarm:", else "".
	Alarm string
}

// scratch is the memory of a walk through the rules.
type scratch struct {
	buf     []byte // holds what templates made
	made    []byte // what the last function of a template made
	subject []byte // the text that the current rule's pattern matched
	groups  []int  // offsets of its groups in subject, see pattern.match
	walk    walk   // through the index
	target  int    // of a jump
	dir     string // of Root, for Explain
	filled  origin // of what the last expand made
	gap     bool   // the last expand met an optional group that took no part

	refused     []byte // the text that the last expand refused,
	refusedPart *part  // and where it should have gone
}

// reset makes d empty and keeps its memory.
func (d *Decision) reset() {
	d.decideAnew()
	d.Request = RequestEdits{}
	d.Response = ResponseEdits{Headers: d.Response.Headers[:0]}
	d.Vars, d.LogVars, d.Unlogged = d.Vars[:0], d.LogVars[:0], false
	d.buf = d.buf[:0]
}

// Reset makes d empty: it keeps its memory, and refers to nothing of the table and
// the request. Match does not need it.
func (d *Decision) Reset() {
	clear(d.Response.Headers)
	clear(d.Vars)
	clear(d.LogVars)
	clear(d.Notes)
	clear(d.walk.cursors[:cap(d.walk.cursors)])
	d.reset()
	d.walk.rest, d.target, d.dir = 0, 0, ""
	d.made, d.subject, d.groups = d.made[:0], nil, d.groups[:0]
	d.filled, d.gap, d.refused, d.refusedPart = origin{}, false, nil, nil
}

// firstSize is room for what most requests need.
const firstSize = 256

// decideAnew prepares d for the next chain of the same request.
func (d *Decision) decideAnew() {
	d.Kind, d.Rule = None, nil
	d.Address, d.Host, d.URI, d.Name = nil, nil, nil, nil
	d.HasModifiers, d.Modifier1, d.Modifier2 = false, 0, 0
	d.Code, d.Reason, d.Body, d.Location, d.Challenge, d.CloseAfter, d.Why = 0, nil, nil, nil, nil, false, ""
	d.Root, d.Path, d.ContentType, d.GuessType = 0, nil, nil, false
	d.Notes = d.Notes[:0]
	d.groups = d.groups[:0]
	if d.buf == nil {
		d.buf = make([]byte, 0, firstSize) // so that an empty text is not nil
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

// warn notes for the log that a rule could not do what it says.
func (d *Decision) warn(r *Rule, text string) {
	at := len(d.buf)
	d.buf = appendEscaped(d.buf, []byte(text))
	d.Notes = append(d.Notes, Note{Rule: r, Text: d.buf[at:len(d.buf):len(d.buf)], Warning: true})
}

// refuse ends routing because of the last template that did not fill.
func (d *Decision) refuse() flow {
	d.Kind, d.Why = Unsafe, d.refusal()
	return stop
}
