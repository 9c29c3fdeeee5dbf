package logsink

import "bytes"

const (
	// MaxLine is how many bytes of a line are kept together. What is longer becomes
	// several lines, and all but the last end with Continued.
	MaxLine = 64 << 10
	// Continued marks a line that goes on in the next.
	Continued = " [continued]"
	// BufferSize is what a buffer for Begin must hold.
	BufferSize = 2 * MaxLine
)

// Lines makes whole lines of a stream that comes in pieces. Its state are the bytes
// of the line that has not ended yet, and nothing else. The zero value is ready.
//
//	n := lines.Begin()
//	m, err := read(buffer[n:])
//	whole := lines.End(buffer[:n+m])
type Lines struct{ rest []byte }

// Resume begins with an unfinished line (see Rest).
func Resume(rest []byte) Lines { return Lines{bytes.Clone(rest)} }

// Rest is the line that has not ended yet.
func (l *Lines) Rest() []byte { return l.rest }

// Begin says where in the buffer to read to: before that there must be room for the
// unfinished line.
func (l *Lines) Begin() int { return len(l.rest) }

// End takes the buffer with what was read, and returns the lines that are whole now,
// each with its line feed. They are valid as long as the buffer.
func (l *Lines) End(filled []byte) []byte {
	begun := len(l.rest)
	end := bytes.LastIndexByte(filled[begun:], '\n') + 1
	if end == 0 {
		// Only what is new is copied: a line may come byte by byte.
		if l.rest = append(l.rest, filled[begun:]...); len(l.rest) <= MaxLine {
			return nil
		}
		whole, rest := cutLong(nil, l.rest)
		l.keep(rest)
		return whole
	}
	copy(filled, l.rest)
	whole, rest := filled[:begun+end], filled[begun+end:]
	if len(rest) > MaxLine || len(whole) > MaxLine && bytes.IndexByte(whole, '\n') > MaxLine {
		whole, rest = cutLong(whole, rest)
	}
	l.keep(rest)
	return whole
}

func (l *Lines) keep(rest []byte) {
	if len(rest) == 0 && cap(l.rest) > 4096 {
		l.rest = nil
		return
	}
	l.rest = append(l.rest[:0], rest...)
}

// Last returns the unfinished line as a whole one, when no more comes.
func (l *Lines) Last() []byte {
	rest := l.rest
	l.rest = nil
	if len(rest) == 0 {
		return nil
	}
	return append(rest, '\n')
}

// cutLong does what End does where a line is too long: only the first can be, and
// what has not ended.
func cutLong(whole, rest []byte) (lines, left []byte) {
	out := make([]byte, 0, len(whole)+len(rest)+64)
	cut := func(line []byte) []byte {
		for len(line) > MaxLine {
			out = append(append(append(out, line[:MaxLine]...), Continued...), '\n')
			line = line[MaxLine:]
		}
		return line
	}
	if first := bytes.IndexByte(whole, '\n'); first >= 0 {
		out = append(append(out, cut(whole[:first])...), whole[first:]...)
	}
	left = cut(rest)
	return out, left
}

// Each calls f for each line of lines, without its end.
func Each(lines []byte, f func(line []byte)) {
	for len(lines) > 0 {
		end := bytes.IndexByte(lines, '\n')
		line := lines
		if end >= 0 {
			line, lines = lines[:end], lines[end+1:]
		} else {
			lines = nil
		}
		f(bytes.TrimSuffix(line, carriageReturn))
	}
}

var (
	lineFeed       = []byte{'\n'}
	carriageReturn = []byte{'\r'}
)
