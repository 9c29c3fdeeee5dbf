package static

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"mime"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// oracle answers as net/http does, for a file with our entity tag.
func oracle(t testing.TB, folder, path, etag, method string, fields []string) *http.Response {
	t.Helper()
	file, err := os.Open(filepath.Join(folder, path))
	try(t, err)
	defer file.Close()
	stat, err := file.Stat()
	try(t, err)
	request := httptest.NewRequest(method, path, nil)
	for _, line := range fields {
		name, value, _ := strings.Cut(line, ": ")
		request.Header.Add(name, value)
	}
	recorder := httptest.NewRecorder()
	recorder.Header().Set("ETag", etag)
	http.ServeContent(recorder, request, path, stat.ModTime(), file)
	return recorder.Result()
}

// parts are the contents of a multipart body, each after its Content-Range.
func parts(t testing.TB, contentType, body string) (contents []string) {
	t.Helper()
	_, parameters, err := mime.ParseMediaType(contentType)
	try(t, err)
	for reader := multipart.NewReader(strings.NewReader(body), parameters["boundary"]); ; {
		part, err := reader.NextPart()
		if err == io.EOF {
			return contents
		}
		try(t, err)
		content, err := io.ReadAll(part)
		try(t, err)
		contents = append(contents, part.Header.Get("Content-Range")+" "+part.Header.Get("Content-Type")+" "+string(content))
	}
}

// compare asks both for a file that is there and says how they differ.
func compare(t testing.TB, s *Site, folder, path, etag, method string, fields []string) {
	t.Helper()
	got := ask(s, method, path, fields...)
	response := oracle(t, folder, path, etag, method, fields)
	content, err := io.ReadAll(response.Body)
	try(t, err)
	want := result{status: response.StatusCode, header: map[string]string{}, body: string(content)}
	contentRange := response.Header.Get("Content-Range")
	if want.status == 416 && (contentRange == "" || malformed(fields)) || strings.Contains(contentRange, "--") || method == "HEAD" && (want.status == 206 || want.status == 416) {
		// A Range in another unit must be ignored, one that is not well-formed may be,
		// and one on a HEAD means nothing (RFC 9110 §14.2): net/http answers 416 or 206.
		var without []string
		for _, line := range fields {
			if !strings.HasPrefix(line, "Range:") {
				without = append(without, line)
			}
		}
		compare(t, s, folder, path, etag, method, without)
		plain := ask(s, method, path, without...)
		if got.status != plain.status || got.body != plain.body {
			t.Errorf("%s %s %q: %d, without the Range %d", method, path, fields, got.status, plain.status)
		}
		return
	}
	if got.status != want.status || got.broken != nil {
		t.Errorf("%s %s %q: %d (%v), net/http: %d", method, path, fields, got.status, got.broken, want.status)
		return
	}
	for _, name := range []string{"ETag", "Last-Modified", "Content-Range", "Accept-Ranges", "Content-Type"} {
		theirs, ours := response.Header.Get(name), got.header[name]
		switch {
		case got.status == 304 && name == "Last-Modified", got.status == 412, got.status == 416 && name != "Content-Range":
			continue // said or left out as one likes
		case name == "Content-Type" && strings.HasPrefix(theirs, "multipart/") && strings.HasPrefix(ours, "multipart/byteranges; boundary="):
			continue
		}
		if theirs != ours {
			t.Errorf("%s %s %q: %s: %q, net/http: %q", method, path, fields, name, ours, theirs)
		}
	}
	if got.status == 416 {
		return
	}
	if strings.HasPrefix(got.header["Content-Type"], "multipart/") {
		ours := parts(t, got.header["Content-Type"], got.body)
		theirs := parts(t, response.Header.Get("Content-Type"), want.body)
		if strings.Join(ours, "\n") != strings.Join(theirs, "\n") {
			t.Errorf("%s %s %q: parts %q, net/http: %q", method, path, fields, ours, theirs)
		}
	} else if got.body != want.body {
		t.Errorf("%s %s %q: %.100q, net/http: %.100q", method, path, fields, got.body, want.body)
	}
	if method == "GET" && got.status < 300 && got.length != int64(len(got.body)) {
		t.Errorf("%s %s %q: length %d, body %d", method, path, fields, got.length, len(got.body))
	}
}

// malformed tells whether the Range could be of no file.
func malformed(fields []string) bool {
	for _, line := range fields {
		if value, ok := strings.CutPrefix(line, "Range: "); ok {
			ranges, satisfiable := parseRange(nil, []byte(value), 1<<40)
			return len(ranges) == 0 && satisfiable
		}
	}
	return false
}

