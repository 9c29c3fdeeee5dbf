// Package scgi writes requests in SCGI: the variables of CGI as one netstring,
// with the body raw behind it. The response is CGI up to the end of the
// connection (http1.Response.ParseCGI), so there is nothing of it here.
//
//	w.Begin(out[:0], length)
//	w.VarBytes("REQUEST_METHOD", method) // … the variables of CGI, each once
//	out, err = w.Finish()
//	out = append(out, body...)
//
// Nothing here allocates per request once its buffers have grown.
package scgi

import (
	"bytes"
	"errors"
	"slices"
	"strconv"
)

// ErrNUL: a variable's name or value holds a NUL, which is what separates them
// on the wire. Nothing may be sent: it would be another request.
var ErrNUL = errors.New("scgi: NUL in a variable")

// Writer builds one request at a time. The zero value is ready for Begin; keep it
// and use it again.
type Writer struct {
	buf   []byte
	start int // of the request in buf
	nul   bool
}

// prefixRoom is left for the length in front of the variables and its colon.
const prefixRoom = 20

// Begin starts a request with a body of that length, 0 for none, at the end of
// dst, which may hold other bytes already. SCGI has no bodies of unknown length.
func (w *Writer) Begin(dst []byte, contentLength int64) {
	w.start, w.nul = len(dst), false
	dst = slices.Grow(dst, prefixRoom)[:len(dst)+prefixRoom]
	// The specification wants the length first, and SCGI=1 somewhere.
	dst = append(dst, "CONTENT_LENGTH\x00"...)
	dst = strconv.AppendInt(dst, contentLength, 10)
	w.buf = append(dst, "\x00SCGI\x001\x00"...)
}

// Var writes a variable. The caller sees to it that each name is written once;
// CONTENT_LENGTH and SCGI are there already, and are left out here.
func (w *Writer) Var(name, value string) { appendVar(w, name, value) }

// VarBytes is Var for a value in bytes.
func (w *Writer) VarBytes(name string, value []byte) { appendVar(w, name, value) }

// Pair is Var for a variable that another codec's reader returned, as
// uwsgi.Reader does.
func (w *Writer) Pair(name, value []byte) { appendVar(w, name, value) }

func appendVar[N, V string | []byte](w *Writer, name N, value V) {
	switch string(name) {
	case "CONTENT_LENGTH", "SCGI":
		return
	}
	at := len(w.buf)
	w.buf = append(append(w.buf, name...), 0)
	w.nul = w.nul || bytes.IndexByte(w.buf[at:len(w.buf)-1], 0) >= 0
	at = len(w.buf)
	w.buf = append(append(w.buf, value...), 0)
	w.nul = w.nul || bytes.IndexByte(w.buf[at:len(w.buf)-1], 0) >= 0
}

// Finish returns dst of Begin with the request behind it; the body follows raw.
// On ErrNUL it returns dst without a request.
func (w *Writer) Finish() ([]byte, error) {
	buf := w.buf
	w.buf = nil
	if w.nul {
		return buf[:w.start], ErrNUL
	}
	variables := buf[w.start+prefixRoom:]
	size := len(variables)
	head := append(strconv.AppendInt(buf[:w.start], int64(size), 10), ':')
	buf = append(head, variables...) // to the front: they overlap
	return append(buf, ','), nil
}
