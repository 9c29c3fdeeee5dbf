package main

import (
	"fmt"
	"strings"
	"testing"
)

// TestServiceManagerSeesWhatWasNotApplied: systemctl reload succeeds at once, and
// all sites go on; only the status can say that the edit has no effect.
func TestServiceManagerSeesWhatWasNotApplied(t *testing.T) {
	t.Parallel()
	m := uwsgiMachine(t)
	told := notifySocket(t, m.path("notify.sock"))
	m.env = []string{"NOTIFY_SOCKET=" + m.path("notify.sock")}
	m.start()
	told("READY=1")
	m.write("uwsgi.ini", issueMain+"route-host = ( vassal:shop\n")
	told("STATUS=2 vassals: 2 ready; the main file was not applied: uwsgi.ini:8: route-host: ")
	m.write("uwsgi.ini", issueMain)
	told("STATUS=2 vassals: 2 ready")
	m.write("vassals.d/shop.ini", "[uwsgi]\ncommand = \"\n")
	told("STATUS=2 vassals: 2 ready; mistakes in the file of shop")
	m.stop()
}

// TestReloadWaits: `emperor reload` ends when the edit holds, and says why it does not.
func TestReloadWaits(t *testing.T) {
	t.Parallel()
	m := uwsgiMachine(t)
	m.start()
	m.waitReady()
	for i := range 5 {
		name := fmt.Sprintf("edit%d.example.org", i)
		m.write("uwsgi.ini", issueMain+"route-host = ^"+name+"$ uwsgi:DIR/uwsgi_shop.sock,0,0\n")
		if said, code := m.order("reload"); code != exitFine || said != "the main file holds as it is written\n" {
			t.Fatalf("exit status %d: %s", code, said)
		}
		m.page(name, "/")
	}
	m.write("uwsgi.ini", issueMain+"route-host = ( vassal:shop\n")
	if said, code := m.order("reload"); code != exitFailed || !strings.Contains(said, "uwsgi.ini:8: route-host: ") {
		t.Errorf("exit status %d: %s", code, said)
	}
	m.page("shop.example.com", "/")
	m.stop()
}
