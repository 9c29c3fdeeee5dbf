package compress

import (
	"strings"
	"testing"

	"emperor/router/http1"
)

func fields(lines ...string) []http1.Field {
	var found []http1.Field
	for _, line := range lines {
		name, value, _ := strings.Cut(line, ": ")
		found = append(found, http1.Field{Name: []byte(name), Value: []byte(value), Kind: http1.KindOf([]byte(name))})
	}
	return found
}

func lines(fields []http1.Field) string {
	var b strings.Builder
	for _, f := range fields {
		b.WriteString(string(f.Name) + ": " + string(f.Value) + "\n")
	}
	return b.String()
}

func accepted(values ...string) *Accepted {
	var a Accepted
	for i := range values {
		values[i] = "accept-encoding: " + values[i]
	}
	a.Read(fields(values...))
	return &a
}

func TestChooseEncoding(t *testing.T) {
	all := []Encoding{Zstd, Brotli, Gzip}
	for _, test := range []struct {
		accept  []string
		offered []Encoding
		want    Encoding
	}{
		{nil, all, Identity},
		{[]string{""}, all, Identity},
		{[]string{"gzip"}, all, Gzip},
		{[]string{"gzip"}, []Encoding{Brotli}, Identity},
		{[]string{"GZip"}, all, Gzip},
		{[]string{"x-gzip"}, all, Gzip},
		{[]string{"gzip;q=0"}, all, Identity},
		{[]string{"gzip;q=0.000"}, all, Identity},
		{[]string{"gzip ; q=0.001"}, all, Gzip},
		{[]string{"gzip;q=0.0001"}, all, Identity}, // no weight
		{[]string{"gzip;q=1.001"}, all, Identity},
		{[]string{"gzip;q=2"}, all, Identity},
		{[]string{"gzip;q="}, all, Identity},
		{[]string{"gzip;q=0,5"}, all, Identity},
		{[]string{"gzip;level=9"}, all, Identity},
		{[]string{"gzip;Q=1."}, all, Gzip},
		{[]string{"gzip, deflate, br, zstd"}, all, Zstd},
		{[]string{"gzip, deflate, br, zstd"}, []Encoding{Gzip, Zstd}, Gzip},
		{[]string{"gzip;q=1.0, br;q=0.9"}, []Encoding{Brotli, Gzip}, Gzip},
		{[]string{"gzip", "br"}, []Encoding{Brotli, Gzip}, Brotli},
		{[]string{"*"}, all, Zstd},
		{[]string{"*;q=0"}, all, Identity},
		{[]string{"*;q=0, gzip"}, all, Gzip},
		{[]string{"gzip;q=0", "*"}, []Encoding{Gzip}, Identity},
		{[]string{"gzip;q=0.5, *;q=0.1"}, all, Gzip},
		{[]string{"identity;q=1, gzip;q=0.5"}, all, Identity},
		{[]string{"identity, gzip"}, all, Gzip},
		{[]string{"identity;q=0.5, gzip;q=0.5"}, all, Gzip},
		{[]string{"identity;q=0"}, all, Identity},
		{[]string{",,\t, gzip\t,"}, all, Gzip},
		{[]string{"gzipped"}, all, Identity},
		{[]string{"deflate"}, all, Identity},
	} {
		if got := accepted(test.accept...).Choose(test.offered); got != test.want {
			t.Errorf("%q, offered %v: %v, want %v", test.accept, test.offered, got, test.want)
		}
	}
}

func FuzzAccepted(f *testing.F) {
	for _, seed := range []string{"gzip", "gzip;q=0, *;q=0.5", "br;q=1.000,identity;q=0", ";;,q=,*;q", "zstd;q=1.5"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, value string) {
		a := accepted(value)
		for e, q := range a.quality {
			if q < 0 || q > 1000 {
				t.Fatalf("%q: quality %d for %v", value, q, Encoding(e))
			}
			if q > 0 && !strings.Contains(value, "*") && !strings.Contains(strings.ToLower(value), Encoding(e).String()) {
				t.Fatalf("%q: takes %v, which it does not name", value, Encoding(e))
			}
		}
		for _, e := range encodings {
			if got := a.Choose([]Encoding{e}); got != Identity && a.quality[got] == 0 {
				t.Fatalf("%q: %v chosen", value, got)
			}
		}
		// Elements in two fields mean the same as in one.
		if first, second, cut := strings.Cut(value, ","); cut && *accepted(first, second) != *a {
			t.Fatalf("%q: other outcome from two fields", value)
		}
	})
}

