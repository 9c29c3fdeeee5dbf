package listening

import (
	"bufio"
	"encoding/binary"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// ConnectedUnix counts the connections to the unix socket of that name ("@name" for an
// abstract one) that were accepted. One that the client has closed does not count,
// although the program may keep its end. The name is the one it was bound to, wherever its file is by now.
func ConnectedUnix(name string) int {
	if name == "" {
		return 0
	}
	wanted := name
	if name[0] == '@' {
		wanted = "\x00" + name[1:]
	}
	count := 0
	err := eachUnix(func(own string, shutdown byte) {
		// A path of the file system ends with a NUL, an abstract name does not.
		if (own == wanted || own == wanted+"\x00") && shutdown != unix.SHUT_RDWR+1 {
			count++
		}
	})
	if err == nil {
		return count
	}
	// Num RefCount Protocol Flags Type St Inode Path; connected ends on the listener's
	// side have its name, and state 03. It does not say which have been closed.
	count = 0
	scan("/proc/net/unix", func(line string) {
		before, rest, ok := strings.Cut(line, " "+name)
		if !ok || rest != "" {
			return
		}
		if fields := strings.Fields(before); len(fields) == 7 && fields[5] == "03" {
			count++
		}
	})
	return count
}

// What the kernel's sock_diag is asked, and answers (linux/unix_diag.h).
const (
	diagByFamily  = 20
	diagShowName  = 1
	diagName      = 0
	diagShutdown  = 6
	established   = 1
	diagMessage   = 16 // size of its fixed part
	netlinkHeader = 16
)

// eachUnix goes through all connected ends of unix sockets that have a name.
func eachUnix(each func(name string, shutdown byte)) error {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, unix.NETLINK_SOCK_DIAG)
	if err != nil {
		return os.NewSyscallError("socket", err)
	}
	defer unix.Close(fd)
	order := binary.NativeEndian
	question := make([]byte, netlinkHeader+24)
	order.PutUint32(question, uint32(len(question)))
	order.PutUint16(question[4:], diagByFamily)
	order.PutUint16(question[6:], unix.NLM_F_REQUEST|unix.NLM_F_DUMP)
	question[netlinkHeader] = unix.AF_UNIX
	order.PutUint32(question[netlinkHeader+4:], 1<<established)
	order.PutUint32(question[netlinkHeader+12:], diagShowName)
	if err := unix.Sendto(fd, question, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return os.NewSyscallError("sendto", err)
	}
	buffer := make([]byte, 64<<10)
	for {
		n, _, err := unix.Recvfrom(fd, buffer, 0)
		if err != nil {
			return os.NewSyscallError("recvfrom", err)
		}
		for rest := buffer[:n]; len(rest) >= netlinkHeader; {
			length := int(order.Uint32(rest))
			if length < netlinkHeader || length > len(rest) {
				return os.ErrInvalid
			}
			switch order.Uint16(rest[4:]) {
			case unix.NLMSG_DONE:
				return nil
			case unix.NLMSG_ERROR:
				return os.ErrPermission
			}
			if length > netlinkHeader+diagMessage {
				name, shutdown := attributes(rest[netlinkHeader+diagMessage:length], order)
				if name != "" {
					each(name, shutdown)
				}
			}
			rest = rest[min((length+3)&^3, len(rest)):]
		}
	}
}

// attributes finds name and shutdown among what is told of one socket.
func attributes(rest []byte, order binary.ByteOrder) (name string, shutdown byte) {
	for len(rest) >= 4 {
		length := int(order.Uint16(rest))
		if length < 4 || length > len(rest) {
			return name, shutdown
		}
		switch value := rest[4:length]; order.Uint16(rest[2:]) {
		case diagName:
			name = string(value)
		case diagShutdown:
			if len(value) > 0 {
				shutdown = value[0]
			}
		}
		rest = rest[min((length+3)&^3, len(rest)):]
	}
	return name, shutdown
}

// ConnectedTCP counts the connections that clients have to a port of this machine.
func ConnectedTCP(port int) int {
	count := 0
	for _, file := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		scan(file, func(line string) {
			fields := strings.Fields(line)
			if len(fields) < 10 || fields[3] != "01" {
				return
			}
			if address, ok := parseProcAddress(fields[1]); ok && int(address.Port()) == port {
				count++
			}
		})
	}
	return count
}

// scan reads a file of /proc/net line by line. Without it nothing is known.
func scan(file string, each func(line string)) {
	f, err := os.Open(file)
	if err != nil {
		return
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		each(lines.Text())
	}
}
