package compress

import "emperor/router/http1"

// Policy says which responses are compressed. It is made once and not changed
// after.
type Policy struct {
	// Encodings are offered, most liked first. None: nothing is compressed but
	// what OnDemand says.
	Encodings []Encoding
	// Types are media types without parameters, "text/*" among them. Nil:
	// DefaultTypes.
	Types []string
	// MinLength is the least announced length. Default 1024: below it a response
	// is a packet with or without. Responses of unknown length qualify.
	MinLength int64
	// Level of all encodings; 0 is the default of each (see Pool).
	Level int
	// OnDemand is uWSGI's http-auto-gzip: a response with "uWSGI-Encoding: gzip" is
	// sent as gzip to clients that accept it, whatever its type and length.
	OnDemand bool
}

// Choice is what becomes of one response.
type Choice struct {
	Encoding Encoding
	// Vary: another client would get another encoding, so that a cache must be
	// told, also when this client gets the response as it is.
	Vary bool

	etag []byte // room for the weakened one
}

// Choose decides about one response. It does not change it.
//
// Never compressed: answers without or with a part of a body (1xx, 204, 205, 206,
// 304), to HTTP/1.0 clients (their bodies end with the connection, and gzip's end
// is not told from a failure), with a Content-Encoding already or Cache-Control:
// no-transform.
func (p *Policy) Choose(a *Accepted, request *http1.Request, response *http1.Response) Choice {
	return Choice{}
}

// Rewrite makes the head say what Choose decided: Content-Encoding and Vary are
// added, a strong ETag becomes weak, and what is not true of the compressed body
// goes (Accept-Ranges, digests). The body has no announced length then: response's
// ContentLength becomes -1, and framing it is the caller's.
func (c *Choice) Rewrite(response *http1.Response) {}
