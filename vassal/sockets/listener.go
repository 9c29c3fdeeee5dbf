package sockets

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"

	"emperor/internal/listening"
	"emperor/internal/rights"
	"emperor/vassal/spec"

	"golang.org/x/sys/unix"
)

// Listener is one bound, listening socket. It is a raw descriptor and never an
// os.File or net.Listener: their Fd method would change O_NONBLOCK, which all
// holders of the socket share.
//
// It is counted: the registry holds it and so does each generation that was
// given it; the last release closes it and removes its file, if that is still
// the file it made.
type Listener struct {
	FD       int
	Path     string // absolute path of its file, "" when it has none
	dev, ino uint64
	as       *spec.Account // with whose rights its file is removed
	uses     atomic.Int32

	mu   sync.Mutex
	left io.Closer // guarded by mu; see Leave
}

// NewListener is one without a path, held once.
func NewListener(fd int) *Listener {
	l := &Listener{FD: fd}
	l.uses.Store(1)
	return l
}

func (l *Listener) retain() *Listener { l.uses.Add(1); return l }

// retainLiving is retain for whoever has no hold on it: false when it is closed,
// or about to be.
func (l *Listener) retainLiving() bool {
	for n := l.uses.Load(); n > 0; n = l.uses.Load() {
		if l.uses.CompareAndSwap(n, n+1) {
			return true
		}
	}
	return false
}

// Release gives a hold back; the last one closes the socket and removes its file.
func (l *Listener) Release() {
	if l.uses.Add(-1) > 0 {
		return
	}
	if l.Path != "" {
		spec.SocketRules{Umask: -1, As: l.as}.OnBehalf(func() error {
			if l.AtPath() {
				os.Remove(l.Path)
			}
			return nil
		})
	}
	unix.Close(l.FD)
	l.hangUp()
}

// Leave keeps a connection of ours that waits in the queue as long as it does: it is
// closed with the socket, and before the queue is emptied.
func (l *Listener) Leave(c io.Closer) {
	l.hangUp()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.left = c
}

// Left gives back what was left; nil: nothing.
func (l *Listener) Left() io.Closer {
	l.mu.Lock()
	defer l.mu.Unlock()
	c := l.left
	l.left = nil
	return c
}

func (l *Listener) hangUp() {
	if c := l.Left(); c != nil {
		_ = c.Close()
	}
}

// AtPath says whether the file at its path is still the one it made.
func (l *Listener) AtPath() bool {
	if l.Path == "" {
		return false
	}
	var st unix.Stat_t
	return unix.Lstat(l.Path, &st) == nil && st.Dev == l.dev && st.Ino == l.ino
}

// Pending says whether a connection waits to be accepted.
func (l *Listener) Pending() bool {
	fds := []unix.PollFd{{Fd: int32(l.FD), Events: unix.POLLIN}}
	n, err := unix.Poll(fds, 0)
	return err == nil && n == 1 && fds[0].Revents&unix.POLLIN != 0
}

// Connected counts the connections to it that were accepted; known is false where that
// cannot be told: for one without a file, and where the kernel does not say.
func (l *Listener) Connected() (count int, known bool) {
	if l.ino == 0 {
		return 0, false
	}
	return listening.ConnectedUnixAt(l.ino)
}

// Refuse takes everybody out of the queue, and gives them an answer, unless it is
// empty. Nothing that they have sent is looked at. It returns how many were still
// there. No program may be about to accept: the socket does not block meanwhile.
func (l *Listener) Refuse(answer string) (clients int) {
	l.hangUp() // it is no client
	if unix.SetNonblock(l.FD, true) != nil {
		return 0
	}
	defer func() { _ = unix.SetNonblock(l.FD, false) }()
	for range refuseMost {
		fd, _, err := unix.Accept4(l.FD, unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK)
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

// Blocking makes accept block again: a program may have left O_NONBLOCK behind
// on the description that its successor inherits.
func (l *Listener) Blocking() error {
	flags, err := unix.FcntlInt(uintptr(l.FD), unix.F_GETFL, 0)
	if err == nil && flags&unix.O_NONBLOCK != 0 {
		_, err = unix.FcntlInt(uintptr(l.FD), unix.F_SETFL, flags&^unix.O_NONBLOCK)
	}
	return err
}

// listen binds an address and listens on it. The text of a unix path reaches the
// kernel exactly as written, because uWSGI finds an inherited socket by
// comparing its name with the text of the option.
func listen(a spec.Address, rules spec.SocketRules) (*Listener, error) {
	switch {
	case a.IsTCP():
		return listenTCP(a, rules)
	case a.Abstract != "":
		fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return nil, fmt.Errorf("socket %s: %w", a.Text, err)
		}
		return bindAndListen(fd, &unix.SockaddrUnix{Name: "@" + a.Abstract}, a, rules)
	case a.Path != "":
		return listenPath(a, rules)
	}
	return nil, fmt.Errorf("socket %s: %s", a.Text, a.Foreign)
}

func listenTCP(a spec.Address, rules spec.SocketRules) (*Listener, error) {
	family := unix.AF_INET6
	var to unix.Sockaddr
	ip := a.TCP.Addr()
	if ip.Is4() {
		family = unix.AF_INET
		to = &unix.SockaddrInet4{Port: int(a.TCP.Port()), Addr: ip.As4()}
	} else {
		to = &unix.SockaddrInet6{Port: int(a.TCP.Port()), Addr: ip.As16()}
	}
	fd, err := unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("socket %s: %w", a.Text, err)
	}
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1); err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("socket %s: %w", a.Text, err)
	}
	return bindAndListen(fd, to, a, rules)
}

