package vassal

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"

	"emperor/internal/config"
	"emperor/internal/proc"
	"emperor/vassal/commandline"
	"emperor/vassal/spec"
)

// Action is what a hook of the main file does: the command line of an exec-… option,
// or "ACTION:ARGUMENTS" of a hook-… option. It is carried out by a program, also where
// uWSGI does it by itself (mkdir, chmod …): so it has the rights of whoever it is done
// for, a time limit, and is no business of the emperor's own process.
type Action struct {
	spec.Program
	words []string // the argument vector
	say   string   // only this is said in the log
}

// shellScripts are actions on files for which there is no program.
var shellScripts = map[string]string{
	"create": `: >"$1"`, "creat": `: >"$1"`,
	"write": `printf %s "$2" >"$1"`, "writen": `printf '%s\n' "$2" >"$1"`,
	"append": `printf %s "$2" >>"$1"`, "appendn": `printf '%s\n' "$2" >>"$1"`,
	"wait_for_fs": waitFor + "-e", "wait_for_file": waitFor + "-f", "wait_for_dir": waitFor + "-d", "wait_for_socket": waitFor + "-S",
}

// waitFor is completed by what test(1) is to look for. The hook's time limit ends it.
const waitFor = `until [ "$2" "$1" ]; do sleep 0.1; done # `

// inProcess are actions of uWSGI's on its own process, and why they cannot be carried out.
var inProcess = map[string]string{
	"cd": "it would change the directory of a process that is not ours: say chdir in the vassal", "chdir": "it would change the directory of a process that is not ours: say chdir in the vassal",
	"putenv": "say env in the main file, or in the vassal", "mount": "vassals have no mounts of their own: mount it before", "umount": "vassals have no mounts of their own: unmount it before",
	"exit": "it would end the emperor", "hostname": "vassals have no host name of their own",
}

// ReadAction reads a line of the main file: one of the hook-… options, or one of the
// exec-… options, whose value is a command line.
func ReadAction(v config.Value) (Action, error) {
	a := Action{Program: spec.Program{Option: v.Key, Line: v.Value, Pos: v.Pos}}
	if !strings.HasPrefix(v.Key, "hook-") {
		var err error
		a.words, err = commandline.Vector(v.Value)
		return a, err
	}
	verb, arguments, ok := strings.Cut(strings.TrimPrefix(v.Value, "!"), ":")
	if !ok {
		return a, fmt.Errorf("want ACTION:ARGUMENTS, such as exec:COMMAND, got %q", v.Value)
	}
	if strings.HasPrefix(v.Value, "!") {
		a.Line = verb + ":…" // what is not to be in any log
	}
	first, rest, _ := strings.Cut(arguments, " ")
	missing := func(want string) (Action, error) {
		return a, fmt.Errorf("%s: want %s, got %q", verb, want, arguments)
	}
	switch verb {
	case "exec", "safeexec":
		var err error
		a.words, err = commandline.Vector(arguments)
		return a, err
	case "print", "log":
		a.say = arguments
	case "mkdir", "unlink", "sticky":
		if arguments == "" {
			return missing("a path")
		}
		a.words = slices.Concat(map[string][]string{"mkdir": {"mkdir", "--"}, "unlink": {"unlink", "--"}, "sticky": {"chmod", "+t", "--"}}[verb], []string{arguments})
	case "chmod":
		if rest == "" {
			return missing("FILE MODE")
		}
		a.words = []string{"chmod", rest, "--", first}
	case "chown", "chown2":
		user, group, ok := strings.Cut(rest, " ")
		if !ok {
			return missing("FILE USER GROUP")
		}
		a.words = []string{"chown", user + ":" + group, "--", first}
	case "write", "writen", "append", "appendn":
		if rest == "" {
			return missing("FILE TEXT")
		}
		a.words = []string{"/bin/sh", "-c", shellScripts[verb], "sh", first, rest}
	case "create", "creat":
		a.words = []string{"/bin/sh", "-c", shellScripts[verb], "sh", arguments}
	case "wait_for_fs", "wait_for_file", "wait_for_dir", "wait_for_socket":
		script, test, _ := strings.Cut(shellScripts[verb], "# ")
		a.words = []string{"/bin/sh", "-c", script, "sh", arguments, test}
	default:
		if why, ok := inProcess[verb]; ok {
			return a, fmt.Errorf("%s is not supported here: %s", verb, why)
		}
		return a, fmt.Errorf("there is no action %q here: want exec, safeexec, print, mkdir, create, write, writen, append, appendn, chmod, chown, unlink or wait_for_file", verb)
	}
	return a, nil
}

// Run carries the action out as the emperor: c says where and as whom. It waits for the
// end, or for that of ctx.
func (a Action) Run(ctx context.Context, starter *proc.Starter, log *slog.Logger, c *proc.Command) error {
	if a.words == nil {
		log.Info(a.say, "option", a.Option)
		return nil
	}
	c.Path, c.Args = a.words[0], a.words
	return carryOut(ctx, starterOnly{starter}, log, c, nil, 0)
}

// Foresee says why its program could not be started, as far as that shows.
func (a Action) Foresee(env []string, dir string) error {
	line := a.Line
	if verb, arguments, ok := strings.Cut(strings.TrimPrefix(line, "!"), ":"); strings.HasPrefix(a.Option, "hook-") {
		if !ok || verb != "exec" && verb != "safeexec" {
			return nil
		}
		line = arguments
	}
	program, _, sure := commandline.Program(line)
	if program == "" || !sure {
		return nil
	}
	if strings.Contains(program, "/") {
		program = spec.PathIn(dir, program)
	}
	return proc.Foresee(program, env)
}
