package static

import (
	"bytes"
	"errors"
	"time"

	"golang.org/x/sys/unix"

	"emperor/router/compress"
	"emperor/router/http1"
)

// Request is what is asked for. Keep it and use it again.
type Request struct {
	Method []byte
	// Path is decoded and normalised (http1.AppendPath), relative to the site: the
	// mountpoint of a static-map is cut off.
	Path []byte
	// Shown is the decoded path as the client knows it, for redirects and
	// static-expires-path-info; nil: Path.
	Shown []byte
	// Target is the request target as sent. Its query is kept by redirects.
	Target []byte
	// Fields of the request; those about conditions, ranges and encodings count.
	Fields []http1.Field
	// Peek: what the site has no file for is left to somebody else (check-static,
	// static-next). The answer's Status is 0 then.
	Peek bool
}

func (r *Request) shown() []byte {
	if r.Shown != nil {
		return r.Shown
	}
	return r.Path
}

// Answer is the answer to one request. Keep it and use it again; it must be closed
// after every Open.
type Answer struct {
	// Status is 200, 206, 301, 304, 403, 404, 405, 412, 416, 500 or 503; 0 with
	// Request.Peek.
	Status int
	// Fields of the response, without Content-Length, Date and what concerns the
	// connection. They are valid until the next Open.
	Fields []http1.Field
	// Length of the body that Read gives, or, for HEAD, would give. -1: there is
	// none; with a Status of 400 and more the caller may write one.
	Length int64
	// Err is why Status is 403, 404, 500 or 503, for the log.
	Err error

	file     file
	other    file   // a compressed sibling that may take its place
	name     []byte // of the file, relative to the root
	text     []byte // what Fields and parts refer to
	tags     validators
	accepted compress.Accepted
	ranges   []byteRange
	body
}

// Open answers r with a, which must be closed whatever the answer is.
func (s *Site) Open(r *Request, a *Answer) {
	a.reset()
	get, head := string(r.Method) == "GET", string(r.Method) == "HEAD"
	if !get && !head {
		if !r.Peek {
			a.Status = 405
			a.add(&allowField)
		}
		return
	}
	root := s.acquire()
	if root == nil {
		a.refuse(r, 404, errClosed)
		return
	}
	root, what, err := s.locate(root, r.Path, a)
	switch what {
	case regular:
		s.serve(root, r, a)
	case slash:
		a.redirect(r)
	default:
		s.miss(root, r, a, err)
	}
	if head {
		a.left = 0
	}
	root.release()
}

// serve answers with the file that is open.
func (s *Site) serve(root *root, r *Request, a *Answer) {
	now := time.Now()
	mediaType := s.mediaType(a.name)
	modified := a.file.stat.Mtim.Sec
	encoding, vary := compress.Identity, false
	if !s.options.Plain && compress.Compressible(compress.DefaultTypes, mediaType) {
		vary = true
		a.accepted.Read(r.Fields)
		encoding = s.preferSibling(root, a, now)
	}
	a.validate(modified, now)
	asked := readAsked(r.Fields)
	switch {
	case !asked.precondition(r.Fields, &a.tags):
		a.Status = 412
		return
	case !asked.changed(r.Fields, &a.tags):
		a.Status = 304
	default:
		a.Status = 200
		a.Length = a.file.stat.Size
		if string(r.Method) == "GET" && asked.wantsPart(&a.tags) {
			var satisfiable bool
			if a.ranges, satisfiable = parseRange(a.ranges[:0], asked.part, a.Length); !satisfiable {
				a.unsatisfiable()
				return
			}
		}
		a.content(mediaType)
	}
	if vary {
		a.add(&varyField)
		if a.Status != 304 && encoding != compress.Identity {
			a.add(&encodingFields[encoding])
		}
	}
	a.addValidators()
	s.addCaching(root, r, a, mediaType, modified, now)
}

// content says what the body is: the whole file, or the ranges of it.
func (a *Answer) content(mediaType []byte) {
	size := a.Length
	switch len(a.ranges) {
	case 0:
		a.addField(contentTypeName, mediaType, http1.ContentType)
		a.whole(size)
	case 1:
		a.Status = 206
		only := a.ranges[0]
		a.addField(contentTypeName, mediaType, http1.ContentType)
		a.addField(contentRangeName, a.keep(only.appendContentRange(a.text, size)), http1.Other)
		a.section(only)
		a.Length = only.length
	default:
		a.Status = 206
		a.addField(contentTypeName, multipartType(), http1.ContentType)
		a.Length = a.multipart(mediaType, size)
	}
	a.add(&noSniffField)
	a.add(&rangesField)
}

