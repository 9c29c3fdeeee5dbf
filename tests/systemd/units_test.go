//go:build systemd

package systemd

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"
)

// oneAndTwo are two sites as anybody's.
func oneAndTwo() map[string]string { return map[string]string{"one": "", "two": ""} }

// TestReadyWhenTheSitesAnswer: systemctl start returns when the front is open and a slow
// site is up, whoever holds the port, and says how many there are.
func TestReadyWhenTheSitesAnswer(t *testing.T) {
	for _, units := range [][]string{{"emperor.service"}, {"emperor.socket", "emperor.service"}} {
		install(t, map[string]string{"one": "env = SITE_BOOT=2s\n", "two": ""})
		must(t, "systemctl", append([]string{"start", "--no-block"}, units...)...)
		eventually(t, "it starts", func() bool { return property(t, "ActiveState") == "activating" })
		must(t, "systemctl", append([]string{"start"}, units...)...)
		if state := property(t, "ActiveState") + " " + property(t, "SubState"); state != "active running" {
			t.Errorf("after start it is %s", state)
		}
		if text := property(t, "StatusText"); text != "2 vassals: 2 ready" {
			t.Errorf("the status is %q", text)
		}
		page(t, "one", "/")
		page(t, "two", "/")
	}
}

// TestMistakes: a broken site is no broken service, unless the unit asks `emperor check`
// first; what was not applied is in the status.
func TestMistakes(t *testing.T) {
	install(t, oneAndTwo(), "ExecStartPre="+program+" check /etc/emperor/emperor.ini")
	write(t, "/etc/emperor/vassals.d/two.ini", "[uwsgi]\ncommand = /nowhere\n")
	out, err := command("systemctl", "start", "emperor.service")
	if err == nil {
		t.Error("emperor check lets a file with a mistake pass")
	}
	if said := journal(t, "-u", "emperor.service"); !strings.Contains(said, "two.ini:2: command: ") {
		t.Errorf("the mistake is not in the journal: %s\n%s", out, said)
	}
	install(t, oneAndTwo())
	write(t, "/etc/emperor/vassals.d/two.ini", "[uwsgi]\ncommand = /nowhere\n")
	must(t, "systemctl", "start", "emperor.service")
	status(t, "2 vassals: 1 ready")
	page(t, "one", "/")
	write(t, "/etc/emperor/emperor.ini", "[uwsgi]\nhttp = :80\nroute-host = (\n")
	if out, err := command("systemctl", "reload", "emperor.service"); err == nil {
		t.Errorf("a main file with a mistake was applied: %s", out)
	}
	status(t, "the main file was not applied: ")
	page(t, "one", "/")
}

// TestReload: an edit is in force when systemctl reload has returned, and nothing was
// started anew.
func TestReload(t *testing.T) {
	install(t, oneAndTwo())
	must(t, "systemctl", "start", "emperor.service")
	main, site := property(t, "MainPID"), page(t, "one", "/")
	text, err := os.ReadFile("/etc/emperor/emperor.ini")
	if err != nil {
		t.Fatal(err)
	}
	stop := load("one")
	late := 0
	for i := range 20 {
		name := fmt.Sprintf("edit%d", i)
		write(t, "/etc/emperor/emperor.ini", strings.Replace(string(text), "route-host =", "route-host = ^"+name+"$ vassal:one\nroute-host =", 1))
		must(t, "systemctl", "reload", "emperor.service")
		if _, err := get(fresh, name, "/"); err != nil {
			late++
		}
		eventually(t, "the edit is in force", func() bool { _, err := get(fresh, name, "/"); return err == nil })
	}
	if late > 0 {
		t.Errorf("systemctl reload returned before the edit was in force, %d of 20 times", late)
	}
	if answered, failed := stop(); answered == 0 || len(failed) > 0 {
		t.Errorf("%d requests were answered; failed: %v", answered, failed)
	}
	if now := property(t, "MainPID"); now != main {
		t.Errorf("the main process is %s, was %s", now, main)
	}
	if now := page(t, "one", "/"); now != site {
		t.Errorf("the site's process is %s, was %s", now, site)
	}
}

