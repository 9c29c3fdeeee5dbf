package static

import (
	"bytes"
	"io"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"emperor/router/http1"
)

// tree makes files beneath a new folder: a name that ends in / is a folder, content
// that begins with "-> " makes a symbolic link. All were changed on one day.
func tree(t testing.TB, files map[string]string) string {
	t.Helper()
	folder := t.TempDir()
	grow(t, folder, files)
	return folder
}

var oneDay = time.Date(2024, 2, 29, 12, 30, 15, 123456789, time.UTC)

const oneDayText = "Thu, 29 Feb 2024 12:30:15 GMT"

func grow(t testing.TB, folder string, files map[string]string) {
	t.Helper()
	for _, name := range slices.Sorted(maps.Keys(files)) {
		path, content := filepath.Join(folder, name), files[name]
		try(t, os.MkdirAll(filepath.Dir(path), 0o755))
		target, link := strings.CutPrefix(content, "-> ")
		switch {
		case link:
			try(t, os.Symlink(strings.ReplaceAll(target, "ROOT", folder), path))
		case strings.HasSuffix(name, "/"):
			try(t, os.MkdirAll(path, 0o755))
		default:
			try(t, os.WriteFile(path, []byte(content), 0o644))
			try(t, os.Chtimes(path, oneDay, oneDay))
		}
	}
}

