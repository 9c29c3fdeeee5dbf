package socket

import (
	"os"
	"sync/atomic"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Socket is a descriptor that a Poller reports. One goroutine may wait to read and
// another to write; Open and HangUp belong to the owner, when nobody waits, and two
// must not Watch at the same time.
type Socket struct {
	poller     *Poller
	fd         int
	registered atomic.Uint32 // Interest that the poller reports; 0: not registered
	// ended: the peer's last byte is in the socket, or has been read. There may be no
	// further edge, so it has to be read before anybody waits. It may be said of the
	// one who had the number before: then a read says EAGAIN, and waiting is right.
	ended    atomic.Bool
	readable latch
	writable latch
	// attention is who is told instead of the latches.
	attention atomic.Pointer[Attention]
}

// Prepare makes a zero Socket usable; it is closed.
func (s *Socket) Prepare(p *Poller) {
	s.poller, s.fd = p, -1
}

// Open takes a non-blocking descriptor over, which is not registered yet.
func (s *Socket) Open(fd int) {
	s.fd = fd
	s.registered.Store(0)
	s.ended.Store(false)
	s.attention.Store(nil)
	s.readable.clear()
	s.writable.clear()
}

// IsOpen tells that there is a descriptor.
func (s *Socket) IsOpen() bool { return s.fd >= 0 }

// FD is the descriptor, which stays the Socket's; -1 when it is closed.
func (s *Socket) FD() int { return s.fd }

// HangUp closes the descriptor.
func (s *Socket) HangUp() {
	if s.Registered() {
		s.poller.unregister(s)
	}
	_, _, _ = syscall.RawSyscall(unix.SYS_CLOSE, uintptr(s.fd), 0, 0)
	s.fd = -1
	s.registered.Store(0)
}

// HangUpShared closes a descriptor of which others have copies: epoll knows a socket
// until its last descriptor is closed, so it has to be told.
func (s *Socket) HangUpShared() {
	if s.Registered() {
		s.poller.forget(s.fd)
	}
	s.HangUp()
}

// Watch has the poller report what is wanted, from now on and what is already so.
func (s *Socket) Watch(wanted Interest) error {
	already := Interest(s.registered.Load())
	if already&wanted == wanted {
		return nil
	}
	return s.poller.register(s, already|wanted)
}

// Registered tells that the poller reports s.
func (s *Socket) Registered() bool { return s.registered.Load() != 0 }

// Readable and Writable receive once for all that was reported since the last time.
// The report may be about the past: who finds nothing waits again. One goroutine may
// receive from each.
func (s *Socket) Readable() <-chan struct{} { return s.readable.wait() }
func (s *Socket) Writable() <-chan struct{} { return s.writable.wait() }

// Ended tells that the peer has probably sent all it will: a read should be tried
// before waiting.
func (s *Socket) Ended() bool { return s.ended.Load() }

// Quiet tells that nothing was reported since it was last waited for: nothing has
// come that is not read, as far as the poller has looked.
func (s *Socket) Quiet() bool { return s.Registered() && !s.Noted() }

// Noted tells that something was reported since it was last waited for.
func (s *Socket) Noted() bool { return s.readable.isSet() || s.ended.Load() }

// WakeReader and WakeWriter make who waits look again. Any goroutine may call them.
func (s *Socket) WakeReader() { s.readable.set() }
func (s *Socket) WakeWriter() { s.writable.set() }

// Read reads what is there, 0 bytes at the end. unix.EAGAIN: nothing yet.
func (s *Socket) Read(b []byte) (int, syscall.Errno) {
	for {
		n, _, errno := syscall.RawSyscall(unix.SYS_READ, uintptr(s.fd), uintptr(unsafe.Pointer(&b[0])), uintptr(len(b)))
		switch errno {
		case 0:
			return int(n), 0
		case unix.EINTR:
		default:
			return 0, errno
		}
	}
}

// Send writes what the socket takes at once. With MSG_NOSIGNAL: a peer that went
// away is an error, not a signal. unix.EAGAIN: nothing at the moment.
func (s *Socket) Send(b []byte) (int, syscall.Errno) { return s.send(b, unix.MSG_NOSIGNAL) }

// SendLast is Send for bytes that CloseWrite, or closing, follows at once: TCP keeps
// them until then, and sends the end along with them.
func (s *Socket) SendLast(b []byte) (int, syscall.Errno) {
	return s.send(b, unix.MSG_NOSIGNAL|unix.MSG_MORE)
}

func (s *Socket) send(b []byte, flags uintptr) (int, syscall.Errno) {
	for {
		n, _, errno := syscall.RawSyscall6(unix.SYS_SENDTO, uintptr(s.fd), uintptr(unsafe.Pointer(&b[0])), uintptr(len(b)), flags, 0, 0)
		if errno != unix.EINTR {
			return int(n), errno
		}
	}
}

// ReadyToRead tells that a read would not wait, by asking the kernel.
func (s *Socket) ReadyToRead() bool {
	var b [1]byte
	_, _, errno := syscall.RawSyscall6(unix.SYS_RECVFROM, uintptr(s.fd), uintptr(unsafe.Pointer(&b[0])), 1, unix.MSG_PEEK, 0, 0)
	return errno != unix.EAGAIN
}

// CloseWrite ends our direction (a half-close).
func (s *Socket) CloseWrite() error {
	if _, _, errno := syscall.RawSyscall(unix.SYS_SHUTDOWN, uintptr(s.fd), unix.SHUT_WR, 0); errno != 0 {
		return os.NewSyscallError("shutdown", errno)
	}
	return nil
}
