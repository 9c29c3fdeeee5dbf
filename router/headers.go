package router

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"emperor/internal/config"
	"emperor/router/http1"
)

var headerOptions = []config.Option{
	{Name: "add-header", Type: config.String, Repeat: true, Where: config.Main,
		Help: "Add \"NAME: VALUE\" to every response; \"Connection: Keep-Alive\" and \"Connection: close\" switch http-keepalive instead."},
	{Name: "rem-header", Type: config.String, Repeat: true, Where: config.Main,
		Help: "Remove the header fields of that NAME from every response."},
	{Name: "http-date", Type: config.Bool, Default: "true", Where: config.Main,
		Help: "Add a Date to responses that have none."},
	{Name: "http-request-id", Type: config.Bool, Default: "false", Where: config.Main,
		Help: "Give each request an X-Request-ID, for the vassal, the response and the access log; that of a trusted proxy is kept."},
}

// headers is what changes in the head of every response.
type headers struct {
	added     []byte   // complete lines
	removed   []string // names
	date      bool
	requestID bool
}

func (h *headers) compile(c *config.Config, s *Settings, mistake func(config.Value, error)) {
	h.date, h.requestID = c.Bool("http-date"), c.Bool("http-request-id")
	for _, v := range c.All("add-header") {
		name, value, ok := strings.Cut(v.Value, ":")
		name, value = strings.TrimSpace(name), strings.TrimSpace(value)
		switch {
		case !ok || !validName(name) || !http1.ValidValue([]byte(value)):
			mistake(v, fmt.Errorf("want NAME: VALUE, got %q", v.Value))
		case strings.EqualFold(name, "Connection"):
			// uWSGI's documentation gives this line as the way to keep connections open.
			switch strings.ToLower(value) {
			case "keep-alive":
				s.keepAlive = true
			case "close":
				s.keepAlive = false
			default:
				mistake(v, fmt.Errorf("want Keep-Alive or close, got %q: Connection is the front's own business", value))
			}
		case framingName(name):
			mistake(v, fmt.Errorf("%s says how a response is framed, which the front does itself", name))
		default:
			h.added = append(h.added, name+": "+value+"\r\n"...)
		}
	}
	for _, v := range c.All("rem-header") {
		name := strings.TrimSuffix(strings.TrimSpace(v.Value), ":")
		if !validName(name) || framingName(name) {
			mistake(v, fmt.Errorf("want the name of a header field, got %q", v.Value))
			continue
		}
		h.removed = append(h.removed, name)
	}
}

func validName(name string) bool {
	for i := range len(name) {
		c := name[i]
		if c <= ' ' || c >= 0x7f || strings.IndexByte("\"(),/:;<=>?@[\\]{}", c) >= 0 {
			return false
		}
	}
	return name != ""
}

func framingName(name string) bool {
	switch http1.KindOf([]byte(name)) {
	case http1.ContentLength, http1.TransferEncoding, http1.Connection, http1.Upgrade, http1.KeepAlive, http1.Trailer:
		return true
	}
	return false
}

// editHead makes all changes of a response's head that are the same whoever made
// the response, and leaves in x.lines what is added to it. extra are complete
// lines that belong to an answer of our own.
func (x *exchange) editHead(r *http1.Response, extra []byte) {
	h := &x.settings.headers
	x.lines = append(x.lines[:0], extra...)
	for _, name := range h.removed {
		remove(r, name)
	}
	edits := &x.decision.Response
	if edits.Reset {
		for i := range r.Fields {
			r.Fields[i].Flags |= http1.HopByHop
		}
		x.lines = x.lines[:0]
		x.reason = append(x.reason[:0], edits.Reason...)
		r.Status, r.Reason = edits.Code, x.reason
	}
	for i := range edits.Headers {
		if e := &edits.Headers[i]; e.Remove {
			remove(r, e.Name)
			x.lines = removeLine(x.lines, e.Name)
		}
	}
	for i := range edits.Headers {
		if e := &edits.Headers[i]; !e.Remove {
			x.lines = append(append(append(append(x.lines, e.Name...), ": "...), e.Value...), "\r\n"...)
		}
	}
	x.lines = append(x.lines, h.added...)
	if hsts := x.settings.certificates.hsts; x.peer.secured != nil && len(hsts) > 0 && !hasNamed(r, strictTransport) && !hasLine(x.lines, strictTransport) {
		x.lines = append(x.lines, hsts...) // there must be no two of them (RFC 6797 §6.1)
	}
	if h.date && !has(r, http1.Date) && !hasLine(x.lines, "Date") {
		x.lines = append(x.lines, x.router.date.line()...)
	}
	if h.requestID && len(x.requestID) > 0 {
		remove(r, "X-Request-ID") // of an app that answers with what it was told
		x.lines = append(append(append(x.lines, "X-Request-ID: "...), x.requestID...), "\r\n"...)
	}
}

// remove drops the fields of that name.
func remove(r *http1.Response, name string) {
	for i := range r.Fields {
		if sameName(r.Fields[i].Name, name) {
			r.Fields[i].Flags |= http1.HopByHop
		}
	}
}

// hasNamed tells whether a field of that name is sent on.
func hasNamed(r *http1.Response, name string) bool {
	return slices.ContainsFunc(r.Fields, func(f http1.Field) bool { return f.Flags&http1.HopByHop == 0 && sameName(f.Name, name) })
}

func has(r *http1.Response, kind http1.Kind) bool {
	for i := range r.Fields {
		if f := &r.Fields[i]; f.Kind == kind && f.Flags == 0 {
			return true
		}
	}
	return false
}

// removeLine drops the lines of that name among lines.
func removeLine(lines []byte, name string) []byte {
	kept := lines[:0]
	for rest := lines; len(rest) > 0; {
		end := bytes.IndexByte(rest, '\n') + 1
		if line := rest[:end]; !isLine(line, name) {
			kept = append(kept, line...)
		}
		rest = rest[end:]
	}
	return kept
}

// hasLine tells whether there is one of that name among lines.
func hasLine(lines []byte, name string) bool {
	for len(lines) > 0 {
		if isLine(lines, name) {
			return true
		}
		lines = lines[bytes.IndexByte(lines, '\n')+1:]
	}
	return false
}

// isLine tells whether text begins with "name:".
func isLine(text []byte, name string) bool {
	return len(text) > len(name) && text[len(name)] == ':' && sameName(text[:len(name)], name)
}

// sameName compares names of header fields.
func sameName(b []byte, name string) bool {
	if len(b) != len(name) {
		return false
	}
	for i, c := range b {
		d := name[i]
		if c == d {
			continue
		}
		if c|0x20 != d|0x20 || c|0x20 < 'a' || c|0x20 > 'z' {
			return false
		}
	}
	return true
}

// dateLine is the Date of this second, made once in it.
type dateLine struct{ last atomic.Pointer[datedLine] }

type datedLine struct {
	second int64
	line   []byte
}

func (d *dateLine) line() []byte {
	now := time.Now()
	last := d.last.Load()
	if last == nil || last.second != now.Unix() {
		last = &datedLine{now.Unix(), now.UTC().AppendFormat(nil, "Date: Mon, 02 Jan 2006 15:04:05 GMT\r\n")}
		d.last.Store(last)
	}
	return last.line
}
