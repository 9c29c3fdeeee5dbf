package main

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

// TestTouchReload: a file that is touched deploys, in every kind of vassal, without a
// failed request; with a mistake in the app the old generation stays, also of a uWSGI,
// whose own way would be to end it first.
func TestTouchReload(t *testing.T) {
	t.Parallel()
	for _, kind := range []struct{ name, vassal string }{kinds[0], kinds[2]} {
		t.Run(kind.name, func(t *testing.T) {
			t.Parallel()
			m := sitesMachine(t)
			m.write("touched", "")
			m.vassal("site", kind.vassal+"  touch-reload   =   touched\ntouch-chain-reload = DIR/made\n")
			m.start()
			l := m.visitors("site.test")
			for i, touch := range []func(){
				func() { m.touch("touched") },
				func() { m.write("made", "") },
				func() { m.remove("made") },
			} {
				old := m.answering("site.test")
				m.write("RELEASE", fmt.Sprint(i+1))
				touch()
				m.untilRelease("site.test", fmt.Sprint(i+1))
				m.untilGone(old)
			}
			app, err := os.ReadFile(m.path("webapp.py"))
			if err != nil {
				t.Fatal(err)
			}
			mark := m.mark()
			m.write("webapp.py", "import no_such_module\n")
			m.touch("touched")
			m.waitLog(mark, "did not come up")
			m.untilRelease("site.test", "3")
			m.put(m.path("webapp.py"), string(app))
			m.write("RELEASE", "4")
			m.touch("touched")
			m.untilRelease("site.test", "4")
			report(t, l, "five touches")
		})
	}
}

// TestTouchOfTheFileItself: uWSGI's users write touch-reload = %p. A bad edit must not
// make the old uWSGI read the file by itself.
func TestTouchOfTheFileItself(t *testing.T) {
	t.Parallel()
	m := sitesMachine(t)
	const line = "touch-reload = %p\nprint = the file is %n %P\n"
	m.vassal("site", threaded+line)
	m.start()
	m.untilRelease("site.test", "0")
	old := m.answering("site.test")
	m.waitLog(0, "the file is site "+m.path("vassals.d/site.ini")) // magic variables are as ever
	mark := m.mark()
	m.vassal("site", strings.Replace(threaded, "webapp.py", "missing.py", 1)+line)
	m.waitLog(mark, "did not come up")
	if m.pidOf("exec://sed") == 0 {
		t.Errorf("uWSGI is told of the file: %v", m.processes())
	}
	if pid := m.answering("site.test"); !alive(old) || m.logged("grace them all") {
		t.Errorf("process %d answers, %d did before the bad edit (alive: %t)", pid, old, alive(old))
	}
}

// TestTouchOfTheMainFile: as SIGHUP.
func TestTouchOfTheMainFile(t *testing.T) {
	t.Parallel()
	m := sitesMachine(t)
	m.write("touched", "")
	m.rules(byName + "touch-reload = DIR/touched\nemperor-hup-reloads-vassals = true\n")
	m.vassal("site", "chdir = DIR\ncommand = node webapp.js\n")
	m.start()
	m.untilRelease("site.test", "0")
	m.write("RELEASE", "1")
	m.touch("touched")
	m.waitLog(0, "touched (touch-reload): reading the main file again")
	m.untilRelease("site.test", "1")
}
