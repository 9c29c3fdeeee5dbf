package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestTenantsGainNothing: whatever a tenant writes into the file that is his, his vassal
// does as he may, or does not start; it is said where; and nobody else notices.
func TestTenantsGainNothing(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Log("without root there are no tenants")
		return
	}
	m := sitesMachine(t)
	m.rules(byName + "emperor-tyrant = true\n")
	alice, called := person(t, "daemon")
	bob, _ := person(t, "bin")
	m.write("precious", "precious\n")
	m.write("secret/env/NAME", "value\n")
	m.write("secret/index.html", "secret\n")
	m.give("secret", 0, 0o700)
	m.write("private.ini", "[uwsgi]\nenv = PASSWORD=x\n")
	m.give("private.ini", 0, 0o600)
	for name, owner := range map[string]int{"run": alice, "bobs": bob} {
		m.write(name+"/empty", "")
		m.give(name, owner, 0o755)
	}
	symlink(t, m.path("precious"), m.path("run/link.sock"), alice)
	const app = "chdir = DIR\nenv = HOME=DIR\ncommand = gunicorn webapp:application\n"
	own := func(name, text string, owner int) {
		m.write("new.ini", "[uwsgi]\n"+text)
		must(t, os.Chown(m.path("new.ini"), owner, owner))
		must(t, os.MkdirAll(m.path("vassals.d"), 0o755))
		must(t, os.Rename(m.path("new.ini"), m.path("vassals.d/"+name+".ini")))
	}
	own("bob", "socket = DIR/bobs/bob.sock\n"+app, bob)
	m.start()
	m.untilRelease("bob.test", "0")
	his := m.answering("bob.test")

	const socket = "socket = DIR/run/%n.sock\n"
	tries := []struct{ name, text, want string }{
		{"another-file", "socket = DIR/precious\n" + app, ":2: socket DIR/precious: DIR/precious exists and is a file, not a socket"},
		{"linked-socket", "socket = DIR/run/link.sock\n" + app, ":2: socket DIR/run/link.sock: DIR/run/link.sock exists and is a symbolic link, not a socket"},
		{"another-folder", "socket = DIR/bobs/%n.sock\n" + app, ":2: socket DIR/bobs/another-folder.sock: permission denied"},
		{"roots-folder", "socket = DIR/%n.sock\n" + app, ":2: socket DIR/roots-folder.sock: permission denied"},
		{"anothers-socket", "socket = DIR/bobs/bob.sock\n" + app, ":2: socket DIR/bobs/bob.sock"},
		{"given-socket", socket + "chown-socket = bin\n" + app, ":2: socket DIR/run/given-socket.sock: lchown DIR/run/given-socket.sock: operation not permitted"},
		{"program", socket + "env = X=@(exec://touch DIR/run/PWNED)\n" + app, ":3: env: the value depends on something that is never evaluated"},
		{"function", socket + "env = X=@(call://uwsgi_version)\n" + app, ":3: env: the value depends on something that is never evaluated"},
		{"download", socket + "env = X=@(http://127.0.0.1:PORT/)\n" + app, ":3: env: the value depends on something that is never evaluated"},
		{"include", socket + "include = DIR/private.ini\n" + app, ":3: include: DIR/private.ini: user " + called + " may not read it (owner root, mode 0600)"},
		{"envdir", socket + "envdir = DIR/secret/env\n" + app, ":3: envdir: DIR/secret/env: user " + called + " may not enter DIR/secret"},
		{"chdir", socket + "chdir = DIR/secret\nenv = HOME=DIR\ncommand = gunicorn webapp:application\n", ":5: gunicorn: working directory DIR/secret may not be entered by uid " + fmt.Sprint(alice)},
		{"folder", "static = DIR/secret\n", ":2: static: DIR/secret: user " + called + " may not enter it"},
		{"chroot", socket + "chroot = DIR\n" + app, ":3: chroot: only root can change the root directory"},
		{"group", socket + "cgroup = /sys/fs/cgroup/system.slice\n" + app, ":3: cgroup: control groups are root's to choose"},
		{"group-file", socket + "cgroup-opt = cgroup.procs=1\n" + app, ":3: cgroup-opt: control groups are root's to choose"},
	}
	if text, err := os.ReadFile("/proc/sys/net/ipv4/ip_unprivileged_port_start"); err == nil && len(text) > 3 { // in some containers every port is everybody's
		tries = append(tries, struct{ name, text, want string }{"low-port", "socket = 127.0.0.1:99\n" + app, ":2: socket 127.0.0.1:99: permission denied"})
	}
	for _, try := range tries {
		own(try.name, try.text, alice)
	}
	// Files that are not the tenant's, under names in the folder.
	m.write("bobs/open.ini", "[uwsgi]\n"+socket+app)
	m.give("bobs/open.ini", bob, 0o644)
	m.write("roots.ini", "[uwsgi]\n"+socket+app)
	symlink(t, m.path("bobs/open.ini"), m.path("vassals.d/link.ini"), alice)
	must(t, os.Link(m.path("roots.ini"), m.path("vassals.d/hard-link.ini")))
	tries = append(tries,
		struct{ name, text, want string }{"link", "", ": emperor-tyrant: the symbolic link DIR/vassals.d/link.ini belongs to user " + called + " and leads to a file of user bin"},
		struct{ name, text, want string }{"hard-link", "", ": emperor-tyrant: it belongs to user root, group root, and in tyrant mode no vassal runs as root"},
	)
	// What has no effect, and what uWSGI does itself as the tenant.
	own("rights", socket+"uid = root\ngid = 0\nadd-gid = 0\ncap = sys_admin,setuid\nno-new-privs = false\nrlimit-nofile = unlimited\nlogto = DIR/bobs/log\n"+app, alice)
	own("files", socket+"plugin = python3\nwsgi-file = DIR/webapp.py\nchdir = DIR\npidfile = DIR/bobs/pid\n", alice)

	for _, try := range tries {
		words := []string{try.name, "vassals.d/" + try.name + ".ini" + strings.ReplaceAll(try.want, "DIR", m.dir)}
		m.waitLog(0, words...)
		if why, _ := m.order("why", try.name); strings.Contains(why, "what runs") {
			t.Errorf("%s: something runs:\n%s", try.name, why)
		}
	}
	for _, name := range []string{"rights", "files"} {
		m.untilRelease(name+".test", "0")
		pid := m.answering(name + ".test")
		for field, want := range map[string]string{"Uid:": fmt.Sprintf("%d\t%[1]d\t%[1]d\t%[1]d", alice), "CapEff:": "0000000000000000", "CapPrm:": "0000000000000000"} {
			if got := statusOf(t, pid, field); got != want {
				t.Errorf("%s runs with %s %s, want %s", name, field, got, want)
			}
		}
		if groups := statusOf(t, pid, "Groups:"); strings.Contains(" "+groups+" ", " 0 ") {
			t.Errorf("%s is in the groups %s", name, groups)
		}
	}
	for line, what := range map[int]string{3: "uid", 4: "gid", 5: "add-gid", 6: "cap"} {
		m.waitLog(0, fmt.Sprintf("vassals.d/rights.ini:%d: %s: no effect: ", line, what))
	}
	for _, path := range []string{"run/PWNED", "bobs/log", "bobs/pid", "bobs/another-folder.sock", "roots-folder.sock"} {
		if _, err := os.Lstat(m.path(path)); err == nil {
			t.Errorf("%s is there", path)
		}
	}
	if text, err := os.ReadFile(m.path("precious")); err != nil || string(text) != "precious\n" {
		t.Errorf("precious is %q (%v)", text, err)
	}
	if now := m.answering("bob.test"); now != his || m.logged("bob: ", "gen=2") {
		t.Errorf("bob's site was answered by process %d, and is by %d", his, now)
	}

	// A file that is given to somebody else is that person's at once.
	must(t, os.Chown(m.path("run"), bob, bob)) // first: the socket is made there
	must(t, os.Chown(m.path("vassals.d/rights.ini"), bob, bob))
	m.eventually("the site of another user", func() bool {
		return statusOf(t, m.answering("rights.test"), "Uid:") == fmt.Sprintf("%d\t%[1]d\t%[1]d\t%[1]d", bob)
	})
}

// statusOf is a field of /proc/PID/status; empty for one that has ended.
func statusOf(t *testing.T, pid int, field string) string {
	t.Helper()
	text, _ := os.ReadFile(filepath.Join("/proc", fmt.Sprint(pid), "status"))
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, field); ok {
			return strings.TrimSpace(rest)
		}
	}
	return ""
}

func symlink(t *testing.T, to, path string, owner int) {
	t.Helper()
	must(t, os.MkdirAll(filepath.Dir(path), 0o755))
	must(t, os.Symlink(to, path))
	must(t, os.Lchown(path, owner, owner))
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
