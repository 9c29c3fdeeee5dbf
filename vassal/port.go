package vassal

import (
	"bufio"
	"encoding/hex"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
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

func forgetPort(port int) {
	ports.Lock()
	delete(ports.promised, port)
	ports.Unlock()
}

// listening is one TCP socket that listens.
type listening struct {
	address netip.AddrPort
	inode   uint64
}

// listeningOn gives the sockets that listen on a port, from /proc/net/tcp and tcp6.
func listeningOn(port int) ([]listening, error) {
	var out []listening
	for _, file := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		f, err := os.Open(file)
		if err != nil {
			if os.IsNotExist(err) {
				continue // no IPv6
			}
			return nil, err
		}
		lines := bufio.NewScanner(f)
		for lines.Scan() {
			// sl local_address rem_address st tx:rx tr:when retrnsmt uid timeout inode
			fields := strings.Fields(lines.Text())
			if len(fields) < 10 || fields[3] != "0A" {
				continue
			}
			address, ok := parseProcAddress(fields[1])
			if !ok || int(address.Port()) != port {
				continue
			}
			inode, _ := strconv.ParseUint(fields[9], 10, 64)
			out = append(out, listening{address, inode})
		}
		f.Close()
	}
	return out, nil
}

// parseProcAddress reads "0100007F:1F90": 32-bit words in the machine's byte
// order, which is little endian on everything this runs on.
func parseProcAddress(text string) (netip.AddrPort, bool) {
	host, port, ok := strings.Cut(text, ":")
	number, err := strconv.ParseUint(port, 16, 16)
	raw, hexErr := hex.DecodeString(host)
	if !ok || err != nil || hexErr != nil || len(raw)%4 != 0 {
		return netip.AddrPort{}, false
	}
	for i := 0; i < len(raw); i += 4 {
		slices.Reverse(raw[i : i+4])
	}
	ip, ok := netip.AddrFromSlice(raw)
	return netip.AddrPortFrom(ip.Unmap(), uint16(number)), ok
}

// portOwner says where a port is listened on by one of our processes (contains)
// and whether it is by somebody else. Both false: nobody listens yet.
func portOwner(port int, contains func(pid int) bool) (at string, ours, others bool, err error) {
	sockets, err := listeningOn(port)
	if err != nil || len(sockets) == 0 {
		return "", false, false, err
	}
	owners := ownersOf(sockets)
	for _, s := range sockets {
		if !slices.ContainsFunc(owners[s.inode], contains) {
			others = true
			continue
		}
		ip := s.address.Addr()
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

// ownersOf finds the processes that have those sockets open.
func ownersOf(sockets []listening) map[uint64][]int {
	owners := map[uint64][]int{}
	wanted := map[string]uint64{}
	for _, s := range sockets {
		wanted[fmt.Sprintf("socket:[%d]", s.inode)] = s.inode
	}
	processes, _ := os.ReadDir("/proc")
	for _, p := range processes {
		pid, err := strconv.Atoi(p.Name())
		if err != nil {
			continue
		}
		dir := "/proc/" + p.Name() + "/fd"
		files, _ := os.ReadDir(dir) // gone, or another user's
		for _, f := range files {
			target, _ := os.Readlink(dir + "/" + f.Name())
			if inode, ok := wanted[target]; ok {
				owners[inode] = append(owners[inode], pid)
			}
		}
	}
	return owners
}
