package static

import (
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"emperor/router/http1"
)

// A warm request costs no allocation.
func TestNoAllocations(t *testing.T) {
	folder := tree(t, map[string]string{"index.html": "home", "css/a.css": "x", "css/a.css.gz": "y", "404.html": "lost"})
	s := site(t, folder, &Options{})
	etag := ask(s, "GET", "/").header["ETag"]
	var a Answer
	piece := make([]byte, 1000)
	for _, test := range []struct {
		path   string
		fields []http1.Field
		status int
	}{
		{"/", nil, 200},
		{"/css/a.css", parse("Accept-Encoding: gzip, br", "User-Agent: x"), 200},
		{"/", parse("If-None-Match: " + etag), 304},
		{"/", parse("If-Modified-Since: " + oneDayText), 304},
		{"/", parse("Range: bytes=1-"), 206},
		{"/", parse("Range: bytes=0-0,2-2"), 206},
		{"/x", nil, 404},
	} {
		r := &Request{Method: []byte("GET"), Path: []byte(test.path), Fields: test.fields}
		n := testing.AllocsPerRun(100, func() {
			s.Open(r, &a)
			for {
				if _, err := a.Read(piece); err != nil {
					break
				}
			}
			a.Close()
		})
		if n > 0 || a.Status != test.status {
			t.Errorf("%s %s: %v allocations, status %d", test.path, lines(test.fields), n, a.Status)
		}
	}
}

func lines(fields []http1.Field) (all []string) {
	for _, f := range fields {
		all = append(all, string(f.Name)+": "+string(f.Value))
	}
	return all
}

// Whatever the path: nothing hidden and nothing outside, and no descriptor stays
// open.
func FuzzPath(f *testing.F) {
	folder := tree(f, map[string]string{
		"index.html": "public", "a/b.txt": "public", "a/index.html": "public", ".git/config": "secret", "a/.env": "secret",
		".well-known/x": "public", "up": "-> ..", "a/up": "-> ../..", "etc": "-> /etc", "404.html": "public", "in": "-> a/b.txt",
	})
	grow(f, filepath.Dir(folder), map[string]string{"secret.txt": "secret"})
	for _, seed := range []string{"/", "/a", "/a/b.txt", "/.git/config", "/up/secret.txt", "/a/../../secret.txt", "//a//", "/etc/passwd", "/.well-known/x", "/a/up/up/secret.txt", "/in/../x", "/\x00", "/%2e%2e/secret.txt"} {
		f.Add(seed)
	}
	sites := []*Site{site(f, folder, nil), portable(f, site(f, folder, nil))}
	passwd, err := os.ReadFile("/etc/passwd")
	try(f, err)
	f.Fuzz(func(t *testing.T, target string) {
		paths := [][]byte{[]byte(target)}
		if decoded, err := http1.AppendPath(nil, []byte(target)); err == nil {
			paths = append(paths, decoded)
		}
		for _, s := range sites {
			for _, path := range paths {
				got := askFor(s, &Request{Method: []byte("GET"), Path: path, Target: []byte(target)})
				switch {
				case got.broken != nil, strings.Contains(got.body, "secret"), strings.Contains(got.body, string(passwd)):
					t.Fatalf("%q: %+v", path, got)
				case !slices.Contains([]int{200, 301, 403, 404}, got.status):
					t.Fatalf("%q: %d", path, got.status)
				case got.status == 200 && got.body != "public":
					t.Fatalf("%q: %q", path, got.body)
				case got.status == 301 && (strings.HasPrefix(got.header["Location"], "//") || strings.ContainsAny(got.header["Location"], "\\ \r\n") || got.header["Location"][0] != '/'):
					t.Fatalf("%q: Location: %q", path, got.header["Location"])
				}
			}
		}
	})
}

func BenchmarkOpen(b *testing.B) {
	folder := tree(b, map[string]string{"a/b/c.txt": strings.Repeat("x", 1000), "a/b/d.css": strings.Repeat("x", 1000), "a/b/d.css.gz": "x", "a/b/c.bin": strings.Repeat("x", 1000)})
	for _, bench := range []struct {
		name   string
		path   string
		fields []http1.Field
		parent bool
	}{
		{"file", "/a/b/c.bin", nil, true},
		{"file, without looking for a new site", "/a/b/c.bin", nil, false},
		{"text, no sibling", "/a/b/c.txt", parse("Accept-Encoding: gzip, deflate, br, zstd"), true},
		{"text, sibling", "/a/b/d.css", parse("Accept-Encoding: gzip"), true},
		{"not modified", "/a/b/c.bin", parse("If-Modified-Since: " + oneDayText), true},
		{"missing", "/a/b/x", nil, true},
	} {
		b.Run(bench.name, func(b *testing.B) {
			s := site(b, folder, nil)
			if !bench.parent {
				s.root.Load().parent = -1
			}
			r := &Request{Method: []byte("GET"), Path: []byte(bench.path), Fields: bench.fields}
			var a Answer
			piece := make([]byte, 64<<10)
			b.ReportAllocs()
			for b.Loop() {
				s.Open(r, &a)
				for {
					if _, err := a.Read(piece); err == io.EOF {
						break
					}
				}
				a.Close()
			}
		})
	}
}
