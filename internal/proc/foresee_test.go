package proc

import (
	"debug/elf"
	"encoding/binary"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// otherMachine is the text of a program for a machine that is not ours.
func otherMachine(t *testing.T) string {
	t.Helper()
	own, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	binary.NativeEndian.PutUint16(own[18:], uint16(elf.EM_S390)) // e_machine
	return string(own[:4096])
}

func TestForesee(t *testing.T) {
	dir := t.TempDir()
	put := func(name, text string, mode os.FileMode) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), mode); err != nil {
			t.Fatal(err)
		}
	}
	put("fine", "#!/bin/sh\n", 0o755)
	put("fine-env", "#!/usr/bin/env sh\n", 0o755)
	put("fine-env-s", "#!/usr/bin/env -S sh -e\n", 0o755)
	put("closed", "#!/bin/sh\n", 0o644)
	put("windows", "#!/bin/sh\r\necho\r\n", 0o755)
	put("nowhere", "#!/no/such/python3 -u\n", 0o755)
	put("env", "#!/usr/bin/env no-such-node\n", 0o755)
	put("text", "echo hello\n", 0o755)
	put("empty", "", 0o755)
	put("other", otherMachine(t), 0o755)
	path := "PATH=" + dir + ":/usr/bin:/bin"
	for _, test := range []struct{ program, want string }{
		{"fine", ""},
		{dir + "/fine-env", ""},
		{dir + "/fine-env-s", ""},
		{"/proc/self/exe", ""},
		{"nosuch", "nosuch: not found on PATH (" + dir + ":/usr/bin:/bin)"},
		{"closed", "closed: " + dir + "/closed is there, but may not be executed by uid"},
		{dir + "/closed", dir + "/closed: not executable (chmod +x?)"},
		{dir, dir + ": is a directory, not a program"},
		{dir + "/nosuch", dir + "/nosuch: no such file"},
		{dir + "/fine/more", dir + "/fine/more: no such file"},
		{"/dev/null", "/dev/null: not a file that can be executed"},
		{"windows", `windows: its first line ends as on Windows, and so asks for "/bin/sh\r", which does not exist`},
		{"nowhere", "nowhere: its first line asks for /no/such/python3, which does not exist"},
		{"env", "env: its first line asks for no-such-node: not found on PATH"},
		{"text", "text: " + dir + "/text: not a program: no #! line and no binary of this machine"},
		{"empty", "empty: " + dir + "/empty: not a program: no #! line and no binary of this machine"},
		{"other", "other: built for another kind of machine (s390, this is "},
	} {
		err := Foresee(test.program, []string{path})
		switch {
		case test.want == "" && err != nil:
			t.Errorf("%s: %v", test.program, err)
		case test.want != "" && (err == nil || !strings.HasPrefix(err.Error(), test.want)):
			t.Errorf("%s: %v; want %q", test.program, err, test.want)
		}
	}
}

func TestDescends(t *testing.T) {
	own, parent := os.Getpid(), os.Getppid()
	if !Descends(own, own) || !Descends(own, parent) || Descends(parent, own) || Descends(0, own) {
		t.Errorf("%d, child of %d: %t %t %t %t", own, parent, Descends(own, own), Descends(own, parent), Descends(parent, own), Descends(0, own))
	}
}
