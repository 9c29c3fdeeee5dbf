package sysd

import (
	"fmt"
	"net"
	"os"
)

// CarriedSocket is a NotifySocket as one binary of the emperor describes it to the next.
type CarriedSocket struct {
	FD      int
	Address string
	Status  string
	Ready   bool
	Busy    bool
}

func newNotifySocket(connection *net.UnixConn, address string) *NotifySocket {
	return &NotifySocket{connection: connection, address: address, ready: make(chan struct{})}
}

// Pause stops reading, and describes the socket; the descriptor stays its own. What
// comes meanwhile waits in the kernel.
func (n *NotifySocket) Pause() CarriedSocket {
	c := CarriedSocket{FD: -1, Address: n.address}
	if n.begun.Load() {
		n.reading.Stop(n.connection)
	}
	if raw, err := n.connection.SyscallConn(); err == nil {
		_ = raw.Control(func(fd uintptr) { c.FD = int(fd) })
	}
	c.Status, c.Busy = n.Status(), n.Busy()
	select {
	case <-n.ready:
		c.Ready = true
	default:
	}
	return c
}

// Resume goes on reading after Pause.
func (n *NotifySocket) Resume() { n.reading.Go(n.connection) }

// AdoptNotifySocket makes a NotifySocket of what an earlier binary described. Messages
// wait in the kernel until Receive; until then the descriptor stays open under its
// number, should that binary have to go on.
func AdoptNotifySocket(c CarriedSocket) (*NotifySocket, error) {
	file := os.NewFile(uintptr(c.FD), "notify socket")
	if file == nil {
		return nil, fmt.Errorf("notify socket: no descriptor %d", c.FD)
	}
	connection, err := net.FilePacketConn(file) // duplicates
	if err != nil {
		return nil, fmt.Errorf("notify socket: %w", err)
	}
	socket, ok := connection.(*net.UnixConn)
	if !ok {
		connection.Close()
		return nil, fmt.Errorf("notify socket: descriptor %d is something else", c.FD)
	}
	n := newNotifySocket(socket, c.Address)
	n.original = file
	if c.Status != "" {
		n.status.Store(&c.Status)
	}
	n.busy.Store(c.Busy)
	if c.Ready {
		n.announced.Do(func() { close(n.ready) })
	}
	return n, nil
}
