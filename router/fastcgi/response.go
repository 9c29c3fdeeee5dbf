package fastcgi

import "errors"

// Faults of a response. ErrOverloaded and ErrRefused say that the program did
// not begin with the request, so it may go elsewhere; after the others the
// connection is of no use.
var (
	ErrOverloaded = errors.New("fastcgi: the program takes no more requests now")
	ErrRefused    = errors.New("fastcgi: the program does not take this kind of request")
	ErrMalformed  = errors.New("fastcgi: malformed record")
)

// Response takes the records of one response apart, from pieces of any size. The
// zero value is ready; Reset makes it so again.
type Response struct {
	appStatus uint32
	lost      int
}

// Reset makes r ready for another response.
func (r *Response) Reset() {}

// Next consumes the start of src: n bytes of it, of which stdout (a slice of
// src, possibly empty) is part of the CGI response. Call it with src[n:] until
// Done, or until src is empty; it consumes at least one byte before Done. What
// follows the last record is not consumed.
//
// An error stays.
func (r *Response) Next(src []byte) (stdout []byte, n int, err error) { return nil, len(src), nil }

// Decode takes all of b apart in place: what is CGI response moves to the front
// of b, n bytes of it. After the last of the response it returns io.EOF, with
// those n bytes as io.Reader does; bytes behind it are dropped, the connection
// can't be used again. n is 0 without an error when b brought only headers or
// error output.
//
// It is Next for a caller that reads into a buffer of its own and wants to see
// there what an HTTP vassal would have written.
func (r *Response) Decode(b []byte) (n int, err error) { return 0, nil }

// Done reports whether the response has been consumed whole.
func (r *Response) Done() bool { return false }

// AppStatus is the exit status that the program gave, once Done.
func (r *Response) AppStatus() uint32 { return r.appStatus }

// Line returns the next line of error output, without its end; it is valid up to
// the next call of any method. Ask after every Next or Decode, until ok is
// false. Lines longer than 2,048 bytes come cut, and what comes while nobody asks
// is kept up to 4 KiB; Lost counts the bytes that are missing.
func (r *Response) Line() (line []byte, ok bool) { return nil, false }

// Lost is how many bytes of error output were dropped.
func (r *Response) Lost() int { return r.lost }
