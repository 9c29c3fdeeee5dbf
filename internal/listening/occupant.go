package listening

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// Occupant is the process that listens at an address.
type Occupant struct {
	PID     int    // 0: not known; it is another user's
	Program string // the name of its file; empty when it is not known
}

// String names it in a message.
func (o Occupant) String() string {
	switch {
	case o.PID == 0:
		return "another user's program"
	case o.Program == "":
		return fmt.Sprintf("process %d", o.PID)
	}
	return fmt.Sprintf("%s, process %d", o.Program, o.PID)
}

func occupant(pid int) Occupant {
	o := Occupant{PID: pid}
	if program, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", pid)); err == nil { // else it is another user's
		o.Program = filepath.Base(strings.TrimSuffix(program, " (deleted)"))
	}
	return o
}

// AtTCP finds who listens at an address, or at one that excludes it. ok is false
// when nobody does.
func AtTCP(at netip.AddrPort) (o Occupant, ok bool) {
	all, err := OnPort(int(at.Port()))
	if err != nil {
		return o, false
	}
	return among(all, at)
}

// AtUDP is AtTCP for datagrams.
func AtUDP(at netip.AddrPort) (o Occupant, ok bool) {
	all, err := listed(7, int(at.Port()), "/proc/net/udp", "/proc/net/udp6") // short: nothing lingers
	if err != nil {
		return o, false
	}
	return among(all, at)
}

func among(all []Socket, at netip.AddrPort) (o Occupant, ok bool) {
	var there []Socket
	for _, s := range all {
		if Overlap(s.Address, at) {
			there = append(there, s)
		}
	}
	if len(there) == 0 {
		return o, false
	}
	owners := Owners(there)
	for _, s := range there {
		if pids := owners[s.Inode]; len(pids) > 0 {
			return occupant(pids[0]), true
		}
	}
	return o, true
}

// AtUnix finds who listens on a unix socket ("@name" for an abstract one) by
// connecting to it and going away: the listener sees a connection that says
// nothing. err is nil when somebody does, unix.ECONNREFUSED when nobody does any
// more.
func AtUnix(path string) (o Occupant, err error) {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return o, err
	}
	defer unix.Close(fd)
	err = unix.Connect(fd, &unix.SockaddrUnix{Name: path})
	if errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EINPROGRESS) {
		return o, nil // its queue is full: somebody has it
	}
	if err != nil {
		return o, err
	}
	if peer, err := unix.GetsockoptUcred(fd, unix.SOL_SOCKET, unix.SO_PEERCRED); err == nil && peer.Pid > 0 {
		return occupant(int(peer.Pid)), nil
	}
	return o, nil
}
