// Package scgi writes requests in SCGI: the variables of CGI as one netstring,
// with the body raw behind it. The response is CGI up to the end of the
// connection (http1.Response.ParseCGI), so there is nothing of it here.
package scgi

import "errors"

// ErrNUL: a variable's name or value holds a NUL, which is what separates them
// on the wire. Nothing may be sent: it would be another request.
var ErrNUL = errors.New("scgi: NUL in a variable")

// Writer builds one request at a time. The zero value is ready for Begin; keep it
// and use it again.
type Writer struct {
	buf   []byte
	start int
	nul   bool
}

// Begin starts a request with a body of that length, 0 for none, at the end of
// dst, which may hold other bytes already. SCGI has no bodies of unknown length.
func (w *Writer) Begin(dst []byte, contentLength int64) {}

// Var writes a variable. The caller sees to it that each name is written once;
// CONTENT_LENGTH and SCGI are there already, and are left out here.
func (w *Writer) Var(name, value string) { appendVar(w, name, value) }

// VarBytes is Var for a value in bytes.
func (w *Writer) VarBytes(name string, value []byte) { appendVar(w, name, value) }

// Pair is Var for a variable that another codec's reader returned, as
// uwsgi.Reader does.
func (w *Writer) Pair(name, value []byte) { appendVar(w, name, value) }

func appendVar[N, V string | []byte](w *Writer, name N, value V) {}

// Finish returns dst of Begin with the request behind it; the body follows raw.
// On ErrNUL it returns dst without a request.
func (w *Writer) Finish() ([]byte, error) { return w.buf, nil }
