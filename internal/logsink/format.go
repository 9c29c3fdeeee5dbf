package logsink

import (
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"emperor/internal/jsontext"
)

// stamp keeps the text of a time: the lines of one piece share it.
type stamp struct {
	at   time.Time
	text []byte
}

func (s *stamp) append(dst []byte, at time.Time, layout string) []byte {
	if s.text == nil || !at.Equal(s.at) {
		s.at, s.text = at, at.AppendFormat(s.text[:0], layout)
	}
	return append(dst, s.text...)
}

// textFormat is the emperor's log for people; see NewText.
type textFormat struct {
	stamp    stamp
	withTime bool
}

// NewText is the form in which the output of many vassals is shown together:
//
//	2026-11-21 11:46:43.130 blog | Traceback (most recent call last):
func NewText(withTime bool) Format { return &textFormat{withTime: withTime} }

func (f *textFormat) Append(dst []byte, m *Message) []byte {
	if f.withTime {
		dst = append(f.stamp.append(dst, m.Time, "2006-01-02 15:04:05.000"), ' ')
	}
	if m.Vassal != "" {
		dst = append(appendPrintable(dst, []byte(m.Vassal)), " | "...)
	}
	return append(appendPrintable(dst, m.Text), '\n')
}

// plainText are the bytes that go as they are; a table, because every byte of every
// line passes here.
var plainText = func() (t [256]bool) {
	for c := ' '; c < 0x7f; c++ {
		t[c] = true
	}
	t['\t'] = true
	return t
}()

// appendPrintable shows control bytes instead of sending them: a vassal's output must
// not steer the terminal.
func appendPrintable(dst, text []byte) []byte {
	plain := 0 // text[plain:i] goes as it is
	for i := 0; i < len(text); {
		c := text[i]
		if plainText[c] {
			i++
			continue
		}
		r, size := rune(c), 1
		if c >= utf8.RuneSelf {
			r, size = utf8.DecodeRune(text[i:])
			if r >= 0xa0 && (r != utf8.RuneError || size > 1) {
				i += size
				continue
			}
		}
		dst = append(dst, text[plain:i]...)
		if r == utf8.RuneError {
			dst = append(dst, "\uFFFD"...)
		} else {
			dst = fmt.Appendf(dst, "\\x%02x", r)
		}
		i += size
		plain = i
	}
	return append(dst, text[plain:]...)
}

// jsonFormat writes what log/slog would; see NewJSON.
type jsonFormat struct{ stamp stamp }

// NewJSON is one JSON object a line, as the emperor's own log has it.
func NewJSON() Format { return &jsonFormat{} }

var levels = map[int]string{PriorityError: "ERROR", PriorityWarning: "WARN", PriorityInfo: "INFO", PriorityDebug: "DEBUG"}

func (f *jsonFormat) Append(dst []byte, m *Message) []byte {
	dst = f.stamp.append(append(dst, `{"time":"`...), m.Time, time.RFC3339Nano)
	dst = append(append(append(dst, `","level":"`...), levels[m.Priority]...), `","msg":"`...)
	dst = jsontext.Append(dst, m.Text)
	if m.Vassal != "" {
		dst = append(jsontext.Append(append(dst, `","vassal":"`...), []byte(m.Vassal)), '"')
		if m.Generation != 0 {
			dst = fmt.Appendf(dst, `,"gen":%d`, m.Generation)
		}
		dst = append(append(append(dst, `,"from":"`...), m.Stream...), "\"}\n"...)
		return dst
	}
	return append(dst, "\"}\n"...)
}

// dated puts uWSGI's date before each line (log-date).
type dated struct {
	stamp  stamp
	layout string
}

// NewDated is uWSGI's log-date: each line as it is, behind the date. format is one of
// strftime's; empty: "Sat Nov 21 09:28:33 2026".
func NewDated(format string) (Format, error) {
	layout := time.ANSIC
	if format != "" {
		var err error
		if layout, err = layoutOf(format); err != nil {
			return nil, err
		}
	}
	return &dated{layout: layout}, nil
}

func (f *dated) Append(dst []byte, m *Message) []byte {
	second := m.Time.Truncate(time.Second)
	dst = append(f.stamp.append(dst, second, f.layout), " - "...)
	return append(append(dst, m.Text...), '\n')
}

// strftime maps its conversions to Go's layouts.
var strftime = map[byte]string{
	'Y': "2006", 'y': "06", 'm': "01", 'd': "02", 'e': "_2", 'H': "15", 'I': "03", 'M': "04", 'S': "05",
	'p': "PM", 'a': "Mon", 'A': "Monday", 'b': "Jan", 'h': "Jan", 'B': "January", 'j': "002", 'z': "-0700", 'Z': "MST",
	'F': "2006-01-02", 'T': "15:04:05", 'D': "01/02/06", 'R': "15:04", 'c': time.ANSIC, 'x': "01/02/06", 'X': "15:04:05", '%': "%",
}

// layoutOf translates a format of strftime. Digits outside of conversions would be
// taken for parts of the date by Go.
func layoutOf(format string) (string, error) {
	var b strings.Builder
	for i := 0; i < len(format); i++ {
		c := format[i]
		switch {
		case c == '%' && i+1 < len(format):
			i++
			layout, ok := strftime[format[i]]
			if !ok {
				return "", fmt.Errorf("want conversions of strftime such as %%Y-%%m-%%d %%H:%%M:%%S, got %%%c", format[i])
			}
			b.WriteString(layout)
		case c >= '0' && c <= '9':
			return "", fmt.Errorf("a digit outside of a conversion, %q, cannot be written", c)
		default:
			b.WriteByte(c)
		}
	}
	return b.String(), nil
}
