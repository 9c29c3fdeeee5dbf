package http1

// ParseCGI reads a CGI response head (RFC 3875 §6), as FastCGI and SCGI programs
// send it, as Parse reads an HTTP one. The status is that of the field "Status:
// 404 Not Found", which is then no field any more; 302 when there is none but a
// Location; 200 otherwise. A head that starts with an HTTP status line instead
// is accepted.
//
// The body is Content-Length bytes long or goes up to the end of the response. A
// Transfer-Encoding has no meaning in CGI and is hop-by-hop, as with nginx. Close
// is always set.
func (r *Response) ParseCGI(buf []byte, headRequest bool, limits *Limits) (n int, err error) {
	return r.Parse(buf, headRequest, limits)
}