// TestSocketUnit: while systemd holds the port a restart, a stop and a crash make clients
// wait, and refuse nobody.
func TestSocketUnit(t *testing.T) {
	install(t, oneAndTwo())
	must(t, "systemctl", "start", "emperor.socket")
	page(t, "one", "/") // starts it
	if name := must(t, "systemctl", "show", "--value", "-p", "FileDescriptorName", "emperor.socket"); name != "http" {
		t.Errorf("the socket is called %q", name)
	}
	// A site answers before all have been tried.
	eventually(t, "the service is up", func() bool { return property(t, "ActiveState") == "active" })

	t.Run("restart", func(t *testing.T) {
		stop := load("one")
		for range 3 {
			main := property(t, "MainPID")
			must(t, "systemctl", "restart", "emperor.service")
			if property(t, "MainPID") == main {
				t.Error("it was not restarted")
			}
		}
		if answered, failed := stop(); answered < 10 || len(failed) > 0 {
			t.Errorf("%d requests were answered; failed: %v", answered, failed)
		}
	})
	t.Run("stop", func(t *testing.T) {
		must(t, "systemctl", "stop", "emperor.service")
		page(t, "two", "/") // starts it again
	})
	t.Run("crash", func(t *testing.T) {
		main, site := property(t, "MainPID"), page(t, "one", "/")
		must(t, "kill", "-KILL", main)
		eventually(t, "the crash is seen", func() bool { return property(t, "MainPID") != main })
		if now := page(t, "one", "/"); now == site {
			t.Error("a site has outlived the emperor")
		}
		eventually(t, "all is well again", func() bool { return property(t, "SubState") == "running" })
		if restarts := property(t, "NRestarts"); restarts != "1" {
			t.Errorf("it was restarted %s times", restarts)
		}
	})
	t.Run("by name", func(t *testing.T) {
		text, err := os.ReadFile("/etc/emperor/emperor.ini")
		if err != nil {
			t.Fatal(err)
		}
		write(t, "/etc/emperor/emperor.ini", strings.Replace(string(text), "http = :80", "http = fd://http", 1))
		must(t, "systemctl", "reload", "emperor.service")
		page(t, "one", "/")
		must(t, "systemctl", "restart", "emperor.service")
		page(t, "one", "/")
	})
}

// TestStop: what is under way is answered, what will not end is killed, and nothing is
// left, all before systemd loses its patience.
func TestStop(t *testing.T) {
	install(t, map[string]string{"one": "", "two": "env = SITE_STUBBORN=1\n"})
	must(t, "systemctl", "start", "emperor.service")
	page(t, "one", "/orphan")
	before := slowBegun(t)
	slow := make(chan error, 1)
	go func() {
		_, err := get(fresh, "one", "/slow?amount=3")
		slow <- err
	}()
	endless := make(chan error, 1)
	go func() {
		_, err := get(fresh, "two", "/slow?amount=1000")
		endless <- err
	}()
	eventually(t, "both are under way", func() bool { return slowBegun(t) == before+2 })
	began := time.Now()
	must(t, "systemctl", "stop", "emperor.service")
	t.Logf("stopped after %s", time.Since(began).Round(time.Millisecond))
	if err := <-slow; err != nil {
		t.Errorf("the request that was under way: %v", err)
	}
	if err := <-endless; err == nil {
		t.Error("a request of 1000 s was answered")
	}
	if result := property(t, "Result"); result != "success" {
		t.Errorf("the service ended with %s", result)
	}
	if out, err := command("pgrep", "-a", "sleep"); err == nil {
		t.Errorf("it has left %s", out)
	}
	if !refused() {
		t.Error("the port is open")
	}
}

// slowBegun is how many requests for /slow sites have said that they work on.
func slowBegun(t *testing.T) int {
	return strings.Count(must(t, "journalctl", "--unit=emperor.service", "--output=cat", "--no-pager"), "slow has begun")
}

