package sockets

import (
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"emperor/vassal/spec"
)

// TestTwinKeepsThePath: the file at the path is the same afterwards, the name of
// the second socket that of the first, and both are told apart.
func TestTwinKeepsThePath(t *testing.T) {
	for _, way := range []string{"elsewhere", "in place"} {
		for _, name := range []string{"s", "below/it/s", "/s", "/below//./it/s"} {
			if way == "elsewhere" && name[0] == '/' && os.Geteuid() != 0 {
				continue // TestTwinWithoutRights
			}
			t.Run(way+" "+name, func(t *testing.T) { testTwin(t, way, name) })
		}
	}
}

func testTwin(t *testing.T, way, name string) {
	dir := t.TempDir()
	rules := spec.SocketRules{Dir: dir, Umask: 0o077, UID: -1, GID: -1, Backlog: 5}
	folder := filepath.Dir(filepath.Join(dir, name))
	if name[0] == '/' {
		name = dir + name
		rules.Dir = ""
	}
	if err := os.MkdirAll(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	sockets := New()
	twin := sockets.Twin
	if way == "in place" {
		twin = sockets.TwinInPlace
	}
	socket := spec.Socket{Address: "s", Held: true, At: spec.Address{Text: name, Path: name}}
	first, err := sockets.Hold("site", socket, rules)
	if err != nil {
		t.Fatal(err)
	}
	defer sockets.Keep("site", nil)
	defer first.Release()
	for _, left := range []string{".s.2", ".s.5~/kept"} {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(folder, left)), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(folder, left), []byte("precious"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(folder, ".s.3~"), 0o700); err != nil {
		t.Fatal(err) // as an emperor that was killed leaves it
	}
	if _, err := twin("site", socket, rules, 2); err == nil || !first.AtPath() {
		t.Errorf("a file in the way: %v, the path ours: %t", err, first.AtPath())
	}
	if way == "elsewhere" {
		if _, err := twin("site", socket, rules, 5); !errors.Is(err, ErrOnlyInPlace) || !first.AtPath() {
			t.Errorf("something in the folder that is made for it: %v, the path ours: %t", err, first.AtPath())
		}
	}
	second, err := twin("site", socket, rules, 3)
	if err != nil {
		t.Fatal(err)
	}
	defer second.Release()
	if !first.AtPath() || !second.AtPath() || second.Path != filepath.Join(folder, ".s.3") {
		t.Errorf("first at its path %t, second at %s %t", first.AtPath(), second.Path, second.AtPath())
	}
	t.Chdir(dir) // the names may be too long for a socket's address
	for _, dial := range []struct {
		path string
		to   *Listener
	}{{first.Path, first}, {second.Path, second}} {
		path, _ := filepath.Rel(dir, dial.path)
		c, err := net.Dial("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		if got := c.RemoteAddr().String(); got != name || !dial.to.Pending() {
			t.Errorf("connected to a socket of the name %q, want %s", got, name)
		}
		_ = c.Close()
		if info, err := os.Stat(dial.path); err != nil || info.Mode().Perm() != 0o700 {
			t.Errorf("%s has mode %v, %v: the file mask was 077", dial.path, info.Mode(), err)
		}
	}
	if _, err := twin("other", socket, rules, 4); err == nil {
		t.Error("another vassal got a twin")
	}
	if err := sockets.Exchange("site", socket, rules, second); err != nil || !sockets.Has(second) || sockets.Has(first) {
		t.Errorf("exchange: %v", err)
	}
	if way == "elsewhere" {
		if err := sockets.Renew("site", socket, rules, 6); err != nil || sockets.Has(second) || second.AtPath() {
			t.Errorf("renew: %v", err)
		}
	}
	left, _ := filepath.Glob(filepath.Join(folder, ".*"))
	want := 2 // what was there before
	if way == "in place" {
		want = 3
	}
	if len(left) != want {
		t.Errorf("beside the path there is %q", left)
	}
}

// TestRenewIsNotSeen: whoever connects while sockets are renewed is accepted by the old or
// by the new one, and nobody finds the path empty.
func TestRenewIsNotSeen(t *testing.T) {
	dir, err := os.MkdirTemp("", "s")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	sockets := New()
	path := filepath.Join(dir, "s")
	socket := spec.Socket{Address: path, Held: true, At: spec.Address{Text: path, Path: path}}
	rules := spec.SocketRules{Umask: 0o007, UID: -1, GID: -1, Backlog: 500}
	uid, gid := os.Geteuid(), os.Getegid()
	if uid == 0 { // a tenant's
		uid, gid = 54321, 54321
		rules.As = &spec.Account{UID: 54321, GID: 54321}
		if err := os.Chmod(dir, 0o777); err != nil {
			t.Fatal(err)
		}
	} else { // who may not change the root can do so with a name that begins nowhere
		socket.At.Path, rules.Dir = "s", dir
	}
	first, err := sockets.Hold("site", socket, rules)
	if err != nil {
		t.Fatal(err)
	}
	first.Release()
	defer sockets.Keep("site", nil)
	stop := make(chan struct{})
	var clients sync.WaitGroup
	for range 2 {
		clients.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				c, err := net.Dial("unix", path)
				if err == nil {
					_ = c.Close()
				} else if !errors.Is(err, syscall.EAGAIN) { // the queue is full: nobody accepts here
					t.Errorf("a client: %v", err)
					return
				}
			}
		})
	}
	for n := range 300 {
		if err := sockets.Renew("site", socket, rules, uint64(n)); err != nil {
			t.Fatal(err)
		}
	}
	close(stop)
	clients.Wait()
	var st syscall.Stat_t
	if err := syscall.Lstat(path, &st); err != nil || int(st.Uid) != uid || int(st.Gid) != gid || st.Mode&0o777 != 0o770 {
		t.Errorf("the socket is of user %d, group %d, mode %o, %v", st.Uid, st.Gid, st.Mode&0o777, err)
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 1 {
		t.Errorf("left beside it: %v, %v", entries, err)
	}
}

