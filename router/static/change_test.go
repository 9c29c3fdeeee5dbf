package static

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"
)

// begin opens a file of 200 KiB and reads the first piece of it.
func begin(t *testing.T, s *Site, fields ...string) *Answer {
	t.Helper()
	a := &Answer{}
	s.Open(&Request{Method: []byte("GET"), Path: []byte("/big.bin"), Fields: parse(fields...)}, a)
	t.Cleanup(a.Close)
	if n, err := io.ReadFull(a, make([]byte, 1000)); n != 1000 || err != nil {
		t.Fatalf("%d, %v", n, err)
	}
	return a
}

// A file that is changed in place while it is sent: the response does not come to
// its end. One that is replaced or removed is sent as it was.
func TestFileThatChangesWhileItIsSent(t *testing.T) {
	old := strings.Repeat("old!", 50<<10)
	for _, test := range []struct {
		name   string
		change func(path string) error
		fails  bool
	}{
		{"nothing", func(string) error { return nil }, false},
		{"touched by name only", func(path string) error { return os.Chmod(path, 0o600) }, false},
		{"cut", func(path string) error { return os.Truncate(path, 100<<10) }, true},
		{"emptied", func(path string) error { return os.Truncate(path, 0) }, true},
		{"written over", func(path string) error { return os.WriteFile(path, []byte(strings.Repeat("new!", 50<<10)), 0o644) }, true},
		{"written over with more", func(path string) error { return os.WriteFile(path, []byte(strings.Repeat("new!", 60<<10)), 0o644) }, true},
		{"one byte", func(path string) error {
			f, err := os.OpenFile(path, os.O_WRONLY, 0)
			if err != nil {
				return err
			}
			_, err = f.WriteAt([]byte("X"), 10)
			return errors.Join(err, f.Close())
		}, true},
		{"replaced", func(path string) error {
			if err := os.WriteFile(path+".new", []byte("new!"), 0o644); err != nil {
				return err
			}
			return os.Rename(path+".new", path)
		}, false},
		{"removed", os.Remove, false},
	} {
		for _, fields := range [][]string{nil, {"Range: bytes=0-150000"}, {"Range: bytes=0-50000,60000-150000"}} {
			folder := tree(t, map[string]string{"big.bin": old})
			s := site(t, folder, nil)
			a := begin(t, s, fields...)
			try(t, test.change(filepath.Join(folder, "big.bin")))
			n, err := io.CopyBuffer(io.Discard, struct{ io.Reader }{a}, make([]byte, 64<<10))
			switch {
			case test.fails && (!errors.Is(err, ErrChanged) || n+1000 >= a.Length):
				t.Errorf("%s, %s: %v after %d of %d bytes", test.name, fields, err, n+1000, a.Length)
			case !test.fails && (err != nil || n+1000 != a.Length):
				t.Errorf("%s, %s: %v after %d of %d bytes", test.name, fields, err, n+1000, a.Length)
			}
		}
	}
}

// Whatever a writer does, a body that came to its end is one of the two.
func TestNoMixtures(t *testing.T) {
	contents := [2]string{strings.Repeat("a", 300_000), strings.Repeat("b", 250_000)}
	folder := tree(t, map[string]string{"big.bin": contents[0]})
	s := site(t, folder, nil)
	var stop atomic.Bool
	var writer sync.WaitGroup
	writer.Go(func() {
		for i := 0; !stop.Load(); i++ {
			_ = os.WriteFile(filepath.Join(folder, "big.bin"), []byte(contents[i%2]), 0o644)
			time.Sleep(12 * time.Millisecond) // a tick of the clock that old kernels' file times come from
		}
	})
	defer writer.Wait()
	defer stop.Store(true)
	for whole, broken := 0, 0; whole < 100 || broken < 20; {
		got := ask(s, "GET", "/big.bin")
		switch {
		case got.status != 200:
			t.Fatalf("%+v", got)
		case got.broken != nil:
			broken++
		case strings.Trim(got.body, "a") != "" && strings.Trim(got.body, "b") != "":
			t.Fatal("a mixture that looks whole")
		default:
			whole++
		}
	}
}

