package relay

import (
	"os"
	"runtime"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"emperor/router/socket"
)

// pump carries bytes between two plain sockets.
//
// Small messages are carried by the poller's goroutine itself, as it hears of them:
// nobody is woken. When there is more than a buffer full at once, a goroutine takes
// over, that of Run or one that is started for it, so that the poller can go on and
// other processors can help; it gives the work back when little comes again.
//
// So there is one owner at a time, who alone touches the flows: whoever sets the bit
// running of word. What happens meanwhile is left in word, and the owner looks at it
// before it lets go.
type pump struct {
	relay    *Relay
	lent     *socket.Conn // the client's, of which up.from is lent
	up, down flow
	word     atomic.Uint32
	wake     chan struct{} // gives the goroutine that waits the ownership; nil until there is one
	bulk     bool          // the owner's: a goroutine does the work, or waits for more
	moved    int           // the owner's: bytes since the last wait
	client   socket.Attention
	upstream socket.Attention
	alone    bool // no goroutine waits for the end
}

// Bits of pump.word. An Event is shifted by its socket's number.
const (
	clientEvents   = 0
	upstreamEvents = 3
	stopping       = 1 << 6
	running        = 1 << 7
)

// flow is one direction of a pump.
type flow struct {
	counted  *direction
	from, to *socket.Socket
	held     *buffer // what has been read and not been written; nil: nothing
	start    int     // of what is held
	end      int
	free     int   // of what is held, bytes that do not count
	size     int   // of the buffer to read into
	readable bool  // a read may find something
	blocked  bool  // there is no room
	ended    bool  // the sender has sent its last byte
	passed   bool  // and the receiver knows
	failure  error // of the sender, after what is held
}

func (p *pump) prepare(r *Relay, lent *socket.Conn, client, upstream *socket.Socket) {
	p.relay, p.lent = r, lent
	p.client = socket.Attention{To: p, Socket: clientEvents}
	p.upstream = socket.Attention{To: p, Socket: upstreamEvents}
	p.up = flow{counted: &r.up, from: client, to: upstream, size: ordinary}
	p.down = flow{counted: &r.down, from: upstream, to: client, size: ordinary}
	p.word.Store(running)
}

// begin has bytes sent before all others, of which the first do not count.
func (p *pump) begin(bytes []byte, free int) {
	if len(bytes) > 0 {
		p.up.held, p.up.end, p.up.free = &buffer{bytes: bytes, class: foreign}, len(bytes), free
	}
}

// Ready is what the poller calls.
func (p *pump) Ready(shift int, happened socket.Event) {
	if p.word.Or(uint32(happened)<<shift|running)&running == 0 {
		p.carryLittle()
	}
}

// carryLittle works, as the owner, until nothing is left; more than a buffer full is left to a
// goroutine.
func (p *pump) carryLittle() {
	for !p.bulk && p.word.Load()&stopping == 0 {
		if p.turn() {
			if p.alone && p.relay.over() {
				p.leave()
				return
			}
			break
		}
		p.moved = 0
		if p.word.CompareAndSwap(running, 0) {
			return
		}
	}
	p.handOver()
}

// stop makes whoever owns the work look whether it is over; a goroutine if nobody does,
// since who stops may hold a lock.
func (p *pump) stop() {
	if p.word.Or(stopping|running)&running == 0 {
		p.handOver()
	}
}

// handOver gives the work to a goroutine.
func (p *pump) handOver() {
	if !p.alone || p.bulk {
		p.wake <- struct{}{}
		return
	}
	p.relay.options.Owner.Spawn(p.carry)
}

// run carries until it is over.
func (p *pump) run() {
	p.wake = make(chan struct{}, 1)
	p.attend()
	p.work()
	p.end()
}

// start is run for a pump that nobody waits for.
func (p *pump) start() {
	p.alone = true
	p.attend()
	p.carryLittle()
}

// carry works until it is over or the poller can do it.
func (p *pump) carry() {
	if p.wake == nil {
		p.wake = make(chan struct{}, 1)
	}
	if p.work() {
		p.leave()
	}
}

// leave says that it is over, where nobody waits for that.
func (p *pump) leave() {
	p.end()
	p.relay.options.Owner.Over(p.relay.result())
}

func (p *pump) attend() {
	p.up.from.Attend(&p.client)
	p.up.to.Attend(&p.upstream)
	// Between Lend and now the poller has told others.
	p.up.readable = p.up.readable || p.up.from.Noted()
	if err := p.up.from.Watch(socket.ToRead); err != nil {
		p.relay.clientBroke(err)
	}
	// Of one that is watched already, what is there may have been reported before.
	p.down.readable = p.down.from.Registered()
	if err := p.down.from.Watch(socket.ToRead); err != nil {
		p.relay.upstreamBroke(err)
	}
}

func (p *pump) end() {
	p.inBulk(false)
	p.up.from.Attend(nil)
	p.up.to.Attend(nil)
	p.up.drop()
	p.down.drop()
	p.relay.carriedBy(nil)
	p.lent.GiveBack()
}

