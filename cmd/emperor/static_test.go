package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// folderMachine has rules that send NAME.test to the socket of the vassal NAME, as
// they are written for all sites, and a router that may read no file of the test's
// but those that it is to serve.
func folderMachine(t *testing.T) *machine {
	t.Helper()
	m := sitesMachine(t)
	m.ownTemporary()
	m.rules("route-host = ^([-\\w]+)\\.test$ uwsgi:DIR/$1.sock,0,0\n")
	return m
}

// ownTemporary gives the emperor another folder for temporary files: a confined router
// may use those, and the test's folder would be among them.
func (m *machine) ownTemporary() {
	m.t.Helper()
	m.write("temporary/none", "")
	if err := os.Chmod(m.path("temporary"), 0o777); err != nil {
		m.t.Fatal(err)
	}
	m.env = append(m.env, "TMPDIR="+m.path("temporary"))
}

// curl asks the front with the real curl and returns what it printed: the heads,
// and the bodies.
func (m *machine) curl(host, path string, words ...string) string {
	m.t.Helper()
	args := append([]string{"-sS", "-i", "--max-time", "30", "--path-as-is", "--resolve", host + ":" + m.port + ":127.0.0.1"}, words...)
	out, err := exec.Command("curl", append(args, "http://"+host+":"+m.port+path)...).CombinedOutput()
	if err != nil {
		m.t.Fatalf("curl %s %q: %v\n%s", path, words, err, out)
	}
	return string(out)
}

// routers are the processes of routers.
func (m *machine) routers() (pids []int) {
	for pid, words := range m.processes() {
		if strings.Contains(words, "router --link") {
			pids = append(pids, pid)
		}
	}
	return pids
}

