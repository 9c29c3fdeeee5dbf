package router

import (
	"bytes"
	"errors"
	"log/slog"

	"emperor/router/fastcgi"
	"emperor/router/http1"
	"emperor/router/rule"
	"emperor/router/scgi"
	"emperor/router/uwsgi"
)

// Vassals that speak FastCGI (PHP-FPM) and SCGI get the variables that a uwsgi
// vassal gets, those that CGI has beside them, and those that say which script is
// meant.

// scripting is what those protocols need.
type scripting struct {
	fastcgi fastcgi.Writer
	scgi    scgi.Writer
	framed  []byte           // a request in one of these
	records fastcgi.Response // of a FastCGI vassal
	script  []rule.Var       // what is different for them, the script's name above all
	paths   []byte           // what is in script of it
	guessed bool             // the script may not exist
	front   bool             // it did not: the front controller is asked
	unknown bool             // the program says that it does not
}

func (s *scripting) reset() {
	clear(s.script)
	s.script, s.paths = s.script[:0], s.paths[:0]
	s.guessed, s.front, s.unknown = false, false, false
}

// attemptFastCGI: one connection, one request. A second one where the script that
// the path seemed to name does not exist.
func (x *exchange) attemptFastCGI(d *destination, to *target) outcome {
	if x.answeredBeside(d, to) {
		return outcome{answered: true}
	}
	o := x.runFastCGI(d, to)
	if o.err == errNoScript && x.body.rewind() == nil {
		x.front = true
		o = x.runFastCGI(d, to)
	}
	if notBegun(o.err) && !o.answered && !x.body.streamed && x.body.rewind() == nil {
		// It says that it has done nothing, which is as good as not having been asked.
		o.unreachable, o.sent = true, false
	}
	return o
}

func (x *exchange) runFastCGI(d *destination, to *target) outcome {
	vars, err := x.variables(d, to)
	if err != nil {
		return outcome{err: err}
	}
	w := &x.fastcgi
	w.Begin(x.framed[:0])
	for name, value, ok := vars.Next(); ok; name, value, ok = vars.Next() {
		if !x.isScriptVariable(name) {
			w.Pair(name, value)
		}
	}
	for i := range x.script {
		w.VarBytes(x.script[i].Name, x.script[i].Value)
	}
	x.framed = w.Finish()
	x.framed = fastcgi.AppendStdin(x.framed, x.body.collected)
	if x.body.rest() == nil {
		x.framed = fastcgi.AppendStdinEnd(x.framed)
	}
	return x.attemptOnce(to, x.framed, cgiInFrames, framedBody)
}

// notBegun: the program says that it has not begun with the request.
func notBegun(err error) bool {
	return errors.Is(err, fastcgi.ErrOverloaded) || errors.Is(err, fastcgi.ErrRefused)
}

// attemptSCGI: one connection, one request.
func (x *exchange) attemptSCGI(d *destination, to *target) outcome {
	if x.answeredBeside(d, to) {
		return outcome{answered: true}
	}
	vars, err := x.variables(d, to)
	if err != nil {
		return outcome{err: err}
	}
	length := max(x.request.ContentLength, 0)
	if x.request.Chunked {
		length, _ = x.body.measure() // done before; variables has told its error
	}
	w := &x.scgi
	w.Begin(x.framed[:0], length)
	for name, value, ok := vars.Next(); ok; name, value, ok = vars.Next() {
		if !x.isScriptVariable(name) {
			w.Pair(name, value)
		}
	}
	for i := range x.script {
		w.VarBytes(x.script[i].Name, x.script[i].Value)
	}
	if x.framed, err = w.Finish(); err != nil {
		return outcome{err: err}
	}
	x.framed = append(x.framed, x.body.collected...)
	return x.attemptOnce(to, x.framed, cgiHead, plainBody)
}

