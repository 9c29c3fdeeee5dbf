package router

import (
	"errors"
	"fmt"
	"io"
	"syscall"

	"emperor/router/http1"
	"emperor/router/rule"
	"emperor/router/upstream"
)

// errGarbage: what the vassal sent is no HTTP response.
var errGarbage = errors.New("not an HTTP response")

// errEmpty: the vassal closed the connection without a byte.
var errEmpty = fmt.Errorf("the connection was closed without a response: %w", io.ErrUnexpectedEOF)

// errTruncated: the response ended before its announced end.
var errTruncated = errors.New("the response ended before its announced end")

// outgoing is the answer on its way to the client.
type outgoing struct {
	response   http1.Response // of a vassal
	mine       http1.Response // an answer of our own
	head       answerHead     // of one of them
	lines      []byte         // header lines added to it
	reason     []byte         // reason phrase or media type of an answer of our own
	chunks     http1.Chunked  // of the response
	answerKind answerKind
	askedHead  bool // the client's own method is HEAD
	status     int
}

// reset leaves the heads to be parsed and made anew.
func (a *outgoing) reset() {
	a.head, a.lines, a.reason, a.status, a.askedHead = answerHead{}, a.lines[:0], a.reason[:0], 0, false
}

// relay reads the response and gives it to the client with exact framing.
func (x *exchange) relay(conn *upstream.Conn) outcome {
	x.prepareBack()
	x.records.Reset()
	for range mostInterim {
		if o, final := x.relayHead(conn); final {
			return o
		}
	}
	return outcome{err: fmt.Errorf("%w: it is preceded by more than %d interim ones", errGarbage, mostInterim), sent: true}
}

// mostInterim bounds 1xx answers: time limits do not end a vassal that never
// stops to send them.
const mostInterim = 100

// relayHead reads one head, interim or final; with a final one the whole
// response is relayed and final is true.
func (x *exchange) relayHead(conn *upstream.Conn) (o outcome, final bool) {
	head, err := x.readResponseHead(conn)
	if err != nil {
		x.response.Reset() // it may have read a part of a head
		return outcome{err: err, sent: true}, true
	}
	r := &x.response
	x.first += head
	if x.unknown && r.Status == 404 {
		return outcome{err: errNoScript, sent: true}, true
	}
	if r.Status < 200 && r.Status != 101 {
		// 100 is between the vassal and us: the client was answered when its body
		// was wanted. Other interim answers (103) are the client's, if it knows them.
		if r.Status != 100 {
			if err := x.down.interim(r); err != nil {
				return outcome{err: err, sent: true, answered: true}, true
			}
		}
		return outcome{}, false
	}
	if x.unread() {
		// A response before the end of the request body: it is delivered, but the
		// client has an unknown number of bytes to go and its connection ends with it.
		x.down.closeAfter()
	}
	if r.Framing == http1.Tunnel {
		return x.relayTunnel(conn), true
	}
	return x.relayResponse(conn), true
}

// readResponseHead fills x.back until it starts (at x.first) with a whole head
// and returns its length.
func (x *exchange) readResponseHead(conn *upstream.Conn) (int, error) {
	head := isHead(x.request.Method) // as the vassal got it
	for {
		if x.first < x.last {
			parse := x.response.Parse
			if x.answerKind != httpHead {
				parse = x.response.ParseCGI
			}
			limits := &responseLimits
			if x.down.version() == 2 {
				limits = &echoLimits
			}
			n, err := parse(x.back[x.first:x.last], head, limits)
			if err != nil {
				return 0, fmt.Errorf("%w: %w", errGarbage, err)
			}
			if n > 0 {
				return n, nil
			}
		}
		if x.last == len(x.back) {
			if x.first == 0 {
				return 0, fmt.Errorf("%w: its head is larger than %d bytes", errGarbage, len(x.back))
			}
			copy(x.back, x.back[x.first:x.last])
			x.first, x.last = 0, x.last-x.first
		}
		if x.last == 0 {
			if err := conn.AwaitReadable(); err != nil {
				return 0, err
			}
		}
		n, err := x.read(conn, x.back[x.last:])
		x.last += n
		switch {
		case err == nil:
			x.hear()
			x.noteFirstByte()
			conn.Deadline.Set(x.patience()) // a slow vassal is not a silent one
		case errors.Is(err, upstream.ErrTimeout) || errors.Is(err, upstream.ErrAborted):
			return 0, err
		case x.first < x.last:
			// Whatever the error is: it answered, so nothing may be sent again.
			return 0, fmt.Errorf("%w: it ends in the middle of its head", errGarbage)
		case err == io.EOF:
			return 0, errEmpty
		default:
			return 0, err
		}
	}
}

