package fastcgi

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
)

// Faults of a response. ErrOverloaded and ErrRefused say that the program did
// not begin with the request, so it may go elsewhere; after the others the
// connection is of no use.
var (
	ErrOverloaded = errors.New("fastcgi: the program takes no more requests now")
	ErrRefused    = errors.New("fastcgi: the program does not take this kind of request")
	ErrVersion    = errors.New("fastcgi: a record that is not of version 1: is this FastCGI?")
	ErrRecord     = errors.New("fastcgi: a record that does not belong into a response")
)

// Response takes the records of one response apart, from pieces of any size. The
// zero value is ready; Reset makes it so again.
type Response struct {
	state    state
	kind     recordType       // of the record under way
	content  int              // bytes of it still to come
	padding  int              // bytes behind it still to come
	partial  [HeaderSize]byte // a header, or the content of END_REQUEST, that comes in pieces
	have     int              // bytes of partial
	ended    bool             // the program has closed its standard output
	protocol uint8
	app      uint32
	fault    error
	lines    errorLines
}

type state uint8

const (
	inHeader state = iota
	inContent
	inPadding
	done
	failed
)

// endSize is the length of END_REQUEST's content.
const endSize = 8

// Reset makes r ready for another response.
func (r *Response) Reset() {
	kept := r.lines.buf[:0]
	*r = Response{}
	r.lines.buf = kept
}

// Next consumes the start of src: n bytes of it, of which stdout (a slice of
// src, possibly empty) is part of the CGI response. Call it with src[n:] until
// Done, or until src is empty; it consumes at least one byte before Done. What
// follows the last record is not consumed.
//
// An error stays.
func (r *Response) Next(src []byte) (output []byte, n int, err error) {
	for n < len(src) {
		switch r.state {
		case inHeader:
			n += r.header(src[n:])
		case inContent:
			piece := src[n:min(len(src), n+r.content)]
			n += len(piece)
			r.content -= len(piece)
			kind := r.kind
			if kind == endRequest {
				copy(r.partial[r.have:], piece)
				r.have += len(piece)
			}
			if r.content == 0 {
				r.contentEnds()
			}
			switch kind {
			case stdout:
				return piece, n, r.fault
			case stderr:
				r.lines.add(piece)
				// The caller may take the lines before more of them displace these.
				return nil, n, r.fault
			}
		case inPadding:
			skipped := min(len(src)-n, r.padding)
			n += skipped
			if r.padding -= skipped; r.padding == 0 {
				r.recordEnds()
			}
		case done, failed:
			return nil, n, r.fault
		}
	}
	return nil, n, r.fault
}

// header takes bytes of a header and returns how many.
func (r *Response) header(src []byte) int {
	n := copy(r.partial[r.have:], src)
	if r.have += n; r.have < HeaderSize {
		if r.partial[0] != version {
			r.fail(ErrVersion)
		}
		return n
	}
	r.have = 0
	h := &r.partial
	r.kind = recordType(h[1])
	r.content = int(binary.BigEndian.Uint16(h[4:]))
	r.padding = int(h[6])
	switch {
	case h[0] != version:
		r.fail(ErrVersion)
	case binary.BigEndian.Uint16(h[2:]) != requestID:
		r.fail(ErrRecord)
	case r.kind == endRequest:
		if r.content != endSize {
			r.fail(ErrRecord)
		}
	case r.kind == stdout:
		if r.ended && r.content > 0 {
			r.fail(ErrRecord)
		}
		r.ended = r.content == 0
	case r.kind == stderr:
	default:
		r.fail(ErrRecord)
	}
	if r.state == failed {
		return n
	}
	r.state = inContent
	if r.content == 0 {
		r.contentEnds()
	}
	return n
}

func (r *Response) contentEnds() {
	if r.kind == endRequest {
		r.app, r.protocol = binary.BigEndian.Uint32(r.partial[:]), r.partial[4]
		r.have = 0
	}
	r.state = inPadding
	if r.padding == 0 {
		r.recordEnds()
	}
}

func (r *Response) recordEnds() {
	r.state = inHeader
	if r.kind != endRequest {
		return
	}
	r.state = done
	r.lines.end()
	switch r.protocol {
	case 0: // FCGI_REQUEST_COMPLETE
	case 2: // FCGI_OVERLOADED
		r.fail(ErrOverloaded)
	default: // FCGI_CANT_MPX_CONN, FCGI_UNKNOWN_ROLE
		r.fail(ErrRefused)
	}
}

func (r *Response) fail(err error) { r.state, r.fault = failed, err }

// Decode takes all of b apart in place: what is CGI response moves to the front
// of b, n bytes of it. After the last of the response it returns io.EOF, with
// those n bytes as io.Reader does; bytes behind it are dropped, the connection
// can't be used again. n is 0 without an error when b brought only headers or
// error output.
//
// It is Next for a caller that reads into a buffer of its own and wants to see
// there what an HTTP vassal would have written.
func (r *Response) Decode(b []byte) (n int, err error) {
	for i := 0; i < len(b) && err == nil && r.state != done; {
		output, used, fault := r.Next(b[i:])
		n += copy(b[n:], output)
		i += used
		err = fault
	}
	if err == nil && r.state == done {
		err = io.EOF
	}
	return n, err
}

// Done reports whether the response has been consumed whole.
func (r *Response) Done() bool { return r.state == done }

// AppStatus is the exit status that the program gave, once Done.
func (r *Response) AppStatus() uint32 { return r.app }

// Line returns the next line of error output, without its end and not empty; it
// is valid up to the next call of any method. Ask after every Next, or Decode,
// until ok is false. Longer lines than 2,048 bytes come cut. What comes while
// nobody asks is kept up to 4 KiB. Lost counts what is missing.
func (r *Response) Line() (line []byte, ok bool) { return r.lines.next() }

// Lost is how many bytes of error output were dropped.
func (r *Response) Lost() int { return r.lines.lost }

const (
	maxLine  = 2 << 10
	maxLines = 4 << 10
)

// errorLines cuts error output into lines. A program may write any amount of it,
// so what is kept is bounded.
type errorLines struct {
	buf   []byte
	first int  // of buf that has not been returned
	ended bool // no more comes: the rest is a line, too
	skip  bool // the line under way was cut
	lost  int
}

func (l *errorLines) add(b []byte) {
	if l.first > 0 {
		l.buf = append(l.buf[:0], l.buf[l.first:]...)
		l.first = 0
	}
	if l.buf == nil {
		l.buf = make([]byte, 0, maxLines)
	}
	n := min(len(b), maxLines-len(l.buf))
	l.buf = append(l.buf, b[:n]...)
	l.lost += len(b) - n
}

func (l *errorLines) end() { l.ended = true }

func (l *errorLines) next() ([]byte, bool) {
	for {
		rest := l.buf[l.first:]
		size, taken := bytes.IndexByte(rest, '\n'), 0
		switch {
		case size >= 0:
			taken = size + 1
		case l.ended || len(rest) > maxLine:
			size, taken = len(rest), len(rest)
		default:
			return nil, false
		}
		if taken == 0 {
			return nil, false
		}
		l.first += taken
		line, cut := rest[:size], l.skip
		l.skip = rest[taken-1] != '\n'
		if cut {
			l.lost += size
			continue
		}
		if size > maxLine {
			l.lost += size - maxLine
			line = line[:maxLine]
		}
		if line = bytes.TrimRight(line, "\r"); len(line) > 0 {
			return line, true
		}
	}
}
