package jsontext

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"
)

// FuzzAppend: whatever is said, it is one JSON string, on one line, that means the same.
func FuzzAppend(f *testing.F) {
	for _, seed := range []string{"", "plain", "\"quoted\\\"", "a\tb\nc\rd\x00\x1b[31m\x7f\u0085\u2028é€😀", "\xff\xc3", "cut \xe2\x82"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got := Append([]byte(`"`), text)
		if other := Append([]byte(`"`), []byte(text)); !bytes.Equal(other, got) {
			t.Errorf("of a string %q, of bytes %q", got, other)
		}
		got = append(got, '"')
		for _, r := range string(got) {
			if r < ' ' || r >= 0x7f && r < 0xa0 || r == 0x2028 || r == 0x2029 {
				t.Errorf("%q has %U", got, r)
			}
		}
		var back string
		if err := json.Unmarshal(got, &back); err != nil {
			t.Fatalf("%q: %v", got, err)
		}
		want := text
		if !utf8.ValidString(text) {
			want = strings.Map(func(r rune) rune { return r }, text) // each bad byte is U+FFFD
		}
		if back != want {
			t.Errorf("%q became %q", text, back)
		}
	})
}
