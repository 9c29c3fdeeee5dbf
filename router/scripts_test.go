package router

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"emperor/internal/link"
)

// phpVassal answers as PHP-FPM does: with what it was asked to run, or, where that
// does not exist, with a 404 and a line of error output.
func phpVassal(t *testing.T) *vassal {
	t.Helper()
	return fastcgiVassal(t, func(c *call) {
		if info, err := os.Stat(c.vars["SCRIPT_FILENAME"]); err != nil || !info.Mode().IsRegular() {
			c.say(record(fcgiStderr, "Primary script unknown") + record(fcgiStdout, "Status: 404 Not Found\r\nContent-type: text/html\r\n\r\nFile not found.\n") + ended(0))
			return
		}
		text := fmt.Sprintf("%s|%s|%s|%s", c.vars["SCRIPT_NAME"], c.vars["PATH_INFO"], c.vars["QUERY_STRING"], c.body)
		c.say(record(fcgiStdout, "X: 1\r\n\r\n"+text) + ended(0))
	})
}

// siteOfScripts makes a folder as a site of PHP has it.
func siteOfScripts(t *testing.T, files ...string) (dir string) {
	t.Helper()
	dir = t.TempDir()
	for _, name := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		write(t, path, "the text of "+name)
	}
	return dir
}

