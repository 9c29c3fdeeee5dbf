package static

import (
	"errors"
	"io"

	"emperor/router/http1"
)

// Request is what is asked for. Keep it and use it again.
type Request struct {
	Method []byte
	// Path is decoded and normalised (http1.AppendPath), relative to the site: the
	// mountpoint of a static-map is cut off.
	Path []byte
	// Shown is the decoded path as the client knows it, for redirects; nil: Path.
	Shown []byte
	// Target is the request target as sent. Its query is kept by redirects.
	Target []byte
	// Fields of the request; those about conditions, ranges and encodings count.
	Fields []http1.Field
	// Peek: what the site has no file for is left to somebody else (check-static,
	// static-next). The answer's Status is 0 then: no redirect, no page.
	Peek bool
}

// Answer is the answer to one request. Keep it and use it again; it must be closed
// after every Open.
type Answer struct {
	// Status is 200, 206, 301, 304, 403, 404, 405, 412, 416, 500 or 503; 0 with
	// Request.Peek.
	Status int
	// Fields of the response, without Content-Length, Date and what concerns the
	// connection. They are valid until Close.
	Fields []http1.Field
	// Length of the body that Read gives, or, for HEAD, would give; -1: there is
	// none, and where Status asks for one it is the caller's.
	Length int64
	// Err is why the status is 403, 404, 500 or 503, for the log.
	Err error
}

// ErrChanged: the file changed while it was sent.
var ErrChanged = errors.New("the file changed while it was sent")

// Open answers r with a.
func (s *Site) Open(r *Request, a *Answer) { *a = Answer{Status: 404, Length: -1} }

// Read reads on in the body, as much as fits into p: one system call for up to
// len(p) bytes. io.EOF comes after exactly Length bytes. Any other error means that
// the body can't be completed, so that the response must be seen to break off. The
// last piece is given only when the file is known to be the one that was begun
// with.
func (a *Answer) Read(p []byte) (int, error) { return 0, io.EOF }

// SendFile moves up to most bytes of the body into a socket without copying them
// through the process (sendfile(2)), and reports unix.EAGAIN as the kernel does.
// 0, nil means that the rest is for Read: the last piece always is, and bodies of
// several ranges are whole.
func (a *Answer) SendFile(socket int, most int64) (int64, error) { return 0, nil }

// Close closes the file. The Fields are not valid any longer.
func (a *Answer) Close() {}
