package rule

import (
	"bytes"
	"fmt"
	"strings"
)

// A place is where in its result the text of a group or variable lands. It
// decides what the text may contain: text comes from the client, and must not
// become a directory, another host or another header.
type place uint8

const (
	// anywhere: a request variable of a uwsgi packet, which carries any bytes.
	anywhere place = iota
	// logLine: control bytes are escaped.
	logLine
	// fieldValue: becomes a header field; control bytes are refused.
	fieldValue
	// pathName: part of one file or vassal name: not empty, no slash, no colon, no
	// control byte, not "." or "..". Since nothing put in has a slash, the result
	// stays in the directory that the rule spells.
	pathName
	// hostLabel: part of a host in an address: letters, digits, "-" and "_". No dot,
	// so that a client can not choose an IP address or a foreign domain.
	hostLabel
	// portNumber: digits.
	portNumber
	// hostField: part of a Host field, or of the host in a URL: what hosts and ports
	// are made of.
	hostField
	// authority: the same in a URL, but a text that begins with a slash may also end
	// the host and begin the path: https://${HTTP_HOST}${REQUEST_URI}.
	authority
	// authorityEnd: what follows a host that the rule spells: nothing, or a path.
	// Anything else would make another host: https://example.com$1 with .evil.com.
	authorityEnd
	// urlText: path or query of a URL; other bytes are percent-encoded.
	urlText
	// fileBelow: a path below the directory that the rule spells, see filePath.
	fileBelow
	// fileSlash: the same, which has to bring the slash between them.
	fileSlash
	// fileName: part of a file's name, or the slash that ends it and a path below it.
	fileName
	// ownPath: a path that the rules spell themselves, in a variable.
	ownPath
	// method: an HTTP token.
	method
	// scheme: http or https.
	scheme
)

// String says what may stand in a place, for the log line about what may not.
func (p place) String() string {
	switch p {
	case fieldValue:
		return "a header field (no control characters)"
	case pathName:
		return "a name in an address (no slash, colon, | or control character, not empty, not . or ..)"
	case hostLabel:
		return "a host name's label (letters, digits, - and _)"
	case portNumber:
		return "a port number (digits)"
	case hostField, authority:
		return "a host (letters, digits and .-_:[])"
	case authorityEnd:
		return "a URL's path (it must begin with a slash)"
	case fileBelow:
		return "a file's path (no . or .. and no control character)"
	case fileSlash:
		return "a file's path here (empty or a slash first, no . or .. and no control character)"
	case fileName:
		return "a file's name (no slash but at the beginning, no . or .. and no control character)"
	case ownPath:
		return "a path that somebody else opens (only a rule can spell it, or else begin it: /srv/apps/…)"
	case method:
		return "a method (letters, digits and hyphens)"
	case scheme:
		return "a scheme (http or https)"
	}
	return "text"
}

// put appends text, as far as the place admits it. Text that a rule wrote itself
// (from.own) may be a whole address.
func (p *part) put(dst, text []byte, from origin) (result []byte, ok bool) {
	switch p.place {
	case logLine:
		return appendEscaped(dst, text), true
	case urlText:
		return appendURL(dst, text, from.raw), true
	case pathName:
		ok = from.own || isPathName(text)
	case hostLabel:
		ok = from.own || consistsOf(text, isLabelByte)
	case portNumber:
		ok = consistsOf(text, isDigit) && len(text) <= 5
	case hostField, authority:
		ok = consistsOf(text, isAuthorityByte)
	case authorityEnd:
		ok = len(text) == 0
	case fileBelow:
		ok = from.own || isBelow(text)
	case fileSlash:
		ok = len(text) == 0 || text[0] == '/' && (from.own || isBelow(text))
	case fileName:
		ok = from.own || isBelow(text) && (len(text) == 0 || text[0] == '/' || bytes.IndexByte(text, '/') < 0)
	case ownPath:
		ok = from.own
	case method:
		ok = len(text) == 0 || isMethod(text)
	case scheme:
		ok = len(text) == 0 || string(text) == "http" || string(text) == "https"
	case fieldValue:
		ok = !hasControl(text)
	default:
		ok = true
	}
	if !ok {
		return dst, false
	}
	return append(dst, text...), true
}

// refusal says in words why the last expand failed. It is only called for a
// request that is refused, so it may allocate.
func (d *Decision) refusal() string {
	text := d.refused
	if len(text) > 100 {
		text = text[:100]
	}
	if d.refusedPart == nil {
		return fmt.Sprintf("%q is no path below the directory that the rule spells", text)
	}
	return fmt.Sprintf("%s is %q, which can not be part of %s", d.refusedPart, text, d.refusedPart.place)
}

func isPathName(text []byte) bool {
	if len(text) == 0 || string(text) == "." || string(text) == ".." {
		return false
	}
	for _, c := range text {
		if c < ' ' || c == 0x7f || c == '/' || c == ':' || c == '|' {
			return false
		}
	}
	return true
}

