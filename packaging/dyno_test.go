package packaging

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"emperor/internal/testport"
)

// patience is how long a test waits for something that must come.
const patience = time.Minute

// slowSite is a site that answers at once, or, after it has said that it begins, a
// little later, with what it was told about a port.
const slowSite = `
import os, time
def application(environ, start_response):
    if environ["PATH_INFO"] == "/slow":
        with open("begun", "w") as begun:
            begun.write("!")
        time.sleep(2)
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [("PORT=%s" % os.environ.get("PORT")).encode()]
`

// TestDyno builds the binary as a Go buildpack does and starts what the Procfile
// says, as a platform does: bash, an ordinary user, and next to nothing in the
// environment but PORT.
func TestDyno(t *testing.T) {
	app, err := os.MkdirTemp("/tmp", "dyno") // its path is part of a socket's
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(app) })
	run(t, []string{"GOBIN=" + filepath.Join(app, "bin")}, "go", "install", "-tags", "heroku", goMod(t, "// +heroku install "))
	for name, text := range map[string]string{
		"emperor.ini":        read(t, "dyno/emperor.ini"),
		"vassals.d/web.ini":  "[uwsgi]\nsocket = %d../web.sock\nplugin = python3\nwsgi-file = %d../site.py\nthreads = 2\n",
		"site.py":            slowSite,
		"vassals.d/blog.ini": "", // a mistake: it must not disturb the other
	} {
		path := filepath.Join(app, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(app, 0o777); err != nil {
		t.Fatal(err)
	}
	port := testport.Free(t)
	process, ok := strings.CutPrefix(lastLine(read(t, "dyno/Procfile")), "web: ")
	if !ok {
		t.Fatal("the Procfile has no process web")
	}
	dyno := exec.Command("bash", "-c", process)
	dyno.Dir = app
	dyno.Env = []string{"PATH=/usr/bin:/bin", "HOME=" + app, "PORT=" + port, "DYNO=web.1"}
	dyno.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if os.Geteuid() == 0 {
		dyno.SysProcAttr.Credential = &syscall.Credential{Uid: 61998, Gid: 61998}
	}
	var log strings.Builder // read when the process has ended
	dyno.Stdout, dyno.Stderr = &log, &log
	if err := dyno.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- dyno.Wait() }()

	get := func(path string) (string, error) {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://127.0.0.1:"+port+path, nil)
		if err != nil {
			return "", err
		}
		request.Host = "any-name.herokuapp.example"
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			return "", err
		}
		defer response.Body.Close()
		text, err := io.ReadAll(response.Body)
		if err == nil && response.StatusCode != http.StatusOK {
			err = fmt.Errorf("%s: %s", response.Status, text)
		}
		return string(text), err
	}
	fifo := filepath.Join(app, "begun")
	if err := syscall.Mkfifo(fifo, 0o666); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(fifo, 0o666); err != nil { // whatever the umask
		t.Fatal(err)
	}
	begun, err := os.OpenFile(fifo, os.O_RDWR|syscall.O_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer begun.Close()
	text, err := get("/")
	for end := time.Now().Add(patience); err != nil && time.Now().Before(end); text, err = get("/") {
		time.Sleep(50 * time.Millisecond)
	}
	if err != nil || text != "PORT=None" {
		t.Errorf("the site answers %q, %v; want it to know of no port", text, err)
	}
	slow := make(chan error, 1)
	go func() {
		_, err := get("/slow")
		slow <- err
	}()
	_ = begun.SetReadDeadline(time.Now().Add(patience))
	if _, err := begun.Read(make([]byte, 1)); err != nil {
		t.Errorf("the slow request does not reach the site: %v", err)
	}
	if err := syscall.Kill(-dyno.Process.Pid, syscall.SIGTERM); err != nil {
		t.Error(err)
	}
	if err := <-slow; err != nil {
		t.Errorf("the request that was under way at TERM: %v", err)
	}
	select {
	case err := <-ended:
		if err != nil {
			t.Errorf("after TERM: %v", err)
		}
	case <-time.After(patience):
		_ = syscall.Kill(-dyno.Process.Pid, syscall.SIGKILL)
		<-ended
		t.Error("it does not end after TERM")
	}
	if t.Failed() {
		t.Log(log.String())
	}
}

// Wherever the Go version is written, it is the same one.
func TestGoVersions(t *testing.T) {
	want := regexp.MustCompile(`^\d+\.\d+`).FindString(goMod(t, "go "))
	if got := goMod(t, "// +heroku goVersion "); got != "go"+want {
		t.Errorf("a buildpack would take %s, go.mod wants %s", got, want)
	}
	if !strings.Contains(read(t, "dyno/Dockerfile"), "\nFROM golang:"+want+"-bookworm AS build\n") {
		t.Errorf("the Dockerfile does not build with Go %s", want)
	}
}

// goMod is what follows the words on a line of go.mod.
func goMod(t *testing.T, words string) string {
	t.Helper()
	for line := range strings.Lines(read(t, "../go.mod")) {
		if rest, ok := strings.CutPrefix(line, words); ok {
			return strings.TrimSpace(rest)
		}
	}
	t.Fatalf("go.mod has no line %q", words)
	return ""
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func lastLine(text string) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return lines[len(lines)-1]
}
