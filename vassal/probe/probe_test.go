package probe

import (
	"bufio"
	"context"
	"emperor/vassal/clock"
	"net"
	"net/http"
	"net/http/fcgi"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// deadline is generous: tests wait for events, never for time.
const deadline = time.Minute

const wellApp = `
def application(env, start_response):
    start_response('200 OK', [])
    return [b'well']
`

func TestAsk(t *testing.T) {
	listen := func(t *testing.T) net.Listener {
		l, err := net.Listen("unix", filepath.Join(t.TempDir(), "s"))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { l.Close() })
		return l
	}
	ask := func(t *testing.T, l net.Listener, protocol, path string) error {
		ctx, cancel := context.WithTimeout(t.Context(), deadline)
		defer cancel()
		return Ask(ctx, "unix", l.Addr().String(), protocol, "", path)
	}
	site := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/broken":
			w.WriteHeader(503)
		case "/missing":
			w.WriteHeader(404)
		}
	})
	t.Run("http", func(t *testing.T) {
		l := listen(t)
		server := &http.Server{Handler: site}
		go server.Serve(l) // ends with Close
		defer server.Close()
		for path, want := range map[string]string{"": "", "/": "", "/missing": "", "/broken": "status 503"} {
			if err := ask(t, l, "http", path); want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
				t.Errorf("%q: %v, want %q", path, err, want)
			}
		}
	})
	t.Run("fastcgi", func(t *testing.T) {
		l := listen(t)
		go fcgi.Serve(l, site) // ends with the listener
		for path, want := range map[string]string{"": "", "/": "", "/missing": "", "/broken?x": "/broken?x is answered with status 503"} {
			if err := ask(t, l, "fastcgi", path); want == "" && err != nil || want != "" && (err == nil || err.Error() != want) {
				t.Errorf("%q: %v, want %q", path, err, want)
			}
		}
	})
	t.Run("garbage", func(t *testing.T) {
		l := listen(t)
		go func() {
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				bufio.NewReader(c).ReadByte()
				c.Write([]byte("SSH-2.0-x\r\n"))
				c.Close()
			}
		}()
		for _, protocol := range []string{"http", "fastcgi"} {
			if err := ask(t, l, protocol, "/up"); err == nil || !strings.Contains(err.Error(), "the answer is not") {
				t.Errorf("%s: %v", protocol, err)
			}
		}
	})
}

// TestUWSGI asks a real one in each of its protocols.
func TestUWSGI(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "app.py"), []byte(wellApp), 0o644); err != nil {
		t.Fatal(err)
	}
	c := exec.Command("uwsgi", "--plugin", "python3", "--wsgi-file", "app.py", "--uwsgi-socket", "u", "--scgi-socket", "s", "--fastcgi-socket", "f", "--http-socket", "h", "--need-app", "--die-on-term", "--master")
	c.Dir = dir
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { c.Process.Kill(); c.Wait() }()
	ctx, cancel := context.WithTimeout(t.Context(), deadline)
	defer cancel()
	for name, protocol := range map[string]string{"u": "uwsgi", "s": "scgi", "f": "fastcgi", "h": "http"} {
		for _, path := range []string{"", "/health?full=1"} {
			if protocol == "fastcgi" && path == "" {
				continue // it answers nothing but requests
			}
			var err error
			for range 1000 {
				if err = Ask(ctx, "unix", filepath.Join(dir, name), protocol, "", path); err == nil || ctx.Err() != nil {
					break
				}
				clock.Sleep(ctx, clock.System{}, 20e6)
			}
			if err != nil {
				t.Errorf("%s: %v", protocol, err)
			}
		}
	}
}
