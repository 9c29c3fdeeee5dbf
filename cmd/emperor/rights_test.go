package main

import (
	"fmt"
	"os"
	"os/user"
	"strconv"
	"strings"
	"testing"
)

// person finds a user that every system has, or whoever runs the tests where they
// cannot become anybody else.
func person(t *testing.T, name string) (number int, called string) {
	t.Helper()
	if os.Geteuid() != 0 {
		us, err := user.Current()
		if err != nil {
			t.Fatal(err)
		}
		return os.Getuid(), us.Username
	}
	found, err := user.Lookup(name)
	if err != nil {
		t.Fatal(err)
	}
	if number, err = strconv.Atoi(found.Uid); err != nil {
		t.Fatal(err)
	}
	return number, name
}

// give makes a file of the folder somebody's, with that mode.
func (m *machine) give(name string, owner int, mode os.FileMode) {
	m.t.Helper()
	if err := os.Lchown(m.path(name), owner, -1); err != nil {
		m.t.Fatal(err)
	}
	if info, err := os.Lstat(m.path(name)); err == nil && info.Mode()&os.ModeSymlink == 0 {
		if err := os.Chmod(m.path(name), mode); err != nil {
			m.t.Fatal(err)
		}
	}
}

// TestTenantsReadNothingThroughTheEmperor: what a tenant may not read does not
// come into his vassal, nor into anything that can be seen of it; what root's own
// files name is read, also for a vassal of another user.
func TestTenantsReadNothingThroughTheEmperor(t *testing.T) {
	t.Parallel()
	m := sitesMachine(t)
	alice, called := person(t, "daemon")
	bob, bobCalled := person(t, "bin")
	own := os.FileMode(0o600)
	if os.Geteuid() != 0 {
		own = 0 // the one thing that its owner may not read
	}
	const secret = "hunter2"
	m.write("run/empty", "")
	m.give("run", alice, 0o755)
	app := "socket = DIR/run/%n.sock\nchdir = DIR\nenv = HOME=DIR\ncommand = gunicorn webapp:application\nuid = " + called + "\n"

	m.write("secret.ini", "[uwsgi]\nenv = PASSWORD="+secret+"\n"+secret+"\n")
	m.give("secret.ini", os.Geteuid(), own)
	m.write("bob.ini", "[uwsgi]\ncommand = echo "+secret+"\nsocket = DIR/bob.sock\n")
	m.give("bob.ini", bob, own)
	m.write("world.ini", "[uwsgi]\ninclude = %dsecret.ini\n")

	tenants := map[string]string{
		"include":  "include = %d../secret.ini\n",
		"inherit":  "place = DIR/secret\ninherit = %(place).ini\n",
		"list":     "for-readline = %d../secret.ini\nenv = X=%(_)\nendfor =\n",
		"indirect": "include = %d../world.ini\n",
	}
	for name, text := range tenants {
		m.vassal(name, app+text)
		m.give("vassals.d/"+name+".ini", alice, 0o644)
	}
	if err := os.Symlink("../bob.ini", m.path("vassals.d/link.ini")); err != nil {
		t.Fatal(err)
	}
	m.give("vassals.d/link.ini", alice, 0)
	// What is not there for the tenant is not there: the vassal runs.
	m.vassal("test", app+"if-exists = %d../secret.ini\nno-such-option = 1\nendif =\n")
	m.give("vassals.d/test.ini", alice, 0o644)

	// Root's: a file with a secret, and another that it includes.
	m.write("private.ini", "[uwsgi]\nenv = TOKEN="+secret+"\n")
	m.vassal("roots", app+"include = %d../private.ini\n")
	m.give("private.ini", os.Geteuid(), 0o600)
	m.give("vassals.d/roots.ini", os.Geteuid(), 0o600)

	m.start()
	m.untilRelease("roots.test", "0")
	m.untilRelease("test.test", "0")
	check, code := m.ask("check", "uwsgi.ini", "--show")
	if code == 0 {
		t.Error("check finds no mistake")
	}
	roots := strings.Index(check, "\nvassals.d/roots.ini\n")
	if roots < 0 {
		t.Fatalf("check does not show root's vassal:\n%s", check)
	}
	if rest := check[roots+1:]; strings.Contains(rest, "\n\n") {
		check = check[:roots] + rest[strings.Index(rest, "\n\n"):] // root's own shows his token
	} else {
		check = check[:roots]
	}
	status, _ := m.order("status")
	seen := map[string]string{"check": check, "status": status}
	tenants["link"] = ""
	for name := range tenants {
		why, _ := m.order("why", name)
		seen["why "+name] = why
		owner, mode := bobCalled, fmt.Sprintf("%04o", own)
		if name != "link" {
			self, err := user.Current()
			if err != nil {
				t.Fatal(err)
			}
			owner = self.Username
		}
		says := fmt.Sprintf("user %s may not read it (owner %s, mode %s)", called, owner, mode)
		place := "vassals.d/" + name + ".ini"
		if name == "indirect" {
			place = "world.ini:2: include: "
		}
		for what, text := range map[string]string{"why": why, "check": check, "log": m.waitLog(0, place, says)} {
			if !strings.Contains(text, says) || !strings.Contains(text, place) {
				t.Errorf("%s: %s does not say %q:\n%s", name, what, says, text)
			}
		}
		if strings.Contains(why, "what runs") {
			t.Errorf("%s: nothing runs, but:\n%s", name, why)
		}
	}
	m.mu.Lock()
	seen["the log"] = strings.Join(m.lines, "\n")
	m.mu.Unlock()
	for where, text := range seen {
		if strings.Contains(text, secret) {
			t.Errorf("the secret is in %s:\n%s", where, text)
		}
	}

	// With the right to read it the vassal comes up.
	m.give("secret.ini", alice, 0o600)
	m.write("secret.ini", "[uwsgi]\nenv = A=B\n")
	m.untilRelease("include.test", "0")
}

// TestMainFilesUserReadsEverything: under a main file with a user the vassals'
// files are that user's to read, as they are for uWSGI's emperor, which has become
// that user by then.
func TestMainFilesUserReadsEverything(t *testing.T) {
	t.Parallel()
	m := sitesMachine(t)
	_, called := person(t, "daemon")
	m.rules(byName + "uid = " + called + "\n")
	app := "port = auto\nchdir = DIR\nenv = HOME=DIR\ncommand = gunicorn webapp:application\n"
	m.vassal("open", app)
	m.vassal("closed", app)
	m.give("vassals.d/closed.ini", os.Geteuid(), 0o600)
	if os.Geteuid() != 0 {
		m.give("vassals.d/closed.ini", os.Geteuid(), 0)
	}
	m.start()
	m.untilRelease("open.test", "0")
	m.waitLog(0, "vassals.d/closed.ini", "user "+called+" may not read it (owner ")
}