func TestSendFile(t *testing.T) {
	content := strings.Repeat("0123456789", 50_000)
	folder := tree(t, map[string]string{"big.bin": content, "small.bin": "small"})
	s := site(t, folder, nil)
	send := func(cut bool, path string, fields ...string) (got string, err error) {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		try(t, err)
		defer listener.Close()
		client, err := net.Dial("tcp", listener.Addr().String())
		try(t, err)
		received := make(chan string)
		go func() {
			all, _ := io.ReadAll(client)
			_ = client.Close()
			received <- string(all)
		}()
		server, err := listener.Accept()
		try(t, err)
		raw, err := server.(*net.TCPConn).SyscallConn()
		try(t, err)
		var a Answer
		defer a.Close()
		s.Open(&Request{Method: []byte("GET"), Path: []byte(path), Fields: parse(fields...)}, &a)
		var failure error
		sent := int64(0)
		try(t, raw.Write(func(fd uintptr) bool {
			for {
				n, err := a.SendFile(int(fd), 100_000)
				if err == unix.EAGAIN {
					return false
				}
				sent += n
				if cut && sent > 0 {
					try(t, os.Truncate(filepath.Join(folder, path), sent))
				}
				if failure = err; n == 0 || err != nil {
					return true
				}
			}
		}))
		if want := a.Length - lastPiece; failure == nil && sent != max(0, want) && len(fields) < 2 {
			t.Errorf("%s: sendfile sent %d, want %d", path, sent, want)
		}
		if failure == nil {
			_, failure = io.Copy(server, struct{ io.Reader }{&a})
		}
		_ = server.Close()
		return <-received, failure
	}
	if got, err := send(false, "/big.bin"); err != nil || got != content {
		t.Errorf("%d bytes, %v", len(got), err)
	}
	if got, err := send(false, "/big.bin", "Range: bytes=100000-299999"); err != nil || got != content[100_000:300_000] {
		t.Errorf("a part: %d bytes, %v", len(got), err)
	}
	if got, err := send(false, "/big.bin", "Range: bytes=0-99999,200000-299999", "X: y"); err != nil || !strings.Contains(got, content[:100_000]) {
		t.Errorf("parts: %d bytes, %v", len(got), err)
	}
	if got, err := send(false, "/small.bin"); err != nil || got != "small" {
		t.Errorf("%q, %v", got, err)
	}
	if got, err := send(true, "/big.bin"); !errors.Is(err, ErrChanged) || len(got) >= len(content) {
		t.Errorf("cut: %d bytes, %v", len(got), err)
	}
}

// deployments are the ways to put a new site in the place of the old.
var deployments = map[string]struct {
	make, turn func(t *testing.T, base string, version int)
}{
	"a folder moved over": {
		func(t *testing.T, base string, version int) { release(t, base+"/site", version) },
		func(t *testing.T, base string, version int) {
			release(t, base+"/new", version)
			try(t, unix.Renameat2(unix.AT_FDCWD, base+"/new", unix.AT_FDCWD, base+"/site", unix.RENAME_EXCHANGE))
			try(t, os.RemoveAll(base+"/new"))
		},
	},
	"two moves": {
		func(t *testing.T, base string, version int) { release(t, base+"/site", version) },
		func(t *testing.T, base string, version int) {
			release(t, base+"/new", version)
			try(t, os.Rename(base+"/site", base+"/old"))
			try(t, os.Rename(base+"/new", base+"/site"))
			try(t, os.RemoveAll(base+"/old"))
		},
	},
	"a relative link turned": {
		func(t *testing.T, base string, version int) {
			release(t, fmt.Sprint(base, "/", version), version)
			try(t, os.Symlink(fmt.Sprint(version), base+"/site"))
		},
		func(t *testing.T, base string, version int) {
			release(t, fmt.Sprint(base, "/", version), version)
			try(t, os.Symlink(fmt.Sprint(version), base+"/link"))
			try(t, os.Rename(base+"/link", base+"/site"))
			try(t, os.RemoveAll(fmt.Sprint(base, "/", version-1)))
		},
	},
	"an absolute link removed and made": {
		func(t *testing.T, base string, version int) {
			release(t, fmt.Sprint(base, "/", version), version)
			try(t, os.Symlink(fmt.Sprint(base, "/", version), base+"/site"))
		},
		func(t *testing.T, base string, version int) {
			release(t, fmt.Sprint(base, "/", version), version)
			try(t, os.Remove(base+"/site"))
			try(t, os.Symlink(fmt.Sprint(base, "/", version), base+"/site"))
			try(t, os.RemoveAll(fmt.Sprint(base, "/", version-1)))
		},
	},
}

