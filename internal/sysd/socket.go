package sysd

import (
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"emperor/internal/pause"
)

// NotifySocket is the manager's end of sd_notify(3) for one generation of one
// vassal. One each, so that an old generation cannot speak for a new one.
//
// It has an abstract address: a path would have to be reachable by whatever user
// and inside whatever root directory the vassal runs. An abstract address is open
// to everybody on the machine, so the kernel tells us who sent each message.
type NotifySocket struct {
	connection *net.UnixConn
	address    string
	ready      chan struct{}
	announced  sync.Once
	status     atomic.Pointer[string]
	busy       atomic.Bool
	receive    sync.Once
	begun      atomic.Bool
	original   *os.File // of an adopted one, until Receive
	reader     sync.WaitGroup
	reading    pause.Reader
}

// NewNotifySocket binds one. Messages wait in the kernel until Receive.
func NewNotifySocket() (*NotifySocket, error) {
	address := "@emperor/" + rand.Text() + "/notify"
	connection, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: address, Net: "unixgram"})
	if err != nil {
		return nil, fmt.Errorf("making a notify socket: %w", err)
	}
	raw, err := connection.SyscallConn()
	if err == nil {
		controlErr := raw.Control(func(fd uintptr) {
			err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_PASSCRED, 1)
		})
		err = errors.Join(err, controlErr)
	}
	if err != nil {
		connection.Close()
		return nil, fmt.Errorf("making a notify socket: %w", err)
	}
	return newNotifySocket(connection, address), nil
}

// Address is the value of NOTIFY_SOCKET for the child.
func (n *NotifySocket) Address() string { return n.address }

// Receive starts to read messages; call it once, when the child is started.
// belongs says whether a sender is part of the vassal, by the process number and
// user id that the kernel vouches for; messages of others are dropped. The sender
// may have ended by then (systemd-notify does so at once), which only the caller
// can judge. nil: everybody belongs. It is called on a goroutine of the socket.
func (n *NotifySocket) Receive(belongs func(pid, uid int) bool) {
	n.receive.Do(func() {
		n.begun.Store(true)
		if n.original != nil {
			_ = n.original.Close()
		}
		n.reader.Go(func() { n.read(belongs) })
	})
}

// Ready is closed at the first READY=1 from a sender who belongs.
func (n *NotifySocket) Ready() <-chan struct{} { return n.ready }

// Status is the vassal's last STATUS= line; empty before.
func (n *NotifySocket) Status() string {
	if s := n.status.Load(); s != nil {
		return *s
	}
	return ""
}

// Busy tells whether the vassal's last word on it was X_BUSY=1: it works although
// nobody asks it anything, and does not want to be ended for that. (X_ is for
// assignments that sd_notify(3) does not know.)
func (n *NotifySocket) Busy() bool { return n.busy.Load() }

// Close removes the socket and waits for its reader.
func (n *NotifySocket) Close() error {
	err := n.connection.Close()
	n.reader.Wait()
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

func (n *NotifySocket) read(belongs func(pid, uid int) bool) {
	// systemd's own limit for a message is a page; control data are credentials
	// and as many descriptors as the kernel allows (SCM_MAX_FD).
	text := make([]byte, 4096)
	control := make([]byte, unix.CmsgSpace(unix.SizeofUcred)+unix.CmsgSpace(253*4))
	defer n.reading.End()
	for {
		length, controlLength, flags, _, err := n.connection.ReadMsgUnix(text, control)
		if errors.Is(err, os.ErrDeadlineExceeded) && n.reading.Parked() {
			continue
		}
		if err != nil {
			return // closed
		}
		sender := takeControl(control[:controlLength])
		if sender == nil || flags&unix.MSG_TRUNC != 0 {
			continue
		}
		if belongs != nil && !belongs(int(sender.Pid), int(sender.Uid)) {
			continue
		}
		for line := range strings.Lines(string(text[:length])) {
			name, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "=")
			switch {
			case name == "STATUS":
				n.status.Store(&value)
			case name == "X_BUSY":
				n.busy.Store(value != "" && value != "0")
			case name == "READY" && value == "1":
				n.announced.Do(func() { close(n.ready) })
			}
		}
	}
}

// takeControl gives the sender's credentials and closes descriptors that came
// along (FDSTORE=1 puts any number of them there; BARRIER=1 waits for the close).
func takeControl(control []byte) (sender *unix.Ucred) {
	messages, err := unix.ParseSocketControlMessage(control)
	if err != nil {
		return nil
	}
	for i := range messages {
		switch messages[i].Header.Type {
		case unix.SCM_RIGHTS:
			fds, _ := unix.ParseUnixRights(&messages[i])
			for _, fd := range fds {
				unix.Close(fd)
			}
		case unix.SCM_CREDENTIALS:
			sender, _ = unix.ParseUnixCredentials(&messages[i])
		}
	}
	return sender
}
