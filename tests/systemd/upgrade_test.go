//go:build systemd

package systemd

import (
	"os"
	"strings"
	"testing"
)

// TestUpgrade: a new binary takes over in the main process, by `emperor upgrade` and by
// `systemctl reload`, while clients ask; one that cannot leaves all as it was.
func TestUpgrade(t *testing.T) {
	install(t, oneAndTwo())
	must(t, "systemctl", "start", "emperor.socket", "emperor.service")
	main, site := property(t, "MainPID"), page(t, "one", "/")
	runs := func(want string) {
		t.Helper()
		eventually(t, "version "+want+" runs", func() bool {
			out, err := command("/proc/"+main+"/exe", "version")
			return err == nil && strings.Contains(out, want)
		})
		if state := property(t, "ActiveState"); state != "active" && state != "reloading" {
			t.Errorf("it is %s", state)
		}
	}
	stop := load("one")
	runs("1.0-test")
	copyFile(t, library+"emperor-next", program)
	must(t, program, "upgrade")
	runs("2.0-test")
	copyFile(t, library+"emperor", program)
	must(t, "systemctl", "reload", "emperor.service")
	runs("1.0-test")
	copyFile(t, "/bin/false", program)
	if out, err := command("systemctl", "reload", "emperor.service"); err == nil {
		t.Errorf("false has taken over: %s", out)
	}
	copyFile(t, library+"emperor-next", program)
	if err := os.WriteFile(program+".not", nil, 0o755); err != nil {
		t.Fatal(err)
	}
	if out, err := command(library+"emperor", "upgrade", "--binary", program+".not"); err == nil {
		t.Errorf("an empty file has taken over: %s", out)
	}
	runs("1.0-test")
	eventually(t, "it is active again", func() bool { return property(t, "ActiveState") == "active" })
	if answered, failed := stop(); answered < 10 || len(failed) > 0 {
		t.Errorf("%d requests were answered; failed: %v", answered, failed)
	}
	if now := property(t, "MainPID"); now != main || property(t, "NRestarts") != "0" {
		t.Errorf("the main process is %s, was %s", now, main)
	}
	if now := page(t, "one", "/"); now != site {
		t.Errorf("the site's process is %s, was %s", now, site)
	}
	// The upgraded one still has systemd's socket, hears it, and ends by the book.
	must(t, "systemctl", "restart", "emperor.service")
	page(t, "one", "/")
	if result := property(t, "Result"); result != "success" {
		t.Errorf("the service ended with %s", result)
	}
}
