package emperor

import (
	"maps"
	"testing"
)

func TestParseCommand(t *testing.T) {
	for _, test := range []struct {
		name, packet string
		want         map[string]string // nil: an error
	}{
		{"a verb", "\x00\x00\x00\x00\x03\x00cmd\x05\x00spawn\x06\x00vassal\x05\x00a.ini", map[string]string{"cmd": "spawn", "vassal": "a.ini"}},
		{"its other name", "abcd\x07\x00command\x04\x00stop", map[string]string{"cmd": "stop"}},
		{"nothing", "abcd", map[string]string{}},
		{"an empty value", "abcd\x03\x00msg\x00\x00", map[string]string{"msg": ""}},
		{"no header", "abc", nil},
		{"a key alone", "abcd\x03\x00msg", nil},
		{"half a length", "abcd\x03", nil},
		{"a length too long", "abcd\x03\x00msg\xff\xffx", nil},
		{"too long", string(make([]byte, commandMost+1)), nil},
	} {
		got, err := parseCommand([]byte(test.packet))
		if (err == nil) != (test.want != nil) || !maps.Equal(got, test.want) {
			t.Errorf("%s: %v, %v; want %v", test.name, got, err, test.want)
		}
	}
}

// FuzzParseCommand: whatever comes is a command or an error, and nothing is made up.
func FuzzParseCommand(f *testing.F) {
	f.Add([]byte("\x00\x00\x00\x00\x03\x00cmd\x05\x00spawn"))
	f.Add([]byte("abcd\xff"))
	f.Fuzz(func(t *testing.T, b []byte) {
		command, err := parseCommand(b)
		if err != nil {
			return
		}
		size := 4
		for key, value := range command {
			size += 4 + len(key) + len(value)
		}
		if size > len(b)+4 { // "cmd" may be "command" in it
			t.Errorf("%d bytes of %d: %q", size, len(b), command)
		}
	})
}
