package control

import (
	"context"
	"errors"
	"io"
	"iter"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fakeEmperor has two vassals; what it is told is written down.
type fakeEmperor struct {
	mu     sync.Mutex
	orders []string
	lines  chan LogLine // what a follower gets after the kept line

	reloaded int
}

func (f *fakeEmperor) Upgrade(context.Context, string, time.Duration, int) error {
	return errors.New("not today")
}

func (f *fakeEmperor) ReloadMain(context.Context, int) error {
	if f.reloaded++; f.reloaded > 1 {
		return errors.New("main.ini:3: a mistake")
	}
	return nil
}

func (f *fakeEmperor) Status() Status {
	return Status{Version: "1.0", Vassals: []VassalStatus{{Name: "blog", State: "ready"}, {Name: "eu/shop", State: "failed"}}}
}

func (f *fakeEmperor) Certificates() []Certificate { return nil }

func (f *fakeEmperor) Events(_ context.Context, follow bool) iter.Seq[Event] {
	return func(yield func(Event) bool) {
		_ = yield(Event{Vassal: "blog", From: "starting", State: "ready"}) && yield(Event{Text: "the main file was applied"})
	}
}

func (f *fakeEmperor) OrderCertificate(context.Context, string) error { return nil }

func (f *fakeEmperor) Vassal(name string) (VassalStatus, bool) {
	for _, v := range f.Status().Vassals {
		if v.Name == name {
			v.Log = []LogLine{{Stream: "stdout", Text: "hello"}}
			return v, true
		}
	}
	return VassalStatus{}, false
}

func (f *fakeEmperor) Order(_ context.Context, name string, o Order) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.orders = append(f.orders, string(o)+" "+name)
	if name == "eu/shop" {
		return errors.New("the new generation ended with exit status 1; the old one stays")
	}
	return nil
}

func (f *fakeEmperor) Logs(ctx context.Context, name string, follow bool) iter.Seq[LogLine] {
	return func(yield func(LogLine) bool) {
		if !yield(LogLine{Stream: "stdout", Text: "kept by " + name}) {
			return
		}
		for follow {
			select {
			case <-ctx.Done():
				return
			case line := <-f.lines:
				if !yield(line) {
					return
				}
			}
		}
	}
}

func serve(t *testing.T) (*fakeEmperor, *Client, *Server, func()) {
	t.Helper()
	f := &fakeEmperor{lines: make(chan LogLine)}
	s, err := New(filepath.Join(t.TempDir(), "emperor.sock"), f, nil)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	stop := sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	t.Cleanup(stop)
	return f, NewClient(s.Path()), s, stop
}

func TestQuestionsAndOrders(t *testing.T) {
	f, c, _, _ := serve(t)
	ctx := t.Context()
	if s, err := c.Status(ctx); err != nil || len(s.Vassals) != 2 || s.Version != "1.0" {
		t.Errorf("Status: %+v, %v", s, err)
	}
	if v, err := c.Vassal(ctx, "shop"); err != nil || v.Name != "eu/shop" || len(v.Log) != 1 {
		t.Errorf("Vassal: %+v, %v", v, err)
	}
	if v, err := c.Order(ctx, "blog", Reload); err != nil || v.Name != "blog" {
		t.Errorf("reload blog: %+v, %v", v, err)
	}
	v, err := c.Order(ctx, "eu/shop", Restart)
	if err == nil || !strings.Contains(err.Error(), "the old one stays") || v.State != "failed" {
		t.Errorf("restart eu/shop: %+v, %v; want the reason and the state", v, err)
	}
	var refused *Error
	_, err = c.Vassal(ctx, "blgo")
	if !errors.As(err, &refused) || refused.Status != 404 || len(refused.Near) != 1 || refused.Near[0] != "blog" {
		t.Errorf("a wrong name: %#v", err)
	}
	if _, err = c.Order(ctx, "blog", "dance"); err == nil || !strings.Contains(err.Error(), "want start, stop, reload, restart, pause or resume") {
		t.Errorf("a wrong order: %v", err)
	}
	if got := strings.Join(f.orders, ", "); got != "reload blog, restart eu/shop" {
		t.Errorf("orders given: %s", got)
	}
}

func TestLogs(t *testing.T) {
	f, c, _, stop := serve(t)
	var got []string
	for line, err := range c.Logs(t.Context(), "blog", false) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, line.Text)
	}
	if len(got) != 1 || got[0] != "kept by blog" {
		t.Errorf("kept lines: %q", got)
	}
	for _, err := range c.Logs(t.Context(), "nobody", true) {
		if err == nil || !strings.Contains(err.Error(), `no vassal "nobody"`) {
			t.Errorf("logs of nobody: %v", err)
		}
	}

	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	got = nil
	for line, err := range c.Logs(ctx, "blog", true) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, line.Text)
		switch len(got) {
		case 1: // the kept one arrived although nothing follows yet
			go func() { f.lines <- LogLine{Text: "new"} }()
		case 2:
			cancel()
		}
	}
	if strings.Join(got, ", ") != "kept by blog, new" {
		t.Errorf("followed lines: %q", got)
	}

	// A follower must not keep the emperor from ending.
	for line := range c.Logs(t.Context(), "blog", true) {
		if line.Text == "kept by blog" {
			stop()
		}
	}
}

func TestCurlIsAClient(t *testing.T) {
	_, _, s, _ := serve(t)
	for path, want := range map[string]string{
		"/status":                    `"name":"eu/shop"`,
		"/vassals/eu%2Fshop":         `"state":"failed"`,
		"/vassals/blog/logs?x=1":     `"text":"kept by blog"`,
		"/elsewhere":                 `want GET /status`,
		"/vassals/blog/logs/further": `want GET /status`,
	} {
		out, err := exec.Command("curl", "-sS", "--max-time", "30", "--unix-socket", s.Path(), "http://emperor"+path).CombinedOutput()
		if err != nil || !strings.Contains(string(out), want) {
			t.Errorf("curl %s: %v\n%swant %s", path, err, out, want)
		}
	}
}

