package http1

// Chunked decodes a body in chunked coding (RFC 9112 §7.1) from pieces of any
// size. The zero value is ready; Reset makes it so again.
//
// It is strict: sizes are 1 to 16 hexadecimal digits and nothing else ("0x5",
// "+5", " 5", "5 " are errors), lines end in CRLF. Extensions are skipped,
// trailer fields are checked and dropped; both are bounded, extensions in
// proportion to the data so that a body made mostly of them is refused.
type Chunked struct {
	left   int64 // size while it is read, then bytes of data still to come
	excess int64 // bytes spent on size lines beyond what the data justifies
	line   int   // bytes of the size line, or of all trailer lines, so far
	state  chunkState
	fault  *Error
}

type chunkState uint8

const (
	sizeFirst   chunkState = iota // first digit of a size
	sizeMore                      // further digits, ';' or CR
	extension                     // up to CR
	sizeLF                        // LF of the size line
	chunkData                     // data
	dataCR                        // CR behind data
	dataLF                        // LF behind data
	trailerLine                   // start of a trailer line, or of the last one, which is empty
	trailerName                   // up to ':'
	trailerText                   // up to CR
	trailerLF                     // LF of a trailer line
	lastLF                        // LF of the empty line
	chunksDone
	chunksBad
)

const (
	maxExtension = 1 << 10  // bytes of one size line
	maxExcess    = 16 << 10 // see Chunked.excess; the rule is net/http's
	maxTrailer   = 2 << 10  // bytes of all trailer fields
)

var (
	errChunkSize  = refuse(400, "malformed chunk size")
	errChunkBig   = refuse(400, "chunk size is too big")
	errChunkEnd   = refuse(400, "chunk data is not followed by CRLF")
	errExtension  = refuse(400, "malformed or too long chunk extension")
	errExcess     = refuse(400, "chunked body consists mostly of overhead")
	errTrailer    = refuse(400, "malformed trailer field")
	errTrailerBig = refuse(400, "trailer is too big")
)

// Next consumes the start of src: n bytes of it, of which data (a slice of src,
// possibly empty) is payload. Call it with src[n:] until Done, or until src is
// empty; it consumes at least one byte before Done. The error is a *Error with
// status 400, and stays.
func (c *Chunked) Next(src []byte) (data []byte, n int, err error) {
	for n < len(src) {
		if c.state == chunkData {
			take := len(src) - n
			if int64(take) >= c.left {
				take = int(c.left)
				c.state = dataCR
			}
			c.left -= int64(take)
			return src[n : n+take : n+take], n + take, nil
		}
		if c.state == chunksDone {
			return nil, n, nil
		}
		if fault := c.step(src[n]); fault != nil {
			c.state, c.fault = chunksBad, fault
			return nil, n, fault
		}
		n++
	}
	return nil, n, nil
}

// step takes one byte that is not data.
func (c *Chunked) step(b byte) *Error {
	switch c.state {
	case sizeFirst, sizeMore:
		c.line++
		switch {
		case isHex(b):
			if c.line > 16 || c.left>>59 != 0 {
				return errChunkBig
			}
			c.left = c.left<<4 | int64(unhex(b))
			c.state = sizeMore
			return nil
		case c.state == sizeFirst:
		case b == '\r':
			c.state = sizeLF
			return nil
		case b == ';':
			c.state = extension
			return nil
		}
		return errChunkSize
	case extension:
		c.line++
		switch {
		case b == '\r':
			c.state = sizeLF
		case classes[b]&valueByte == 0 || c.line > maxExtension:
			return errExtension
		}
	case sizeLF:
		if b != '\n' {
			return errChunkSize
		}
		// One byte a chunk is bad manners but happens; long extensions on small
		// chunks do not.
		c.excess += int64(c.line) + 1 - 16 - 2*min(c.left, maxExcess)
		if c.excess < 0 {
			c.excess = 0
		}
		if c.excess > maxExcess {
			return errExcess
		}
		c.line = 0
		c.state = chunkData
		if c.left == 0 {
			c.state = trailerLine
		}
	case dataCR:
		if b != '\r' {
			return errChunkEnd
		}
		c.state = dataLF
	case dataLF:
		if b != '\n' {
			return errChunkEnd
		}
		c.state = sizeFirst
	case trailerLine:
		if b == '\r' {
			c.state = lastLF
			return nil
		}
		if classes[b]&nameByte == 0 {
			return errTrailer
		}
		c.state = trailerName
		return c.trailerByte()
	case trailerName:
		if b == ':' {
			c.state = trailerText
		} else if classes[b]&nameByte == 0 {
			return errTrailer
		}
		return c.trailerByte()
	case trailerText:
		if b == '\r' {
			c.state = trailerLF
		} else if classes[b]&valueByte == 0 {
			return errTrailer
		}
		return c.trailerByte()
	case trailerLF:
		if b != '\n' {
			return errTrailer
		}
		c.state = trailerLine
		return c.trailerByte()
	case lastLF:
		if b != '\n' {
			return errTrailer
		}
		c.state = chunksDone
	case chunksBad:
		return c.fault
	}
	return nil
}

func (c *Chunked) trailerByte() *Error {
	if c.line++; c.line > maxTrailer {
		return errTrailerBig
	}
	return nil
}

// Done reports whether the body, its trailer included, has been consumed whole.
// Bytes after it belong to the next message and are not consumed.
func (c *Chunked) Done() bool { return c.state == chunksDone }

// Reset makes c ready for another body.
func (c *Chunked) Reset() { *c = Chunked{} }

// LastChunk ends a chunked body without trailer.
const LastChunk = "0\r\n\r\n"

// ChunkHeaderSize is how many bytes PutChunkHeader needs at most.
const ChunkHeaderSize = 18

const hexDigits = "0123456789abcdef"

// AppendChunkHeader appends the line that announces n bytes of data. n must not
// be 0, which would end the body. The data must be followed by CRLF.
func AppendChunkHeader(dst []byte, n int) []byte {
	var line [ChunkHeaderSize]byte
	return append(dst, line[PutChunkHeader(line[:], n):]...)
}

// PutChunkHeader writes that line so that it ends where head ends and returns
// where in head it starts: data that was read behind a gap of ChunkHeaderSize
// bytes can be sent without being moved.
func PutChunkHeader(head []byte, n int) (start int) {
	start = len(head) - 2
	head[start], head[start+1] = '\r', '\n'
	for u := uint64(n); ; {
		start--
		head[start] = hexDigits[u&15]
		if u >>= 4; u == 0 {
			return start
		}
	}
}
