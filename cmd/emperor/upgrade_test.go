package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"emperor/emperor/control"
)

// faultyBinary fails when it takes over, after it said that it could; built once.
var faultyBinary struct {
	once sync.Once
	err  error
}

func emperorThatFails(t *testing.T) string {
	t.Helper()
	good := emperorBinary(t)
	path := filepath.Join(filepath.Dir(good), "faulty")
	faultyBinary.once.Do(func() {
		build := exec.Command("go", "build", "-race", "-ldflags", "-X main.takeoverFault=on-purpose -X main.version=faulty", "-o", path, ".")
		build.Env = append(os.Environ(), "CGO_ENABLED=1")
		if out, err := build.CombinedOutput(); err != nil {
			faultyBinary.err = fmt.Errorf("go build: %w\n%s", err, out)
		}
	})
	if faultyBinary.err != nil {
		t.Fatal(faultyBinary.err)
	}
	return path
}

// program writes a file that can be executed.
func (m *machine) program(name, text string) string {
	m.t.Helper()
	m.put(m.path(name), text)
	if err := os.Chmod(m.path(name), 0o755); err != nil {
		m.t.Fatal(err)
	}
	return m.path(name)
}

// known asks for a vassal's.
func (m *machine) known(name string) control.VassalStatus {
	m.t.Helper()
	client := control.NewClient(m.path("control.sock"))
	client.Patience = patience
	v, err := client.Vassal(context.Background(), name)
	if err != nil {
		m.t.Fatal(err)
	}
	return v
}

// upgrade runs `emperor upgrade`, which must work.
func (m *machine) upgrade(words ...string) control.Upgrade {
	m.t.Helper()
	said, code := "", 0
	for range 5 { // a machine that is busy may take long with a change that is under way
		said, code = m.order(append([]string{"upgrade", "--json", "--timeout", "50"}, words...)...)
		if !strings.Contains(said, "in the middle of a change") {
			break
		}
	}
	var u control.Upgrade
	if err := json.Unmarshal([]byte(said), &u); code != 0 || err != nil || len(u.Restarted) > 0 || u.Problem != "" || u.PID != m.command.Process.Pid {
		m.t.Fatalf("upgrade: exit status %d: %s (%v)", code, said, err)
	}
	return u
}

// descriptors is how many the emperor has.
func (m *machine) descriptors() int {
	entries, _ := os.ReadDir(fmt.Sprintf("/proc/%d/fd", m.command.Process.Pid))
	return len(entries)
}

// talking writes lines in pieces, and has a site.
const talking = `
import os, socket, sys, threading, time
def talk():
    for n in range(1 << 30):
        os.write(1, b"tick ")
        time.sleep(0.02)
        os.write(1, b"%d\ntock " % n)
        time.sleep(0.005)
        os.write(1, b"%d\n" % n)
threading.Thread(target=talk, daemon=True).start()
s = socket.socket(fileno=3)
while True:
    c, _ = s.accept()
    c.recv(65536)
    c.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok")
    c.close()
`

// TestNoRequestFailsInUpgrades replaces the emperor over and over while clients ask,
// and long requests, uploads and websockets are under way; also by what cannot take over.
func TestNoRequestFailsInUpgrades(t *testing.T) {
	t.Parallel()
	upgrades := fromEnvironment(t, "EMPEROR_UPGRADES", 20)
	faulty := emperorThatFails(t)
	m := sitesMachine(t)
	running := []string{"uwsgi-threads", "gunicorn-gthread", "node"}
	for _, kind := range kinds {
		if slices.Contains(running, kind.name) {
			m.vassal(kind.name, kind.vassal)
		}
	}
	m.vassal("edited", "chdir = DIR\ncommand = node webapp.js\nreload-mercy = 40\n")
	m.vassal("sleeper", "chdir = DIR\ncommand = gunicorn webapp:application\non-demand = true\nsocket = DIR/%n.sock\n")
	m.vassal("failing", "command = /bin/false\nsocket = DIR/%n.sock\n")
	m.write("talking.py", talking)
	m.vassal("talking", "command = python3 DIR/talking.py\nsocket = DIR/%n.sock\n")
	m.start()
	m.waitReady()
	var visitors []*load
	pids := map[string]string{}
	for _, name := range running {
		m.untilRelease(name+".test", "0")
		visitors = append(visitors, startLoad(t, m.address(), name+".test", 2))
		pids[name] = fmt.Sprint(m.known(name).PIDs)
	}
	pids["talking"] = fmt.Sprint(m.known("talking").PIDs)
	descriptors := m.descriptors()

	var under []*companions
	routers := map[int]bool{}
	for n := range upgrades {
		during := &companions{load: visitors[n%len(visitors)]}
		during.accompany(2)
		under = append(under, during)
		switch n % 5 {
		case 1:
			crash := m.program("crash", "#!/bin/sh\nkill -SEGV $$\n")
			m.refuses("SIGSEGV", "--binary", crash)
			hang := m.program("hang", "#!/bin/sh\nexec sleep 1000\n")
			m.refuses("has not said within 1s", "--timeout", "1", "--binary", hang)
			m.refuses("on-purpose", "--binary", faulty)
			m.refuses("is another program", "--binary", "/bin/true")
		case 2:
			// An edit while it happens, and a request that the old generation finishes.
			old := m.answering("edited.test")
			begun, result := slowly(m, "edited.test", "3")
			<-begun
			m.vassal("edited", fmt.Sprintf("chdir = DIR\ncommand = node webapp.js\nreload-mercy = 40\n; edit %d\n", n))
			m.upgrade()
			if got := <-result; !strings.HasSuffix(got, "done") {
				t.Errorf("a request from before the edit and the upgrade got %q", got)
			}
			m.untilGone(old)
			if now := m.answering("edited.test"); now == old {
				t.Error("the edit was not carried out")
			}
		default:
			m.upgrade()
		}
		for name, before := range pids {
			if now := fmt.Sprint(m.known(name).PIDs); now != before {
				t.Fatalf("upgrade %d: %s had the processes %s, and has %s", n, name, before, now)
			}
		}
		m.eventually("the router is the new binary's", func() bool {
			s, err := control.NewClient(m.path("control.sock")).Status(t.Context())
			if err != nil || s.Router == nil {
				return false
			}
			again := routers[s.Router.PID] && n%5 != 1
			routers[s.Router.PID] = true
			return !again || m.logged("earlier routers still finish requests")
		})
		if len(under) > 1 {
			under[len(under)-2].hangUp()
		}
	}
	for _, during := range under {
		during.end()
	}
	for _, v := range visitors {
		report(t, v, fmt.Sprintf("%d upgrades", upgrades))
	}
	if v := m.known("sleeper"); v.State != "asleep" {
		t.Errorf("the sleeper is %s", v.State)
	}
	if body := m.page("sleeper.test", "/"); !strings.HasPrefix(body, "release 0 ") {
		t.Errorf("the sleeper answers %q", body)
	}
	if v := m.known("failing"); v.State != "failed" && v.State != "starting" {
		t.Errorf("who failed is %s", v.State)
	}
	m.eventually("no descriptor is left over", func() bool { return m.descriptors() <= descriptors+descriptorsOfSleeper })
	m.wantEveryLine("talking")
	m.stop()
}

