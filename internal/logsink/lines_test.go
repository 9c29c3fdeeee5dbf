package logsink

import (
	"bytes"
	"strings"
	"testing"
)

// inPieces gives what Lines makes of a text that is read in pieces of these sizes.
func inPieces(text []byte, sizes []byte) (out []byte) {
	var lines Lines
	buffer := make([]byte, BufferSize)
	for i := 0; len(text) > 0; i++ {
		n := lines.Begin()
		size := MaxLine
		if len(sizes) > 0 {
			size = 1 + int(sizes[i%len(sizes)])*257
		}
		m := copy(buffer[n:], text[:min(size, len(text), MaxLine)])
		text = text[m:]
		out = append(out, lines.End(buffer[:n+m])...)
		if i%64 == 0 {
			lines = Resume(lines.Rest()) // another reader may take over at any time
		}
	}
	return append(out, lines.Last()...)
}

func TestLines(t *testing.T) {
	long := strings.Repeat("x", MaxLine)
	for _, test := range []struct{ name, text, want string }{
		{"lines", "one\ntwo\r\n\nfour", "one\ntwo\r\n\nfour\n"},
		{"nothing", "", ""},
		{"as long as may be", long + "\nend\n", long + "\nend\n"},
		{"longer", long + "y\nend\n", long + Continued + "\ny\nend\n"},
		{"much longer, without an end", long + long + "y", long + Continued + "\n" + long + Continued + "\ny\n"},
	} {
		for _, sizes := range [][]byte{nil, {0}, {255}, {1, 40, 200}} {
			if got := string(inPieces([]byte(test.text), sizes)); got != test.want {
				t.Errorf("%s, in pieces of %v: %d bytes, want %d", test.name, sizes, len(got), len(test.want))
			}
		}
	}
}

// FuzzLines: however the bytes come, no line is cut that is not too long, none is
// mixed with another, and no byte is lost.
func FuzzLines(f *testing.F) {
	f.Add([]byte("a\nb\n"), []byte{1}, uint32(0))
	f.Add([]byte("a\n"), []byte{255, 3}, uint32(3*MaxLine))
	f.Fuzz(func(t *testing.T, text, sizes []byte, long uint32) {
		text = append(bytes.Repeat([]byte{'x'}, int(long%(3*MaxLine))), text...)
		got := inPieces(text, sizes)
		var want []byte
		eachLine(text, func(line []byte) {
			for len(line) > MaxLine {
				want = append(append(want, line[:MaxLine]...), Continued+"\n"...)
				line = line[MaxLine:]
			}
			want = append(append(want, line...), '\n')
		})
		if !bytes.Equal(got, want) {
			t.Fatalf("%d bytes became %d, want %d", len(text), len(got), len(want))
		}
	})
}

// eachLine calls f for each line with what stands in it, carriage returns too.
func eachLine(text []byte, f func([]byte)) {
	for len(text) > 0 {
		line, rest, _ := bytes.Cut(text, lineFeed)
		f(line)
		text = rest
	}
}
