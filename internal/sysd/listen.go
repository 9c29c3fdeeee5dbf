package sysd

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"

	"github.com/coreos/go-systemd/v22/activation"
	"golang.org/x/sys/unix"
)

// Inherited is one descriptor that the service manager handed over. It is
// close-on-exec, and its O_NONBLOCK is as it came. Who takes it closes it;
// closing a unix listener does not remove its file, which is the manager's.
type Inherited struct {
	Name    string // FileDescriptorName=, or LISTEN_FD_<n> if it has none
	FD      int    // raw; not the number it came under
	Kind    Kind
	Network string // "tcp", "udp", "unix", "unixgram", "unixpacket"; empty if neither IP nor unix
	Address string // "0.0.0.0:80", "[::]:80", "/run/x.sock", "@name"; empty if it has none
}

// Kind is what a descriptor that was handed over can be used for.
type Kind int

// The kinds.
const (
	Other    Kind = iota // no socket: a FIFO, a device, a file
	Listener             // a stream or packet socket that listens (ListenStream=)
	Datagram             // a datagram socket (ListenDatagram=)
	Stream               // a stream that does not listen: a connection (Accept=yes), or a mistake
)

// String is for messages.
func (k Kind) String() string {
	switch k {
	case Listener:
		return "listening socket"
	case Datagram:
		return "datagram socket"
	case Stream:
		return "socket that does not listen"
	}
	return "not a socket"
}

// Listeners gives what the service manager handed over, by name, in the order of
// the unit; nothing without one, or when it was meant for another process
// (LISTEN_PID). It works once, at the start of the program, before other
// descriptors are opened, and removes the LISTEN_ variables from our environment.
// Sockets of every kind are reported, also those we have no use for: left out,
// they would stay open unseen, and their clients would hang.
func Listeners() (map[string][]*Inherited, error) {
	if err := checkListenEnvironment(); err != nil {
		activation.Files(true) // for its clearing of the environment
		return nil, err
	}
	byName := map[string][]*Inherited{}
	var errs []error
	// Files, not Listeners of the same package: that one drops what it does not
	// understand without an error.
	for _, f := range activation.Files(true) {
		in, err := take(f)
		if err != nil {
			errs = append(errs, fmt.Errorf("socket %s handed over by the service manager: %w", f.Name(), err))
			continue
		}
		byName[in.Name] = append(byName[in.Name], in)
	}
	return byName, errors.Join(errs...)
}

// checkListenEnvironment finds what the package activation takes for "nothing
// was handed over".
func checkListenEnvironment() error {
	count := os.Getenv("LISTEN_FDS")
	if count == "" || os.Getenv("LISTEN_PID") != strconv.Itoa(os.Getpid()) {
		return nil
	}
	n, err := strconv.Atoi(count)
	if err != nil || n < 0 {
		return fmt.Errorf("LISTEN_FDS: want a number of sockets, got %q", count)
	}
	for fd := 3; fd < 3+n; fd++ {
		if _, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err != nil {
			return fmt.Errorf("LISTEN_FDS is %d, but descriptor %d is not open", n, fd)
		}
	}
	return nil
}

// take turns a file into a raw descriptor without touching the socket's flags:
// os.File.Fd would make it blocking for everybody who holds it.
func take(f *os.File) (*Inherited, error) {
	defer f.Close()
	connection, err := f.SyscallConn()
	if err != nil {
		return nil, err
	}
	in := &Inherited{Name: f.Name()}
	var dupErr error
	err = connection.Control(func(fd uintptr) { in.FD, dupErr = unix.FcntlInt(fd, unix.F_DUPFD_CLOEXEC, 3) })
	if err = errors.Join(err, dupErr); err != nil {
		return nil, err
	}
	in.classify()
	return in, nil
}

// classify asks the kernel what the descriptor is.
func (in *Inherited) classify() {
	kind, err := unix.GetsockoptInt(in.FD, unix.SOL_SOCKET, unix.SO_TYPE)
	if err != nil {
		in.Kind = Other // ENOTSOCK
		return
	}
	listens, _ := unix.GetsockoptInt(in.FD, unix.SOL_SOCKET, unix.SO_ACCEPTCONN)
	switch {
	case kind == unix.SOCK_DGRAM || kind == unix.SOCK_RAW:
		in.Kind = Datagram
	case listens != 0:
		in.Kind = Listener
	default:
		in.Kind = Stream
	}
	name, err := unix.Getsockname(in.FD)
	if err != nil {
		return
	}
	ip := map[int]string{unix.SOCK_STREAM: "tcp", unix.SOCK_DGRAM: "udp"}
	switch a := name.(type) {
	case *unix.SockaddrInet4:
		in.Network, in.Address = ip[kind], joinPort(a.Addr[:], "", a.Port)
	case *unix.SockaddrInet6:
		zone := ""
		if a.ZoneId != 0 {
			zone = strconv.Itoa(int(a.ZoneId))
			if i, err := net.InterfaceByIndex(int(a.ZoneId)); err == nil {
				zone = i.Name
			}
		}
		in.Network, in.Address = ip[kind], joinPort(a.Addr[:], zone, a.Port)
	case *unix.SockaddrUnix:
		in.Network = map[int]string{unix.SOCK_STREAM: "unix", unix.SOCK_DGRAM: "unixgram", unix.SOCK_SEQPACKET: "unixpacket"}[kind]
		if a.Name != "@" { // how the package unix spells "no name"
			in.Address = a.Name
		}
	}
}

func joinPort(ip net.IP, zone string, port int) string {
	host := (&net.IPAddr{IP: ip, Zone: zone}).String()
	if len(ip) == net.IPv6len && ip.To4() != nil {
		host = "::ffff:" + ip.To4().String() // keep the family visible
	}
	return net.JoinHostPort(host, strconv.Itoa(port))
}
