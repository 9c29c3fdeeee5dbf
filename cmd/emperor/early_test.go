package main

import (
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// TestShimIsEarly: a child is this program for a moment, and of all its packages only
// those are initialised until it becomes another that nearly everything is made of.
func TestShimIsEarly(t *testing.T) {
	t.Parallel()
	command := exec.Command(emperorBinary(t), "version")
	command.Env = append(os.Environ(), "GODEBUG=inittrace=1")
	text, err := command.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	var before []string
	for line := range strings.Lines(string(text)) {
		words := strings.Fields(line)
		if len(words) < 2 || words[0] != "init" {
			continue
		}
		if words[1] == "emperor/internal/shim" {
			break
		}
		before = append(before, words[1])
	}
	if !slices.Contains(before, "syscall") {
		t.Fatalf("the shim is not there, or the trace has changed:\n%s", text)
	}
	for _, late := range []string{"time", "os", "unicode", "reflect", "golang.org/x/sys/unix"} {
		if slices.Contains(before, late) {
			t.Errorf("%s is initialised before the shim", late)
		}
	}
	if len(before) > 25 {
		t.Errorf("%d packages are initialised before the shim, want about 18:\n%s", len(before), strings.Join(before, "\n"))
	}
}

// TestShimIsNotForUsers: the variable that makes a process a shim says so if somebody
// else sets it.
func TestShimIsNotForUsers(t *testing.T) {
	t.Parallel()
	command := exec.Command(emperorBinary(t), "version")
	command.Env = append(os.Environ(), "EMPEROR_SHIM=yes")
	text, err := command.CombinedOutput()
	if want := "EMPEROR_SHIM is for the emperor's own use"; err == nil || !strings.Contains(string(text), want) {
		t.Errorf("%v: %s, want %q", err, text, want)
	}
}
