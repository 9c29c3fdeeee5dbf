package main

import (
	"fmt"
	"net"
	"os"
	"strconv"
)

// firstListenFD is the number of the first descriptor handed over by socket
// activation: 0, 1 and 2 are standard input, output and error
// (sd_listen_fds(3), SD_LISTEN_FDS_START).
const firstListenFD = 3

// listen returns the socket this program answers on.
//
// If whoever started us holds a socket for us (LISTEN_FDS counts them,
// LISTEN_PID names the process they are meant for), it is that one. Otherwise
// it is a TCP socket on $PORT, the way platforms such as Heroku ask for it.
// The caller closes the listener.
//
// The environment, our process id and the descriptor are arguments so that
// the choice can be tested without starting a process.
func listen(getenv func(string) string, pid, fd int) (net.Listener, error) {
	activated, err := activated(getenv, pid)
	if err != nil {
		return nil, err
	}
	if activated {
		return inherited(fd)
	}
	port := getenv("PORT")
	if port == "" {
		return nil, fmt.Errorf("nothing to listen on: want a socket on descriptor %d (LISTEN_FDS=1) or a port number in $PORT", firstListenFD)
	}
	return net.Listen("tcp", net.JoinHostPort("", port))
}

// activated tells whether sockets were handed over to this very process. The
// variables survive in the environment of grandchildren, for whom they are not
// meant; only LISTEN_PID tells the difference.
func activated(getenv func(string) string, pid int) (bool, error) {
	count := getenv("LISTEN_FDS")
	if count == "" || getenv("LISTEN_PID") != strconv.Itoa(pid) {
		return false, nil
	}
	n, err := strconv.Atoi(count)
	if err != nil || n < 1 {
		return false, fmt.Errorf("LISTEN_FDS=%q: want the number of sockets handed over, 1 or more", count)
	}
	return true, nil
}

// inherited makes a listener of an open descriptor, which it closes: the
// listener works on a copy of its own.
func inherited(fd int) (net.Listener, error) {
	file := os.NewFile(uintptr(fd), fmt.Sprintf("descriptor %d", fd))
	if file == nil {
		return nil, fmt.Errorf("descriptor %d is not a valid number", fd)
	}
	defer file.Close()
	listener, err := net.FileListener(file)
	if err != nil {
		return nil, fmt.Errorf("descriptor %d is not a listening socket: %w", fd, err)
	}
	// Closing a Unix listener deletes its path. This one belongs to the
	// emperor, and the next generation of this program may already use it.
	if unix, ok := listener.(*net.UnixListener); ok {
		unix.SetUnlinkOnClose(false)
	}
	return listener, nil
}
