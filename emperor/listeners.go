package emperor

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"emperor/internal/link"
	"emperor/internal/proc"
	"emperor/internal/sysd"
	"emperor/internal/transport"
)

// bound is one listening socket of the front. The emperor holds it for as long
// as a line of the main file asks for it, whatever becomes of routers.
type bound struct {
	link.Listener
	fd   int    // ours; routers get duplicates
	path string // unix socket file that we made and will remove
	// inherited sockets came from the service manager or a parent: they are never
	// closed, because nobody could open them again.
	inherited bool
}

// endpoint is a listener's address, parsed.
type endpoint struct {
	network string // "tcp", "unix", "fd" or "zerg"; of datagrams "udp" or "unixgram"
	text    string // host:port, path, or what follows fd://
	host    string // tcp; empty for all addresses
	port    string
}

// parseListener checks an address that the front shall listen on.
func parseListener(l link.Listener) (endpoint, error) {
	if l.Zerg {
		return parseZerg(l.Address)
	}
	if !l.Datagrams {
		if err := transport.Check(l.Address); err != nil {
			return endpoint{}, err
		}
	}
	e, err := parseStream(l.Address)
	if err != nil || !l.Datagrams {
		return e, err
	}
	switch e.network {
	case "tcp":
		e.network = "udp"
	case "unix":
		e.network = "unixgram"
	default:
		return e, errors.New("want an address such as 127.0.0.1:7000 or a unix path: sockets for datagrams are not handed over")
	}
	return e, nil
}

func parseStream(text string) (endpoint, error) {
	const want = "want :8080 (all addresses), 127.0.0.1:8080, [::1]:8080, a unix path or fd://NAME"
	switch {
	case text == "":
		return endpoint{}, errors.New(want)
	case strings.HasPrefix(text, "fd://"):
		if text == "fd://" {
			return endpoint{}, errors.New(want)
		}
		return endpoint{network: "fd", text: text[len("fd://"):]}, nil
	case strings.HasPrefix(text, "/"), strings.HasPrefix(text, "@"), strings.HasPrefix(text, "./"):
		return endpoint{network: "unix", text: text}, checkPath(text)
	}
	if _, err := strconv.ParseUint(text, 10, 64); err == nil {
		return endpoint{}, fmt.Errorf("%s is a bare number: want :%s for all addresses or 127.0.0.1:%s for this machine only", text, text, text)
	}
	host, port, err := net.SplitHostPort(text)
	if err != nil {
		return endpoint{}, fmt.Errorf("%q: %s", text, want)
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return endpoint{}, fmt.Errorf("%q: want a port from 1 to 65535, got %q", text, port)
	}
	return endpoint{network: "tcp", text: text, host: host, port: port}, nil
}

// checkPath: sockaddr_un has room for 107 bytes and a NUL.
func checkPath(path string) error {
	const most = 107
	if len(path) > most {
		return fmt.Errorf("the path has %d bytes, a socket's can have %d", len(path), most)
	}
	return nil
}

// wildcard tells whether the host means all addresses of its family.
func (e endpoint) wildcard() bool {
	ip, err := netip.ParseAddr(e.host)
	return e.host == "" || err == nil && ip.IsUnspecified()
}

func (e endpoint) isIPv4() bool {
	ip, err := netip.ParseAddr(e.host)
	return err == nil && ip.Is4()
}

// openListeners gives a socket for every listener that is wanted: one that is
// held already, one that the service manager handed over, or a new one. On an
// error nothing has changed. fresh are those that were not held before.
func openListeners(wanted []link.Listener, held []*bound, inherited []*sysd.Inherited, mode fs.FileMode) (next, fresh []*bound, err error) {
	defer func() {
		if err != nil {
			closeListeners(fresh)
			next, fresh = nil, nil
		}
	}()
	endpoints := make([]endpoint, len(wanted))
	for i, l := range wanted {
		if endpoints[i], err = parseListener(l); err != nil {
			return next, fresh, listenerError(l, err)
		}
	}
	for i, l := range wanted {
		if slices.ContainsFunc(wanted[:i], func(other link.Listener) bool { return other.Address == l.Address && other.Datagrams == l.Datagrams }) {
			return next, fresh, listenerError(l, errors.New("the address is named twice"))
		}
		found := false
		for _, b := range held {
			if b.Option == l.Option && b.Address == l.Address && (b.path == "" || isSocket(b.path)) {
				same := *b
				same.Listener = l // its line may have moved
				next, found = append(next, &same), true
			}
		}
		if found {
			continue
		}
		opened, err := openListener(l, endpoints[i], endpoints, inherited, mode)
		if err != nil {
			return next, fresh, listenerError(l, err)
		}
		next, fresh = append(next, opened...), append(fresh, opened...)
	}
	return next, fresh, nil
}

