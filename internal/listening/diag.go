package listening

import (
	"encoding/binary"
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// The kernel's sock_diag answers what /proc/net says, too, and more, and at once: to
// print /proc/net/tcp it walks through every connection that ended a minute ago, which
// takes a busy machine a third of a second each time.

// What is asked and answered (linux/inet_diag.h, linux/unix_diag.h).
const (
	diagByFamily  = 20
	netlinkHeader = 16

	stateEstablished = 1
	stateListens     = 10

	tcpFixed = 72 // size of an answer's fixed part; where in it what is:
	tcpState = 1
	tcpPort  = 4
	tcpHost  = 8
	tcpInode = 68

	unixFixed    = 16
	unixShowName = 1
	unixShowFile = 2
	unixShowPeer = 4
	unixName     = 0
	unixFile     = 1
	unixPeer     = 2
	unixShutdown = 6
)

// tcpQuestion asks for the sockets of a family that are in one of the states and have
// that local port.
func tcpQuestion(family byte, states uint32, port uint16) []byte {
	question := make([]byte, 56)
	question[0], question[1] = family, unix.IPPROTO_TCP
	binary.NativeEndian.PutUint32(question[4:], states)
	binary.BigEndian.PutUint16(question[8:], port)
	return question
}

// ask opens a way to sock_diag and sends the question; the caller closes it.
func ask(question []byte, flags uint16) (fd int, err error) {
	fd, err = unix.Socket(unix.AF_NETLINK, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, unix.NETLINK_SOCK_DIAG)
	if err != nil {
		return -1, os.NewSyscallError("socket", err)
	}
	message := make([]byte, netlinkHeader, netlinkHeader+len(question))
	binary.NativeEndian.PutUint32(message, uint32(netlinkHeader+len(question)))
	binary.NativeEndian.PutUint16(message[4:], diagByFamily)
	binary.NativeEndian.PutUint16(message[6:], unix.NLM_F_REQUEST|flags)
	if err := unix.Sendto(fd, append(message, question...), 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		unix.Close(fd)
		return -1, os.NewSyscallError("sendto", err)
	}
	return fd, nil
}

// diagnose asks about one socket; the answer has that many bytes at least.
func diagnose(question []byte, fixed int) (answer []byte, err error) {
	fd, err := ask(question, 0)
	if err != nil {
		return nil, err
	}
	defer unix.Close(fd)
	answer = make([]byte, 4<<10)
	n, _, err := unix.Recvfrom(fd, answer, 0)
	if err != nil {
		return nil, os.NewSyscallError("recvfrom", err)
	}
	if n < netlinkHeader+fixed || binary.NativeEndian.Uint16(answer[4:]) != diagByFamily {
		return nil, errors.New("sock_diag does not know the connection")
	}
	return answer[netlinkHeader:n], nil
}

// dump asks about all sockets of a kind; each answer has that many bytes at least.
func dump(question []byte, fixed int, each func(answer []byte)) error {
	fd, err := ask(question, unix.NLM_F_DUMP)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	order, buffer := binary.NativeEndian, make([]byte, 64<<10)
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
				return errors.New("sock_diag does not answer that")
			}
			if length >= netlinkHeader+fixed {
				each(rest[netlinkHeader:length])
			}
			rest = rest[min((length+3)&^3, len(rest)):]
		}
	}
}
