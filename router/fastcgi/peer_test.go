package fastcgi

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// The peers are real: PHP-FPM, which this is for, and uWSGI's fastcgi-socket.

const patience = 30 * time.Second

// started runs a program until the test ends, and returns when it has said that
// it is ready.
func started(t *testing.T, ready string, name string, arguments ...string) {
	t.Helper()
	command := exec.Command(name, arguments...)
	output, err := command.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	command.Stdout = command.Stderr
	if err := command.Start(); err != nil {
		t.Fatalf("%s has to be installed: %v", name, err)
	}
	found := make(chan bool, 1)
	var said bytes.Buffer
	var reading sync.WaitGroup
	reading.Go(func() {
		lines := bufio.NewScanner(output)
		for lines.Scan() {
			fmt.Fprintln(&said, lines.Text())
			if strings.Contains(lines.Text(), ready) {
				select {
				case found <- true:
				default:
				}
			}
		}
		select {
		case found <- false:
		default:
		}
	})
	t.Cleanup(func() {
		_ = command.Process.Signal(os.Interrupt)
		reading.Wait()
		_ = command.Wait()
		if t.Failed() {
			t.Logf("%s said:\n%s", name, &said)
		}
	})
	select {
	case ok := <-found:
		if !ok {
			t.Fatalf("%s ended", name)
		}
	case <-time.After(patience):
		_ = command.Process.Kill()
		t.Fatalf("%s does not say %q", name, ready)
	}
}

// answer is a response as the caller of a Response sees it.
type answer struct {
	head  string
	body  string
	lines []string
}

// ask sends one request and reads the whole response, body framed in pieces.
func ask(t *testing.T, socket string, vars []string, body string) answer {
	t.Helper()
	conn, err := net.Dial("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	_ = conn.SetDeadline(time.Now().Add(patience))
	var w Writer
	w.Begin(nil)
	for _, v := range vars {
		name, value, _ := strings.Cut(v, "=")
		w.Var(name, value)
	}
	if _, err := conn.Write(w.Finish()); err != nil {
		t.Fatal(err)
	}
	for len(body) > 0 {
		n := min(len(body), 40000)
		piece := append(make([]byte, HeaderSize), body[:n]...)
		if _, err := conn.Write(piece[PutStdinHeader(piece[:HeaderSize], n):]); err != nil {
			t.Fatal(err)
		}
		body = body[n:]
	}
	if _, err := conn.Write(AppendStdinEnd(nil)); err != nil {
		t.Fatal(err)
	}
	var r Response
	var a answer
	var stdout strings.Builder
	for buffer := make([]byte, 4096); ; {
		n, readErr := conn.Read(buffer)
		n, err := r.Decode(buffer[:n])
		stdout.Write(buffer[:n])
		for line, ok := r.Line(); ok; line, ok = r.Line() {
			a.lines = append(a.lines, string(line))
		}
		if err == io.EOF {
			break
		}
		if err := errors.Join(err, readErr); err != nil {
			t.Fatalf("%v after %q", err, stdout.String())
		}
	}
	var ok bool
	if a.head, a.body, ok = strings.Cut(stdout.String(), "\r\n\r\n"); !ok {
		t.Fatalf("no head: %q", stdout.String())
	}
	return a
}

func phpFPM(t *testing.T) (root, socket string) {
	t.Helper()
	programs, _ := filepath.Glob("/usr/sbin/php-fpm*")
	if len(programs) == 0 {
		t.Fatal("php-fpm has to be installed")
	}
	root = t.TempDir()
	socket = filepath.Join(root, "php.sock")
	configuration := filepath.Join(root, "fpm.conf")
	write(t, configuration, "[global]\nerror_log = /dev/stderr\n[www]\nlisten = "+socket+"\npm = static\npm.max_children = 2\n")
	started(t, "ready to handle connections", programs[0], "--nodaemonize", "--allow-to-run-as-root", "--no-php-ini", "--fpm-config", configuration)
	return root, socket
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), 0o644)); err != nil {
		t.Fatal(err)
	}
}

// request is what a GET or POST of path below root is in variables.
func request(t *testing.T, root, path string, body string, more ...string) []string {
	t.Helper()
	var s Script
	if _, err := s.Locate(nil, root, []byte(path), "index.php", ".php"); err != nil {
		t.Fatal(err)
	}
	method := "GET"
	if body != "" {
		method = "POST"
	}
	return append([]string{
		"REQUEST_METHOD=" + method, "REQUEST_URI=" + path, "SERVER_PROTOCOL=HTTP/1.1", "QUERY_STRING=a=b",
		fmt.Sprint("CONTENT_LENGTH=", len(body)), "CONTENT_TYPE=text/plain", "DOCUMENT_ROOT=" + root,
		"SCRIPT_FILENAME=" + string(s.Filename), "SCRIPT_NAME=" + string(s.Name), "PATH_INFO=" + string(s.PathInfo),
	}, more...)
}

