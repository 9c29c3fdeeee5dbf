package rights

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"emperor/internal/config"
)

// Whoever names a folder has to be able to enter it, by the rule that holds for
// files; that it can't be listed does not matter.
func TestOpenFolder(t *testing.T) {
	dir := tree(t,
		[2]string{"www root root 755", "/"},
		[2]string{"alice alice root 711", "/"}, [2]string{"alice/public alice root 711", "/"}, [2]string{"alice/roots root root 700", "/"},
		[2]string{"alice/current alice root 777", "> roots"}, [2]string{"alice/live alice root 777", "> public"},
		[2]string{"bob bob root 700", "/"}, [2]string{"bob/public bob root 755", "/"},
		[2]string{"file root root 644", "text"}, [2]string{"proc root root 777", "> /proc/self"})
	for _, test := range []struct{ path, by, want string }{
		{"www", "root", ""},
		{"www", "alice", ""},
		{"alice/public", "root", ""},
		{"alice/live", "root", ""},
		{"alice/live", "bob", ""},
		{"bob/public", "root", ""},
		{"bob", "alice", "user 54321 may not enter it (owner 54322, mode 0700)"},
		{"bob/public", "alice", "user 54321 may not enter DIR/bob (owner 54322, mode 0700)"},
		{"alice/roots", "root", "user 54321 may not enter it (owner root, mode 0700)"},
		{"alice/current", "root", "user 54321 may not enter it (owner root, mode 0700)"},
		{"file", "root", "not a directory"},
		{"none", "root", "no such file or directory"},
		{"proc", "root", "what is below /proc is not opened"},
	} {
		r := NewReader(nil)
		by := config.Author(0)
		if test.by != "root" {
			by = r.author(r.owner(uint32(numberOf(t, test.by))))
		}
		directory, parent, err := r.OpenFolder(filepath.Join(dir, test.path), by)
		if again := NewReader(r.Chooser(by)); os.Geteuid() == 0 {
			// What was learnt of a line is enough for later.
			d, p, later := again.OpenFolder(filepath.Join(dir, test.path), 0)
			if (later == nil) != (err == nil) {
				t.Errorf("%s, named by %s: first %v, then %v", test.path, test.by, err, later)
			}
			_, _ = unix.Close(d), unix.Close(p)
			again.Close()
		}
		r.Close()
		want := strings.ReplaceAll(test.want, "DIR", dir)
		switch {
		case os.Geteuid() != 0 && strings.Contains(want, "may not"):
			// All of it is one user's, who can enter whatever has a mode for owners.
		case want == "" && err != nil, want != "" && (err == nil || !strings.Contains(err.Error(), want)):
			t.Errorf("%s, named by %s: %v, want %q", test.path, test.by, err, want)
		}
		if err != nil {
			continue
		}
		var st unix.Stat_t
		if err := unix.Fstatat(parent, filepath.Base(test.path), &st, 0); err != nil {
			t.Errorf("%s: it is not in its parent: %v", test.path, err)
		}
		_, _ = unix.Close(directory), unix.Close(parent)
	}
}
