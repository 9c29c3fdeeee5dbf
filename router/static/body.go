package static

import (
	"errors"
	"io"

	"golang.org/x/sys/unix"
)

// ErrChanged: the file changed while it was sent.
var ErrChanged = errors.New("the file changed while it was sent")

// lastPiece is how much of a body SendFile leaves to Read at least: it is what
// makes a response incomplete if the file turns out to have changed.
const lastPiece = 64 << 10

// body is what an Answer still has to give.
type body struct {
	parts []part
	at    int   // the part being read
	left  int64 // of all parts
}

// part is a section of the file, or text.
type part struct {
	byteRange
	text []byte
}

func (b *body) reset() { b.parts, b.at, b.left = b.parts[:0], 0, 0 }

func (b *body) whole(size int64) { b.section(byteRange{0, size}) }

func (b *body) section(r byteRange) {
	b.parts = append(b.parts, part{byteRange: r})
	b.left += r.length
}

func (b *body) words(text []byte) {
	b.parts = append(b.parts, part{text: text, byteRange: byteRange{length: int64(len(text))}})
	b.left += int64(len(text))
}

// Read reads on in the body, with one system call for up to len(p) bytes (64 KiB
// are a good size). io.EOF comes after exactly Length bytes, or at once for HEAD.
// Any other error means that the body can't be completed, so that the response
// must be seen to break off; if nothing of it was sent yet, the request can be given
// to Open again. The last piece is given only when the file is known to be what it
// was when it was opened, as far as its times tell.
func (a *Answer) Read(p []byte) (n int, err error) {
	for a.left > 0 && a.parts[a.at].length == 0 {
		a.at++
	}
	if a.left == 0 {
		return 0, io.EOF
	}
	piece := &a.parts[a.at]
	p = p[:min(int64(len(p)), piece.length)]
	if len(p) == 0 {
		return 0, nil
	}
	if piece.text != nil {
		n = copy(p, piece.text)
		piece.text = piece.text[n:]
	} else {
		for {
			n, err = unix.Pread(a.file.descriptor, p, piece.start)
			if err != unix.EINTR {
				break
			}
		}
		if err != nil {
			return 0, err
		}
		if n == 0 {
			return 0, ErrChanged // it was cut
		}
		piece.start += int64(n)
	}
	if int64(n) == a.left && !a.unchanged() {
		return 0, ErrChanged
	}
	piece.length -= int64(n)
	a.left -= int64(n)
	return n, nil
}

// unchanged tells whether the file is still as it was when it was opened. That
// another took its name is no change of it.
func (a *Answer) unchanged() bool {
	now := &a.other.stat
	opened := &a.file.stat
	return unix.Fstat(a.file.descriptor, now) == nil && now.Mtim == opened.Mtim && now.Size == opened.Size
}

// SendFile moves up to most bytes of the body into a non-blocking socket without
// copying them through the process (sendfile(2)); unix.EAGAIN means that the
// socket is full. 0, nil means that what is left is for Read: the last piece always
// is, and so are bodies of several ranges.
func (a *Answer) SendFile(socket int, most int64) (int64, error) {
	count := min(most, a.left-lastPiece)
	if len(a.parts) != 1 || count <= 0 {
		return 0, nil
	}
	piece := &a.parts[0]
	offset := piece.start
	n, err := unix.Sendfile(socket, a.file.descriptor, &offset, int(count))
	if err != nil {
		return 0, err
	}
	if n == 0 {
		return 0, ErrChanged
	}
	piece.start += int64(n)
	piece.length -= int64(n)
	a.left -= int64(n)
	return int64(n), nil
}
