package main

import (
	"os"
	"os/exec"
	"testing"
)

// TestRootWithoutCapabilities: a container that is run with --cap-drop=ALL and
// with the image's root may neither change user nor give files away. There is
// nobody to be kept from anything then, so the sites must simply run.
func TestRootWithoutCapabilities(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Log("there is no root here")
		return
	}
	m := uwsgiMachine(t)
	m.write("vassals.d/green.ini", "[uwsgi]\nsocket = DIR/uwsgi_%n.sock\nprotocol = http\nchdir = DIR\ncommand = gunicorn webapp:application\n")
	m.copyFile("testdata/apps/webapp.py", "webapp.py")
	m.write("RELEASE", "one\n")
	m.run(exec.Command("setpriv", "--bounding-set=-all", "--inh-caps=-all",
		emperorBinary(t), "uwsgi.ini", "--control", m.path("control.sock")))
	m.waitReady()
	for _, host := range []string{"shop.example.com", "green.example.com"} {
		m.page(host, "/")
	}
	m.touch("vassals.d/shop.ini")
	m.waitLog(0, "shop: ", "ready", "gen=2")
	m.page("shop.example.com", "/")
	m.stop()
}
