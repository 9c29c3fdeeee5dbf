package fastcgi

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
)

// record is one record as the specification lays it out, made by hand here.
func record(kind byte, content string, padding int) string {
	header := []byte{1, kind, 0, 1, byte(len(content) >> 8), byte(len(content)), byte(padding), 0}
	return string(header) + content + strings.Repeat("\xff", padding)
}

const (
	endOK         = "\x00\x00\x00\x00\x00\x00\x00\x00"
	endOverloaded = "\x00\x00\x00\x00\x02\x00\x00\x00"
	endRole       = "\x00\x00\x00\x00\x03\x00\x00\x00"
)

// sent reads records back as a FastCGI program does: the contents of one kind,
// each record on its own.
func sent(t *testing.T, b []byte) (contents map[byte][]string) {
	t.Helper()
	contents = map[byte][]string{}
	for len(b) > 0 {
		size := int(binary.BigEndian.Uint16(b[4:]))
		if b[0] != 1 || b[2] != 0 || b[3] != 1 || b[6] != 0 {
			t.Fatalf("header % x", b[:8])
		}
		contents[b[1]] = append(contents[b[1]], string(b[8:8+size]))
		b = b[8+size:]
	}
	return contents
}

// pairs reads name-value pairs.
func pairs(t *testing.T, b string) (all []string) {
	t.Helper()
	length := func() int {
		if b[0] < 128 {
			n := int(b[0])
			b = b[1:]
			return n
		}
		n := int(binary.BigEndian.Uint32([]byte(b)) &^ (1 << 31))
		b = b[4:]
		return n
	}
	for len(b) > 0 {
		name, value := length(), length()
		if name+value > len(b) {
			t.Fatalf("a pair of %d+%d bytes, %d are left", name, value, len(b))
		}
		all = append(all, b[:name]+"="+b[name:name+value])
		b = b[name+value:]
	}
	return all
}

func TestRequest(t *testing.T) {
	long := strings.Repeat("v", 128)
	var w Writer
	w.Begin([]byte("before"))
	w.Var("REQUEST_METHOD", "GET")
	w.VarBytes("LONG", []byte(long))
	w.Pair([]byte("EMPTY"), nil)
	out := w.Finish()
	out = AppendStdinEnd(AppendStdin(out, []byte("body")))
	if !bytes.HasPrefix(out, []byte("before")) {
		t.Fatalf("%q", out)
	}
	got := sent(t, out[len("before"):])
	want := map[byte][]string{
		1: {"\x00\x01\x00\x00\x00\x00\x00\x00"},
		4: {"\x0e\x03REQUEST_METHODGET\x04\x80\x00\x00\x80LONG" + long + "\x05\x00EMPTY", ""},
		5: {"body", ""},
	}
	for kind := range want {
		if !slices.Equal(got[kind], want[kind]) {
			t.Errorf("records of type %d: %q, want %q", kind, got[kind], want[kind])
		}
	}
}

func TestNoVariables(t *testing.T) {
	var w Writer
	w.Begin(nil)
	if got := sent(t, w.Finish())[4]; !slices.Equal(got, []string{""}) {
		t.Errorf("%q", got)
	}
}

// TestManyVariables: more than one record takes, each whole in one; but for the
// one that no record can take.
func TestManyVariables(t *testing.T) {
	for _, sizes := range [][]int{
		{MaxContent - 6, 1},      // the first fills its record to the last byte
		{MaxContent - 5, 1},      // and one more than that
		{30000, 30000, 30000, 1}, // the third does not fit beside the others
		{200, MaxContent, 200},
		{3 * MaxContent},
	} {
		var w Writer
		var want []string
		w.Begin(nil)
		for i, size := range sizes {
			name, value := fmt.Sprint(i), strings.Repeat("v", size)
			w.Var(name, value)
			want = append(want, name+"="+value)
		}
		records := sent(t, w.Finish())[4]
		last := len(records) - 1
		if records[last] != "" || slices.Contains(records[:last], "") {
			t.Errorf("%v: the empty record is not the last", sizes)
		}
		if got := pairs(t, strings.Join(records, "")); !slices.Equal(got, want) {
			t.Errorf("%v: %d variables came back", sizes, len(got))
		}
		if slices.Max(sizes) < MaxContent-5 {
			var got []string
			for _, r := range records {
				got = append(got, pairs(t, r)...)
			}
			if !slices.Equal(got, want) {
				t.Errorf("%v: records that can't be read one by one", sizes)
			}
		}
	}
}

