package main

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// leaver serves, leaves so many children behind when it is asked to, and lets them end
// when it is asked for /0.
const leaver = `import os, socket
r, w = os.pipe()
def leave(n):
    if os.fork(): return os.wait()
    os.close(w)
    for i in range(n):
        if os.fork() == 0:
            os.read(r, 1)
            os._exit(0)
    os._exit(0)
l = socket.socket(fileno=3)
while True:
    c, _ = l.accept()
    path = c.recv(65536).split()[1][1:]
    if path == b"0": os.close(w)
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
	m := newMachine(t)
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
		t.Logf("not tested: no process namespace can be made here: %s", out)
		return
	}
	m.run(exec.Command("unshare", append(namespace, emperorBinary(t), "uwsgi.ini", "--control", m.path("control.sock"))...))
	m.waitReady()
	if !m.logged("pid=1") {
		t.Fatal("it is not process 1")
	}
	first := m.childOf(m.command.Process.Pid)
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
	// unshare does not pass signals on.
	if err := exec.Command("kill", "-TERM", fmt.Sprint(first)).Run(); err != nil {
		t.Fatal(err)
	}
	if code := m.waitExit(); code != 0 {
		t.Errorf("exit %d", code)
	}
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
