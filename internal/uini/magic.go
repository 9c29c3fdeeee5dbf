package uini

import "strings"

// Magic is the table of magic variables for one file: the byte after "%" and
// what the two become. "%%" and "%(" need not be in it.
type Magic struct {
	Values map[byte]string
	// Volatile lists the variables whose value another process reading the same
	// file would not share (the time, for instance); lines that use one are marked.
	Volatile string
}

// line is one line after magic substitution, still knowing where it came from.
type line struct {
	text     string
	file     string
	number   int // of the physical line on which it begins
	volatile bool
	deleted  []string // "%" pairs that substitution deleted
	swallows bool     // a deleted pair included the line's newline
}

// A Part is one piece of the text that is read as a whole: the file, or a file
// injected before or after it.
type Part struct {
	Name string // for messages
	Data []byte
	Line int // of its first line in the file; 0 is 1
}

const byteOrderMark = "\xef\xbb\xbf"

// substitute replaces magic variables over the joined parts and cuts the result
// into lines. As in uWSGI, "%" and an unknown character both vanish, even when
// that character is a space or a newline, and a "%" that ends the text vanishes
// too.
func substitute(magic Magic, parts []Part) []line {
	var (
		lines   []line
		current line
		text    strings.Builder
		fresh   = true // nothing of the current line has been seen yet
	)
	flush := func() {
		current.text = text.String()
		lines = append(lines, current)
		text.Reset()
		current, fresh = line{}, true
	}
	for index, part := range parts {
		data := strings.TrimPrefix(string(part.Data), byteOrderMark)
		number := max(part.Line, 1)
		for i := 0; i < len(data); i++ {
			if fresh {
				current.file, current.number, fresh = part.Name, number, false
			}
			c := data[i]
			if c == '\n' {
				number++
				flush()
				continue
			}
			if c != '%' {
				text.WriteByte(c)
				continue
			}
			if i+1 == len(data) && index+1 < len(parts) {
				// The pair's second half is the first byte of the next part. Nobody
				// means that; keeping the "%" is kinder than eating a foreign byte.
				text.WriteByte(c)
				continue
			}
			if i+1 == len(data) {
				current.deleted = append(current.deleted, "%")
				continue
			}
			i++
			number = current.magic(magic, data[i], &text, number)
		}
	}
	if !fresh {
		flush()
	}
	return lines
}

// magic writes what "%"+c becomes and returns the physical line number after it.
func (l *line) magic(magic Magic, c byte, text *strings.Builder, number int) int {
	value, known := magic.Values[c]
	switch {
	case c == '%':
		text.WriteByte('%')
	case c == '(':
		text.WriteString("%(")
	case known:
		// A file name may hold a newline. uWSGI would cut the line there and read
		// the rest as a directive: names must not be able to write configuration.
		text.WriteString(strings.ReplaceAll(value, "\n", ""))
		l.volatile = l.volatile || strings.IndexByte(magic.Volatile, c) >= 0
	case c == '\n':
		l.deleted = append(l.deleted, "%\n")
		l.swallows = true
		return number + 1
	default:
		l.deleted = append(l.deleted, "%"+string([]byte{c}))
	}
	return number
}
