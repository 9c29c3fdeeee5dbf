package vassal

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"emperor/internal/rights"
)

// defaultBacklog is asked for where the file does not say listen; the kernel
// bounds it by net.core.somaxconn. It is larger than uWSGI's 100 because these
// queues also hold what arrives while a generation starts.
const defaultBacklog = 1024

// socketRules say how sockets of one vassal are made.
type socketRules struct {
	dir      string // relative paths start here; empty when it is not known
	umask    int    // -1: ours
	mode     fs.FileMode
	hasMode  bool
	uid, gid int // -1: left alone
	backlog  int
	as       *account // whose rights are used; nil: ours
	group    int      // >0: without owner and mode, this group with mode 0660
}

// listener is one bound, listening socket. It is a raw descriptor and never an
// os.File or net.Listener: their Fd method would change O_NONBLOCK, which all
// holders of the socket share.
//
// It is counted: the registry holds it and so does each generation that was
// given it; the last release closes it and removes its file, if that is still
// the file it made.
type listener struct {
	fd       int
	path     string // absolute path of its file, "" when it has none
	dev, ino uint64
	as       *account // with whose rights its file is removed
	uses     atomic.Int32
}

func (l *listener) retain() *listener { l.uses.Add(1); return l }

// retainLiving is retain for whoever has no hold on it: false when it is closed,
// or about to be.
func (l *listener) retainLiving() bool {
	for n := l.uses.Load(); n > 0; n = l.uses.Load() {
		if l.uses.CompareAndSwap(n, n+1) {
			return true
		}
	}
	return false
}

func (l *listener) release() {
	if l.uses.Add(-1) > 0 {
		return
	}
	if l.path != "" {
		socketRules{umask: -1, as: l.as}.onBehalf(func() error {
			if l.atPath() {
				os.Remove(l.path)
			}
			return nil
		})
	}
	unix.Close(l.fd)
}

// atPath says whether the file at its path is still the one it made.
func (l *listener) atPath() bool {
	if l.path == "" {
		return false
	}
	var st unix.Stat_t
	return unix.Lstat(l.path, &st) == nil && st.Dev == l.dev && st.Ino == l.ino
}

// pending says whether a connection waits to be accepted.
func (l *listener) pending() bool {
	fds := []unix.PollFd{{Fd: int32(l.fd), Events: unix.POLLIN}}
	n, err := unix.Poll(fds, 0)
	return err == nil && n == 1 && fds[0].Revents&unix.POLLIN != 0
}

// refuse takes everybody out of the queue, and gives them an answer, unless it is
// empty. Nothing that they have sent is looked at. It returns how many were still
// there. No program may be about to accept: the socket does not block meanwhile.
func (l *listener) refuse(answer string) (clients int) {
	if unix.SetNonblock(l.fd, true) != nil {
		return 0
	}
	defer func() { _ = unix.SetNonblock(l.fd, false) }()
	for range refuseMost {
		fd, _, err := unix.Accept4(l.fd, unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK)
		if err != nil {
			return clients
		}
		left := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLRDHUP}}
		if n, err := unix.Poll(left, 0); err == nil && n == 0 {
			clients++
			if answer != "" {
				_, _ = unix.SendmsgN(fd, []byte(answer), nil, nil, unix.MSG_NOSIGNAL)
			}
			// Bytes that nobody has read would make the end of the connection an error,
			// and the answer be lost.
			var unread [64 << 10]byte
			_, _ = unix.Read(fd, unread[:])
			_ = unix.Shutdown(fd, unix.SHUT_WR)
		}
		unix.Close(fd)
	}
	return clients
}

// refuseMost bounds what is refused at a time: more do not fit into a queue, but new
// ones could come without end.
const refuseMost = 5000

// blocking makes accept block again: a program may have left O_NONBLOCK behind
// on the description that its successor inherits.
func (l *listener) blocking() error {
	flags, err := unix.FcntlInt(uintptr(l.fd), unix.F_GETFL, 0)
	if err == nil && flags&unix.O_NONBLOCK != 0 {
		_, err = unix.FcntlInt(uintptr(l.fd), unix.F_SETFL, flags&^unix.O_NONBLOCK)
	}
	return err
}