func listenerError(l link.Listener, err error) error {
	where := "command line"
	if l.File != "" {
		where = fmt.Sprintf("%s:%d", l.File, l.Line)
	}
	return fmt.Errorf("%s: %s = %s: %w", where, l.Option, l.Address, err)
}

func openListener(l link.Listener, e endpoint, all []endpoint, inherited []*sysd.Inherited, mode fs.FileMode) ([]*bound, error) {
	var out []*bound
	for _, in := range inherited {
		if in.Kind == sysd.Listener && e.matches(in) {
			out = append(out, &bound{Listener: l, fd: in.FD, inherited: true})
		}
	}
	if len(out) > 0 {
		return out, nil
	}
	if e.network == "fd" {
		fd, err := strconv.Atoi(e.text)
		if err != nil {
			return nil, fmt.Errorf("no socket of that name was handed over by a service manager")
		}
		if on, err := syscall.GetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_ACCEPTCONN); err != nil || on == 0 {
			return nil, fmt.Errorf("descriptor %d is not a listening socket that we inherited", fd)
		}
		syscall.CloseOnExec(fd)
		return []*bound{{Listener: l, fd: fd, inherited: true}}, nil
	}
	if e.network == "zerg" {
		descriptors, err := fetchZerg(e.text)
		for _, fd := range descriptors {
			out = append(out, &bound{Listener: l, fd: fd})
		}
		return out, err
	}
	b, err := bind(l, e, all, mode)
	if err != nil {
		return nil, err
	}
	return []*bound{b}, nil
}

// matches tells whether a socket that the service manager opened is the one the
// line means: by name, by path, or by address.
func (e endpoint) matches(in *sysd.Inherited) bool {
	switch e.network {
	case "fd":
		return in.Name == e.text || strconv.Itoa(in.FD) == e.text
	case "unix":
		return in.Network == "unix" && in.Address == e.text
	}
	if e.network != "tcp" || in.Network != "tcp" {
		return false
	}
	host, port, err := net.SplitHostPort(in.Address)
	if err != nil || port != e.port {
		return false
	}
	theirs := endpoint{host: host}
	if e.host == "" {
		return theirs.wildcard()
	}
	a, errA := netip.ParseAddr(e.host)
	b, errB := netip.ParseAddr(host)
	return errA == nil && errB == nil && a == b
}

// bind opens a new socket. No Accept is ever called here: the descriptor is kept
// raw, so that the runtime's poller does not wake the emperor at each connection.
func bind(l link.Listener, e endpoint, all []endpoint, mode fs.FileMode) (*bound, error) {
	b := &bound{Listener: l}
	network := e.network
	switch {
	case network == "unix", network == "unixgram":
		if err := clearPath(network, e.text); err != nil {
			return nil, err
		}
		if !strings.HasPrefix(e.text, "@") {
			b.path = e.text
		}
	case e.isIPv4():
		network += "4"
	case e.host == "::" && slices.ContainsFunc(all, func(o endpoint) bool { return o.network == e.network && o.port == e.port && o.isIPv4() }):
		// A line of its own asks for IPv4 at this port, so this one must not take it.
		network += "6"
	}
	var err error
	if b.fd, err = listen(network, e.text); err != nil {
		return nil, explainListen(err, e)
	}
	if b.path != "" {
		if err := os.Chmod(b.path, mode); err != nil {
			_ = syscall.Close(b.fd)
			return nil, err
		}
	}
	return b, nil
}

