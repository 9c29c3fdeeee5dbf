package testvassal_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"emperor/internal/testport"
	"emperor/internal/testvassal"
)

func TestMain(m *testing.M) {
	testvassal.MaybeRun()
	goleak.VerifyTestMain(m)
}

func command(t *testing.T, words ...string) *exec.Cmd {
	t.Helper()
	path, args, env := testvassal.Command(t, words...)
	return &exec.Cmd{Path: path, Args: args, Env: env, Stderr: os.Stderr}
}

func TestWords(t *testing.T) {
	for _, test := range []struct {
		words []string
		out   string
		code  int
	}{
		{[]string{"print=hello, world", "env=NOBODY_SETS_THIS"}, "hello, world\nNOBODY_SETS_THIS unset\n", 0},
		{[]string{"print=a", "exit=3", "print=b"}, "a\n", 3},
		{[]string{"kill=TERM"}, "", -1},
		{[]string{"clean-env", "env=PATH", "exit=4"}, "PATH unset\n", 4},
	} {
		c := command(t, test.words...)
		out, err := c.Output()
		var exit *exec.ExitError
		if err != nil && !errors.As(err, &exit) || string(out) != test.out || c.ProcessState.ExitCode() != test.code {
			t.Errorf("%v: %q, status %d, %v", test.words, out, c.ProcessState.ExitCode(), err)
		}
	}
}

// get asks until somebody answers.
func get(t *testing.T, client *http.Client, url string) string {
	t.Helper()
	for end := time.Now().Add(60 * time.Second); ; time.Sleep(time.Millisecond) {
		response, err := client.Get(url)
		if err != nil {
			if time.Now().After(end) {
				t.Fatal(err)
			}
			continue
		}
		defer response.Body.Close()
		body, err := io.ReadAll(response.Body)
		if err != nil {
			t.Fatal(err)
		}
		return string(body)
	}
}

func TestServe(t *testing.T) {
	dir := t.TempDir()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	file, err := listener.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	port := testport.Free(t)
	path := filepath.Join(dir, "s")

	for _, test := range []struct {
		name, network, address string
		words                  []string
	}{
		{"inherited", "tcp", listener.Addr().String(), []string{"serve", "fd=3", "body=hello", "ready-after=1ms"}},
		{"unix", "unix", path, []string{"unix=" + path, "body=hello", "serve"}},
		{"PORT", "tcp", "127.0.0.1:" + port, []string{"port", "body=hello", "serve"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := command(t, test.words...)
			c.Env = append(c.Env, "PORT="+port)
			c.ExtraFiles = []*os.File{file}
			if err := c.Start(); err != nil {
				t.Fatal(err)
			}
			transport := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
				return new(net.Dialer).DialContext(ctx, test.network, test.address)
			}}
			client := &http.Client{Transport: transport}
			defer client.CloseIdleConnections()
			if got := get(t, client, "http://x/"); got != "hello" {
				t.Errorf("%q", got)
			}
			response, err := client.Post("http://x/count", "", strings.NewReader(strings.Repeat("x", 100_000)))
			if err != nil {
				t.Fatal(err)
			}
			if body, _ := io.ReadAll(response.Body); string(body) != "100000\n" {
				t.Errorf("%q", body)
			}
			response.Body.Close()
			client.CloseIdleConnections()
			if err := c.Process.Signal(syscall.SIGTERM); err != nil {
				t.Fatal(err)
			}
			if err := c.Wait(); err != nil {
				t.Error(err)
			}
		})
	}
	listener.Close()
	file.Close()
}

func TestCrashAfter(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	c := command(t, "serve", "unix="+path, "crash-after=2")
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", path)
	}}}
	defer client.CloseIdleConnections()
	if got := get(t, client, "http://x/"); !strings.HasPrefix(got, "pid ") {
		t.Errorf("%q", got)
	}
	if _, err := client.Get("http://x/"); err == nil {
		t.Error("the last request was answered")
	}
	c.Wait()
	if got := c.ProcessState.ExitCode(); got != 70 {
		t.Errorf("status %d", got)
	}
}
