package static

import (
	"bytes"
	"crypto/rand"
	"strconv"
	"sync"
)

// byteRange is a part of a file: at least one byte, all of them within it.
type byteRange struct{ start, length int64 }

// mostRanges bounds what one request can ask for; more are ignored, as RFC 9110
// §14.2 allows, and the answer is the whole file.
const mostRanges = 16

// parseRange reads the value of a Range field for a file of size bytes and appends
// the ranges to dst. None, and satisfiable, means that the answer is the whole
// file: so are answered other units than bytes, what is not well-formed, and sets of
// ranges that together are more than the file. satisfiable is false if the file
// has nothing of what is asked for: 416.
func parseRange(dst []byteRange, value []byte, size int64) (ranges []byteRange, satisfiable bool) {
	const unit = "bytes="
	if len(value) < len(unit) || !bytes.EqualFold(value[:len(unit)], []byte(unit)) {
		return dst, true
	}
	value = value[len(unit):]
	start := len(dst)
	total, count := int64(0), 0
	for more := true; more; {
		var spec []byte
		spec, value, more = bytes.Cut(value, []byte(","))
		if spec = bytes.Trim(spec, " \t"); len(spec) == 0 {
			continue // an empty element of a list
		}
		r, ok := parseSpec(spec, size)
		if !ok {
			return dst[:start], true
		}
		if count++; count > mostRanges {
			return dst[:start], true
		}
		if r.length > 0 {
			dst = append(dst, r)
			total += r.length
		}
	}
	switch {
	case count == 0 || total > size:
		return dst[:start], true
	case len(dst) == start && size > 0:
		return dst, false
	}
	return dst, true // also of an empty file: it is given whole rather than refused
}

// parseSpec reads one of "5-9", "5-" and "-5". The range has no length if it
// begins behind the end.
func parseSpec(spec []byte, size int64) (r byteRange, ok bool) {
	first, last, dash := bytes.Cut(spec, []byte("-"))
	first, last = bytes.TrimRight(first, " \t"), bytes.TrimLeft(last, " \t")
	if !dash {
		return r, false
	}
	if len(first) == 0 {
		suffix, ok := parseNumber(last)
		suffix = min(suffix, size)
		return byteRange{size - suffix, suffix}, ok
	}
	if r.start, ok = parseNumber(first); !ok {
		return r, false
	}
	end := size
	if len(last) > 0 {
		inclusive, ok := parseNumber(last)
		if !ok || inclusive < r.start {
			return r, false
		}
		end = min(inclusive, size-1) + 1
	}
	r.length = max(0, end-r.start)
	return r, true
}

// parseNumber reads decimal digits. What is too large is as good as very large.
func parseNumber(text []byte) (n int64, ok bool) {
	const most = 1 << 60
	for _, c := range text {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = min(n*10+int64(c-'0'), most)
	}
	return n, len(text) > 0
}

// appendContentRange appends the value of Content-Range.
func (r byteRange) appendContentRange(dst []byte, size int64) []byte {
	dst = append(dst, "bytes "...)
	dst = strconv.AppendInt(dst, r.start, 10)
	dst = append(dst, '-')
	dst = strconv.AppendInt(dst, r.start+r.length-1, 10)
	dst = append(dst, '/')
	return strconv.AppendInt(dst, size, 10)
}

func appendUnsatisfied(dst []byte, size int64) []byte {
	return strconv.AppendInt(append(dst, "bytes */"...), size, 10)
}

// boundary separates the parts of multipart bodies. It can't be guessed, so that no
// file has it in it.
var boundary = sync.OnceValue(rand.Text)

var multipartType = sync.OnceValue(func() []byte {
	return []byte("multipart/byteranges; boundary=" + boundary())
})

// multipart makes the ranges the body, each with a head of its own (RFC 9110
// §14.6), and returns its length.
func (a *Answer) multipart(mediaType []byte, size int64) (length int64) {
	for i, r := range a.ranges {
		head := a.text
		if i > 0 {
			head = append(head, "\r\n"...)
		}
		head = append(append(head, "--"...), boundary()...)
		head = append(append(head, "\r\nContent-Type: "...), mediaType...)
		head = append(head, "\r\nContent-Range: "...)
		head = append(r.appendContentRange(head, size), "\r\n\r\n"...)
		a.words(a.keep(head))
		a.section(r)
	}
	end := append(append(a.text, "\r\n--"...), boundary()...)
	a.words(a.keep(append(end, "--\r\n"...)))
	return a.left
}
