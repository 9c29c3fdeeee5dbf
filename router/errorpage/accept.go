package errorpage

import "strings"

// form is what a client is told in.
type form uint8

const (
	anyForm form = iota // the client has no preference among ours
	htmlForm
	jsonForm
	textForm
)

// preferred is what the value of an Accept field prefers among the forms that it
// names. A wildcard names none: browsers send one beside text/html, and curl nothing
// else.
func preferred(accept []byte) form {
	best, most := anyForm, 0
	for rest := accept; len(rest) > 0; {
		var item []byte
		item, rest = cutByte(rest, ',')
		kind, parameters := cutByte(item, ';')
		if f := formOf(trim(kind)); f != anyForm {
			if q := quality(parameters); q > most {
				best, most = f, q
			}
		}
	}
	return best
}

func cutByte(b []byte, c byte) (before, after []byte) {
	for i := range b {
		if b[i] == c {
			return b[:i], b[i+1:]
		}
	}
	return b, nil
}

func trim(b []byte) []byte {
	for len(b) > 0 && (b[0] == ' ' || b[0] == '\t') {
		b = b[1:]
	}
	for len(b) > 0 && (b[len(b)-1] == ' ' || b[len(b)-1] == '\t') {
		b = b[:len(b)-1]
	}
	return b
}

func formOf(mediaType []byte) form {
	const longest = 80
	if len(mediaType) > longest {
		return anyForm
	}
	var lower [longest]byte
	for i, c := range mediaType {
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		lower[i] = c
	}
	switch text := string(lower[:len(mediaType)]); {
	case text == "text/html", text == "application/xhtml+xml":
		return htmlForm
	case text == "text/plain":
		return textForm
	case text == "application/json", text == "text/json",
		strings.HasPrefix(text, "application/") && strings.HasSuffix(text, "+json"):
		return jsonForm
	}
	return anyForm
}

// quality is the weight in thousandths; what can't be read counts as none given.
func quality(parameters []byte) int {
	for len(parameters) > 0 {
		var p []byte
		p, parameters = cutByte(parameters, ';')
		name, value := cutByte(trim(p), '=')
		if name = trim(name); len(name) != 1 || name[0]|0x20 != 'q' {
			continue
		}
		q, unit := 0, 1000
		for i, c := range trim(value) {
			switch {
			case i == 1 && c == '.':
			case c < '0' || c > '9' || i == 1:
				return 1000
			default:
				q += int(c-'0') * unit
				unit /= 10
			}
		}
		return min(q, 1000)
	}
	return 1000
}