// responseLimits leave room in x.back for what a read brings beside the head.
var (
	responseLimits = http1.Limits{Head: backSize, Fields: 500}
	echoLimits     = http1.Limits{Head: backSize, Fields: 500, Echo: true}
)

// relayResponse relays a response whose head is parsed and whose body, as far as
// it came with the head, is x.back[x.first:x.last].
func (x *exchange) relayResponse(conn *upstream.Conn) outcome {
	r := &x.response
	x.head = answerHead{response: r, length: -1}
	switch r.Framing {
	case http1.NoBody:
		x.head.noBody = true
		if r.Status != 204 { // RFC 9110 §8.6: no length there; HEAD and 304 say what a GET would get
			x.head.length = r.ContentLength
		}
	case http1.Length:
		x.head.length = r.ContentLength
	}
	if x.headOnly() != isHead(x.request.Method) {
		// A rule made one of the other: what follows the head is not what the client
		// waits for.
		r.Framing, r.Close, x.head.noBody = http1.NoBody, true, x.headOnly() || bodiless(r.Status)
		if !x.head.noBody {
			x.head.length = 0
		}
	}
	if x.laterRules(r.Status) {
		x.response.Close = true // nobody reads the rest
		x.answerByRule(&x.decision)
		return outcome{sent: true, answered: true}
	}
	x.begin(nil)

	var err error
	switch r.Framing {
	case http1.NoBody:
		err = x.finish(x.back, 0, 0)
	case http1.Length:
		err = x.relayLength(conn, r.ContentLength)
	case http1.InChunks:
		err = x.relayChunks(conn)
	case http1.UntilClose:
		err = x.relayUntilClose(conn)
	}
	if err != nil {
		x.down.cut()
	}
	return outcome{err: err, sent: true, answered: true}
}

// begin makes the last changes of a response's head, whoever made the response,
// and begins the answer. extra are complete lines.
func (x *exchange) begin(extra []byte) {
	r := x.head.response
	before := r.Status
	x.editHead(r, extra)
	if bodiless(r.Status) != bodiless(before) {
		x.reframe(r)
	}
	x.compress(r)
	if x.decision.Response.Close {
		x.down.closeAfter()
	}
	x.head.extra = x.lines
	x.status, x.entry.Status = r.Status, r.Status
	x.down.begin(&x.head)
}

// bodiless tells whether a response of that status ends with its head (RFC 9110
// §6.4.1).
func bodiless(status int) bool { return status == 204 || status == 304 }

// reframe makes the framing fit a status that rules made of another: what has no
// body by its new status gets none, and what had none by the old one an empty one.
func (x *exchange) reframe(r *http1.Response) {
	switch {
	case bodiless(r.Status):
		x.head.length, x.head.noBody = -1, true
	case !x.headOnly():
		x.head.length, x.head.noBody, r.ContentLength = 0, false, 0
	}
	r.Framing, r.Close = http1.NoBody, true // nobody reads the vassal's body
}

// laterRules runs the chains that see a response before it is sent, whoever made
// it: once each for a request. true: they want another answer, which is in
// x.decision; it is made by answerByRule, and comes by here again for the chain
// that has not run.
func (x *exchange) laterRules(status int) bool {
	rules := x.settings.rules
	if !x.matched {
		return false
	}
	x.query.Status = status
	if status >= 400 && !x.erred && rules.Has(rule.ErrorChain) {
		x.erred = true
		rules.MatchError(&x.query, &x.decision)
		if x.decidesAgain() {
			return true
		}
	}
	if !x.responded && rules.Has(rule.ResponseChain) {
		x.erred, x.responded = true, true
		rules.MatchResponse(&x.query, &x.decision)
		return x.decidesAgain()
	}
	return false
}