// descriptorsOfSleeper are those of a vassal that has been woken: a process, a pipe
// and a notify socket.
const descriptorsOfSleeper = 4

// refuses runs an upgrade that must come to nothing, for that reason.
func (m *machine) refuses(why string, words ...string) {
	m.t.Helper()
	said, code := m.order(append([]string{"upgrade", "--timeout", "50"}, words...)...)
	if code != 1 || !strings.Contains(said, why) {
		m.t.Errorf("upgrade %q: exit status %d, %q; want 1 and %q", words, code, said, why)
	}
}

// wantEveryLine fails the test if a line of the talking vassal is missing or broken.
func (m *machine) wantEveryLine(name string) {
	m.t.Helper()
	m.mu.Lock()
	defer m.mu.Unlock()
	tick, tock := 0, 0
	for _, line := range m.lines {
		_, text, ok := strings.Cut(line, name+" | ")
		if !ok {
			continue
		}
		word, number, _ := strings.Cut(text, " ")
		n, err := strconv.Atoi(number)
		switch {
		case err == nil && word == "tick" && n == tick:
			tick++
		case err == nil && word == "tock" && n == tock:
			tock++
		default:
			m.t.Errorf("after tick %d and tock %d came %q", tick, tock, text)
			return
		}
	}
	if tick == 0 {
		m.t.Errorf("%s has said nothing", name)
	}
}

// TestHangUpUpgrades: SIGHUP means an upgrade if the program's file was replaced, and then
// what it always does.
func TestHangUpUpgrades(t *testing.T) {
	t.Parallel()
	m := sitesMachine(t)
	m.vassal("site", "chdir = DIR\ncommand = node webapp.js\n")
	own := m.path("emperor")
	built := emperorBinary(t)
	install := func() {
		// A process that is started just now would have the file open for writing, too,
		// until it has become another program; nobody could execute it meanwhile.
		syscall.ForkLock.RLock()
		defer syscall.ForkLock.RUnlock()
		from, err := os.Open(built)
		if err != nil {
			t.Fatal(err)
		}
		defer from.Close()
		to, err := os.OpenFile(own+".new", os.O_CREATE|os.O_WRONLY, 0o755)
		if err == nil {
			_, err = io.Copy(to, from)
		}
		if err != nil || to.Close() != nil || os.Rename(own+".new", own) != nil {
			t.Fatal("the binary cannot be installed", err)
		}
	}
	install()
	m.run(exec.Command(own, "uwsgi.ini", "--control", m.path("control.sock")))
	m.waitReady()
	before := m.known("site").PIDs

	mark := m.mark()
	m.signal(syscall.SIGHUP)
	m.waitLog(mark, "nothing to change")
	if m.logged("takes over from") {
		t.Error("it was upgraded although nothing was installed")
	}

	install()
	m.rules(byName + "route-host = ^new\\.example$ vassal:site\n")
	mark = m.mark()
	m.signal(syscall.SIGHUP)
	m.waitLog(mark, "takes over from")
	m.waitLog(mark, "SIGHUP: reading the main file again")
	m.waitLog(mark, "the emperor was upgraded")
	m.untilRelease("new.example", "0")
	if now := m.known("site").PIDs; fmt.Sprint(now) != fmt.Sprint(before) {
		t.Errorf("the vassal had %v and has %v", before, now)
	}

	// A program that is none: one line, and the main file is read all the same.
	m.program("emperor", "#!/bin/sh\nexit 3\n")
	m.rules(byName + "route-host = ^newer\\.example$ vassal:site\n")
	mark = m.mark()
	m.signal(syscall.SIGHUP)
	m.waitLog(mark, "was not upgraded", "exit status 3")
	m.waitLog(mark, "SIGHUP: reading the main file again")
	m.untilRelease("newer.example", "0")
	m.stop()
}
