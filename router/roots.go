package router

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"runtime"
	"sync"
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
	folder, parent int            // TestRoot: descriptors; -1: none
	name           string         // of the folder in its parent
	site           *static.Site   // ServeRoot
	users          *password.File // PasswordRoot
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
			closeAll([]int{all[i].folder, all[i].parent})
		}
		if all[i].site != nil {
			all[i].site.Close()
		}
	}
}

func openRoot(w *rule.Root, supply *supply, v config.Value) (root, error) {
	opened := root{folder: -1, parent: -1, name: filepath.Base(w.Dir)}
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
	folder, parent, err := supply.folder(w.Dir, w.Use == rule.ServeRoot, v)
	if err != nil || supply.checking {
		return opened, err
	}
	if w.Use == rule.ServeRoot {
		opened.site, err = static.New(static.Root{Directory: folder, Parent: parent, Name: opened.name, Path: w.Dir}, &static.Options{})
		return opened, err
	}
	opened.folder, opened.parent = folder, parent
	return opened, nil
}

// stat looks at what name is below a root, without following a symbolic link out of
// it. The root is what its name stands for now: it may have been replaced.
func (r *roots) stat(number int, name []byte, flags uint64) (stat unix.Stat_t, ok bool) {
	if number < 0 || number >= len(r.all) || r.all[number].folder < 0 {
		return stat, false
	}
	at := &r.all[number]
	folder := at.folder
	now, err := unix.Openat(at.parent, at.name, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	switch {
	case err == nil:
		defer func() { _ = unix.Close(now) }()
		folder = now
	case errors.Is(err, unix.ENOENT):
		return stat, false
	}
	if len(name) == 0 {
		return stat, unix.Fstat(folder, &stat) == nil
	}
	fd, err := unix.Openat2(folder, string(name), &unix.OpenHow{Flags: unix.O_PATH | unix.O_CLOEXEC | flags, Resolve: unix.RESOLVE_BENEATH})
	if err != nil {
		return stat, false
	}
	defer func() { _ = unix.Close(fd) }()
	return stat, unix.Fstat(fd, &stat) == nil
}

// look is stat of what a symbolic link leads to.
func (r *roots) look(number int, name []byte) (unix.Stat_t, bool) { return r.stat(number, name, 0) }

// Is implements rule.Files.
func (r *roots) Is(kind rule.FileKind, number int, name []byte) bool {
	if number >= 0 && number < len(r.all) && r.all[number].site != nil {
		return r.serves(r.all[number].site, name)
	}
	if kind == rule.Symlink {
		stat, ok := r.stat(number, name, unix.O_NOFOLLOW)
		return ok && stat.Mode&unix.S_IFMT == unix.S_IFLNK
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

// serves tells whether a site has something for a name (static-next).
func (r *roots) serves(site *static.Site, name []byte) bool {
	a := peeks.Get().(*static.Answer)
	defer peeks.Put(a)
	site.Open(&static.Request{Method: []byte("GET"), Path: append([]byte{'/'}, name...), Peek: true}, a)
	defer a.Close()
	return a.Status != 0
}

// peeks are answers that are only asked whether they are one.
var peeks = sync.Pool{New: func() any { return new(static.Answer) }}

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
