package main

import (
	"fmt"
	"net"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestBadEditKeepsTheOldGeneration: each kind of mistake is reported, and the
// process that answered before still answers five seconds later; mending the
// file deploys it.
func TestBadEditKeepsTheOldGeneration(t *testing.T) {
	t.Parallel()
	occupied, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { occupied.Close() })
	mistakes := []struct{ name, text, says string }{
		{"import error", "[uwsgi]" + strings.Replace(threaded, "webapp.py", "broken.py", 1), "did not come up"},
		{"app option mistyped", "[uwsgi]" + strings.Replace(threaded, "wsgi-file = ", "wsgi-fiel = ", 1), "wsgi-fiel: there is no such option"},
		{"app line lost", "[uwsgi]" + strings.Replace(threaded, "wsgi-file = DIR/webapp.py", "", 1), "names no app"},
		{"not an ini", "\x00\x01\x02 <html>\n", ""},
		{"empty file", "", ""},
		{"missing program", "[uwsgi]\nsocket = DIR/site.sock\nprotocol = http\ncommand = /nowhere/program\n", "/nowhere/program"},
		{"port in use", "[uwsgi]" + threaded + "http-socket = " + occupied.Addr().String() + "\n", "another program listens"},
	}
	for _, mistake := range mistakes {
		t.Run(mistake.name, func(t *testing.T) {
			t.Parallel()
			m := sitesMachine(t)
			m.write("broken.py", "import no_such_module\n")
			m.vassal("site", threaded)
			m.start()
			l := m.visitors("site.test")
			before := m.processes()

			m.write("vassals.d/site.ini", mistake.text)
			m.eventually("the mistake is told", func() bool {
				why, _ := m.order("why", "site")
				return strings.Contains(why, "was not applied") && strings.Contains(why, mistake.says)
			})
			time.Sleep(moment)
			if pid := m.answering("site.test"); before[pid] == "" {
				t.Errorf("process %d answers, which did not run before the edit", pid)
			}

			m.write("RELEASE", "1")
			m.vassal("site", threaded)
			m.untilRelease("site.test", "1")
			report(t, l, "a bad edit and its mending")
		})
	}
}

// TestKilledWorkersFailOnlyWhatTheyHeld kills a worker of a site again and
// again: uWSGI's master starts another, and nothing else is lost.
func TestKilledWorkersFailOnlyWhatTheyHeld(t *testing.T) {
	t.Parallel()
	m := sitesMachine(t)
	m.vassal("site", threaded)
	m.vassal("other", threaded)
	m.start()
	l := m.visitors("site.test")
	m.untilRelease("other.test", "0")
	const kills = 5
	for range kills {
		pid := m.answering("site.test")
		_ = syscall.Kill(pid, syscall.SIGKILL)
		m.untilGone(pid)
		m.untilRelease("site.test", "0")
	}
	failures := l.end()
	// A worker with four threads holds four requests at most.
	t.Logf("%d requests, %d failed with %d workers killed", l.requests.Load(), len(failures), kills)
	if len(failures) > 4*kills {
		t.Errorf("%d failures, the killed processes held %d requests at most: %v", len(failures), 4*kills, failures)
	}
}

// TestOtherSitesDoNotNotice: a vassal is removed, comes back, breaks; the main
// file gets other rules, by edit and by HUP. The visitors of another vassal lose
// nothing, and its processes stay.
func TestOtherSitesDoNotNotice(t *testing.T) {
	t.Parallel()
	m := sitesMachine(t)
	m.vassal("site", threaded)
	m.vassal("other", threaded)
	m.start()
	l := m.visitors("site.test")
	m.untilRelease("other.test", "0")
	socket, err := openWebsocket(m.address(), "site.test", "/upgrade")
	if err != nil {
		t.Fatal(err)
	}
	defer socket.close()
	before := m.processes()

	m.remove("vassals.d/other.ini")
	m.eventually("other is gone", func() bool {
		status, _, err := m.get("other.test", "/")
		return err == nil && status == 404
	})
	m.vassal("other", threaded)
	m.untilRelease("other.test", "0")
	mark := m.mark()
	m.vassal("other", "socket = DIR/other.sock\ncommand = false\n")
	m.waitLog(mark, "error", "other: ")

	for n := range 10 {
		m.rules(fmt.Sprintf("route-host = ^answer%d\\.test$ return:403\n", n) + byName)
		if n%2 == 1 {
			m.signal(syscall.SIGHUP)
		}
		m.eventually("the new rule holds", func() bool {
			status, _, err := m.get(fmt.Sprintf("answer%d.test", n), "/")
			return err == nil && status == 403
		})
	}
	m.rules("route-host = ^([-\\w]+\\.test$ vassal:$1\n")
	m.waitLog(mark, "the main file was not applied")
	// Nor does what would only keep the next emperor from starting.
	m.rules("control = /nowhere/control.sock\n" + byName)
	m.waitLog(mark, "uwsgi.ini:4: control: there is no /nowhere: make the directory")
	// Nor does a typing error in where vassals are.
	m.write("uwsgi.ini", "[uwsgi]\nemperor = %dvasals.d/*.ini\nhttp = :PORT\n"+byName)
	m.waitLog(mark, "uwsgi.ini:2: emperor: ", "vasals.d")
	if err := socket.say("still here"); err != nil {
		t.Errorf("the websocket: %v", err)
	}
	if pid := m.answering("site.test"); before[pid] == "" {
		t.Errorf("process %d answers, which did not run before", pid)
	}
	report(t, l, "changes of everything else")
}

// TestKilledRouterFailsOnlyWhatItHeld kills the front itself. Connections that it
// had are gone; whoever comes meanwhile waits a moment and is served.
func TestKilledRouterFailsOnlyWhatItHeld(t *testing.T) {
	t.Parallel()
	m := sitesMachine(t)
	m.vassal("site", threaded)
	m.vassal("other", threaded)
	m.start()
	l := m.visitors("site.test")
	m.untilRelease("other.test", "0")
	const kills = 3
	for range kills {
		m.untilRelease("site.test", "0")
		router := m.pidOf("router --link")
		_ = syscall.Kill(router, syscall.SIGKILL)
		m.untilGone(router)
	}
	m.untilRelease("site.test", "0")
	failures := l.end()
	t.Logf("%d requests, %d failed with %d routers killed", l.requests.Load(), len(failures), kills)
	for _, failure := range failures {
		if strings.Contains(failure, "connect:") || strings.Contains(failure, "status") {
			t.Error(failure) // not held by the router that was killed
		}
	}
	if len(failures) > 8*kills {
		t.Errorf("%d failures; the routers held %d requests at most", len(failures), 8*kills)
	}
}