func TestBodyFraming(t *testing.T) {
	body := bytes.Repeat([]byte("x"), 2*MaxContent+1)
	got := sent(t, AppendStdin(nil, body))[5]
	if len(got) != 3 || strings.Join(got, "") != string(body) {
		t.Errorf("%d records", len(got))
	}
	buffer := append(make([]byte, 20), "piece"...)
	start := PutStdinHeader(buffer[:20], 5)
	if got := sent(t, buffer[start:])[5]; !slices.Equal(got, []string{"piece"}) {
		t.Errorf("%q", got)
	}
}

// outcome is all that a Response says of one response.
type outcome struct {
	stdout string
	lines  []string
	app    uint32
	err    error
	done   bool
	used   int
}

// take reads input in pieces of that size.
func take(input string, size int) (o outcome) {
	var r Response
	for o.used < len(input) && !r.Done() && o.err == nil {
		piece := []byte(input[o.used:min(len(input), o.used+size)])
		for len(piece) > 0 && !r.Done() && o.err == nil {
			stdout, n, err := r.Next(piece)
			o.stdout += string(stdout)
			o.used += n
			o.err = err
			piece = piece[n:]
			for line, ok := r.Line(); ok; line, ok = r.Line() {
				o.lines = append(o.lines, string(line))
			}
		}
	}
	o.done, o.app = r.Done(), r.AppStatus()
	return o
}

func TestResponse(t *testing.T) {
	const head = "Status: 200 OK\r\n\r\n"
	for _, test := range []struct {
		name, input string
		want        outcome
	}{
		{"whole", record(6, head, 0) + record(6, "body", 3) + record(6, "", 0) + record(3, endOK, 0), outcome{stdout: head + "body", done: true}},
		{"without end of stdout", record(6, "body", 0) + record(3, endOK, 1), outcome{stdout: "body", done: true}},
		{"exit status", record(3, "\x00\x00\x01\x02\x00\x00\x00\x00", 0), outcome{app: 258, done: true}},
		{"padding only", record(6, "", 255) + record(3, endOK, 255), outcome{done: true}},
		{"lines", record(7, "one\ntw", 0) + record(6, "out", 0) + record(7, "o\r\n\nthree", 7) + record(7, "", 0) + record(3, endOK, 0), outcome{stdout: "out", lines: []string{"one", "two", "three"}, done: true}},
		{"not done", record(6, "body", 2), outcome{stdout: "body"}},
		{"overloaded", record(3, endOverloaded, 0), outcome{err: ErrOverloaded}},
		{"role", record(3, endRole, 0), outcome{err: ErrRefused}},
		{"HTTP", "HTTP/1.1 200 OK\r\n\r\n", outcome{err: ErrVersion}},
		{"other request", "\x01\x06\x00\x02\x00\x00\x00\x00", outcome{err: ErrRecord}},
		{"unasked kind", record(10, "", 0), outcome{err: ErrRecord}},
		{"end of another size", record(3, "\x00\x00\x00\x00", 0), outcome{err: ErrRecord}},
		{"stdout after its end", record(6, "", 0) + record(6, "x", 0), outcome{err: ErrRecord}},
	} {
		for _, size := range []int{1, 2, 3, 7, 8, 9, 1 << 20} {
			got := take(test.input, size)
			if !test.want.done && test.want.err != nil {
				got.app = 0
			}
			if test.want.err == nil {
				test.want.used = len(test.input)
			} else {
				test.want.used = got.used
			}
			if got.stdout != test.want.stdout || !slices.Equal(got.lines, test.want.lines) || got.app != test.want.app ||
				!errors.Is(got.err, test.want.err) || got.done != test.want.done || got.used != test.want.used {
				t.Errorf("%s in pieces of %d: %+v, want %+v", test.name, size, got, test.want)
			}
		}
	}
}

func TestNothingIsTakenBehindTheEnd(t *testing.T) {
	var r Response
	input := []byte(record(3, endOK, 2))
	if _, n, err := r.Next(append(input, "more"...)); n != len(input) || err != nil || !r.Done() {
		t.Errorf("%d of %d, %v", n, len(input), err)
	}
	if _, n, err := r.Next([]byte("more")); n != 0 || err != nil {
		t.Errorf("%d bytes taken, %v", n, err)
	}
	r.Reset()
	if _, n, err := r.Next(input); n != len(input) || err != nil || !r.Done() {
		t.Errorf("after Reset: %d of %d, %v", n, len(input), err)
	}
}

