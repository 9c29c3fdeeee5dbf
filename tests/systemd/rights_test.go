//go:build systemd

package systemd

import (
	"os"
	"strings"
	"testing"
)

// dropIn is one of those that packaging/systemd/drop-ins has.
func dropIn(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(library + name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// line is what /proc/PID/status says of that name.
func line(text, name string) string {
	for l := range strings.Lines(text) {
		if rest, ok := strings.CutPrefix(l, name+":"); ok {
			return strings.TrimSpace(rest)
		}
	}
	return ""
}

// TestHardened: with that drop-in the shipped unit works, and the sites have it, too.
func TestHardened(t *testing.T) {
	install(t, oneAndTwo(), dropIn(t, "hardened.conf"))
	must(t, "systemctl", "start", "emperor.socket", "emperor.service")
	for _, l := range strings.Split(strings.TrimSpace(page(t, "one", "/write")), "\n") {
		dir, result, _ := strings.Cut(l, " ")
		if writable := result == "<nil>"; writable != (dir == "/run/emperor") {
			t.Errorf("a site writes into %s: %s", dir, result)
		}
	}
	copyFile(t, library+"emperor-next", program)
	must(t, program, "upgrade")
	must(t, "systemctl", "reload", "emperor.service")
	page(t, "one", "/")
	must(t, "systemctl", "restart", "emperor.service")
	page(t, "one", "/")
}

// TestUnprivileged: without root the emperor opens port 443 by one ambient capability,
// which no site has.
func TestUnprivileged(t *testing.T) {
	install(t, oneAndTwo(), dropIn(t, "hardened.conf"), dropIn(t, "unprivileged.conf"))
	write(t, "/etc/emperor/emperor.ini", "[uwsgi]\nemperor = %dvassals.d/*.ini\ncontrol = /run/emperor/control.sock\nhttp = :80\nhttp = :443\nroute-host = ^([-\\w.]+)$ vassal:$1\n")
	must(t, "systemctl", "start", "emperor.service")
	main := property(t, "MainPID")
	text, err := os.ReadFile("/proc/" + main + "/status")
	if err != nil {
		t.Fatal(err)
	}
	if strings.HasPrefix(line(string(text), "Uid"), "0") {
		t.Error("it runs as root")
	}
	site := page(t, "one", "/proc")
	for _, set := range []string{"CapPrm", "CapEff", "CapAmb"} {
		if got := line(site, set); got != "0000000000000000" {
			t.Errorf("a site has %s %s", set, got)
		}
	}
	must(t, "curl", "-sSf", "-H", "Host: one", "http://127.0.0.1:443/")
	copyFile(t, library+"emperor-next", program)
	must(t, "systemctl", "reload", "emperor.service")
	eventually(t, "the new version runs", func() bool {
		out, err := command("/proc/"+main+"/exe", "version")
		return err == nil && strings.Contains(out, "2.0-test")
	})
	must(t, "curl", "-sSf", "-H", "Host: one", "http://127.0.0.1:443/")
	must(t, "systemctl", "restart", "emperor.service")
	page(t, "one", "/")
}
