package main

import (
	"os"
	"os/exec"
	"testing"
)

// TestCommandInItsOwnRoot: a command with chroot sees that folder only, is looked for in
// it, and is reached through a socket outside of it.
func TestCommandInItsOwnRoot(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Log("only root can change the root directory")
		return
	}
	m := sitesMachine(t)
	if err := os.Chmod(m.dir, 0o777); err != nil { // the socket is made with the user's rights
		t.Fatal(err)
	}
	for _, dir := range []string{"jail", "jail/inside"} {
		if err := os.Mkdir(m.path(dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	m.put(m.path("jail/own"), "its own")
	build := exec.Command("go", "build", "-o", m.path("jail/serve"), "./testdata/jailed")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%s %v", out, err)
	}
	m.vassal("jailed", "socket = DIR/%n.sock\nchroot = DIR/jail\nchdir = /inside\nuid = 61997\ncommand = /serve\n")
	m.vassal("missing", "socket = DIR/%n.sock\nchroot = DIR/jail\ncommand = /bin/sh\n")
	m.start()
	m.waitLog(0, "jailed: vassal ready")
	if got, want := m.page("jailed.test", "/"), `uid 61997 in /inside, own "its own", outside stat /etc/passwd: no such file or directory`; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	m.waitLog(0, "missing: the vassal did not start", "missing.ini:4: /bin/sh: no such file")
}