// Conditions and ranges are answered as net/http answers them.
func TestAsNetHTTP(t *testing.T) {
	folder := tree(t, map[string]string{"a.txt": "0123456789abcdefghij", "empty.txt": "", "big.bin": strings.Repeat("0123456789", 20_000), "one.txt": "x"})
	try(t, os.Chtimes(filepath.Join(folder, "one.txt"), time.Time{}, time.Unix(0, 0)))
	s := site(t, folder, &Options{Plain: true})
	etags := map[string]string{}
	for _, path := range []string{"/a.txt", "/empty.txt", "/big.bin", "/one.txt"} {
		etags[path] = ask(s, "HEAD", path).header["ETag"]
	}
	dates := []string{oneDayText, "Thu, 29 Feb 2024 12:30:14 GMT", "Thu, 29 Feb 2024 12:30:16 GMT", "Thursday, 29-Feb-24 12:30:15 GMT", "Thu Feb 29 12:30:15 2024",
		"Thu, 29 Feb 2024 12:30:15 CET", "yesterday", "", "0"}
	ranges := []string{"bytes=0-", "bytes=0-0", "bytes=-1", "bytes=-", "bytes=19-", "bytes=20-", "bytes=19-99", "bytes=-99", "bytes=0-19", "bytes=1-3,5-7", "bytes=0-0,-1",
		"bytes=0-9,5-9", "bytes=0-9,0-10", "bytes=30-40,50-", "bytes=1-2,99-100", "bytes=1-2, 4-5 ,", "bytes=,", "bytes=", "bytes", "items=0-1", "bytes=a-b", "bytes=1", "bytes= 1 - 2 ",
		"bytes=0x1-2", "bytes=--1", "bytes=100000-100009,5-5", ""}
	random := rand.New(rand.NewPCG(3, 4))
	pick := func(list []string) string { return list[random.IntN(len(list))] }
	paths := []string{"/a.txt", "/empty.txt", "/big.bin", "/one.txt"}
	for range 6000 {
		path := pick(paths)
		tag := func() string {
			etag := etags[path]
			return pick([]string{etag, "W/" + etag, `"x"`, `W/"x"`, "*", "", `"x", ` + etag, `"x",W/` + etag + ` , "y"`, etag[:len(etag)-1], "x", `"x" ` + etag})
		}
		var fields []string
		for _, f := range []func() string{
			func() string { return "If-Match: " + tag() },
			func() string { return "If-None-Match: " + tag() },
			func() string { return "If-Modified-Since: " + pick(dates) },
			func() string { return "If-Unmodified-Since: " + pick(dates) },
			func() string { return "If-Range: " + pick([]string{tag(), pick(dates)}) },
		} {
			if random.IntN(4) == 0 {
				fields = append(fields, f())
			}
		}
		if random.IntN(2) == 0 {
			fields = append(fields, "Range: "+pick(ranges))
		}
		compare(t, s, folder, path, etags[path], pick([]string{"GET", "GET", "HEAD"}), fields)
		if t.Failed() {
			break
		}
	}
}

// A tree is served as net/http's FileServer does, where that serves a file at all.
func TestAsFileServer(t *testing.T) {
	files := map[string]string{"index.html": "home", "a.txt": "a", "b/index.html": "b", "b/c/d.txt": "d", "e f/g%h.txt": "g", "ü/ö.html": "ö"}
	folder := tree(t, files)
	s := site(t, folder, nil)
	server := http.FileServerFS(os.DirFS(folder))
	for name := range files {
		for _, path := range []string{"/" + name, "/" + filepath.Dir(name) + "/", "/" + filepath.Dir(name), "/" + name + "x", "/" + name + "/"} {
			if strings.Contains(path, ".//") || strings.HasPrefix(path, "/.") || strings.HasSuffix(path, "/index.html") {
				continue // FileServer leads to the folder
			}
			recorder := httptest.NewRecorder()
			request := httptest.NewRequest("GET", "/", nil)
			request.URL.Path = path
			server.ServeHTTP(recorder, request)
			got := ask(s, "GET", path)
			if strings.HasSuffix(path, "txt/") || strings.HasSuffix(path, "html/") || strings.HasSuffix(path, "/c/") || strings.HasSuffix(path, "/c") || strings.HasSuffix(path, "f/") || strings.HasSuffix(path, "f") || strings.HasSuffix(path, "ü/") || strings.HasSuffix(path, "ü") {
				if got.status != 404 { // there are no listings, and a file is no folder
					t.Errorf("%s: %d, want 404", path, got.status)
				}
			} else if got.status != recorder.Code || got.status == 200 && got.body != recorder.Body.String() {
				t.Errorf("%s: %d %q, net/http: %d %q", path, got.status, got.body, recorder.Code, recorder.Body)
			}
		}
	}
}

