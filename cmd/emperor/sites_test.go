package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// The scenario tests run one site, webapp of testdata/apps, which answers with
// its release and process, in the ways in which people run sites.

// kinds are those ways.
var kinds = []struct{ name, vassal string }{
	{"uwsgi-processes", `
socket = DIR/%n.sock
plugin = python3
chdir = DIR
wsgi-file = DIR/webapp.py
processes = 4
disable-logging = true
`},
	{"uwsgi-threads", `
socket = DIR/%n.sock
plugin = python3
chdir = DIR
wsgi-file = DIR/webapp.py
processes = 2
threads = 16
disable-logging = true
`},
	{"gunicorn-gthread", `
socket = DIR/%n.sock
chdir = DIR
command = gunicorn --worker-class gthread --workers 2 --threads 32 --graceful-timeout 60 webapp:application
`},
	{"node", `
chdir = DIR
command = node webapp.js
`},
}

// threaded is a vassal with four threads in each of two processes.
const threaded = `
socket = DIR/%n.sock
plugin = python3
chdir = DIR
wsgi-file = DIR/webapp.py
processes = 2
threads = 4
disable-logging = true
`

// sitesMachine has the apps, as release 0, and a main file whose rules send
// NAME.test to the vassal NAME.
func sitesMachine(t *testing.T) *machine {
	t.Helper()
	m := newMachine(t)
	apps, err := filepath.Glob("testdata/apps/*")
	if err != nil || len(apps) == 0 {
		t.Fatal("no apps in testdata/apps", err)
	}
	for _, app := range apps {
		m.copyFile(app, filepath.Base(app))
	}
	m.write("RELEASE", "0")
	m.rules(byName)
	return m
}

const byName = "route-host = ^([-\\w]+)\\.test$ vassal:$1\n"

// rules writes the main file.
func (m *machine) rules(text string) {
	m.t.Helper()
	m.write("uwsgi.ini", "[uwsgi]\nemperor = %dvassals.d/*.ini\nhttp = :PORT\n"+text)
}

// vassal writes the file of a vassal.
func (m *machine) vassal(name, text string) {
	m.t.Helper()
	m.write("vassals.d/"+name+".ini", "[uwsgi]\n"+text)
}

// untilRelease waits until a site answers with that release.
func (m *machine) untilRelease(host, release string) {
	m.t.Helper()
	m.eventually(host+" answers with release "+release, func() bool {
		_, body, err := m.get(host, "/")
		return err == nil && strings.HasPrefix(body, "release "+release+" ")
	})
}

// answering asks a site which process answers.
func (m *machine) answering(host string) int {
	m.t.Helper()
	words := strings.Fields(m.page(host, "/"))
	pid, err := strconv.Atoi(words[len(words)-1])
	if err != nil {
		m.t.Fatalf("%q: %v", words, err)
	}
	return pid
}

// untilGone waits for the end of a process.
func (m *machine) untilGone(pid int) {
	m.t.Helper()
	m.eventually(fmt.Sprintf("process %d is gone", pid), func() bool { return !alive(pid) })
}

// alive tells whether a process is there and no zombie.
func alive(pid int) bool {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return false
	}
	after := strings.TrimSpace(string(text[strings.LastIndexByte(string(text), ')')+1:]))
	return !strings.HasPrefix(after, "Z")
}

// visitors starts clients that ask a site without pause.
func (m *machine) visitors(host string) *load {
	m.t.Helper()
	m.untilRelease(host, "0")
	return startLoad(m.t, m.address(), host, 8)
}

// report ends the load and fails the test for each request that failed.
func report(t *testing.T, l *load, during string) {
	t.Helper()
	failures := l.end()
	t.Logf("%d requests during %s, %d failed", l.requests.Load(), during, len(failures))
	for i, failure := range failures {
		if i == 20 {
			t.Error("…")
			break
		}
		t.Error(failure)
	}
}

// fromEnvironment is a number that a long run of a test changes.
func fromEnvironment(t *testing.T, name string, otherwise int) int {
	t.Helper()
	text := os.Getenv(name)
	if text == "" {
		return otherwise
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return n
}

// moment is long enough for what must not happen to have happened.
const moment = 5 * time.Second
