package main

import "testing"

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
