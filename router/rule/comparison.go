package rule

import (
	"bytes"
	"net/netip"
	"strings"
)

// comparisons are the conditions with two operands, "a;b".
var comparisons = map[string]func(left, right []byte) bool{
	"equal": bytes.Equal, "isequal": bytes.Equal, "eq": bytes.Equal, "==": bytes.Equal,
	"startswith": bytes.HasPrefix, "endswith": bytes.HasSuffix,
	"contains": bytes.Contains, "contain": bytes.Contains,
	">": isHigher, "ishigher": isHigher,
	"<": isLower, "islower": isLower,
	">=": isHigherEqual, "ishigherequal": isHigherEqual,
	"<=": isLowerEqual, "islowerequal": isLowerEqual,
	"ipv4in": isAddressIn, "ipv6in": isAddressIn,
}

func isHigher(a, b []byte) bool      { return number(a) > number(b) }
func isLower(a, b []byte) bool       { return number(a) < number(b) }
func isHigherEqual(a, b []byte) bool { return number(a) >= number(b) }
func isLowerEqual(a, b []byte) bool  { return number(a) <= number(b) }

// number reads the leading integer of text as atoi does; 0 if there is none.
func number(text []byte) (n int64) {
	negative := len(text) > 0 && text[0] == '-'
	if negative || len(text) > 0 && text[0] == '+' {
		text = text[1:]
	}
	for _, c := range text {
		if !isDigit(c) || n > 1<<50 {
			break
		}
		n = n*10 + int64(c-'0')
	}
	if negative {
		return -n
	}
	return n
}

// isAddressIn reports whether an address is in a network; false for what is none.
func isAddressIn(address, network []byte) bool {
	a, err := netip.ParseAddr(string(address))
	if err != nil {
		return false
	}
	text := string(network)
	if !strings.Contains(text, "/") {
		b, err := netip.ParseAddr(text)
		return err == nil && a.Unmap() == b.Unmap()
	}
	prefix, err := netip.ParsePrefix(text)
	return err == nil && prefix.Contains(a.Unmap())
}
