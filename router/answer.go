package router

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"syscall"
	"time"

	"emperor/router/accesslog"
	"emperor/router/fastcgi"
	"emperor/router/http1"
	"emperor/router/rule"
	"emperor/router/upstream"
	"emperor/router/uwsgi"
)

// reply sends x.mine with a text as body.
func (x *exchange) reply(text, extra []byte) {
	r := &x.mine
	if x.unread() {
		x.down.closeAfter()
	}
	if x.laterRules(r.Status) {
		x.answerByRule(&x.decision)
		return
	}
	r.ContentLength = int64(len(text))
	x.head = answerHead{response: r, length: r.ContentLength, noBody: x.headOnly()}
	if bodiless(r.Status) {
		x.head.length, x.head.noBody = -1, true // RFC 9110 §8.6: there is no body to have a length
	}
	x.begin(extra)
	if x.head.noBody || x.head.length == 0 {
		text = nil
	}
	if x.finish(text, 0, len(text)) != nil {
		x.down.cut()
	}
}

// refuseRequest answers a request whose head is well-formed but not acceptable.
func (x *exchange) refuseRequest(status int, reason string) {
	x.entry.Ended = accesslog.BadRequest
	x.complain(slog.LevelInfo, "request refused", slog.Int("status", status), slog.String("reason", reason),
		slog.String("host", string(x.request.HostField)), slog.String("uri", string(x.request.Target)))
	x.answer(status, reason, nil)
}

// refuseBody answers a request whose body could not be read.
func (x *exchange) refuseBody(err error) {
	var bad *http1.Error
	switch {
	case errors.As(err, &bad):
		x.refuseRequest(bad.Status, bad.Reason)
	case errors.Is(err, os.ErrDeadlineExceeded):
		x.down.revive()
		x.refuseRequest(408, "the request body did not arrive in time")
	case errors.Is(err, errSpool):
		x.complain(slog.LevelError, "request failed", slog.Int("status", 503), slog.Any("err", err), slog.String("host", string(x.request.HostField)))
		x.answer(503, "no room for the request body", nil)
	default:
		x.down.closeAfter() // the client went away
	}
}

// refuseExpectation answers as uWSGI does where http-manage-expect has a limit:
// 413 without a body.
func (x *exchange) refuseExpectation() {
	x.down.closeAfter()
	x.complain(slog.LevelInfo, "request refused", slog.Int("status", 413), slog.String("reason", "the body is larger than http-manage-expect allows"),
		slog.String("host", string(x.request.HostField)), slog.Int64("length", x.request.ContentLength))
	x.mine = http1.Response{Minor: 1, Status: 413, Fields: x.mine.Fields[:0]}
	x.reply(nil, nil)
}

// answerByRule answers what a rule says.
func (x *exchange) answerByRule(d *rule.Decision) {
	if d.CloseAfter {
		x.down.closeAfter()
	}
	x.scratch = x.scratch[:0]
	switch d.Kind {
	case rule.Close:
		x.down.closeAfter()
		return
	case rule.Redirect:
		x.scratch = append(append(append(x.scratch, "Location: "...), d.Location...), "\r\n"...)
	case rule.Challenge:
		x.scratch = append(append(append(x.scratch, "WWW-Authenticate: "...), d.Challenge...), "\r\n"...)
	case rule.Static, rule.File:
		x.answerFile(d)
		return
	}
	x.mine = http1.Response{Minor: 1, Status: d.Code, Reason: d.Reason, Fields: x.mine.Fields[:0]}
	if len(d.Body) > 0 {
		x.mine.Fields = append(x.mine.Fields, textPlain...)
	}
	x.reply(d.Body, x.scratch)
}

var (
	textPlain     = []http1.Field{{Name: []byte("Content-Type"), Value: []byte("text/plain")}}
	textPlainUTF8 = []http1.Field{{Name: []byte("Content-Type"), Value: []byte("text/plain; charset=utf-8")}}
)

// answerNoRule: 404, and the log says what would have caught the request.
func (x *exchange) answerNoRule() {
	r := &x.request
	attributes := []slog.Attr{slog.Int("status", 404), slog.String("host", string(r.HostField)), slog.String("uri", string(r.Target))}
	if suggestion := x.settings.rules.Catching(string(r.Host.Name)); suggestion != "" {
		attributes = append(attributes, slog.String("would be caught by", suggestion))
	}
	x.complain(slog.LevelWarn, "no rule for this host", attributes...)
	x.answer(404, "no site of this name is served here", nil)
}

