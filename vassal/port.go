package vassal

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"sync"

	"golang.org/x/sys/unix"

	"emperor/internal/listening"
)

// ports remembers which free ports were promised to a program that has not bound
// them yet, so that two vassals that start at the same time are not promised the
// same. It is the only state all vassals of the process share without asking.
var ports = struct {
	sync.Mutex
	promised map[int]bool
}{promised: map[int]bool{}}

// freePort finds a TCP port nobody uses on any address. The kernel chooses it;
// forgetPort must be called when it has been bound or is no longer wanted.
// Somebody else can still take it first: whoever relies on it asks portOwner.
func freePort() (int, error) {
	for range 100 {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return 0, fmt.Errorf("finding a free port: %w", err)
		}
		err = unix.Bind(fd, &unix.SockaddrInet4{}) // 0.0.0.0:0
		var name unix.Sockaddr
		if err == nil {
			name, err = unix.Getsockname(fd)
		}
		unix.Close(fd)
		if err != nil {
			return 0, fmt.Errorf("finding a free port: %w", err)
		}
		port := name.(*unix.SockaddrInet4).Port
		ports.Lock()
		taken := ports.promised[port]
		ports.promised[port] = true
		ports.Unlock()
		if !taken {
			return port, nil
		}
	}
	return 0, fmt.Errorf("finding a free port: all that the kernel offers are promised to other vassals")
}

// promisePort notes a port that was promised by an earlier binary of the emperor.
func promisePort(port int) {
	ports.Lock()
	ports.promised[port] = true
	ports.Unlock()
}

func forgetPort(port int) {
	ports.Lock()
	delete(ports.promised, port)
	ports.Unlock()
}

// portOwner says where a port is listened on by one of our processes (contains)
// and whether it is by somebody else. Both false: nobody listens yet.
func portOwner(port int, contains func(pid int) bool) (at string, ours, others bool, err error) {
	sockets, err := listening.OnPort(port)
	if err != nil || len(sockets) == 0 {
		return "", false, false, err
	}
	owners := listening.Owners(sockets)
	for _, s := range sockets {
		if !slices.ContainsFunc(owners[s.Inode], contains) {
			others = true
			continue
		}
		ip := s.Address.Addr()
		switch {
		case ip.IsUnspecified() && ip.Is6() && !answersOnV4(port):
			ip = netip.IPv6Loopback()
		case ip.IsUnspecified():
			ip = netip.AddrFrom4([4]byte{127, 0, 0, 1})
		}
		if !ours || ip.Is4() {
			at = net.JoinHostPort(ip.String(), strconv.Itoa(port))
		}
		ours = true
	}
	return at, ours, others, nil
}

// answersOnV4 says whether a socket on [::] takes IPv4 too.
func answersOnV4(port int) bool {
	c, err := net.Dial("tcp4", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
	if err != nil {
		return false
	}
	c.Close()
	return true
}
