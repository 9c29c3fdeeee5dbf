package scgi

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"
)

// parsed takes a request apart as the specification says.
func parsed(t *testing.T, b []byte) (vars []string, body string) {
	t.Helper()
	digits, rest, ok := strings.Cut(string(b), ":")
	size, err := strconv.Atoi(digits)
	if !ok || err != nil || digits != strconv.Itoa(size) || len(rest) <= size || rest[size] != ',' {
		t.Fatalf("no netstring: %.100q", b)
	}
	fields := strings.Split(strings.TrimSuffix(rest[:size], "\x00"), "\x00")
	for i := 0; i+1 < len(fields); i += 2 {
		vars = append(vars, fields[i]+"="+fields[i+1])
	}
	return vars, rest[size+1:]
}

func TestRequest(t *testing.T) {
	for _, size := range []int{0, 1, 100, 1000, 100000} {
		value := strings.Repeat("v", size)
		var w Writer
		w.Begin([]byte("before"), 4)
		w.Var("REQUEST_METHOD", "POST")
		w.VarBytes("CONTENT_LENGTH", []byte("5")) // Begin said it
		w.Pair([]byte("LONG"), []byte(value))
		w.Var("SCGI", "2")
		w.Var("EMPTY", "")
		out, err := w.Finish()
		if err != nil || !bytes.HasPrefix(out, []byte("before")) {
			t.Fatalf("%.20q, %v", out, err)
		}
		vars, body := parsed(t, append(out, "body"...)[len("before"):])
		want := "[CONTENT_LENGTH=4 SCGI=1 REQUEST_METHOD=POST LONG=" + value + " EMPTY=]"
		if got := fmt.Sprint(vars); got != want || body != "body" {
			t.Errorf("%.100s, body %q, want %.100s", got, body, want)
		}
	}
}

func TestNULIsRefused(t *testing.T) {
	for _, v := range [][2]string{{"A\x00B", "c"}, {"A", "b\x00"}} {
		var w Writer
		w.Begin([]byte("before"), 0)
		w.Var(v[0], v[1])
		w.Var("C", "d")
		if out, err := w.Finish(); !errors.Is(err, ErrNUL) || string(out) != "before" {
			t.Errorf("%q: %q, %v", v, out, err)
		}
		w.Begin(nil, 0)
		if _, err := w.Finish(); err != nil {
			t.Errorf("after it: %v", err)
		}
	}
}

func TestNothingAllocates(t *testing.T) {
	var w Writer
	var buf []byte
	name, value := []byte("NAME"), []byte(strings.Repeat("v", 300))
	if n := testing.AllocsPerRun(100, func() {
		w.Begin(buf[:0], 3)
		w.Var("REQUEST_METHOD", "GET")
		w.VarBytes("REQUEST_URI", value)
		w.Pair(name, value)
		buf, _ = w.Finish()
	}); n > 0 {
		t.Errorf("%v allocations for a request", n)
	}
}

func FuzzRequest(f *testing.F) {
	f.Add("NAME", "value", int64(3))
	f.Fuzz(func(t *testing.T, name, value string, length int64) {
		var w Writer
		w.Begin(nil, length)
		w.Var(name, value)
		out, err := w.Finish()
		if (err != nil) != strings.Contains(name+value, "\x00") {
			t.Fatal(err)
		}
		if err != nil || name == "CONTENT_LENGTH" || name == "SCGI" {
			return
		}
		vars, _ := parsed(t, out)
		if len(vars) != 3 || vars[0] != fmt.Sprint("CONTENT_LENGTH=", length) || vars[2] != name+"="+value {
			t.Fatalf("%q", vars)
		}
	})
}

// TestUWSGI: a real program understands it.
func TestUWSGI(t *testing.T) {
	dir := t.TempDir()
	app := `
def application(env, start_response):
    body = env["wsgi.input"].read(int(env["CONTENT_LENGTH"]))
    start_response("201 Made", [("X-Path", env["PATH_INFO"])])
    return [str(len(body)).encode(), b" ", env["X_LONG"].encode()]
`
	if err := os.WriteFile(dir+"/app.py", []byte(app), 0o644); err != nil {
		t.Fatal(err)
	}
	command := exec.Command("uwsgi", "--plugin", "python3", "--need-app", "--die-on-term", "--scgi-socket", dir+"/s", "--wsgi-file", dir+"/app.py")
	var said bytes.Buffer
	command.Stderr = &said
	if err := command.Start(); err != nil {
		t.Fatalf("uwsgi has to be installed: %v", err)
	}
	defer func() {
		_ = command.Process.Kill()
		_ = command.Wait()
		if t.Failed() {
			t.Log(said.String())
		}
	}()
	var conn net.Conn
	var err error
	for deadline := time.Now().Add(30 * time.Second); ; {
		if conn, err = net.Dial("unix", dir+"/s"); err == nil {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Millisecond)
	}
	defer func() { _ = conn.Close() }()
	_ = conn.SetDeadline(time.Now().Add(30 * time.Second))
	long, body := strings.Repeat("v", 1000), strings.Repeat("x", 100000)
	var w Writer
	w.Begin(nil, int64(len(body)))
	w.Var("REQUEST_METHOD", "POST")
	w.Var("PATH_INFO", "/a b")
	w.Var("X_LONG", long)
	out, err := w.Finish()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Write(append(out, body...)); err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(conn)
	if want := "Status: 201 Made\r\nX-Path: /a b\r\n\r\n100000 " + long; string(got) != want || err != nil {
		t.Errorf("%q, %v", got, err)
	}
}