func TestPHP(t *testing.T) {
	root, socket := phpFPM(t)
	write(t, root+"/index.php", `<?php echo json_encode($_SERVER), "\n", strlen(file_get_contents("php://input"));`)
	write(t, root+"/missing.php", `<?php http_response_code(404); echo "gone";`)
	write(t, root+"/noise.php", `<?php error_log("first"); echo "out"; error_log("second\nthird");`)
	write(t, root+"/large.php", `<?php echo str_repeat("0123456789", 100000);`)
	write(t, root+"/upload/x.jpg", `<?php echo "run";`)

	t.Run("variables", func(t *testing.T) {
		a := ask(t, socket, request(t, root, "/index.php/more/of it", ""), "")
		server, length, _ := strings.Cut(a.body, "\n")
		var got map[string]any
		if err := json.Unmarshal([]byte(server), &got); err != nil || length != "0" {
			t.Fatalf("%v in %q", err, a.body)
		}
		for name, want := range map[string]string{
			"REQUEST_METHOD": "GET", "SCRIPT_NAME": "/index.php", "SCRIPT_FILENAME": root + "/index.php",
			"PATH_INFO": "/more/of it", "PHP_SELF": "/index.php/more/of it", "QUERY_STRING": "a=b",
		} {
			if got[name] != want {
				t.Errorf("%s is %q for PHP, want %q", name, got[name], want)
			}
		}
	})
	t.Run("more variables than a record holds", func(t *testing.T) {
		var more []string
		for i := range 100 {
			more = append(more, fmt.Sprintf("HTTP_X_%d=%s", i, strings.Repeat("v", 1000+i)))
		}
		a := ask(t, socket, request(t, root, "/", "", more...), "")
		for i := range 100 {
			if want := fmt.Sprintf("%q:%q", fmt.Sprint("HTTP_X_", i), strings.Repeat("v", 1000+i)); !strings.Contains(a.body, want) {
				t.Fatalf("HTTP_X_%d did not reach PHP", i)
			}
		}
	})
	t.Run("body", func(t *testing.T) {
		body := strings.Repeat("x", 200000)
		if a := ask(t, socket, request(t, root, "/", body), body); !strings.HasSuffix(a.body, "\n200000") {
			t.Errorf("%q", a.body[max(0, len(a.body)-100):])
		}
	})
	t.Run("status", func(t *testing.T) {
		if a := ask(t, socket, request(t, root, "/missing.php", ""), ""); !strings.HasPrefix(a.head, "Status: 404 Not Found\r\n") || a.body != "gone" {
			t.Errorf("%+v", a)
		}
	})
	t.Run("large response", func(t *testing.T) {
		if a := ask(t, socket, request(t, root, "/large.php", ""), ""); a.body != strings.Repeat("0123456789", 100000) {
			t.Errorf("%d bytes", len(a.body))
		}
	})
	t.Run("error output", func(t *testing.T) {
		a := ask(t, socket, request(t, root, "/noise.php", ""), "")
		if want := []string{"PHP message: first; PHP message: second", "third"}; a.body != "out" || !slices.Equal(a.lines, want) {
			t.Errorf("%+v", a)
		}
	})
	t.Run("a picture is no script", func(t *testing.T) {
		for _, path := range []string{"/upload/x.jpg/y.php", "/upload/x.jpg/y.php/z"} {
			if a := ask(t, socket, request(t, root, path, ""), ""); strings.Contains(a.body, "run") || !strings.HasPrefix(a.head, "Status: 40") {
				t.Errorf("%s: %+v", path, a)
			}
		}
	})
}

func TestUWSGI(t *testing.T) {
	dir := t.TempDir()
	write(t, dir+"/app.py", `
def application(env, start_response):
    body = env["wsgi.input"].read(int(env.get("CONTENT_LENGTH") or 0))
    start_response("201 Made", [("X-Path", env["PATH_INFO"])])
    return [str(len(body)).encode(), b" ", env["X_LONG"].encode()]
`)
	socket := dir + "/s"
	started(t, "spawned uWSGI worker 1", "uwsgi", "--plugin", "python3", "--need-app", "--die-on-term", "--fastcgi-socket", socket, "--wsgi-file", dir+"/app.py")
	long, body := strings.Repeat("v", 1000), strings.Repeat("x", 100000)
	a := ask(t, socket, []string{"REQUEST_METHOD=POST", "PATH_INFO=/a b", fmt.Sprint("CONTENT_LENGTH=", len(body)), "X_LONG=" + long}, body)
	if a.head != "Status: 201 Made\r\nX-Path: /a b" || a.body != "100000 "+long {
		t.Errorf("%+v", a)
	}
}
