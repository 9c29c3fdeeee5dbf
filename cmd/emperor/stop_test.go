package main

import (
	"io"
	"strings"
	"sync"
	"syscall"
	"testing"
)

// TestTermToEveryProcessAtOnce: platforms and service managers send TERM to all
// processes, not only to the first. Requests under way end well all the same,
// nothing is started any more, nothing survives.
func TestTermToEveryProcessAtOnce(t *testing.T) {
	t.Parallel()
	m := sitesMachine(t)
	for _, kind := range kinds {
		m.vassal(kind.name, kind.vassal)
	}
	m.start()
	var slow sync.WaitGroup
	for _, kind := range kinds {
		host := kind.name + ".test"
		m.untilRelease(host, "0")
		v, err := visit(m.address(), host)
		if err != nil {
			t.Fatal(err)
		}
		defer v.close()
		// Under way: the first byte of the answer is here.
		body, err := v.begin("/slow?s=3")
		if err != nil {
			t.Fatalf("%s: %v", host, err)
		}
		slow.Go(func() {
			text, err := io.ReadAll(body)
			if err != nil || !strings.HasSuffix(string(text), "done") {
				t.Errorf("%s: a request under way ended with %q, %v", host, text, err)
			}
		})
	}
	all := m.processes()
	for pid := range all {
		_ = syscall.Kill(pid, syscall.SIGTERM)
	}
	slow.Wait()
	if code := m.waitExit(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	for pid, words := range all {
		if alive(pid) {
			t.Errorf("process %d survived: %s", pid, words)
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if n := strings.Count(strings.Join(m.lines, "\n"), "vassal starting"); n != len(kinds) {
		t.Errorf("%d starts were logged, want %d: something was started during the stop", n, len(kinds))
	}
}

// TestNothingSurvivesAKilledEmperor: the emperor is killed, with a vassal that
// has put a daemon into the background; five seconds later nothing is left, and
// the next emperor starts on the same sockets.
func TestNothingSurvivesAKilledEmperor(t *testing.T) {
	t.Parallel()
	m := sitesMachine(t)
	m.vassal("site", threaded)
	m.write("daemon.sh", "#!/bin/sh\n(setsid sleep 1000 &)\nexec node webapp.js\n")
	m.vassal("forking", "chdir = DIR\ncommand = sh DIR/daemon.sh\n")
	m.start()
	m.untilRelease("site.test", "0")
	m.untilRelease("forking.test", "0")
	all := m.processes()
	m.signal(syscall.SIGKILL)
	m.waitExit()

	m.start()
	m.untilRelease("site.test", "0")
	m.untilRelease("forking.test", "0")
	for pid, words := range all {
		if alive(pid) {
			t.Errorf("process %d survived its emperor and the sweep of the next: %s", pid, words)
		}
	}
	m.stop()
}

// TestIdleConnectionIsNotClosedUnderAClient: with HUP and rule changes a kept
// connection stays usable, also one that was idle meanwhile.
func TestIdleConnectionIsNotClosedUnderAClient(t *testing.T) {
	t.Parallel()
	m := sitesMachine(t)
	m.vassal("site", threaded)
	m.start()
	m.untilRelease("site.test", "0")
	v, err := visit(m.address(), "site.test")
	if err != nil {
		t.Fatal(err)
	}
	defer v.close()
	for range 5 {
		if _, err := v.get("/"); err != nil {
			t.Fatal(err)
		}
		mark := m.mark()
		m.signal(syscall.SIGHUP)
		m.waitLog(mark, "the main file was")
	}
}
