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
	prefix, ok := parseNetwork(string(network))
	return ok && isIn(address, prefix)
}

// addressIn is the same for a network that the rule spells.
func addressIn(network netip.Prefix) func(left, right []byte) bool {
	return func(address, _ []byte) bool { return isIn(address, network) }
}

func isIn(address []byte, network netip.Prefix) bool {
	a, ok := parseIPv4(address)
	if !ok {
		var err error
		if a, err = netip.ParseAddr(string(address)); err != nil {
			return false
		}
	}
	return network.Contains(a.Unmap())
}

// parseNetwork reads "10.0.0.0/8" or a single address.
func parseNetwork(text string) (netip.Prefix, bool) {
	if strings.Contains(text, "/") {
		prefix, err := netip.ParsePrefix(text)
		return prefix, err == nil
	}
	address, err := netip.ParseAddr(text)
	if err != nil {
		return netip.Prefix{}, false
	}
	address = address.Unmap()
	return netip.PrefixFrom(address, address.BitLen()), true
}

// parseIPv4 reads the commonest kind of address, without the copy that package
// netip needs. Whatever it does not take may still be an address.
func parseIPv4(text []byte) (netip.Addr, bool) {
	var address [4]byte
	for i := range address {
		n, digits := 0, 0
		for digits < len(text) && digits < 4 && isDigit(text[digits]) {
			n = n*10 + int(text[digits]-'0')
			digits++
		}
		if digits == 0 || n > 255 || digits > 1 && text[0] == '0' {
			return netip.Addr{}, false
		}
		address[i], text = byte(n), text[digits:]
		if i < 3 {
			if len(text) == 0 || text[0] != '.' {
				return netip.Addr{}, false
			}
			text = text[1:]
		}
	}
	return netip.AddrFrom4(address), len(text) == 0
}
