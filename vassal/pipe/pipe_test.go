package pipe_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"emperor/internal/proc"
	"emperor/internal/testvassal"
	"emperor/vassal/pipe"
)

func TestMain(m *testing.M) {
	testvassal.MaybeRun()
	goleak.VerifyTestMain(m)
}

// deadline is generous: it only ends a test that hangs.
const deadline = 60 * time.Second

func pair(t *testing.T) (*pipe.Conn, int) {
	t.Helper()
	c, fd, err := pipe.Pair()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c, fd
}

func next(t *testing.T, c *pipe.Conn) (pipe.Report, bool) {
	t.Helper()
	select {
	case r, ok := <-c.Events():
		return r, ok
	case <-time.After(deadline):
		t.Fatal("no report")
		return 0, false
	}
}

func TestBothWays(t *testing.T) {
	c, fd := pair(t)
	if err := c.Send(pipe.Reload); err != nil {
		t.Fatal(err)
	}
	if err := c.Send(pipe.StopGraceful); err != nil {
		t.Fatal(err)
	}
	var got [8]byte
	if n, err := syscall.Read(fd, got[:]); err != nil || !slices.Equal(got[:n], []byte{1, 2}) {
		t.Errorf("the vassal reads %v, %v", got[:n], err)
	}
	if _, err := syscall.Write(fd, []byte{1, 5, 17, 99}); err != nil {
		t.Fatal(err)
	}
	for _, want := range []pipe.Report{pipe.Spawned, pipe.Accepting, pipe.Loyal, 99} {
		if got, ok := next(t, c); !ok || got != want {
			t.Errorf("report %v, %t; want %v", got, ok, want)
		}
	}
	syscall.Close(fd)
	if got, ok := next(t, c); ok {
		t.Errorf("report %v after the end", got)
	}
	if err := c.Send(pipe.Stop); !errors.Is(err, pipe.ErrClosed) {
		t.Errorf("sending to nobody: %v", err)
	}
}

func TestSendNeverBlocks(t *testing.T) {
	c, fd := pair(t)
	defer syscall.Close(fd)
	for {
		err := c.Send(pipe.Reload)
		if errors.Is(err, pipe.ErrFull) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

func TestCloseWithReportsNobodyTakes(t *testing.T) {
	c, fd := pair(t)
	defer syscall.Close(fd)
	if _, err := syscall.Write(fd, make([]byte, 1000)); err != nil {
		t.Fatal(err)
	}
	if err := c.Close(); err != nil {
		t.Error(err)
	}
	if err := c.Send(pipe.Stop); !errors.Is(err, pipe.ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
	if n, err := syscall.Read(fd, make([]byte, 1)); n > 0 || err != nil && err != syscall.ECONNRESET {
		t.Errorf("the vassal does not see the end: %d, %v", n, err)
	}
}

func TestNames(t *testing.T) {
	for b := range 256 {
		if pipe.Order(b).String() == "" || pipe.Report(b).String() == "" {
			t.Errorf("byte %d has no name", b)
		}
	}
	if got := fmt.Sprint(pipe.Accepting, ", ", pipe.Report(99), ", ", pipe.StopGraceful); got != "accepting, report 99, stop gracefully" {
		t.Error(got)
	}
}

// startUWSGI starts a real uWSGI with a small application and gives our end.
func startUWSGI(t *testing.T) (*proc.Process, *pipe.Conn, string) {
	t.Helper()
	if _, err := exec.LookPath("uwsgi"); err != nil {
		t.Fatalf("this test needs a real uWSGI (Debian: uwsgi-core uwsgi-plugin-python3): %v", err)
	}
	dir := t.TempDir()
	app, socket := filepath.Join(dir, "app.py"), filepath.Join(dir, "app.sock")
	code := "def application(environ, start_response):\n    start_response('200 OK', [])\n    return [b'hello']\n"
	if err := os.WriteFile(app, []byte(code), 0o644); err != nil {
		t.Fatal(err)
	}
	c, fd := pair(t)
	starter := proc.NewStarter("pipe-test")
	t.Cleanup(starter.Close)
	ctx, cancel := context.WithTimeout(context.Background(), deadline)
	t.Cleanup(cancel)
	p, err := starter.Start(ctx, &proc.Command{
		Name: "app", Path: "uwsgi",
		Args:  []string{"uwsgi", "--plugin", "python3", "--master", "--http-socket", socket, "--wsgi-file", app, "--need-app"},
		Env:   append(os.Environ(), pipe.FDVariable+"=7"),
		Files: map[int]int{7: fd}, Umask: -1, MaxOpenFiles: 1024,
	})
	syscall.Close(fd)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.KillTree(ctx); err != nil {
			t.Error(err)
		}
	})
	for _, want := range []pipe.Report{pipe.Spawned, pipe.Accepting} {
		if got, ok := next(t, c); !ok || got != want {
			t.Fatalf("report %v, %t; want %v", got, ok, want)
		}
	}
	return p, c, socket
}

func TestRealUWSGI(t *testing.T) {
	for _, order := range []pipe.Order{pipe.Stop, pipe.StopGraceful} {
		t.Run(order.String(), func(t *testing.T) {
			p, c, socket := startUWSGI(t)
			connection, err := net.Dial("unix", socket)
			if err != nil {
				t.Fatal(err)
			}
			defer connection.Close()
			if _, err := connection.Write([]byte("GET / HTTP/1.0\r\n\r\n")); err != nil {
				t.Fatal(err)
			}
			if got, ok := next(t, c); !ok || got != pipe.Loyal {
				t.Errorf("after a request: %v, %t; want loyal", got, ok)
			}
			if err := c.Send(pipe.Reload); err != nil {
				t.Fatal(err)
			}
			// Not Spawned: the master is the same.
			if got, ok := next(t, c); !ok || got != pipe.Accepting {
				t.Errorf("after a reload: %v, %t; want accepting", got, ok)
			}
			if err := c.Send(order); err != nil {
				t.Fatal(err)
			}
			if got, ok := next(t, c); ok {
				t.Errorf("after the order to stop: %v", got)
			}
			if got := p.Exit(); !got.Success() {
				t.Error(got)
			}
		})
	}
}

func TestRealUWSGIStopsWithItsEmperor(t *testing.T) {
	p, c, _ := startUWSGI(t)
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	if got := p.Exit().String(); got != "exit status 1" {
		t.Errorf("%s; a uWSGI that lost its emperor exits with status 1", got)
	}
}
