package emperor

import (
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// A uWSGI with zerg-server or zerg-pool gives the sockets it listens at to whoever
// connects to a unix socket of its own (http-zerg): one message of zergWord and how many
// they are, as an int, with their descriptors. Once here they are as good as our own:
// they stay when the router is another, when the main file changes, and when that uWSGI
// is gone.

const (
	zergWord = "uwsgi-zerg"
	// zergTime is how long the server may take, which only has to send.
	zergTime = 5 * time.Second
	// mostZerg is how many descriptors the kernel passes in one message (SCM_MAX_FD).
	mostZerg = 253
)

// parseZerg checks the address of a zerg server.
func parseZerg(text string) (endpoint, error) {
	if text == "" || strings.Contains(text, ":") && !strings.HasPrefix(text, "/") && !strings.HasPrefix(text, "@") {
		return endpoint{}, errors.New("want the path of a unix socket, the one that uWSGI's zerg-server names: only such a socket passes others on")
	}
	return endpoint{network: "zerg", text: text}, checkPath(text)
}

// fetchZerg asks a zerg server for its sockets, which become the caller's.
func fetchZerg(path string) (descriptors []int, err error) {
	conn, err := dialZerg(path)
	if err != nil {
		return nil, fmt.Errorf("%w: want a uWSGI that runs with zerg-server = %s", socketError(err), path)
	}
	defer func() { _ = conn.Close() }()
	_ = conn.SetDeadline(time.Now().Add(zergTime))
	said, rights := make([]byte, len(zergWord)+4), make([]byte, unix.CmsgSpace(4*mostZerg))
	n, passed, flags, _, err := conn.(*net.UnixConn).ReadMsgUnix(said, rights)
	if err == nil {
		descriptors, err = passedDescriptors(rights[:passed])
	}
	switch {
	case err != nil:
		err = fmt.Errorf("no sockets came: %w", socketError(err))
	case n != len(said) || string(said[:len(zergWord)]) != zergWord || flags&unix.MSG_CTRUNC != 0 || len(descriptors) == 0:
		err = fmt.Errorf("whoever listens there is no zerg server: want a uWSGI that runs with zerg-server = %s", path)
	case slices.ContainsFunc(descriptors, func(fd int) bool { return !listens(fd) }):
		err = errors.New("one of its sockets is not listening for connections")
	}
	if err != nil {
		for _, fd := range descriptors {
			_ = syscall.Close(fd)
		}
		return nil, err
	}
	return descriptors, nil
}

// tryZerg tells whether there are sockets to fetch.
func tryZerg(path string) error {
	descriptors, err := fetchZerg(path)
	for _, fd := range descriptors {
		_ = syscall.Close(fd)
	}
	return err
}

func dialZerg(path string) (net.Conn, error) {
	if strings.HasPrefix(path, "@") {
		// uWSGI's abstract names end with a NUL.
		if conn, err := net.DialTimeout("unix", path+"\x00", zergTime); err == nil {
			return conn, nil
		}
	}
	return net.DialTimeout("unix", path, zergTime)
}

// passedDescriptors are those that came with a message.
func passedDescriptors(rights []byte) (descriptors []int, err error) {
	messages, err := unix.ParseSocketControlMessage(rights)
	for i := range messages {
		if some, err := unix.ParseUnixRights(&messages[i]); err == nil {
			descriptors = append(descriptors, some...)
		}
	}
	return descriptors, err
}

// listens tells whether connections can be accepted from a descriptor.
func listens(fd int) bool {
	kind, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TYPE)
	if err != nil || kind != unix.SOCK_STREAM {
		return false
	}
	on, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ACCEPTCONN)
	return err == nil && on != 0
}