func try(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// site serves a folder as long as the test runs.
func site(t testing.TB, folder string, options *Options) *Site {
	t.Helper()
	at, err := OpenRoot(folder)
	try(t, err)
	if options == nil {
		options = &Options{}
	}
	s, err := New(at, options)
	try(t, err)
	t.Cleanup(s.Close)
	return s
}

// portable makes a site do without openat2.
func portable(t testing.TB, s *Site) *Site {
	t.Helper()
	r := s.root.Load()
	var err error
	r.portable, err = os.OpenRoot(self(r.directory))
	try(t, err)
	return s
}

// result is an answer read to its end.
type result struct {
	status int
	header map[string]string
	length int64
	body   string
	err    error // of the answer
	broken error // of its body
}

func ask(s *Site, method, path string, fields ...string) result {
	return askFor(s, &Request{Method: []byte(method), Path: []byte(path), Target: []byte(path), Fields: parse(fields...)})
}

func parse(lines ...string) (fields []http1.Field) {
	for _, line := range lines {
		name, value, _ := strings.Cut(line, ": ")
		fields = append(fields, http1.Field{Name: []byte(name), Value: []byte(value)})
	}
	return fields
}

func askFor(s *Site, r *Request) result {
	var a Answer
	s.Open(r, &a)
	defer a.Close()
	return finish(&a)
}

func finish(a *Answer) result {
	got := result{status: a.Status, header: map[string]string{}, length: a.Length, err: a.Err}
	for _, f := range a.Fields {
		got.header[string(f.Name)] = string(f.Value)
	}
	var body bytes.Buffer
	_, got.broken = io.CopyBuffer(&body, struct{ io.Reader }{a}, make([]byte, 1000))
	got.body = body.String()
	return got
}

func TestWhatIsThere(t *testing.T) {
	folder := tree(t, map[string]string{
		"index.html":                   "home",
		"a.css":                        "css",
		"a b%.txt":                     "odd name",
		"empty.bin":                    "",
		"sub/index.html":               "sub home",
		"sub/UPPER.HTML":               "upper",
		"sub/README":                   "read me",
		"bare/x.txt":                   "x",
		"odd/index.html/":              "",
		".well-known/acme-challenge/t": "token",
		".well-known/.secret":          "secret",
		".wellknown":                   "secret",
		".git/config":                  "secret",
		".htpasswd":                    "secret",
		"sub/.env":                     "secret",
		"sub/.well-known/x":            "secret",
		"in.txt":                       "-> sub/README",
		"sub/up.txt":                   "-> ../a.css",
		"absolute.txt":                 "-> ROOT/a.css",
		"around.txt":                   "-> ../../../../../../../../../../../..ROOT/a.css",
		"folder-link":                  "-> sub",
		"loop":                         "-> loop",
		"dangling":                     "-> nowhere",
		"device.txt":                   "-> /dev/zero",
		"proc.txt":                     "-> /proc/self/environ",
	})
	outside := tree(t, map[string]string{"secret.txt": "secret", "index.html": "secret"})
	grow(t, folder, map[string]string{"out.txt": "-> " + outside + "/secret.txt", "out": "-> " + outside})
	try(t, unix.Mkfifo(filepath.Join(folder, "fifo"), 0o644))
	listener, err := net.Listen("unix", filepath.Join(folder, "socket"))
	try(t, err)
	defer listener.Close()

	tests := []struct {
		path   string
		status int
		body   string
		kind   string
	}{
		{"/", 200, "home", "text/html; charset=utf-8"},
		{"//", 200, "home", "text/html; charset=utf-8"},
		{"/a.css", 200, "css", "text/css; charset=utf-8"},
		{"//a.css", 200, "css", "text/css; charset=utf-8"},
		{"/a b%.txt", 200, "odd name", "text/plain; charset=utf-8"},
		{"/empty.bin", 200, "", "application/octet-stream"},
		{"/sub/", 200, "sub home", "text/html; charset=utf-8"},
		{"/sub//", 200, "sub home", "text/html; charset=utf-8"},
		{"/sub", 301, "", ""},
		{"/sub/UPPER.HTML", 200, "upper", "text/html; charset=utf-8"},
		{"/sub/README", 200, "read me", "application/octet-stream"},
		{"/sub//README", 200, "read me", "application/octet-stream"},
		{"/.well-known/acme-challenge/t", 200, "token", "application/octet-stream"},
		{"/in.txt", 200, "read me", "text/plain; charset=utf-8"},
		{"/sub/up.txt", 200, "css", "text/plain; charset=utf-8"},
		{"/absolute.txt", 200, "css", "text/plain; charset=utf-8"},
		{"/around.txt", 200, "css", "text/plain; charset=utf-8"},
		{"/folder-link/README", 200, "read me", "application/octet-stream"},
		{"/folder-link", 301, "", ""},

		{"/a.css/", 404, "", ""},
		{"/bare/", 404, "", ""}, // no index, and no listing
		{"/bare", 404, "", ""},
		{"/odd/", 404, "", ""},
		{"/nothing", 404, "", ""},
		{"/nothing/", 404, "", ""},
		{"/sub/README/x", 404, "", ""},
		{"", 404, "", ""},
		{"*", 404, "", ""},
		{"a.css", 404, "", ""},
		{"/" + strings.Repeat("x", 300), 404, "", ""},
		{"/" + strings.Repeat("x/", 3000), 404, "", ""},
		{"/a.css\x00.txt", 404, "", ""},
		{"/../a.css", 404, "", ""},
		{"/sub/..", 404, "", ""},
		{"/.git/config", 404, "", ""},
		{"/.htpasswd", 404, "", ""},
		{"/sub/.env", 404, "", ""},
		{"/.wellknown", 404, "", ""},
		{"/.well-known/.secret", 404, "", ""},
		{"//.well-known/acme-challenge/t", 404, "", ""},
		{"/sub/.well-known/x", 404, "", ""},
		{"/loop", 404, "", ""},
		{"/dangling", 404, "", ""},
		{"/fifo", 404, "", ""},
		{"/socket", 404, "", ""},
		{"/out.txt", 403, "", ""},
		{"/out/secret.txt", 403, "", ""},
		{"/out/", 403, "", ""},
		{"/out", 403, "", ""},
		{"/device.txt", 403, "", ""},
		{"/proc.txt", 403, "", ""},
	}
	for _, way := range []struct {
		name string
		s    *Site
	}{{"openat2", site(t, folder, nil)}, {"portable", portable(t, site(t, folder, nil))}} {
		for _, test := range tests {
			if way.name == "portable" && (test.path == "/absolute.txt" || test.path == "/around.txt") {
				test.status, test.body, test.kind = 403, "", ""
			}
			got := ask(way.s, "GET", test.path)
			if got.status != test.status || got.body != test.body || got.header["Content-Type"] != test.kind || got.broken != nil {
				t.Errorf("%s: %.50q: %d %q %q (%v), want %d %q %q", way.name, test.path, got.status, got.body, got.header["Content-Type"], got.err, test.status, test.body, test.kind)
			}
			if (got.status >= 400) != (got.err != nil) {
				t.Errorf("%s: %.50q: %d with the reason %v", way.name, test.path, got.status, got.err)
			}
		}
	}

	allowing := site(t, folder, &Options{Outside: []string{outside + "/", "/dev"}})
	for _, test := range tests {
		switch {
		case test.path == "/out":
			test.status = 301
		case strings.HasPrefix(test.path, "/out"):
			test.status, test.body = 200, "secret"
		case test.path == "/device.txt":
			test.status = 404
		}
		if got := ask(allowing, "GET", test.path); got.status != test.status || got.body != test.body {
			t.Errorf("static-safe: %.50q: %d %q (%v), want %d %q", test.path, got.status, got.body, got.err, test.status, test.body)
		}
	}
	if got := ask(site(t, folder, &Options{Outside: []string{outside[:len(outside)-1]}}), "GET", "/out.txt"); got.status != 403 {
		t.Errorf("static-safe with the beginning of a folder's name: %d", got.status)
	}
}

func TestHead(t *testing.T) {
	s := site(t, tree(t, map[string]string{"a.txt": "0123456789", "404.html": "lost"}), nil)
	get, head := ask(s, "GET", "/a.txt"), ask(s, "HEAD", "/a.txt", "Range: bytes=0-1")
	want := map[string]string{
		"Content-Type": "text/plain; charset=utf-8", "X-Content-Type-Options": "nosniff", "Accept-Ranges": "bytes",
		"Vary": "Accept-Encoding", "Last-Modified": oneDayText, "ETag": get.header["ETag"],
	}
	for _, got := range []result{get, head} {
		if got.status != 200 || got.length != 10 || !maps.Equal(got.header, want) {
			t.Errorf("%d, length %d, %v", got.status, got.length, got.header)
		}
	}
	if get.body != "0123456789" || head.body != "" {
		t.Errorf("GET %q, HEAD %q", get.body, head.body)
	}
	if lost := ask(s, "HEAD", "/b"); lost.status != 404 || lost.length != 4 || lost.body != "" {
		t.Errorf("%+v", lost)
	}
}

func TestOtherMethods(t *testing.T) {
	s := site(t, tree(t, map[string]string{"a.txt": "a"}), nil)
	for _, method := range []string{"POST", "PUT", "DELETE", "OPTIONS", "TRACE", "get", ""} {
		got := ask(s, method, "/a.txt")
		if got.status != 405 || got.header["Allow"] != "GET, HEAD" || got.body != "" {
			t.Errorf("%q: %+v", method, got)
		}
	}
}

func TestRedirectToTheFolder(t *testing.T) {
	s := site(t, tree(t, map[string]string{
		"docs/index.html": "", "evil.example/index.html": "", "a b/ü%/index.html": "", `\evil/index.html`: "", "x:y/index.html": "",
	}), nil)
	for _, test := range []struct{ path, shown, target, location string }{
		{path: "/docs", location: "/docs/"},
		{path: "/docs", target: "/docs?a=1&b", location: "/docs/?a=1&b"},
		{path: "/docs", target: "/docs?", location: "/docs/"},
		{path: "/docs", target: "/docs?a\r\nb", location: "/docs/"},
		{path: "//evil.example", location: "/evil.example/"},
		{path: "///evil.example", location: "/evil.example/"},
		{path: "/a b/ü%", location: "/a%20b/%C3%BC%25/"},
		{path: `/\evil`, location: "/%5Cevil/"},
		{path: "/x:y", location: "/x:y/"},
		{path: "/docs", shown: "/help/docs", location: "/help/docs/"},
		{path: "/docs", shown: "//help/docs", location: "/help/docs/"},
	} {
		r := &Request{Method: []byte("GET"), Path: []byte(test.path), Target: []byte(test.target)}
		if test.shown != "" {
			r.Shown = []byte(test.shown)
		}
		if got := askFor(s, r); got.status != 301 || got.header["Location"] != test.location || got.length != 0 {
			t.Errorf("%q: %d %q, want %q", test.path, got.status, got.header["Location"], test.location)
		}
	}
}

func TestIndex(t *testing.T) {
	folder := tree(t, map[string]string{"one/main.htm": "1", "two/start.html": "2", "three/index.html": "3", "four/start.html/": "", "four/main.htm": "4"})
	s := site(t, folder, &Options{Index: []string{"start.html", "main.htm"}})
	for path, want := range map[string]string{"/one/": "1", "/two/": "2", "/three/": "", "/four/": "4"} {
		if got := ask(s, "GET", path); got.body != want {
			t.Errorf("%s: %q, want %q", path, got.body, want)
		}
	}
}

func TestTry(t *testing.T) {
	folder := tree(t, map[string]string{
		"index.html": "app", "about.html": "about", "docs/index.html": "docs", "docs.html": "docs page", "img/x.png": "png",
		"pages/home.html": "home page", "fallback/index.html": "folder",
	})
	for _, test := range []struct {
		try   string
		paths map[string]string // to body; a status for what is not 200
	}{
		{"$uri $uri/", map[string]string{"/": "app", "/about": "404", "/docs": "301", "/docs/": "docs", "/img/": "404", "/img/x.png": "png"}},
		{"$uri $uri.html $uri/ =404", map[string]string{"/": "app", "/about": "about", "/about/": "404", "/docs": "docs page", "/docs/": "docs", "/x": "404"}},
		{"$uri $uri/ $uri.html", map[string]string{"/docs": "301", "/about": "about"}},
		{"$uri $uri/ /index.html", map[string]string{"/": "app", "/some/route": "app", "/some/route/": "app", "/docs/": "docs", "/img": "app", "/img/": "app", "/img/x.png": "png", "/.git/x": "404"}},
		{"$uri /fallback/", map[string]string{"/x": "folder", "/about.html": "about", "/": "folder"}},
		{"/pages$uri.html $uri", map[string]string{"/home": "home page", "/": "404", "/about.html": "about"}},
		{"$uri/index.html", map[string]string{"/docs": "docs", "/docs/": "docs", "/": "app"}},
	} {
		list, err := ParseTry(test.try)
		try(t, err)
		s := site(t, folder, &Options{Try: list})
		for path, want := range test.paths {
			got := ask(s, "GET", path)
			if text := map[int]string{200: got.body, 301: "301", 404: "404"}[got.status]; text != want {
				t.Errorf("%s: %s: %d %q, want %s", test.try, path, got.status, got.body, want)
			}
		}
	}
	for text, want := range map[string]string{
		"":                      "no name to try",
		"=404":                  `"=404" is not known`,
		"=404 $uri":             `"=404" is not known`,
		"$uri =500":             `"=500" is not known`,
		"$uri @app":             `"@app" is not known`,
		"$uri /index.php?$args": `"/index.php?$args" is not known`,
		"$uri index.html":       `"index.html": want it to begin`,
		"$uri /../x":            `"/../x": names that begin with a dot`,
		"$uri$uri":              `"$uri$uri" is not known`,
	} {
		if _, err := ParseTry(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %s", text, err, want)
		}
	}
}

func TestPageForWhatIsNotThere(t *testing.T) {
	folder := tree(t, map[string]string{"404.html": "own page", "lost/page.txt": "lost", "a.txt": "a", "out.txt": "-> /etc/passwd"})
	for _, test := range []struct {
		page, path, body, kind string
		status                 int
	}{
		{"", "/x", "own page", "text/html; charset=utf-8", 404},
		{"", "/.git/config", "own page", "text/html; charset=utf-8", 404},
		{"", "/a.txt", "a", "text/plain; charset=utf-8", 200},
		{"", "/out.txt", "", "", 403},
		{"/lost/page.txt", "/x", "lost", "text/plain; charset=utf-8", 404},
		{"nowhere.html", "/x", "", "", 404},
	} {
		got := ask(site(t, folder, &Options{NotFound: test.page}), "GET", test.path, "Range: bytes=1-2", "If-None-Match: *")
		if test.status == 200 {
			test.status, test.body, test.kind = 304, "", ""
		}
		if got.status != test.status || got.body != test.body || got.header["Content-Type"] != test.kind {
			t.Errorf("%q: %s: %+v", test.page, test.path, got)
		}
		if got.status == 404 && (got.header["ETag"] != "" || got.header["Last-Modified"] != "") {
			t.Errorf("a page for what is not there is not to be kept: %v", got.header)
		}
	}
}

func TestPeek(t *testing.T) {
	folder := tree(t, map[string]string{"a.txt": "a", "b.php": "b", "sub/index.html": "sub", "404.html": "lost", "out": "-> /etc/passwd"})
	s := site(t, folder, &Options{SkipExtensions: []string{".php"}})
	for _, test := range []struct {
		method, path string
		status       int
	}{
		{"GET", "/a.txt", 200}, {"HEAD", "/a.txt", 200}, {"GET", "/sub/", 200}, {"GET", "/sub", 301},
		{"POST", "/a.txt", 0}, {"GET", "/x", 0}, {"GET", "/.git", 0}, {"GET", "/b.php", 0}, {"GET", "/out", 0}, {"GET", "/", 0},
	} {
		r := &Request{Method: []byte(test.method), Path: []byte(test.path), Peek: true}
		if got := askFor(s, r); got.status != test.status || got.status == 0 && len(got.header)+len(got.body) > 0 {
			t.Errorf("%s %s: %+v, want %d", test.method, test.path, got, test.status)
		}
	}
	if got := ask(s, "GET", "/b.php"); got.status != 404 {
		t.Errorf("static-skip-ext: %d", got.status)
	}
}

func TestCompressedSiblings(t *testing.T) {
	folder := tree(t, map[string]string{
		"a.css": "plain", "a.css.br": "brotli", "a.css.zst": "zstd!", "a.css.gz": "gz",
		"b.html": "plain", "b.html.gz": "gz",
		"old.css": "plain", "old.css.gz": "gz",
		"c.css": "plain", "c.css.gz/": "",
		"d.png": "plain", "d.png.gz": "gz",
		"e.css": "plain", "e.css.gz": "-> /etc/passwd",
		"index.html": "plain", "index.html.br": "brotli",
	})
	try(t, os.Chtimes(filepath.Join(folder, "old.css"), oneDay.Add(3*time.Second), oneDay.Add(3*time.Second)))
	s := site(t, folder, nil)
	etags := map[string]string{}
	for _, test := range []struct{ path, accept, body, encoding string }{
		{"/a.css", "gzip, deflate, br, zstd", "brotli", "br"},
		{"/a.css", "gzip, zstd", "zstd!", "zstd"},
		{"/a.css", "gzip", "gz", "gzip"},
		{"/a.css", "br;q=0.1, gzip", "gz", "gzip"},
		{"/a.css", "gzip;q=0", "plain", ""},
		{"/a.css", "", "plain", ""},
		{"/b.html", "gzip, br, zstd", "gz", "gzip"},
		{"/b.html", "br, zstd", "plain", ""},
		{"/", "br", "brotli", "br"},
		{"/old.css", "gzip", "plain", ""}, // edited after it was compressed
		{"/c.css", "gzip", "plain", ""},
		{"/d.png", "gzip", "plain", ""},
		{"/e.css", "gzip", "plain", ""},
	} {
		got := ask(s, "GET", test.path, "Accept-Encoding: "+test.accept)
		if got.status != 200 || got.body != test.body || got.header["Content-Encoding"] != test.encoding || got.length != int64(len(test.body)) {
			t.Errorf("%s for %q: %+v", test.path, test.accept, got)
		}
		if kind := s.mediaType([]byte(test.path)); test.path != "/" && got.header["Content-Type"] != string(kind) {
			t.Errorf("%s for %q: %s", test.path, test.accept, got.header["Content-Type"])
		}
		if varies := got.header["Vary"] == "Accept-Encoding"; varies != (test.path != "/d.png") {
			t.Errorf("%s: Vary: %q", test.path, got.header["Vary"])
		}
		etags[got.header["ETag"]] = got.body
		if again := ask(s, "GET", test.path, "Accept-Encoding: "+test.accept, "If-None-Match: "+got.header["ETag"]); again.status != 304 || again.header["Vary"] != got.header["Vary"] {
			t.Errorf("%s for %q, again: %+v", test.path, test.accept, again)
		}
		if part := ask(s, "GET", test.path, "Accept-Encoding: "+test.accept, "Range: bytes=1-"); part.status != 206 || part.body != test.body[1:] || part.header["Content-Encoding"] != test.encoding {
			t.Errorf("%s for %q, a part: %+v", test.path, test.accept, part)
		}
	}
	if len(etags) != 4+1+1+1+1+1+1+1 {
		t.Errorf("entity tags: %v", etags)
	}
	plain := site(t, folder, &Options{Plain: true})
	if got := ask(plain, "GET", "/a.css", "Accept-Encoding: br"); got.body != "plain" || got.header["Vary"] != "" {
		t.Errorf("%+v", got)
	}
}

func TestMediaTypes(t *testing.T) {
	if len(mediaTypes) < 200 {
		t.Errorf("%d types", len(mediaTypes))
	}
	for _, list := range []string{text, binary} {
		for line := range strings.Lines(list) {
			for _, extension := range strings.Fields(line)[min(1, len(strings.Fields(line))):] {
				if got := string(mediaTypes[extension]); !strings.HasPrefix(got, strings.Fields(line)[0]) {
					t.Errorf("%s is twice in the table: %s", extension, got)
				}
			}
		}
	}
	types, err := ParseTypes([]byte("# mine\ntext/x-own  own .Mine # and\n\ntext/html;charset=iso-8859-1 html\n"))
	try(t, err)
	s := site(t, tree(t, nil), &Options{Types: types})
	for name, want := range map[string]string{
		"a.own": "text/x-own", "a.MINE": "text/x-own", "a.html": "text/html;charset=iso-8859-1", "a.css": "text/css; charset=utf-8",
		"a.tar.gz": "application/gzip", "a": "application/octet-stream", "a.": "application/octet-stream",
		"dir.css/a": "application/octet-stream", "a.averyveryverylongextension": "application/octet-stream",
	} {
		if got := string(s.mediaType([]byte(name))); got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
	for _, wrong := range []string{"html text/html", "text/html\x00 html"} {
		if _, err := ParseTypes([]byte(wrong)); err == nil {
			t.Errorf("%q is taken", wrong)
		}
	}
}