// header is a field of what curl printed.
func header(answer, name string) string {
	for line := range strings.Lines(answer) {
		if field, value, ok := strings.Cut(line, ":"); ok && strings.EqualFold(field, name) {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

// TestFolderVassal: a folder is a site, found by the same rules as all others.
func TestFolderVassal(t *testing.T) {
	t.Parallel()
	m := folderMachine(t)
	m.write("shop/public/index.html", "<h1>shop</h1>\n")
	m.write("shop/public/404.html", "<h1>lost</h1>\n")
	m.write("shop/public/site.css", strings.Repeat("a { color: red }\n", 200))
	m.write("shop/public/site.css.gz", "packed")
	m.write("shop/public/docs/index.html", "docs\n")
	m.write("shop/public/.htpasswd", "secret\n")
	m.write("shop/secret.txt", "secret\n")
	if err := errors.Join(
		os.Symlink("../secret.txt", m.path("shop/public/out.txt")),
		os.Symlink("site.css", m.path("shop/public/in.css")),
	); err != nil {
		t.Fatal(err)
	}
	m.vassal("shop", "static = DIR/%n/public\n")
	m.start()
	m.waitReady()

	etag := header(m.curl("shop.test", "/site.css"), "ETag")
	for _, test := range []struct {
		name, path string
		words      []string
		head, body string // a part of it; what begins with "no " must not be in it
	}{
		{"index", "/", nil, "Content-Type: text/html", "<h1>shop</h1>"},
		{"range", "/site.css", []string{"-r", "4-8"}, "206 Partial Content", "color"},
		{"range of nothing", "/docs/index.html", []string{"-r", "100-"}, "416 ", ""},
		{"known", "/site.css", []string{"-H", "If-None-Match: " + etag}, "304 Not Modified", "no color"},
		{"head", "/site.css", []string{"-I"}, "Content-Length: 3400", "no color"},
		{"precompressed", "/site.css", []string{"-H", "Accept-Encoding: gzip"}, "Content-Encoding: gzip", "packed"},
		{"folder", "/docs", nil, "301 Moved Permanently\r\nLocation: /docs/", ""},
		{"missing", "/no/such.html", nil, "404 Not Found", "<h1>lost</h1>"},
		{"dot file", "/.htpasswd", nil, "404 Not Found", "no secret"},
		{"above", "/../secret.txt", nil, "404 Not Found", "<h1>lost</h1>"},
		{"above, escaped", "/docs/%2e%2e/%2e%2e/secret.txt", nil, "404 Not Found", "<h1>lost</h1>"},
		{"link out", "/out.txt", nil, "403 Forbidden", "no secret"},
		{"link within", "/in.css", nil, "200 OK", "color"},
		{"post", "/", []string{"-d", "x=y"}, "405 Method Not Allowed", ""},
	} {
		answer := m.curl("shop.test", test.path, test.words...)
		head, body, _ := strings.Cut(answer, "\r\n\r\n")
		unwanted, no := strings.CutPrefix(test.body, "no ")
		if !strings.Contains(head+"\r\n", test.head) || no && strings.Contains(body, unwanted) || !no && !strings.Contains(body, test.body) {
			t.Errorf("%s: got\n%s\nwant %q, %q", test.name, answer, test.head, test.body)
		}
	}
	if out, _ := m.order("why", "shop"); !strings.Contains(out, "static, by static (shop.ini:2)") || !strings.Contains(out, m.path("shop/public")) {
		t.Errorf("why says:\n%s", out)
	}
	if out, _ := m.ask("explain", "uwsgi.ini", "http://shop.test/"); !strings.Contains(out, "goes to    the folder "+m.path("shop/public")+", vassal shop") {
		t.Errorf("explain says:\n%s", out)
	}

	// Edits are generations: a bad one leaves what is there.
	mark := m.mark()
	m.vassal("shop", "static = DIR/%n/publik\n")
	m.waitLog(mark, "shop: ", "the old one goes on", "publik: no such file or directory")
	m.page("shop.test", "/")
	mark = m.mark()
	m.vassal("shop", "static = DIR/%n/public\nstatic-expires = ( 10\n")
	m.waitLog(mark, "shop: ", "vassals.d/shop.ini:3: static-expires: ")
	m.page("shop.test", "/")
	mark = m.mark()
	m.vassal("shop", "static = DIR/%n/public\nstatic-try = $uri /index.html\nstatic-cache-control = \\.css$ max-age=60\nmimefile = types\n")
	m.write("vassals.d/types", "text/styles css\n")
	m.waitLog(mark, "shop: ", "ready")
	if body := m.page("shop.test", "/no/such.html"); body != "<h1>shop</h1>\n" {
		t.Errorf("static-try gives %q", body)
	}
	if answer := m.curl("shop.test", "/site.css"); header(answer, "Cache-Control") != "max-age=60" || header(answer, "Content-Type") != "text/styles" {
		t.Errorf("got\n%.300s", answer)
	}

	// Named by name, and by nothing after its end.
	m.rules(byName)
	m.eventually("the rule by name", func() bool { status, _, err := m.get("shop.test", "/"); return err == nil && status == 200 })
	m.remove("vassals.d/shop.ini")
	m.eventually("the site is gone", func() bool { status, _, err := m.get("shop.test", "/"); return err == nil && status == 404 })
}

// readers ask a page whose text is a number without pause, on kept connections. What
// was there before a request must not be its answer.
type readers struct {
	*load
	deployed atomic.Int64
}

func startReaders(m *machine, host, path string, n int) *readers {
	ctx, cancel := context.WithCancel(context.Background())
	r := &readers{load: &load{address: m.address(), host: host, stop: cancel}}
	for range n {
		r.running.Go(func() {
			var v *visitor
			for ctx.Err() == nil {
				if v == nil {
					var err error
					if v, err = visit(r.address, host); err != nil {
						r.fail("connect: %v", err)
						continue
					}
				}
				before := r.deployed.Load()
				text, err := v.get(path)
				r.requests.Add(1)
				if got, _ := strconv.ParseInt(strings.TrimSpace(text), 10, 64); (err == nil || errors.Is(err, errLast)) && got < before {
					r.fail("got %q, and %d was deployed before the request", text, before)
				}
				if err != nil && !errors.Is(err, errLast) {
					r.fail("%v", err)
				}
				if err != nil {
					v.close()
					v = nil
				}
			}
			if v != nil {
				v.close()
			}
		})
	}
	m.t.Cleanup(func() { cancel(); r.running.Wait() })
	return r
}

// TestFolderDeploys: a folder is moved away and another to its place, a symbolic
// link is turned, a file is replaced: no request fails, and the next sees it.
func TestFolderDeploys(t *testing.T) {
	t.Parallel()
	m := folderMachine(t)
	page := func(folder string, release int) {
		t.Helper()
		m.write(folder+"/index.html", fmt.Sprintf("%d\n", release))
	}
	page("moved/public", 0)
	page("linked/0", 0)
	page("edited/public", 0)
	if err := os.Symlink("0", m.path("linked/current")); err != nil {
		t.Fatal(err)
	}
	m.vassal("moved", "static = DIR/moved/public\n")
	m.vassal("linked", "static = DIR/linked/current\n")
	m.vassal("edited", "static = DIR/edited/public\n")
	m.start()
	m.waitReady()
	deploys := fromEnvironment(t, "EMPEROR_DEPLOYS", 30)
	for name, deploy := range map[string]func(release int) error{
		"moved": func(release int) error {
			page("moved/next", release)
			old := m.path(fmt.Sprintf("moved/old%d", release))
			return errors.Join(os.Rename(m.path("moved/public"), old), os.Rename(m.path("moved/next"), m.path("moved/public")), os.RemoveAll(old))
		},
		"linked": func(release int) error {
			page(fmt.Sprintf("linked/%d", release), release)
			return errors.Join(os.Symlink(strconv.Itoa(release), m.path("linked/turned")), os.Rename(m.path("linked/turned"), m.path("linked/current")),
				os.RemoveAll(m.path(fmt.Sprintf("linked/%d", release-1))))
		},
		"edited": func(release int) error { page("edited/public", release); return nil },
	} {
		t.Run(name, func(t *testing.T) {
			r := startReaders(m, name+".test", "/", 4)
			for release := 1; release <= deploys; release++ {
				if err := deploy(release); err != nil {
					t.Fatal(err)
				}
				r.deployed.Store(int64(release))
				seen := r.requests.Load()
				m.eventually("some requests", func() bool { return r.requests.Load() > seen+8 })
			}
			report(t, r.load, fmt.Sprintf("%d deploys", deploys))
		})
	}
}

// TestFolderOfAnotherOwner: where somebody else's folder takes the place, the router
// asks, and it is opened with the rights of whoever named it.
func TestFolderOfAnotherOwner(t *testing.T) {
	t.Parallel()
	m := folderMachine(t)
	alice, _ := person(t, "daemon")
	bob, _ := person(t, "bin")
	m.write("alice/1/index.html", "first")
	m.write("bob/2/index.html", "second")
	m.write("bob/3/index.html", "third")
	turn := func(to string) {
		t.Helper()
		if err := errors.Join(os.Symlink(to, m.path("alice/turned")), os.Rename(m.path("alice/turned"), m.path("alice/current"))); err != nil {
			t.Fatal(err)
		}
		m.give("alice/current", alice, 0)
	}
	m.give("alice", alice, 0o755)
	m.give("alice/1", alice, 0o755)
	m.give("bob/2", bob, 0o755)
	m.give("bob/3", bob, 0o700)
	turn("1")
	m.vassal("alice", "static = DIR/alice/current\n")
	m.start()
	m.waitReady()
	if body := m.page("alice.test", "/"); body != "first" {
		t.Errorf("got %q", body)
	}
	turn("../bob/2")
	m.eventually("it is followed to", func() bool { return m.page("alice.test", "/") == "second" })
	if os.Geteuid() != 0 {
		return // everybody is the same
	}
	mark := m.mark()
	turn("1")
	m.eventually("the way back", func() bool { return m.page("alice.test", "/") == "first" })
	turn("../bob/3") // alice may not enter it
	m.page("alice.test", "/")
	m.waitLog(mark, "alice: ", "may not enter it (owner bin, mode 0700)", "the old one goes on")
	if body := m.page("alice.test", "/"); body != "first" {
		t.Errorf("got %q", body)
	}
}

// TestFirstFolder: the router of a machine that serves no folder may read none. When
// one comes, by a vassal or a rule, another router takes over, and no request,
// upload or websocket notices.
func TestFirstFolder(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name  string
		serve func(m *machine)
	}{
		{"vassal", func(m *machine) { m.vassal("shop", "static = DIR/shop\n") }},
		{"rule", func(m *machine) {
			m.rules("route-host = ^shop\\.test$ static:DIR/shop${PATH_INFO}\nroute-host = ^([-\\w]+)\\.test$ uwsgi:DIR/$1.sock,0,0\n")
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			m := folderMachine(t)
			m.write("shop/index.html", "shop\n")
			m.vassal("site", "socket = DIR/%n.sock\nchdir = DIR\ncommand = gunicorn --worker-class gthread --workers 2 --threads 32 webapp:application\n")
			m.start()
			visitors := m.visitors("site.test")
			before := m.routers()
			if len(before) != 1 {
				t.Fatalf("routers %v", before)
			}
			kept, err := visit(m.address(), "site.test")
			if err != nil {
				t.Fatal(err)
			}
			defer kept.close()
			if _, err := kept.get("/"); err != nil {
				t.Fatal(err)
			}
			during := &companions{load: visitors}
			during.accompany(3)
			mark := m.mark()
			test.serve(m)
			m.waitLog(mark, "a router that may read them takes over", fmt.Sprintf("from=%d", before[0]))
			m.eventually("the folder is served", func() bool {
				_, body, err := m.get("shop.test", "/index.html")
				return err == nil && body == "shop\n"
			})
			if test.name == "vassal" {
				// Who was connected is sent to the other router, once.
				status, location := kept.follow("shop.test", "//shop.test/index.html?a=b")
				if status != http.StatusTemporaryRedirect || location != "/.//shop.test/index.html?a=b" {
					t.Errorf("on a kept connection: %d, Location %q", status, location)
				}
			} else {
				// The first router is told to leave a moment after the other one accepts.
				m.eventually("a kept connection hears that it is the last answer", func() bool {
					_, err := kept.get("/")
					if err != nil && !errors.Is(err, errLast) {
						t.Fatalf("on a kept connection: %v", err)
					}
					return err != nil
				})
			}
			during.end()
			report(t, visitors, "the change of routers")
			m.eventually("one router is left", func() bool { r := m.routers(); return len(r) == 1 && r[0] != before[0] })

			// That was the only time.
			mark = m.mark()
			m.vassal("blog", "static = DIR/shop\n")
			m.waitLog(mark, "blog: ", "ready")
			m.eventually("the front knows the folder", func() bool {
				status, _, err := m.get("blog.test", "/")
				return err == nil && status == http.StatusOK
			})
			if err := syscall.Kill(m.routers()[0], syscall.SIGKILL); err != nil {
				t.Fatal(err)
			}
			m.page("blog.test", "/index.html")
			m.mu.Lock()
			defer m.mu.Unlock()
			if text := strings.Join(m.lines, "\n"); strings.Count(text, "takes over") != 1 {
				t.Error("routers took over more than once")
			}
		})
	}
}

// follow asks on a connection for another host and tells where the answer leads.
func (v *visitor) follow(host, path string) (status int, location string) {
	_ = v.conn.SetDeadline(time.Now().Add(patience))
	fmt.Fprintf(v.conn, "GET %s HTTP/1.1\r\nHost: %s\r\n\r\n", path, host)
	response, err := http.ReadResponse(bufio.NewReader(v.conn), nil)
	if err != nil {
		return 0, err.Error()
	}
	defer response.Body.Close()
	_, _ = io.Copy(io.Discard, response.Body)
	return response.StatusCode, response.Header.Get("Location")
}

// TestFilesOfRules: rules serve the files of folders from a router that is nobody,
// and what they lead to is seen at once.
func TestFilesOfRules(t *testing.T) {
	t.Parallel()
	m := folderMachine(t)
	m.write("www/1/index.html", "1\n")
	m.write("www/1/site.css", strings.Repeat("a { color: red }\n", 200))
	m.write("www/1/site.css.gz", "packed")
	m.write("www/1/.git/config", "secret\n")
	m.write("www/secret", "secret\n")
	m.write("pages/404.html", "<h1>nothing</h1>\n")
	m.write("pages/busy.html", "<h1>busy</h1>\n")
	m.write("private/page.html", "secret\n")
	if err := errors.Join(os.Chmod(m.path("private/page.html"), 0o600),
		os.Symlink("1", m.path("www/current")), os.Symlink("../secret", m.path("www/1/out"))); err != nil {
		t.Fatal(err)
	}
	m.rules("error-page = 404 DIR/pages/404.html\n" +
		"route-host = ^next\\.test$ static-next:DIR/www/current${PATH_INFO}\n" +
		"route-host = ^next\\.test$ file:filename=DIR/pages/busy.html,status=503 Busy\n" +
		"route-host = ^private\\.test$ static:DIR/private${PATH_INFO}\n" +
		"route-run = static:DIR/www/current${PATH_INFO}\n")
	m.start()
	m.waitLog(0, "listening")
	etag := header(m.curl("www.test", "/site.css"), "ETag")
	for _, test := range []struct {
		host, path string
		words      []string
		head, body string
	}{
		{"www.test", "/index.html", nil, "200 OK", "1"},
		{"www.test", "/site.css", []string{"-r", "4-8,-6"}, "multipart/byteranges", "color"},
		{"www.test", "/site.css", []string{"-r", "-6"}, "206 Partial Content", "red }"},
		{"www.test", "/site.css", []string{"-H", "If-None-Match: " + etag}, "304 Not Modified", "no color"},
		{"www.test", "/site.css", []string{"-I"}, "Content-Length: 3400", "no color"},
		{"www.test", "/site.css", []string{"--compressed"}, "Content-Encoding: gzip", ""},
		{"www.test", "/none", nil, "404 Not Found", "<h1>nothing</h1>"},
		{"www.test", "/.git/config", nil, "404 Not Found", "<h1>nothing</h1>"},
		{"www.test", "/out", nil, "403 Forbidden", "no secret"},
		{"next.test", "/site.css", nil, "200 OK", "color"},
		{"next.test", "/none", nil, "503 Busy", "<h1>busy</h1>"},
		{"private.test", "/page.html", nil, "403 Forbidden", "no secret"},
	} {
		if os.Geteuid() != 0 && test.host == "private.test" {
			continue // the router is whoever may read it
		}
		words := test.words
		if len(words) == 1 && words[0] == "--compressed" {
			words = []string{"-H", "Accept-Encoding: gzip"}
			test.body = "packed"
		}
		answer := m.curl(test.host, test.path, words...)
		head, body, _ := strings.Cut(answer, "\r\n\r\n")
		unwanted, no := strings.CutPrefix(test.body, "no ")
		if !strings.Contains(head, test.head) || no && strings.Contains(body, unwanted) || !no && !strings.Contains(body, test.body) {
			t.Errorf("%s%s %q: got\n%s\nwant %q, %q", test.host, test.path, test.words, answer, test.head, test.body)
		}
	}

	r := startReaders(m, "www.test", "/index.html", 4)
	for release := 2; release <= 30; release++ {
		m.write(fmt.Sprintf("www/%d/index.html", release), fmt.Sprintf("%d\n", release))
		if err := errors.Join(os.Symlink(strconv.Itoa(release), m.path("www/turned")), os.Rename(m.path("www/turned"), m.path("www/current")),
			os.RemoveAll(m.path(fmt.Sprintf("www/%d", release-1)))); err != nil {
			t.Fatal(err)
		}
		r.deployed.Store(int64(release))
		seen := r.requests.Load()
		m.eventually("some requests", func() bool { return r.requests.Load() > seen+8 })
	}
	report(t, r.load, "29 deploys")
	if m.logged("takes over") {
		t.Error("the first router could not read files")
	}
}

// TestPasswords: a rule asks for a password, and the file of passwords counts as it
// is written now, unless it has a mistake.
func TestPasswords(t *testing.T) {
	t.Parallel()
	m := folderMachine(t)
	hash := func(password string) string {
		t.Helper()
		out, err := exec.Command("openssl", "passwd", "-6", password).Output()
		if err != nil {
			t.Fatal(err)
		}
		return strings.TrimSpace(string(out))
	}
	m.write("private/index.html", "welcome\n")
	m.write("users/htpasswd", "alice:"+hash("first")+"\n")
	m.give("users/htpasswd", os.Geteuid(), 0o600) // the router may not read it
	m.vassal("private", "static = DIR/private\n")
	m.rules("route-host = ^private\\.test$ basicauth:Staff only,DIR/users/htpasswd\n" + byName)
	m.start()
	m.waitReady()
	ask := func(user string) string {
		t.Helper()
		answer := m.curl("private.test", "/", "-u", user)
		return strings.Join(strings.Fields(answer)[1:2], "")
	}
	if answer := m.curl("private.test", "/"); !strings.HasPrefix(answer, "HTTP/1.1 401") || header(answer, "WWW-Authenticate") != `Basic realm="Staff only"` {
		t.Errorf("without a password:\n%s", answer)
	}
	for user, want := range map[string]string{"alice:first": "200", "alice:second": "401", "bob:first": "401"} {
		if got := ask(user); got != want {
			t.Errorf("%s: %s, want %s", user, got, want)
		}
	}
	mark := m.mark()
	m.write("users/htpasswd", "alice:"+hash("second")+"\nbob:"+hash("third")+"\n")
	m.waitLog(mark, "the main file was applied", "front")
	for user, want := range map[string]string{"alice:first": "401", "alice:second": "200", "bob:third": "200"} {
		if got := ask(user); got != want {
			t.Errorf("after the edit, %s: %s, want %s", user, got, want)
		}
	}
	mark = m.mark()
	m.write("users/htpasswd", "alice:"+hash("fourth")+"\nbob without a colon\n")
	m.waitLog(mark, "users/htpasswd:2: ")
	m.waitLog(mark, "the main file was not applied")
	for user, want := range map[string]string{"alice:fourth": "401", "alice:second": "200"} {
		if got := ask(user); got != want {
			t.Errorf("after the mistake, %s: %s, want %s", user, got, want)
		}
	}
	if out, _ := m.order("status"); !strings.Contains(out, "users/htpasswd:2: ") {
		t.Errorf("the status does not show the mistake:\n%s", out)
	}
}

// TestAccessLogRotation: the log file is moved away, with a SIGHUP as logrotate sends
// it and without one: lines go on in a new file, and none is lost.
func TestAccessLogRotation(t *testing.T) {
	t.Parallel()
	m := folderMachine(t)
	m.write("www/index.html", "0\n")
	m.write("logs/none", "")
	m.rules("http-log = DIR/logs/access.log\nhttp-log-format = %(method) %(uri)\nroute-run = static:DIR/www${PATH_INFO}\n")
	m.start()
	m.waitLog(0, "listening")
	r := startReaders(m, "www.test", "/index.html", 4)
	const rotations = 6
	for i := range rotations {
		seen := r.requests.Load()
		m.eventually("some requests", func() bool { return r.requests.Load() > seen+50 })
		if err := os.Rename(m.path("logs/access.log"), m.path(fmt.Sprintf("logs/access.log.%d", i))); err != nil {
			t.Fatal(err)
		}
		if i%3 != 2 {
			m.signal(syscall.SIGHUP)
		}
		m.eventually("a new file", func() bool {
			info, err := os.Stat(m.path("logs/access.log"))
			return err == nil && info.Size() > 0
		})
	}
	report(t, r.load, fmt.Sprintf("%d rotations", rotations))
	m.stop()
	lines := 0
	files, err := filepath.Glob(m.path("logs/access.log*"))
	if err != nil || len(files) != rotations+1 {
		t.Errorf("files %q, %v", files, err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(text)) {
			if line != "GET /index.html\n" {
				t.Fatalf("%s has the line %q", file, line)
			}
			lines++
		}
	}
	if int64(lines) != r.requests.Load() {
		t.Errorf("%d lines for %d requests", lines, r.requests.Load())
	}
	if m.logged("was applied") {
		t.Error("the configuration counts as another one")
	}
}

// TestFolderInPlaceOfAnApp: a site is a program, then a folder, then an app, under
// one name; its visitors do not notice.
func TestFolderInPlaceOfAnApp(t *testing.T) {
	t.Parallel()
	m := folderMachine(t)
	m.write("www/index.html", "folder\n")
	m.vassal("other", "static = DIR/www\n")
	program := "socket = DIR/%n.sock\nchdir = DIR\ncommand = gunicorn --worker-class gthread --workers 1 --threads 16 webapp:application\n"
	m.vassal("site", program)
	m.start()
	m.untilRelease("site.test", "0")
	r := startReaders(m, "site.test", "/", 4)
	for i, text := range []string{"static = DIR/www\n", threaded, "static = DIR/www\nsocket = DIR/%n.sock\n", program} {
		mark := m.mark()
		m.vassal("site", text)
		m.waitLog(mark, "site: ", "vassal ready", fmt.Sprintf("gen=%d", i+2))
		seen := r.requests.Load()
		m.eventually("some requests", func() bool { return r.requests.Load() > seen+50 })
		if body := m.page("site.test", "/"); strings.HasPrefix(text, "static") != (body == "folder\n") {
			t.Errorf("generation %d answers %q", i+2, body)
		}
	}
	report(t, r.load, "four changes of kind")
}
