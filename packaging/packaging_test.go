// Package packaging holds what installs and ships the program; its tests try that.
package packaging

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// run executes a command at the top of the repository and returns what it printed.
func run(t *testing.T, environment []string, command ...string) string {
	t.Helper()
	c := exec.Command(command[0], command[1:]...)
	c.Dir = ".."
	// What the make above us and the platform around us say is not for the command.
	c.Env = slices.DeleteFunc(os.Environ(), func(entry string) bool {
		return strings.HasPrefix(entry, "MAKE") || strings.HasPrefix(entry, "PORT=")
	})
	c.Env = append(c.Env, environment...)
	out, err := c.CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", strings.Join(command, " "), err, out)
	}
	return string(out)
}

// buildEmperor makes the binary that is installed below.
func buildEmperor(t *testing.T) (dir string) {
	t.Helper()
	dir = t.TempDir()
	run(t, nil, "make", "build", "BIN="+dir, "VERSION=1.2.3", "COMMIT=abc")
	return dir
}

func TestPackaging(t *testing.T) {
	bin := buildEmperor(t)
	emperor := filepath.Join(bin, "emperor")

	t.Run("version", func(t *testing.T) {
		if got := run(t, nil, emperor, "version"); !strings.Contains(got, "1.2.3") || !strings.Contains(got, "abc") {
			t.Errorf("emperor version prints %q, want the version and commit it was built with", got)
		}
	})
	t.Run("main files", func(t *testing.T) {
		for _, test := range []struct {
			file        string
			environment []string
			want        string
		}{
			{"packaging/emperor.ini", nil, ":80"},
			{"packaging/dyno/emperor.ini", []string{"PORT=5123"}, ":5123"},
			{"packaging/dyno/emperor.ini", nil, ":8080"},
		} {
			if got := run(t, test.environment, emperor, "check", test.file); !strings.Contains(got, test.want) {
				t.Errorf("emperor check %s prints\n%s\nwant a listener on %s", test.file, got, test.want)
			}
		}
	})
	t.Run("install", func(t *testing.T) {
		root := t.TempDir()
		install := func() { run(t, nil, "make", "install", "BIN="+bin, "DESTDIR="+root, "PREFIX=/usr") }
		install()
		for _, file := range []string{"usr/bin/emperor", "usr/lib/systemd/system/emperor.socket", "etc/emperor/emperor.ini"} {
			if _, err := os.Stat(filepath.Join(root, file)); err != nil {
				t.Error(err)
			}
		}
		if sites, err := os.ReadDir(filepath.Join(root, "etc/emperor/vassals.d")); err != nil || len(sites) != 0 {
			t.Errorf("vassals.d: %v, %v; want it empty", sites, err)
		}
		unit, err := os.ReadFile(filepath.Join(root, "usr/lib/systemd/system/emperor.service"))
		if err != nil || !strings.Contains(string(unit), "ExecStart=/usr/bin/emperor /etc/emperor/emperor.ini\n") {
			t.Errorf("the unit starts something else (%v):\n%s", err, unit)
		}
		main := filepath.Join(root, "etc/emperor/emperor.ini")
		if err := os.WriteFile(main, []byte("mine"), 0o644); err != nil {
			t.Fatal(err)
		}
		install()
		if text, err := os.ReadFile(main); err != nil || string(text) != "mine" {
			t.Errorf("installing again changed the main file to %q (%v)", text, err)
		}
	})
	t.Run("clean", func(t *testing.T) {
		// Not the tree's own example binaries: another test may be running them.
		run(t, nil, "make", "clean", "BIN="+bin, "EXAMPLE="+t.TempDir())
		if _, err := os.Stat(emperor); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("after make clean: %v, want no binary", err)
		}
	})
}
