package proc

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// What follows runs in the shim, that is with the child's root directory, user
// and working directory: it sees what the program would see. (Foresee runs it in a
// thread with that effective user.)

// lookPath finds the program as execvp(3) would, in the child's environment.
func lookPath(name string, env []string) (string, error) {
	if strings.Contains(name, "/") {
		return name, nil // exec itself says what is wrong with it
	}
	search := defaultPath
	for _, kv := range env {
		if value, ok := strings.CutPrefix(kv, "PATH="); ok {
			search = value
		}
	}
	var refused string
	for _, dir := range filepath.SplitList(search) {
		if dir == "" {
			dir = "." // as execvp(3) does
		}
		path := dir + "/" + name // not filepath.Join, which would turn "./x" into "x"
		info, err := os.Stat(path)
		if err != nil || info.IsDir() {
			continue
		}
		if unix.Faccessat(unix.AT_FDCWD, path, unix.X_OK, unix.AT_EACCESS) == nil {
			return path, nil
		}
		refused = path
	}
	if refused != "" {
		return "", fmt.Errorf("%s: %s is there, but may not be executed by uid %d (chmod +x?): %w", name, refused, os.Geteuid(), syscall.EACCES)
	}
	return "", &plainError{text: fmt.Sprintf("%s: not found on PATH (%s)", name, search), err: syscall.ENOENT}
}

// explainExec puts the kernel's answer to exec into words. The kernel says "no
// such file" also when the program is there and its interpreter is not.
func explainExec(label, path string, err error) error {
	if label != path && !strings.Contains(label, "/") {
		label += ": " + path // a name found on PATH: say which file it is
	}
	var errno syscall.Errno
	errors.As(err, &errno)
	say := func(format string, args ...any) error {
		return &plainError{text: label + ": " + fmt.Sprintf(format, args...), err: err}
	}
	info, statErr := os.Stat(path)
	switch {
	case errno == syscall.ENOENT && statErr == nil:
		if interpreter := interpreterOf(path); interpreter != "" {
			return say("its first line asks for %s, which does not exist", interpreter)
		}
		return say("the file exists, but the loader it needs does not (built for another system?)")
	case errno == syscall.ENOENT, errno == syscall.ENOTDIR:
		if !strings.HasPrefix(path, "/") {
			if dir, err := os.Getwd(); err == nil {
				return say("no such file in %s", dir)
			}
		}
		return say("no such file")
	case errno == syscall.EACCES && statErr == nil && info.IsDir():
		return say("is a directory, not a program")
	case errno == syscall.EACCES && statErr == nil && info.Mode()&0o111 == 0:
		return say("not executable (chmod +x?)")
	case errno == syscall.EACCES:
		return say("uid %d may not execute it (permissions of the file or of a directory above it, or a noexec mount)", os.Geteuid())
	case errno == syscall.ENOEXEC:
		return say("not a program: no #! line and no binary of this machine")
	case errno == syscall.E2BIG:
		return say("arguments and environment are too long")
	case errno == syscall.EAGAIN:
		return say("uid %d has too many processes already (ulimit -u)", os.Geteuid())
	case errno == syscall.ETXTBSY:
		return say("the file is open for writing (still being copied?)")
	}
	return say("%v", err)
}

// interpreterOf gives the program that a script's first line names.
func interpreterOf(path string) string {
	f, err := os.Open(path)
	if err != nil {
		return ""
	}
	defer f.Close()
	head, _ := io.ReadAll(io.LimitReader(f, 256))
	line, ok := bytes.CutPrefix(head, []byte("#!"))
	if !ok {
		return ""
	}
	line, _, _ = bytes.Cut(line, []byte("\n"))
	words := bytes.Fields(line)
	if len(words) == 0 {
		return ""
	}
	name := string(words[0])
	if strings.HasSuffix(string(line), "\r") {
		// The classic: a script saved with Windows line ends asks for "sh\r".
		return fmt.Sprintf("%q", strings.TrimLeft(string(line), " \t"))
	}
	return name
}

func explainDirectory(label, what, dir string, err error) error {
	switch {
	case errors.Is(err, syscall.ENOENT):
		return &plainError{text: fmt.Sprintf("%s: %s %s does not exist", label, what, dir), err: err}
	case errors.Is(err, syscall.ENOTDIR):
		return &plainError{text: fmt.Sprintf("%s: %s %s is not a directory", label, what, dir), err: err}
	case errors.Is(err, syscall.EACCES):
		return &plainError{text: fmt.Sprintf("%s: %s %s may not be entered by uid %d", label, what, dir, os.Geteuid()), err: err}
	case errors.Is(err, syscall.EPERM):
		return &plainError{text: fmt.Sprintf("%s: %s %s: only root may do that", label, what, dir), err: err}
	}
	return fmt.Errorf("%s: %s %s: %w", label, what, dir, err)
}

// plainError carries the system's error without repeating its words.
type plainError struct {
	text string
	err  error
}

func (e *plainError) Error() string { return e.text }
func (e *plainError) Unwrap() error { return e.err }