// bindAndListen closes the descriptor when it fails. Low ports need the right to
// bind them, which a vassal's user does not have.
func bindAndListen(fd int, to unix.Sockaddr, a spec.Address, rules spec.SocketRules) (*Listener, error) {
	err := spec.SocketRules{Umask: -1, As: rules.As}.OnBehalf(func() error { return unix.Bind(fd, to) })
	if err == nil {
		err = unix.Listen(fd, rules.Backlog)
	}
	if err != nil {
		unix.Close(fd)
		if errors.Is(err, unix.EADDRINUSE) {
			return nil, fmt.Errorf("socket %s: another program listens there", a.Text)
		}
		return nil, fmt.Errorf("socket %s: %w", a.Text, err)
	}
	return NewListener(fd), nil
}

func listenPath(a spec.Address, rules spec.SocketRules) (*Listener, error) {
	path := a.In(rules.Dir)
	return listenAt(path, a.Text, rules, func(fd int) error {
		if err := makeParent(path); err != nil {
			return err
		}
		if err := clearPath(path); err != nil {
			return err
		}
		return unix.Bind(fd, &unix.SockaddrUnix{Name: a.Path})
	})
}

// listenAt listens on a socket whose file bind, with the rights of the vassal, makes at
// the path. The text is what messages call it.
func listenAt(path, text string, rules spec.SocketRules, bind func(fd int) error) (*Listener, error) {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("socket %s: %w", text, err)
	}
	l := &Listener{FD: fd, Path: path, as: rules.As}
	l.uses.Store(1)
	err = rules.OnBehalf(func() error {
		if err := bind(fd); err != nil {
			return err
		}
		var st unix.Stat_t
		if err := unix.Lstat(l.Path, &st); err != nil {
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
		err = unix.Listen(fd, rules.Backlog)
	}
	if err != nil {
		l.Release()
		return nil, fmt.Errorf("socket %s: %w", text, err)
	}
	return l, nil
}

// own gives the socket file its owner and mode: what the file says with the
// rights of the vassal, what the emperor wants for its router with its own.
func (l *Listener) own(rules spec.SocketRules) error {
	if !l.AtPath() {
		return nil
	}
	if rules.UID >= 0 || rules.GID >= 0 || rules.HasMode {
		return rules.OnBehalf(func() error {
			if rules.UID >= 0 || rules.GID >= 0 {
				if err := os.Lchown(l.Path, rules.UID, rules.GID); err != nil {
					return err
				}
			}
			if rules.HasMode {
				return os.Chmod(l.Path, rules.Mode)
			}
			return nil
		})
	}
	if rules.Group <= 0 {
		return nil
	}
	// A path can be changed by the vassal's user at any time; a descriptor is the
	// file it was opened on.
	file, err := unix.Open(l.Path, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(file)
	var st unix.Stat_t
	if err := unix.Fstat(file, &st); err != nil || st.Dev != l.dev || st.Ino != l.ino {
		return err
	}
	switch err := unix.Fchownat(file, "", -1, rules.Group, unix.AT_EMPTY_PATH); err {
	case nil:
	case unix.EPERM:
		return nil // root without capabilities, as in some containers: the router is of our own user there
	default:
		return err
	}
	return os.Chmod(fmt.Sprintf("/proc/self/fd/%d", file), 0o660)
}

// MakeRoom makes a path ready for a program that binds its socket there itself.
func MakeRoom(path string) error { return errors.Join(makeParent(path), clearPath(path)) }

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
		return fmt.Errorf("%s exists and is %s, not a socket; it was not touched", path, rights.KindOf(info.Mode()))
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
