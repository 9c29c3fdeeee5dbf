package vassal

import (
	"bufio"
	"context"
	"net"
	"net/http"
	"net/http/fcgi"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestProbe(t *testing.T) {
	listen := func(t *testing.T) net.Listener {
		l, err := net.Listen("unix", filepath.Join(shortDir(t), "s"))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { l.Close() })
		return l
	}
	ask := func(t *testing.T, l net.Listener, protocol, path string) error {
		ctx, cancel := context.WithTimeout(t.Context(), deadline)
		defer cancel()
		return probe(ctx, "unix", l.Addr().String(), protocol, path)
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
		if err := ask(t, l, "fastcgi", ""); err != nil {
			t.Error(err)
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
			if err := ask(t, l, protocol, ""); err == nil || !strings.Contains(err.Error(), "the answer is not") {
				t.Errorf("%s: %v", protocol, err)
			}
		}
	})
}

// TestProbeOfUWSGI asks a real one in each of its protocols.
func TestProbeOfUWSGI(t *testing.T) {
	dir := shortDir(t)
	if err := os.WriteFile(filepath.Join(dir, "app.py"), []byte(pythonApp), 0o644); err != nil {
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
	for name, protocol := range map[string]string{"u": "uwsgi", "s": "scgi", "h": "http"} {
		for _, path := range []string{"", "/health?full=1"} {
			var err error
			for range 1000 {
				if err = probe(ctx, "unix", filepath.Join(dir, name), protocol, path); err == nil || ctx.Err() != nil {
					break
				}
				sleep(ctx, systemClock{}, 20e6)
			}
			if err != nil {
				t.Errorf("%s: %v", protocol, err)
			}
		}
	}
}

func TestInheritedEnvironment(t *testing.T) {
	base := []string{"A=1", "PORT=80", "LISTEN_FDS=1", "NOTIFY_SOCKET=x", "WATCHDOG_USEC=1", "UWSGI_RELOADS=1", "UWSGI_EMPEROR=/etc",
		"UWSGI_HTTP=:80", "UWSGI_VASSAL_CHEAPER=2", "UWSGI_THREADS=4", "UWSGI_VASSALS_SET=x", "PORTS=kept", "EMPEROR_MARK=x"}
	if got, want := inherited(base, true), []string{"A=1", "UWSGI_CHEAPER=2", "UWSGI_THREADS=4", "PORTS=kept"}; !slices.Equal(got, want) {
		t.Errorf("uWSGI inherits %q, want %q", got, want)
	}
	if got, want := inherited(base, false), []string{"A=1", "UWSGI_VASSAL_CHEAPER=2", "UWSGI_THREADS=4", "PORTS=kept"}; !slices.Equal(got, want) {
		t.Errorf("a command inherits %q, want %q", got, want)
	}
	got := apply([]string{"A=1", "B=2"}, []change{{name: "A", value: "x"}, {name: "B", unset: true}, {name: "C", value: "a=b"}})
	if want := []string{"A=x", "C=a=b"}; !slices.Equal(got, want) {
		t.Errorf("environment %q, want %q", got, want)
	}
}
