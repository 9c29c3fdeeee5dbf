package router

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// tree makes files below a new folder: names to texts, "> TARGET" for a link.
func tree(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		path := filepath.Join(dir, name)
		err := os.MkdirAll(filepath.Dir(path), 0o755)
		if target, link := strings.CutPrefix(text, "> "); link {
			err = errors.Join(err, os.Symlink(target, path))
		} else {
			err = errors.Join(err, os.WriteFile(path, []byte(text), 0o644))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// get asks for a path and returns status and body.
func (f *front) get(host, path string) (int, string) {
	f.t.Helper()
	v := f.visit()
	defer v.Close()
	v.send("GET " + path + " HTTP/1.1\r\nHost: " + host + "\r\n\r\n")
	r, _ := v.receive("GET")
	return r.StatusCode, r.text
}

// TestFilesOfRules: rules serve files, leave what is not there to the next rule, and
// look for files. A folder that was replaced is meant as it is now.
func TestFilesOfRules(t *testing.T) {
	dir := tree(t, map[string]string{
		"1/page.html": "one", "1/sub/index.html": "sub", "1/closed": "",
		"2/page.html": "two", "2/other.html": "other", "secret": "secret", "1/out": "> ../secret",
		"current": "> 1", "busy.html": "busy",
	})
	rules := []string{
		`route-host = ^next$ static-next:DIR/current${PATH_INFO}`,
		`route-host = ^static$ static:DIR/current${PATH_INFO}`,
		`route-if = isfile:DIR/current/closed file:filename=DIR/busy.html,status=503 Busy`,
		`route-if = islink:DIR/current return:200 link`,
		`route-run = return:204`,
	}
	for i := range rules {
		rules[i] = strings.ReplaceAll(rules[i], "DIR", dir)
	}
	f := newFront(t, rules...)
	want := func(host, path string, status int, text string) {
		t.Helper()
		if got, body := f.get(host, path); got != status || !strings.Contains(body, text) || body == "secret" {
			t.Errorf("%s%s: %d %q, want %d %q", host, path, got, body, status, text)
		}
	}
	want("static", "/page.html", 200, "one")
	want("static", "/sub/", 200, "sub")
	want("static", "/sub", 301, "")
	want("static", "/other.html", 404, "")
	want("static", "/out", 403, "")
	want("next", "/page.html", 200, "one")
	want("next", "/sub/", 200, "sub")
	want("next", "/other.html", 503, "busy")
	want("next", "/out", 503, "busy")
	want("any", "/", 503, "busy")

	if err := errors.Join(os.Symlink("2", filepath.Join(dir, "turned")), os.Rename(filepath.Join(dir, "turned"), filepath.Join(dir, "current"))); err != nil {
		t.Fatal(err)
	}
	want("static", "/page.html", 200, "two")
	want("next", "/other.html", 200, "other")
	want("next", "/sub/", 200, "link")
	want("any", "/", 200, "link")
}