func release(t *testing.T, path string, version int) {
	grow(t, path, map[string]string{"a/index.html": fmt.Sprint(version)})
}

// A new site is served as soon as it is there, and no request fails meanwhile.
func TestDeploy(t *testing.T) {
	for name, way := range deployments {
		t.Run(name, func(t *testing.T) {
			base := t.TempDir()
			way.make(t, base, 0)
			s := site(t, base+"/site", nil)
			var stop atomic.Bool
			var visitors sync.WaitGroup
			for range 4 {
				visitors.Go(func() {
					last := 0
					for !stop.Load() {
						var version int
						got := ask(s, "GET", "/a/")
						if _, err := fmt.Sscan(got.body, &version); got.status != 200 || err != nil || version < last {
							t.Errorf("%+v after version %d", got, last)
							return
						}
						last = version
					}
				})
			}
			for version := 1; version <= 30; version++ {
				way.turn(t, base, version)
				if got := ask(s, "GET", "/a/"); got.body != fmt.Sprint(version) {
					t.Errorf("version %d: %+v", version, got)
				}
			}
			stop.Store(true)
			visitors.Wait()
		})
	}
}

// What belongs to somebody else is not followed to, but told of once; whoever may
// opens it.
func TestSiteThatBecomesSomebodyElses(t *testing.T) {
	base := t.TempDir()
	release(t, base+"/site", 1)
	s := site(t, base+"/site", nil)
	s.root.Load().identity.owner++
	release(t, base+"/new", 2)
	try(t, os.Rename(base+"/site", base+"/old"))
	try(t, os.Rename(base+"/new", base+"/site"))
	for range 3 {
		if got := ask(s, "GET", "/a/"); got.body != "1" {
			t.Fatalf("%+v", got)
		}
	}
	if len(s.Moved()) != 1 {
		t.Fatal("nobody was told")
	}
	<-s.Moved()
	ask(s, "GET", "/a/")
	if len(s.Moved()) != 0 {
		t.Fatal("told twice")
	}
	at, err := OpenRoot(base + "/site")
	try(t, err)
	try(t, s.Replace(at))
	if got := ask(s, "GET", "/a/"); got.body != "2" {
		t.Fatalf("%+v", got)
	}
}

func TestSiteThatIsRemoved(t *testing.T) {
	base := t.TempDir()
	release(t, base+"/site", 1)
	s := site(t, base+"/site", nil)
	try(t, os.RemoveAll(base+"/site"))
	got := ask(s, "GET", "/a/")
	if got.status != 503 || !strings.Contains(fmt.Sprint(got.err), base+`/site": the folder was removed`) {
		t.Errorf("%+v", got)
	}
	release(t, base+"/site", 2)
	if got := ask(s, "GET", "/a/"); got.body != "2" {
		t.Errorf("%+v", got)
	}
}

// Descriptors are not left open, and answers under way outlive their site.
func TestClose(t *testing.T) {
	folder := tree(t, map[string]string{"big.bin": strings.Repeat("x", 200<<10), "a.css": "", "a.css.gz": "", "sub/index.html": "", "old.css": "", "old.css.br/": ""})
	before := descriptors(t)
	at, err := OpenRoot(folder)
	try(t, err)
	s, err := New(at, &Options{Outside: []string{"/etc"}})
	try(t, err)
	for _, path := range []string{"/big.bin", "/a.css", "/sub", "/sub/", "/old.css", "/x", "/.git"} {
		for _, field := range []string{"Accept-Encoding: gzip, br", "Range: bytes=1-", "If-None-Match: *", "If-Match: x", "Range: bytes=900000-"} {
			ask(s, "GET", path, field)
			ask(s, "HEAD", path, field)
		}
	}
	a := begin(t, s)
	try(t, s.Replace(mustOpen(t, folder)))
	s.Close()
	s.Close()
	if got := ask(s, "GET", "/a.css"); got.status != 404 {
		t.Errorf("closed: %+v", got)
	}
	if err := s.Replace(mustOpen(t, folder)); err == nil {
		t.Error("a closed site is replaced")
	}
	if n, err := io.Copy(io.Discard, struct{ io.Reader }{a}); n+1000 != a.Length || err != nil {
		t.Errorf("%d bytes, %v", n, err)
	}
	a.Close()
	if after := descriptors(t); after != before {
		t.Errorf("%d descriptors, before %d", after, before)
	}
	file, err := unix.Open(filepath.Join(folder, "a.css"), unix.O_RDONLY|unix.O_CLOEXEC, 0)
	try(t, err)
	if _, err := New(Root{Directory: file, Parent: -1, Path: "/x"}, &Options{}); err == nil || !strings.Contains(err.Error(), "not a directory") {
		t.Errorf("a file as root: %v", err)
	}
	if after := descriptors(t); after != before {
		t.Errorf("%d descriptors, before %d", after, before)
	}
}

