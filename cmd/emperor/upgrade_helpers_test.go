package main

import (
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"

	"emperor/emperor/control"
)

// ticker is a daemon that writes lines in pieces.
const ticker = `
import os, time
n = 0
while True:
    os.write(1, b"tick ")
    time.sleep(0.01)
    os.write(1, b"%d\ntock %d\n" % (n, n))
    n += 1
`

// TestDaemonsOverUpgrades: daemons of every kind keep their processes while the emperor is
// replaced, also by a binary that fails; no line of theirs is lost, none is there twice,
// and they are taken care of afterwards as before.
func TestDaemonsOverUpgrades(t *testing.T) {
	t.Parallel()
	faulty := emperorThatFails(t)
	m := sitesMachine(t)
	m.write("ticker.py", ticker)
	detach := m.program("detach", "#!/bin/sh\nsleep 5823 &\necho $! > "+m.path("detached.pid")+"\n")
	m.vassal("site", "chdir = DIR\ncommand = node webapp.js\n"+
		"attach-daemon = python3 DIR/ticker.py\n"+
		"smart-attach-daemon2 = DIR/kept.pid sleep 5822\n"+
		"smart-attach-daemon = DIR/detached.pid,1 "+detach+"\n"+
		"cron = 0 0 29 2 -1 never\n")
	m.write("folder/index.html", "folder")
	m.vassal("folder", "static = DIR/folder\nattach-daemon = sleep 5824\n")
	m.start()
	m.waitReady()
	// daemons is the processes of all, "" while one does not run.
	daemons := func() string {
		var pids []string
		for _, name := range []string{"site", "folder"} {
			for _, d := range m.known(name).Daemons {
				if d.PID == 0 || d.Restarts > 0 {
					return ""
				}
				pids = append(pids, fmt.Sprint(d.PID))
			}
		}
		text, _ := os.ReadFile(m.path("detached.pid"))
		if len(pids) != 4 || pids[2] != strings.TrimSpace(string(text)) {
			return ""
		}
		return strings.Join(pids, " ")
	}
	var before string
	m.eventually("daemons run", func() bool { before = daemons(); return before != "" })
	descriptors := m.descriptors()
	for range 2 {
		m.upgrade()
		m.refuses("on-purpose", "--binary", faulty)
		m.eventually("they go on", func() bool { return daemons() == before })
	}
	m.eventually("no descriptor is left over", func() bool { return m.descriptors() <= descriptors })
	if text, _ := m.order("why", "site"); !strings.Contains(text, "cron (site.ini:") || !strings.Contains(text, "next ") {
		t.Errorf("why:\n%s", text)
	}
	// Every line was heard.
	heard := m.mark()
	m.waitLog(heard, "site | tock ")
	m.mu.Lock()
	next := map[string]int{}
	started := 0
	for _, line := range m.lines {
		if strings.Contains(line, "daemon started") {
			started++
		}
		_, text, ok := strings.Cut(line, "site | ")
		word, number, found := strings.Cut(text, " ")
		if !ok || !found || word != "tick" && word != "tock" {
			continue
		}
		if number != fmt.Sprint(next[word]) {
			t.Errorf("after %s %d came %q", word, next[word]-1, text)
			break
		}
		next[word]++
	}
	m.mu.Unlock()
	if started != 4 {
		t.Errorf("daemons were started %d times, want 4", started)
	}

	// One that dies is started again; all end with their vassal.
	first := m.known("site").Daemons[0].PID
	if err := syscall.Kill(first, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	var now []control.DaemonStatus
	m.eventually("it is started again", func() bool {
		now = m.known("site").Daemons
		return len(now) == 3 && now[0].PID != 0 && now[0].PID != first
	})
	m.remove("vassals.d/site.ini")
	for _, d := range now {
		m.untilGone(d.PID)
	}
	m.eventually("its pid file is gone", func() bool { _, err := os.Stat(m.path("kept.pid")); return os.IsNotExist(err) })
	m.stop()
}