func TestWhichResponses(t *testing.T) {
	html := "Content-Type: text/html; charset=utf-8"
	for _, test := range []struct {
		name   string
		policy Policy
		accept string
		minor0 bool
		status int
		length int64
		fields []string
		want   Choice
	}{
		{name: "a page", length: 5000, fields: []string{html}, want: Choice{Encoding: Gzip, Vary: true}},
		{name: "of unknown length", length: -1, fields: []string{html}, want: Choice{Encoding: Gzip, Vary: true}},
		{name: "an error page", status: 500, length: 5000, fields: []string{html}, want: Choice{Encoding: Gzip, Vary: true}},
		{name: "not asked for", accept: "deflate", length: 5000, fields: []string{html}, want: Choice{Vary: true}},
		{name: "HTTP/1.0", minor0: true, length: 5000, fields: []string{html}, want: Choice{Vary: true}},
		{name: "short", length: 1023, fields: []string{html}},
		{name: "just long enough", length: 1024, fields: []string{html}, want: Choice{Encoding: Gzip, Vary: true}},
		{name: "own limit", policy: Policy{MinLength: 10}, length: 10, fields: []string{html}, want: Choice{Encoding: Gzip, Vary: true}},
		{name: "upper case", length: 5000, fields: []string{"content-type: Text/HTML"}, want: Choice{Encoding: Gzip, Vary: true}},
		{name: "JSON by suffix", length: 5000, fields: []string{"content-type: application/vnd.api+json ;x"}, want: Choice{Encoding: Gzip, Vary: true}},
		{name: "SVG", length: 5000, fields: []string{"content-type: image/svg+xml"}, want: Choice{Encoding: Gzip, Vary: true}},
		{name: "events", length: -1, fields: []string{"content-type: text/event-stream"}, want: Choice{Encoding: Gzip, Vary: true}},
		{name: "an image", length: 5000, fields: []string{"content-type: image/png"}},
		{name: "no type", length: 5000},
		{name: "no policy", policy: Policy{Encodings: []Encoding{}}, length: 5000, fields: []string{html}},
		{name: "own types", policy: Policy{Types: []string{"image/png"}}, length: 5000, fields: []string{"Content-Type: image/png"}, want: Choice{Encoding: Gzip, Vary: true}},
		{name: "own types, others", policy: Policy{Types: []string{"image/png"}}, length: 5000, fields: []string{html}},
		{name: "encoded", length: 5000, fields: []string{html, "content-encoding: br"}},
		{name: "no-transform", length: 5000, fields: []string{html, "cache-control: private,No-Transform"}},
		{name: "not no-transform", length: 5000, fields: []string{html, "cache-control: x-no-transform"}, want: Choice{Encoding: Gzip, Vary: true}},
		{name: "a part by its field", length: 5000, fields: []string{html, "content-range: bytes 0-4999/9999"}},
		{name: "a part", status: 206, length: 5000, fields: []string{html}},
		{name: "no content", status: 204, length: -1, fields: []string{html}},
		{name: "reset content", status: 205, length: -1, fields: []string{html}},
		{name: "switching", status: 101, length: -1, fields: []string{html}},
		{name: "not modified", status: 304, length: -1, want: Choice{Vary: true}},
		{name: "on demand", policy: Policy{Encodings: []Encoding{}, OnDemand: true}, length: 10, fields: []string{"uWSGI-Encoding: gzip"}, want: Choice{Encoding: Gzip, Vary: true}},
		{name: "on demand, to HTTP/1.0", policy: Policy{Encodings: []Encoding{}, OnDemand: true}, minor0: true, length: 10, fields: []string{"uWSGI-Encoding: gzip"}, want: Choice{Vary: true}},
		{name: "on demand, gzip;q=0", policy: Policy{Encodings: []Encoding{}, OnDemand: true}, accept: "gzip;q=0", length: 10, fields: []string{"uWSGI-Encoding: gzip"}, want: Choice{Vary: true}},
		{name: "on demand, something else", policy: Policy{Encodings: []Encoding{}, OnDemand: true}, length: 5000, fields: []string{html, "uWSGI-Encoding: deflate"}},
		{name: "on demand, not demanded", policy: Policy{Encodings: []Encoding{}, OnDemand: true}, length: 5000, fields: []string{html}},
		{name: "demanded, not allowed", length: 10, fields: []string{"uWSGI-Encoding: gzip"}},
	} {
		if test.policy.Encodings == nil {
			test.policy.Encodings = []Encoding{Gzip}
		}
		if test.accept == "" {
			test.accept = "gzip"
		}
		if test.status == 0 {
			test.status = 200
		}
		request := http1.Request{Minor: 1}
		if test.minor0 {
			request.Minor = 0
		}
		response := http1.Response{Status: test.status, ContentLength: test.length, Fields: fields(test.fields...)}
		var got Choice
		got.Choose(&test.policy, accepted(test.accept), &request, &response)
		if got.Encoding != test.want.Encoding || got.Vary != test.want.Vary {
			t.Errorf("%s: %v, vary %v; want %v, vary %v", test.name, got.Encoding, got.Vary, test.want.Encoding, test.want.Vary)
		}
	}
}

