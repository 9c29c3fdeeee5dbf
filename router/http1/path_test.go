package http1

import (
	"bytes"
	"net/url"
	"path"
	"strings"
	"testing"
)

func TestAppendPath(t *testing.T) {
	for _, test := range []struct{ path, want string }{ // want "" is 400
		// Reference: what uWSGI does, and the rows where it must be better.
		{"/../../etc/passwd", "/etc/passwd"},
		{"/%2e%2e/x", "/x"},
		{"/a/b/../../../c", "/c"},
		{"/a/%2e%2e/b", "/b"},
		{"/a/..", "/"},
		{"/a%2525", "/a%25"},
		{"/a//b/../c", "/a//c"},
		{"/%zz", ""},
		{"/a%20b/c%2Fd/../e", "/a b/c/e"},
		{"/%4", ""},
		{"/%", ""},
		{"/a%00b", ""},
		{"*", "*"},
		{"/a+b", "/a+b"},

		{"/", "/"},
		{"/a", "/a"},
		{"/a/", "/a/"},
		{"/.", "/"},
		{"/..", "/"},
		{"/./", "/"},
		{"/../", "/"},
		{"/a/.", "/a/"},
		{"/a/./", "/a/"},
		{"/a/./b", "/a/b"},
		{"/a/../b/", "/b/"},
		{"/a/b/..", "/a/"},
		{"/a/b/../", "/a/"},
		{"//..", "/"},
		{"//../a", "/a"},
		{"/a//../b", "/a/b"},
		{"/a/b//..//c", "/a/b//c"},
		{"/...", "/..."},
		{"/.../..", "/"},
		{"/.a/..b/c..", "/.a/..b/c.."},
		{"/a./b", "/a./b"},
		{"/a../b", "/a../b"},
		{"/index.html", "/index.html"},
		{"/a.b/../c.d", "/c.d"},
		{"/%2E/%2e%2E/a", "/a"},
		{"/%2f..%2fa", "/a"},
		{"/a%2f%2e%2e%2f%2e%2e%2fb", "/b"},
		{"/%252e%252e/a", "/%2e%2e/a"},
		{"/%C3%A4", "/ä"},
		{"/ä", "/ä"},
		{"/a%0d%0ab", "/a\r\nb"},
		{"/a%", ""},
		{"/a%2", ""},
		{"/a%2g", ""},
		{"/a%g2", ""},
		{"/%%30", ""},
		{"/a/%00/..", ""},
	} {
		dst, err := AppendPath([]byte("before"), []byte(test.path))
		got, intact := bytes.CutPrefix(dst, []byte("before"))
		if !intact {
			t.Fatalf("%q: what was in dst is now %q", test.path, dst)
		}
		if string(got) != test.want || (err != nil) != (test.want == "") {
			t.Errorf("%q: %q, %v, want %q", test.path, got, err, test.want)
		}
	}
}

func FuzzPath(f *testing.F) {
	for _, s := range []string{"/a/../b", "/%2e%2e/x", "/a//b/./c/..", "/%00", "/.../.a/..", "//..//"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		if len(raw) == 0 || raw[0] != '/' {
			return
		}
		got, err := AppendPath(nil, raw)
		want, urlErr := url.PathUnescape(string(raw))
		if (err != nil) != (urlErr != nil || strings.Contains(want, "\x00")) {
			t.Fatalf("%q: %v, net/url says %v", raw, err, urlErr)
		}
		if err != nil {
			return
		}
		for _, segment := range strings.Split(string(got), "/") {
			if segment == "." || segment == ".." {
				t.Fatalf("%q keeps a dot segment: %q", raw, got)
			}
		}
		if got[0] != '/' {
			t.Fatalf("%q gives %q", raw, got)
		}
		// package path also folds "//", so compare where there are none.
		if !strings.Contains(want, "//") && path.Clean(want) != path.Clean(string(got)) {
			t.Fatalf("%q gives %q, path.Clean %q", raw, got, path.Clean(want))
		}
	})
}
