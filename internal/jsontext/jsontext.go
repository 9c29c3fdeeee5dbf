// Package jsontext escapes what others say for logs in JSON. Beyond what JSON asks for,
// everything that might be taken for the end of a line, or steer a terminal, is escaped.
package jsontext

import "unicode/utf8"

const hex = "0123456789abcdef"

// plain are the bytes that go as they are; a table, because every byte of every line
// passes here.
var plain = func() (t [256]bool) {
	for c := ' '; c <= '~'; c++ {
		t[c] = c != '"' && c != '\\'
	}
	return t
}()

// Append appends what stands between the quotes of a JSON string, without an allocation
// of its own. Bytes that are no UTF-8 become U+FFFD.
func Append[T string | []byte](dst []byte, text T) []byte {
	from := 0 // text[from:i] goes as it is
	for i := 0; i < len(text); {
		c := text[i]
		if plain[c] {
			i++
			continue
		}
		r, size := rune(c), 1
		if c >= utf8.RuneSelf {
			// Not more than a rune's bytes are converted, which takes no allocation.
			r, size = utf8.DecodeRuneInString(string(text[i:min(i+utf8.UTFMax, len(text))]))
			if r >= 0xa0 && r != 0x2028 && r != 0x2029 && (r != utf8.RuneError || size > 1) {
				i += size
				continue
			}
		}
		dst = append(dst, text[from:i]...)
		switch c {
		case '"', '\\':
			dst = append(dst, '\\', c)
		case '\t':
			dst = append(dst, `\t`...)
		default:
			dst = append(dst, '\\', 'u', hex[r>>12&0xf], hex[r>>8&0xf], hex[r>>4&0xf], hex[r&0xf])
		}
		i += size
		from = i
	}
	return append(dst, text[from:]...)
}
