package proxyproto

import (
	"bytes"
	"net/netip"
)

// maxV1 is how long the line may be, with its end.
const maxV1 = 107

// parseV1 reads a line like "PROXY TCP4 192.0.2.1 198.51.100.1 56324 443\r\n", of
// which startV1 is there.
func parseV1(b []byte) (h Header, n int, err error) {
	end := bytes.IndexByte(b[:min(len(b), maxV1)], '\n')
	if end < 0 {
		if len(b) >= maxV1 {
			return Header{}, 0, wrong(maxV1, "the line is longer than %d bytes", maxV1)
		}
		return Header{}, 0, nil
	}
	if b[end-1] != '\r' {
		return Header{}, 0, wrong(end, "the line ends with LF alone, want CR LF")
	}
	line := b[:end-1]
	for i, c := range line {
		if c < ' ' || c > '~' {
			return Header{}, 0, wrong(i, "want printable text, got byte %#02x", c)
		}
	}
	r := wordReader{line: line, at: len(startV1)}
	h = Header{Version: 1}
	family, err := r.next("TCP4, TCP6 or UNKNOWN")
	if err != nil {
		return Header{}, 0, err
	}
	switch string(family) {
	case "UNKNOWN":
		// Whatever follows is to be ignored.
		h.Local = true
		return h, end + 1, nil
	case "TCP4", "TCP6":
	default:
		return Header{}, 0, wrong(len(startV1), "want TCP4, TCP6 or UNKNOWN, got %q", family)
	}
	source := r.address(family[3] == '4', "the source address")
	destination := r.address(family[3] == '4', "the destination address")
	sourcePort := r.port("the source port")
	destinationPort := r.port("the destination port")
	if r.err == nil && r.at <= len(line) {
		r.err = wrong(r.at-1, "want the end of the line after the destination port")
	}
	if r.err != nil {
		return Header{}, 0, r.err
	}
	h.Source, h.Destination = addrPort(source, sourcePort), addrPort(destination, destinationPort)
	return h, end + 1, nil
}

// wordReader takes a line apart at its spaces. The first error stays.
type wordReader struct {
	line []byte
	at   int // where the next word begins; one behind the line's length after the last
	err  error
}

// next returns the word at hand; want says what it should be.
func (r *wordReader) next(want string) ([]byte, error) {
	if r.err != nil {
		return nil, r.err
	}
	if r.at >= len(r.line) || r.line[r.at] == ' ' {
		r.err = wrong(min(r.at, len(r.line)), "want %s", want)
		return nil, r.err
	}
	word := r.line[r.at:]
	if i := bytes.IndexByte(word, ' '); i >= 0 {
		word = word[:i]
	}
	r.at += len(word) + 1
	return word, nil
}

func (r *wordReader) address(four bool, what string) netip.Addr {
	begin := r.at
	word, err := r.next(what)
	if err != nil {
		return netip.Addr{}
	}
	a, err := netip.ParseAddr(string(word))
	if err != nil || a.Is4() != four || a.Zone() != "" {
		kind := "IPv6"
		if four {
			kind = "IPv4"
		}
		r.err = wrong(begin, "want %s, %s, got %q", what, kind, word)
	}
	return a
}

func (r *wordReader) port(what string) uint16 {
	begin := r.at
	word, err := r.next(what)
	if err != nil {
		return 0
	}
	n := 0
	for _, c := range word {
		if c < '0' || c > '9' || len(word) > 5 || word[0] == '0' && len(word) > 1 {
			n = 1 << 16
			break
		}
		n = 10*n + int(c-'0')
	}
	if n >= 1<<16 {
		r.err = wrong(begin, "want %s, 0 to 65535, got %q", what, word)
	}
	return uint16(n)
}
