package foresee

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"emperor/internal/config"
	"emperor/internal/rights"
	"emperor/vassal/spec"
)

// router says which sockets the router could not connect to: it runs as
// another user, and needs to enter their directories and to write to them.
func (f *foresight) router() {
	router := spec.AccountOf(f.Router)
	if router == nil || router.UID == 0 || f.jailed() {
		return
	}
	for _, s := range f.spec.Sockets {
		if s.At.Path == "" {
			continue
		}
		path := s.At.In(f.spec.SocketRules.Dir)
		if !filepath.IsAbs(path) {
			continue
		}
		v := config.Value{Key: f.spec.KeyOf(f.Config, s), Pos: s.Pos}
		closed := ""
		err := spec.SocketRules{Umask: -1, As: router}.OnBehalf(func() error { closed = closedDirectory(filepath.Dir(path)); return nil })
		if err != nil {
			continue // we may not become it, so it will not run as that user either
		}
		if closed != "" {
			f.certain(v, "the router (%s) may not enter %s %s, so every request would fail: open it (chmod o+x %s), or choose another directory", nameOf(router), closed, ownership(closed), closed)
			continue
		}
		f.mode(v, s, router)
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

// mode says whether the socket's file will let the router in.
func (f *foresight) mode(v config.Value, s spec.Socket, router *spec.Account) {
	rules := f.spec.SocketRules
	says := ""
	for _, name := range []string{"chmod-socket", "chown-socket"} {
		if line, ok := f.Config.Last(name); ok {
			says += fmt.Sprintf(" (%s)", spec.Reason(line))
		}
	}
	switch {
	case f.spec.Command.SelfBound:
		// The program makes the file, by its own ideas.
		if f.user.Is(router) {
			return
		}
		f.doubtful(v, "the command makes this socket itself: the router (%s) can connect only if the program gives it a mode such as 0666, or with http-uid = %s in the main file", nameOf(router), f.user.OrSelf())
	case rules.UID < 0 && rules.GID < 0 && !rules.HasMode && f.SocketGroup > 0 && s.Held:
		// The emperor gives it to the router's group.
	case s.Held:
		owner, group := rules.As.OrSelf().UID, rules.As.OrSelf().GID
		if rules.UID >= 0 {
			owner = uint32(rules.UID)
		}
		if rules.GID >= 0 {
			group = uint32(rules.GID)
		}
		mode := rules.Mode
		if !rules.HasMode {
			mask := max(rules.Umask, 0)
			if rules.Umask < 0 {
				mask = ownUmask()
			}
			mode = 0o777 &^ fs.FileMode(mask)
		}
		if !router.MayWrite(owner, group, mode) {
			f.certain(v, "the router (%s) could not connect: the socket would have mode %04o, owner %d, group %d%s: say chmod-socket = 666, or 660 with the router's group", nameOf(router), mode, owner, group, says)
		}
	}
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
