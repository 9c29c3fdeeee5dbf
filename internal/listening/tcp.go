package listening

import (
	"bufio"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Socket is a TCP socket that listens, or one that takes UDP datagrams.
type Socket struct {
	Address netip.AddrPort
	Inode   uint64
}

// OnPort gives the sockets that listen on a port.
func OnPort(port int) ([]Socket, error) { return inState(stateListens, port) }

// inState gives the TCP sockets with that local port that are in a state.
func inState(state, port int) ([]Socket, error) {
	var out []Socket
	for _, family := range []byte{unix.AF_INET, unix.AF_INET6} {
		err := dump(tcpQuestion(family, 1<<state, uint16(port)), tcpFixed, func(answer []byte) {
			host := answer[tcpHost : tcpHost+16]
			if answer[0] == unix.AF_INET {
				host = host[:4]
			}
			ip, _ := netip.AddrFromSlice(host)
			at := netip.AddrPortFrom(ip.Unmap(), binary.BigEndian.Uint16(answer[tcpPort:]))
			if int(answer[tcpState]) == state && int(at.Port()) == port { // an old kernel does not choose
				out = append(out, Socket{at, uint64(binary.NativeEndian.Uint32(answer[tcpInode:]))})
			}
		})
		if err != nil { // an old or a small kernel
			return listed(state, port, "/proc/net/tcp", "/proc/net/tcp6")
		}
	}
	return out, nil
}

// listed reads the kernel's lists of sockets.
func listed(state, port int, files ...string) ([]Socket, error) {
	var out []Socket
	wanted := fmt.Sprintf("%02X", state)
	for _, file := range files {
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
			if len(fields) < 10 || fields[3] != wanted {
				continue
			}
			address, ok := parseProcAddress(fields[1])
			if !ok || int(address.Port()) != port {
				continue
			}
			inode, _ := strconv.ParseUint(fields[9], 10, 64)
			out = append(out, Socket{address, inode})
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

// Owners finds the processes that have those sockets open, by inode. Those of
// other users can only be seen by root.
func Owners(sockets []Socket) map[uint64][]int {
	owners := map[uint64][]int{}
	wanted := map[string]uint64{}
	for _, s := range sockets {
		wanted[fmt.Sprintf("socket:[%d]", s.Inode)] = s.Inode
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

// Overlap tells whether two sockets cannot listen at these addresses at the same
// time: the ports are the same, and so are the hosts, or one means all of them.
// (One on [::] takes IPv4, too.)
func Overlap(a, b netip.AddrPort) bool {
	if a.Port() != b.Port() {
		return false
	}
	x, y := a.Addr().Unmap(), b.Addr().Unmap()
	covers := func(all, one netip.Addr) bool {
		return all.IsUnspecified() && (all.Is6() || one.Is4() || one.IsUnspecified())
	}
	return x == y || covers(x, y) || covers(y, x)
}

// TryTCP says why nobody could listen at an address now: unix.EADDRINUSE,
// unix.EACCES (a low port, with the rights of the calling thread),
// unix.EADDRNOTAVAIL (no address of this machine). A socket is bound for it and
// closed again; it never listens, and is in nobody's way.
func TryTCP(at netip.AddrPort) error { return try(unix.SOCK_STREAM, at) }

// TryUDP is TryTCP for datagrams.
func TryUDP(at netip.AddrPort) error { return try(unix.SOCK_DGRAM, at) }

func try(kind int, at netip.AddrPort) error {
	family := unix.AF_INET6
	var to unix.Sockaddr = &unix.SockaddrInet6{Port: int(at.Port()), Addr: at.Addr().As16()}
	if at.Addr().Is4() {
		family, to = unix.AF_INET, &unix.SockaddrInet4{Port: int(at.Port()), Addr: at.Addr().As4()}
	}
	fd, err := unix.Socket(family, kind|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if kind == unix.SOCK_DGRAM {
		return unix.Bind(fd, to) // for datagrams SO_REUSEADDR would share an address that is taken
	}
	// Without it a connection that ended a moment ago, or another try, would count.
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1); err != nil {
		return err
	}
	return unix.Bind(fd, to)
}
