package shim

import (
	"errors"
	"strconv"
	"syscall"
)

// What follows runs in the shim, that is with the child's root directory, user
// and working directory: it sees what the program would see. (Foresee runs it in a
// thread with that effective user.)

// defaultPath is for an environment without PATH: what a login shell has.
const defaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// LookPath finds the program as execvp(3) would, in the child's environment.
func LookPath(name string, env []string) (string, error) {
	if index(name, '/') >= 0 {
		return name, nil // exec itself says what is wrong with it
	}
	var refused string
	for _, path := range Candidates(name, env) {
		mode, err := modeOf(path)
		if err != nil || mode&syscall.S_IFMT == syscall.S_IFDIR {
			continue
		}
		if syscall.Faccessat(atCwd, path, mayExecute, atEaccess) == nil {
			return path, nil
		}
		refused = path
	}
	if refused != "" {
		return "", because(name+": "+refused+" is there, but may not be executed by uid "+strconv.Itoa(syscall.Geteuid())+" (chmod +x?)", syscall.EACCES)
	}
	return "", &Problem{name + ": not found on PATH (" + searchPath(env) + ")", syscall.ENOENT}
}

// Candidates are the files that a program may be: the first of them that may be
// executed.
func Candidates(name string, env []string) []string {
	if index(name, '/') >= 0 {
		return []string{name}
	}
	var paths []string
	search := searchPath(env)
	for rest, more := search, search != ""; more; {
		var dir string
		dir, rest, more = cut(rest, ':')
		if dir == "" {
			dir = "." // as execvp(3) does
		}
		paths = append(paths, dir+"/"+name) // not filepath.Join, which would turn "./x" into "x"
	}
	return paths
}

// searchPath is the value of PATH.
func searchPath(env []string) string {
	search := defaultPath
	for _, kv := range env {
		if value, ok := cutPrefix(kv, "PATH="); ok {
			search = value
		}
	}
	return search
}

// modeOf is what a file is, and who may do what with it.
func modeOf(path string) (uint32, error) {
	var info syscall.Stat_t
	for {
		if err := syscall.Stat(path, &info); err != syscall.EINTR {
			return uint32(info.Mode), err
		}
	}
}

// ExplainExec puts the kernel's answer to exec into words. The kernel says "no
// such file" also when the program is there and its interpreter is not.
func ExplainExec(label, path string, err error) error {
	if label != path && index(label, '/') < 0 {
		label += ": " + path // a name found on PATH: say which file it is
	}
	say := func(text string) error { return &Problem{label + ": " + text, err} }
	var errno syscall.Errno
	errors.As(err, &errno)
	uid := "uid " + strconv.Itoa(syscall.Geteuid())
	mode, missing := modeOf(path)
	switch {
	case errno == syscall.ENOENT && missing == nil:
		if interpreter := interpreterOf(path); interpreter != "" {
			return say("its first line asks for " + interpreter + ", which does not exist")
		}
		return say("the file exists, but the loader it needs does not (built for another system?)")
	case errno == syscall.ENOENT, errno == syscall.ENOTDIR:
		if path == "" || path[0] != '/' {
			if dir, err := syscall.Getwd(); err == nil {
				return say("no such file in " + dir)
			}
		}
		return say("no such file")
	case errno == syscall.EACCES && missing == nil && mode&syscall.S_IFMT == syscall.S_IFDIR:
		return say("is a directory, not a program")
	case errno == syscall.EACCES && missing == nil && mode&0o111 == 0:
		return say("not executable (chmod +x?)")
	case errno == syscall.EACCES:
		return say(uid + " may not execute it (permissions of the file or of a directory above it, or a noexec mount)")
	case errno == syscall.ENOEXEC:
		return say("not a program: no #! line and no binary of this machine")
	case errno == syscall.E2BIG:
		return say("arguments and environment are too long")
	case errno == syscall.EAGAIN:
		return say(uid + " has too many processes already (ulimit -u)")
	case errno == syscall.ETXTBSY:
		return say("the file is open for writing (still being copied?)")
	}
	return say(err.Error())
}

// interpreterOf gives the program that a script's first line names.
func interpreterOf(path string) string {
	fd, err := syscall.Open(path, syscall.O_RDONLY|syscall.O_CLOEXEC, 0)
	if err != nil {
		return ""
	}
	defer syscall.Close(fd)
	head := make([]byte, 256)
	n, _ := syscall.Read(fd, head)
	line, ok := cutPrefix(string(head[:max(n, 0)]), "#!")
	if !ok {
		return ""
	}
	line, _, _ = cut(line, '\n')
	begin := 0
	for begin < len(line) && blank(line[begin]) {
		begin++
	}
	end := begin
	for end < len(line) && !blank(line[end]) {
		end++
	}
	if end > begin && line[len(line)-1] == '\r' {
		// The classic: a script saved with Windows line ends asks for "sh\r".
		return strconv.Quote(line[begin:])
	}
	return line[begin:end]
}

// explainDirectory says why a directory cannot be the child's.
func explainDirectory(label, what, dir string, err error) error {
	subject := label + ": " + what + " " + dir
	say := func(text string) error { return &Problem{subject + text, err} }
	switch err {
	case syscall.ENOENT:
		return say(" does not exist")
	case syscall.ENOTDIR:
		return say(" is not a directory")
	case syscall.EACCES:
		return say(" may not be entered by uid " + strconv.Itoa(syscall.Geteuid()))
	case syscall.EPERM:
		return say(": only root may do that")
	}
	return because(subject, err)
}
