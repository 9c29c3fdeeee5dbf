package main

import (
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// Each test here is one fault. A healthy site beside it must answer all the time as the
// same process, and the log must say, once, what is wrong and what to do.

// faulty is a machine with a healthy site, which is watched from now on.
func faulty(t *testing.T, start func(m *machine)) (*machine, *witness) {
	t.Helper()
	m := sitesMachine(t)
	m.witnessApp()
	m.rules(byName + "emperor-throttle = 300\nemperor-max-throttle = 300\n")
	m.vassal("good", witnessed)
	if start == nil {
		m.start()
	} else {
		start(m)
	}
	m.waitReady()
	return m, m.watch("good.test")
}

// triedOnce starts a machine on which what has failed is tried again only after an edit.
func triedOnce(m *machine) {
	m.rules(byName + "emperor-throttle = 3600000\nemperor-max-throttle = 3600000\n")
	m.start()
}

// small is a program that answers with its number; the lines of prelude come first.
func (m *machine) small(name, prelude string) {
	m.t.Helper()
	m.put(m.path(name), "import os, signal, socket, sys, time\n"+prelude+`
l = socket.socket(fileno=int(os.environ.get("SOCKET_FD", "3")))
while True:
    c, _ = l.accept()
    path = c.recv(65536).split()[1]
    if path == b"/close":
        os.close(int(os.environ["UWSGI_EMPEROR_FD"]))
    if path == b"/kill":
        open(__file__ + ".killed", "a").write("x")
        os.kill(os.getpid(), signal.SIGKILL)
    body = str(os.getpid()).encode()
    try:
        c.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s" % (len(body), body))
    except OSError:
        pass
    c.close()
`)
}

// TestVassalThatIsStopped: it is said, and the order to end reaches it all the same.
func TestVassalThatIsStopped(t *testing.T) {
	t.Parallel()
	m, w := faulty(t, nil)
	m.small("app.py", "")
	m.vassal("site", "socket = DIR/%n.sock\ncommand = python3 DIR/app.py\n")
	m.waitLog(0, "site: vassal ready")
	pid, _ := strconv.Atoi(m.page("site.test", "/"))
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	m.said("site: ", "was stopped by SIGSTOP", "kill -CONT "+fmt.Sprint(pid))
	if err := syscall.Kill(pid, syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	m.said("site: ", "goes on")
	if got := m.page("site.test", "/"); got != fmt.Sprint(pid) {
		t.Errorf("%d goes on as %s", pid, got)
	}
	mark := m.mark()
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	m.waitLog(mark, "site: ", "was stopped by SIGSTOP")
	if text, code := m.order("restart", "site"); code != 0 {
		t.Error(text)
	}
	m.page("site.test", "/")
	if m.logged("site: ", "killed") {
		t.Error("it was not asked to end, but killed")
	}
	w.end()
}

// TestRequestThatKills: a request in the middle of which its process dies is sent once
// more if doing it twice does what doing it once does, so it kills two at most, and then
// the client is told. What else was under way in the first one is so answered by the
// second.
func TestRequestThatKills(t *testing.T) {
	t.Parallel()
	m := sitesMachine(t)
	m.rules(byName + "emperor-throttle = 20\nemperor-max-throttle = 20\n")
	m.small("app.py", "")
	m.vassal("site", "socket = DIR/%n.sock\ncommand = python3 DIR/app.py\n")
	m.start()
	m.waitReady()
	all := 0
	for _, test := range []struct {
		method, body string
		kills        int
	}{{"GET", "", 2}, {"PUT", "text", 2}, {"POST", "text", 1}, {"POST", "", 1}} {
		m.eventually("the site answers", func() bool { status, _, err := m.get("site.test", "/"); return err == nil && status == 200 })
		request, err := http.NewRequest(test.method, "http://"+m.address()+"/kill", strings.NewReader(test.body))
		if err != nil {
			t.Fatal(err)
		}
		request.Host = "site.test"
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		killed, err := os.ReadFile(m.path("app.py.killed"))
		if all += test.kills; err != nil || len(killed) != all || response.StatusCode != http.StatusBadGateway {
			t.Errorf("%s %s: %s, and %d processes killed by now, want %d (%v)", test.method, test.body, response.Status, len(killed), all, err)
			all = len(killed)
		}
	}
}

// TestVassalThatIgnoresTERM: it is killed when its time is over, and nobody waits for that.
func TestVassalThatIgnoresTERM(t *testing.T) {
	t.Parallel()
	m, w := faulty(t, nil)
	m.small("app.py", "signal.signal(signal.SIGTERM, signal.SIG_IGN)")
	m.vassal("site", "socket = DIR/%n.sock\ncommand = python3 DIR/app.py\nstop-timeout = 1\n")
	m.waitLog(0, "site: vassal ready")
	old := m.page("site.test", "/")
	m.touch("vassals.d/site.ini")
	m.waitLog(0, "site: vassal ready", "gen=2")
	if got := m.page("site.test", "/"); got == old {
		t.Error("the old generation answers")
	}
	m.said("site: ", "did not end in time and is killed", "gen=1")
	m.eventually("it is gone", func() bool { return m.processes()[number(old)] == "" })
	w.end()
}

func number(text string) int {
	n, _ := strconv.Atoi(text)
	return n
}

// TestVassalThatGoesIntoTheBackground: a program that leaves is told about, and what it
// has left does not stay; what a healthy one leaves behind is ended with it.
func TestVassalThatGoesIntoTheBackground(t *testing.T) {
	t.Parallel()
	m, w := faulty(t, triedOnce)
	const daemonize = "\nif os.fork(): sys.exit(0)\nos.setsid()\nif os.fork(): sys.exit(0)\n"
	m.small("daemon.py", daemonize)
	m.small("helper.py", "\nif os.fork() == 0:\n    os.setsid()\n    if os.fork() == 0:\n        os.execvp('sleep', ['sleep', '4711'])\n    sys.exit(0)\nos.wait()\n")
	m.vassal("daemon", "socket = DIR/%n.sock\ncommand = python3 DIR/daemon.py\n")
	m.vassal("helper", "socket = DIR/%n.sock\ncommand = python3 DIR/helper.py\n")
	m.waitLog(0, "helper: vassal ready")
	m.said("daemon: ", "exit status 0 (if it goes into the background, tell it to stay in the foreground)")
	m.page("helper.test", "/")
	m.eventually("its helper runs", func() bool { return m.pidOf("sleep 4711") != 0 })
	m.remove("vassals.d/daemon.ini")
	m.remove("vassals.d/helper.ini")
	m.waitLog(0, "helper: gone")
	m.waitLog(0, "daemon: gone")
	if m.pidOf("sleep 4711") != 0 || m.pidOf("daemon.py") != 0 {
		t.Errorf("left behind: %v", m.processes())
	}
	w.end()
}

// TestVassalThatClosesItsControlDescriptor: its successor is started, and no request is
// lost; it is the same for a uWSGI whose master somebody else tells to end.
func TestVassalThatClosesItsControlDescriptor(t *testing.T) {
	t.Parallel()
	m, w := faulty(t, nil)
	m.small("odd", `os.environ["SOCKET_FD"] = "5"; os.write(int(os.environ["UWSGI_EMPEROR_FD"]), b"\x01\x05")`)
	text, err := os.ReadFile(m.path("odd"))
	if err != nil {
		t.Fatal(err)
	}
	m.put(m.path("odd"), "#!/usr/bin/python3 -SE\n"+string(text))
	if err := os.Chmod(m.path("odd"), 0o755); err != nil {
		t.Fatal(err)
	}
	m.vassal("site", "http-socket = DIR/%n.sock\nbinary-path = DIR/odd\nwsgi-file = DIR/webapp.py\nreload-mercy = 2\n")
	m.waitLog(0, "site: vassal ready")
	old := m.page("site.test", "/")
	if got := m.page("site.test", "/close"); got != old {
		t.Errorf("answered by %s", got)
	}
	m.said("site: ", "cursed: it has closed its end of the control descriptor", "closes descriptors that it has not opened", "died")
	m.waitLog(0, "site: vassal ready", "gen=2")
	if got := m.page("site.test", "/"); got == old {
		t.Error("the cursed one answers")
	}
	m.eventually("it is gone", func() bool { return m.processes()[number(old)] == "" })
	w.end()
}

// TestFolderOfVassalsIsReplaced: without it everything goes on; when it is back what is
// the same is not touched, what is not in it ends, what is new starts.
func TestFolderOfVassalsIsReplaced(t *testing.T) {
	t.Parallel()
	m, w := faulty(t, nil)
	m.small("app.py", "")
	m.vassal("site", "socket = DIR/%n.sock\ncommand = python3 DIR/app.py\n")
	m.waitLog(0, "site: vassal ready")
	if err := os.Rename(m.path("vassals.d"), m.path("away")); err != nil {
		t.Fatal(err)
	}
	m.said("there is no such directory; waiting for it, and vassals that were in it go on", m.path("vassals.d"))
	m.page("site.test", "/")
	if err := os.Rename(m.path("away"), m.path("vassals.d")); err != nil {
		t.Fatal(err)
	}
	m.vassal("first", "socket = DIR/%n.sock\ncommand = python3 DIR/app.py\n")
	m.waitLog(0, "first: vassal ready")
	mark := m.mark()
	if err := os.Rename(m.path("vassals.d"), m.path("away")); err != nil {
		t.Fatal(err)
	}
	m.waitLog(mark, "there is no such directory")
	m.remove("away/first.ini")
	m.remove("away/site.ini")
	m.write("away/second.ini", "[uwsgi]\nsocket = DIR/%n.sock\ncommand = python3 DIR/app.py\n")
	if err := os.Rename(m.path("away"), m.path("vassals.d")); err != nil {
		t.Fatal(err)
	}
	m.waitLog(mark, "first: gone")
	m.waitLog(mark, "site: gone")
	m.waitLog(mark, "second: vassal ready")
	w.end()
	if m.logged("good: ", "gen=2") || m.logged("site: ", "gen=2") {
		t.Error("what was the same was started anew")
	}
}

// TestNoProcessesLeft: the emperor's user may have no more processes. What runs goes on,
// and when there are some again what could not start does.
func TestNoProcessesLeft(t *testing.T) {
	t.Parallel()
	var ordinary *syscall.SysProcAttr
	if os.Geteuid() == 0 { // for whom there is no limit
		ordinary = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 61998, Gid: 61998}}
	}
	m, w := faulty(t, func(m *machine) {
		m.rules(byName + "emperor-throttle = 3600000\nemperor-max-throttle = 3600000\n")
		if err := os.Chmod(m.dir, 0o777); err != nil {
			t.Fatal(err)
		}
		command := exec.Command(emperorBinary(t), "uwsgi.ini", "--control", m.path("control.sock"))
		command.SysProcAttr = ordinary
		m.run(command)
	})
	limit := func(processes string) {
		t.Helper()
		command := exec.Command("prlimit", "--pid", fmt.Sprint(m.command.Process.Pid), "--nproc="+processes+":")
		command.SysProcAttr = ordinary
		if out, err := command.CombinedOutput(); err != nil {
			t.Fatalf("%s %v", out, err)
		}
	}
	m.small("app.py", "")
	limits, err := os.ReadFile(fmt.Sprintf("/proc/%d/limits", m.command.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	_, line, _ := strings.Cut(string(limits), "Max processes")
	before := strings.Fields(line)[0]
	limit("1")
	for i := range 20 {
		m.vassal(fmt.Sprint("site", i), "socket = DIR/%n.sock\ncommand = python3 DIR/app.py\n")
	}
	mark := m.mark()
	m.touch("vassals.d/good.ini")
	m.waitLog(mark, "good: the new generation did not come up, the old one goes on", "limit of processes")
	for i := range 20 {
		m.waitLog(0, fmt.Sprint("site", i, ": the vassal did not start"), "limit of processes or threads reached: ulimit -u, TasksMax or pids.max")
	}
	limit(before)
	for i := range 20 {
		m.touch(fmt.Sprint("vassals.d/site", i, ".ini"))
	}
	for i := range 20 {
		m.waitLog(0, fmt.Sprint("site", i, ": vassal ready"))
		m.said(fmt.Sprint("site", i, ": "), "limit of processes or threads reached: ulimit -u, TasksMax or pids.max")
	}
	m.said("good: ", "limit of processes")
	w.end()
}

// TestNoDescriptorsLeft: as TestNoProcessesLeft, with open files.
func TestNoDescriptorsLeft(t *testing.T) {
	t.Parallel()
	m, w := faulty(t, triedOnce)
	limit := func(files int) {
		t.Helper()
		if out, err := exec.Command("prlimit", "--pid", fmt.Sprint(m.command.Process.Pid), "--nofile="+fmt.Sprint(files)+":").CombinedOutput(); err != nil {
			t.Fatalf("%s %v", out, err)
		}
	}
	open, err := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", m.command.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	// Two numbers are free below it.
	lowest := 0
	for free := 0; free < 2; lowest++ {
		if !slices.Contains(open, fmt.Sprintf("/proc/%d/fd/%d", m.command.Process.Pid, lowest)) {
			free++
		}
	}
	m.small("app.py", "")
	limit(lowest)
	m.vassal("site", "socket = DIR/%n.sock\ncommand = python3 DIR/app.py\n")
	m.waitLog(0, "site: the vassal did not start", "RLIMIT_NOFILE", "LimitNOFILE=")
	limit(20000)
	m.touch("vassals.d/site.ini")
	m.waitLog(0, "site: vassal ready")
	m.page("site.test", "/")
	m.said("site: ", "RLIMIT_NOFILE")
	w.end()
}

// TestFullDisk: nothing can be written where the log goes.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	m := sitesMachine(t)
	m.witnessApp()
	m.vassal("good", witnessed)
	m.run(exec.Command("/bin/sh", "-c", `exec "$@" > /dev/full 2>&1`, "sh", emperorBinary(t), "uwsgi.ini", "--control", m.path("control.sock")))
	answers := func(host string) func() bool {
		return func() bool { status, _, err := m.get(host, "/"); return err == nil && status == http.StatusOK }
	}
	m.eventually("good answers", answers("good.test"))
	w := m.watch("good.test")
	m.small("app.py", "")
	m.vassal("site", "socket = DIR/%n.sock\ncommand = python3 DIR/app.py\n")
	m.eventually("site answers", answers("site.test"))
	m.vassal("broken", "socket = DIR/%n.sock\ncommand = echo last words; exit 3\n")
	m.eventually("what could not be logged is shown", func() bool {
		text, _ := m.order("why", "broken")
		return strings.Contains(text, "exit status 3") && strings.Contains(text, "last words")
	})
	w.end()
}

// TestFullDiskOfOneLog: the site goes on whose log has no space, and it is said, once.
func TestFullDiskOfOneLog(t *testing.T) {
	t.Parallel()
	m, w := faulty(t, nil)
	m.small("app.py", "")
	m.vassal("site", "socket = DIR/%n.sock\ncommand = sh -c 'for i in `seq 1000`; do echo a line; done; exec python3 DIR/app.py'\nlogto = /dev/full\n")
	m.waitLog(0, "site: vassal ready")
	m.page("site.test", "/")
	m.said("cannot be written", "/dev/full", "no space left on device")
	w.end()
}

// TestNoRoomForASocket: a file system without a free inode.
func TestNoRoomForASocket(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	if err := os.Mkdir(m.path("full"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount("tmpfs", m.path("full"), "tmpfs", 0, "nr_inodes=2,mode=777"); err != nil {
		if mayAdminister(t) {
			t.Fatal(err)
		}
		t.Logf("not tested: only who may mount can make a full file system (%v)", err)
		return
	}
	t.Cleanup(func() { _ = syscall.Unmount(m.path("full"), syscall.MNT_DETACH) })
	m.put("/"+strings.TrimPrefix(m.path("full/taken"), "/"), "")
	m.witnessApp()
	m.small("app.py", "")
	m.vassal("good", witnessed)
	m.vassal("site", "socket = DIR/full/%n.sock\ncommand = python3 DIR/app.py\n")
	triedOnce(m)
	m.waitReady()
	w := m.watch("good.test")
	m.waitLog(0, "site: the vassal did not start", "no space left on device", m.path("full/site.sock"), "df -i")
	m.remove("full/taken")
	m.touch("vassals.d/site.ini")
	m.waitLog(0, "site: vassal ready")
	m.page("site.test", "/")
	m.said("site: ", "no space left on device")
	w.end()
}

// mayAdminister: this process has the rights of root to mount.
func mayAdminister(t *testing.T) bool {
	t.Helper()
	text, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(text), "CapEff:")
	set, err := strconv.ParseUint(strings.Fields(rest)[0], 16, 64)
	if err != nil {
		t.Fatal(err)
	}
	return set&(1<<unix.CAP_SYS_ADMIN) != 0
}

// TestPatienceOfTheMainFile: emperor-curse-tolerance is how long a vassal may take to end,
// and with emperor-no-blacklist each pause is as long as the first.
func TestPatienceOfTheMainFile(t *testing.T) {
	t.Parallel()
	m := sitesMachine(t)
	m.rules(byName + "emperor-throttle = 40\nemperor-no-blacklist = true\nemperor-curse-tolerance = 1\n")
	m.small("app.py", "signal.signal(signal.SIGTERM, signal.SIG_IGN)")
	m.vassal("site", "socket = DIR/%n.sock\ncommand = python3 DIR/app.py\n")
	m.vassal("broken", "socket = DIR/%n.sock\ncommand = false\n")
	m.start()
	m.waitLog(0, "site: vassal ready")
	m.remove("vassals.d/site.ini")
	line := m.waitLog(0, "site: ", "did not end in time and is killed")
	if _, after, ok := strings.Cut(line, " after="); !ok || len(after) != len("1s") { // without the option it takes two figures
		t.Errorf("the patience of the main file is a second: %s", line)
	}
	// With pauses that double, the fifteenth try would come after eleven minutes.
	m.waitLog(0, "broken: ", "did not start", "gen=15")
}
