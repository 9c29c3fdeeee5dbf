package foresee

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"emperor/internal/near"
	"emperor/internal/rights"
)

// What follows is called with the rights, and from the working directory, of whoever
// will need the path.

// may asks for a right to a file or directory (unix.R_OK, W_OK, X_OK together).
func may(path string, right uint32) error {
	return unix.Faccessat(unix.AT_FDCWD, path, right, unix.AT_EACCESS)
}

// wrongDirectory says what is wrong with a directory that somebody needs to enter;
// empty: nothing.
func wrongDirectory(path, who string) string {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return wrongPath(path, who, err)
	case !info.IsDir():
		return fmt.Sprintf("%s is %s, want a directory", path, rights.KindOf(info.Mode()))
	case may(path, unix.X_OK) != nil:
		return fmt.Sprintf("%s may not enter %s %s", who, path, ownership(path))
	}
	return ""
}

// wrongFile does the same for a file that somebody needs to read.
func wrongFile(path, who string) string {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return wrongPath(path, who, err)
	case info.IsDir():
		return fmt.Sprintf("%s is a directory, want a file", path)
	case may(path, unix.R_OK) != nil:
		return fmt.Sprintf("%s may not read %s %s", who, path, ownership(path))
	}
	return ""
}

// wrongPath puts into words that there is no way to a path, where it ends, and what
// may have been meant.
func wrongPath(path, who string, err error) string {
	at := firstMissing(path)
	switch {
	case errors.Is(err, syscall.EACCES):
		closed := closedAt(path)
		return strings.TrimSpace(fmt.Sprintf("%s may not enter %s %s", who, closed, ownership(closed)))
	case errors.Is(err, syscall.ELOOP):
		return path + ": its symbolic links lead in a circle"
	case errors.Is(err, syscall.ENOTDIR):
		return fmt.Sprintf("there is no %s: %s is no directory", path, at)
	case !errors.Is(err, fs.ErrNotExist):
		return fmt.Sprintf("%s: %v", path, rights.WithoutPath(err))
	}
	if to, err := os.Readlink(at); err == nil {
		return fmt.Sprintf("%s is a symbolic link to %s, which does not exist", at, to)
	}
	text := "there is no " + path
	if at != path {
		text += fmt.Sprintf(" (not even %s)", at)
	}
	if meant := sibling(at); meant != "" {
		text += "; did you mean " + meant + path[len(at):] + "?"
	}
	return text
}

// firstMissing is the first part of a path that is not there.
func firstMissing(path string) string {
	for {
		dir := filepath.Dir(path)
		if info, err := os.Stat(dir); err == nil && info.IsDir() || dir == path {
			return path
		}
		if _, err := os.Lstat(path); err == nil {
			return path // a link that leads nowhere
		}
		path = dir
	}
}

// closedAt is the first directory on the way to a path that may not be entered.
func closedAt(path string) string {
	closed := filepath.Dir(path)
	for dir := closed; ; dir = filepath.Dir(dir) {
		if errors.Is(may(dir, unix.X_OK), syscall.EACCES) {
			closed = dir
		}
		if dir == filepath.Dir(dir) {
			return closed
		}
	}
}

// sibling is what lies beside a missing file and has nearly its name.
func sibling(path string) string {
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil || len(entries) > 1000 {
		return ""
	}
	names := make([]string, len(entries))
	for i, e := range entries {
		names[i] = e.Name()
	}
	if name, ok := near.Word(filepath.Base(path), names); ok {
		return filepath.Join(filepath.Dir(path), name)
	}
	return ""
}

// ownership is "(mode 0700, owner root, group www-data)", for a message about
// rights; empty when it cannot be told.
func ownership(path string) string {
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		return ""
	}
	owner, group := strconv.Itoa(int(st.Uid)), strconv.Itoa(int(st.Gid))
	if u, err := user.LookupId(owner); err == nil {
		owner = u.Username
	}
	if g, err := user.LookupGroupId(group); err == nil {
		group = g.Name
	}
	return fmt.Sprintf("(mode %04o, owner %s, group %s)", st.Mode&0o7777, owner, group)
}
