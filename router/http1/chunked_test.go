package http1

import (
	"bytes"
	"fmt"
	"io"
	"net/http/httputil"
	"strings"
	"testing"
)

// dechunk feeds body in pieces of the given size.
func dechunk(body []byte, piece int) (data []byte, used int, done bool, err error) {
	var c Chunked
	for used < len(body) && !c.Done() {
		end := min(used+piece, len(body))
		for used < end && !c.Done() {
			d, n, err := c.Next(body[used:end])
			if err != nil {
				return data, used + n, false, err
			}
			data = append(data, d...)
			used += n
		}
	}
	return data, used, c.Done(), nil
}

func TestChunked(t *testing.T) {
	for _, test := range []struct {
		name, body string
		want       string // data|rest, "more", or the beginning of a fault
	}{
		{"one", "5\r\nhello\r\n0\r\n\r\n", "hello|"},
		{"two", "5\r\nhello\r\n1\r\n!\r\n0\r\n\r\n", "hello!|"},
		{"nothing", "0\r\n\r\n", "|"},
		{"next request behind", "1\r\na\r\n0\r\n\r\nGET /", "a|GET /"},
		{"hex", "a\r\n0123456789\r\nA\r\n0123456789\r\n0\r\n\r\n", "01234567890123456789|"},
		{"leading zeros", "0000000000000001\r\na\r\n000\r\n\r\n", "a|"},
		{"extension", "1;a=b\r\na\r\n0;x\r\n\r\n", "a|"},
		{"quoted extension", "1;a=\"b;c\"\r\na\r\n0\r\n\r\n", "a|"},
		{"trailer", "1\r\na\r\n0\r\nA: b\r\nC:\r\n\r\nX", "a|X"},
		{"data with CRLF", "4\r\n\r\n\r\n\r\n0\r\n\r\n", "\r\n\r\n|"},

		{"no end", "1\r\na\r\n0\r\n", "more"},
		{"cut in data", "5\r\nhel", "more"},
		{"0x5", "0x5\r\nhello\r\n0\r\n\r\n", "malformed chunk size"},
		{"+5", "+5\r\nhello\r\n0\r\n\r\n", "malformed chunk size"},
		{"-5", "-5\r\nhello\r\n0\r\n\r\n", "malformed chunk size"},
		{"blank before", " 5\r\nhello\r\n0\r\n\r\n", "malformed chunk size"},
		{"blank behind", "5 \r\nhello\r\n0\r\n\r\n", "malformed chunk size"},
		{"blank before extension", "5 ;a\r\nhello\r\n0\r\n\r\n", "malformed chunk size"},
		{"tab", "5\t\r\nhello\r\n0\r\n\r\n", "malformed chunk size"},
		{"underscore", "1_0\r\n", "malformed chunk size"},
		{"empty size", "\r\nhello", "malformed chunk size"},
		{"only an extension", ";a\r\n", "malformed chunk size"},
		{"not hex", "5g\r\n", "malformed chunk size"},
		{"NUL", "5\x00\r\n", "malformed chunk size"},
		{"bare LF", "5\nhello\n0\n\n", "malformed chunk size"},
		{"bare CR", "5\rhello", "malformed chunk size"},
		{"LF in extension", "5;a\nhello\r\n0\r\n\r\n", "malformed or too long chunk extension"},
		{"CR in extension", "5;a\rb\r\nhello", "malformed chunk size"},
		{"NUL in extension", "5;\x00\r\n", "malformed or too long chunk extension"},
		{"long extension", "5;" + strings.Repeat("a", 2000) + "\r\n", "malformed or too long chunk extension"},
		{"overflow", "8000000000000000\r\n", "chunk size is too big"},
		{"overflow to 5", "10000000000000005\r\nhello", "chunk size is too big"},
		{"17 digits", "00000000000000005\r\nhello", "chunk size is too big"},
		{"greatest size", "7fffffffffffffff\r\na", "more"},
		{"no CRLF behind data", "5\r\nhelloX\r\n0\r\n\r\n", "chunk data is not"},
		{"LF behind data", "5\r\nhello\n0\r\n\r\n", "chunk data is not"},
		{"CR X behind data", "5\r\nhello\rX0\r\n\r\n", "chunk data is not"},
		{"LF at the end", "0\r\n\n", "malformed trailer"},
		{"CR at the end", "0\r\n\rX", "malformed trailer"},
		{"trailer without colon", "0\r\nabc\r\n\r\n", "malformed trailer"},
		{"folded trailer", "0\r\nA: b\r\n c\r\n\r\n", "malformed trailer"},
		{"nameless trailer", "0\r\n: b\r\n\r\n", "malformed trailer"},
		{"blank in trailer name", "0\r\nA : b\r\n\r\n", "malformed trailer"},
		{"LF in trailer", "0\r\nA: b\n\r\n", "malformed trailer"},
		{"CR in trailer", "0\r\nA: b\rX\r\n\r\n", "malformed trailer"},
		{"big trailer", "0\r\nA: " + strings.Repeat("a", 3000) + "\r\n\r\n", "trailer is too big"},
		{"many trailers", "0\r\n" + strings.Repeat("A: b\r\n", 1000) + "\r\n", "trailer is too big"},
		{"single bytes", strings.Repeat("1\r\na\r\n", 20000) + "0\r\n\r\n", strings.Repeat("a", 20000) + "|"},
		{"mostly extensions", strings.Repeat("1;"+strings.Repeat("a", 100)+"\r\na\r\n", 1000), "chunked body consists"},
	} {
		t.Run(test.name, func(t *testing.T) {
			body := []byte(test.body)
			var first string
			for _, piece := range []int{1, 2, 3, 5, 1000, len(body)} {
				data, used, done, err := dechunk(body, piece)
				got := "more"
				switch {
				case err != nil:
					got = err.Error()
				case done:
					got = string(data) + "|" + string(body[used:])
				}
				if got != test.want && (err == nil || !strings.HasPrefix(got, test.want)) {
					t.Errorf("pieces of %d: %.100q, want %.100q", piece, got, test.want)
				}
				state := fmt.Sprintf("%q %d", data, used)
				if first == "" {
					first = state
				}
				if state != first {
					t.Errorf("pieces of %d: %.100s, pieces of 1: %.100s", piece, state, first)
				}
			}
		})
	}
}

