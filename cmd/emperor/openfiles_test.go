package main

import (
	"fmt"
	"os/exec"
	"strings"
	"testing"
)

// TestTooFewOpenFiles: under a hard limit that is too low for the vassals the log
// says so at once, and each vassal that does not start says why.
func TestTooFewOpenFiles(t *testing.T) {
	t.Parallel()
	m := sitesMachine(t)
	for n := range 6 {
		m.vassal(fmt.Sprint("site", n), "for-times = 20\nsocket = DIR/%n.%(_)\nendfor =\ncommand = sleep 1000\n")
	}
	m.run(exec.Command("/bin/sh", "-c", `ulimit -n 64; exec "$@"`, "sh", emperorBinary(t), "uwsgi.ini", "--control", m.path("control.sock")))
	m.waitLog(0, "the emperor may have no more than 64 files open (RLIMIT_NOFILE), and needs about 68 for 6 vassals", "LimitNOFILE=")
	line := m.waitLog(0, "the vassal did not start", "the emperor may have 64 files open (RLIMIT_NOFILE) and has; raise it")
	name, _, _ := strings.Cut(line[strings.Index(line, "site"):], ":")
	m.eventually("the emperor says so of the vassal, too", func() bool {
		why, _ := m.order("why", name)
		return strings.Contains(why, "RLIMIT_NOFILE")
	})
}
