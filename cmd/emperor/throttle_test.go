package main

import (
	"fmt"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"
)

// witness is a healthy site beside trouble: it is asked all the time, and must answer each
// time, as the same process.
type witness struct {
	m    *machine
	host string
	pid  string
	stop chan struct{}
	done sync.WaitGroup
	seen int
}

// witnessed is a vassal whose answer is the number of its process.
const witnessed = "socket = DIR/%n.sock\nplugin = python3\nwsgi-file = DIR/witness.py\nprocesses = 2\nmaster = true\ndisable-logging = true\n"

// watch begins to ask a host whose vassal is witnessed. Call end.
func (m *machine) watch(host string) *witness {
	m.t.Helper()
	w := &witness{m: m, host: host, pid: m.page(host, "/"), stop: make(chan struct{})}
	w.done.Go(func() {
		for {
			select {
			case <-w.stop:
				return
			case <-time.After(10 * time.Millisecond):
			}
			if status, body, err := m.get(host, "/"); status != http.StatusOK || body != w.pid || err != nil {
				m.t.Errorf("%s answers %d %q, %v; want %q", host, status, body, err, w.pid)
				return
			}
			w.seen++
		}
	})
	return w
}

// witnessApp writes the app of witnessed: the master's number is the parent's.
func (m *machine) witnessApp() {
	m.put(m.path("witness.py"), "import os\ndef application(e, r):\n    r('200 OK', [])\n    return [str(os.getppid()).encode()]\n")
}

// end tells whether it has been well.
func (w *witness) end() {
	w.m.t.Helper()
	close(w.stop)
	w.done.Wait()
	if w.seen == 0 {
		w.m.t.Error("the witness was never asked")
	}
}

// said wants a log line with these words to be there once.
func (m *machine) said(words ...string) {
	m.t.Helper()
	m.waitLog(0, words...)
	if n := m.count(words...); n != 1 {
		m.t.Errorf("%q is said %d times", words, n)
	}
}

// TestBrokenNeighbours: two hundred vassals that do not start are in their back-off, a
// good one beside them answers all the time; a better file and an order lift the back-off.
func TestBrokenNeighbours(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.witnessApp()
	m.put(m.path("broken.py"), "import no_such_module\n")
	m.rules(byName + "emperor-throttle = 3600000\nemperor-max-throttle = 3600000\n")
	m.vassal("good", witnessed)
	kinds := []string{"command = /bin/false", "command = /nowhere/program", "command = sh -c 'kill -KILL $$'", "chdir = /nowhere\ncommand = /bin/true"}
	var broken []string
	for i := range 197 {
		broken = append(broken, fmt.Sprintf("b%03d", i))
		m.vassal(broken[i], "socket = DIR/%n.sock\n"+kinds[i%len(kinds)]+"\n")
	}
	for i := range 3 {
		broken = append(broken, fmt.Sprintf("u%03d", i))
		m.vassal(broken[197+i], "socket = DIR/%n.sock\nplugin = python3\nwsgi-file = DIR/broken.py\n")
	}
	m.start()
	m.waitLog(0, "listening")
	m.page("good.test", "/") // at once, wherever the others are
	w := m.watch("good.test")
	for _, name := range broken { // one by one, however long all of them take
		m.waitLog(0, name+": the vassal did not start")
	}
	m.waitLog(0, " ready vassals=", "201 vassals: 1 ready, 200 failed")
	for name, why := range map[string]string{"b000": "exit status 1", "b001": "/nowhere/program", "b002": "SIGKILL", "b003": "/nowhere does not exist", "u000": "the app could not be loaded"} {
		if text, _ := m.order("why", name); !strings.Contains(text, why) {
			t.Errorf("why %s, want %q:\n%s", name, why, text)
		}
	}
	m.vassal("b000", witnessed)
	m.eventually("a better file ends the back-off", func() bool {
		status, _, _ := m.get("b000.test", "/")
		return status == http.StatusOK
	})
	m.vassal("b001", "socket = DIR/%n.sock\ncommand = DIR/program\n")
	m.waitLog(0, "b001: the vassal did not start", "gen=2")
	m.put(m.path("broken.py"), "def application(e, r):\n    r('200 OK', [])\n    return [b'mended']\n")
	if text, code := m.order("start", "u000"); code != 0 {
		t.Errorf("start u000: %s", text)
	}
	if got := m.page("u000.test", "/"); got != "mended" {
		t.Errorf("u000 answers %q", got)
	}
	w.end()
	if m.logged("b002", "gen=2") || m.logged("u001", "gen=2") {
		t.Error("one was tried again although its back-off runs")
	}
}

// TestWhoHadFailedStartsLast: an emperor that comes after one beside which thirty vassals
// could not start begins with the others, though by name they are the last.
func TestWhoHadFailedStartsLast(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.rules(byName + "emperor-throttle = 3600000\nemperor-max-throttle = 3600000\n")
	const failing = 30
	for i := range failing {
		m.vassal(fmt.Sprintf("b%02d", i), "socket = DIR/%n.sock\ncommand = sh -c 'echo %n >> DIR/started; sleep 0.3; exit 1'\n")
	}
	m.vassal("good", "socket = DIR/%n.sock\ncommand = sh -c 'echo good >> DIR/started; exec python3 DIR/answer.py'\n")
	m.put(m.path("answer.py"), quick)
	m.start()
	for i := range failing {
		m.waitLog(0, fmt.Sprintf("b%02d: the vassal did not start", i))
	}
	m.waitLog(0, "good: vassal ready")
	m.stop()
	m.remove("started")
	mark := m.mark()
	m.start()
	m.waitLog(mark, "good: vassal ready")
	text, err := os.ReadFile(m.path("started"))
	if before, _, found := strings.Cut(string(text), "good"); err != nil || !found || strings.Count(before, "\n") >= failing {
		t.Errorf("started in this order (%v):\n%s", err, text)
	}
}

// TestLoyalty: any program is loyal once it has answered a request, until another
// generation takes its place.
func TestLoyalty(t *testing.T) {
	t.Parallel()
	m := sitesMachine(t)
	m.vassal("site", "socket = DIR/%n.sock\nchdir = DIR\ncommand = gunicorn webapp:application\n")
	m.vassal("uwsgi", "socket = DIR/%n.sock\nplugin = python3\nchdir = DIR\nwsgi-file = DIR/webapp.py\n")
	m.start()
	m.waitReady()
	for _, name := range []string{"site", "uwsgi"} {
		m.untilState(name, "ready")
		m.page(name+".test", "/")
		m.untilState(name, "loyal")
		if text, code := m.order("reload", name); code != 0 {
			t.Fatal(text)
		}
		m.untilState(name, "ready")
	}
}
