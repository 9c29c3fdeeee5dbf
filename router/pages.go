package router

import (
	"errors"
	"log/slog"
	"path/filepath"
	"strconv"

	"emperor/internal/config"
	"emperor/router/accesslog"
	"emperor/router/errorpage"
	"emperor/router/http1"
)

var pageOptions = []config.Option{
	{Name: "error-page", Type: config.String, Repeat: true, Where: config.Main,
		Help: "\"[HOST] STATUS[,STATUS…] FILE\": the page for errors that the front answers itself; a STATUS is 404, 5xx or 500-503, HOST a name, *.name or ^regex."},
	{Name: "maintenance", Type: config.String, Repeat: true, Where: config.Main,
		Help: "\"HOST [FILE] [retry-after=SECONDS] [allow=ADDRESS[/BITS],…]\": answer 503 for HOST to everybody but the addresses allowed."},
	{Name: "http-health", Type: config.String, Where: config.Main,
		Help: "PATH that the front itself answers for any Host: 200, and 503 while it is ending; for load balancers."},
}

// pages are answers that need no vassal.
type pages struct {
	errors      *errorpage.Pages
	maintenance *errorpage.Maintenance
	health      string
}

func (p *pages) compile(c *config.Config, supply *supply, mistake func(config.Value, error)) {
	var all []errorpage.Page
	for _, v := range c.All("error-page") {
		selector, file, err := errorpage.ParseOption(v.Value)
		if err != nil {
			mistake(v, err)
			continue
		}
		content, known, err := supply.content(file, v)
		if err != nil {
			mistake(v, err)
		}
		if !known {
			continue
		}
		all = append(all, errorpage.Page{Selector: selector, Content: content, Origin: file})
	}
	var err error
	if p.errors, err = errorpage.Compile(all); err != nil {
		v, _ := c.Last("error-page")
		mistake(v, err)
	}
	var closures []errorpage.Closure
	for _, v := range c.All("maintenance") {
		closure, err := errorpage.ParseClosure(v.Value)
		known := true
		if err == nil && closure.File != "" {
			closure.Content, known, err = supply.content(closure.File, v)
		}
		if err != nil {
			mistake(v, err)
		}
		if err != nil || !known {
			continue
		}
		closures = append(closures, closure)
	}
	if len(closures) > 0 {
		if p.maintenance, err = errorpage.CompileMaintenance(closures); err != nil {
			v, _ := c.Last("maintenance")
			mistake(v, err)
		}
	}
	if v, ok := c.Last("http-health"); ok && v.Value != "" {
		if p.health = v.Value; !filepath.IsAbs(v.Value) {
			mistake(v, errors.New("want a path that begins with /"))
		}
	}
}

// answerHealth answers a load balancer's question, which is not about a site.
func (x *exchange) answerHealth() bool {
	health := x.settings.pages.health
	if health == "" || string(x.request.Path) != health {
		return false
	}
	status, text := 200, "ok\n"
	if x.router.leaving.Load() || x.router.hurried.Load() {
		status, text = 503, "ending\n"
	}
	x.mine = http1.Response{Minor: 1, Status: status, Fields: append(x.mine.Fields[:0], textPlainUTF8...)}
	x.scratch = append(x.scratch[:0], text...)
	x.reply(x.scratch, nil)
	return true
}

// answerMaintenance answers for a site that is closed to this visitor.
func (x *exchange) answerMaintenance() bool {
	m := x.settings.pages.maintenance
	if m == nil {
		return false
	}
	notice := m.Closed(x.request.Host.Name, x.visitor())
	if notice == nil {
		return false
	}
	a := errorpage.Answer{Host: x.request.Host.Name, Accept: x.accept(), RequestID: x.requestID}
	var contentType string
	x.scratch, contentType = notice.Append(x.scratch[:0], &a, x.settings.pages.errors)
	x.entry.Ended = accesslog.NotReady
	x.replyPage(503, contentType, retryAfter(notice.RetryAfter))
	return true
}

// answer gives an answer of our own: the error page for a status. text is one
// line for people, extra are complete header lines.
func (x *exchange) answer(status int, text string, extra []byte) {
	a := errorpage.Answer{Status: status, Host: x.request.Host.Name, Accept: x.accept(), RequestID: x.requestID, Text: text}
	var contentType string
	x.scratch, contentType = x.settings.pages.errors.Append(x.scratch[:0], &a)
	x.replyPage(status, contentType, extra)
}

// answerLater is answer for what is worth trying again in so many seconds.
func (x *exchange) answerLater(status, seconds int, text string) {
	a := errorpage.Answer{Status: status, Host: x.request.Host.Name, Accept: x.accept(), RequestID: x.requestID, Text: text, RetryAfter: seconds, Reload: status == 503 && string(x.request.Method) == "GET"}
	var contentType string
	x.scratch, contentType = x.settings.pages.errors.Append(x.scratch[:0], &a)
	x.replyPage(status, contentType, retryAfter(seconds))
}

func retryAfter(seconds int) []byte {
	return append(strconv.AppendInt([]byte("Retry-After: "), int64(seconds), 10), "\r\n"...)
}

func (x *exchange) replyPage(status int, contentType string, extra []byte) {
	x.mine = http1.Response{Minor: 1, Status: status, Fields: append(x.mine.Fields[:0], http1.Field{
		Name: contentTypeName, Value: append(x.reason[:0], contentType...), Kind: http1.ContentType,
	})}
	x.reason = x.mine.Fields[0].Value
	x.reply(x.scratch, extra)
}

// accept is the request's Accept.
func (x *exchange) accept() []byte {
	for i := range x.request.Fields {
		f := &x.request.Fields[i]
		if f.Kind == http1.Other && sameName(f.Name, "accept") {
			return f.Value
		}
	}
	return nil
}

var contentTypeName = []byte("Content-Type")

// tooMany answers a request that a limit refuses.
func (x *exchange) tooMany(seconds int, limit string) {
	x.entry.Ended = accesslog.Limited
	x.complain(slog.LevelInfo, "request refused", slog.Int("status", 429), slog.String("reason", limit), slog.String("host", string(x.request.HostField)))
	x.answerLater(429, seconds, "too many requests; try again in a moment")
}
