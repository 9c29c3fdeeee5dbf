package spec

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"emperor/internal/proc"
)

// protectionsOf reads a vassal, and gives its protections, or its mistakes and warnings.
func protectionsOf(t *testing.T, text string, adjust func(*Reading)) string {
	t.Helper()
	r := Reading{}
	if adjust != nil {
		adjust(&r)
	}
	dir := openDir(t)
	file := dir + "/site.ini"
	if err := os.WriteFile(file, []byte("[uwsgi]\n"+text), 0o644); err != nil {
		t.Fatal(err)
	}
	r.Name, r.File = "site", file
	got := Read(r)
	var out []string
	for _, p := range got.Problems {
		out = append(out, strings.TrimPrefix(p.Error(), dir+"/"))
	}
	if got.Spec != nil {
		out = append(out, strings.Join(got.Spec.Protections(got.Config, 0), "; "))
	}
	return strings.Join(out, "\n")
}

func TestLimits(t *testing.T) {
	const command, uwsgi = "socket = /tmp/x\ncommand = x\n", "socket = /tmp/x\nmodule = x\n"
	self := "user " + AccountOf(&proc.Credential{UID: uint32(os.Geteuid())}).String()
	if os.Geteuid() == 0 {
		self += " (no uid)"
	}
	for _, test := range []struct{ text, want string }{
		{command, "; no-new-privs"},
		{command + "no-new-privs = false", ""},
		{uwsgi, ""},
		{uwsgi + "no-new-privs", "; no-new-privs"},
		{command + "rlimit-nofile = 100\nrlimit-core = 0\nrlimit-fsize = 1M:2g\nrlimit-stack = unlimited", "; no-new-privs; rlimit-core 0; rlimit-fsize 1048576:2147483648; rlimit-nofile 100; rlimit-stack unlimited"},
		{command + "limit-as = 512\nlimit-nproc = 30\nmax-fd = 40", "; no-new-privs; limit-as 536870912; max-fd 40; limit-nproc 30"},
		{command + "limit-as = 512\nrlimit-as = 1G", "; no-new-privs; rlimit-as 1073741824"},
		{uwsgi + "limit-as = 512\nrlimit-nofile = 50", "; rlimit-nofile 50"},
		{command + "rlimit-nofile = many", `site.ini:4: rlimit-nofile: want a number, or unlimited, got "many"`},
		{command + "rlimit-nofile = 1K", `site.ini:4: rlimit-nofile: want a number, or unlimited, got "1K"`},
		{command + "limit-as = -1", "site.ini:4: limit-as: want a number, at least 1, got -1"},
		{command + "rlimit-as = 1X", `site.ini:4: rlimit-as: want a number of bytes such as 64K, 512M or 2G, or unlimited, got "1X"`},
		{command + "rlimit-nofile = 9:8", `site.ini:4: rlimit-nofile: want SOFT:HARD with a soft limit that is not above the hard one, got "9:8"`},
		{command + "chroot = jail", `site.ini:4: chroot: want the whole path of a directory, got "jail"`},
		{"static = /srv\nrlimit-as = 1G", "site.ini:3: rlimit-as: no effect: a folder has no process of its own\n"},
	} {
		want := test.want
		if !strings.HasPrefix(want, "site.ini") {
			want = self + want
			if os.Geteuid() != 0 && !strings.Contains(want, "no-new-privs") {
				want = strings.Replace(want, self, self+"; no-new-privs: no", 1)
			}
		}
		if got := protectionsOf(t, test.text, nil); got != want {
			t.Errorf("%q:\ngot  %s\nwant %s", test.text, got, want)
		}
	}
}

// TestLimitsOfOthers: what only root can give, and what it means with another user.
func TestLimitsOfOthers(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Log("who is not root gives nobody anything")
		return
	}
	const command = "socket = /tmp/x\ncommand = x\n"
	for _, test := range []struct {
		text, want string
		adjust     func(*Reading)
	}{
		{command + "uid = 54321\ncap = net_bind_service", "user 54321, group 54321; no-new-privs; capabilities: net_bind_service", nil},
		{command + "cap = chown,kill", "user root (no uid); no-new-privs; capabilities at most: chown,kill", nil},
		{command + "uid = 54321", "user 54321, group 54321; no-new-privs; capabilities at most: setpcap,net_bind_service", func(r *Reading) { r.Bounded, r.Bounding = true, parsed(t, "net_bind_service") }},
		{command + "cap = chown,kill", "site.ini:4: cap: emperor-cap leaves no vassal the capabilities chown\nuser root (no uid); no-new-privs; capabilities at most: kill", func(r *Reading) { r.Bounded, r.Bounding = true, parsed(t, "kill") }},
		{command + "cap = fly", `site.ini:4: cap: there is no capability "fly"`, nil},
		{command + "uid = 54321\nadd-gid = 54322\nadd-gid = 54323", "user 54321, group 54321 (and 54322, 54323); no-new-privs", nil},
		{command + "uid = 54321\nadd-gid = nobody-of-that-name", `site.ini:5: add-gid: there is no group "nobody-of-that-name"`, nil},
		{command + "chroot = /srv\nchdir = app", `site.ini:5: chdir: with chroot want the whole path of a directory in it, got "app"`, nil},
		{command + "chroot = /srv/", "user root (no uid); no-new-privs; chroot /srv", nil},
		// A user whom the main file has chosen gets nothing by lines of his own.
		{command + "uid = root\ncap = sys_admin\nadd-gid = 0", "site.ini:4: uid: no effect: the main file's uid and gid make every vassal run as user 54321, group 54321\n" +
			"site.ini:6: add-gid: no effect: the main file's uid and gid make every vassal run as user 54321, group 54321\n" +
			"site.ini:5: cap: no effect: it runs as user 54321 from its start, who has no capabilities\nuser 54321, group 54321; no-new-privs", pinnedTo(54321)},
		{command + "chroot = /srv", "site.ini:4: chroot: only root can change the root directory, and it runs as user 54321 from its start", pinnedTo(54321)},
	} {
		got := protectionsOf(t, test.text, test.adjust)
		if !strings.HasPrefix(got, test.want) {
			t.Errorf("%q:\ngot  %s\nwant %s", test.text, got, test.want)
		}
	}
}

// openDir is a folder that every user can enter.
func openDir(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for _, d := range []string{filepath.Dir(dir), dir} {
		if err := os.Chmod(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func pinnedTo(id uint32) func(*Reading) {
	return func(r *Reading) { r.User = &proc.Credential{UID: id, GID: id} }
}

func parsed(t *testing.T, list string) proc.Capabilities {
	t.Helper()
	set, err := proc.ParseCapabilities(list)
	if err != nil {
		t.Fatal(err)
	}
	return set
}