func (a *Answer) unsatisfiable() {
	a.Status = 416
	a.addField(contentRangeName, a.keep(appendUnsatisfied(a.text, a.Length)), http1.Other)
	a.Length = -1
}

// miss answers where there is nothing to be served.
func (s *Site) miss(root *root, r *Request, a *Answer, err error) {
	_, unexpected := err.(unix.Errno) // see meaning
	switch {
	case root.gone():
		// Not 404: that would tell search engines to forget the pages.
		a.refuse(r, 503, root.errorf("%w", errGone))
	case err == errOutside, errors.Is(err, unix.EACCES), errors.Is(err, unix.EPERM):
		a.refuse(r, 403, err)
	case err == unix.EMFILE, err == unix.ENFILE, err == unix.ENOMEM, err == unix.EAGAIN, err == unix.ESTALE:
		a.refuse(r, 503, err)
	case unexpected && err != unix.ELOOP:
		a.refuse(r, 500, err)
	default:
		a.refuse(r, 404, err)
		if !r.Peek {
			s.addPage(root, a)
		}
	}
}

// addPage makes the site's own page the body of a 404.
func (s *Site) addPage(root *root, a *Answer) {
	a.name = append(a.name[:0], s.options.NotFound...)
	if s.openRegular(root, a) != nil {
		return
	}
	a.addField(contentTypeName, s.mediaType(a.name), http1.ContentType)
	a.add(&noSniffField)
	a.Length = a.file.stat.Size
	a.whole(a.Length)
}

// refuse sets a status without body.
func (a *Answer) refuse(r *Request, status int, err error) {
	a.Err = err
	if !r.Peek {
		a.Status = status
	}
}

// redirect leads to the same path with a slash at its end, on the same host
// whatever the path looks like to a browser.
func (a *Answer) redirect(r *Request) {
	a.Status = 301
	a.Length = 0
	location := append(a.text, '/')
	location = appendEscaped(location, bytes.TrimLeft(r.shown(), "/"))
	location = append(location, '/')
	if _, query, ok := bytes.Cut(r.Target, []byte("?")); ok && http1.ValidTarget(query) {
		location = append(append(location, '?'), query...)
	}
	a.addField(locationName, a.keep(location), http1.Other)
}

// appendEscaped appends a path so that it can stand in a URL: what RFC 3986 does
// not let stand there as itself is escaped, a backslash too, which browsers take
// for a slash.
func appendEscaped(dst, path []byte) []byte {
	const hex = "0123456789ABCDEF"
	for _, c := range path {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', bytes.IndexByte([]byte("-._~!$&'()*+,;=:@/"), c) >= 0:
			dst = append(dst, c)
		default:
			dst = append(dst, '%', hex[c>>4], hex[c&15])
		}
	}
	return dst
}

// Close closes the file.
func (a *Answer) Close() {
	a.file.close()
	a.left = 0
}

func (a *Answer) reset() {
	a.Close()
	a.Status, a.Fields, a.Length, a.Err = 0, a.Fields[:0], -1, nil
	a.text, a.ranges = a.text[:0], a.ranges[:0]
	a.body.reset()
}

// keep keeps what was appended to a.text and returns that part.
func (a *Answer) keep(grown []byte) []byte {
	start := len(a.text)
	a.text = grown
	return grown[start:len(grown):len(grown)]
}

func (a *Answer) add(f *http1.Field) { a.Fields = append(a.Fields, *f) }

func (a *Answer) addField(name, value []byte, kind http1.Kind) {
	a.Fields = append(a.Fields, http1.Field{Name: name, Value: value, Kind: kind})
}

var (
	contentTypeName  = []byte("Content-Type")
	contentRangeName = []byte("Content-Range")
	locationName     = []byte("Location")

	allowField     = http1.Field{Name: []byte("Allow"), Value: []byte("GET, HEAD")}
	rangesField    = http1.Field{Name: []byte("Accept-Ranges"), Value: []byte("bytes")}
	varyField      = http1.Field{Name: []byte("Vary"), Value: []byte("Accept-Encoding")}
	noSniffField   = http1.Field{Name: []byte("X-Content-Type-Options"), Value: []byte("nosniff")}
	encodingFields = [...]http1.Field{
		compress.Gzip:   {Name: []byte("Content-Encoding"), Value: []byte("gzip")},
		compress.Zstd:   {Name: []byte("Content-Encoding"), Value: []byte("zstd")},
		compress.Brotli: {Name: []byte("Content-Encoding"), Value: []byte("br")},
	}
)
