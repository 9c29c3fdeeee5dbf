package compress

import "emperor/router/http1"

// Accepted is what a client can decode: its Accept-Encoding. The zero value is
// that of a client that did not say, which gets everything as it is.
type Accepted struct {
	quality [4]uint16 // by Encoding, in thousandths; 0: not acceptable
}

// Read takes the Accept-Encoding fields of a request head, and forgets what was
// read before.
func (a *Accepted) Read(fields []http1.Field) {}

// Choose returns the encoding that the client likes best among offered; between
// those that it likes the same, the one offered first. It is Identity if none is
// acceptable: a response that the client may have to refuse helps more than
// none.
func (a *Accepted) Choose(offered []Encoding) Encoding { return Identity }