func TestSocketInTheWay(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "emperor.sock")

	t.Log("a file of another kind is left alone")
	if err := os.WriteFile(path, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := New(path, nil, nil); err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("got %v, want an error naming %s", err, path)
	}
	if text, _ := os.ReadFile(path); string(text) != "precious" {
		t.Errorf("the file now holds %q", text)
	}
	os.Remove(path)

	t.Log("a socket nobody answers is replaced")
	old, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	old.SetUnlinkOnClose(false)
	old.Close()
	first, err := New(path, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Lstat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v; want 0600", info.Mode(), err)
	}

	t.Log("a live one is not")
	if _, err := New(path, nil, nil); err == nil || !strings.Contains(err.Error(), "another emperor answers") {
		t.Errorf("got %v, want an error about another emperor", err)
	}

	t.Log("closing removes our own file only")
	if err := os.Rename(path, path+".moved"); err != nil {
		t.Fatal(err)
	}
	second, err := New(path, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := first.Close(); err != nil {
		t.Error(err)
	}
	if _, err := os.Lstat(path); err != nil {
		t.Errorf("the second server's socket went with the first: %v", err)
	}
	if err := second.Close(); err != nil {
		t.Error(err)
	}
	if _, err := os.Lstat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the socket's file is still there: %v", err)
	}

	if _, err := New(filepath.Join(dir, strings.Repeat("x", 100), "y"), nil, nil); err == nil || !strings.Contains(err.Error(), "at most 107 bytes") {
		t.Errorf("a long path: %v", err)
	}
}

func TestNobodyThere(t *testing.T) {
	path := filepath.Join(t.TempDir(), "none.sock")
	_, err := NewClient(path).Status(t.Context())
	if err == nil || !strings.HasPrefix(err.Error(), "no emperor answers at "+path) {
		t.Errorf("got %v", err)
	}
	if _, err := NewClient(Path("none")).Status(t.Context()); err == nil || !strings.Contains(err.Error(), "control = none") {
		t.Errorf("without a control socket: %v", err)
	}
	if err := unreachable(path, &net.OpError{Err: os.NewSyscallError("connect", syscall.EACCES)}); !strings.Contains(err.Error(), "only root") {
		t.Errorf("got %v", err)
	}
}

// Something else than an emperor must not look like an answer.
func TestAnswerOfAStranger(t *testing.T) {
	path := filepath.Join(t.TempDir(), "web.sock")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	t.Cleanup(func() { l.Close(); <-done })
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			c.Read(make([]byte, 1000))
			io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nhi")
			c.Close()
		}
	}()
	if _, err := NewClient(path).Status(t.Context()); err == nil || !strings.Contains(err.Error(), "want an answer of an emperor") {
		t.Errorf("got %v", err)
	}
}

func TestWhoMay(t *testing.T) {
	for _, test := range []struct {
		own, uid       int
		order, believe bool
	}{
		{0, 0, true, true},
		{1000, 1000, true, true},
		{1000, 0, true, true},
		{0, 1000, false, true},
		{1000, 1001, false, false},
	} {
		if got := mayOrder(test.own, test.uid) == nil; got != test.order {
			t.Errorf("user %d orders an emperor of %d: %v, want %v", test.uid, test.own, got, test.order)
		}
		if got := mayBelieve("/tmp/x", test.own, test.uid) == nil; got != test.believe {
			t.Errorf("user %d believes a socket of %d: %v, want %v", test.own, test.uid, got, test.believe)
		}
	}
}

// The socket's mode is the first door, the kernel's word on the peer the second.
func TestStrangersAreRefused(t *testing.T) {
	if os.Getuid() != 0 {
		return // only root can become somebody else; TestWhoMay holds for everybody
	}
	_, _, s, _ := serve(t)
	dir := filepath.Dir(s.Path())
	for path, mode := range map[string]os.FileMode{s.Path(): 0o666, dir: 0o755, filepath.Dir(dir): 0o755} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
	}
	curl := exec.Command("curl", "-sS", "--max-time", "30", "--unix-socket", s.Path(), "http://emperor/status")
	curl.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	out, err := curl.CombinedOutput()
	if want := "only root and user 0 may talk to this emperor, you are user 65534"; err != nil || !strings.Contains(string(out), want) {
		t.Errorf("curl as nobody: %v\n%swant %s", err, out, want)
	}
}

// A connection that says nothing must not keep the emperor from ending.
func TestSilentClient(t *testing.T) {
	_, _, s, stop := serve(t)
	c, err := net.Dial("unix", s.Path())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	stop()
	c.SetReadDeadline(time.Now().Add(30 * time.Second))
	if _, err := c.Read(make([]byte, 1)); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("the silent connection is still open: %v", err)
	}
}

func (f *fakeEmperor) OrderLogs(_ context.Context, name string, rotate bool) error {
	if name == "quiet" {
		return errors.New("it has no log file of its own")
	}
	return nil
}

// TestReloadMain: who asks hears what came of it, now or from another binary.
func TestReloadMain(t *testing.T) {
	_, c, _, stop := serve(t)
	defer stop()
	if u, err := c.ReloadMain(t.Context()); err != nil || u.Version != "" {
		t.Error(u, err)
	}
	if _, err := c.ReloadMain(t.Context()); err == nil || err.Error() != "main.ini:3: a mistake" {
		t.Error(err)
	}
	if _, err := c.Upgrade(t.Context(), ""); err == nil || err.Error() != "not today" {
		t.Error(err)
	}
}