// answerNoVassal: a vassal: rule named one that there is not.
func (x *exchange) answerNoVassal(name []byte) {
	r := &x.request
	x.complain(slog.LevelWarn, "the rule names a vassal that does not exist", slog.Int("status", 404), slog.String("vassal", string(name)),
		slog.String("host", string(r.HostField)), slog.String("rule", ruleText(x.decision.Rule)))
	x.answer(404, "no site of this name is served here", nil)
}

// answerNotAdmitted: the vassal is known but may not be sent to.
func (x *exchange) answerNotAdmitted(d *destination, err error) {
	if errors.Is(err, errClientGone) {
		x.entry.Ended = accesslog.ClientGone
		x.down.closeAfter()
		return
	}
	x.entry.Vassal = d.site.name
	if isTurn(err) {
		x.answerNoTurn(d.site, err)
		return
	}
	x.entry.Ended = accesslog.NotReady
	g := d.site.current.Load()
	attributes := []slog.Attr{slog.String("vassal", d.site.name), slog.Any("err", err)}
	if g.reason != "" {
		attributes = append(attributes, slog.String("reason", g.reason))
	}
	if errors.Is(err, errRemoved) {
		x.complain(slog.LevelWarn, "vassal removed while a request waited for it", append(attributes, slog.Int("status", 404))...)
		x.answer(404, "no site of this name is served here", nil)
		return
	}
	if errors.Is(err, errNoSocket) || errors.Is(err, errOnlyStreams) {
		x.complain(slog.LevelWarn, "the rule names a vassal that cannot be asked", append(attributes, slog.Int("status", 502))...)
		x.answer(502, "this site does not answer", nil)
		return
	}
	retry := 5
	if !g.retryAt.IsZero() {
		retry = max(1, int(time.Until(g.retryAt)/time.Second)+1)
	}
	x.complain(slog.LevelWarn, "vassal is not ready", append(attributes, slog.Int("status", 503))...)
	x.answerLater(503, retry, "this site is starting or out of order; try again soon")
}

// answerFailure: the vassal was tried and did not answer as it should.
func (x *exchange) answerFailure(d *destination, to *target, o outcome) {
	err := o.err
	status, text, message := 502, "this site does not answer", "request failed"
	switch {
	case x.body.failed():
		x.refuseBody(x.body.err)
		return
	case errors.Is(err, uwsgi.ErrTooLarge):
		x.refuseRequest(431, "the request head is too large for a uwsgi packet")
		return
	case errors.Is(err, errSpool):
		x.refuseBody(err)
		return
	case d.key != "" && o.unreachable && d.site == nil:
		status, text = 503, "this site is out of order; try again soon"
	case errors.Is(err, upstream.ErrTimeout) && o.sent:
		status, text = 504, "this site took too long to answer"
		if over := new(harakiriError); errors.As(err, &over) {
			message = "harakiri: a request took too long"
		} else {
			err = errors.New("no answer within http-timeout")
		}
	case errors.Is(err, upstream.ErrTimeout):
		status, text = 504, "this site took too long to answer"
		err = errors.New("no connection within http-connect-timeout")
	case !o.sent && d.site == nil && x.router.table.wasRemoved(d.address):
		status, text = 404, "no site of this name is served here"
		err = errors.New("the vassal at this address was removed")
	case errors.Is(err, syscall.ENOENT):
		err = fmt.Errorf("%w: nothing has made this socket", err)
	case errors.Is(err, syscall.ECONNREFUSED):
		err = fmt.Errorf("%w: nothing listens there", err)
	case o.sent && to.protocol == protocolUwsgi && x.headSize() > uwsgiBuffer:
		err = fmt.Errorf("%w: the request head has %d bytes; a uWSGI takes %d unless its buffer-size says more", err, x.headSize(), uwsgiBuffer)
	case errors.Is(err, errGarbage):
		text = "this site gave an answer that is not HTTP"
	case errors.Is(err, fastcgi.ErrOverloaded):
		status, text = 503, "this site is busy; try again in a moment"
	}
	switch {
	case status == 504:
		x.entry.Ended = accesslog.Timeout
	case o.sent:
		x.entry.Ended = accesslog.BadAnswer
	default:
		x.entry.Ended = accesslog.Unreachable
	}
	x.logFailure(message, d, to, err, slog.Int("status", status), slog.String("duration", time.Since(x.started).Round(time.Millisecond).String()))
	if status == 503 {
		x.answerLater(status, 1, text)
		return
	}
	x.answer(status, text, nil)
}

