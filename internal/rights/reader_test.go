package rights

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"emperor/internal/config"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// Numbers that no entry has.
const (
	alice = 54321
	bob   = 54322
	team  = 54323 // a group
)

// tree makes files and directories, each as "NAME UID GID MODE" with what is in
// it: a text, "/" for a directory, "> TARGET" for a link, "= NAME" for another name.
func tree(t *testing.T, things ...[2]string) string {
	t.Helper()
	dir := t.TempDir()
	// All may go in, but for what the test says.
	for up := dir; up != "/tmp" && up != "/"; up = filepath.Dir(up) {
		if err := os.Chmod(up, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for _, thing := range things {
		var name string
		var uid, gid int
		var mode os.FileMode
		fields := strings.Fields(thing[0])
		name = filepath.Join(dir, fields[0])
		uid, gid = numberOf(t, fields[1]), numberOf(t, fields[2])
		for _, c := range fields[3] {
			mode = mode<<3 | os.FileMode(c-'0')
		}
		var err error
		switch what := thing[1]; {
		case what == "/":
			err = os.Mkdir(name, 0o700)
		case strings.HasPrefix(what, "> "):
			err = os.Symlink(strings.ReplaceAll(what[2:], "DIR", dir), name)
		case strings.HasPrefix(what, "= "):
			err = os.Link(filepath.Join(dir, what[2:]), name)
		default:
			err = os.WriteFile(name, []byte(what), 0o600)
		}
		if err == nil && os.Geteuid() == 0 {
			err = os.Lchown(name, uid, gid)
		}
		if err == nil && !strings.HasPrefix(thing[1], "> ") {
			err = unix.Chmod(name, uint32(mode))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func numberOf(t *testing.T, name string) int {
	t.Helper()
	number, ok := map[string]int{"root": 0, "alice": alice, "bob": bob, "team": team}[name]
	if !ok {
		t.Fatalf("who is %s?", name)
	}
	return number
}

// who names an author.
func (r *Reader) who(by config.Author) string {
	if by == 0 {
		return "root"
	}
	u := r.users[by-1]
	switch u.UID {
	case alice:
		return "alice"
	case bob:
		return "bob"
	}
	return strings.ReplaceAll(u.Name, "54323", "team")
}

// As root all of the rule can be seen. Anybody else makes the same files, which are
// all his, and opens them with his own rights.
func TestOpen(t *testing.T) {
	type named struct{ path, by, want string }
	for _, test := range []struct {
		name   string
		things [][2]string
		opens  []named
	}{
		{"root's", [][2]string{{"f root root 600", "text"}},
			[]named{{"f", "root", "root"}, {"f", "alice", "user 54321 may not read it (owner root, mode 0600)"}, {"no", "root", "no such file"}, {"no", "alice", "no such file"}}},
		{"for everybody", [][2]string{{"f root root 644", "text"}},
			[]named{{"f", "root", "root"}, {"f", "alice", "alice"}}},
		{"a tenant's", [][2]string{{"f alice root 600", "text"}},
			[]named{{"f", "root", "alice"}, {"f", "alice", "alice"}, {"f", "bob", "user 54322 may not read it (owner 54321, mode 0600)"}}},
		{"a tenant's, in a directory of root's only", [][2]string{{"d root root 700", "/"}, {"d/f alice root 600", "text"}},
			[]named{{"d/f", "root", "alice"}, {"d/f", "alice", "user 54321 may not enter DIR/d (owner root, mode 0700)"}}},
		{"root's, in a tenant's directory", [][2]string{{"d alice root 700", "/"}, {"d/f root root 600", "text"}, {"d/g root root 644", "text"}},
			[]named{{"d/f", "root", "user 54321 may not read it (owner root, mode 0600)"}, {"d/g", "root", "alice"}, {"d/g", "bob", "user 54322 may not enter DIR/d (owner 54321, mode 0700)"}}},
		{"a tenant's link", [][2]string{{"f root root 600", "text"}, {"l alice root 777", "> f"}, {"a alice root 777", "> DIR/f"}},
			[]named{{"l", "root", "user 54321 may not read it (owner root, mode 0600)"}, {"a", "root", "user 54321 may not read it (owner root, mode 0600)"}}},
		{"root's link", [][2]string{{"f root root 600", "text"}, {"l root root 777", "> f"}, {"m root root 777", "> DIR/l"}, {"d alice alice 755", "/"}, {"d/f bob bob 600", "text"}, {"n root root 777", "> d/f"}},
			[]named{{"l", "root", "root"}, {"m", "root", "root"}, {"n", "root", "user 54321 may not read it (owner 54322, mode 0600)"}}},
		{"a tenant's directory is a link", [][2]string{{"d root root 700", "/"}, {"d/f root root 600", "text"}, {"l alice root 777", "> d"}},
			[]named{{"l/f", "root", "user 54321 may not enter DIR/d (owner root, mode 0700)"}}},
		{"back from a tenant's directory", [][2]string{{"f root root 600", "text"}, {"d alice root 755", "/"}},
			[]named{{"d/../f", "root", "user 54321 may not read it (owner root, mode 0600)"}}},
		{"others may write it", [][2]string{{"f root root 666", "text"}, {"g root team 664", "text"}, {"h root root 664", "text"}},
			[]named{{"f", "root", "nobody"}, {"g", "root", "nobody, group team"}, {"h", "root", "root"}}},
		{"others may write the directory", [][2]string{{"d root team 2775", "/"}, {"d/f root root 600", "text"}, {"d/a alice team 600", "text"}, {"d/l alice team 777", "> f"}},
			[]named{{"d/f", "root", "root"}, {"d/a", "root", "alice"}, {"d/l", "root", "user 54321 may not read it (owner root, mode 0600)"}}},
		{"another name in a directory that others may write", [][2]string{{"f root root 600", "text"}, {"d root root 1777", "/"}, {"d/f root root 600", "= f"}, {"e root root 755", "/"}, {"e/f root root 600", "= f"}},
			[]named{{"d/f", "root", "user nobody may not read it (owner root, mode 0600); others than root can write the file that names it, or have put it there"}, {"e/f", "root", "root"}, {"d/../e/f", "root", "root"}, {"e/../d/f", "root", "user nobody may not"}}},
		{"a loop", [][2]string{{"l root root 777", "> l"}}, []named{{"l", "root", "too many"}, {"l", "alice", "too many"}}},
		{"what is not as it seems", [][2]string{{"p alice root 777", "> /proc/self/maps"}, {"q alice root 777", "> /proc/self/fd/0"}, {"r alice root 777", "> /proc/self/cwd/reader_test.go"}},
			[]named{{"p", "root", "what is below /proc is not opened for user 54321"}, {"q", "root", "too many levels of symbolic links"}, {"r", "root", "too many levels of symbolic links"}}},
	} {
		t.Run(test.name, func(t *testing.T) {
			dir := tree(t, test.things...)
			r := NewReader(nil)
			defer r.Close()
			for _, open := range test.opens {
				by := config.Author(0)
				if open.by != "root" {
					by = r.author(r.owner(uint32(numberOf(t, open.by))))
				}
				file, author, err := r.Open(filepath.Join(dir, open.path), by)
				if strings.Contains(open.path, "..") { // Join has cleaned it
					file, author, err = r.Open(dir+"/"+open.path, by)
				}
				if err == nil {
					text, _ := io.ReadAll(file)
					file.Close()
					if string(text) != "text" && (os.Geteuid() == 0 || test.name != "what is not as it seems") {
						t.Errorf("%s: it holds %.100q", open.path, text)
					}
				}
				if os.Geteuid() != 0 {
					// All of it is one user's: it is opened or refused by the mode alone.
					if author != 0 || len(r.threads) > 0 {
						t.Errorf("%s: opened for %d with %d threads", open.path, author, len(r.threads))
					}
					continue
				}
				want := strings.ReplaceAll(open.want, "DIR", dir)
				switch {
				case err != nil && !strings.Contains(err.Error(), want):
					t.Errorf("%s, named by %s: %v, want %q", open.path, open.by, err, want)
				case err == nil && r.who(author) != want:
					t.Errorf("%s, named by %s, is %s's, want %q", open.path, open.by, r.who(author), want)
				}
				if err != nil && strings.Contains(want, "may not") && !errors.Is(err, os.ErrPermission) {
					t.Errorf("%v is not a matter of rights", err)
				}
			}
			if r.who(0) != "root" || test.name == "root's link" && len(r.threads) > 1 {
				t.Errorf("%d threads for one user", len(r.threads))
			}
		})
	}
}

// Whoever has a thousand files of root's alone pays for no thread.
func TestRootNeedsNoThread(t *testing.T) {
	dir := tree(t, [2]string{"f root root 600", "text"}, [2]string{"l root root 777", "> f"})
	r := NewReader(nil)
	defer r.Close()
	for _, name := range []string{"f", "l", "no"} {
		if file, _, err := r.Open(filepath.Join(dir, name), 0); err == nil {
			file.Close()
		}
		r.Look(filepath.Join(dir, name), 0, func() {})
	}
	if len(r.threads) > 0 {
		t.Errorf("%d threads were made", len(r.threads))
	}
}

// An ACL hides whom the group's bits are for.
func TestACL(t *testing.T) {
	dir := tree(t, [2]string{"f root team 664", "text"})
	// user::rw- user:54321:rw- group::r-- mask::rw- other::r--
	acl := []byte{2, 0, 0, 0,
		1, 0, 6, 0, 255, 255, 255, 255,
		2, 0, 6, 0, alice & 255, alice >> 8, 0, 0,
		4, 0, 4, 0, 255, 255, 255, 255,
		16, 0, 6, 0, 255, 255, 255, 255,
		32, 0, 4, 0, 255, 255, 255, 255}
	path := filepath.Join(dir, "f")
	if err := unix.Setxattr(path, "system.posix_acl_access", acl, 0); err != nil {
		if errors.Is(err, unix.ENOTSUP) {
			t.Logf("no ACLs on %s", dir) // then there is nothing they could hide
			return
		}
		t.Fatal(err)
	}
	r := NewReader(nil)
	defer r.Close()
	file, author, err := r.Open(path, 0)
	if err != nil {
		t.Fatal(err)
	}
	file.Close()
	if want := map[bool]string{true: "nobody", false: "root"}[os.Geteuid() == 0]; r.who(author) != want {
		t.Errorf("its lines are %s's, want %s's", r.who(author), want)
	}
}

// Under a main file with a user everything is that user's.
func TestPinned(t *testing.T) {
	dir := tree(t, [2]string{"f root root 600", ""}, [2]string{"g root team 640", ""}, [2]string{"h bob bob 644", ""})
	r := NewReader(&User{UID: alice, GID: alice, Groups: []uint32{alice, team}})
	defer r.Close()
	got := map[string]string{}
	for _, name := range []string{"f", "g", "h"} {
		file, author, err := r.Open(filepath.Join(dir, name), 0)
		if err != nil {
			got[name] = err.Error()
			continue
		}
		file.Close()
		got[name] = r.who(author)
		r.Look(filepath.Join(dir, "f"), 0, func() {
			if unix.Faccessat(unix.AT_FDCWD, filepath.Join(dir, "f"), unix.R_OK, unix.AT_EACCESS) == nil && os.Geteuid() == 0 {
				t.Error("the root's file can be read")
			}
		})
	}
	want := map[string]string{"f": "user 54321 may not read it (owner root, mode 0600)", "g": "alice", "h": "alice"}
	if os.Geteuid() != 0 {
		want = map[string]string{"f": "root", "g": "root", "h": "root"} // everything as it is
	}
	for name, what := range want {
		if got[name] != what {
			t.Errorf("%s: %q, want %q", name, got[name], what)
		}
	}
	if root := NewReader(&User{}); root.as != nil {
		t.Error("root is somebody else")
	}
}

// Somebody who is not root is told who tried, too.
func TestOurselves(t *testing.T) {
	dir := tree(t, [2]string{"d root root 000", "/"})
	if os.Geteuid() == 0 {
		Apart(func() { // the rights go, and root with them
			if err := (&User{UID: alice, GID: alice}).Assume(); err != nil {
				t.Error(err)
			}
			r := &Reader{}
			_, _, err := r.Open(dir+"/d/f", 0)
			if want := "user 54321 may not enter " + dir + "/d (owner root, mode 0000)"; err == nil || err.Error() != want {
				t.Errorf("%v, want %s", err, want)
			}
		})
		return
	}
	r := NewReader(nil)
	_, _, err := r.Open(dir+"/d/f", 0)
	if err == nil || !strings.Contains(err.Error(), "may not enter "+dir+"/d (owner ") {
		t.Errorf("%v: who tried, and what is in the way?", err)
	}
}

// A tenant who exchanges what root is about to open gets nothing by it. (The
// exchange is as fast as it can be made; whichever way it falls, root's file comes
// only to root's line.)
func TestExchange(t *testing.T) {
	dir := tree(t, [2]string{"secret root root 600", "secret"}, [2]string{"d root team 775", "/"}, [2]string{"d/own alice team 644", "own"}, [2]string{"d/link alice team 777", "> ../secret"})
	if os.Geteuid() != 0 {
		if r := NewReader(nil); r.able {
			t.Error("who is not root takes others' rights")
		}
		return
	}
	stop, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for {
			for _, from := range []string{"own", "link"} {
				select {
				case <-stop:
					return
				default:
				}
				_ = os.Remove(dir + "/d/new")
				_ = os.Link(dir+"/d/"+from, dir+"/d/new")
				_ = os.Rename(dir+"/d/new", dir+"/d/f")
			}
		}
	}()
	for range 2000 {
		r := NewReader(nil)
		if file, _, err := r.Open(dir+"/d/f", 0); err == nil {
			text, _ := io.ReadAll(file)
			file.Close()
			if string(text) != "own" {
				t.Errorf("read %q", text)
			}
		}
		r.Close()
	}
	close(stop)
	<-ended
}
