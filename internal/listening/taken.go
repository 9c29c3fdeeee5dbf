package listening

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"

	"golang.org/x/sys/unix"
)

// Taken tells of a connection to a program of this machine whether the program has
// accepted it. (The kernel completes connections to a socket that listens, whether or not
// anybody will ever call accept.) The other end of one that was accepted is some
// process's descriptor, and so has an inode; of one that waits in the queue it has none.
// One that the program has closed again is not known to have been taken.
func Taken(c net.Conn) (bool, error) {
	if local, ok := c.LocalAddr().(*net.TCPAddr); ok {
		here, there := unmapped(local), unmapped(c.RemoteAddr().(*net.TCPAddr))
		if taken, err := takenTCP(there, here); err == nil {
			return taken, nil
		}
		return listedAsTaken(there, here), nil
	}
	own, ok := c.(*net.UnixConn)
	if !ok {
		return false, fmt.Errorf("%T is no connection within this machine", c)
	}
	if inode, err := peerOf(own); err == nil {
		return inode != 0, nil
	}
	// Without sock_diag (an old or a small kernel): if nobody waits there, it does not.
	return !waitsAt(c.RemoteAddr().String()), nil
}

// waitsAt tells whether a connection waits in the queue of the unix socket of that name:
// it has the socket's name, no inode and state 02.
func waitsAt(name string) (waits bool) {
	scan("/proc/net/unix", func(line string) {
		before, rest, ok := strings.Cut(line, " "+name) // see ConnectedUnix
		if fields := strings.Fields(before); ok && rest == "" && len(fields) == 7 && fields[5] == "02" && fields[6] == "0" {
			waits = true
		}
	})
	return waits
}

func unmapped(a *net.TCPAddr) netip.AddrPort {
	at := a.AddrPort()
	return netip.AddrPortFrom(at.Addr().Unmap(), at.Port())
}

// listedAsTaken is takenTCP without sock_diag. It takes its time where the list is long:
// that also has what ended a minute ago.
func listedAsTaken(local, remote netip.AddrPort) (taken bool) {
	for _, file := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		scan(file, func(line string) {
			fields := strings.Fields(line) // see listed
			if len(fields) < 10 || fields[9] == "0" {
				return
			}
			if from, ok := parseProcAddress(fields[1]); ok && from == local {
				to, ok := parseProcAddress(fields[2])
				taken = taken || ok && to == remote
			}
		})
	}
	return taken
}

// takenTCP asks the kernel whether the local end of a connection is somebody's
// descriptor (linux/inet_diag.h).
func takenTCP(local, remote netip.AddrPort) (bool, error) {
	family := byte(unix.AF_INET6)
	if local.Addr().Is4() {
		family = unix.AF_INET
	}
	order, body := binary.NativeEndian, tcpQuestion(family, ^uint32(0), local.Port()) // whatever its state
	binary.BigEndian.PutUint16(body[10:], remote.Port())
	copy(body[12:28], local.Addr().AsSlice())
	copy(body[28:44], remote.Addr().AsSlice())
	order.PutUint64(body[48:], ^uint64(0)) // and its cookie
	answer, err := diagnose(body, tcpFixed)
	if err != nil {
		return false, err
	}
	// Of one that is not there yet it tells who listens.
	return answer[tcpState] != stateListens && order.Uint32(answer[tcpInode:]) != 0, nil
}

// peerOf is the inode of the other end of a connection; 0: it has none.
func peerOf(c *net.UnixConn) (inode uint32, err error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return 0, err
	}
	var st unix.Stat_t
	if controlErr := raw.Control(func(fd uintptr) { err = unix.Fstat(int(fd), &st) }); controlErr != nil || err != nil {
		return 0, errors.Join(controlErr, err)
	}
	order, body := binary.NativeEndian, make([]byte, 24)
	body[0] = unix.AF_UNIX
	order.PutUint32(body[4:], ^uint32(0)) // whatever its state
	order.PutUint32(body[8:], uint32(st.Ino))
	order.PutUint32(body[12:], unixShowPeer)
	order.PutUint64(body[16:], ^uint64(0)) // and its cookie
	answer, err := diagnose(body, unixFixed)
	if err != nil {
		return 0, err
	}
	for rest := answer[unixFixed:]; len(rest) >= 4; {
		length := int(order.Uint16(rest))
		if length < 4 || length > len(rest) {
			break
		}
		if order.Uint16(rest[2:]) == unixPeer && length >= 8 {
			return order.Uint32(rest[4:]), nil
		}
		rest = rest[min((length+3)&^3, len(rest)):]
	}
	return 0, errors.New("sock_diag does not say what the connection leads to")
}
