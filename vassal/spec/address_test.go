package spec

import (
	"strings"
	"testing"
)

func TestParseAddress(t *testing.T) {
	for _, test := range []struct{ text, foreign, wrong string }{
		{"/run/a", "", ""}, {"a.sock", "", ""}, {"./a:b", "a path with a colon", ""}, {":80", "", ""}, {"0.0.0.0:80", "", ""},
		{"[::]:80", "", ""}, {"host:80", "not a numeric address", ""}, {"10.*:80", "not a numeric address", ""}, {":0", "port 0", ""},
		{"fd://3", "inherits", ""}, {"=1", "shared-socket", ""}, {"@x", "", ""},
		{"", "", "want an address"}, {"@", "", "abstract name"}, {":http", "", "want a port"}, {":70000", "", "want a port"}, {"a:b:80", "", "want host:port"},
	} {
		a, err := ParseAddress(test.text)
		switch {
		case test.wrong != "":
			if err == nil || !strings.Contains(err.Error(), test.wrong) {
				t.Errorf("%q: error %v, want %q", test.text, err, test.wrong)
			}
		case err != nil:
			t.Errorf("%q: %v", test.text, err)
		case test.foreign == "" && a.Foreign != "" || !strings.Contains(a.Foreign, test.foreign):
			t.Errorf("%q: left to uWSGI because of %q, want %q", test.text, a.Foreign, test.foreign)
		}
	}
}

func FuzzParseAddress(f *testing.F) {
	for _, seed := range []string{"/run/a", ":80", "[::1]:80", "@x", "fd://3", "a:b:c", "[::1%lo]:1"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		a, err := ParseAddress(text)
		if err != nil {
			return
		}
		kinds := 0
		for _, is := range []bool{a.Path != "" && a.Foreign == "", a.Abstract != "", a.IsTCP(), a.Foreign != ""} {
			if is {
				kinds++
			}
		}
		if kinds != 1 {
			t.Errorf("%q is understood in %d ways: %+v", text, kinds, a)
		}
		a.In("/dir")
		a.Dialable("/dir")
	})
}
