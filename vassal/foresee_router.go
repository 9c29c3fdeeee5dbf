package vassal

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"emperor/internal/config"
	"emperor/internal/rights"
)

// foreseeRouter says which sockets the router could not connect to: it runs as
// another user, and needs to enter their directories and to write to them.
func (f *foresight) foreseeRouter() {
	router := accountOf(f.Router)
	if router == nil || router.uid == 0 || f.jailed() {
		return
	}
	for _, s := range f.spec.Sockets {
		if s.address.path == "" {
			continue
		}
		path := s.address.in(f.spec.sockets.dir)
		if !filepath.IsAbs(path) {
			continue
		}
		v := config.Value{Key: f.spec.keyOf(f.Config, s), Pos: s.Pos}
		closed := ""
		err := socketRules{umask: -1, as: router}.onBehalf(func() error { closed = closedDirectory(filepath.Dir(path)); return nil })
		if err != nil {
			continue // we may not become it, so it will not run as that user either
		}
		if closed != "" {
			f.certain(v, "the router (%s) may not enter %s %s, so every request would fail: open it (chmod o+x %s), or choose another directory", nameOf(router), closed, ownership(closed), closed)
			continue
		}
		f.foreseeMode(v, s, router)
	}
}

// closedDirectory is the first directory from the root on that may not be entered,
// of those that are there.
func closedDirectory(dir string) string {
	closed := ""
	for ; ; dir = filepath.Dir(dir) {
		if err := may(dir, unix.X_OK); err == unix.EACCES {
			if info, err := os.Stat(dir); err == nil && info.IsDir() {
				closed = dir
			}
		}
		if dir == filepath.Dir(dir) {
			return closed
		}
	}
}

// foreseeMode says whether the socket's file will let the router in.
func (f *foresight) foreseeMode(v config.Value, s Socket, router *account) {
	rules := f.spec.sockets
	says := ""
	for _, name := range []string{"chmod-socket", "chown-socket"} {
		if line, ok := f.Config.Last(name); ok {
			says += fmt.Sprintf(" (%s)", reason(line))
		}
	}
	switch {
	case f.spec.command.selfBound:
		// The program makes the file, by its own ideas.
		if f.user.is(router) {
			return
		}
		f.doubtful(v, "the command makes this socket itself: the router (%s) can connect only if the program gives it a mode such as 0666, or with http-uid = %s in the main file", nameOf(router), f.user.orSelf())
	case rules.uid < 0 && rules.gid < 0 && !rules.hasMode && f.Defaults.SocketGroup > 0 && s.Held:
		// The emperor gives it to the router's group.
	case s.Held:
		owner, group := rules.as.orSelf().uid, rules.as.orSelf().gid
		if rules.uid >= 0 {
			owner = uint32(rules.uid)
		}
		if rules.gid >= 0 {
			group = uint32(rules.gid)
		}
		mode := rules.mode
		if !rules.hasMode {
			mask := max(rules.umask, 0)
			if rules.umask < 0 {
				mask = ownUmask()
			}
			mode = 0o777 &^ fs.FileMode(mask)
		}
		if !router.mayWrite(owner, group, mode) {
			f.certain(v, "the router (%s) could not connect: the socket would have mode %04o, owner %d, group %d%s: say chmod-socket = 666, or 660 with the router's group", nameOf(router), mode, owner, group, says)
		}
	}
}

// is tells whether two accounts are one user; nil is ourselves.
func (a *account) is(other *account) bool { return a.orSelf().uid == other.orSelf().uid }

// mayWrite is the kernel's rule for a file that is not there yet.
func (a *account) mayWrite(owner, group uint32, mode fs.FileMode) bool {
	if a.uid == owner {
		return mode&0o200 != 0
	}
	for _, g := range append([]uint32{a.gid}, a.groups...) {
		if g == group {
			return mode&0o020 != 0
		}
	}
	return mode&0o002 != 0
}

// ownUmask is this process's file mask. It can only be asked for by setting it, and
// so on a thread that ends afterwards.
func ownUmask() (mask int) {
	rights.Apart(func() {
		if unix.Unshare(unix.CLONE_FS) == nil {
			mask = unix.Umask(0)
		}
	})
	return mask
}
