package upstream

import (
	"sync/atomic"

	"emperor/router/socket"
)

// Dialer makes Conns, which wait on one Poller.
type Dialer struct {
	poller *socket.Poller
	names  atomic.Pointer[Names] // nil: nobody resolves names
}

// NewDialer returns a Dialer on p, which is to be closed after its last Conn.
func NewDialer(p *socket.Poller) *Dialer { return &Dialer{poller: p} }