// variables makes the request's variables, as for a uwsgi vassal, and in x.script
// those that replace some of them or come beside them.
func (x *exchange) variables(d *destination, to *target) (uwsgi.Reader, error) {
	packet, err := x.uwsgiPacket(d, false)
	if err != nil {
		return uwsgi.Reader{}, err
	}
	x.script = x.script[:0]
	x.describe(d)
	x.locate(d, to)
	return uwsgi.NewReader(packet[uwsgi.HeaderSize:]), nil
}

var (
	gatewayInterface = []byte("CGI/1.1")
	serverSoftware   = []byte("emperor")
	redirectStatus   = []byte("200")
	noLength         = []byte("")
	schemeHTTP       = []byte("http")
	schemeHTTPS      = []byte("https")
)

// describe makes the variables of CGI that uwsgi does without, or has another
// value for. What the configuration sets itself (http-var, addvar:) stands.
func (x *exchange) describe(d *destination) {
	x.tell(d, "GATEWAY_INTERFACE", gatewayInterface)
	x.tell(d, "SERVER_SOFTWARE", serverSoftware)
	x.tell(d, "REDIRECT_STATUS", redirectStatus) // a PHP made to insist on it runs nothing without
	scheme := x.visitorScheme()
	x.tell(d, "REQUEST_SCHEME", scheme)
	if bytes.Equal(scheme, schemeHTTPS) {
		x.tell(d, "HTTPS", httpsOn)
	}
	if host := x.request.Host.Name; len(host) > 0 {
		x.tell(d, "SERVER_NAME", host)
	}
	if x.request.ContentLength < 0 && !x.request.Chunked {
		// Empty, as nginx has it: 0 would be the length of a body.
		x.tell(d, "CONTENT_LENGTH", noLength)
	}
}

// tell makes a variable, unless the configuration sets it itself.
func (x *exchange) tell(d *destination, name string, value []byte) {
	if _, given := x.given(d, name); !given {
		x.script = append(x.script, rule.Var{Name: name, Value: value})
	}
}

// given returns the value that the configuration gives a variable, by rules or by
// http-var.
func (x *exchange) given(d *destination, name string) (value []byte, ok bool) {
	for i := len(d.vars) - 1; i >= 0; i-- {
		if d.vars[i].Name == name {
			return d.vars[i].Value, true
		}
	}
	for i := range x.settings.vars {
		if v := &x.settings.vars[i]; v.name == name {
			return []byte(v.value), true
		}
	}
	return nil, false
}

// visitorScheme is what the visitor speaks: with us, or with the proxy before us,
// if that is one we trust; a rule knows better (setscheme:).
func (x *exchange) visitorScheme() []byte {
	if s := x.decision.Request.Scheme; s != nil {
		return s
	}
	if x.trusted {
		if f := x.lastOf(http1.XForwardedProto); f != nil {
			switch {
			case bytes.EqualFold(f.Value, schemeHTTPS):
				return schemeHTTPS
			case bytes.EqualFold(f.Value, schemeHTTP):
				return schemeHTTP
			}
		}
	}
	if x.scheme() == "https" {
		return schemeHTTPS
	}
	return schemeHTTP
}

func (x *exchange) isScriptVariable(name []byte) bool {
	for i := range x.script {
		if x.script[i].Name == string(name) {
			return true
		}
	}
	return false
}

// noteErrorOutput logs what a FastCGI program writes to its error output.
func (x *exchange) noteErrorOutput() {
	for line, ok := x.records.Line(); ok; line, ok = x.records.Line() {
		if x.guessed && !x.body.streamed && string(line) == noScriptLine {
			x.unknown = true
			continue
		}
		attributes := make([]slog.Attr, 0, 6)
		if x.pinned != nil {
			attributes = append(attributes, slog.String("vassal", x.site.name))
		} else {
			attributes = append(attributes, slog.String("rule", ruleText(x.decision.Rule)))
		}
		x.complain(slog.LevelWarn, "the program's error output", append(attributes, slog.String("text", string(line)),
			slog.String("host", string(x.request.HostField)), slog.String("uri", string(x.request.Target)))...)
	}
}