// decidesAgain tells whether a later chain has decided for another answer.
func (x *exchange) decidesAgain() bool {
	x.notes()
	if !answers(x.decision.Kind) {
		return false
	}
	x.by = x.decision.Rule
	return true
}

// answers tells whether a decision is an answer, and not a way to one.
func answers(k rule.Kind) bool {
	switch k {
	case rule.Redirect, rule.Status, rule.Challenge, rule.Close, rule.Static, rule.File:
		return true
	}
	return false
}

// read reads what the vassal answers, without the frames around it.
func (x *exchange) read(conn *upstream.Conn, p []byte) (int, error) {
	if x.answerKind != cgiInFrames {
		return conn.Read(p)
	}
	for {
		if x.records.Done() {
			return 0, io.EOF
		}
		n, err := conn.Read(p)
		if n == 0 {
			return 0, err
		}
		conn.Deadline.Set(x.patience()) // error output is a sign of life, too
		n, err = x.records.Decode(p[:n])
		x.noteErrorOutput()
		if n > 0 || err != nil {
			if n > 0 && err == io.EOF {
				err = nil // said again by the next read
			}
			return n, err
		}
	}
}

// fill reads more of the response into x.back, which is consumed.
func (x *exchange) fill(conn *upstream.Conn) error {
	conn.Deadline.Set(x.settings.responseTimeout)
	n, err := x.read(conn, x.back[bodyRoom:len(x.back)-bodyRoom])
	x.first, x.last = bodyRoom, bodyRoom+n
	if n > 0 {
		x.hear()
		return nil
	}
	if x.answerKind == cgiInFrames && !x.records.Done() && (err == io.EOF || errors.Is(err, syscall.ECONNRESET)) {
		// The end of a FastCGI response is a record. Without it the program has died.
		return errTruncated
	}
	return err
}

// relayLength relays exactly length bytes.
func (x *exchange) relayLength(conn *upstream.Conn, length int64) error {
	for {
		n := int(min(int64(x.last-x.first), length))
		from := x.first
		x.first += n
		if length -= int64(n); length == 0 {
			return x.finish(x.back, from, from+n)
		}
		// The head, too, is sent before there is more to send with it.
		if err := x.send(x.back, from, from+n); err != nil {
			return err
		}
		if err := x.fill(conn); err != nil {
			return truncated(err)
		}
	}
}

func truncated(err error) error {
	if err == io.EOF {
		return errTruncated
	}
	return err
}

// relayUntilClose relays what comes until the vassal closes.
func (x *exchange) relayUntilClose(conn *upstream.Conn) error {
	for {
		if err := x.send(x.back, x.first, x.last); err != nil {
			return err
		}
		err := x.fill(conn)
		if errors.Is(err, syscall.ECONNRESET) && x.request.HasBody() {
			// A vassal that closes without having read the whole request resets the
			// connection (uWSGI does, when an app leaves its input alone). That is how
			// its response ends, not how it fails.
			err = io.EOF
		}
		if err == io.EOF {
			return x.finish(x.back, 0, 0)
		}
		if err != nil {
			return err
		}
	}
}

// relayChunks decodes a chunked response, in place, and passes it on in the
// pieces in which it came: nothing is held back, and what the client gets is
// well-formed whatever the vassal's chunks looked like.
func (x *exchange) relayChunks(conn *upstream.Conn) error {
	x.chunks.Reset()
	for {
		from, to := x.first, x.first // decoded, before what is not
		for x.first < x.last && !x.chunks.Done() {
			data, n, err := x.chunks.Next(x.back[x.first:x.last])
			if err != nil {
				return fmt.Errorf("%w: %w", errGarbage, err)
			}
			x.first += n
			to += copy(x.back[to:], data)
			if n == 0 {
				break
			}
		}
		if x.chunks.Done() {
			return x.finish(x.back, from, to)
		}
		if err := x.send(x.back, from, to); err != nil {
			return err
		}
		if err := x.fill(conn); err != nil {
			return truncated(err)
		}
	}
}