func mustOpen(t *testing.T, folder string) Root {
	t.Helper()
	at, err := OpenRoot(folder)
	try(t, err)
	return at
}

func descriptors(t *testing.T) int {
	t.Helper()
	list, err := os.ReadDir("/proc/self/fd")
	try(t, err)
	return len(list)
}

// onThread runs f on a thread of its own, which ends with it: what f gives away it
// can't get back.
func onThread(f func()) {
	var thread sync.WaitGroup
	thread.Go(func() {
		runtime.LockOSThread()
		f()
	})
	thread.Wait()
}

func TestWithoutPermission(t *testing.T) {
	folder := tree(t, map[string]string{"secret.txt": "s", "closed/a.txt": "a", "unlisted/index.html": "u", "index.html": "i", "404.html": "lost", "a.css": "plain", "a.css.gz": "gz"})
	for name, mode := range map[string]os.FileMode{"secret.txt": 0o600, "closed": 0o700, "unlisted": 0o711, "a.css.gz": 0o600, ".": 0o711} {
		try(t, os.Chmod(filepath.Join(folder, name), mode))
	}
	at := mustOpen(t, folder)
	onThread(func() {
		try(t, unix.Setfsuid(65534))
		s, err := New(at, &Options{})
		if err != nil {
			t.Error(err)
			return
		}
		defer s.Close()
		for path, want := range map[string]int{"/secret.txt": 403, "/closed/a.txt": 403, "/closed/": 403, "/closed": 403, "/unlisted/": 200, "/unlisted": 301, "/": 200, "/x": 404, "/a.css": 200} {
			if got := ask(s, "GET", path, "Accept-Encoding: gzip"); got.status != want || got.body == "gz" || want == 403 && !strings.Contains(fmt.Sprint(got.err), "may not read it") {
				t.Errorf("%s: %+v, want %d", path, got, want)
			}
		}
	})
}

// A process that Landlock confines can't read beneath a folder, though it has a
// descriptor of it. Better no site than one that answers 403 to everything.
func TestConfined(t *testing.T) {
	folder := tree(t, map[string]string{"a.txt": "a"})
	at := mustOpen(t, folder)
	onThread(func() {
		if !confineThread(t) {
			_ = unix.Close(at.Directory)
			_ = unix.Close(at.Parent)
			return
		}
		if _, err := New(at, &Options{}); err == nil || !strings.Contains(err.Error(), "this process is confined") {
			t.Errorf("%v", err)
		}
	})
}