// Where net/http has another opinion, or another limit.
func TestRangesOfOurOwn(t *testing.T) {
	many := strings.Repeat("0-0,", mostRanges)
	for _, test := range []struct {
		value string
		want  []byteRange
		bad   bool // 416
	}{
		{"bytes=0-99999999999999999999", []byteRange{{0, 1000}}, false},
		{"bytes=99999999999999999999-", nil, true},
		{"bytes=-99999999999999999999", []byteRange{{0, 1000}}, false},
		{"bytes=-0", nil, true},
		{"bytes=-0,1-1", []byteRange{{1, 1}}, false},
		{"BYTES=1-1", []byteRange{{1, 1}}, false},
		{"bytes=" + many, slices.Repeat([]byteRange{{0, 1}}, mostRanges), false},
		{"bytes=" + many + "1-1", nil, false},
		{"lines=1-2", nil, false},
		{"bytes=+1-2", nil, false},
		{"bytes=1-2-3", nil, false},
		{"bytes=9999-x", nil, false},
		{"bytes=2-1", nil, false},
	} {
		got, satisfiable := parseRange(nil, []byte(test.value), 1000)
		if fmt.Sprint(got) != fmt.Sprint(test.want) || satisfiable == test.bad {
			t.Errorf("%s: %v, satisfiable %v; want %v", test.value, got, satisfiable, test.want)
		}
	}
	s := site(t, tree(t, map[string]string{"a.txt": "0123456789"}), nil)
	if got := ask(s, "GET", "/a.txt", "Range: bytes=0-1", "Range: bytes=3-4"); got.status != 200 {
		t.Errorf("two Range fields: %d", got.status)
	}
}

func FuzzRange(f *testing.F) {
	for _, seed := range []string{"bytes=0-", "bytes=-5", "bytes=1-3,5-7", "bytes=9-1", "bytes=99999999999999999999-", "items=1-2", "bytes=,,1-1,"} {
		f.Add(seed, int64(10))
		f.Add(seed, int64(0))
	}
	f.Fuzz(func(t *testing.T, value string, size int64) {
		if size < 0 {
			return
		}
		ranges, satisfiable := parseRange(nil, []byte(value), size)
		total := int64(0)
		for _, r := range ranges {
			if r.start < 0 || r.length <= 0 || r.start+r.length > size || r.start+r.length < 0 {
				t.Fatalf("%q of %d: %v", value, size, ranges)
			}
			total += r.length
		}
		if total > size || total < 0 || len(ranges) > mostRanges || !satisfiable && (len(ranges) > 0 || size == 0) {
			t.Fatalf("%q of %d: %v, %v", value, size, ranges, satisfiable)
		}
	})
}

var (
	longNumber = regexp.MustCompile("[0-9]{18}")
	noSuffix   = regexp.MustCompile("[=,][ \t]*-[ \t]*0")
)

func FuzzConditions(f *testing.F) {
	folder := tree(f, map[string]string{"a.txt": "0123456789"})
	s := site(f, folder, &Options{Plain: true})
	etag := ask(s, "HEAD", "/a.txt").header["ETag"]
	names := []string{"If-Match", "If-None-Match", "If-Range", "If-Modified-Since", "If-Unmodified-Since", "Range"}
	for i := range names {
		f.Add(i, etag, i+1, `W/"x", `+etag)
		f.Add(i, oneDayText, 5, "bytes=1-2")
	}
	f.Fuzz(func(t *testing.T, first int, a string, second int, b string) {
		if first < 0 || second < 0 || strings.ContainsAny(a+b, "\r\n\x00") {
			return
		}
		// Values come without blanks around them; net/http folds repeated fields
		// otherwise than we do.
		a, b = strings.Trim(a, " \t"), strings.Trim(b, " \t")
		one, two := names[first%len(names)], names[second%len(names)]
		if one == two || a == "" || b == "" {
			return
		}
		for _, text := range []string{a, b} {
			if longNumber.MatchString(text) || strings.HasPrefix(strings.ToLower(text), "bytes=") && !strings.HasPrefix(text, "bytes=") {
				return // too large for net/http; a unit is a token of any case
			}
			if noSuffix.MatchString(text) {
				return // net/http gives an empty range, or takes a sign
			}
			if dup := bytes.Count([]byte(text), []byte(",")); dup > mostRanges-1 {
				return
			}
			if strings.Contains(text, "*") && !strings.HasPrefix(text, "*") {
				return // "x"* : net/http stops there, so do we, elsewhere
			}
		}
		compare(t, s, folder, "/a.txt", etag, "GET", []string{fmt.Sprintf("%s: %s", one, a), fmt.Sprintf("%s: %s", two, b)})
	})
}
