package router

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strconv"
	"sync"
	"syscall"
	"time"

	"emperor/router/http1"
	"emperor/router/rule"
	"emperor/router/upstream"
	"emperor/router/uwsgi"
)

// answer gives a small answer of our own: a status with one line of text.
func (c *client) answer(status int, text string, extra []byte) {
	x := c.x
	if !x.body.whole {
		c.closeAfter()
	}
	x.answer = http1.AppendStatus(x.answer[:0], status, text, isHead(x.request.Method), c.closeAfterThis, extra)
	if c.write(x.answer) != nil {
		c.closeAfter()
	}
}

// refuseHead answers a head that could not be read, if there is anything to
// answer; the connection ends.
func (c *client) refuseHead(err error) {
	c.closeAfter()
	x := c.x
	x.body.whole = true
	var bad *http1.Error
	switch {
	case errors.As(err, &bad):
	case errors.Is(err, os.ErrDeadlineExceeded):
		bad = &http1.Error{Status: 408, Reason: "the request head did not arrive in time"}
		c.revive()
	default:
		return // the client went away
	}
	// Nothing of the request can be relied on, least of all that it is no HEAD.
	x.answer = http1.AppendStatus(x.answer[:0], bad.Status, bad.Reason, false, true, nil)
	c.complain(slog.LevelInfo, "request refused", slog.Int("status", bad.Status), slog.String("reason", bad.Reason))
	if c.write(x.answer) == nil {
		c.linger()
	}
}

// refuseRequest answers a request whose head is well-formed but not acceptable.
func (c *client) refuseRequest(status int, reason string) {
	c.complain(slog.LevelInfo, "request refused", slog.Int("status", status), slog.String("reason", reason),
		slog.String("host", string(c.x.request.HostField)), slog.String("uri", string(c.x.request.Target)))
	c.answer(status, reason, nil)
}

// refuseBody answers a request whose body could not be read.
func (c *client) refuseBody(err error) {
	var bad *http1.Error
	switch {
	case errors.As(err, &bad):
		c.refuseRequest(bad.Status, bad.Reason)
	case errors.Is(err, os.ErrDeadlineExceeded):
		c.revive()
		c.refuseRequest(408, "the request body did not arrive in time")
	case errors.Is(err, errSpool):
		c.complain(slog.LevelError, "request failed", slog.Int("status", 503), slog.Any("err", err), slog.String("host", string(c.x.request.HostField)))
		c.answer(503, "no room for the request body", nil)
	default:
		c.closeAfter() // the client went away
	}
}

// refuseExpectation answers as uWSGI does where http-manage-expect has a limit:
// 413 without a body.
func (c *client) refuseExpectation() {
	x := c.x
	c.closeAfter()
	head := http1.ResponseHead{Close: true}
	x.answer = head.Append(x.answer[:0], &http1.Response{Minor: 1, Status: 413})
	c.complain(slog.LevelInfo, "request refused", slog.Int("status", 413), slog.String("reason", "the body is larger than http-manage-expect allows"),
		slog.String("host", string(x.request.HostField)), slog.Int64("length", x.request.ContentLength))
	_ = c.write(x.answer)
}

// answerByRule answers what a rule says.
func (c *client) answerByRule(d *rule.Decision) {
	x := c.x
	if d.CloseAfter {
		c.closeAfter()
	}
	x.scratch = x.scratch[:0]
	if d.Kind == rule.Redirect {
		x.scratch = append(append(append(x.scratch, "Location: "...), d.Location...), "\r\n"...)
	}
	head := http1.ResponseHead{ContentLength: int64(len(d.Body)), Close: c.closeAfterThis || !x.body.whole, Extra: x.scratch}
	if d.Code == 204 || d.Code == 304 {
		head.ContentLength = -1 // RFC 9110 §8.6: there is no body to have a length
	}
	response := http1.Response{Minor: 1, Status: d.Code, Reason: d.Reason}
	if len(d.Body) > 0 {
		response.Fields = textPlain
	}
	x.answer = head.Append(x.answer[:0], &response)
	if !isHead(x.request.Method) {
		x.answer = append(x.answer, d.Body...)
	}
	if c.write(x.answer) != nil {
		c.closeAfter()
	}
}

var textPlain = []http1.Field{{Name: []byte("Content-Type"), Value: []byte("text/plain")}}

// answerNoRule: 404, and the log says what would have caught the request.
func (c *client) answerNoRule() {
	r := &c.x.request
	attributes := []slog.Attr{slog.Int("status", 404), slog.String("host", string(r.HostField)), slog.String("uri", string(r.Target))}
	if suggestion := c.settings.rules.Catching(string(r.Host.Name)); suggestion != "" {
		attributes = append(attributes, slog.String("would be caught by", suggestion))
	}
	c.complain(slog.LevelWarn, "no rule for this host", attributes...)
	c.answer(404, "no site of this name is served here", nil)
}

// answerNoVassal: a vassal: rule named one that there is not.
func (c *client) answerNoVassal(name []byte) {
	r := &c.x.request
	c.complain(slog.LevelWarn, "the rule names a vassal that does not exist", slog.Int("status", 404), slog.String("vassal", string(name)),
		slog.String("host", string(r.HostField)), slog.String("rule", ruleText(c.x.decision.Rule)))
	c.answer(404, "no site of this name is served here", nil)
}

