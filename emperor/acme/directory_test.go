package acme

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestPrepare(t *testing.T) {
	base := t.TempDir()
	at := func(name string) string { return filepath.Join(base, name) }
	folder := func(name string, mode os.FileMode, inside ...string) {
		for _, one := range append(inside, "") {
			if err := os.MkdirAll(filepath.Join(at(name), one), 0o755); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.Chmod(at(name), mode); err != nil {
			t.Fatal(err)
		}
	}
	folder("volume", 0o755)
	folder("used", 0o777, "certificates", "orders")
	folder("shared", 0o755, "backups")
	folder("own", 0o700, "backups")
	if err := os.WriteFile(at("file"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	tests := map[string]string{"new/acme": "", "volume": "", "used": "", "own": "", "shared": "backups", "file": "file"}
	for name, want := range tests {
		err := Prepare(at(name))
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", name, err, want)
		}
		if err != nil {
			if Inspect(at(name)) == nil {
				t.Errorf("%s: is found to be in order beforehand", name)
			}
			continue
		}
		if info, err := os.Stat(at(name)); err != nil || info.Mode().Perm() != 0o700 {
			t.Errorf("%s: %v %v", name, info.Mode(), err)
		}
	}
	if os.Geteuid() != 0 {
		return // nobody else to give a folder to
	}
	folder("foreign", 0o700)
	if err := os.Chown(at("foreign"), 65534, 65534); err != nil {
		t.Fatal(err)
	}
	if err := Prepare(at("foreign")); err == nil || !strings.Contains(err.Error(), "belongs to user 65534") {
		t.Errorf("somebody else's folder: %v", err)
	}
}

func TestDefaultDirectory(t *testing.T) {
	tests := []struct {
		env  map[string]string
		uid  int
		want string
	}{
		{nil, 0, "/var/lib/emperor/acme"},
		{map[string]string{"STATE_DIRECTORY": "/var/lib/front:/var/lib/other", "HOME": "/root"}, 0, "/var/lib/front/acme"},
		{map[string]string{"XDG_STATE_HOME": "/home/u/state", "HOME": "/home/u"}, 1000, "/home/u/state/emperor/acme"},
		{map[string]string{"HOME": "/home/u"}, 1000, "/home/u/.local/state/emperor/acme"},
		{nil, 1000, ""},
	}
	for _, test := range tests {
		got, err := DefaultDirectory(func(name string) string { return test.env[name] }, test.uid)
		if got != test.want || (err == nil) != (test.want != "") {
			t.Errorf("%v as %d: %q, %v; want %q", test.env, test.uid, got, err, test.want)
		}
	}
}
