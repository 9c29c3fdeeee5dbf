package compress

import (
	"slices"

	"emperor/router/http1"
)

var (
	varyField      = http1.Field{Name: []byte("Vary"), Value: []byte("Accept-Encoding")}
	encodingFields = [...]http1.Field{
		Gzip:   {Name: []byte("Content-Encoding"), Value: []byte("gzip")},
		Zstd:   {Name: []byte("Content-Encoding"), Value: []byte("zstd")},
		Brotli: {Name: []byte("Content-Encoding"), Value: []byte("br")},
	}
)

// Rewrite makes the fields of the response say what was chosen: Content-Encoding
// and Vary are added, a strong ETag becomes weak (RFC 9110 §8.8.1: it named other
// bytes), and what is not true of the compressed body goes: Accept-Ranges,
// because a part of it can't be had, and digests.
//
// ContentLength and Framing still say how the vassal's body ends. The one sent to
// the client has another length, which is not known: Content-Length must be left
// out, also in the answer to a HEAD.
//
// The fields refer to c until it is used for another response.
func (c *Choice) Rewrite(response *http1.Response) {
	if c.Vary && !varies(response.Fields) {
		response.Fields = append(response.Fields, varyField)
	}
	if c.Encoding == Identity {
		return
	}
	response.Fields = slices.DeleteFunc(response.Fields, func(f http1.Field) bool {
		return untrue(&f)
	})
	for i := range response.Fields {
		if f := &response.Fields[i]; equal(f.Name, "etag") && f.Value[0] == '"' {
			c.etag = append(append(c.etag[:0], "W/"...), f.Value...)
			f.Value = c.etag
		}
	}
	response.Fields = append(response.Fields, encodingFields[c.Encoding])
}

// untrue tells whether a field does not hold for the compressed body.
func untrue(f *http1.Field) bool {
	switch len(f.Name) {
	case len("etag"):
		// Neither strong nor weak: nobody knows what it names.
		return equal(f.Name, "etag") && !entityTag(f.Value)
	case len("digest"):
		return equal(f.Name, "digest")
	case len("content-md5"):
		return equal(f.Name, "content-md5") || equal(f.Name, "repr-digest")
	case len("accept-ranges"):
		return equal(f.Name, "accept-ranges")
	case len("content-digest"):
		return equal(f.Name, "content-digest")
	}
	return false
}

func entityTag(value []byte) bool {
	if len(value) > 2 && value[0] == 'W' && value[1] == '/' {
		value = value[2:]
	}
	return len(value) >= 2 && value[0] == '"' && value[len(value)-1] == '"'
}

// varies tells whether the response says already that it depends on
// Accept-Encoding.
func varies(fields []http1.Field) bool {
	for i := range fields {
		if f := &fields[i]; equal(f.Name, "vary") && (lists(f.Value, "accept-encoding") || lists(f.Value, "*")) {
			return true
		}
	}
	return false
}