func TestChunkedFaultStays(t *testing.T) {
	var c Chunked
	for range 2 {
		if _, _, err := c.Next([]byte("x")); err != errChunkSize {
			t.Fatalf("error %v, want %v", err, errChunkSize)
		}
	}
	c.Reset()
	if data, _, err := c.Next([]byte("1\r\na")); string(data) != "a" || err != nil {
		t.Fatalf("after Reset: %q, %v", data, err)
	}
}

func TestChunkHeader(t *testing.T) {
	for n, want := range map[int]string{1: "1\r\n", 15: "f\r\n", 16: "10\r\n", 4096: "1000\r\n", 1<<63 - 1: "7fffffffffffffff\r\n"} {
		if got := string(AppendChunkHeader([]byte("x"), n)); got != "x"+want {
			t.Errorf("%d: %q, want %q", n, got, "x"+want)
		}
		var gap [ChunkHeaderSize]byte
		if got := string(gap[PutChunkHeader(gap[:], n):]); got != want {
			t.Errorf("%d: %q, want %q", n, got, want)
		}
	}
}

func FuzzChunked(f *testing.F) {
	for _, s := range []string{
		"5\r\nhello\r\n0\r\n\r\n", "1;a=b\r\na\r\n0\r\nA: b\r\n\r\nGET", "5 ;\r\n", "0x5\r\n", "+5\r\n", "8000000000000000\r\n", "0\r\n\n",
	} {
		f.Add([]byte(s), 3)
	}
	f.Fuzz(func(t *testing.T, body []byte, piece int) {
		data, used, done, err := dechunk(body, len(body)+1)
		data2, used2, done2, err2 := dechunk(body, max(1, piece%64))
		if !bytes.Equal(data, data2) || used != used2 || done != done2 || err != err2 {
			t.Fatalf("%q whole: %q %d %v %v\nin pieces: %q %d %v %v", body, data, used, done, err, data2, used2, done2, err2)
		}
		if !done {
			return
		}
		// net/http's decoder ends behind the last size line and leaves the trailer
		// to its caller; the differential tests on whole requests read that too.
		want, wantErr := io.ReadAll(httputil.NewChunkedReader(bytes.NewReader(body[:used])))
		if wantErr != nil || !bytes.Equal(want, data) {
			t.Fatalf("%q: %q, net/http %q, %v", body, data, want, wantErr)
		}
	})
}