// failed: the response broke off after it had begun. The client sees that by
// the connection's end; all we can do is say it.
func (x *exchange) failed(d *destination, to *target, err error) {
	x.down.closeAfter()
	x.entry.Ended = accesslog.Truncated
	if x.down.lost() || x.down.aborted() || x.body.failed() {
		x.entry.Ended = accesslog.ClientGone
		return // the client went away, or we do: nothing is wrong with the vassal
	}
	x.logFailure("response broke off", d, to, err)
}

// uwsgiBuffer is uWSGI's default buffer-size: it closes a connection whose packet
// is larger without a word.
const uwsgiBuffer = 4096

// headSize is how long the head of the request under way is.
func (x *exchange) headSize() int {
	size := 0
	for i := range x.request.Fields {
		f := &x.request.Fields[i]
		size += len(f.Name) + len(f.Value)
	}
	return size + len(x.request.Target)
}

func (x *exchange) logFailure(message string, d *destination, to *target, err error, more ...slog.Attr) {
	r := &x.request
	address := to.text
	if address == "" {
		address = string(d.address)
	}
	attributes := []slog.Attr{slog.Any("err", err), slog.String("address", to.protocol.String()+":"+address)}
	if d.site != nil {
		attributes = append(attributes, slog.String("vassal", d.site.name))
	}
	attributes = append(attributes, slog.String("rule", d.because()), slog.String("method", string(r.Method)),
		slog.String("host", string(r.HostField)), slog.String("uri", string(r.Target)))
	x.complain(slog.LevelWarn, message, append(attributes, more...)...)
}

// because says why the request went there.
func (d *destination) because() string {
	if d.key != "" {
		return optionSubscriptions + ": " + d.key
	}
	return ruleText(d.rule)
}

func ruleText(r *rule.Rule) string {
	if r == nil {
		return "http-to"
	}
	return r.Pos().String() + ": " + r.String()
}

// notes writes what "log:" and "alarm:" actions want written.
func (x *exchange) notes() {
	for i := range x.decision.Notes {
		n := &x.decision.Notes[i]
		level := slog.LevelInfo
		if n.Warning {
			level = slog.LevelWarn
		}
		attributes := []slog.Attr{slog.String("rule", n.Rule.Pos().String())}
		if n.Alarm != "" {
			attributes = append(attributes, slog.String("alarm", n.Alarm))
		}
		x.router.log.LogAttrs(context.Background(), level, string(n.Text), attributes...)
	}
}

// complain logs a line about a request, unless there are too many: a scanner
// must not be able to fill a disk.
func (x *exchange) complain(level slog.Level, message string, attributes ...slog.Attr) {
	x.router.complain(x.peer, level, message, attributes...)
}

// complain is the same for a request that could not be read.
func (r *Router) complain(from *peer, level slog.Level, message string, attributes ...slog.Attr) {
	dropped, ok := r.complaints.allow(time.Now())
	if !ok {
		return
	}
	if dropped > 0 {
		attributes = append(attributes, slog.Int("lines not shown before", dropped))
	}
	attributes = append(attributes, slog.String("client", string(from.remoteAddr)))
	r.log.LogAttrs(context.Background(), level, message, attributes...)
}

// rationing allows so many lines per second.
type rationing struct {
	mu      sync.Mutex
	second  int64 // guarded by mu
	written int   // guarded by mu; in that second
	dropped int   // guarded by mu; since the last line
}

const complaintsPerSecond = 50

func (r *rationing) allow(now time.Time) (dropped int, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if now.Unix() != r.second {
		r.second, r.written = now.Unix(), 0
	}
	if r.written == complaintsPerSecond {
		r.dropped++
		return 0, false
	}
	r.written++
	dropped, r.dropped = r.dropped, 0
	return dropped, true
}
