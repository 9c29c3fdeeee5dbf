package fastcgi

import (
	"encoding/binary"
	"slices"
)

// HeaderSize is the length in bytes of what precedes a record's content.
const HeaderSize = 8

// MaxContent is how many bytes of content a record holds at most.
const MaxContent = 65535

const version = 1

// requestID names the one request of a connection.
const requestID = 1

// recordType is the second byte of a record.
type recordType uint8

const (
	beginRequest recordType = 1
	endRequest   recordType = 3
	params       recordType = 4
	stdin        recordType = 5
	stdout       recordType = 6
	stderr       recordType = 7
)

// beginRecord asks for the responder role; no flag, so that the connection ends
// with the request.
const beginRecord = "\x01\x01\x00\x01\x00\x08\x00\x00" + "\x00\x01\x00\x00\x00\x00\x00\x00"

func putHeader(b []byte, t recordType, size int) {
	_ = b[HeaderSize-1]
	b[0], b[1] = version, byte(t)
	b[2], b[3] = 0, requestID
	b[4], b[5] = byte(size>>8), byte(size)
	b[6], b[7] = 0, 0
}

func appendHeader(dst []byte, t recordType, size int) []byte {
	var b [HeaderSize]byte
	putHeader(b[:], t, size)
	return append(dst, b[:]...)
}

// Writer builds the start of one request at a time: BEGIN_REQUEST and PARAMS.
// The zero value is ready for Begin; keep it and use it again.
type Writer struct {
	buf    []byte
	record int // where the header of the open PARAMS record stands in buf
}

// Begin starts a request at the end of dst, which may hold other bytes already.
func (w *Writer) Begin(dst []byte) {
	w.buf = append(dst, beginRecord...)
	w.open()
}

// Var writes a variable. The caller sees to it that each name is written once.
//
// A variable is not divided between two records if it fits into one: the
// specification would allow it, PHP reads every record for itself.
func (w *Writer) Var(name, value string) { appendVar(w, name, value) }

// VarBytes is Var for a value in bytes.
func (w *Writer) VarBytes(name string, value []byte) { appendVar(w, name, value) }

// Pair is Var for a variable that another codec's reader returned, as
// uwsgi.Reader does.
func (w *Writer) Pair(name, value []byte) { appendVar(w, name, value) }

func appendVar[N, V string | []byte](w *Writer, name N, value V) {
	size := lengthSize(len(name)) + lengthSize(len(value)) + len(name) + len(value)
	if size > w.room() {
		if w.room() < MaxContent {
			w.close()
			w.open()
		}
		if size > MaxContent {
			w.spread(appendLength(appendLength(nil, len(name)), len(value)))
			w.spread([]byte(name))
			w.spread([]byte(value))
			return
		}
	}
	w.buf = slices.Grow(w.buf, size)
	w.buf = appendLength(appendLength(w.buf, len(name)), len(value))
	w.buf = append(append(w.buf, name...), value...)
}

// spread writes a part of a variable that no record can hold alone.
func (w *Writer) spread(part []byte) {
	for len(part) > 0 {
		if w.room() == 0 {
			w.close()
			w.open()
		}
		n := min(len(part), w.room())
		w.buf = append(w.buf, part[:n]...)
		part = part[n:]
	}
}

// lengthSize is how many bytes a length takes.
func lengthSize(n int) int {
	if n < 128 {
		return 1
	}
	return 4
}

func appendLength(dst []byte, n int) []byte {
	if n < 128 {
		return append(dst, byte(n))
	}
	return binary.BigEndian.AppendUint32(dst, uint32(n)|1<<31)
}

// room is how many bytes the open record still takes.
func (w *Writer) room() int { return MaxContent - (len(w.buf) - w.record - HeaderSize) }

func (w *Writer) open() {
	w.record = len(w.buf)
	w.buf = appendHeader(w.buf, params, 0)
}

func (w *Writer) close() {
	putHeader(w.buf[w.record:], params, MaxContent-w.room())
}

// Finish ends the variables and returns dst of Begin with the request's start
// behind it. The body follows: AppendStdin, as often as wanted, and
// AppendStdinEnd.
func (w *Writer) Finish() []byte {
	if w.room() < MaxContent {
		w.close()
		w.open() // an empty record ends them
	}
	buf := w.buf
	w.buf = nil
	return buf
}

// AppendStdin appends data, a piece of the request's body, as records.
func AppendStdin(dst, data []byte) []byte {
	for len(data) > 0 {
		n := min(len(data), MaxContent)
		dst = append(appendHeader(dst, stdin, n), data[:n]...)
		data = data[n:]
	}
	return dst
}

// AppendStdinEnd appends the record that ends the request's body, which has to
// come also when there is no body.
func AppendStdinEnd(dst []byte) []byte { return appendHeader(dst, stdin, 0) }

// PutStdinHeader writes the header for n bytes of body, from 1 to MaxContent, so
// that it ends where head ends, and returns where in head it starts: data that
// was read behind a gap of HeaderSize bytes can be sent without being moved.
func PutStdinHeader(head []byte, n int) (start int) {
	start = len(head) - HeaderSize
	putHeader(head[start:], stdin, n)
	return start
}