// TestWatchdog: an emperor that stands still is ended and started again, and one that
// works is left alone, also after an upgrade.
func TestWatchdog(t *testing.T) {
	install(t, oneAndTwo(), "WatchdogSec=3")
	must(t, "systemctl", "start", "emperor.socket", "emperor.service")
	main := property(t, "MainPID")
	time.Sleep(5 * time.Second)
	copyFile(t, library+"emperor-next", program)
	must(t, program, "upgrade")
	time.Sleep(5 * time.Second)
	if now := property(t, "MainPID"); now != main || property(t, "NRestarts") != "0" {
		t.Fatalf("the main process is %s, was %s", now, main)
	}
	must(t, "kill", "-STOP", main)
	eventually(t, "it is ended", func() bool { return property(t, "MainPID") != main })
	page(t, "one", "/")
	if said := journal(t, "-u", "emperor.service", "-t", "systemd"); !strings.Contains(said, "Failed with result 'watchdog'") {
		t.Errorf("the watchdog did not bark:\n%s", said)
	}
}

// TestOnlyTheEmperorSpeaks: a site that finds systemd's socket is not heard, and nothing
// in its environment leads there.
func TestOnlyTheEmperorSpeaks(t *testing.T) {
	install(t, oneAndTwo())
	must(t, "systemctl", "start", "emperor.socket", "emperor.service")
	main := property(t, "MainPID")
	page(t, "one", "/announce")
	writeSite(t, "three", "")
	status(t, "3 vassals: 3 ready") // said after the site has spoken
	if now := property(t, "MainPID"); now != main {
		t.Errorf("a site has made itself the main process")
	}
	if said := journal(t, "-u", "emperor.service"); strings.Contains(said, "taken over by a site") {
		t.Errorf("a site was heard: %s", said)
	}
	for _, entry := range strings.Split(page(t, "one", "/environment"), "\n") {
		name, value, _ := strings.Cut(entry, "=")
		switch {
		case strings.HasPrefix(name, "WATCHDOG_"), name == "NOTIFY_SOCKET" && !strings.HasPrefix(value, "@emperor"),
			name == "LISTEN_FDS" && value != "1", name == "MAINPID", name == "INVOCATION_ID", name == "JOURNAL_STREAM":
			t.Errorf("%s is in a site's environment", entry)
		}
	}
}

// TestJournal: lines are records with the site's name, found by it and by the unit.
func TestJournal(t *testing.T) {
	install(t, oneAndTwo())
	must(t, "systemctl", "start", "emperor.service")
	invocation := property(t, "InvocationID")
	find := func(filter ...string) (found []map[string]any) {
		out := journal(t, append([]string{"-o", "json", "_SYSTEMD_INVOCATION_ID=" + invocation}, filter...)...)
		for line := range strings.Lines(out) {
			record := map[string]any{}
			if json.Unmarshal([]byte(line), &record) == nil {
				found = append(found, record)
			}
		}
		return found
	}
	var out []map[string]any
	eventually(t, "what the site wrote is in the journal", func() bool {
		out = find("VASSAL=one", "STREAM=output")
		return len(out) >= 2
	})
	var messages []string
	for _, record := range out {
		messages = append(messages, fmt.Sprint(record["PRIORITY"], " ", record["SYSLOG_IDENTIFIER"], " ", record["GENERATION"], " ", record["_SYSTEMD_UNIT"], " ", record["MESSAGE"]))
	}
	said := strings.Join(messages, "\n")
	for _, want := range []string{"6 one 1 emperor.service up: one", "3 one 1 emperor.service only a trial: one"} {
		if !strings.Contains(said, want) {
			t.Errorf("no record is %q:\n%s", want, said)
		}
	}
	if len(find("VASSAL=one", "STREAM=emperor")) == 0 && len(find("VASSAL=one")) <= len(out) {
		t.Error("the emperor's own words about the site are not there under its name")
	}
	if strings.Contains(said, "two") {
		t.Errorf("another site's lines: %s", said)
	}
}
