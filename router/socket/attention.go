package socket

// Event is what the poller reports.
type Event uint8

const (
	// CanRead: a read may find something, the end included.
	CanRead Event = 1 << iota
	// CanWrite: there may be room again.
	CanWrite
	// Broken: the connection has failed. What came before can still be read.
	Broken
)

// Attention is for whom it is too much that a goroutine is woken for every event: To
// is told instead, and which of its sockets it is about.
type Attention struct {
	To     Attendant
	Socket int
}

// Attendant hears of events from the poller's goroutine or another that looks round,
// and perhaps from two at a time. It must neither block nor take long, since every
// other connection waits meanwhile.
type Attendant interface {
	Ready(socket int, happened Event)
}

// Attend has the poller tell a of the events of s from now on, which wake nobody
// any more; nil ends that. What was reported before is not told again (Quiet tells
// whether there was anything), and a call may be under way.
func (s *Socket) Attend(a *Attention) { s.attention.Store(a) }

// Lend gives the Socket of c away, to be used without c and its limits until
// GiveBack is called. unread tells that something may be there to read that nobody
// will be told of. Closing c meanwhile leaves the descriptor open up to GiveBack.
// nil: c is closed.
func (c *Conn) Lend() (s *Socket, unread bool) {
	c.reads.Lock()
	defer c.reads.Unlock()
	if !c.guard.enter() {
		return nil, false
	}
	return &c.socket, !c.drained || c.socket.Noted()
}

// GiveBack is called once after Lend.
func (c *Conn) GiveBack() {
	c.reads.Lock()
	c.drained = false
	c.reads.Unlock()
	c.leave()
}
