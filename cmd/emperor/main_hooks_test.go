package main

import (
	"os"
	"slices"
	"strings"
	"testing"
)

// TestHooksOfTheMainFileAndOddVassals: the name of a vassal's file is one argument of a
// hook, whatever it is, and never part of a command line; a hook that hangs is ended after
// hook-timeout, with one line, and has held up its own vassal only.
func TestHooksOfTheMainFileAndOddVassals(t *testing.T) {
	t.Parallel()
	m := sitesMachine(t)
	m.open()
	m.put(m.path("start"), "#!/bin/sh\necho start,$#,\"$1\" >> "+m.path("log")+"\ncase $1 in hung.ini) exec sleep 4713;; esac\n")
	m.put(m.path("note"), "#!/bin/sh\necho note,$#,\"$UWSGI_VASSAL_CONFIG\" >> "+m.path("log")+"\n")
	for _, name := range []string{"start", "note"} {
		if err := os.Chmod(m.path(name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	m.write("uwsgi.ini", "[uwsgi]\nemperor = DIR/vassals.d\nhttp = :PORT\n"+byName+"vassals-start-hook = DIR/start\nexec-as-emperor = DIR/note\nhook-timeout = 5\n")
	const site = "chdir = DIR\ncommand = node webapp.js\n"
	const odd = "x$(touch PWNED);touch PWNED"
	m.vassal(odd, site)
	m.vassal("hung", site)
	m.start()
	m.waitLog(0, odd+": vassal ready")
	m.said("hung: ", "it was ended, because it was not over after 5s (hook-timeout)")
	for _, want := range []string{"start,1," + odd + ".ini", "start,1,hung.ini", "note,0," + odd + ".ini"} {
		m.eventually("a hook has noted "+want, func() bool { return slices.Contains(strings.Split(m.file("log"), "\n"), want) })
	}
	if m.pidOf("sleep 4713") != 0 {
		t.Error("the hook that hangs was not ended")
	}
	for _, folder := range []string{"", "vassals.d/"} {
		if exists(m.path(folder + "PWNED")) {
			t.Errorf("a file's name was carried out in %q", folder)
		}
	}
}

// TestCapabilitiesOfTheMainFile: emperor-cap is all that a vassal of root's can ever have
// (and setpcap, which uWSGI needs to give up the others).
func TestCapabilitiesOfTheMainFile(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Log("only root has capabilities to take away")
		return
	}
	m := newMachine(t)
	m.write("uwsgi.ini", "[uwsgi]\nemperor = %dvassals.d/*.ini\nhttp = 127.0.0.1:PORT\nemperor-cap = net_bind_service\n")
	m.write("show.sh", "grep Cap /proc/self/status\nexec sleep 1000\n")
	m.write("vassals.d/site.ini", "[uwsgi]\ncommand = /bin/sh DIR/show.sh\nsocket = DIR/%n.sock\n")
	m.start()
	for _, set := range []string{"CapPrm", "CapEff", "CapBnd"} {
		m.waitLog(0, "site | "+set+":\t0000000000000500")
	}
	m.stop()
}
