package foresee

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"emperor/internal/proc"
	"emperor/vassal/commandline"
	"emperor/vassal/environment"
	"emperor/vassal/spec"
)

// command looks for the program of a command, where and as whom it will be
// started.
func (f *foresight) command() {
	c := &f.spec.Command
	if f.spec.Limits.Chroot != "" {
		f.chroot()
		return
	}
	if !f.directory("chdir", c.Dir, "command") {
		return // nothing is found from a directory that is not there
	}
	line, _ := f.Config.Last("command")
	f.ownAddress(line)
	program, rest, sure := commandline.Program(c.Line)
	if program == "" {
		return
	}
	env := environment.Apply(environment.Inherited(f.Environment, false), c.Environment)
	var err error
	var argument string
	enter := f.asUser(c.Dir, func() {
		if err = proc.Foresee(program, env); err == nil {
			argument = missingScript(rest, c.Dir, f.who())
		}
	})
	switch err = errors.Join(enter, err); {
	case err == nil && argument != "":
		f.doubtful(line, "%s", argument)
	case err == nil:
	case !sure || errors.Is(err, syscall.ENOEXEC):
		f.doubtful(line, "%v%s", err, remedy(err, program))
	default:
		f.certain(line, "%v%s", err, remedy(err, program))
	}
}

// remedy is what to do about a program that is nowhere.
func remedy(err error, program string) string {
	switch {
	case errors.Is(err, syscall.ENOENT) && !strings.Contains(program, "/"):
		return "; install it, write its whole path, or say env = PATH=…"
	}
	return ""
}

// directory looks at the directory in which the vassal works, and says
// whether it can be entered. Where no line says it, it is told where the vassal's
// kind or user are.
func (f *foresight) directory(option, dir string, otherwise ...string) (ok bool) {
	v, said := f.known(option)
	if !said {
		v = f.at(otherwise...)
	}
	var wrong string
	if err := f.asUser("", func() { wrong = wrongDirectory(dir, f.who()) }); err != nil {
		wrong = err.Error()
	}
	switch {
	case wrong == "":
		return true
	case said:
		f.certain(v, "%s%s", wrong, home(v.Value))
	default:
		f.certain(v, "its working directory: %s", wrong)
	}
	f.lost = true
	return false
}

// scripts end the names of files that a program is given to run.
var scripts = []string{".py", ".js", ".mjs", ".cjs", ".ts", ".rb", ".pl", ".php", ".sh", ".jar", ".lua"}

// missingScript says that the file which a program is to run is not there:
// "node server.js" starts, and ends at once.
func missingScript(arguments []string, dir, who string) string {
	if len(arguments) == 0 {
		return ""
	}
	name := arguments[0]
	if strings.HasPrefix(name, "-") || strings.ContainsAny(name, ":%=") || !slices.Contains(scripts, filepath.Ext(name)) {
		return ""
	}
	path := name
	if !filepath.IsAbs(path) {
		path = filepath.Join(dir, path)
	}
	if wrong := wrongFile(path, who); wrong != "" {
		return fmt.Sprintf("%s: %s", name, wrong)
	}
	return ""
}

// itsUser: uWSGI ends when it does not know the user or group; who is not root
// is not asked.
func (f *foresight) itsUser() {
	uid, hasUID := f.known("uid")
	gid, hasGID := f.known("gid")
	if f.spec.UWSGI.User != nil || !canBecomeOthers() {
		return
	}
	if hasUID {
		if _, err := spec.LookupAccount(uid.Value, ""); err != nil {
			f.certain(uid, "%v: uWSGI would not start", err)
		}
	}
	if hasGID {
		if _, err := spec.LookupGroup(gid.Value); err != nil {
			f.certain(gid, "%v: uWSGI would not start", err)
		}
	}
}

// chroot looks for what a command needs behind another root directory. (Links
// there lead elsewhere than they seem to, so only what is plainly not there is told.)
func (f *foresight) chroot() {
	root, dir := f.spec.Limits.Chroot, f.spec.Command.Dir
	v, _ := f.known("chroot")
	if wrong := wrongDirectory(root, "root"); wrong != "" {
		f.certain(v, "%s", wrong)
		return
	}
	if chdir, ok := f.known("chdir"); ok {
		if _, err := os.Lstat(filepath.Join(root, dir)); err != nil {
			f.certain(chdir, "there is no %s in %s, which the command sees as /", dir, root)
		}
	}
	line, _ := f.known("command")
	program, _, sure := commandline.Program(f.spec.Command.Line)
	if _, err := os.Lstat(filepath.Join(root, program)); err != nil && sure && filepath.IsAbs(program) {
		f.certain(line, "there is no %s in %s, which the command sees as /", program, root)
	}
}
