package router

import (
	"errors"
	"log/slog"
	"strconv"

	"emperor/router/fastcgi"
	"emperor/router/rule"
	"emperor/router/uwsgi"
)

// Vassals that speak FastCGI (PHP-FPM) and SCGI get the variables that a uwsgi
// vassal gets, and those that say which script is meant.

// attemptFastCGI: one connection, one request.
func (x *exchange) attemptFastCGI(d *destination, to *target) outcome {
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

// attemptSCGI: one connection, one request.
func (x *exchange) attemptSCGI(d *destination, to *target) outcome {
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

// variables makes the request's variables, as for a uwsgi vassal, and x.script.
func (x *exchange) variables(d *destination, to *target) (uwsgi.Reader, error) {
	packet, err := x.uwsgiPacket(d, false)
	if err != nil {
		return uwsgi.Reader{}, err
	}
	x.locate(d, to)
	return uwsgi.NewReader(packet[uwsgi.HeaderSize:]), nil
}

// locate makes the variables that name the script, where the document root is
// known: from a rule (setdocroot:) or from the vassal. Without one the program is
// taken for an application that looks at PATH_INFO. A rule's own SCRIPT_FILENAME
// stands.
func (x *exchange) locate(d *destination, to *target) {
	x.script = x.script[:0]
	root := to.root
	if r := x.decision.Request.DocumentRoot; r != nil {
		root = string(r)
	}
	switch {
	case named(d.vars, "SCRIPT_FILENAME"):
		return
	case root == "":
		x.script = append(x.script, rule.Var{Name: "SCRIPT_NAME"}, rule.Var{Name: "GATEWAY_INTERFACE", Value: gatewayInterface})
		return
	}
	const index, suffix = "index.php", ".php"
	var s fastcgi.Script
	var err error
	x.scratch, err = s.Locate(x.scratch[:0], root, x.path, index, suffix)
	if errors.Is(err, fastcgi.ErrNoScript) {
		// What is no script is for the site's front controller.
		x.scratch, err = s.Locate(x.scratch[:0], root, []byte("/"+index), index, suffix)
		s.PathInfo = x.path
	}
	if err != nil {
		return // the program will say that it finds nothing
	}
	x.script = append(x.script,
		rule.Var{Name: "SCRIPT_FILENAME", Value: s.Filename}, rule.Var{Name: "SCRIPT_NAME", Value: s.Name},
		rule.Var{Name: "PATH_INFO", Value: s.PathInfo}, rule.Var{Name: "DOCUMENT_ROOT", Value: []byte(root)},
		rule.Var{Name: "GATEWAY_INTERFACE", Value: gatewayInterface})
	if len(x.request.Query) == 0 {
		x.script = append(x.script, rule.Var{Name: "QUERY_STRING"})
	}
}

var gatewayInterface = []byte("CGI/1.1")

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
		x.complain(slog.LevelWarn, "the program says: "+strconv.QuoteToGraphic(string(line)), slog.String("host", string(x.request.HostField)), slog.String("uri", string(x.request.Target)))
	}
}
