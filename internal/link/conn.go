package link

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"emperor/internal/pause"
)

const (
	headerSize = 8 // length of the JSON text, number of descriptors; both little-endian 32 bit

	// maxFrame bounds what a confused or compromised peer can make us allocate.
	// A hundred thousand rules of 100 bytes fit ten times over.
	maxFrame = 256 << 20

	// sendTime is how long the other side may leave a full buffer unread. A frame
	// cut by it leaves the conversation broken: whoever sent it ends it.
	sendTime = 10 * time.Second

	// The kernel passes at most 253 descriptors with one sendmsg (SCM_MAX_FD).
	descriptorsPerSend = 250
)

// Conn sends and receives frames over one end of the socketpair. Send may be
// called by several goroutines; Receive by one.
type Conn struct {
	unix *net.UnixConn

	sending sync.Mutex
	frame   []byte // guarded by sending; reused

	reading     pause.Reader
	original    *os.File // of an adopted one, until it is resumed
	received    []byte   // bytes read past the last frame
	descriptors []int    // received and not yet claimed by a frame
	oob         []byte
}

// Pair makes the socketpair: our end as a Conn and the child's end as a raw,
// close-on-exec descriptor that the caller passes on and then closes.
func Pair() (*Conn, int, error) {
	ends, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, -1, os.NewSyscallError("socketpair", err)
	}
	conn, err := Open(ends[0])
	if err != nil {
		_ = unix.Close(ends[1])
		return nil, -1, err
	}
	return conn, ends[1], nil
}

// Open makes a Conn of an inherited end of a socketpair. It owns the
// descriptor, also when it fails.
func Open(fd int) (*Conn, error) {
	unix.CloseOnExec(fd)
	if err := unix.SetNonblock(fd, true); err != nil {
		_ = unix.Close(fd)
		return nil, fmt.Errorf("link: descriptor %d: %w", fd, err)
	}
	file := os.NewFile(uintptr(fd), "link")
	defer func() { _ = file.Close() }() // FileConn duplicates
	c, err := net.FileConn(file)
	if err != nil {
		return nil, fmt.Errorf("link: descriptor %d: %w", fd, err)
	}
	u, ok := c.(*net.UnixConn)
	if !ok {
		_ = c.Close()
		return nil, fmt.Errorf("link: descriptor %d is not a unix socket", fd)
	}
	return &Conn{unix: u, oob: make([]byte, unix.CmsgSpace(descriptorsPerSend*4))}, nil
}

// Close ends the conversation; a Receive under way returns. Descriptors that no
// frame has claimed are closed by the Receive that notices.
func (c *Conn) Close() error { return c.unix.Close() }

// Send writes one frame. The descriptors stay the caller's; the kernel has
// duplicated them when Send returns.
func (c *Conn) Send(m *Message, descriptors ...int) error {
	text, err := json.Marshal(m)
	if err != nil {
		return fmt.Errorf("link: %s: %w", m.Kind, err)
	}
	c.sending.Lock()
	defer c.sending.Unlock()
	// Both sides always read; one that does not for so long is stopped or broken,
	// and must not stop us too.
	if err := c.unix.SetWriteDeadline(time.Now().Add(sendTime)); err != nil {
		return fmt.Errorf("link: %w", err)
	}
	c.frame = append(c.frame[:0], make([]byte, headerSize)...)
	binary.LittleEndian.PutUint32(c.frame, uint32(len(text)))
	binary.LittleEndian.PutUint32(c.frame[4:], uint32(len(descriptors)))
	c.frame = append(c.frame, text...)
	rest := c.frame
	for len(rest) > 0 {
		var oob []byte
		piece := rest
		if n := min(len(descriptors), descriptorsPerSend); n > 0 {
			oob = unix.UnixRights(descriptors[:n]...)
			descriptors = descriptors[n:]
			// A later batch needs a byte of its own to ride on.
			if len(descriptors) > 0 {
				piece = rest[:1]
			}
		}
		n, _, err := c.unix.WriteMsgUnix(piece, oob, nil)
		if err != nil {
			_ = c.unix.Close() // half a frame: nothing after it could be understood
			return fmt.Errorf("link: %w", err)
		}
		rest = rest[n:]
	}
	if cap(c.frame) > 1<<20 {
		c.frame = nil
	}
	return nil
}

// Receive returns the next frame and its descriptors, which are close-on-exec
// and the caller's to close. At the end of the conversation it returns io.EOF.
func (c *Conn) Receive() (*Message, []int, error) {
	for {
		m, descriptors, err := c.takeFrame()
		if m != nil || err != nil {
			return m, descriptors, err
		}
		err = c.fill()
		if errors.Is(err, os.ErrDeadlineExceeded) && c.reading.Parked() {
			continue
		}
		if err != nil {
			for _, fd := range c.descriptors {
				_ = unix.Close(fd)
			}
			c.descriptors = nil
			return nil, nil, err
		}
	}
}

// takeFrame cuts a whole frame off what was received, or returns nothing.
func (c *Conn) takeFrame() (*Message, []int, error) {
	if len(c.received) < headerSize {
		return nil, nil, nil
	}
	length := binary.LittleEndian.Uint32(c.received)
	count := int(binary.LittleEndian.Uint32(c.received[4:]))
	if length > maxFrame {
		return nil, nil, fmt.Errorf("link: a frame of %d bytes, the limit is %d", length, maxFrame)
	}
	end := headerSize + int(length)
	if len(c.received) < end {
		return nil, nil, nil
	}
	if len(c.descriptors) < count {
		return nil, nil, fmt.Errorf("link: %d descriptors announced, %d received", count, len(c.descriptors))
	}
	m := new(Message)
	if err := json.Unmarshal(c.received[headerSize:end], m); err != nil {
		return nil, nil, fmt.Errorf("link: %w", err)
	}
	var descriptors []int
	if count > 0 {
		descriptors = append(descriptors, c.descriptors[:count]...)
		c.descriptors = append(c.descriptors[:0], c.descriptors[count:]...)
	}
	c.received = append(c.received[:0], c.received[end:]...)
	if len(c.received) == 0 && cap(c.received) > 1<<20 {
		c.received = nil
	}
	return m, descriptors, nil
}

// fill reads once.
func (c *Conn) fill() error {
	if cap(c.received)-len(c.received) < 4096 {
		grown := make([]byte, len(c.received), 2*cap(c.received)+8192)
		copy(grown, c.received)
		c.received = grown
	}
	n, oobn, flags, _, err := c.unix.ReadMsgUnix(c.received[len(c.received):cap(c.received)], c.oob)
	if oobn > 0 {
		if err := c.keepDescriptors(c.oob[:oobn]); err != nil {
			return err
		}
	}
	if flags&unix.MSG_CTRUNC != 0 {
		return errors.New("link: descriptors were lost: too many for one message or for this process")
	}
	c.received = c.received[:len(c.received)+max(n, 0)]
	if err != nil {
		if errors.Is(err, syscall.ECONNRESET) || errors.Is(err, net.ErrClosed) {
			return io.EOF
		}
		return fmt.Errorf("link: %w", err)
	}
	if n == 0 {
		return io.EOF
	}
	return nil
}

func (c *Conn) keepDescriptors(oob []byte) error {
	messages, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return fmt.Errorf("link: %w", err)
	}
	for i := range messages {
		fds, err := unix.ParseUnixRights(&messages[i])
		if err != nil {
			return fmt.Errorf("link: %w", err)
		}
		c.descriptors = append(c.descriptors, fds...)
	}
	return nil
}