// listen binds an address and listens on it. The text of a unix path reaches the
// kernel exactly as written, because uWSGI finds an inherited socket by
// comparing its name with the text of the option.
func listen(a address, rules socketRules) (*listener, error) {
	switch {
	case a.isTCP():
		return listenTCP(a, rules)
	case a.abstract != "":
		fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return nil, fmt.Errorf("socket %s: %w", a.text, err)
		}
		return bindAndListen(fd, &unix.SockaddrUnix{Name: "@" + a.abstract}, a, rules)
	case a.path != "":
		return listenPath(a, rules)
	}
	return nil, fmt.Errorf("socket %s: %s", a.text, a.foreign)
}

func listenTCP(a address, rules socketRules) (*listener, error) {
	family := unix.AF_INET6
	var to unix.Sockaddr
	ip := a.tcp.Addr()
	if ip.Is4() {
		family = unix.AF_INET
		to = &unix.SockaddrInet4{Port: int(a.tcp.Port()), Addr: ip.As4()}
	} else {
		to = &unix.SockaddrInet6{Port: int(a.tcp.Port()), Addr: ip.As16()}
	}
	fd, err := unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("socket %s: %w", a.text, err)
	}
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1); err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("socket %s: %w", a.text, err)
	}
	return bindAndListen(fd, to, a, rules)
}

// bindAndListen closes the descriptor when it fails. Low ports need the right to
// bind them, which a vassal's user does not have.
func bindAndListen(fd int, to unix.Sockaddr, a address, rules socketRules) (*listener, error) {
	err := socketRules{umask: -1, as: rules.as}.onBehalf(func() error { return unix.Bind(fd, to) })
	if err == nil {
		err = unix.Listen(fd, rules.backlog)
	}
	if err != nil {
		unix.Close(fd)
		if errors.Is(err, unix.EADDRINUSE) {
			return nil, fmt.Errorf("socket %s: another program listens there", a.text)
		}
		return nil, fmt.Errorf("socket %s: %w", a.text, err)
	}
	l := &listener{fd: fd}
	l.uses.Store(1)
	return l, nil
}

func listenPath(a address, rules socketRules) (*listener, error) {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("socket %s: %w", a.text, err)
	}
	l := &listener{fd: fd, path: a.in(rules.dir), as: rules.as}
	l.uses.Store(1)
	err = rules.onBehalf(func() error {
		if err := makeParent(l.path); err != nil {
			return err
		}
		if err := clearPath(l.path); err != nil {
			return err
		}
		if err := unix.Bind(fd, &unix.SockaddrUnix{Name: a.path}); err != nil {
			return err
		}
		var st unix.Stat_t
		if err := unix.Lstat(l.path, &st); err != nil {
			return err
		}
		l.dev, l.ino = st.Dev, st.Ino
		return nil
	})
	if err == nil {
		err = l.own(rules)
	}
	if err == nil {
		// Last, so that nobody is refused for its mode and nobody connects before it.
		err = unix.Listen(fd, rules.backlog)
	}
	if err != nil {
		l.release()
		return nil, fmt.Errorf("socket %s: %w", a.text, err)
	}
	return l, nil
}