// TestSiteOfScripts: what a path means: with the folder open, so that the files in
// it can be looked at and sent, and by a rule, where only the program knows them.
func TestSiteOfScripts(t *testing.T) {
	dir := siteOfScripts(t, "index.php", "shop/index.php", "shop/cart.php", "docs/index.html", "logo.png", "upload/x.jpg", ".secret", "a b.css", "outside")
	if err := os.Symlink("/etc/passwd", filepath.Join(dir, "link.txt")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("shop/cart.php", filepath.Join(dir, "alias.php")); err != nil {
		t.Fatal(err)
	}
	v := phpVassal(t)
	byVassal := newFront(t, "route-run = vassal:php")
	if err := byVassal.serving(link.Vassal{Name: "php", State: link.Ready, Generation: 1,
		Addresses: []link.Address{{Address: v.address, Protocol: "fastcgi", Root: dir}},
		Files:     &link.StaticFiles{Path: dir, Options: []link.Option{{Key: "static-skip-ext", Value: ".php"}}}}); err != nil {
		t.Fatal(err)
	}
	byRule := newFront(t, "route-run = setdocroot:"+dir, "route-run = fastcgi:"+v.address)
	const file = "the text of "
	for _, test := range []struct {
		request string // the first line, without the version
		vassal  string // what the client gets; "301 LOCATION", "404"
		rule    string // where it is different
	}{
		{request: "GET /", vassal: "/index.php|||"},
		{request: "GET /?a=b", vassal: "/index.php||a=b|"},
		{request: "GET /index.php/x/y", vassal: "/index.php|/x/y||"},
		{request: "GET /shop/cart.php?a", vassal: "/shop/cart.php||a|"},
		{request: "GET /shop/cart.php/7", vassal: "/shop/cart.php|/7||"},
		{request: "GET /alias.php", vassal: "/alias.php|||"},
		{request: "GET /shop/", vassal: "/shop/index.php|||"},
		{request: "GET /shop?a=b", vassal: "301 /shop/?a=b", rule: "/index.php||a=b|"},
		{request: "GET //shop", vassal: "301 /.//shop/", rule: "/index.php|||"},
		{request: "POST /shop", vassal: "/index.php|||"},
		{request: "GET /blog/2026/hello", vassal: "/index.php|||"},
		{request: "GET /blog/2026/hello/", vassal: "/index.php|||"},
		{request: "GET /nothing.php?q", vassal: "/index.php||q|"},
		{request: "GET /logo.png", vassal: file + "logo.png", rule: "/index.php|||"},
		{request: "HEAD /logo.png", vassal: ""},
		{request: "POST /logo.png", vassal: "/index.php|||"},
		{request: "GET /a%20b.css", vassal: file + "a b.css", rule: "/index.php|||"},
		{request: "GET /docs/", vassal: file + "docs/index.html", rule: "/index.php|||"},
		{request: "GET /docs", vassal: "301 /docs/", rule: "/index.php|||"},
		{request: "GET /none.png", vassal: "/index.php|||"},
		{request: "GET /upload/x.jpg/y.php", vassal: "/index.php|||"},
		{request: "GET /upload/x.jpg%00.php", vassal: "400"},
		{request: "GET /.secret", vassal: "/index.php|||"},
		{request: "GET /link.txt", vassal: "/index.php|||"},
		{request: "GET /../../etc/passwd", vassal: "/index.php|||"},
	} {
		for name, f := range map[string]*front{"vassal": byVassal, "rule": byRule} {
			want := test.vassal
			if name == "rule" && test.rule != "" {
				want = test.rule
			}
			r := f.ask(test.request + " HTTP/1.1\r\nHost: a\r\n\r\n")
			got := r.text
			if location := r.Header.Get("Location"); r.StatusCode == 301 {
				got = "301 " + location
			} else if r.StatusCode != 200 {
				got = fmt.Sprint(r.StatusCode)
			}
			if strings.HasPrefix(test.request, "HEAD") {
				want = ""
			}
			if got != want {
				t.Errorf("%s by %s: %q, want %q", test.request, name, got, want)
			}
			if strings.Contains(f.log.String(), "Primary script unknown") {
				t.Errorf("%s by %s: the log tells of a script that was only looked for", test.request, name)
			}
		}
	}

	// A body goes to the front controller, too, also where its script was looked for first.
	for name, f := range map[string]*front{"vassal": byVassal, "rule": byRule} {
		for _, body := range []string{"Content-Length: 5\r\n\r\nhello", "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"} {
			if r := f.ask("POST /form/ HTTP/1.1\r\nHost: a\r\n" + body); r.text != "/index.php|||hello" {
				t.Errorf("by %s: %d %q", name, r.StatusCode, r.text)
			}
		}
	}

	// What is put there counts from now on.
	write(t, filepath.Join(dir, "new.php"), "")
	write(t, filepath.Join(dir, "new.txt"), "new")
	if r := byVassal.ask("GET /new.php HTTP/1.1\r\nHost: a\r\n\r\n"); r.text != "/new.php|||" {
		t.Errorf("a new script: %q", r.text)
	}
	if r := byVassal.ask("GET /new.txt HTTP/1.1\r\nHost: a\r\n\r\n"); r.text != "new" {
		t.Errorf("a new file: %q", r.text)
	}
	byVassal.wantIdle(t)
}

// TestSiteWithoutFrontController: what is not there is a 404, which is the front's
// own where it can look, and the program's where it can't.
func TestSiteWithoutFrontController(t *testing.T) {
	dir := siteOfScripts(t, "shop/cart.php", "logo.png")
	v := phpVassal(t)
	byRule := newFront(t, "route-run = setdocroot:"+dir, "route-run = fastcgi:"+v.address)
	f := newFront(t, "route-run = vassal:php")
	if err := f.serving(link.Vassal{Name: "php", State: link.Ready, Generation: 1,
		Addresses: []link.Address{{Address: v.address, Protocol: "fastcgi", Root: dir}}, Files: &link.StaticFiles{Path: dir}}); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string][2]int{"/": {404, 404}, "/none.php": {404, 404}, "/none": {404, 404}, "/shop/cart.php": {200, 200}, "/logo.png": {200, 404}} {
		for i, by := range []*front{f, byRule} {
			if r := by.ask("GET " + path + " HTTP/1.1\r\nHost: a\r\n\r\n"); r.StatusCode != want[i] {
				t.Errorf("%s: %d, want %d", path, r.StatusCode, want[i])
			}
		}
	}
	if r := f.ask("POST /none HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx"); r.StatusCode != 404 && r.StatusCode != 405 {
		t.Errorf("POST: %d", r.StatusCode)
	}
}
