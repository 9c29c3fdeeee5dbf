package link

import (
	"fmt"
	"net"
	"os"

	"golang.org/x/sys/unix"
)

// CarriedPeer is one end of a conversation as one binary of the emperor describes it
// to the next.
type CarriedPeer struct {
	FD int
	// Next is the sequence number of the last call. Answers to calls of the earlier
	// binary mean nothing to the next.
	Next uint64
	// Received and Descriptors are what was read and is no whole message yet.
	Received    []byte
	Descriptors []int
}

// Quiet stops listening between two messages: what the other side says waits. Run must
// be running.
func (p *Peer) Quiet() { p.conn.reading.Stop(p.conn.unix) }

// Pause stops the conversation between two messages, in both directions, until Resume.
// The descriptors stay the Peer's.
func (p *Peer) Pause() CarriedPeer {
	c := p.conn
	p.Quiet()
	c.sending.Lock()
	p.mu.Lock()
	defer p.mu.Unlock()
	state := CarriedPeer{FD: -1, Next: p.next, Received: c.received, Descriptors: c.descriptors}
	if raw, err := c.unix.SyscallConn(); err == nil {
		_ = raw.Control(func(fd uintptr) { state.FD = int(fd) })
	}
	return state
}

// Resume goes on after Pause.
func (p *Peer) Resume() {
	p.conn.sending.Unlock()
	p.conn.reading.Go(p.conn.unix)
}

// AdoptPeer makes a Peer of what an earlier binary described. Nothing is received
// before Run; until then the descriptor stays open under its number, too, should that
// binary have to go on.
func AdoptPeer(state CarriedPeer) (*Peer, error) {
	if err := unix.SetNonblock(state.FD, true); err != nil {
		return nil, fmt.Errorf("link: descriptor %d: %w", state.FD, err)
	}
	file := os.NewFile(uintptr(state.FD), "link")
	c, err := net.FileConn(file) // duplicates
	if err != nil {
		return nil, fmt.Errorf("link: descriptor %d: %w", state.FD, err)
	}
	u, ok := c.(*net.UnixConn)
	if !ok {
		_ = c.Close()
		return nil, fmt.Errorf("link: descriptor %d is not a unix socket", state.FD)
	}
	p := NewPeer(&Conn{
		unix: u, oob: make([]byte, unix.CmsgSpace(descriptorsPerSend*4)), original: file,
		received: state.Received, descriptors: state.Descriptors,
	})
	p.next = state.Next
	return p, nil
}
