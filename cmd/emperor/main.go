// Command emperor runs many sites on one machine: an emperor of uWSGI vassals and
// other programs, behind a router. Each subcommand has a file of its own here and
// is one call into the packages that do the work.
package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"strings"

	"emperor/internal/proc"
)

// Exit codes.
const (
	exitFine   = 0
	exitFailed = 1 // the thing that was asked for failed
	exitUsage  = 2 // usage or configuration error
)

// command is one word of the command line.
type command struct {
	name      string
	arguments string // for the usage text
	help      string
	run       func(args []string, out io.Writer) error
}

func commands() []command {
	return []command{
		{name: "run", arguments: "FILE [--OPTION[=VALUE] ...]", help: "run in the foreground; the word run may be left out (one app: emperor run [--OPTION ...] -- PROGRAM ...)", run: runEmperor},
		{name: "check", arguments: "FILE [--show] [--json]", help: "read the main file and every vassal's, report every mistake and what would fail, start nothing", run: runCheck},
		{name: "plan", arguments: "FILE [--json]", help: "what an emperor that runs would start, reload, stop or leave alone if it were given FILE now", run: runPlan},
		{name: "explain", arguments: "FILE URL", help: "which rule and which vassal a request (URL http://… or https://…) or a TLS stream (tls://NAME[:PORT], tcp://:PORT) would take, of a client with [--alpn=…] [--from=…], and why the others did not match", run: runExplain},
		{name: "options", arguments: "[WORD]", help: "every option: type, default, meaning", run: runOptions},
		{name: "status", help: "the state of a running emperor and of all vassals", run: runStatus},
		{name: "why", arguments: "VASSAL", help: "why a vassal is in its state, with its last log lines", run: runWhy},
		{name: "reload", arguments: "[VASSAL...]", help: "new generation from the same file, without losing a request; without a name: what SIGHUP does, with the result", run: order("reload")},
		{name: "start", arguments: "VASSAL...", help: "start what is stopped or failed, now", run: order("start")},
		{name: "stop", arguments: "VASSAL...", help: "finish requests, end, and stay down", run: order("stop")},
		{name: "restart", arguments: "VASSAL...", help: "end, then start; requests wait meanwhile", run: order("restart")},
		{name: "pause", arguments: "VASSAL...", help: "let new requests wait in the front; what is under way goes on", run: order("pause")},
		{name: "resume", arguments: "VASSAL...", help: "let them go", run: order("resume")},
		{name: "events", arguments: "[-f] [VASSAL...]", help: "what has happened to the vassals; -f goes on", run: runEvents},
		{name: "top", arguments: "[--once] [VASSAL...]", help: "processor, memory and requests of each vassal, every second", run: runTop},
		{name: "logs", arguments: "[-f] VASSAL | --reopen [VASSAL...] | --rotate [VASSAL...]", help: "what a vassal wrote; -f goes on; --reopen opens log files anew after logrotate moved them, --rotate begins new ones (all, or those of the vassals named)", run: runLogs},
		{name: "certs", arguments: "[--order] [NAME...]", help: "every certificate: for which name, from where, until when, what happens next; --order: have acme's issued now", run: runCerts},
		{name: "upgrade", arguments: "[--binary PATH]", help: "replace the running emperor by another binary, in place: no vassal and no request notices", run: runUpgrade},
		{name: "completion", arguments: "bash|zsh|fish", help: "a script that makes the shell complete subcommands, options and vassals", run: runCompletion},
		{name: "complete", run: runComplete}, // what the script asks
		{name: "version", help: "version and commit", run: runVersion},
		{name: "router", arguments: "FILE", help: "the router alone: rules and listeners of FILE, no vassals", run: runRouter},
	}
}

// failure is an error with its exit code. An empty text was said already.
type failure struct {
	code int
	text string
}

func (f *failure) Error() string { return f.text }

func usageError(format string, args ...any) error {
	return &failure{exitUsage, fmt.Sprintf(format, args...)}
}

// init keeps main on the main thread, where children are made (proc.KeepMainThread).
func init() { runtime.LockOSThread() }

func main() {
	claimUrgent(os.Args[1:])
	proc.KeepArguments()
	if err := proc.SealDescriptors(); err != nil {
		fmt.Fprintln(os.Stderr, "emperor: descriptors inherited from the parent can not be kept from vassals:", err)
	}
	proc.KeepMainThread(func() int { return dispatch(os.Args[1:], os.Stdout, os.Stderr) })
}

// dispatch runs the subcommand that args begin with.
func dispatch(args []string, out, errorOut io.Writer) int {
	err := choose(args, out)
	if err == nil {
		return exitFine
	}
	code := exitFailed
	var f *failure
	if errors.As(err, &f) {
		code = f.code
	}
	if text := err.Error(); text != "" {
		for line := range strings.SplitSeq(strings.TrimRight(text, "\n"), "\n") {
			fmt.Fprintln(errorOut, "emperor:", line)
		}
	}
	return code
}

func choose(args []string, out io.Writer) error {
	if err, taking := takeOver(); taking {
		return err
	}
	if len(args) == 0 {
		usage(out)
		return &failure{code: exitUsage}
	}
	switch args[0] {
	case "help", "-h", "--help":
		usage(out)
		return nil
	case "--version":
		return runVersion(nil, out)
	}
	if args[0] == "takeover" {
		return runTakeover(args[1:], out)
	}
	known := commands()
	if i := slices.IndexFunc(known, func(c command) bool { return c.name == args[0] }); i >= 0 {
		own := args[1:]
		if i := slices.Index(own, "--"); i >= 0 {
			own = own[:i] // what follows is another program's
		}
		if slices.Contains(own, "--help") {
			fmt.Fprintf(out, "usage: emperor %s %s\n\n%s\n", known[i].name, known[i].arguments, known[i].help)
			return nil
		}
		return known[i].run(args[1:], out)
	}
	// A bare word that is neither a command nor a file is a mistyped command.
	if word := args[0]; !strings.HasPrefix(word, "-") && !strings.ContainsAny(word, "./") {
		if _, err := os.Stat(word); err != nil {
			return usageError("%q is neither a command nor a file; see emperor help", word)
		}
	}
	return runEmperor(args, out)
}

func usage(out io.Writer) {
	fmt.Fprintln(out, "emperor keeps many sites running behind one front, and loses no request when they change.")
	fmt.Fprintln(out)
	fmt.Fprintln(out, "usage: emperor FILE.ini [--OPTION[=VALUE] ...]")
	fmt.Fprintln(out, "       emperor --emperor 'DIRECTORY/*.ini' --http :8080")
	fmt.Fprintln(out, "       emperor --http :8080 --module APP --processes 4")
	fmt.Fprintln(out, "       emperor run --http :8080 -- PROGRAM [ARGUMENT ...]")
	for _, c := range commands() {
		if c.help == "" {
			continue
		}
		fmt.Fprintf(out, "       emperor %-8s %-28s %s\n", c.name, c.arguments, c.help)
	}
	fmt.Fprintln(out)
	fmt.Fprintln(out, "Every option of the ini language is also a --option; see emperor options.")
	fmt.Fprintln(out, "status, why, the orders (reload, start, stop, restart, pause, resume), events, top, logs, certs and upgrade take --control PATH (the emperor's option control), --json,")
	fmt.Fprintln(out, "and --timeout SECONDS, for which an emperor may be silent (10).")
}