func TestDecodeInPlace(t *testing.T) {
	var r Response
	b := []byte(record(6, "head", 1) + record(7, "oops\n", 0) + record(6, "body", 3))
	if n, err := r.Decode(b); string(b[:n]) != "headbody" || err != nil {
		t.Errorf("%q, %v", b[:n], err)
	}
	if line, ok := r.Line(); string(line) != "oops" || !ok {
		t.Errorf("%q", line)
	}
	b = []byte(record(6, "!", 0) + record(3, endOK, 0) + "more")
	if n, err := r.Decode(b); string(b[:n]) != "!" || err != io.EOF {
		t.Errorf("%q, %v", b[:n], err)
	}
	r.Reset()
	if n, err := r.Decode([]byte("HTTP/1.1 200 OK")); n != 0 || !errors.Is(err, ErrVersion) {
		t.Errorf("%d, %v", n, err)
	}
}

// TestErrorOutputIsBounded: a program may write without end.
func TestErrorOutputIsBounded(t *testing.T) {
	var r Response
	const size = 10000
	long := []byte(record(7, strings.Repeat("x", size), 0))
	for range 10 {
		if _, _, err := r.Next(long); err != nil {
			t.Fatal(err)
		}
	}
	line, ok := r.Line()
	if len(line) != maxLine || !ok {
		t.Errorf("%d bytes, %v", len(line), ok)
	}
	if line, ok := r.Line(); ok {
		t.Errorf("another line of %d bytes", len(line))
	}
	if want := 10*size - maxLine; r.Lost() != want {
		t.Errorf("lost %d, want %d", r.Lost(), want)
	}
	if _, _, err := r.Next([]byte(record(7, "the rest of it\nnext\n", 0))); err != nil {
		t.Fatal(err)
	}
	if line, ok := r.Line(); string(line) != "next" || !ok {
		t.Errorf("%q, %v", line, ok)
	}
}

func TestNothingAllocates(t *testing.T) {
	var w Writer
	var r Response
	var s Script
	var buf []byte
	name, value, path := []byte("NAME"), []byte(strings.Repeat("v", 300)), []byte("/blog/index.php/more")
	response := []byte(record(6, "head", 0) + record(7, "oops\n", 0) + record(6, "body", 0) + record(3, endOK, 0))
	request := func() {
		w.Begin(buf[:0])
		w.Var("REQUEST_METHOD", "GET")
		w.VarBytes("REQUEST_URI", value)
		w.Pair(name, value)
		buf = AppendStdinEnd(AppendStdin(w.Finish(), value))
		var err error
		if buf, err = s.Locate(buf[:0], "/srv/site", path, "index.php", ".php"); err != nil {
			t.Fatal(err)
		}
		r.Reset()
		for src := response; !r.Done(); {
			_, n, err := r.Next(src)
			if err != nil {
				t.Fatal(err)
			}
			src = src[n:]
			r.Line()
		}
	}
	if n := testing.AllocsPerRun(100, request); n > 0 {
		t.Errorf("%v allocations for a request", n)
	}
}

func FuzzResponse(f *testing.F) {
	f.Add([]byte(record(6, "a", 1)+record(7, "b\n", 0)+record(6, "", 0)+record(3, endOK, 0)), uint8(3))
	f.Add([]byte(record(3, endOverloaded, 0)), uint8(1))
	f.Fuzz(func(t *testing.T, input []byte, size uint8) {
		whole := take(string(input), len(input)+1)
		pieces := take(string(input), int(size)+1)
		// What was taken of a fault depends on where the pieces end.
		if whole.err != nil {
			whole.used, pieces.used = 0, 0
		}
		if whole.stdout != pieces.stdout || !slices.Equal(whole.lines, pieces.lines) || whole.app != pieces.app ||
			whole.err != pieces.err || whole.done != pieces.done || whole.used != pieces.used {
			t.Fatalf("whole %+v, in pieces of %d %+v", whole, size, pieces)
		}
		var r Response
		b := bytes.Clone(input)
		n, err := r.Decode(b)
		if string(b[:n]) != whole.stdout || err != nil && err != io.EOF && err != whole.err || (err == io.EOF) != whole.done {
			t.Fatalf("in place %q, %v, want %+v", b[:n], err, whole)
		}
	})
}

func FuzzRequest(f *testing.F) {
	f.Add("NAME", "value", 3, uint16(9))
	f.Fuzz(func(t *testing.T, name, value string, times int, size uint16) {
		times = max(0, times%50)
		value = strings.Repeat(value, int(size)/(len(value)+1)+1)
		var w Writer
		w.Begin(nil)
		var want []string
		for range times {
			w.Var(name, value)
			want = append(want, name+"="+value)
		}
		records := sent(t, w.Finish())[4]
		if got := pairs(t, strings.Join(records, "")); !slices.Equal(got, want) {
			t.Fatalf("%d variables, want %d", len(got), len(want))
		}
	})
}