// own gives the socket file its owner and mode: what the file says with the
// rights of the vassal, what the emperor wants for its router with its own.
func (l *listener) own(rules socketRules) error {
	if !l.atPath() {
		return nil
	}
	if rules.uid >= 0 || rules.gid >= 0 || rules.hasMode {
		return rules.onBehalf(func() error {
			if rules.uid >= 0 || rules.gid >= 0 {
				if err := os.Lchown(l.path, rules.uid, rules.gid); err != nil {
					return err
				}
			}
			if rules.hasMode {
				return os.Chmod(l.path, rules.mode)
			}
			return nil
		})
	}
	if rules.group <= 0 {
		return nil
	}
	// A path can be changed by the vassal's user at any time; a descriptor is the
	// file it was opened on.
	file, err := unix.Open(l.path, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(file)
	var st unix.Stat_t
	if err := unix.Fstat(file, &st); err != nil || st.Dev != l.dev || st.Ino != l.ino {
		return err
	}
	switch err := unix.Fchownat(file, "", -1, rules.group, unix.AT_EMPTY_PATH); err {
	case nil:
	case unix.EPERM:
		return nil // root without capabilities, as in some containers: the router is of our own user there
	default:
		return err
	}
	return os.Chmod(fmt.Sprintf("/proc/self/fd/%d", file), 0o660)
}

// onBehalf runs f as the vassal would: with its user and groups, in its
// directory, with its file mask. What is done to files for a vassal of another
// user is done this way, so that nothing happens that the user could not do.
//
// All of this normally belongs to the whole process. Linux keeps it for each
// thread, so a thread is made that differs in it and is used for nothing else.
func (r socketRules) onBehalf(f func() error) error {
	if r.as == nil && r.umask < 0 && r.dir == "" {
		return f()
	}
	var err error
	rights.Apart(func() {
		err = func() error {
			if err := unix.Unshare(unix.CLONE_FS); err != nil {
				return fmt.Errorf("unshare: %w", err)
			}
			if r.umask >= 0 {
				unix.Umask(r.umask)
			}
			if r.as != nil {
				if err := r.as.user().Assume(); err != nil {
					return err
				}
			}
			if r.dir != "" {
				if err := unix.Chdir(r.dir); err != nil {
					return fmt.Errorf("%s: %w", r.dir, err)
				}
			}
			return f()
		}()
	})
	return err
}

// clearPath makes room at a path: nothing there is fine, a socket that nobody
// answers is removed, anything else is an error and is never touched.
func clearPath(path string) error {
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if info.Mode().Type() != fs.ModeSocket {
		return fmt.Errorf("%s exists and is %s, not a socket; it was not touched", path, fileKind(info.Mode()))
	}
	switch err := tryConnect(path); {
	case errors.Is(err, unix.ECONNREFUSED):
		return os.Remove(path)
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err == nil, errors.Is(err, unix.EAGAIN), errors.Is(err, unix.EINPROGRESS):
		return fmt.Errorf("another program answers at %s; it was not touched", path)
	default:
		return fmt.Errorf("%s is a socket that may be in use (%w); it was not touched", path, err)
	}
}

// tryConnect connects to a unix socket and closes the connection at once.
func tryConnect(path string) error {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	return unix.Connect(fd, &unix.SockaddrUnix{Name: path})
}

func fileKind(m fs.FileMode) string {
	switch m.Type() {
	case 0:
		return "a file"
	case fs.ModeDir:
		return "a directory"
	case fs.ModeSymlink:
		return "a symbolic link"
	case fs.ModeNamedPipe:
		return "a named pipe"
	}
	return "a device"
}

// makeParent makes the missing directory of a socket below the runtime
// directories, which are empty after each boot. Elsewhere a missing directory is
// more likely a typing error.
func makeParent(path string) error {
	dir := filepath.Dir(path)
	if _, err := os.Stat(dir); err == nil || !errors.Is(err, fs.ErrNotExist) {
		return nil // a real obstacle shows when the socket is bound
	}
	for _, runtimeDir := range []string{"/run", "/tmp", "/var/run", os.Getenv("XDG_RUNTIME_DIR")} {
		if runtimeDir != "" && strings.HasPrefix(dir, strings.TrimRight(runtimeDir, "/")+"/") {
			return os.MkdirAll(dir, 0o755)
		}
	}
	return fmt.Errorf("the directory %s does not exist", dir)
}

// dialable is the address a client on this machine connects to.
func (a address) dialable(dir string) (network, to string) {
	if !a.isTCP() {
		return "unix", a.in(dir)
	}
	ip, port := a.tcp.Addr(), fmt.Sprint(a.tcp.Port())
	if ip.IsUnspecified() {
		if ip.Is4() {
			return "tcp", net.JoinHostPort("127.0.0.1", port)
		}
		return "tcp", net.JoinHostPort("::1", port)
	}
	return "tcp", net.JoinHostPort(ip.String(), port)
}