// answerNotAdmitted: the vassal is known but may not be sent to.
func (c *client) answerNotAdmitted(d *destination, err error) {
	if errors.Is(err, errClientGone) {
		c.closeAfter()
		return
	}
	g := d.site.current.Load()
	attributes := []slog.Attr{slog.String("vassal", d.site.name), slog.Any("err", err)}
	if g.reason != "" {
		attributes = append(attributes, slog.String("reason", g.reason))
	}
	if errors.Is(err, errRemoved) {
		c.complain(slog.LevelWarn, "vassal removed while a request waited for it", append(attributes, slog.Int("status", 404))...)
		c.answer(404, "no site of this name is served here", nil)
		return
	}
	retry := 5
	if !g.retryAt.IsZero() {
		retry = max(1, int(time.Until(g.retryAt)/time.Second)+1)
	}
	c.complain(slog.LevelWarn, "vassal is not ready", append(attributes, slog.Int("status", 503))...)
	extra := append(strconv.AppendInt([]byte("Retry-After: "), int64(retry), 10), "\r\n"...)
	c.answer(503, "this site is starting or out of order; try again soon", extra)
}

// answerFailure: the vassal was tried and did not answer as it should.
func (c *client) answerFailure(d *destination, to *target, o outcome) {
	err := o.err
	status, text := 502, "this site does not answer"
	switch {
	case c.x.body.failed():
		c.refuseBody(c.x.body.err)
		return
	case errors.Is(err, uwsgi.ErrTooLarge):
		c.refuseRequest(431, "the request head is too large for a uwsgi packet")
		return
	case errors.Is(err, errSpool):
		c.refuseBody(err)
		return
	case errors.Is(err, upstream.ErrTimeout) && o.sent:
		status, text = 504, "this site took too long to answer"
		err = errors.New("no answer within http-timeout")
	case errors.Is(err, upstream.ErrTimeout):
		status, text = 504, "this site took too long to answer"
		err = errors.New("no connection within http-connect-timeout")
	case errors.Is(err, upstream.ErrName):
		err = errors.New("the address is a host name, want IP:port or a unix path")
	case !o.sent && d.site == nil && c.router.table.wasRemoved(d.address):
		status, text = 404, "no site of this name is served here"
		err = errors.New("the vassal at this address was removed")
	case errors.Is(err, syscall.ENOENT):
		err = fmt.Errorf("%w: nothing has made this socket", err)
	case errors.Is(err, syscall.ECONNREFUSED):
		err = fmt.Errorf("%w: nothing listens there", err)
	case o.sent && to.protocol == protocolUwsgi && c.headSize() > uwsgiBuffer:
		err = fmt.Errorf("%w: the request head has %d bytes; a uWSGI takes %d unless its buffer-size says more", err, c.headSize(), uwsgiBuffer)
	case errors.Is(err, errGarbage):
		text = "this site gave an answer that is not HTTP"
	}
	c.logFailure("request failed", d, to, err, slog.Int("status", status))
	c.answer(status, text, nil)
}

// failed: the response broke off after it had begun. The client sees that by
// the connection's end; all we can do is say it.
func (c *client) failed(d *destination, to *target, err error) {
	c.closeAfter()
	if c.lost || c.aborted.Load() || c.x.body.failed() {
		return // the client went away, or we do: nothing is wrong with the vassal
	}
	c.logFailure("response broke off", d, to, err)
}

// uwsgiBuffer is uWSGI's default buffer-size: it closes a connection whose packet
// is larger without a word.
const uwsgiBuffer = 4096

// headSize is how long the head of the request under way is.
func (c *client) headSize() int {
	size := 0
	for i := range c.x.request.Fields {
		f := &c.x.request.Fields[i]
		size += len(f.Name) + len(f.Value)
	}
	return size + len(c.x.request.Target)
}

func (c *client) logFailure(message string, d *destination, to *target, err error, more ...slog.Attr) {
	r := &c.x.request
	address := to.text
	if address == "" {
		address = string(d.address)
	}
	attributes := []slog.Attr{slog.Any("err", err), slog.String("address", to.protocol.String()+":"+address)}
	if d.site != nil {
		attributes = append(attributes, slog.String("vassal", d.site.name))
	}
	attributes = append(attributes, slog.String("rule", ruleText(d.rule)), slog.String("method", string(r.Method)),
		slog.String("host", string(r.HostField)), slog.String("uri", string(r.Target)))
	c.complain(slog.LevelWarn, message, append(attributes, more...)...)
}

func ruleText(r *rule.Rule) string {
	if r == nil {
		return "http-to"
	}
	return r.Pos().String() + ": " + r.String()
}

// note writes what a "log:" action wants written.
func (c *client) note(n *rule.Note) {
	c.router.log.LogAttrs(context.Background(), slog.LevelInfo, string(n.Text), slog.String("rule", n.Rule.Pos().String()))
}

// complain logs a line about a request, unless there are too many: a scanner
// must not be able to fill a disk.
func (c *client) complain(level slog.Level, message string, attributes ...slog.Attr) {
	dropped, ok := c.router.complaints.allow(time.Now())
	if !ok {
		return
	}
	if dropped > 0 {
		attributes = append(attributes, slog.Int("lines not shown before", dropped))
	}
	attributes = append(attributes, slog.String("client", string(c.remoteAddr)))
	c.router.log.LogAttrs(context.Background(), level, message, attributes...)
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