// TestTwinWithoutRights: an emperor that is not root is told that it takes the path away
// for a moment where the name begins at the root, and nowhere else.
func TestTwinWithoutRights(t *testing.T) {
	if os.Geteuid() == 0 {
		self, err := os.Open("/proc/self/exe") // it stands where others may not look
		if err != nil {
			t.Fatal(err)
		}
		defer self.Close()
		command := exec.Command("/proc/self/fd/3", "-test.run", "^TestTwinWithoutRights$", "-test.v")
		command.ExtraFiles, command.Dir = []*os.File{self}, "/tmp"
		command.Env = append(os.Environ(), "TMPDIR=/tmp")
		command.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 54321, Gid: 54321}}
		if out, err := command.CombinedOutput(); err != nil || !strings.Contains(string(out), "--- PASS") {
			t.Errorf("as another user: %v\n%s", err, out)
		}
		return
	}
	dir := t.TempDir()
	sockets := New()
	for _, name := range []string{"s", dir + "/t"} {
		socket := spec.Socket{Address: name, Held: true, At: spec.Address{Text: name, Path: name}}
		rules := spec.SocketRules{Dir: dir, Umask: -1, UID: -1, GID: -1, Backlog: 5}
		first, err := sockets.Hold("site", socket, rules)
		if err != nil {
			t.Fatal(err)
		}
		defer first.Release()
		if err := sockets.Renew("site", socket, rules, 1); name == "s" && err != nil || name != "s" && !errors.Is(err, ErrOnlyInPlace) {
			t.Errorf("%s renewed: %v", name, err)
		}
		second, err := sockets.TwinInPlace("site", socket, rules, 2)
		if err != nil {
			t.Fatal(err)
		}
		second.Release()
	}
	sockets.Keep("site", nil)
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 1 { // first of t, which is held here
		t.Errorf("left: %v, %v", entries, err)
	}
}
