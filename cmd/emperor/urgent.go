package main

import (
	"os"
	"slices"
	"strings"
	"syscall"
)

// SIGURG asks uWSGI's emperor for an amnesty. Go's scheduler sends it to itself, to
// interrupt goroutines that compute for long, and nobody can tell the two apart. The
// emperor computes little, so it goes without: it starts itself once more, in the same
// process, with that part of the scheduler turned off, which can only be said before a
// program begins.

const undisturbed = "asyncpreemptoff=1"

// urgentIsOurs: SIGURG is from somebody else.
var urgentIsOurs bool

// claimUrgent returns in a process to which SIGURG means what people mean by it, if it
// is to be an emperor.
func claimUrgent(args []string) {
	settings := slices.DeleteFunc(strings.Split(os.Getenv("GODEBUG"), ","), func(s string) bool { return s == "" })
	if slices.Contains(settings, undisturbed) {
		urgentIsOurs = true
		// Vassals and the router are others' programs.
		settings = slices.DeleteFunc(settings, func(s string) bool { return s == undisturbed })
		if len(settings) == 0 {
			_ = os.Unsetenv("GODEBUG")
		} else {
			_ = os.Setenv("GODEBUG", strings.Join(settings, ","))
		}
		return
	}
	if !becomesEmperor(args) {
		return
	}
	path, err := os.Executable()
	if err != nil {
		return
	}
	environment := slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "GODEBUG=") })
	environment = append(environment, "GODEBUG="+strings.Join(append(settings, undisturbed), ","))
	_ = syscall.Exec(path, os.Args, environment) // if it cannot be, there is no amnesty
}

// becomesEmperor tells whether args are those of an emperor that runs.
func becomesEmperor(args []string) bool {
	if len(args) == 0 || slices.Contains([]string{"help", "-h", "--help", "--version", "takeover"}, args[0]) {
		return false
	}
	i := slices.IndexFunc(commands(), func(c command) bool { return c.name == args[0] })
	return i < 0 || commands()[i].name == "run"
}
