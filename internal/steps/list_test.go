package steps

import (
	"bytes"
	"debug/elf"
	"os"
	"os/exec"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// TestList: the steps are done in order, and go on as they say after a failure.
func TestList(t *testing.T) {
	for name, test := range map[string]struct {
		write  func(l *List, say func(string) *Step)
		want   string
		status int
	}{
		"nothing": {func(*List, func(string) *Step) {}, "failed\n", 127},
		"one after the other": {func(l *List, say func(string) *Step) {
			say("one ")
			say("two")
			l.Do(syscall.SYS_EXIT_GROUP, 3)
		}, "one two", 3},
		"a failure": {func(l *List, say func(string) *Step) {
			say("one ")
			l.Do(syscall.SYS_CLOSE, 99)
			say("two ")
		}, "one failed\n", 127},
		"a failure that is none": {func(l *List, say func(string) *Step) {
			l.Do(syscall.SYS_CLOSE, 99).Otherwise = GoOn
			say("one ")
		}, "one failed\n", 127},
		"a step only after success": {func(l *List, say func(string) *Step) {
			l.Do(syscall.SYS_CLOSE, 99).Otherwise = GoOver
			say("one ")
			l.Do(syscall.SYS_CLOSE, 0).Otherwise = GoOver
			say("two ")
			say("three ")
		}, "two three failed\n", 127},
		"another result than the one": {func(l *List, say func(string) *Step) {
			step := l.Do(syscall.SYS_GETPPID)
			step.Exactly, step.Result, step.Otherwise = true, uint64(os.Getpid())+1, GoOver
			say("one ")
			step = l.Do(syscall.SYS_GETPPID)
			step.Exactly, step.Result = true, uint64(os.Getpid())
			say("two ")
		}, "two failed\n", 127},
		"what a call writes": {func(l *List, say func(string) *Step) {
			room := l.Bytes(make([]byte, 20))
			l.Do(unix.SYS_READLINKAT, 0, l.Text("/proc/self/fd/0"), room, 20)
			l.Do(unix.SYS_WRITE, 1, room, 20)
			l.Do(syscall.SYS_EXIT_GROUP, 0)
		}, "/dev/null" + string(make([]byte, 11)), 0},
		"another program": {func(l *List, say func(string) *Step) {
			path, variable := l.Text("/bin/sh"), l.Text("A=b")
			words := l.Words(path, l.Text("-c"), l.Text("echo $A; exit 4"), 0)
			l.Do(syscall.SYS_EXECVE, path, words, l.Words(variable, 0))
		}, "b\n", 4},
	} {
		t.Run(name, func(t *testing.T) {
			var l List
			say := func(text string) *Step { return l.Do(syscall.SYS_WRITE, 1, l.Text(text), uint64(len(text))) }
			test.write(&l, say)
			l.Failed = []Step{{Call: syscall.SYS_WRITE, Arguments: [4]uint64{1, l.Text("failed\n"), 7}}}
			image, err := l.Image()
			if err != nil {
				t.Fatal(err)
			}
			path := t.TempDir() + "/list"
			// Not written by this process: one that it forks meanwhile would keep the
			// file open for writing, and then it is not executed.
			write := exec.Command("sh", "-c", `cat > "$0" && chmod +x "$0"`, path)
			write.Stdin = bytes.NewReader(image)
			if out, err := write.CombinedOutput(); err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			run := exec.Command(path)
			text, _ := run.Output()
			if string(text) != test.want || run.ProcessState.ExitCode() != test.status {
				t.Errorf("%q, %v; want %q, %d", text, run.ProcessState, test.want, test.status)
			}
		})
	}
}

// TestImage: the file is what others take for an executable.
func TestImage(t *testing.T) {
	var l List
	for range 1000 {
		l.Do(syscall.SYS_GETPID)
	}
	image, err := l.Image()
	if err != nil {
		t.Fatal(err)
	}
	file, err := elf.NewFile(bytes.NewReader(image))
	if err != nil {
		t.Fatal(err)
	}
	if file.Type != elf.ET_EXEC || file.Entry != codeAddress+codeAt || len(file.Progs) != segments {
		t.Errorf("%+v", file.FileHeader)
	}
	for i, want := range []elf.ProgHeader{
		{Type: elf.PT_LOAD, Flags: elf.PF_R | elf.PF_X, Off: 0, Vaddr: codeAddress, Filesz: uint64(codeAt + len(code()))},
		{Type: elf.PT_LOAD, Flags: elf.PF_R | elf.PF_W, Off: dataAt, Vaddr: dataAddress, Filesz: uint64(len(image) - dataAt)},
		{Type: elf.PT_GNU_STACK, Flags: elf.PF_R | elf.PF_W},
	} {
		want.Paddr, want.Memsz, want.Align = want.Vaddr, want.Filesz, largestPage
		if got := file.Progs[i].ProgHeader; got != want {
			t.Errorf("%+v, want %+v", got, want)
		}
	}
}
