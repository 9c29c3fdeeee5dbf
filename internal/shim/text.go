package shim

// What follows is in package strings, too, which is initialised too late.

// index is where a byte is first, -1 if nowhere.
func index(text string, b byte) int {
	for i := range len(text) {
		if text[i] == b {
			return i
		}
	}
	return -1
}

// cut splits a text at the first such byte.
func cut(text string, b byte) (before, after string, found bool) {
	if i := index(text, b); i >= 0 {
		return text[:i], text[i+1:], true
	}
	return text, "", false
}

func cutPrefix(text, prefix string) (string, bool) {
	if len(text) < len(prefix) || text[:len(prefix)] != prefix {
		return text, false
	}
	return text[len(prefix):], true
}

// blank tells whether a byte separates words.
func blank(b byte) bool { return b == ' ' || b == '\t' || b == '\r' }
