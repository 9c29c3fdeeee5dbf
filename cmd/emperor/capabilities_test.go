package main

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
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

// TestAmbientCapabilitiesStayOurs: what a service manager gives an ordinary user's
// emperor, so that it can open port 443, is not for the sites, nor for the router.
func TestAmbientCapabilitiesStayOurs(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Log("there is nobody here who could give capabilities")
		return
	}
	m := newMachine(t)
	if err := os.Chmod(m.dir, 0o777); err != nil {
		t.Fatal(err)
	}
	m.write("uwsgi.ini", "[uwsgi]\nemperor = %dvassals.d/*.ini\nhttp = 127.0.0.1:PORT\n")
	m.write("show.sh", "grep Cap /proc/self/status\nexec sleep 1000\n")
	m.write("vassals.d/site.ini", "[uwsgi]\ncommand = /bin/sh DIR/show.sh\nsocket = DIR/%n.sock\n")
	command := exec.Command(emperorBinary(t), "uwsgi.ini", "--control", m.path("control.sock"))
	command.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 61997, Gid: 61997}, AmbientCaps: []uintptr{unix.CAP_NET_BIND_SERVICE}}
	m.run(command)
	for _, set := range []string{"CapPrm", "CapEff", "CapAmb"} {
		m.waitLog(0, "site | "+set+":\t0000000000000000")
		if own := m.capabilities(m.command.Process.Pid, set); own != "0000000000000400" {
			t.Errorf("the emperor's %s is %s", set, own)
		}
		if router := m.capabilities(m.routers()[0], set); router != "0000000000000000" {
			t.Errorf("the router's %s is %s", set, router)
		}
	}
	m.stop()
}

// capabilities is a set of a process's, as the kernel writes it.
func (m *machine) capabilities(pid int, set string) string {
	m.t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		m.t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(text), set+":\t")
	line, _, _ := strings.Cut(rest, "\n")
	return line
}
