package spec

import (
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"emperor/internal/config"
	"emperor/internal/rights"
)

const (
	anna = 54331
	bert = 54332
)

// TestTyrant: who runs a vassal is who owns its file, and who that is cannot be made up.
func TestTyrant(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Log("who is not root runs everything as himself")
		return
	}
	const command, uwsgi = "[uwsgi]\nsocket = /tmp/x\ncommand = x\n", "[uwsgi]\nsocket = /tmp/x\nmodule = x\n"
	for _, test := range []struct {
		name   string
		make   func(dir string) // makes site.ini
		tyrant Tyrant
		want   string
	}{
		{"owner", func(dir string) { owned(t, dir+"/site.ini", command, anna, 0o600) }, Tyrant{}, "user 54331, group 54331; no-new-privs"},
		{"owner of a uWSGI's", func(dir string) { owned(t, dir+"/site.ini", uwsgi, anna, 0o600) }, Tyrant{}, "user 54331, group 54331; no-new-privs: no"},
		{"the owner's groups, but for the file's", func(dir string) {
			owned(t, dir+"/site.ini", command, 1, 0o644)
			check(t, os.Chown(dir+"/site.ini", 1, anna))
		}, Tyrant{}, "user daemon, group 54331; no-new-privs"},
		{"all of the owner's groups", func(dir string) {
			owned(t, dir+"/site.ini", command, 1, 0o644)
			check(t, os.Chown(dir+"/site.ini", 1, anna))
		}, Tyrant{InitGroups: true}, "user daemon, group 54331 (and daemon); no-new-privs"},
		{"lines of one's own", func(dir string) { owned(t, dir+"/site.ini", command+"uid = 0\n", anna, 0o644) }, Tyrant{},
			"site.ini:4: uid: no effect: emperor-tyrant makes it run as the owner of its file: user 54331, group 54331\nuser 54331, group 54331; no-new-privs"},
		{"root's", func(dir string) { owned(t, dir+"/site.ini", command, 0, 0o644) }, Tyrant{},
			"site.ini: emperor-tyrant: it belongs to user root, group root, and in tyrant mode no vassal runs as root: give it to who is to run it (chown USER:GROUP DIR/site.ini)"},
		{"root's group", func(dir string) {
			owned(t, dir+"/site.ini", command, anna, 0o644)
			check(t, os.Chown(dir+"/site.ini", anna, 0))
		}, Tyrant{}, "site.ini: emperor-tyrant: it belongs to user 54331, group root"},
		{"root's link", func(dir string) {
			owned(t, dir+"/real.ini", command, anna, 0o644)
			check(t, os.Symlink("real.ini", dir+"/site.ini"))
		}, Tyrant{}, "user 54331, group 54331; no-new-privs"},
		{"link to somebody else's", func(dir string) {
			owned(t, dir+"/real.ini", command, bert, 0o644)
			symlink(t, "real.ini", dir+"/site.ini", anna)
		}, Tyrant{}, "site.ini: emperor-tyrant: the symbolic link DIR/site.ini belongs to user 54331 and leads to a file of user 54332"},
		{"link, not followed", func(dir string) {
			owned(t, dir+"/real.ini", command, bert, 0o644)
			symlink(t, "real.ini", dir+"/site.ini", anna)
		}, Tyrant{NoFollow: true}, "user 54331, group 54331; no-new-privs"},
		{"link, not followed, to what may not be read", func(dir string) {
			owned(t, dir+"/real.ini", command, bert, 0o600)
			symlink(t, "real.ini", dir+"/site.ini", anna)
		}, Tyrant{NoFollow: true}, "site.ini: emperor-tyrant: user 54331 may not read it (owner 54332, mode 0600)"},
		{"root's link, not followed", func(dir string) {
			owned(t, dir+"/real.ini", command, anna, 0o644)
			check(t, os.Symlink("real.ini", dir+"/site.ini"))
		}, Tyrant{NoFollow: true}, "site.ini: emperor-tyrant: it belongs to user root"},
		{"hard link in a shared folder", func(dir string) {
			check(t, os.Chmod(dir, 0o1777))
			owned(t, dir+"/real.ini", command, bert, 0o644)
			check(t, os.Link(dir+"/real.ini", dir+"/site.ini"))
		}, Tyrant{}, "site.ini: emperor-tyrant: the file has 2 names (hard links), and others than user 54332 can have given it this one"},
		{"shared folder, command", func(dir string) {
			owned(t, dir+"/site.ini", command, anna, 0o644)
			check(t, unix.Chmod(dir, 0o777))
		}, Tyrant{}, "user 54331, group 54331; no-new-privs"},
		{"shared folder, uWSGI", func(dir string) {
			owned(t, dir+"/site.ini", uwsgi, anna, 0o644)
			check(t, unix.Chmod(dir, 0o777))
		}, Tyrant{}, "site.ini: emperor-tyrant: uWSGI would open it as user 54331, and it could be replaced before that by everybody, who may write DIR (mode 0777"},
		{"shared folder that keeps files their owners', uWSGI", func(dir string) {
			owned(t, dir+"/site.ini", uwsgi, anna, 0o644)
			check(t, unix.Chmod(dir, 0o1777))
		}, Tyrant{}, "user 54331, group 54331; no-new-privs: no"},
	} {
		t.Run(test.name, func(t *testing.T) {
			dir := openDir(t)
			test.make(dir)
			got := Read(Reading{Name: "site", File: dir + "/site.ini", Tyrant: &test.tyrant})
			var out []string
			for _, p := range got.Problems {
				p.Pos.File = filepath.Base(p.Pos.File)
				out = append(out, p.Error())
			}
			if got.Spec != nil {
				out = append(out, strings.Join(got.Spec.Protections(got.Config, 0), "; "))
			}
			text := strings.Join(out, "\n")
			if want := strings.ReplaceAll(test.want, "DIR", dir); !strings.HasPrefix(text, want) || got.Spec != nil && text != want {
				t.Errorf("got  %s\nwant %s", text, want)
			}
		})
	}
}

