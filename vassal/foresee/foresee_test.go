package foresee

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"emperor/internal/listening"
)

func TestWhoIsInTheWay(t *testing.T) {
	own, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	child := exec.Command("sleep", "60")
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = child.Process.Kill(); _ = child.Wait() }()
	running := Running{PID: os.Getpid()}
	for _, test := range []struct {
		name    string
		running Running
		who     listening.Occupant
		want    string // the beginning
		sure    bool
	}{
		{"the emperor", running, listening.Occupant{PID: os.Getpid(), Program: "emperor"}, "", false},
		{"what it started", running, listening.Occupant{PID: child.Process.Pid, Program: "sleep"}, "", false},
		{"a stranger beside it", running, listening.Occupant{PID: 1, Program: "init"}, "another program listens at /x (init, process 1)", true},
		{"somebody who cannot be seen", running, listening.Occupant{}, "a program of another user listens at /x", false},
		{"the same, and no emperor runs", Running{}, listening.Occupant{}, "another program listens at /x (another user's program)", true},
		{"an emperor that cannot be asked", Running{Hidden: true}, listening.Occupant{PID: 1}, "somebody listens at /x (process 1): if it is not the emperor", false},
		{"another emperor", Running{}, listening.Occupant{PID: 1, Program: filepath.Base(own)}, "another emperor (process 1) has a socket at /x", false},
	} {
		text, sure := test.running.Accuses(test.who, "at /x")
		if sure != test.sure || !strings.HasPrefix(text, test.want) || (text == "") != (test.want == "") {
			t.Errorf("%s: %q, %t; want %q, %t", test.name, text, sure, test.want, test.sure)
		}
	}
}
