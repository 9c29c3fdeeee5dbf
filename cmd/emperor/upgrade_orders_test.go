package main

import (
	"net/http"
	"strings"
	"syscall"
	"testing"
)

// TestOrdersAfterAnUpgrade: what was said by orders holds in the next binary, and the
// ways to say something work there.
func TestOrdersAfterAnUpgrade(t *testing.T) {
	t.Parallel()
	m := sitesMachine(t)
	m.write("touched", "")
	m.rules(byName + "emperor-stats = DIR/stats.sock\nemperor-throttle = 100000\nemperor-wait-for-command = true\nemperor-wait-for-command-ignore = site\nemperor-wait-for-command-ignore = bad\n")
	m.vassal("site", "chdir = DIR\ncommand = node webapp.js\ntouch-reload = touched\n")
	m.vassal("waits", "chdir = DIR\ncommand = node webapp.js\n")
	m.vassal("ordered", "chdir = DIR\ncommand = node webapp.js\n")
	m.vassal("bad", "chdir = DIR\ncommand = sh -c 'test -e DIR/mended && exec node webapp.js'\nport = auto\n")
	m.start()
	m.untilRelease("site.test", "0")
	for _, words := range [][]string{{"start", "ordered"}, {"pause", "ordered"}} {
		if out, code := m.order(words...); code != 0 {
			t.Fatalf("%v: %s", words, out)
		}
	}
	m.untilState("bad", "failed")
	m.upgrade()

	for name, state := range map[string]string{"ordered": "paused", "waits": "stopped", "site": "loyal"} {
		if got := m.state(name); got != state {
			t.Errorf("%s is %s after the upgrade, want %s", name, got, state)
		}
	}
	answered := make(chan int, 1)
	go func() {
		status, _, _ := m.get("ordered.test", "/")
		answered <- status
	}()
	m.write("RELEASE", "1")
	m.touch("touched")
	m.untilRelease("site.test", "1")
	all, _, err := document("unix", m.path("stats.sock"))
	if err != nil || all["pid"] != float64(m.command.Process.Pid) || vassalIn(all, "vassals", m.path("vassals.d/site.ini"))["ready"] != 1.0 {
		t.Errorf("the stats: %v, %v", all, err)
	}
	m.write("mended", "")
	m.signal(syscall.SIGURG)
	m.untilState("bad", "ready")
	select {
	case status := <-answered:
		t.Errorf("a request to the paused one was answered with %d", status)
	default:
	}
	if out, code := m.order("resume", "ordered"); code != 0 || !strings.HasPrefix(out, "ordered: ") {
		t.Errorf("resume: exit %d, %s", code, out)
	}
	if status := <-answered; status != http.StatusOK {
		t.Errorf("the request that waited was answered with %d", status)
	}
}
