package fastcgi

import (
	"bytes"
	"errors"
	"strings"
	"testing"
)

func TestLocate(t *testing.T) {
	for _, test := range []struct {
		path string
		want string // SCRIPT_FILENAME SCRIPT_NAME PATH_INFO
		err  error
	}{
		{"/index.php", "/srv/site/index.php /index.php ", nil},
		{"/", "/srv/site/index.php /index.php ", nil},
		{"/blog/", "/srv/site/blog/index.php /blog/index.php ", nil},
		{"/blog/index.php/2026/hello", "/srv/site/blog/index.php /blog/index.php /2026/hello", nil},
		{"/a.php/b.php", "/srv/site/a.php /a.php /b.php", nil},
		{"/a.php/", "/srv/site/a.php /a.php /", nil},
		{"/a.phpx/b.php", "/srv/site/a.phpx/b.php /a.phpx/b.php ", nil},
		{"/upload/x.jpg/y.php", "/srv/site/upload/x.jpg/y.php /upload/x.jpg/y.php ", nil}, // does not exist: the caller's to find out
		{"/a b/ä.php", "/srv/site/a b/ä.php /a b/ä.php ", nil},
		{"//index.php", "/srv/site//index.php //index.php ", nil},
		{"/.php", "", ErrNoScript}, // a dot file
		{"/.php/x.php", "/srv/site/.php/x.php /.php/x.php ", nil},
		{"/index.PHP", "", ErrNoScript},
		{"/about", "", ErrNoScript},
		{"/style.css", "", ErrNoScript},
		{"/../etc/x.php", "", ErrUnsafePath},
		{"/a/../../etc/x.php", "", ErrUnsafePath},
		{"/a.php/..", "", ErrUnsafePath},
		{"/./a.php", "", ErrUnsafePath},
		{"/a.php\x00.jpg", "", ErrUnsafePath},
		{"a.php", "", ErrUnsafePath},
		{"", "", ErrUnsafePath},
		{"*", "", ErrUnsafePath},
	} {
		for _, root := range []string{"/srv/site", "/srv/site/"} {
			var s Script
			dst, err := s.Locate([]byte("before"), root, []byte(test.path), "index.php", ".php")
			if !bytes.HasPrefix(dst, []byte("before")) {
				t.Errorf("%q: %q", test.path, dst)
			}
			if !errors.Is(err, test.err) {
				t.Errorf("%q: %v, want %v", test.path, err, test.err)
			}
			if err != nil {
				continue
			}
			if got := string(s.Filename) + " " + string(s.Name) + " " + string(s.PathInfo); got != test.want {
				t.Errorf("%q: %q, want %q", test.path, got, test.want)
			}
		}
	}
}

func TestLocateWithoutIndex(t *testing.T) {
	var s Script
	if _, err := s.Locate(nil, "/srv", []byte("/blog/"), "", ".php"); !errors.Is(err, ErrNoScript) {
		t.Errorf("%v", err)
	}
}

func FuzzLocate(f *testing.F) {
	f.Add("/a.php/b/../c")
	f.Add("/x.jpg/y.php/")
	f.Fuzz(func(t *testing.T, path string) {
		var s Script
		if _, err := s.Locate(nil, "/srv", []byte(path), "index.php", ".php"); err != nil {
			return
		}
		name := string(s.Name)
		if string(s.Filename) != "/srv"+name || !strings.HasSuffix(name, ".php") || name[0] != '/' || strings.Contains(name+"/", "/../") || strings.ContainsRune(name, 0) {
			t.Fatalf("%q: %q %q", path, s.Filename, s.Name)
		}
		if whole := name + string(s.PathInfo); whole != path && whole != path+"index.php" {
			t.Fatalf("%q: %q", path, whole)
		}
		// Split at the first script, not at a later one.
		if i := strings.Index(name, ".php/"); i >= 0 && name[i-1] != '/' {
			t.Fatalf("%q: %q", path, name)
		}
	})
}
