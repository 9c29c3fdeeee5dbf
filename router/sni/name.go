package sni

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
)

// longestName is what DNS allows.
const longestName = 253

var (
	errNameEmpty   = errors.New("the name is empty")
	errNameLong    = fmt.Errorf("the name is longer than %d bytes", longestName)
	errNameLabel   = errors.New("a part between dots is empty or longer than 63 bytes")
	errNameByte    = errors.New("it has a character other than letters, digits, '-', '_' and '.'")
	errNameAddress = errors.New("it is an IP address, not a host name")
)

// CanonicalName returns a server name as it is looked up: lower case, without a
// trailing dot. The error says what is wrong with one that is no host name: an IP
// address, an empty label, a character other than letters, digits, "-", "_" and ".".
//
// Everything that comes from a client goes through here before it is looked up,
// matched or made part of a path.
func CanonicalName(name string) (string, error) {
	name = strings.TrimSuffix(name, ".")
	if name == "" {
		return "", errNameEmpty
	}
	if len(name) > longestName {
		return "", errNameLong
	}
	upper, numeric := false, true
	start := 0
	for i := 0; i <= len(name); i++ {
		if i == len(name) || name[i] == '.' {
			if n := i - start; n == 0 || n > 63 {
				return "", errNameLabel
			}
			start = i + 1
			continue
		}
		switch c := name[i]; {
		case 'a' <= c && c <= 'z', c == '-', c == '_':
			numeric = false
		case 'A' <= c && c <= 'Z':
			upper, numeric = true, false
		case '0' <= c && c <= '9':
		default:
			if _, err := netip.ParseAddr(strings.Trim(name, "[]")); err == nil {
				return "", errNameAddress
			}
			return "", errNameByte
		}
	}
	if numeric {
		// No top-level domain is a number; clients that connect to "127.1" do exist.
		return "", errNameAddress
	}
	if upper {
		name = strings.ToLower(name)
	}
	return name, nil
}

// canonicalPattern is CanonicalName for what an option names: a host name, a
// wildcard "*.example.com" or "*".
func canonicalPattern(name string) (string, error) {
	if name == "*" {
		return name, nil
	}
	rest, wildcard := strings.CutPrefix(name, "*.")
	canonical, err := CanonicalName(rest)
	if err != nil {
		return "", fmt.Errorf("%q is no host name: %w; want one such as www.example.com or *.example.com", name, err)
	}
	if wildcard {
		canonical = "*." + canonical
	}
	return canonical, nil
}
