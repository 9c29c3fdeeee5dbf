package router

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"log/slog"
	"math/rand/v2"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"emperor/internal/config"
	"emperor/router/accesslog"
	"emperor/router/http1"
	"emperor/router/rule"
	"emperor/router/sni"
)

var loggingOptions = []config.Option{
	{Name: "http-log", Type: config.Path, Where: config.Main,
		Help: "Write a line for each request to FILE; \"-\" is the standard output. A file that is moved away (logrotate) is opened anew within seconds, at once with SIGHUP."},
	{Name: "http-log-format", Type: config.String, Default: "combined", Where: config.Main,
		Help: "Format of http-log: common, combined, json, or a template such as \"%(addr) %(method) %(uri) %(status) %(msecs) %(vassal)\"."},
}

// accessLog is the access log of one configuration.
type accessLog struct {
	format *accesslog.Format
	path   string   // "": none
	file   *os.File // for the router's writer; nil while checking, and once it was taken
}

func (l *accessLog) compile(c *config.Config, supply *supply, mistake func(config.Value, error)) {
	v, ok := c.Last("http-log")
	if !ok || v.Value == "" {
		return
	}
	format, err := accesslog.Compile(c.Text("http-log-format"))
	if err != nil {
		at, _ := c.Last("http-log-format")
		mistake(at, err)
		return
	}
	path, file, err := supply.log(v)
	if err != nil {
		mistake(v, err)
		return
	}
	l.format, l.path, l.file = format, path, file
}

// accessWriter is the one writer of the router, which outlives configurations.
type accessWriter struct {
	current atomic.Pointer[accesslog.Writer]
	mu      sync.Mutex // one change at a time
}

// use brings the file of a new configuration into use. What is queued goes to
// the file it was meant for.
func (w *accessWriter) use(l *accessLog, log *slog.Logger) {
	w.mu.Lock()
	defer w.mu.Unlock()
	current, file := w.current.Load(), l.file
	l.file = nil
	switch {
	case file == nil && current != nil:
		w.current.Store(nil)
		w.end(current, log)
	case file != nil && current != nil:
		current.Swap(file)
	case file != nil:
		w.current.Store(accesslog.NewWriter(file, accesslog.Options{Lost: func(loss accesslog.Loss) {
			reason := errors.New("the file is too slow")
			if loss.Err != nil {
				reason = loss.Err
			}
			log.Warn("lines of the access log were lost", slog.Uint64("lines", loss.Lines), slog.Any("err", reason))
		}}))
	}
}

func (w *accessWriter) close(log *slog.Logger) {
	if current := w.current.Swap(nil); current != nil {
		w.end(current, log)
	}
}

func (w *accessWriter) end(current *accesslog.Writer, log *slog.Logger) {
	if lost := current.Close(2 * time.Second); lost > 0 {
		log.Warn("lines of the access log were lost at its end", slog.Uint64("lines", lost))
	}
}

// logRequest writes the line of a request that has ended.
func (x *exchange) logRequest() {
	format := x.settings.accessLog.format
	writer := x.router.accessWriter.current.Load()
	if format == nil || writer == nil || x.decision.Unlogged {
		return
	}
	e := &x.entry
	e.Time, e.Duration = x.started, time.Since(x.started)
	e.Client = x.visitor()
	if x.peer.remote.IsValid() {
		e.Peer = netip.AddrPortFrom(x.peer.remote, x.peer.port16)
	}
	e.Scheme = x.peer.scheme
	r := &x.request
	if e.Method, e.Target = r.Method, r.Target; len(e.Target) > 0 {
		e.Protocol = x.protocolName()
	}
	if x.asked != nil {
		e.Method = x.asked
	}
	e.Host, e.User = r.HostField, x.decision.Request.RemoteUser
	for i := range r.Fields {
		f := &r.Fields[i]
		switch {
		case f.Kind != http1.Other:
		case sameName(f.Name, "referer"):
			e.Referer = f.Value
		case sameName(f.Name, "user-agent"):
			e.UserAgent = f.Value
		}
	}
	e.RequestID = x.requestID
	if s := x.peer.secured; s != nil {
		e.TLS, e.Cipher, e.SNI = sni.ProtocolName(s.state.Version), sni.CipherName(s.state.CipherSuite), []byte(s.handshake.Name)
	}
	e.ReceivedBody = x.body.received
	e.SentHead, e.Sent = x.down.sent()
	if e.Status == 0 && e.Ended == accesslog.ClientGone {
		e.Status = 499
	}
	if r := x.by; r != nil {
		at := r.Pos()
		e.RuleFile, e.RuleLine = at.File, at.Line
	}
	e.Variables = x
	x.unsent = format.Append(x.unsent[:0], e)
	writer.Write(x.unsent)
	x.unsent = x.unsent[:0]
}

// logRefusal writes the line of a request whose head could not be read.
func (x *exchange) logRefusal(down downstream, from *peer, status int) {
	x.down, x.peer, x.started = down, from, time.Now()
	x.request.Reset() // nothing of it can be relied on
	x.entry.Status, x.entry.Ended = status, accesslog.BadRequest
	x.logRequest()
	x.reset()
}

// Variable answers an access log's question (accesslog.Variables).
func (x *exchange) Variable(name string) []byte {
	for _, vars := range [...][]rule.Var{x.decision.LogVars, x.decision.Vars} {
		for i := len(vars) - 1; i >= 0; i-- {
			if vars[i].Name == name {
				return vars[i].Value
			}
		}
	}
	value, _ := x.Var(name)
	return value
}

// identify gives the request its id: that of a proxy we trust, or a new one
// where that is wanted.
func (x *exchange) identify() {
	x.requestID, x.ownID = x.requestID[:0], false
	if x.trusted {
		for i := range x.request.Fields {
			f := &x.request.Fields[i]
			if f.Kind == http1.Other && sameName(f.Name, "x-request-id") && len(f.Value) > 0 && len(f.Value) <= 128 {
				x.requestID = append(x.requestID, f.Value...)
				return
			}
		}
	}
	if x.settings.headers.requestID {
		for i := range x.request.Fields {
			if f := &x.request.Fields[i]; f.Kind == http1.Other && sameName(f.Name, "x-request-id") {
				f.Flags |= http1.HopByHop
			}
		}
		x.ownID = true
		var raw [16]byte
		binary.BigEndian.PutUint64(raw[:], rand.Uint64())
		binary.BigEndian.PutUint64(raw[8:], rand.Uint64())
		x.requestID = hex.AppendEncode(x.requestID, raw[:])
	}
}
