package main

import (
	"bufio"
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

// TestEditsAreNoticedWithoutInotify: other programs of the emperor's user have
// taken every inotify instance. Files are looked at every emperor-freq then.
func TestEditsAreNoticedWithoutInotify(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Log("not as an ordinary user: the user's other programs would get no instances meanwhile")
		return
	}
	// A user whom nothing else on the machine is run by: the limit is per user.
	throwaway := &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 61999, Gid: 61999}}
	holder := exec.Command("/usr/bin/python3", "-c", holdEveryWatcher)
	holder.SysProcAttr = throwaway
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
