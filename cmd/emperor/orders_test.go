package main

import (
	"fmt"
	"net/http"
	"os/exec"
	"strings"
	"syscall"
	"testing"
)

// TestOrdersLoseNoRequest: reload overlaps, restart ends the old processes before
// the new ones start; the visitors of both only wait.
func TestOrdersLoseNoRequest(t *testing.T) {
	t.Parallel()
	for _, kind := range []struct{ name, vassal string }{kinds[1], kinds[3]} { // uWSGI on a held socket, a program on a port
		t.Run(kind.name, func(t *testing.T) {
			t.Parallel()
			m := sitesMachine(t)
			m.vassal("site", kind.vassal)
			m.start()
			l := m.visitors("site.test")
			before := m.answering("site.test")
			for generation, word := range []string{"reload", "restart"} {
				if out, code := m.order(word, "site"); code != 0 || !runs(out, "site", generation+2) {
					t.Errorf("%s: exit %d, %q", word, code, out)
				}
			}
			m.untilGone(before)
			report(t, l, "a reload and a restart")
		})
	}
}

// runs tells whether an order's answer says that the site runs. (A uWSGI calls
// itself loyal once it has answered a request.)
func runs(answer, name string, generation int) bool {
	return strings.Contains(answer, fmt.Sprintf("%s: ready, generation %d\n", name, generation)) ||
		strings.Contains(answer, fmt.Sprintf("%s: loyal, generation %d\n", name, generation))
}

// TestStopAndStart: a stopped site stays down whatever happens to its file, says
// so to visitors at once, and comes back by start or restart.
func TestStopAndStart(t *testing.T) {
	t.Parallel()
	m := sitesMachine(t)
	m.vassal("site", threaded)
	m.vassal("other", threaded)
	m.start()
	l := m.visitors("other.test")
	m.untilRelease("site.test", "0")
	for generation, word := range []string{"start", "restart"} {
		// What is under way when the order comes is answered.
		begun, result := slowly(m, "site.test", "1")
		<-begun
		if out, code := m.order("stop", "site"); code != 0 || !strings.HasPrefix(out, "site: stopped") {
			t.Fatalf("stop: exit %d, %q", code, out)
		}
		if got := <-result; !strings.HasSuffix(got, "done") {
			t.Errorf("the request under way ended with %q", got)
		}
		if status, _, err := m.get("site.test", "/"); err != nil || status != http.StatusServiceUnavailable {
			t.Errorf("a stopped site answers %d, %v", status, err)
		}
		if out, code := m.order("stop", "site"); code != 0 {
			t.Errorf("stopping twice: exit %d, %q", code, out)
		}
		mark := m.mark()
		m.vassal("site", threaded+"; before "+word+"\n")
		m.vassal("third", "command = false\nsocket = DIR/third.sock\n")
		m.waitLog(mark, "third: ") // so the edit of site was seen, too
		if out, _ := m.order("status", "site"); !strings.Contains(out, "stopped") {
			t.Errorf("an edit of its file woke a stopped site:\n%s", out)
		}
		m.remove("vassals.d/third.ini")
		m.waitLog(mark, "third: gone")
		if out, code := m.order(word, "site"); code != 0 || !runs(out, "site", generation+2) {
			t.Errorf("%s: exit %d, %q", word, code, out)
		}
		m.page("site.test", "/")
	}
	// Several at a time, one of which there is not.
	if out, code := m.order("restart", "site", "nobody", "other"); code != 1 || !strings.Contains(out, `no vassal "nobody"; there is other and site`) || !runs(out, "site", 4) || !runs(out, "other", 2) {
		t.Errorf("restart of three: exit %d\n%s", code, out)
	}
	m.vassal("broken", "socket = DIR/broken.sock\ncommand = sh -c 'echo no database; exit 3'\n")
	m.waitLog(0, "broken: the vassal did not start")
	if out, code := m.order("start", "broken"); code != 1 || !strings.Contains(out, "exit status 3") {
		t.Errorf("start of a broken one: exit %d, %q", code, out)
	}
	report(t, l, "orders to another site")
}

// follower is an `emperor logs -f` that runs beside the test.
func (m *machine) follower(name string) *machine {
	f := &machine{t: m.t, dir: m.dir, more: make(chan struct{})}
	f.run(exec.Command(emperorBinary(m.t), "logs", "-f", name, "--control", m.path("control.sock")))
	return f
}

// TestFollowingLogs: what a site writes comes at once, over generations, crashes
// and stops; Ctrl-C and the end of the emperor end it well.
func TestFollowingLogs(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.copyFile("testdata/apps/webapp.js", "webapp.js")
	m.write("RELEASE", "0")
	m.rules(byName)
	say := func(text string) {
		m.vassal("site", "chdir = DIR\ncommand = sh -c 'echo this is "+text+"; exec node webapp.js'\n")
	}
	say("one")
	m.start()
	m.waitReady()
	site := m.follower("site")
	again := m.follower("site")
	site.waitLog(0, "gen 1: this is one") // what was written before it came
	say("two")
	site.waitLog(0, "gen 2: this is two")
	if out, code := m.order("restart", "site"); code != 0 {
		t.Fatalf("restart: exit %d, %q", code, out)
	}
	site.waitLog(0, "gen 3: this is two")
	_ = syscall.Kill(m.answering("site.test"), syscall.SIGKILL)
	site.waitLog(0, "gen 4: this is two")
	again.waitLog(0, "gen 4: this is two")
	if err := site.command.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	if code := site.waitExit(); code != 0 {
		t.Errorf("Ctrl-C: exit %d", code)
	}
	m.stop()
	if code := again.waitExit(); code != 0 {
		t.Errorf("the emperor ended: exit %d", code)
	}
}