// isMethod: letters, digits and "-" are what methods are made of; CONNECT is not
// for a front.
func isMethod(text []byte) bool {
	for _, c := range text {
		if !isLabelByte(c) {
			return false
		}
	}
	return len(text) > 0 && string(text) != "CONNECT"
}

func consistsOf(text []byte, admitted func(byte) bool) bool {
	for _, c := range text {
		if !admitted(c) {
			return false
		}
	}
	return len(text) > 0
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

func isLabelByte(c byte) bool {
	return isDigit(c) || c|0x20 >= 'a' && c|0x20 <= 'z' || c == '-' || c == '_'
}

func isAuthorityByte(c byte) bool {
	return isLabelByte(c) || c == '.' || c == ':' || c == '[' || c == ']'
}

func hasControl(text []byte) bool {
	for _, c := range text {
		if c < ' ' && c != '\t' || c == 0x7f {
			return true
		}
	}
	return false
}

const hexDigits = "0123456789ABCDEF"

// appendURL appends text percent-encoded for the path or query of a URL. A raw
// text came from a URL: its valid escapes and its "?" and "#" stay. A decoded one
// gets back the escapes that it lost.
func appendURL(dst, text []byte, raw bool) []byte {
	for i, c := range text {
		plain := isLabelByte(c) || strings.IndexByte("./~!$&'()*+,;=:@", c) >= 0 && c != 0
		switch {
		case raw && (c == '?' || c == '#'):
			plain = true
		case raw && c == '%':
			plain = i+2 < len(text) && isHex(text[i+1]) && isHex(text[i+2])
		}
		if plain {
			dst = append(dst, c)
		} else {
			dst = append(dst, '%', hexDigits[c>>4], hexDigits[c&15])
		}
	}
	return dst
}

func isHex(c byte) bool { return isDigit(c) || c|0x20 >= 'a' && c|0x20 <= 'f' }

// appendEscaped appends text with control bytes written as \xNN, so that it can
// not begin a new line in the log or move a terminal's cursor.
func appendEscaped(dst, text []byte) []byte {
	for _, c := range text {
		if c < ' ' || c == 0x7f {
			dst = append(dst, '\\', 'x', hexDigits[c>>4], hexDigits[c&15])
		} else {
			dst = append(dst, c)
		}
	}
	return dst
}

// parseLocation parses a URL. What goes between "//" and the next slash must be a
// host; everything else is percent-encoded, the rule's own text where it must be.
func parseLocation(text string, s *scope) (template, error) {
	t, err := parseTemplate(text, urlText, s)
	if err != nil {
		return t, err
	}
	if t.isLiteral() {
		t.literal = encodeURL(t.literal)
		return t, nil
	}
	parts := *t.parts
	before := ""    // the literal text so far
	client := false // what a client sent is already part of the host
	for i := range parts {
		p := &parts[i]
		if p.isLiteral() {
			p.literal = encodeURL(p.literal)
			before += p.literal
			continue
		}
		if !endsInAuthority(before) {
			continue
		}
		afterHost := i > 0 && parts[i-1].isLiteral() && isLabelByte(before[len(before)-1])
		switch more := hostGoesOn(parts[i+1:]); {
		case afterHost && !more:
			p.place = authorityEnd
		case client && more && (p.function != nil || p.variable != "REQUEST_URI" && p.variable != "PATH_INFO"):
			p.place = hostField // ending the host here would leave a client's choice
		default:
			p.place = authority
		}
		client = true
	}
	return t, nil
}

// hostGoesOn reports whether the rule spells more of a host in parts, which
// follow the beginning of a host.
func hostGoesOn(parts []part) bool {
	for i := range parts {
		if p := &parts[i]; p.isLiteral() {
			return isLabelByte(p.literal[0]) || p.literal[0] == '.'
		}
	}
	return false
}

// endsAuthority reports whether text, put after the beginning of a URL, ends its
// host and begins its path.
func (p *part) endsAuthority(before, text []byte, raw bool) bool {
	if p.place != authority && p.place != authorityEnd || len(text) == 0 || before[len(before)-1] == '/' {
		return false
	}
	return text[0] == '/' || raw && (text[0] == '?' || text[0] == '#')
}

// endsInAuthority reports whether what follows this beginning of a URL is its host.
func endsInAuthority(before string) bool {
	scheme, after, found := strings.Cut(before, "//")
	return found && (scheme == "" || strings.HasSuffix(scheme, ":")) && !strings.ContainsAny(after, "/?#") && !strings.ContainsAny(scheme, "/?#")
}

// encodeURL escapes what can not stand in a header field or URL at all.
func encodeURL(text string) string {
	var result []byte
	for i := 0; i < len(text); i++ {
		if c := text[i]; c <= ' ' || c >= 0x7f || strings.IndexByte(`"<>\`, c) >= 0 {
			result = append(result, '%', hexDigits[c>>4], hexDigits[c&15])
		} else {
			result = append(result, c)
		}
	}
	return string(result)
}
