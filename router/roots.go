package router

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"runtime"
	"time"

	"golang.org/x/sys/unix"

	"emperor/internal/config"
	"emperor/router/password"
	"emperor/router/rule"
	"emperor/router/static"
)

// roots are the folders and files that rules look at, by the numbers that the
// rule table gives them. What they hold open is closed when no request uses the
// settings they belong to any more.
type roots struct {
	all     []root
	checker *password.Checker
}

type root struct {
	folder int            // TestRoot: descriptor; -1: none
	site   *static.Site   // ServeRoot
	users  *password.File // PasswordRoot
}

// passwordPatience is how long a request waits for its password to be checked.
const passwordPatience = 5 * time.Second

func (r *roots) compile(wanted []rule.Root, checker *password.Checker, supply *supply, mistake func(config.Value, error)) {
	r.checker = checker
	for i := range wanted {
		w := &wanted[i]
		v := config.Value{Key: "route", Pos: config.Pos{File: w.Pos.File, Line: w.Pos.Line}}
		opened, err := openRoot(w, supply, v)
		if err != nil {
			mistake(v, err)
		}
		r.all = append(r.all, opened)
	}
	runtime.AddCleanup(r, closeRoots, r.all)
}

func closeRoots(all []root) {
	for i := range all {
		if all[i].folder >= 0 {
			_ = unix.Close(all[i].folder)
		}
		if all[i].site != nil {
			all[i].site.Close()
		}
	}
}

func openRoot(w *rule.Root, supply *supply, v config.Value) (root, error) {
	opened := root{folder: -1}
	if w.Use == rule.PasswordRoot {
		content, known, err := supply.content(filepath.Join(w.Dir, w.Name), v)
		if !known {
			return opened, err
		}
		users, problems := password.Parse(content)
		for _, p := range problems {
			if !p.Warn {
				return opened, fmt.Errorf("%s:%d: %s", filepath.Join(w.Dir, w.Name), p.Line, p.Text)
			}
		}
		opened.users = users
		return opened, nil
	}
	folder, parent, err := supply.folder(w.Dir, v)
	if err != nil || supply.checking {
		return opened, err
	}
	if w.Use == rule.ServeRoot {
		opened.site, err = static.New(static.Root{Directory: folder, Parent: parent, Name: filepath.Base(w.Dir), Path: w.Dir}, &static.Options{})
		return opened, err
	}
	_ = unix.Close(parent)
	opened.folder = folder
	return opened, nil
}

// look finds name below a root, without following a symbolic link out of it.
func (r *roots) look(number int, name []byte) (unix.Stat_t, bool) {
	var stat unix.Stat_t
	if number < 0 || number >= len(r.all) || r.all[number].folder < 0 {
		return stat, false
	}
	if len(name) == 0 {
		return stat, unix.Fstat(r.all[number].folder, &stat) == nil
	}
	fd, err := unix.Openat2(r.all[number].folder, string(name), &unix.OpenHow{Flags: unix.O_PATH | unix.O_CLOEXEC, Resolve: unix.RESOLVE_BENEATH})
	if err != nil {
		return stat, false
	}
	defer func() { _ = unix.Close(fd) }()
	return stat, unix.Fstat(fd, &stat) == nil
}

// Is implements rule.Files.
func (r *roots) Is(kind rule.FileKind, number int, name []byte) bool {
	if kind == rule.Symlink {
		return r.isSymlink(number, name)
	}
	stat, ok := r.look(number, name)
	if !ok {
		return false
	}
	switch kind {
	case rule.Regular:
		return stat.Mode&unix.S_IFMT == unix.S_IFREG
	case rule.Directory:
		return stat.Mode&unix.S_IFMT == unix.S_IFDIR
	case rule.Executable:
		return stat.Mode&0o111 != 0
	case rule.Readable:
		return stat.Mode&unix.S_IFMT == unix.S_IFREG && stat.Mode&0o444 != 0
	}
	return true
}

func (r *roots) isSymlink(number int, name []byte) bool {
	if number < 0 || number >= len(r.all) || r.all[number].folder < 0 || len(name) == 0 {
		return false
	}
	fd, err := unix.Openat2(r.all[number].folder, string(name), &unix.OpenHow{Flags: unix.O_PATH | unix.O_NOFOLLOW | unix.O_CLOEXEC, Resolve: unix.RESOLVE_BENEATH})
	if err != nil {
		return false
	}
	defer func() { _ = unix.Close(fd) }()
	var stat unix.Stat_t
	return unix.Fstat(fd, &stat) == nil && stat.Mode&unix.S_IFMT == unix.S_IFLNK
}

// ModTime implements rule.Files.
func (r *roots) ModTime(number int, name []byte) (t time.Time, ok bool) {
	stat, ok := r.look(number, name)
	return time.Unix(stat.Mtim.Unix()), ok
}

// Check implements rule.Passwords.
func (r *roots) Check(number int, authorization []byte) (user string, verdict rule.Verdict) {
	if number < 0 || number >= len(r.all) || r.all[number].users == nil {
		return "", rule.Denied
	}
	ctx, cancel := context.WithTimeout(context.Background(), passwordPatience)
	defer cancel()
	user, err := r.checker.Check(ctx, r.all[number].users, authorization)
	switch {
	case err == nil:
		return user, rule.Accepted
	case errors.Is(err, password.ErrBusy) || errors.Is(err, context.DeadlineExceeded):
		return "", rule.Busy
	}
	return "", rule.Denied
}

// TypeOf implements rule.Types.
func (r *roots) TypeOf(name []byte) string { return "" }