// work carries until it is over. false: it is not, and the ownership was given up,
// because the poller can do what is left.
func (p *pump) work() (over bool) {
	for {
		if more := p.turn(); p.relay.over() {
			return true
		} else if more {
			p.inBulk(true)
			p.up.from.LookRound() // else nobody does while we are busy
			runtime.Gosched()
			continue
		}
		p.inBulk(p.bulk && p.moved >= ordinary)
		p.moved = 0
		waits := !p.alone || p.bulk // asked now: what is given up is another's at once
		if !p.word.CompareAndSwap(running, 0) {
			continue
		}
		if !waits {
			return false
		}
		<-p.wake
	}
}

func (p *pump) inBulk(bulk bool) {
	if bulk != p.bulk {
		p.bulk = bulk
		if bulk {
			inBulk.Add(1)
		} else {
			inBulk.Add(-1)
		}
	}
}

// turn lets each direction carry a buffer full at the most. more tells that this is
// not all: there is more to carry, or it is over.
func (p *pump) turn() (more bool) {
	p.hear(p.word.Swap(running))
	before := p.moved
	if p.up.carry(p) {
		more = true
	}
	if p.down.carry(p) {
		more = true
	}
	if p.moved != before {
		p.relay.silence.broken()
	}
	return more || p.relay.over()
}

// hear takes in what has happened.
func (p *pump) hear(bits uint32) {
	client, upstream := socket.Event(bits>>clientEvents&7), socket.Event(bits>>upstreamEvents&7)
	if client != 0 {
		p.up.sender(client, p.relay.clientBroke)
		p.down.receiver(client)
	}
	if upstream != 0 {
		p.down.sender(upstream, p.relay.upstreamBroke)
		p.up.receiver(upstream)
	}
}

func (f *flow) receiver(e socket.Event) {
	if e&socket.CanWrite != 0 {
		f.blocked = false
	}
}

// sender takes in what happened to the one that f reads from. One that has ended is
// not read any more, and would not be missed.
func (f *flow) sender(e socket.Event, broke func(error)) {
	if e&socket.CanRead != 0 {
		f.readable = true
	}
	if e&socket.Broken != 0 && f.ended {
		value, err := unix.GetsockoptInt(f.from.FD(), unix.SOL_SOCKET, unix.SO_ERROR)
		if err == nil && value != 0 {
			broke(os.NewSyscallError("write", unix.Errno(value)))
		}
	}
}

// carry reads and writes until nothing is left or there is no room, but not more
// than one full buffer: then there is more.
func (f *flow) carry(p *pump) (more bool) {
	for full := false; ; {
		if f.held != nil {
			if f.blocked || !f.write(p) {
				return false
			}
			if full {
				return true
			}
		}
		switch {
		case f.failure != nil:
			f.broke(p, f.from, f.failure)
			return false
		case f.ended:
			f.pass(p)
			return false
		case !f.readable:
			return false
		}
		full = f.read(p)
	}
}

// read fills a buffer. It tells whether it is full.
func (f *flow) read(p *pump) (full bool) {
	b := borrow(f.size)
	n, errno := f.from.Read(b.bytes)
	if n > 0 {
		f.held, f.start, f.end = b, 0, n
		p.moved += n
		f.counted.came()
		if n < len(b.bytes) {
			if f.readable = f.from.Ended(); f.readable {
				f.readEnd(p)
			}
			return false
		}
		if p.bulk {
			f.size = min(2*f.size, fairShare())
		}
		return true
	}
	b.giveBack()
	switch errno {
	case 0:
		f.ended = true
	case unix.EAGAIN:
		f.readable = false
	default:
		f.readable = false
		f.broke(p, f.from, os.NewSyscallError("read", errno))
	}
	return false
}

// readEnd looks whether there is nothing more behind what has been read, so that the
// last bytes and the end can go on in one packet.
func (f *flow) readEnd(p *pump) {
	n, errno := f.from.Read(f.held.bytes[f.end:])
	switch {
	case n > 0:
		f.end += n
		p.moved += n
	case errno == 0:
		f.ended = true
	case errno == unix.EAGAIN:
		f.readable = false
	default:
		f.readable, f.failure = false, os.NewSyscallError("read", errno)
	}
}

// write sends what is held. It tells whether all of it is gone.
func (f *flow) write(p *pump) (all bool) {
	send := f.to.Send
	if f.ended {
		send = f.to.SendLast
	}
	n, errno := send(f.held.bytes[f.start:f.end])
	switch errno {
	case 0:
		free := min(n, f.free)
		f.free -= free
		f.counted.carried.Add(int64(n - free))
		if f.start += n; f.start == f.end {
			f.drop()
			return true
		}
		// A receiver that is slower than its sender needs no larger pieces.
		f.size = max(f.size/2, ordinary)
	case unix.EAGAIN:
	default:
		f.broke(p, f.to, os.NewSyscallError("write", errno))
		return false
	}
	f.blocked = true
	if err := f.to.Watch(socket.ToRead | socket.ToWrite); err != nil {
		f.broke(p, f.to, err)
	}
	return false
}

func (f *flow) broke(p *pump, at *socket.Socket, err error) {
	if at == p.up.from {
		p.relay.clientBroke(err)
	} else {
		p.relay.upstreamBroke(err)
	}
}

// pass tells the receiver that no more comes.
func (f *flow) pass(p *pump) {
	if f.passed {
		return
	}
	f.passed = true
	if p.relay.finish(f.counted) {
		// An error is the receiver's, which its own direction will notice.
		_ = f.to.CloseWrite()
	}
}

func (f *flow) drop() {
	if f.held != nil {
		f.held.giveBack()
		f.held = nil
	}
}
