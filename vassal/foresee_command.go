package vassal

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"emperor/internal/proc"
)

// foreseeCommand looks for the program of a command, where and as whom it will be
// started.
func (f *foresight) foreseeCommand() {
	c := &f.spec.command
	if f.spec.limits.chroot != "" {
		f.foreseeChroot()
		return
	}
	if !f.foreseeDirectory("chdir", c.dir, "command") {
		return // nothing is found from a directory that is not there
	}
	line, _ := f.Config.Last("command")
	f.foreseeOwnAddress(line)
	program, rest, sure := programOf(c.line)
	if program == "" {
		return
	}
	env := apply(inherited(f.Defaults.Environment, false), c.environment)
	var err error
	var argument string
	enter := f.asUser(c.dir, func() {
		if err = proc.Foresee(program, env); err == nil {
			argument = missingScript(rest, c.dir, f.who())
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

// foreseeDirectory looks at the directory in which the vassal works, and says
// whether it can be entered. Where no line says it, it is told where the vassal's
// kind or user are.
func (f *foresight) foreseeDirectory(option, dir string, otherwise ...string) (ok bool) {
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

// programOf finds the program that a command line starts, and the words after it;
// empty when a shell decides what that is. sure: the vassal cannot start without it.
func programOf(line string) (program string, rest []string, sure bool) {
	words, needsShell, err := splitWords(line)
	if err != nil {
		return "", nil, false
	}
	if !needsShell {
		words = behindEnv(words)
		return words[0], words[1:], true
	}
	vector, err := commandVector(line)
	sure = err == nil && strings.HasPrefix(vector[2], "exec ") && len(words) > 0
	for i, word := range words {
		name, _, assignment := strings.Cut(word, "=")
		switch {
		case strings.ContainsAny(word, shellOnly):
			return "", nil, false
		case assignment && name == "PATH":
			return "", nil, false // found by another path than we know of
		case assignment && !strings.Contains(name, "/"), word == "exec":
			continue
		case slices.Contains(shellWords, word):
			return "", nil, false
		}
		return word, nil, sure && i <= 1
	}
	return "", nil, false
}

// behindEnv takes env(1) and what it sets from the words: without what follows
// nothing starts either.
func behindEnv(words []string) []string {
	if filepath.Base(words[0]) != "env" {
		return words
	}
	for i, word := range words[1:] {
		name, _, assignment := strings.Cut(word, "=")
		switch {
		case strings.HasPrefix(word, "-"), assignment && name == "PATH":
			return words
		case !assignment:
			return words[i+1:]
		}
	}
	return words
}

// shellWords are commands of the shell itself, with which no program need be there.
var shellWords = strings.Fields(`. : [ alias break case cd command continue echo eval exit export false
	for getopts hash if kill local printf pwd read readonly return set shift source test times trap true
	type ulimit umask unalias unset until wait while`)

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

// foreseeUser: uWSGI ends when it does not know the user or group; who is not root
// is not asked.
func (f *foresight) foreseeUser() {
	uid, hasUID := f.known("uid")
	gid, hasGID := f.known("gid")
	if f.spec.uwsgi.user != nil || !canBecomeOthers() {
		return
	}
	if hasUID {
		if _, err := lookupAccount(uid.Value, ""); err != nil {
			f.certain(uid, "%v: uWSGI would not start", err)
		}
	}
	if hasGID {
		if _, err := lookupGroup(gid.Value); err != nil {
			f.certain(gid, "%v: uWSGI would not start", err)
		}
	}
}