func TestRewrite(t *testing.T) {
	for _, test := range []struct {
		name   string
		choice Choice
		in     []string
		want   string
	}{
		{"as it is", Choice{}, []string{`ETag: "x"`, "Accept-Ranges: bytes"}, "ETag: \"x\"\nAccept-Ranges: bytes\n"},
		{"for a cache", Choice{Vary: true}, []string{`ETag: "x"`, "Accept-Ranges: bytes"}, "ETag: \"x\"\nAccept-Ranges: bytes\nVary: Accept-Encoding\n"},
		{"compressed", Choice{Encoding: Brotli, Vary: true},
			[]string{`ETag: "x"`, "Accept-Ranges: bytes", "Content-MD5: y", "Digest: d", "repr-digest: d", "Content-Digest: d", "Content-Type: text/html"},
			"ETag: W/\"x\"\nContent-Type: text/html\nVary: Accept-Encoding\nContent-Encoding: br\n"},
		{"weak already", Choice{Encoding: Gzip, Vary: true}, []string{`ETag: W/"x"`}, "ETag: W/\"x\"\nVary: Accept-Encoding\nContent-Encoding: gzip\n"},
		{"no entity tag", Choice{Encoding: Gzip, Vary: true}, []string{`ETag: x`}, "Vary: Accept-Encoding\nContent-Encoding: gzip\n"},
		{"empty entity tag", Choice{Encoding: Zstd, Vary: true}, []string{`ETag: `}, "Vary: Accept-Encoding\nContent-Encoding: zstd\n"},
		{"varies already", Choice{Encoding: Gzip, Vary: true}, []string{"vary: Cookie, accept-encoding"}, "vary: Cookie, accept-encoding\nContent-Encoding: gzip\n"},
		{"varies with everything", Choice{Vary: true}, []string{"Vary: *"}, "Vary: *\n"},
		{"varies otherwise", Choice{Vary: true}, []string{"Vary: Cookie"}, "Vary: Cookie\nVary: Accept-Encoding\n"},
	} {
		response := http1.Response{Fields: fields(test.in...)}
		test.choice.Rewrite(&response)
		if got := lines(response.Fields); got != test.want {
			t.Errorf("%s:\n%swant\n%s", test.name, got, test.want)
		}
	}
}

func TestParseEncodings(t *testing.T) {
	got, err := ParseEncodings("zstd, GZIP,br")
	if err != nil || len(got) != 3 || got[0] != Zstd || got[1] != Gzip || got[2] != Brotli {
		t.Errorf("%v, %v", got, err)
	}
	if _, err := ParseEncodings("gzip,lzma"); err == nil || !strings.Contains(err.Error(), `"lzma"`) {
		t.Errorf("%v", err)
	}
}

// Deciding and rewriting costs no allocation once the room is there.
func TestDecidingDoesNotAllocate(t *testing.T) {
	policy := &Policy{Encodings: []Encoding{Zstd, Gzip}}
	request := &http1.Request{Minor: 1, Fields: fields("Host: a", "Accept-Encoding: gzip, deflate, br, zstd", "User-Agent: x")}
	original := fields(`ETag: "x"`, "Content-Type: application/json", "Content-Length: 5000")
	response := &http1.Response{Status: 200, ContentLength: 5000}
	var a Accepted
	var choice Choice
	if n := testing.AllocsPerRun(100, func() {
		response.Fields = append(response.Fields[:0], original...)
		a.Read(request.Fields)
		choice.Choose(policy, &a, request, response)
		choice.Rewrite(response)
	}); n > 0 || choice.Encoding != Zstd {
		t.Errorf("%v allocations, %v", n, choice.Encoding)
	}
}

func BenchmarkDecide(b *testing.B) {
	policy := &Policy{Encodings: []Encoding{Zstd, Gzip}}
	request := &http1.Request{Minor: 1, Fields: fields("Host: a", "Accept-Encoding: gzip, deflate, br, zstd", "User-Agent: x")}
	response := &http1.Response{Status: 200, ContentLength: 5000, Fields: fields(`ETag: "x"`, "Content-Type: application/json", "Content-Length: 5000")}
	var a Accepted
	var choice Choice
	b.ReportAllocs()
	for b.Loop() {
		a.Read(request.Fields)
		choice.Choose(policy, &a, request, response)
	}
}
