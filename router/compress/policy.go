package compress

import (
	"bytes"
	"strings"

	"emperor/router/http1"
)

// Policy says which responses are compressed. It is made once and not changed
// after.
type Policy struct {
	// Encodings are offered, most liked first. None: nothing is compressed but
	// what OnDemand says.
	Encodings []Encoding
	// Types are media types in lower case, without parameters. "text/*" is all of
	// text, "*+json" what is JSON by its suffix. Nil: DefaultTypes.
	Types []string
	// MinLength is the least announced length. Default 1024: below it a response is
	// one packet with or without. Responses of unknown length qualify.
	MinLength int64
	// Level of all encodings; 0 is the default of each (see Pool.Get).
	Level int
	// OnDemand is uWSGI's http-auto-gzip: a response with "uWSGI-Encoding: gzip" is
	// sent as gzip to clients that accept it, whatever its type and length.
	OnDemand bool
}

// DefaultTypes is what gets much smaller, and is not compressed by its nature.
var DefaultTypes = []string{
	"text/*", "*+json", "*+xml",
	"application/json", "application/x-ndjson",
	"application/javascript", "application/x-javascript",
	"application/xml", "application/wasm",
	"font/ttf", "font/otf", "application/vnd.ms-fontobject",
	"image/bmp", "image/x-icon", "image/vnd.microsoft.icon",
}

const defaultMinLength = 1024

// Choice is what becomes of one response.
type Choice struct {
	// Encoding is Identity where the response is left as it is.
	Encoding Encoding
	// Vary: another client would get another encoding, so that a cache must be
	// told, also when this client gets the response as it is.
	Vary bool

	etag []byte // room for the weakened one
}

var onlyGzip = []Encoding{Gzip}

// Choose decides about one response and keeps the outcome in c. It changes
// nothing else. a is the request's Accept-Encoding.
//
// Never compressed: answers without a body or with a part of one (1xx, 204, 205,
// 206, 304), those with a Content-Encoding already or Cache-Control: no-transform,
// and those to HTTP/1.0 clients, as uncompressed ones have a length or an end
// that they understand.
func (c *Choice) Choose(p *Policy, a *Accepted, request *http1.Request, response *http1.Response) {
	c.Encoding, c.Vary = Identity, false
	if len(p.Encodings) == 0 && !p.OnDemand {
		return
	}
	switch s := response.Status; {
	case s == 304:
		// What a 200 would say of caching, without its type: better too often.
		c.Vary = len(p.Encodings) > 0
		return
	case s < 200 || s == 204 || s == 205 || s == 206:
		return
	}
	facts := examine(response.Fields)
	if facts.encoded || facts.noTransform || facts.part {
		return
	}
	offered := p.Encodings
	switch {
	case p.OnDemand && facts.demanded:
		offered = onlyGzip
	case len(offered) == 0 || !p.typed(facts.mediaType):
		return
	case response.ContentLength >= 0 && response.ContentLength < p.minLength():
		return
	}
	c.Vary = true
	if request.Minor > 0 {
		c.Encoding = a.Choose(offered)
	}
}

func (p *Policy) minLength() int64 {
	if p.MinLength == 0 {
		return defaultMinLength
	}
	return p.MinLength
}

// typed tells whether a media type is among the policy's.
func (p *Policy) typed(mediaType []byte) bool {
	types := p.Types
	if types == nil {
		types = DefaultTypes
	}
	return Compressible(types, mediaType)
}

// Compressible tells whether the value of a Content-Type is one of types, which
// are written as Policy.Types are.
func Compressible(types []string, mediaType []byte) bool {
	mediaType, _, _ = bytes.Cut(mediaType, semicolon)
	mediaType = trim(mediaType)
	for _, t := range types {
		n := len(mediaType) - len(t) + 1
		switch {
		case strings.HasSuffix(t, "*"):
			if n >= 0 && equal(mediaType[:len(t)-1], t[:len(t)-1]) {
				return true
			}
		case strings.HasPrefix(t, "*"):
			if n >= 0 && equal(mediaType[n:], t[1:]) {
				return true
			}
		case equal(mediaType, t):
			return true
		}
	}
	return false
}

// facts are what a response's fields say about compressing it.
type facts struct {
	mediaType   []byte
	encoded     bool // Content-Encoding
	part        bool // Content-Range
	noTransform bool // Cache-Control
	demanded    bool // uWSGI-Encoding
}

func examine(fields []http1.Field) (found facts) {
	for i := range fields {
		f := &fields[i]
		switch len(f.Name) {
		case len("content-type"):
			if f.Kind == http1.ContentType {
				found.mediaType = f.Value
			}
		case len("content-range"):
			switch {
			case equal(f.Name, "content-range"):
				found.part = true
			case equal(f.Name, "cache-control"):
				found.noTransform = found.noTransform || lists(f.Value, "no-transform")
			}
		case len("uwsgi-encoding"):
			if equal(f.Name, "uwsgi-encoding") {
				found.demanded = equal(f.Value, "gzip")
			}
		case len("content-encoding"):
			if equal(f.Name, "content-encoding") {
				found.encoded = true
			}
		}
	}
	return found
}

// lists tells whether a list in a field has word as an element.
func lists(value []byte, word string) bool {
	for len(value) >= len(word) {
		var element []byte
		element, value, _ = bytes.Cut(value, comma)
		if equal(trim(element), word) {
			return true
		}
	}
	return false
}
