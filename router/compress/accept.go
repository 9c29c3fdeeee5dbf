package compress

import (
	"bytes"

	"emperor/router/http1"
)

// Accepted is what a client can decode: its Accept-Encoding (RFC 9110 §12.5.3).
// The zero value is that of a client that did not say, which gets everything as it
// is.
type Accepted struct {
	quality [len(names)]int16 // by Encoding, in thousandths; 0: not acceptable
	listed  [len(names)]bool  // by name, not by "*"
}

var acceptEncoding = []byte("Accept-Encoding")

// Read takes the Accept-Encoding fields of a request head, and forgets what was
// read before.
func (a *Accepted) Read(fields []http1.Field) {
	*a = Accepted{}
	others := int16(0) // what "*" says
	for i := range fields {
		if f := &fields[i]; len(f.Name) == len(acceptEncoding) && bytes.EqualFold(f.Name, acceptEncoding) {
			others = a.list(f.Value, others)
		}
	}
	for e := range a.quality {
		if !a.listed[e] && Encoding(e) != Identity {
			a.quality[e] = others
		}
	}
}

// list reads one field's value and returns the quality of what nobody names.
func (a *Accepted) list(value []byte, others int16) int16 {
	for len(value) > 0 {
		var element []byte
		element, value, _ = bytes.Cut(value, comma)
		name, weight, weighted := bytes.Cut(element, semicolon)
		name = trim(name)
		q := int16(1000)
		if weighted {
			// What can't be read is not a wish: nothing is sent that nobody asked for.
			q = quality(trim(weight))
		}
		switch e, known := encodingNamed(name); {
		case known:
			a.quality[e], a.listed[e] = q, true
		case len(name) == 1 && name[0] == '*':
			others = q
		}
	}
	return others
}

var (
	comma     = []byte{','}
	semicolon = []byte{';'}
)

// Choose returns the encoding that the client likes best among offered; between
// those that it likes the same, the one offered first. It is Identity if none is
// acceptable, even where the client refuses that: a response that it may have to
// throw away helps more than none.
func (a *Accepted) Choose(offered []Encoding) Encoding {
	best := Identity
	q := int16(0)
	if a.listed[Identity] {
		// A client that names identity with a weight means the comparison.
		q = max(0, a.quality[Identity]-1)
	}
	for _, e := range offered {
		if a.quality[e] > q {
			best, q = e, a.quality[e]
		}
	}
	return best
}

func encodingNamed(name []byte) (Encoding, bool) {
	switch len(name) {
	case 2:
		return Brotli, equal(name, "br")
	case 4:
		if equal(name, "gzip") {
			return Gzip, true
		}
		return Zstd, equal(name, "zstd")
	case 6:
		return Gzip, equal(name, "x-gzip") // RFC 9110 §8.4.1.3
	case 8:
		return Identity, equal(name, "identity")
	}
	return Identity, false
}

// quality reads "q=0.5" in thousandths. Anything else is 0.
func quality(weight []byte) int16 {
	if len(weight) < 3 || weight[0]|0x20 != 'q' || weight[1] != '=' || len(weight) > len("q=0.123") {
		return 0
	}
	digits := weight[2:]
	if digits[0] != '0' && digits[0] != '1' || len(digits) > 1 && digits[1] != '.' {
		return 0
	}
	q := int16(digits[0]-'0') * 1000
	scale := int16(100)
	for _, d := range digits[min(2, len(digits)):] {
		if d < '0' || d > '9' {
			return 0
		}
		q += int16(d-'0') * scale
		scale /= 10
	}
	if q > 1000 {
		return 0
	}
	return q
}

func trim(b []byte) []byte {
	for len(b) > 0 && (b[0] == ' ' || b[0] == '\t') {
		b = b[1:]
	}
	for len(b) > 0 && (b[len(b)-1] == ' ' || b[len(b)-1] == '\t') {
		b = b[:len(b)-1]
	}
	return b
}

// equal compares without regard to case; word is lower case.
func equal(b []byte, word string) bool {
	if len(b) != len(word) {
		return false
	}
	for i, c := range b {
		if 'A' <= c && c <= 'Z' {
			c |= 0x20
		}
		if c != word[i] {
			return false
		}
	}
	return true
}
