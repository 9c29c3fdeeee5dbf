package proc_test

import (
	"os"
	"os/exec"
	"syscall"
	"testing"

	"emperor/internal/proc"
	"emperor/internal/testvassal"
)

// stranger starts a process that this package does not know of, as an earlier binary
// of the emperor would have.
func stranger(t *testing.T, words ...string) (proc.Carried, *proc.Process) {
	t.Helper()
	path, args, env := testvassal.Command(t, words...)
	pid, err := syscall.ForkExec(path, args, &syscall.ProcAttr{Env: env, Files: []uintptr{0, 1, 2}})
	if err != nil {
		t.Fatal(err)
	}
	release := proc.HoldReaping()
	defer release()
	c := proc.Carried{PID: pid, Start: proc.StartTime(pid), Mark: "mark" + ours + "/site/1"}
	p, err := proc.Adopt(c)
	if err != nil {
		t.Fatal(err)
	}
	return c, p
}

func TestAdopt(t *testing.T) {
	c, p := stranger(t, "wait")
	if got := p.Carry(); got != c || p.PID() != c.PID {
		t.Errorf("carried on as %+v, want %+v", got, c)
	}
	if err := p.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if got := p.Exit().Signal; got != syscall.SIGTERM {
		t.Errorf("ended by %v", got)
	}
	// Once more, by somebody who takes over when it has ended.
	again, err := proc.Adopt(p.Carry())
	if err != nil || again.Exit() != p.Exit() {
		t.Errorf("%+v, %v", again.Exit(), err)
	}
}

// One that ends while nobody reaps is reaped by the next, who learns how it ended.
func TestAdoptWhatEndsMeanwhile(t *testing.T) {
	_, p := stranger(t, "exit=3")
	if got := p.Exit(); got.Code != 3 {
		t.Errorf("%v, want exit status 3", got)
	}
}

func TestAdoptNobodyElse(t *testing.T) {
	other := exec.Command("sleep", "3600")
	if err := other.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = other.Process.Kill(); _ = other.Wait() }()
	parent := os.Getppid()
	for name, c := range map[string]proc.Carried{
		"another start time": {PID: other.Process.Pid, Start: 1},
		"no child of ours":   {PID: parent, Start: proc.StartTime(parent)},
		"nobody":             {PID: 1 << 22, Start: 1},
	} {
		p, err := proc.Adopt(c)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		p.Exit() // at once
		if err := p.Signal(syscall.SIGKILL); err != os.ErrProcessDone {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := proc.Adopt(proc.Carried{PID: 1}); err == nil {
		t.Error("PID 1 was adopted")
	}
}
