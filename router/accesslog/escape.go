package accesslog

import "emperor/internal/jsontext"

// mostText is how many bytes of one value are written: a request head may have 32
// KiB, and escaped they would be six times that.
const mostText = 4096

const hex = "0123456789abcdef"

// appendText appends a value in a form that can't leave its place. In JSON it is
// escaped as JSON has it, otherwise as nginx does: quotes, backslashes and all that
// is not printable ASCII as \xHH. word: a space is escaped too.
func appendText[T string | []byte](dst []byte, text T, json, word bool) []byte {
	cut := len(text) > mostText
	if cut {
		text = text[:mostText]
	}
	if json {
		dst = jsontext.Append(dst, text)
	} else {
		dst = appendPlainText(dst, text, word)
	}
	if cut {
		dst = append(dst, "..."...)
	}
	return dst
}

// What is said of a byte; a table, because every byte of every line passes here.
const (
	harmless = iota
	space    // harmful in a word
	harmful
)

var harm = func() (t [256]uint8) {
	for c := range t {
		if c < ' ' || c > '~' || c == '"' || c == '\\' {
			t[c] = harmful
		}
	}
	t[' '] = space
	return t
}()

func appendPlainText[T string | []byte](dst []byte, text T, word bool) []byte {
	least := uint8(harmful)
	if word {
		least = space
	}
	plain := 0 // text[plain:i] needs no escaping
	for i := range len(text) {
		c := text[i]
		if harm[c] < least {
			continue
		}
		dst = append(dst, text[plain:i]...)
		dst = append(dst, '\\', 'x', hex[c>>4], hex[c&0xf])
		plain = i + 1
	}
	return append(dst, text[plain:]...)
}
