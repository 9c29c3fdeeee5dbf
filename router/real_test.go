package router

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// startUWSGI runs an app under an unmodified uWSGI and returns its socket.
func startUWSGI(t *testing.T, app string) (socket string) {
	t.Helper()
	program, err := exec.LookPath("uwsgi")
	if err != nil {
		t.Fatalf("this test needs uWSGI with its python3 plugin: %v", err)
	}
	dir := t.TempDir()
	if err := os.WriteFile(dir+"/app.py", []byte(app), 0o600); err != nil {
		t.Fatal(err)
	}
	socket = dir + "/app.sock"
	cmd := exec.Command(program, "--plugin", "python3", "--need-app", "--socket", socket, "--wsgi-file", dir+"/app.py", "--threads", "4")
	log, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := make(chan string, 1000)
	go func() { // ends with the process, which the cleanup waits for
		defer close(lines)
		for s := bufio.NewScanner(log); s.Scan(); {
			select {
			case lines <- s.Text():
			default:
			}
		}
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		for range lines {
		}
		_ = cmd.Wait()
	})
	var said strings.Builder
	for line := range lines {
		said.WriteString(line + "\n")
		if strings.Contains(line, "spawned uWSGI worker 1") {
			return socket
		}
	}
	t.Fatalf("uWSGI did not start:\n%s", said.String())
	return ""
}

// TestRealUWSGI: an app that reads its input, and one that leaves it alone, which
// makes uWSGI reset the connection behind its response.
func TestRealUWSGI(t *testing.T) {
	socket := startUWSGI(t, `
def application(env, start_response):
    if env["PATH_INFO"] == "/unread":
        start_response("404 Not Found", [("Content-Type", "text/plain")])
        return [b"nobody reads this"]
    body = env["wsgi.input"].read(int(env.get("CONTENT_LENGTH") or 0))
    start_response("200 OK", [("X-Host", env["HTTP_HOST"]), ("X-Port", env["REMOTE_PORT"])])
    return [body]
`)
	f := newFront(t, "route-host = ^site$ uwsgi:"+socket+",0,0")
	visitor := f.visit()
	for range 3 {
		for _, size := range []int{0, 5, 60_000, 1 << 20} {
			text := string(pattern(size))
			visitor.send(fmt.Sprintf("POST /echo HTTP/1.1\r\nHost: Site\r\nContent-Length: %d\r\n\r\n%s", size, text))
			if r := visitor.want("POST", 200, text); r.Header.Get("X-Host") != "Site" || !strings.HasSuffix(visitor.LocalAddr().String(), ":"+r.Header.Get("X-Port")) {
				t.Errorf("the app saw %v", r.Header)
			}
			visitor.send(fmt.Sprintf("POST /echo HTTP/1.1\r\nHost: site\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\nx%s\r\n0\r\n\r\n", size+1, text))
			visitor.want("POST", 200, "x"+text)
			other := f.visit()
			other.send(fmt.Sprintf("POST /unread HTTP/1.1\r\nHost: site\r\nContent-Length: %d\r\n\r\n%s", size, text))
			other.want("POST", 404, "nobody reads this")
		}
	}
	// Row 18: more than uWSGI's own buffer takes.
	visitor.send("GET / HTTP/1.1\r\nHost: site\r\nX-Long: " + strings.Repeat("x", 5000) + "\r\n\r\n")
	visitor.want("GET", 502, "*")
	if !strings.Contains(f.log.String(), "a uWSGI takes 4096 unless its buffer-size says more") {
		t.Error("the log does not say why")
	}
	visitor.send("HEAD / HTTP/1.1\r\nHost: site\r\n\r\n")
	visitor.want("HEAD", 200, "")
	visitor.wantAlive("site")
}
