package main

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
)

// leaver serves, leaves so many children behind when it is asked to, and ends them when
// it is asked for /0. They share one memory: ten thousand with one each would take
// gigabytes, and a minute on a machine that has to find them.
const leaver = `import ctypes, mmap, os, signal, socket
libc = ctypes.CDLL(None)
stack = mmap.mmap(-1, 65536)
top = ctypes.c_void_p(ctypes.addressof(ctypes.c_char.from_buffer(stack)) + 65536)
CLONE_VM = 0x100
left = 0
def leave(n):
    global left
    left = os.fork()
    if left: return os.waitpid(left, 0)
    os.setpgid(0, 0)
    for i in range(n):
        if libc.clone(libc.pause, top, CLONE_VM | signal.SIGCHLD, None) < 0: os.abort()
    os._exit(0)
l = socket.socket(fileno=3)
while True:
    c, _ = l.accept()
    path = c.recv(65536).split()[1][1:]
    if path == b"0": os.killpg(left, signal.SIGKILL)
    elif path: leave(int(path))
    c.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")
    c.close()
`

// TestOrphansOfTheFirstProcess: an emperor that is process 1, as in a container, reaps
// what its vassals have left behind: ten thousand at once do not pile up, cost little of
// the processor, and their neighbours notice nothing.
func TestOrphansOfTheFirstProcess(t *testing.T) {
	t.Parallel()
	const orphans = 10000
	m, first := firstProcess(t)
	w := m.watch("good.test")
	before := processorTime(t, first)
	m.page("leaver.test", fmt.Sprint("/", orphans))
	m.eventually("they have come to process 1", func() bool { return len(m.childrenOf(first)) > orphans })
	m.page("leaver.test", "/0")
	m.eventually("they are reaped", func() bool { return len(m.childrenOf(first)) < 10 })
	spent := processorTime(t, first) - before
	m.page("leaver.test", "/")
	w.end()
	t.Logf("%d ticks of the processor for %d orphans", spent, orphans)
	m.stopFirst(first)
}

// firstProcess starts an emperor that is process 1 of a namespace, with a site that leaves
// orphans and a neighbour; first is its number here. Where no namespace can be had it is
// any process, to which orphans come all the same.
func firstProcess(t *testing.T) (m *machine, first int) {
	t.Helper()
	m = newMachine(t)
	m.witnessApp()
	m.put(m.path("leaver.py"), leaver)
	m.rules(byName)
	m.vassal("good", witnessed)
	m.vassal("leaver", "socket = DIR/%n.sock\ncommand = python3 -S -E DIR/leaver.py\n")
	namespace := []string{"--pid", "--fork", "--mount-proc", "--kill-child"}
	if os.Geteuid() != 0 {
		namespace = append(namespace, "--user", "--map-root-user")
	}
	if out, err := exec.Command("unshare", append(namespace, "true")...).CombinedOutput(); err != nil {
		t.Logf("it is not process 1, for no process namespace can be made here: %s", out)
		m.start()
		m.waitReady()
		return m, m.command.Process.Pid
	}
	m.run(exec.Command("unshare", append(namespace, emperorBinary(t), "uwsgi.ini", "--control", m.path("control.sock"))...))
	m.waitReady()
	if !m.logged("pid=1") {
		t.Fatal("it is not process 1")
	}
	first = m.childOf(m.command.Process.Pid)
	t.Cleanup(func() {
		if t.Failed() {
			_ = syscall.Kill(first, syscall.SIGTERM) // unshare does not pass signals on
		}
	})
	return m, first
}

// stopFirst ends it, and unshare with it.
func (m *machine) stopFirst(first int) {
	m.t.Helper()
	if err := syscall.Kill(first, syscall.SIGTERM); err != nil {
		m.t.Fatal(err)
	}
	if code := m.waitExit(); code != 0 {
		m.t.Errorf("exit %d", code)
	}
}

// TestUpgradeOfTheFirstProcess: process 1 stays process 1 when it is replaced, be it in
// vain; orphans that it had, and those that end meanwhile, are reaped by whoever goes on.
func TestUpgradeOfTheFirstProcess(t *testing.T) {
	t.Parallel()
	const orphans = 300
	faulty := emperorThatFails(t)
	m, first := firstProcess(t)
	if first == m.command.Process.Pid {
		return // what becomes of any other process in upgrades, other tests show
	}
	pids := fmt.Sprint(m.known("good").PIDs)
	w := m.watch("good.test")
	children := len(m.childrenOf(first))
	for n := range 3 {
		m.page("leaver.test", fmt.Sprint("/", orphans))
		m.eventually("they have come to process 1", func() bool { return len(m.childrenOf(first)) > orphans })
		said, code := "", 1
		switch n {
		case 0: // they end when it has been replaced
			said, code = m.order("upgrade", "--json", "--timeout", "50")
		case 1: // they end meanwhile
			m.page("leaver.test", "/0")
			said, code = m.order("upgrade", "--json", "--timeout", "50")
		case 2:
			m.refuses("on-purpose", "--binary", faulty)
		}
		if n < 2 && (code != 0 || !strings.Contains(said, `"pid":1,`) && !strings.Contains(said, `"pid": 1,`)) {
			t.Fatalf("upgrade: exit status %d, %s", code, said)
		}
		if now := m.childOf(m.command.Process.Pid); now != first {
			t.Fatalf("process %d has become %d", first, now)
		}
		if n != 1 {
			m.page("leaver.test", "/0")
		}
		m.eventually("they are reaped", func() bool { return len(m.childrenOf(first)) <= children+1 }) // an earlier router may finish what it has
	}
	w.end()
	if now := fmt.Sprint(m.known("good").PIDs); now != pids {
		t.Errorf("the neighbour had the processes %s and has %s", pids, now)
	}
	m.stopFirst(first)
}

// childrenOf are the numbers of a process's children.
func (m *machine) childrenOf(pid int) []string {
	var all []string
	tasks, _ := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid))
	for _, task := range tasks { // a child belongs to the thread that has made it
		text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/task/%s/children", pid, task.Name()))
		all = append(all, strings.Fields(string(text))...)
	}
	return all
}

// childOf is the one child of a process.
func (m *machine) childOf(pid int) int {
	m.t.Helper()
	children := m.childrenOf(pid)
	if len(children) != 1 {
		m.t.Fatalf("process %d has the children %v", pid, children)
	}
	return number(children[0])
}

// processorTime is what a process has used, in ticks of 10 ms.
func processorTime(t *testing.T, pid int) int {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(text), ") ")
	fields := strings.Fields(rest)
	return number(fields[11]) + number(fields[12])
}