// listen returns the descriptor of a socket that listens, or takes datagrams.
func listen(network, address string) (fd int, err error) {
	var socket io.Closer
	var config net.ListenConfig
	// Go would make it a multipath one: each connection then costs the kernel more, and
	// options of TCP are refused.
	config.SetMultipathTCP(false)
	if strings.HasPrefix(network, "udp") || network == "unixgram" {
		if network == "unixgram" {
			// Before it has its name: of what is sent earlier the kernel would not say who.
			config.Control = passCredentials
		}
		socket, err = config.ListenPacket(context.Background(), network, address)
	} else {
		socket, err = config.Listen(context.Background(), network, address)
	}
	if err != nil {
		return -1, err
	}
	defer func() { _ = socket.Close() }()
	if u, ok := socket.(*net.UnixListener); ok {
		u.SetUnlinkOnClose(false)
	}
	return proc.Duplicate(socket.(syscall.Conn))
}

// passCredentials makes the kernel tell who sends.
func passCredentials(_, _ string, socket syscall.RawConn) error {
	var err error
	if controlErr := socket.Control(func(fd uintptr) { err = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_PASSCRED, 1) }); controlErr != nil {
		return controlErr
	}
	return os.NewSyscallError("setsockopt", err)
}

var errInUse = errors.New("the address is in use: another server listens there (see: ss -ltnp)")

// openFirst is openListeners for an emperor that starts. Where one was killed a moment ago
// its router may not have gone yet: it is dying, which shows in nothing but the address
// that it still has.
func openFirst(ctx context.Context, wanted []link.Listener, inherited []*sysd.Inherited, mode fs.FileMode) (all []*bound, err error) {
	end := time.Now().Add(dyingTime)
	for {
		all, _, err = openListeners(wanted, nil, inherited, mode)
		if !errors.Is(err, errInUse) || time.Now().After(end) {
			return all, err
		}
		select {
		case <-ctx.Done():
			return nil, err
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// dyingTime is how long a process may take to be gone that was killed, on a busy machine.
const dyingTime = 2 * time.Second

// explainListen says what to do about the two errors that everybody meets.
func explainListen(err error, e endpoint) error {
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return errInUse
	case errors.Is(err, syscall.EACCES):
		if n, _ := strconv.Atoi(e.port); n > 0 && n < 1024 {
			return errors.New("permission denied: ports below 1024 need root, CAP_NET_BIND_SERVICE or a systemd socket")
		}
	}
	return socketError(err)
}

// socketError leaves out what the line that is complained about says anyway.
func socketError(err error) error {
	var op *net.OpError
	if errors.As(err, &op) {
		return op.Err
	}
	return err
}

// clearPath removes a socket that nobody answers; anything else stays and is an
// error.
func clearPath(network, path string) error {
	info, err := os.Lstat(path)
	if err != nil {
		return nil // net.Listen says what is wrong, if anything is
	}
	if info.Mode().Type() != fs.ModeSocket {
		return errors.New("there is a file of that name which is not a socket; it was not touched")
	}
	conn, err := net.Dial(network, path)
	if err == nil {
		_ = conn.Close()
		return errors.New("another server answers on that socket")
	}
	if !errors.Is(err, syscall.ECONNREFUSED) {
		return err
	}
	return os.Remove(path)
}

func isSocket(path string) bool {
	info, err := os.Lstat(path)
	return err == nil && info.Mode().Type() == fs.ModeSocket
}

// replaceListeners gives up those of held that next no longer has, and says so and which
// are fresh.
func replaceListeners(log *slog.Logger, held, next, fresh []*bound) {
	gone := removedListeners(held, next)
	for _, l := range gone {
		log.Info("not listening any more", "option", l.Option, "address", l.Address)
	}
	closeListeners(gone)
	for _, l := range fresh {
		log.Info("listening", "option", l.Option, "address", l.Address)
	}
}

// removedListeners are those of held that next no longer has.
func removedListeners(held, next []*bound) []*bound {
	return slices.DeleteFunc(slices.Clone(held), func(b *bound) bool {
		return slices.ContainsFunc(next, func(n *bound) bool { return n.fd == b.fd })
	})
}

func closeListeners(list []*bound) {
	for _, b := range list {
		if b.inherited {
			continue
		}
		if b.path != "" {
			_ = os.Remove(b.path)
		}
		_ = syscall.Close(b.fd)
	}
}

// frontModeOf is the mode of the front's unix sockets.
func frontModeOf(m *Main) fs.FileMode {
	if mode, ok := m.Config.Mode("chmod-socket"); ok {
		return mode.Perm()
	}
	return frontMode
}
