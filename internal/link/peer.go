package link

import (
	"context"
	"errors"
	"io"
	"sync"
)

// ErrGone is returned by calls that were under way when the other process went,
// and by every call after.
var ErrGone = errors.New("the other process is gone")

// Peer adds calls (a message and its acknowledgement) to a Conn.
type Peer struct {
	conn *Conn

	mu      sync.Mutex // guards what follows
	next    uint64
	waiting map[uint64]chan string // sequence → error text of the Ack
	gone    bool
}

// NewPeer wraps conn. Nothing is received before Run.
func NewPeer(conn *Conn) *Peer {
	return &Peer{conn: conn, waiting: make(map[uint64]chan string)}
}

// Send writes a message that nobody waits for.
func (p *Peer) Send(m Message, descriptors ...int) error {
	return p.conn.Send(&m, descriptors...)
}

// Call writes a message and waits for its acknowledgement: nil, the other
// side's error, ErrGone or the context's error.
func (p *Peer) Call(ctx context.Context, m Message, descriptors ...int) error {
	answer := make(chan string, 1)
	p.mu.Lock()
	if p.gone {
		p.mu.Unlock()
		return ErrGone
	}
	p.next++
	m.Sequence = p.next
	p.waiting[m.Sequence] = answer
	p.mu.Unlock()

	if err := p.conn.Send(&m, descriptors...); err != nil {
		p.forget(m.Sequence)
		return errors.Join(ErrGone, err)
	}
	select {
	case text, ok := <-answer:
		switch {
		case !ok:
			return ErrGone
		case text != "":
			return errors.New(text)
		}
		return nil
	case <-ctx.Done():
		p.forget(m.Sequence)
		if m.Kind == Drained || m.Kind == Unused || m.Kind == Answered {
			_ = p.Send(Message{Kind: Forget, Sequence: m.Sequence})
		}
		return ctx.Err()
	}
}

func (p *Peer) forget(sequence uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.waiting, sequence)
}

// Acknowledge answers a Call of the other side.
func (p *Peer) Acknowledge(sequence uint64, err error) error {
	m := Message{Kind: Ack, Sequence: sequence}
	if err != nil {
		m.Error = err.Error()
	}
	return p.conn.Send(&m)
}

// Run receives until the conversation ends; handle gets every message but
// acknowledgements, in order, and owns its descriptors. It returns nil at a
// clean end.
func (p *Peer) Run(handle func(m *Message, descriptors []int)) error {
	defer p.end()
	defer p.conn.reading.End()
	if p.conn.original != nil {
		_ = p.conn.original.Close()
	}
	for {
		m, descriptors, err := p.conn.Receive()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if m.Kind != Ack {
			handle(m, descriptors)
			continue
		}
		p.mu.Lock()
		answer := p.waiting[m.Sequence]
		delete(p.waiting, m.Sequence)
		p.mu.Unlock()
		if answer != nil {
			answer <- m.Error
		}
	}
}

func (p *Peer) end() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.gone = true
	for sequence, answer := range p.waiting {
		close(answer)
		delete(p.waiting, sequence)
	}
}

// Close ends the conversation; Run returns.
func (p *Peer) Close() error { return p.conn.Close() }
