package monitor

import (
	"path/filepath"
	"slices"
	"strings"
	"syscall"
)

// maxLinks is how many symlinks a path may lead through (the kernel's own limit).
const maxLinks = 40

// resolve follows path through all its symlinks, in directories too, and returns
// where it ends. On the way it notes each place that decides where that is: the
// directory holding a symlink, or the one in which the next step is missing (which
// is the nearest existing parent). Those are the directories in which an event can
// change the outcome although nothing happens at the end of the path itself:
// "current -> releases/7", a ConfigMap's "..data", a directory not made yet.
//
// The path must be absolute. The error is the system call's own (ENOENT, EACCES …).
func resolve(path string, note func(dir, name string)) (real string, err error) {
	real = "/"
	rest := splitPath(path)
	links := 0
	for len(rest) > 0 {
		name := rest[0]
		rest = rest[1:]
		if name == ".." {
			real = filepath.Dir(real)
			continue
		}
		next := filepath.Join(real, name)
		var st syscall.Stat_t
		if err := lstat(next, &st); err != nil {
			if gone(err) {
				note(real, name)
			}
			return "", err
		}
		if !isKind(&st, syscall.S_IFLNK) {
			real = next
			continue
		}
		note(real, name)
		if links++; links > maxLinks {
			return "", syscall.ELOOP
		}
		target, err := readlink(next)
		if err != nil {
			return "", err
		}
		if filepath.IsAbs(target) {
			real = "/"
		}
		rest = append(splitPath(target), rest...)
	}
	return real, nil
}

// splitPath cuts a path into its steps, without "." and empty ones. ".." stays: past
// a symlink it is not what filepath.Clean takes it for.
func splitPath(path string) []string {
	steps := strings.Split(path, "/")
	return slices.DeleteFunc(steps, func(step string) bool { return step == "" || step == "." })
}

func readlink(path string) (string, error) {
	buffer := make([]byte, 4096) // PATH_MAX: the kernel makes no longer one
	n := 0
	err := ignoringEINTR(func() (err error) {
		n, err = syscall.Readlink(path, buffer)
		return err
	})
	if err != nil {
		return "", err
	}
	return string(buffer[:n]), nil
}

// gone tells whether err means that there is nothing of that name; any other error
// (EACCES, EIO, ESTALE …) says nothing about it.
func gone(err error) bool { return err == syscall.ENOENT || err == syscall.ENOTDIR }
