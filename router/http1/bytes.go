package http1

import (
	"bytes"
	"encoding/binary"
	"math/bits"
)

// What a byte may be part of; see classes.
const (
	tokenByte      = 1 << iota // RFC 9110 §5.6.2, without '_'
	underscoreByte             // '_', a token character too
	targetByte                 // request target: visible bytes and obs-text, not '#'
	hostByte                   // letters, digits, '-', '_'
	upperByte                  // 'A' to 'Z'
	dotByte                    // '.'
	valueByte                  // field value: no control byte but tab
)

// classes is the one table that every loop over single bytes looks into.
var classes = func() (t [256]uint8) {
	for i := range t {
		c := byte(i)
		lower := c | 0x20
		letter := lower >= 'a' && lower <= 'z'
		digit := c >= '0' && c <= '9'
		if letter || digit || c == '-' {
			t[i] |= tokenByte | hostByte
		}
		if bytes.IndexByte([]byte("!#$%&'*+.^`|~"), c) >= 0 {
			t[i] |= tokenByte
		}
		if c == '_' {
			t[i] |= underscoreByte | hostByte
		}
		if c >= 'A' && c <= 'Z' {
			t[i] |= upperByte
		}
		if c == '.' {
			t[i] |= dotByte
		}
		if c > 0x20 && c != 0x7f && c != '#' {
			t[i] |= targetByte
		}
		if c >= 0x20 && c != 0x7f || c == '\t' {
			t[i] |= valueByte
		}
	}
	return t
}()

const nameByte = tokenByte | underscoreByte

const (
	ones  = 0x0101010101010101
	highs = 0x8080808080808080
)

// endOfValue returns the index of the first byte from i on that can't be part of
// a field value (a control byte other than tab), or len(b). It looks at eight
// bytes at a time: values are most of a head, and finding their end and checking
// them is one pass this way.
func endOfValue(b []byte, i int) int {
	for i+8 <= len(b) {
		x := binary.LittleEndian.Uint64(b[i:])
		// High bit set in each byte that is below 0x20, or equal to 0x7F. A borrow
		// can set one falsely only above a true one, so the lowest is exact.
		del := x ^ 0x7f*ones
		hit := ((x-0x20*ones)&^x | (del-ones)&^del) & highs
		if hit == 0 {
			i += 8
			continue
		}
		i += bits.TrailingZeros64(hit) / 8
		if b[i] != '\t' {
			return i
		}
		i++
	}
	for i < len(b) && classes[b[i]]&valueByte != 0 {
		i++
	}
	return i
}

// scan remembers how far a head that comes in pieces has been searched for the
// ends of its first line and of itself, so that each byte is searched once. The
// zero value has searched nothing.
type scan struct {
	pos   int   // everything before it has been searched
	line  int   // start of the line that pos is in
	found event // the last thing found
}

// event is what a search has come to.
type event uint8

const (
	nothing   event = iota
	firstLine       // the first line is complete
	wholeHead       // the empty line that ends the head is there
)

// begin says where the first line, which is not empty, starts. It is ignored
// once the search has gone on from there.
func (s *scan) begin(at int) {
	if s.pos == 0 {
		s.pos, s.line = at, at
	}
}

// next searches on and reports whether something was found. Lines may end in a
// bare LF here: whether that is a fault is for the parser to say, the head ends
// there either way.
func (s *scan) next(b []byte) bool {
	for s.found != wholeHead {
		j := bytes.IndexByte(b[s.pos:], '\n')
		if j < 0 {
			s.pos = len(b)
			return false
		}
		end := s.pos + j
		n := end - s.line
		empty := n == 0 || n == 1 && b[s.line] == '\r'
		s.pos, s.line = end+1, end+1
		if s.found == nothing {
			s.found = firstLine
			return true
		}
		if empty {
			s.found = wholeHead
		}
	}
	return true
}

// whole searches on to the end of the head.
func (s *scan) whole(b []byte) bool {
	for s.found != wholeHead && s.next(b) {
	}
	return s.found == wholeHead
}

// parseNumber reads decimal digits, at most 18 of them, so that the outcome fits
// into an int64 without a check at each digit.
func parseNumber(b []byte) (n int64, ok bool) {
	if len(b) == 0 || len(b) > 18 {
		return 0, false
	}
	for _, c := range b {
		d := c - '0'
		if d > 9 {
			return 0, false
		}
		n = n*10 + int64(d)
	}
	return n, true
}
