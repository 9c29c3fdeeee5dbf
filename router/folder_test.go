package router

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"emperor/internal/link"
	"emperor/router/static"
)

// folderOf makes a folder of files, and gives it a row of a static vassal.
func folderOf(t *testing.T, name string, generation uint64, files map[string]string, options ...link.Option) link.Vassal {
	t.Helper()
	dir := t.TempDir()
	for file, text := range files {
		if err := os.WriteFile(filepath.Join(dir, file), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return link.Vassal{Name: name, State: link.Ready, Generation: generation,
		Addresses: []link.Address{{Address: "/run/" + name + ".sock", Protocol: link.Static}},
		Files:     &link.StaticFiles{Path: dir, Options: options}}
}

// serving sends rows with the folders of those that are ready, as the emperor does.
func (f *front) serving(rows ...link.Vassal) error {
	f.t.Helper()
	table := &link.Table{Vassals: rows}
	for i := range rows {
		if rows[i].Files != nil && rows[i].State == link.Ready {
			rows[i].Opened = openDirectory(f.t, rows[i].Files.Path)
			defer rows[i].Opened.Close()
		}
	}
	descriptors, release := table.Borrow()
	defer release()
	return f.Table(table, duplicates(f.t, descriptors)...)
}

func openDirectory(t testing.TB, path string) *link.OpenFolder {
	t.Helper()
	var fds [2]int
	for i, path := range []string{path, filepath.Dir(path)} {
		fd, err := unix.Open(path, unix.O_PATH|unix.O_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		fds[i] = fd
	}
	return link.NewOpenFolder(fds[0], fds[1])
}

// duplicates are what arrives at the other end of a link.
func duplicates(t testing.TB, descriptors []int) []int {
	t.Helper()
	var out []int
	for _, fd := range descriptors {
		copied, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, copied)
	}
	return out
}

const folderRules = `route-host = ^([a-z]+)\.name$ vassal:$1`

// TestFolder: a static vassal is reached by its name and by an address at which
// nobody listens, and its generations change as those of others do.
func TestFolder(t *testing.T) {
	f := newFront(t, folderRules, `route-host = ^([a-z]+)\.socket$ uwsgi:/run/$1.sock,0,0`)
	nameless := folderOf(t, "b", 1, map[string]string{"index.html": "of b"})
	nameless.Addresses = nil
	if err := f.serving(folderOf(t, "a", 1, map[string]string{"index.html": "first", "big": strings.Repeat("x", 8<<20)}), nameless); err != nil {
		t.Fatal(err)
	}
	ask := func(host, path string, status int, text string) {
		t.Helper()
		v := f.visit()
		defer v.Close()
		v.send("GET " + path + " HTTP/1.1\r\nHost: " + host + "\r\n\r\n")
		v.want("GET", status, text)
	}
	ask("a.name", "/", 200, "first")
	ask("a.socket", "/", 200, "first")
	ask("b.name", "/", 200, "of b")
	eventually(t, "two requests to be counted", func() bool { return f.table.site("a").served.Load() == 2 })

	// One download is under way when another generation comes.
	slow := f.visit()
	slow.send("GET /big HTTP/1.1\r\nHost: a.name\r\n\r\n")
	if _, err := slow.read(100); err != nil {
		t.Fatal(err)
	}
	old := f.table.site("a").current.Load()
	if err := f.serving(folderOf(t, "a", 2, map[string]string{"index.html": "second"})); err != nil {
		t.Fatal(err)
	}
	ask("a.socket", "/", 200, "second")
	ask("a.socket", "/big", 404, "*")
	if closed(old) {
		t.Error("a generation was closed under a request")
	}
	if n, _ := slow.read(8 << 20); len(n) != 8<<20 {
		t.Errorf("the download has %d bytes", len(n))
	}
	eventually(t, "the old generation to be closed", func() bool { return closed(old) })

	// A stopped one is no folder to anybody, and a removed one is gone.
	old = f.table.site("a").current.Load()
	stopped := folderOf(t, "a", 2, nil)
	stopped.State = link.Stopped
	if err := f.serving(stopped); err != nil {
		t.Fatal(err)
	}
	ask("a.name", "/", 503, "*")
	if !closed(old) {
		t.Error("an idle generation stays open")
	}
	if err := f.serving(link.Vassal{Name: "a", Removed: true}); err != nil {
		t.Fatal(err)
	}
	ask("a.name", "/", 404, "*")
	ask("a.socket", "/", 404, "*")
}

// closed tells whether a generation has let go of its folder.
func closed(g *generation) bool {
	var a static.Answer
	g.folder.site.Open(&static.Request{Method: []byte("GET"), Path: []byte("/index.html")}, &a)
	defer a.Close()
	return a.Status == 404
}

// TestFolderIsOnlyAName: who listens at an address has it, whichever came first.
func TestFolderIsOnlyAName(t *testing.T) {
	for _, folderFirst := range []bool{true, false} {
		f := newFront(t, `route-run = uwsgi:/run/a.sock,0,0`)
		v := uwsgiVassal(t, answering(okResponse))
		app := row("app", 1, link.Ready, v)
		app.Addresses = append(app.Addresses, link.Address{Address: "/run/a.sock", Protocol: "uwsgi"})
		folder := folderOf(t, "a", 1, map[string]string{"index.html": "the folder"})
		rows := []link.Vassal{app, folder}
		if folderFirst {
			rows = []link.Vassal{folder, app}
		}
		if err := f.serving(rows...); err != nil {
			t.Fatal(err)
		}
		if s := f.table.at([]byte("/run/a.sock")); s == nil || s.name != "app" {
			t.Errorf("the folder first, %t: the address is of %+v", folderFirst, s)
		}
	}
}

// TestTry: what could not be served is told before it is to be served.
func TestTry(t *testing.T) {
	f := newFront(t, folderRules)
	try := func(v link.Vassal) error {
		v.Opened = openDirectory(t, v.Files.Path)
		defer v.Opened.Close()
		table := &link.Table{Vassals: []link.Vassal{v}}
		descriptors, release := table.Borrow()
		defer release()
		return f.Try(table, duplicates(t, descriptors)...)
	}
	if err := try(folderOf(t, "a", 1, nil)); err != nil {
		t.Error(err)
	}
	err := try(folderOf(t, "a", 1, nil, link.Option{Key: "static-expires", Value: "x", File: "a.ini", Line: 3}))
	if err == nil || !strings.Contains(err.Error(), "a.ini:3: static-expires: want a regular expression") {
		t.Errorf("got %v", err)
	}
	file := folderOf(t, "a", 1, map[string]string{"file": ""})
	file.Files.Path = filepath.Join(file.Files.Path, "file")
	if err := try(file); err == nil || !strings.Contains(err.Error(), "not a directory") {
		t.Errorf("got %v", err)
	}
	if f.table.site("a") != nil {
		t.Error("what was tried is in the table")
	}
}

// TestFolderElsewhere: a router that may not read files and is leaving sends who is
// still connected to its successor, to the same place and nowhere else.
func TestFolderElsewhere(t *testing.T) {
	f := newFront(t, folderRules)
	broken := folderOf(t, "a", 1, map[string]string{"file": ""})
	broken.Files.Path = filepath.Join(broken.Files.Path, "file") // which no router can serve
	if err := f.serving(broken); err == nil || !strings.Contains(err.Error(), "vassal a: ") {
		t.Errorf("got %v", err)
	}
	v := f.visit()
	v.send("GET / HTTP/1.1\r\nHost: a.name\r\n\r\n")
	v.want("GET", 502, "*")

	f.Succeeded()
	if err := f.serving(broken); err != nil {
		t.Error(err)
	}
	for target, location := range map[string]string{
		"/a%20b?c=d":             "/a%20b?c=d",
		"//evil.example/":        "/.//evil.example/",
		`/\evil.example/`:        `/./\evil.example/`,
		"http://a.name/absolute": "/absolute",
	} {
		v := f.visit()
		v.send(fmt.Sprintf("GET %s HTTP/1.1\r\nHost: a.name\r\n\r\n", target))
		r, _ := v.receive("GET")
		if r.StatusCode != 307 || r.Header.Get("Location") != location || !r.Close {
			t.Errorf("%s: %d, Location %q, close %t", target, r.StatusCode, r.Header.Get("Location"), r.Close)
		}
	}
}

// TestRulesChangeThePath: a redirect to a folder names what the client knows.
func TestRulesChangeThePath(t *testing.T) {
	f := newFront(t, `route-uri = ^/site(/.*) rewrite:$1`, `route-run = vassal:a`)
	folder := folderOf(t, "a", 1, nil)
	if err := os.Mkdir(filepath.Join(folder.Files.Path, "docs"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(folder.Files.Path, "docs", "index.html"), bytes.Repeat([]byte("x"), 3), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := f.serving(folder); err != nil {
		t.Fatal(err)
	}
	v := f.visit()
	v.send("GET /site/docs?a=b HTTP/1.1\r\nHost: a\r\n\r\n")
	if r, _ := v.receive("GET"); r.StatusCode != 301 || r.Header.Get("Location") != "/site/docs/?a=b" {
		t.Errorf("%d, Location %q", r.StatusCode, r.Header.Get("Location"))
	}
	v.send("GET /site/docs/ HTTP/1.1\r\nHost: a\r\n\r\n")
	v.want("GET", 200, "xxx")
}

// TestFileThatIsCut: what can't be sent to its end is seen to break off.
func TestFileThatIsCut(t *testing.T) {
	f := newFront(t, folderRules)
	folder := folderOf(t, "a", 1, map[string]string{"big": strings.Repeat("x", 32<<20)})
	if err := f.serving(folder); err != nil {
		t.Fatal(err)
	}
	v := f.visit()
	v.send("GET /big HTTP/1.1\r\nHost: a.name\r\n\r\n")
	if _, err := v.read(100); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(filepath.Join(folder.Files.Path, "big"), 1000); err != nil {
		t.Fatal(err)
	}
	if text, err := v.read(32 << 20); err == nil {
		t.Errorf("the whole file came: %d bytes", len(text))
	}
	eventually(t, "the log to say so", func() bool { return strings.Contains(f.log.String(), "response broke off") })
}