func TestCaching(t *testing.T) {
	var list []Expires
	for _, o := range [][2]string{
		{"static-expires", "/special\\.css$ 5"},
		{"static-expires-uri", "\\?v= 31536000"},
		{"static-expires-path-info", "^/img/ 3600"},
		{"static-expires-path-info-mtime", "^/fresh 86400"},
		{"static-expires-type-mtime", "text/csv=60"},
		{"static-expires-type", "text/css=10"},
	} {
		e, err := ParseExpires(o[0], o[1])
		try(t, err)
		list = append(list, e)
	}
	control, err := ParseCacheControl("^/assets/ public, max-age=31536000, immutable")
	try(t, err)
	folder := tree(t, map[string]string{"a.css": "", "special.css": "", "img/a.png": "", "a.html": "", "fresh.html": "", "a.csv": "", "assets/a.css": "", "404.html": ""})
	synctest.Test(t, func(t *testing.T) {
		now := time.Now() // of the bubble: midnight, 2000-01-01
		try(t, os.Chtimes(filepath.Join(folder, "fresh.html"), now, now.Add(-time.Hour)))
		try(t, os.Chtimes(filepath.Join(folder, "a.csv"), now, now.Add(-time.Hour)))
		at := mustOpen(t, folder)
		s, err := New(at, &Options{Expires: list, CacheControl: []CacheControl{control}})
		try(t, err)
		defer s.Close()
		for _, test := range []struct{ path, target, expires, control string }{
			{"/a.css", "", "Sat, 01 Jan 2000 00:00:10 GMT", "max-age=10"},
			{"/special.css", "", "Sat, 01 Jan 2000 00:00:05 GMT", "max-age=5"},
			{"/a.css", "/a.css?v=2", "Sun, 31 Dec 2000 00:00:00 GMT", "max-age=31536000"},
			{"/img/a.png", "", "Sat, 01 Jan 2000 01:00:00 GMT", "max-age=3600"},
			{"/fresh.html", "", "Sat, 01 Jan 2000 23:00:00 GMT", "max-age=82800"},
			{"/a.csv", "", "Fri, 31 Dec 1999 23:01:00 GMT", "max-age=0"},
			{"/assets/a.css", "", "Sat, 01 Jan 2000 00:00:10 GMT", "public, max-age=31536000, immutable"},
			{"/a.html", "", "", ""},
			{"/x", "", "", ""},
		} {
			for _, field := range []string{"X: y", "If-None-Match: *", "Range: bytes=0-"} {
				got := askFor(s, &Request{Method: []byte("GET"), Path: []byte(test.path), Target: []byte(test.target), Fields: parse(field)})
				if got.header["Expires"] != test.expires || got.header["Cache-Control"] != test.control {
					t.Errorf("%s %s, %s: %d, Expires: %q, Cache-Control: %q", test.path, test.target, field, got.status, got.header["Expires"], got.header["Cache-Control"])
				}
			}
		}
		// Of a date to come, nobody can say that nothing changed since.
		try(t, os.Chtimes(filepath.Join(folder, "a.html"), now, now.Add(time.Hour)))
		if got := ask(s, "GET", "/a.html", "If-Modified-Since: Sat, 01 Jan 2000 09:00:00 GMT"); got.status != 200 || got.header["Last-Modified"] != "" {
			t.Errorf("%+v", got)
		}
	})
	for option, values := range map[string][]string{
		"static-expires":      {"x", "x y", "x -1", "( 5", ""},
		"static-expires-type": {"text/css 5", "text/css=", "text/css=x"},
		"static-nothing":      {"x 5"},
	} {
		for _, value := range values {
			if _, err := ParseExpires(option, value); err == nil {
				t.Errorf("%s = %s is taken", option, value)
			}
		}
	}
	for _, value := range []string{"", "^/a", "( x", "^/a x\r\ny"} {
		if _, err := ParseCacheControl(value); err == nil {
			t.Errorf("%q is taken", value)
		}
	}
}

func TestMap(t *testing.T) {
	for _, test := range []struct{ mountpoint, path, rest string }{
		{"/static", "/static/a", "/a"}, {"/static/", "/static/a", "/a"}, {"/static", "/static/", "/"}, {"/static", "/static", ""},
		{"/static", "/statics", ""}, {"/static", "/sta", ""}, {"/", "/a", "/a"}, {"/static", "/x/static/a", ""},
	} {
		rest, ok := Under(test.mountpoint, []byte(test.path))
		if ok != (test.rest != "") || ok && string(rest) != test.rest {
			t.Errorf("%s under %s: %q %v", test.path, test.mountpoint, rest, ok)
		}
	}
	if mountpoint, folder, err := ParseMap("/m=/srv/a=b"); mountpoint != "/m" || folder != "/srv/a=b" || err != nil {
		t.Errorf("%q %q %v", mountpoint, folder, err)
	}
	for _, wrong := range []string{"", "/m", "/m=", "m=/srv"} {
		if _, _, err := ParseMap(wrong); err == nil {
			t.Errorf("%q is taken", wrong)
		}
	}
}
