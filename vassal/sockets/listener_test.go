package sockets

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"emperor/vassal/spec"

	"golang.org/x/sys/unix"
)

func shortDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "v")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

func plainRules(dir string) spec.SocketRules {
	return spec.SocketRules{Dir: dir, Umask: -1, UID: -1, GID: -1, Backlog: 16}
}

func socketAt(t *testing.T, text string) spec.Socket {
	t.Helper()
	a, err := spec.ParseAddress(text)
	if err != nil {
		t.Fatal(err)
	}
	return spec.Socket{Address: text, Held: true, At: a}
}

// boundName is the text uWSGI compares with its option.
func boundName(t *testing.T, l *Listener) string {
	t.Helper()
	name, err := unix.Getsockname(l.FD)
	if err != nil {
		t.Fatal(err)
	}
	return name.(*unix.SockaddrUnix).Name
}

func TestBoundUnderExactlyTheText(t *testing.T) {
	dir := shortDir(t)
	before, _ := os.Getwd()
	for _, text := range []string{"rel.sock", "./dot.sock", filepath.Join(dir, "abs.sock"), filepath.Join(dir, "..", filepath.Base(dir), "up.sock"), "@" + filepath.Join(dir, "abstract")} {
		rules := plainRules(dir)
		if text == "rel.sock" {
			rules.Umask = 0o077
		}
		a, err := spec.ParseAddress(text)
		if err != nil {
			t.Fatal(err)
		}
		l, err := listen(a, rules)
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		if got := boundName(t, l); got != text {
			t.Errorf("bound as %q, want %q", got, text)
		}
		network, to := a.Dialable(dir)
		c, err := net.Dial(network, to)
		if err != nil {
			t.Errorf("%s: %v", text, err)
		} else {
			c.Close()
		}
		if text == "rel.sock" {
			if info, err := os.Stat(filepath.Join(dir, text)); err != nil || info.Mode().Perm() != 0o700 {
				t.Errorf("mode %v, want the mask to leave 0700", info.Mode())
			}
		}
		l.Release()
	}
	if after, _ := os.Getwd(); after != before {
		t.Errorf("the working directory is %s now", after)
	}
	if left, _ := os.ReadDir(dir); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestWhatIsAtThePath(t *testing.T) {
	for _, test := range []struct {
		name  string
		put   func(path string) func()
		want  string // empty: replaced
		stays bool
	}{
		{"stale socket", func(path string) func() {
			fd, _ := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM, 0)
			unix.Bind(fd, &unix.SockaddrUnix{Name: path})
			unix.Close(fd)
			return func() {}
		}, "", false},
		{"live socket", func(path string) func() {
			l, err := net.Listen("unix", path)
			if err != nil {
				panic(err)
			}
			return func() { l.Close() }
		}, "another program answers at", true},
		{"file", func(path string) func() { os.WriteFile(path, []byte("precious"), 0o600); return func() {} }, "is a file, not a socket", true},
		{"directory", func(path string) func() { os.Mkdir(path, 0o700); return func() {} }, "is a directory", true},
		{"link to a socket", func(path string) func() { os.Symlink("elsewhere", path); return func() {} }, "is a symbolic link", true},
	} {
		t.Run(test.name, func(t *testing.T) {
			path := filepath.Join(shortDir(t), "s")
			defer test.put(path)()
			before, _ := os.Lstat(path)
			l, err := listen(spec.Address{Text: path, Path: path}, plainRules(""))
			if err == nil {
				defer l.Release()
			}
			if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
				t.Errorf("error %v, want %q", err, test.want)
			}
			after, _ := os.Lstat(path)
			if test.stays && (after == nil || !os.SameFile(before, after)) {
				t.Error("what was at the path was touched")
			}
		})
	}
}

func TestParentDirectory(t *testing.T) {
	dir := shortDir(t) // below /tmp
	path := filepath.Join(dir, "a", "b", "s")
	l, err := listen(spec.Address{Text: path, Path: path}, plainRules(""))
	if err != nil {
		t.Fatal(err)
	}
	l.Release()
	_, err = listen(spec.Address{Text: "/nowhere/s", Path: "/nowhere/s"}, plainRules(""))
	if err == nil || !strings.Contains(err.Error(), "the directory /nowhere does not exist") {
		t.Errorf("error %v", err)
	}
}

func TestModeAndGroup(t *testing.T) {
	path := filepath.Join(shortDir(t), "s")
	rules := plainRules("")
	rules.Mode, rules.HasMode = 0o660, true
	rules.GID = os.Getgid()
	l, err := listen(spec.Address{Text: path, Path: path}, rules)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Release()
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o660 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
}

