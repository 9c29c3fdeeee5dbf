package http1

// Chunked decodes a body in chunked coding (RFC 9112 §7.1) from pieces of any
// size. The zero value is ready; Reset makes it so again.
//
// It is strict: sizes are 1 to 16 hexadecimal digits and nothing else ("0x5",
// "+5", " 5", "5 " are errors), lines end in CRLF. Extensions are skipped,
// trailer fields are checked and dropped; both are bounded, extensions in
// proportion to the data so that a body made mostly of them is refused.
type Chunked struct {
	left int64
}

// Next consumes the start of src: n bytes of it, of which data (a slice of src,
// possibly empty) is payload. Call it with src[n:] until Done, or until it
// consumes nothing, when src is empty. The error is a *Error with status 400.
func (c *Chunked) Next(src []byte) (data []byte, n int, err error) { return }

// Done reports whether the body, its trailer included, has been consumed whole.
// Bytes after it belong to the next message and are not consumed.
func (c *Chunked) Done() bool { return false }

// Reset makes c ready for another body.
func (c *Chunked) Reset() { *c = Chunked{} }

// LastChunk ends a chunked body without trailer.
const LastChunk = "0\r\n\r\n"

// ChunkHeaderSize is how many bytes PutChunkHeader needs at most.
const ChunkHeaderSize = 18

// AppendChunkHeader appends the line that announces n bytes of data, n > 0. The
// data must be followed by CRLF.
func AppendChunkHeader(dst []byte, n int) []byte { return dst }

// PutChunkHeader writes that line so that it ends where head ends and returns
// where in head it starts: data that was read behind a gap of ChunkHeaderSize
// bytes can be sent without being moved.
func PutChunkHeader(head []byte, n int) (start int) { return 0 }
