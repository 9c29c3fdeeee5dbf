package compress

import (
	"fmt"
	"strings"
)

// Encoding is a content coding (RFC 9110 §8.4.1).
type Encoding uint8

const (
	Identity Encoding = iota // as it is
	Gzip
	Zstd
	Brotli
)

var names = [...]string{Identity: "identity", Gzip: "gzip", Zstd: "zstd", Brotli: "br"}

// String is the name that Accept-Encoding and Content-Encoding use.
func (e Encoding) String() string { return names[e] }

// ParseEncodings reads a list as "gzip,br,zstd": what is offered, most liked
// first.
func ParseEncodings(list string) ([]Encoding, error) {
	var found []Encoding
	for word := range strings.FieldsFuncSeq(list, func(r rune) bool { return r == ',' || r == ' ' }) {
		switch strings.ToLower(word) {
		case "gzip":
			found = append(found, Gzip)
		case "zstd":
			found = append(found, Zstd)
		case "br", "brotli":
			found = append(found, Brotli)
		default:
			return nil, fmt.Errorf("%q is no known compression, want some of gzip, zstd and br", word)
		}
	}
	return found, nil
}
