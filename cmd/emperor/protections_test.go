package main

import (
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"
)

// TestProtectionsInForce: what check says of a vassal is what the kernel says of its
// processes when it runs. A command gets no new privileges unless its file says so, a
// uWSGI app may run sendmail.
func TestProtectionsInForce(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Log("only root can give vassals to others")
		return
	}
	m := newMachine(t)
	must(t, os.Chmod(m.dir, 0o777)) // sockets are made with the users' rights
	m.small("app.py", "")
	m.put(m.path("wsgi.py"), "def application(e, r):\n    r('200 OK', [])\n    return [b'ok']\n")
	m.rules(byName)
	number, _ := person(t, "daemon")
	other, _ := person(t, "bin")
	daemon, bin := fmt.Sprint(number), fmt.Sprint(other)
	ids := func(id string) string { return strings.Join([]string{id, id, id, id}, "\t") }
	const command = "socket = DIR/%n.sock\ncommand = python3 DIR/app.py\n"
	tests := []struct {
		name, text, says string
		status           map[string]string
		group            string // is among its further ones
		limits           string // of open files
	}{
		{"plain", command, "user root (no uid); no-new-privs",
			map[string]string{"NoNewPrivs:": "1", "Uid:": ids("0")}, "", ""},
		{"sudo", command + "no-new-privs = false\n", "user root (no uid)",
			map[string]string{"NoNewPrivs:": "0"}, "", ""},
		{"bounded", command + "cap = chown,kill\n", "user root (no uid); no-new-privs; capabilities at most: chown,kill",
			map[string]string{"NoNewPrivs:": "1", "CapEff:": "0000000000000021", "CapBnd:": "0000000000000021"}, "", ""},
		{"limited", command + "uid = daemon\nadd-gid = bin\ncap = net_bind_service\nrlimit-nofile = 100:200\n",
			"user daemon, group daemon (and bin); no-new-privs; capabilities: net_bind_service; rlimit-nofile 100:200",
			map[string]string{"NoNewPrivs:": "1", "Uid:": ids(daemon), "Gid:": ids(daemon), "CapEff:": "0000000000000400"}, bin, "100 200"},
		{"wsgi", "socket = DIR/%n.sock\nplugin = python3\nwsgi-file = DIR/wsgi.py\nuid = daemon\ngid = bin\n", "user daemon, group bin, by uWSGI; no-new-privs: no",
			map[string]string{"NoNewPrivs:": "0", "Uid:": ids(daemon), "Gid:": ids(bin), "Groups:": bin, "CapEff:": "0000000000000000"}, "", ""},
		{"wsgi-uid", "socket = DIR/%n.sock\nplugin = python3\nwsgi-file = DIR/wsgi.py\nuid = daemon\n", "user daemon, group root (no gid)GROUPS, by uWSGI; no-new-privs: no",
			map[string]string{"Uid:": ids(daemon), "Gid:": ids("0")}, "", ""},
		{"wsgi-gids", "socket = DIR/%n.sock\nplugin = python3\nwsgi-file = DIR/wsgi.py\nuid = daemon\ngid = bin\nadd-gid = sys\n", "user daemon, group bin (and sys), by uWSGI; no-new-privs: no",
			map[string]string{"Uid:": ids(daemon), "Gid:": ids(bin)}, "3", ""},
		{"groups", command + "uid = daemon\ngid = bin\n", "user daemon, group bin; no-new-privs",
			map[string]string{"Uid:": ids(daemon), "Gid:": ids(bin), "Groups:": bin}, "", ""},
	}
	for _, test := range tests {
		m.vassal(test.name, test.text)
	}
	checked, code := m.ask("check", "uwsgi.ini")
	if code != 0 {
		t.Errorf("check:\n%s", checked)
	}
	m.start()
	m.waitReady()
	for _, test := range tests {
		says := strings.Replace(regexp.QuoteMeta(test.says), "GROUPS", `( \(and .*\))?`, 1) // those of the tests' user
		if !regexp.MustCompile(`(?m)^  ` + test.name + ` +` + says + `$`).MatchString(checked) {
			t.Errorf("%s: check does not say %q:\n%s", test.name, test.says, checked)
		}
		m.page(test.name+".test", "/")
		pid := m.known(test.name).PIDs[0]
		for field, want := range test.status {
			if got := statusOf(t, pid, field); got != want {
				t.Errorf("%s: %s %s, want %s", test.name, field, got, want)
			}
		}
		if groups := statusOf(t, pid, "Groups:"); !strings.Contains(" "+groups+" ", " "+test.group+" ") && test.group != "" {
			t.Errorf("%s: groups %s, want %s among them", test.name, groups, test.group)
		}
		limits, err := os.ReadFile(fmt.Sprintf("/proc/%d/limits", pid))
		must(t, err)
		_, line, _ := strings.Cut(string(limits), "Max open files")
		if got := strings.Join(strings.Fields(line)[:2], " "); test.limits != "" && got != test.limits {
			t.Errorf("%s: open files %s, want %s", test.name, got, test.limits)
		}
	}
}

// TestOwnersOfLinks: with emperor-tyrant-nofollow a vassal runs as the owner of the link,
// with emperor-tyrant-initgroups in all of his groups, also when the file's is another.
func TestOwnersOfLinks(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Log("without root there are no tenants")
		return
	}
	m := newMachine(t)
	must(t, os.Chmod(m.dir, 0o777))
	m.small("app.py", "")
	m.rules(byName + "emperor-tyrant-nofollow = true\nemperor-tyrant-initgroups = true\n")
	alice, _ := person(t, "daemon")
	bob, _ := person(t, "bin")
	m.write("bobs/site.ini", "[uwsgi]\nsocket = DIR/%n.sock\ncommand = python3 DIR/app.py\n")
	must(t, os.Chown(m.path("bobs/site.ini"), bob, bob))
	must(t, os.MkdirAll(m.path("vassals.d"), 0o755))
	must(t, os.Symlink(m.path("bobs/site.ini"), m.path("vassals.d/site.ini")))
	must(t, os.Lchown(m.path("vassals.d/site.ini"), alice, bob))
	m.start()
	m.waitReady()
	m.page("site.test", "/")
	pid := m.known("site").PIDs[0]
	for field, want := range map[string]string{"Uid:": fmt.Sprintf("%d\t%[1]d\t%[1]d\t%[1]d", alice), "Gid:": fmt.Sprintf("%d\t%[1]d\t%[1]d\t%[1]d", bob)} {
		if got := statusOf(t, pid, field); got != want {
			t.Errorf("%s %s, want %s", field, got, want)
		}
	}
	if groups := statusOf(t, pid, "Groups:"); !strings.Contains(" "+groups+" ", fmt.Sprintf(" %d ", alice)) {
		t.Errorf("groups %s, want those of daemon", groups)
	}
}
