package foresee

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"emperor/internal/config"
	"emperor/internal/listening"
	"emperor/internal/rights"
	"emperor/vassal/spec"
)

// longestOfUWSGI is the longest path to which uWSGI binds a socket by itself
// (core/socket.c).
const longestOfUWSGI = 102

// sockets tries what making the sockets needs.
func (f *foresight) sockets() {
	for _, s := range f.spec.Sockets {
		v := config.Value{Key: f.spec.KeyOf(f.Config, s), Pos: s.Pos}
		switch path := s.At.Path; {
		case !s.Held && f.spec.Kind == spec.UWSGI && strings.HasPrefix(s.Address, "/") && len(s.Address) > longestOfUWSGI && !strings.Contains(s.Address, ":"):
			f.certain(v, "the path has %d bytes, a socket's has at most %d: shorten it", len(s.Address), spec.MaxUnixPath)
		case !s.Held:
			// uWSGI makes it by itself, when and where it likes.
		case path != "" && f.lost && !filepath.IsAbs(path):
			// The directory that it is in has been told of.
		case path != "":
			if onlyPort.MatchString(path) {
				f.doubtful(v, "%s has no colon, and so is a path: want :%s for a port", path, path)
			}
			f.path(v, s)
		case s.At.Abstract != "":
			f.answer(v, s.Address, s.Address)
		default:
			f.port(v, s)
		}
	}
}

// path is listenPath without its effects.
func (f *foresight) path(v config.Value, s spec.Socket) {
	rules := f.spec.SocketRules
	path := s.At.In(rules.Dir)
	who := nameOf(rules.As)
	wrong := ""
	err := spec.SocketRules{Umask: -1, As: rules.As}.OnBehalf(func() error { wrong = noSocketAt(path, who); return nil })
	if err != nil {
		wrong = err.Error()
	}
	if wrong != "" {
		f.certain(v, "%s", wrong)
		return
	}
	if info, err := os.Lstat(path); err == nil && info.Mode().Type() == fs.ModeSocket {
		f.answer(v, s.Address, path)
	}
}

// noSocketAt says why no socket can be made at a path: its directory, or what is
// there already and is no socket.
func noSocketAt(path, who string) string {
	dir := filepath.Dir(path)
	if missing, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
		if !madeAtStart(dir) {
			return wrongPath(dir, who, err) + ": make the directory (only below /run and /tmp the emperor does)"
		}
		parent := filepath.Dir(firstMissing(dir))
		if may(parent, unix.W_OK|unix.X_OK) != nil {
			return fmt.Sprintf("there is no %s, and %s may not make it in %s %s: make it for that user (systemd: tmpfiles.d or RuntimeDirectory=)", dir, who, parent, ownership(parent))
		}
		return ""
	} else if err != nil {
		return wrongPath(dir, who, err)
	} else if !missing.IsDir() {
		return dir + " is no directory"
	}
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return wrongPath(path, who, err)
	case info.Mode().Type() != fs.ModeSocket:
		return fmt.Sprintf("%s exists and is %s, not a socket: remove it, or choose another path", path, rights.KindOf(info.Mode()))
	}
	switch err := may(dir, unix.W_OK|unix.X_OK); {
	case errors.Is(err, syscall.EROFS):
		return dir + " is on a read-only file system"
	case err != nil:
		return fmt.Sprintf("%s may not make a socket in %s %s", who, dir, ownership(dir))
	}
	if info != nil && mayNotRemove(dir, path) {
		return fmt.Sprintf("%s is somebody else's socket %s, which %s may not remove from %s: remove it, or choose another path", path, ownership(path), who, dir)
	}
	return ""
}

// madeAtStart: the directory is below one of those in which makeParent makes
// missing ones.
func madeAtStart(dir string) bool {
	for _, above := range []string{"/run", "/tmp", "/var/run", os.Getenv("XDG_RUNTIME_DIR")} {
		if above != "" && strings.HasPrefix(dir, strings.TrimRight(above, "/")+"/") {
			return true
		}
	}
	return false
}

// mayNotRemove: in a directory such as /tmp only its owner removes a file.
func mayNotRemove(dir, path string) bool {
	var d, p unix.Stat_t
	if unix.Lstat(dir, &d) != nil || unix.Lstat(path, &p) != nil || d.Mode&unix.S_ISVTX == 0 {
		return false
	}
	own := uint32(unix.Geteuid())
	return own != 0 && own != d.Uid && own != p.Uid
}

// answer says who has a unix socket already.
func (f *foresight) answer(v config.Value, text, path string) {
	if f.Running.Addresses[path] || f.Running.Addresses[text] {
		return // connecting would wake it
	}
	who, err := listening.AtUnix(path)
	if err == nil {
		f.occupant(v, "at "+path, who)
	}
}

// port tries to bind a TCP address.
func (f *foresight) port(v config.Value, s spec.Socket) {
	var err error
	_ = spec.SocketRules{Umask: -1, As: f.spec.SocketRules.As}.OnBehalf(func() error { err = listening.TryTCP(s.At.TCP); return nil })
	switch {
	case errors.Is(err, unix.EADDRINUSE):
		if who, ok := listening.AtTCP(s.At.TCP); ok && !f.Running.Addresses[s.Address] {
			f.occupant(v, "on "+s.Address, who)
		}
	case errors.Is(err, unix.EADDRNOTAVAIL):
		f.certain(v, "%s is no address of this machine (:%d listens on all of them)", s.At.TCP.Addr(), s.At.TCP.Port())
	case errors.Is(err, unix.EACCES):
		f.certain(v, "%s may not listen on port %d: ports below 1024 need root or CAP_NET_BIND_SERVICE; the router reaches any port, or a path", nameOf(f.spec.SocketRules.As), s.At.TCP.Port())
	case err != nil:
		f.doubtful(v, "%s: %v", s.Address, err)
	}
}

// occupant tells of the program in the way, if it is not the emperor that
// runs this vassal already.
func (f *foresight) occupant(v config.Value, where string, who listening.Occupant) {
	text, sure := f.Running.Accuses(who, where)
	switch {
	case text == "":
	case sure:
		f.certain(v, "%s", text)
	default:
		f.doubtful(v, "%s", text)
	}
}
