package errorpage

import "unicode/utf8"

// appendEscaped appends text so that it stays text in a form. Control characters
// are left out of all of them: nothing that is shown has any.
func appendEscaped[T string | []byte](dst []byte, text T, f form) []byte {
	for i := 0; i < len(text); {
		c := text[i]
		if c >= utf8.RuneSelf {
			r, size := utf8.DecodeRuneInString(string(text[i:min(i+utf8.UTFMax, len(text))]))
			if r >= 0xa0 && r != '\u2028' && r != '\u2029' {
				dst = utf8.AppendRune(dst, r) // U+FFFD for what is no UTF-8
			}
			i += size
			continue
		}
		i++
		switch {
		case c < ' ' || c == 0x7f:
		case f == htmlForm && c == '&':
			dst = append(dst, "&amp;"...)
		case f == htmlForm && c == '<':
			dst = append(dst, "&lt;"...)
		case f == htmlForm && c == '>':
			dst = append(dst, "&gt;"...)
		case f == htmlForm && c == '"':
			dst = append(dst, "&#34;"...)
		case f == htmlForm && c == '\'':
			dst = append(dst, "&#39;"...)
		case f == jsonForm && (c == '"' || c == '\\'):
			dst = append(dst, '\\', c)
		default:
			dst = append(dst, c)
		}
	}
	return dst
}
