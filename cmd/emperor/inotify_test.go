package main

import (
	"bufio"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
)

// holdEveryWatcher is a program that takes all inotify instances that its user may
// have, says so, and keeps them until its input ends.
const holdEveryWatcher = `
import ctypes, resource, sys
hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
libc = ctypes.CDLL(None, use_errno=True)
while libc.inotify_init1(0) >= 0:
    pass
print(ctypes.get_errno(), flush=True)
sys.stdin.read()
`

// withoutInotify is a user who gets no inotify instance, until the test ends. Nothing else
// on the machine may be run by that user: the limit is per user.
func withoutInotify(t *testing.T, uid uint32) *syscall.SysProcAttr {
	t.Helper()
	user := &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: uid}}
	holder := exec.Command("/usr/bin/python3", "-c", holdEveryWatcher)
	holder.SysProcAttr = user
	input, err := holder.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	output, err := holder.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := holder.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = input.Close(); _ = holder.Wait() })
	if said, err := bufio.NewReader(output).ReadString('\n'); err != nil || said != "24\n" { // EMFILE
		t.Fatalf("%q, %v", said, err)
	}
	return user
}

// TestEditsAreNoticedWithoutInotify: other programs of the emperor's user have
// taken every inotify instance. Files are looked at every emperor-freq then.
func TestEditsAreNoticedWithoutInotify(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Log("not as an ordinary user: the user's other programs would get no instances meanwhile")
		return
	}
	throwaway := withoutInotify(t, 61999)
	m := uwsgiMachine(t)
	if err := os.Chmod(m.dir, 0o777); err != nil {
		t.Fatal(err)
	}
	command := exec.Command(emperorBinary(t), "uwsgi.ini", "--emperor-freq", "1", "--control", m.path("control.sock"))
	command.SysProcAttr = throwaway
	m.run(command)
	m.waitLog(0, "warn", "fs.inotify.max_user_instances", "scanning every 1s")
	m.waitReady()
	m.write("app/RELEASE", "two\n")
	m.touch("vassals.d/shop.ini")
	m.write("vassals.d/blog.ini", pythonSite)
	for _, host := range []string{"shop.example.com", "blog.example.com"} {
		m.eventually("the new release answers for "+host, func() bool {
			_, body, err := m.get(host, "/")
			return err == nil && strings.HasPrefix(body, "release two")
		})
	}
	m.remove("vassals.d/blog.ini")
	m.waitLog(0, "blog: gone")
	m.write("uwsgi.ini", issueMain+"route-host = ^shop\\.example\\.org$ vassal:shop\n")
	m.waitLog(0, "the main file was applied")
	m.page("shop.example.org", "/")
	m.stop()
	m.mu.Lock()
	defer m.mu.Unlock()
	if n := strings.Count(strings.Join(m.lines, "\n"), "fs.inotify"); n != 1 {
		t.Errorf("said %d times", n)
	}
}

// TestLookNow: SIGWINCH, and a connection to emperor-trigger-socket, make the emperor look
// for vassals, where nothing else would for an hour.
func TestLookNow(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Log("not as an ordinary user: the user's other programs would get no instances meanwhile")
		return
	}
	user := withoutInotify(t, 61996)
	m := sitesMachine(t)
	if err := os.Chmod(m.dir, 0o777); err != nil {
		t.Fatal(err)
	}
	const text = "socket = DIR/%n.sock\ncommand = python3 DIR/app.py\n"
	m.small("app.py", "")
	m.vassal("first", text)
	m.rules(byName + "emperor-freq = 3600\nemperor-trigger-socket = DIR/trigger\n")
	command := exec.Command(emperorBinary(t), "uwsgi.ini", "--control", m.path("control.sock"))
	command.SysProcAttr = user
	m.run(command)
	m.waitLog(0, "fs.inotify.max_user_instances", "scanning every 1h")
	m.waitReady()
	m.vassal("second", text)
	m.signal(syscall.SIGWINCH)
	m.waitLog(0, "second: vassal ready")
	m.vassal("third", text)
	conn, err := net.Dial("unix", m.path("trigger"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	m.waitLog(0, "third: vassal ready")
}