func TestOwners(t *testing.T) {
	dir := shortDir(t)
	sockets := New()
	path := filepath.Join(dir, "s")
	socket := socketAt(t, path)
	first, err := sockets.Hold("a", socket, plainRules(dir))
	if err != nil {
		t.Fatal(err)
	}
	again, err := sockets.Hold("a", socket, plainRules(dir))
	if err != nil || again != first {
		t.Fatalf("a second hold gave another listener (%v)", err)
	}
	again.Release()
	if _, err := sockets.Hold("b", socket, plainRules(dir)); err == nil || !strings.Contains(err.Error(), "belongs to vassal a") {
		t.Errorf("a second vassal got the socket: %v", err)
	}
	// The file of a was renamed to b: the queue goes along.
	sockets.Leave("a", true)
	taken, err := sockets.Hold("b", socket, plainRules(dir))
	if err != nil || taken != first {
		t.Fatalf("the socket was not taken over: %v", err)
	}
	sockets.Keep("a", nil)
	first.Release()
	if !taken.AtPath() {
		t.Error("the former owner took the file along")
	}
	taken.Release()
	sockets.Keep("b", nil)
	if _, err := os.Lstat(path); err == nil {
		t.Error("the file was left behind")
	}
}

func TestExchange(t *testing.T) {
	dir := shortDir(t)
	sockets := New()
	socket := socketAt(t, filepath.Join(dir, "s"))
	rules := plainRules(dir)
	old, err := sockets.Hold("a", socket, rules)
	if err != nil {
		t.Fatal(err)
	}
	fresh, err := sockets.Beside("a", socket, rules, 2)
	if err != nil {
		t.Fatal(err)
	}
	waiting, err := net.Dial("unix", socket.Address) // to the old one
	if err != nil {
		t.Fatal(err)
	}
	defer waiting.Close()
	if err := sockets.Exchange("a", socket, rules, fresh); err != nil {
		t.Fatal(err)
	}
	c, err := net.Dial("unix", socket.Address)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if !old.Pending() || !fresh.Pending() {
		t.Errorf("pending: old %t, fresh %t; want one connection in each", old.Pending(), fresh.Pending())
	}
	old.Release()
	if !fresh.AtPath() {
		t.Error("the old listener removed the fresh one's file")
	}
	// Somebody replaces the file: it is not touched.
	os.Remove(socket.Address)
	stranger, err := net.Listen("unix", socket.Address)
	if err != nil {
		t.Fatal(err)
	}
	defer stranger.Close()
	third, err := sockets.Beside("a", socket, rules, 3)
	if err != nil {
		t.Fatal(err)
	}
	if err := sockets.Exchange("a", socket, rules, third); err == nil || !strings.Contains(err.Error(), "replaced by somebody else") {
		t.Errorf("error %v", err)
	}
	third.Release()
	fresh.Release()
	sockets.Keep("a", nil)
	if c, err := net.Dial("unix", socket.Address); err != nil {
		t.Errorf("the stranger's socket is gone: %v", err)
	} else {
		c.Close()
	}
}

func mustAddress(t *testing.T, text string) spec.Address {
	t.Helper()
	a, err := spec.ParseAddress(text)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// TestOnBehalf: what is done for a vassal of another user is done with that
// user's rights, by one thread, and no other part of the process notices.
func TestOnBehalf(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Log("only root can become somebody else; nothing to see here")
		return
	}
	nobody, err := spec.LookupAccount("nobody", "")
	if err != nil {
		t.Fatal(err)
	}
	dir := shortDir(t)
	open, closed := filepath.Join(dir, "open"), filepath.Join(dir, "closed")
	os.Chmod(dir, 0o755)
	os.Mkdir(closed, 0o755)
	os.Mkdir(open, 0o755)
	os.Chown(open, int(nobody.UID), int(nobody.GID))
	rules := plainRules("")
	rules.As = nobody
	for _, path := range []string{filepath.Join(closed, "s"), "/etc/emperor-test.sock"} {
		if l, err := listen(spec.Address{Text: path, Path: path}, rules); err == nil {
			l.Release()
			t.Errorf("%s was bound for a user who may not write there", path)
		}
	}
	if l, err := listen(mustAddress(t, "127.0.0.1:1"), rules); err == nil {
		l.Release()
		t.Error("a low port was bound for a user who may not")
	}
	path := filepath.Join(open, "s")
	rules.Group = 12345
	l, err := listen(spec.Address{Text: path, Path: path}, rules)
	if err != nil {
		t.Fatal(err)
	}
	var st unix.Stat_t
	if err := unix.Lstat(path, &st); err != nil || st.Uid != nobody.UID || st.Gid != 12345 || st.Mode&0o777 != 0o660 {
		t.Errorf("owner %d:%d, mode %o, %v; want %d:12345, 660", st.Uid, st.Gid, st.Mode&0o777, err, nobody.UID)
	}
	l.Release()
	if _, err := os.Lstat(path); err == nil {
		t.Error("the socket was left behind")
	}
	// Every thread that stays is still root.
	for stranger := "?"; stranger != ""; {
		stranger = ""
		tasks, err := os.ReadDir("/proc/self/task")
		if err != nil {
			t.Fatal(err)
		}
		for _, task := range tasks {
			text, _ := os.ReadFile("/proc/self/task/" + task.Name() + "/status")
			for line := range strings.Lines(string(text)) {
				if strings.HasPrefix(line, "Uid:") && line != "Uid:\t0\t0\t0\t0\n" {
					stranger = line // ends in a moment, or the test never does
				}
			}
		}
	}
}
