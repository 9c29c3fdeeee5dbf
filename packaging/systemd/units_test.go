// Package systemd holds the unit files; its test has systemd itself read them.
package systemd

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// systemd only warns of a key it does not know and goes on without it, so silence is
// what the test wants. The program named in the unit must exist to be verified.
func TestSystemdUnderstandsTheUnits(t *testing.T) {
	dir := t.TempDir()
	verify := []string{"verify", "--man=no"}
	for _, unit := range []string{"emperor.service", "emperor.socket"} {
		text, err := os.ReadFile(unit)
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(dir, unit)
		installed := strings.ReplaceAll(string(text), "/usr/local/bin/emperor", "/bin/true")
		if err := os.WriteFile(path, []byte(installed), 0o644); err != nil {
			t.Fatal(err)
		}
		verify = append(verify, path)
	}
	dropIns, err := filepath.Glob("drop-ins/*.conf")
	if err != nil || len(dropIns) != 2 {
		t.Fatal(dropIns, err)
	}
	if err := os.Mkdir(filepath.Join(dir, "emperor.service.d"), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, path := range dropIns {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		installed := strings.ReplaceAll(string(text), "/usr/local/bin/emperor", "/bin/true")
		if err := os.WriteFile(filepath.Join(dir, "emperor.service.d", filepath.Base(path)), []byte(installed), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	out, err := exec.Command("systemd-analyze", verify...).CombinedOutput()
	if err != nil || len(out) > 0 {
		t.Errorf("systemd-analyze: %v\n%s", err, out)
	}
}

// Keys that other parts of the program count on.
func TestServiceKeys(t *testing.T) {
	text, err := os.ReadFile("emperor.service")
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(string(text), "\n")
	for _, want := range []string{
		"Type=notify", "NotifyAccess=main", "WatchdogSec=30", "KillMode=mixed",
		"TimeoutStopSec=30", "Restart=always", "Delegate=yes", "ExecReload=/usr/local/bin/emperor reload",
	} {
		found := false
		for _, line := range lines {
			found = found || line == want
		}
		if !found {
			t.Errorf("emperor.service lacks %s", want)
		}
	}
	for _, line := range lines {
		for _, sandbox := range []string{"Protect", "Private", "NoNewPrivileges", "SystemCallFilter", "Restrict", "User="} {
			if strings.HasPrefix(line, sandbox) {
				t.Errorf("%s: every vassal would inherit it", line)
			}
		}
	}
}
