package sni

import (
	"errors"
	"strings"
	"testing"
)

var nameTests = []struct {
	given, want string
	err         error
}{
	{"www.example.com", "www.example.com", nil},
	{"WWW.Example.COM", "www.example.com", nil},
	{"www.example.com.", "www.example.com", nil},
	{"localhost", "localhost", nil},
	{"a_b.example.com", "a_b.example.com", nil},
	{"xn--bcher-kva.example", "xn--bcher-kva.example", nil},
	{"1.example.com", "1.example.com", nil},
	{strings.Repeat("a", 63) + ".com", strings.Repeat("a", 63) + ".com", nil},

	{"", "", errNameEmpty},
	{".", "", errNameEmpty},
	{"a..b", "", errNameLabel},
	{".example.com", "", errNameLabel},
	{"example.com..", "", errNameLabel},
	{"..", "", errNameLabel},
	{strings.Repeat("a", 64) + ".com", "", errNameLabel},
	{strings.Repeat("a.", 150), "", errNameLong},
	{"../other/site", "", errNameLabel},
	{"a/../../b", "", errNameByte},
	{"x/y", "", errNameByte},
	{"a\x00.example.com", "", errNameByte},
	{"a b", "", errNameByte},
	{"*.example.com", "", errNameByte},
	{"bücher.example", "", errNameByte},
	{"a\n.example.com", "", errNameByte},
	{"a:443", "", errNameByte},
	{"192.0.2.1", "", errNameAddress},
	{"127.1", "", errNameAddress},
	{"::1", "", errNameAddress},
	{"[2001:db8::1]", "", errNameAddress},
}

func TestCanonicalName(t *testing.T) {
	for _, tt := range nameTests {
		got, err := CanonicalName(tt.given)
		if got != tt.want || !errors.Is(err, tt.err) {
			t.Errorf("%q: %q, %v, want %q, %v", tt.given, got, err, tt.want, tt.err)
		}
	}
}

func FuzzCanonicalName(f *testing.F) {
	for _, tt := range nameTests {
		f.Add(tt.given)
	}
	f.Fuzz(func(t *testing.T, given string) {
		name, err := CanonicalName(given)
		if err != nil {
			return
		}
		if strings.ContainsAny(name, "/\\\x00 *$%") || strings.Contains(name, "..") || len(name) > longestName || name == "" {
			t.Errorf("%q became %q", given, name)
		}
		if again, err := CanonicalName(name); err != nil || again != name {
			t.Errorf("%q became %q and that %q, %v", given, name, again, err)
		}
	})
}
