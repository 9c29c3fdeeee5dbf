package http1

import "bytes"

var (
	errEscape  = refuse(400, "invalid %-escape in path")
	errPathNUL = refuse(400, "NUL in path")
)

// AppendPath decodes the escapes of a path once, resolves "." and ".." segments
// in the outcome (never above the root) and appends it to dst. So "%2e%2e" and
// "%2F" mean what they stand for and no second reader can find a ".." that this
// one missed. "//" is kept, as uWSGI does. It fails with 400 for an invalid
// escape or a NUL; other bytes, also control characters, come out as encoded.
// dst is returned unchanged on failure. A path that does not start with '/'
// ("*") is appended as it is.
func AppendPath(dst, path []byte) ([]byte, error) {
	start := len(dst)
	if bytes.IndexByte(path, 0) >= 0 {
		return dst, errPathNUL
	}
	if escape := bytes.IndexByte(path, '%'); escape < 0 {
		dst = append(dst, path...)
	} else {
		var fault *Error
		if dst, fault = appendDecoded(dst, path, escape); fault != nil {
			return dst[:start], fault
		}
	}
	p := dst[start:]
	if len(p) == 0 || p[0] != '/' {
		return dst, nil
	}
	for i := 0; ; {
		dot := bytes.IndexByte(p[i:], '.')
		if dot < 0 {
			return dst, nil
		}
		i += dot
		if p[i-1] == '/' && dotSegment(p[i:]) > 0 {
			return dst[:start+normalise(p, i)], nil
		}
		i++
	}
}

// appendDecoded appends path decoded; escape is the index of its first '%'.
func appendDecoded(dst, path []byte, escape int) ([]byte, *Error) {
	dst = append(dst, path[:escape]...)
	for i := escape; i < len(path); i++ {
		c := path[i]
		if c == '%' {
			if len(path)-i < 3 || !isHex(path[i+1]) || !isHex(path[i+2]) {
				return dst, errEscape
			}
			c = unhex(path[i+1])<<4 | unhex(path[i+2])
			if c == 0 {
				return dst, errPathNUL
			}
			i += 2
		}
		dst = append(dst, c)
	}
	return dst, nil
}

// unhex is for bytes that isHex accepts.
func unhex(c byte) byte {
	if c <= '9' {
		return c - '0'
	}
	return c | 0x20 - 'a' + 10
}

// dotSegment returns the number of dots if p starts with a "." or ".." segment,
// 0 otherwise.
func dotSegment(p []byte) int {
	n := 0
	for n < len(p) && p[n] == '.' {
		n++
	}
	if n > 2 || n < len(p) && p[n] != '/' {
		return 0
	}
	return n
}

// normalise resolves dot segments in place and returns the new length. p starts
// with '/'; its first dot segment is at i.
func normalise(p []byte, i int) int {
	out := i // p[:out] is done and ends in '/' whenever a segment starts
	for i < len(p) {
		switch dots := dotSegment(p[i:]); dots {
		case 0:
			n := bytes.IndexByte(p[i:], '/') + 1
			if n == 0 {
				n = len(p) - i
			}
			out += copy(p[out:], p[i:i+n])
			i += n
		default:
			if dots == 2 && out > 1 {
				out = bytes.LastIndexByte(p[:out-1], '/') + 1
			}
			i += dots
			if i < len(p) {
				i++ // the '/' behind it: the one before is still there
			}
		}
	}
	return out
}

// AppendEscaped appends a decoded path as it may stand in a request target: what
// could be taken for something else there (a blank, ? # %, control and non-ASCII
// bytes) is percent-encoded.
func AppendEscaped(dst, path []byte) []byte {
	const digits = "0123456789ABCDEF"
	for _, c := range path {
		if isPathByte(c) {
			dst = append(dst, c)
		} else {
			dst = append(dst, '%', digits[c>>4], digits[c&15])
		}
	}
	return dst
}

// isPathByte: pchar and "/" (RFC 3986 §3.3), without "%".
func isPathByte(c byte) bool {
	switch {
	case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		return true
	}
	switch c {
	case '/', '-', '.', '_', '~', '!', '$', '&', '\'', '(', ')', '*', '+', ',', ';', '=', ':', '@':
		return true
	}
	return false
}