// TestTyrantReadsWhatItJudged: a file that is put into the place of the one whose owner
// counts is not read.
func TestTyrantReadsWhatItJudged(t *testing.T) {
	dir := openDir(t)
	path := dir + "/site.ini"
	owner := os.Geteuid()
	if owner == 0 {
		owner = anna
	}
	owned(t, path, "[uwsgi]\nsocket = /tmp/x\ncommand = judged\n", owner, 0o644)
	opener := rights.NewReader(nil)
	defer opener.Close()
	judged, problem := (&Tyrant{}).judge(opener, path)
	if problem != nil {
		t.Fatal(problem)
	}
	defer judged.Close()
	owned(t, path+".new", "[uwsgi]\nsocket = /tmp/x\ncommand = other\n", owner, 0o644)
	check(t, os.Rename(path+".new", path))
	set, err := vassalOptions()
	check(t, err)
	c, problems := config.Load(config.Request{Set: set, Opener: judged, File: "site.ini", Dir: dir, Vassal: true})
	check(t, problems.Err())
	if got := c.Text("command"); got != "judged" {
		t.Errorf("read %q", got)
	}
}

// TestTyrantsSockets: what the vassal's file names is bound as its owner, what the main
// file names as root.
func TestTyrantsSockets(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Log("who is not root binds everything as himself")
		return
	}
	dir := openDir(t)
	owned(t, dir+"/site.ini", "[uwsgi]\nsocket = /run/own.sock\ncommand = x\n", anna, 0o644)
	got := Read(Reading{Name: "site", File: dir + "/site.ini", Tyrant: &Tyrant{}, OnDemand: OnDemandReading{Directory: "/run/sites"}})
	check(t, got.Problems.Err())
	as := map[string]string{}
	for _, socket := range got.Spec.Sockets {
		as[socket.Address] = got.Spec.SocketRules.Of(socket).As.OrSelf().String()
	}
	if want := map[string]string{"/run/own.sock": "54331", "/run/sites/site.socket": "root"}; !maps.Equal(as, want) {
		t.Errorf("sockets are bound as %v, want %v", as, want)
	}
}

// owned makes a file of somebody's.
func owned(t *testing.T, path, text string, owner int, mode os.FileMode) {
	t.Helper()
	check(t, os.WriteFile(path, []byte(text), 0o600))
	if os.Geteuid() == 0 {
		check(t, os.Chown(path, owner, owner))
	}
	check(t, os.Chmod(path, mode))
}

func symlink(t *testing.T, to, path string, owner int) {
	t.Helper()
	check(t, os.Symlink(to, path))
	check(t, os.Lchown(path, owner, owner))
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
