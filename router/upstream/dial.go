package upstream

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"emperor/router/socket"
)

// ErrBusy is what Dial returns when a unix socket's queue stayed full up to the
// Deadline: the vassal works, and has too much to do. It is an ErrTimeout.
var ErrBusy = fmt.Errorf("the socket's queue is full: %w", ErrTimeout)

// ErrName is what Dial returns for the name of a host when nobody resolves names
// (Dialer.SetNames).
var ErrName = errors.New("a host name, and names are not resolved here")

// errSlow: a connection did not come about in the time one address of several is
// given.
var errSlow = fmt.Errorf("no connection within %v", patienceWithOne)

// patienceWithOne is how long one address of a name is tried while there are
// others. The last may take what time is left.
const patienceWithOne = time.Second

// Dial connects to a within the Deadline the caller has set. A full backlog of
// a unix socket (EAGAIN) is waited for: it means busy, not broken. The addresses
// of a name are tried one after the other.
func (c *Conn) Dial(a *Address) error { return c.DialWithin(a, nil) }

// DialWithin is Dial, but connects to IP addresses in networks only, whatever a
// name stands for: ErrOutside if there are none. No networks: anywhere.
func (c *Conn) DialWithin(a *Address, networks []netip.Prefix) error {
	return c.DialWith(a, networks, nil)
}

// DialWith is DialWithin for who speaks first: bytes are sent along, all of them when
// it returns. That saves the kernel a packet, and the server being woken for a
// connection on which nothing has come yet.
func (c *Conn) DialWith(a *Address, networks []netip.Prefix, bytes []byte) error {
	c.aborted.Store(false)
	var err error
	switch {
	case a.host != "":
		err = c.dialName(a, networks, bytes)
	case !a.socket.within(networks):
		err = ErrOutside
	default:
		err = c.dial(&a.socket, bytes, 0)
	}
	if err != nil {
		c.Close()
	}
	return err
}

// DialNow is DialWith as far as nothing has to be waited for. false: DialWith of the
// same has to be called, and goes on with what was begun.
func (c *Conn) DialNow(a *Address, networks []netip.Prefix, bytes []byte) bool {
	c.aborted.Store(false)
	to := &a.socket
	if a.host != "" || len(bytes) == 0 || !to.within(networks) || c.open(to, true) != nil {
		return false
	}
	errno := c.tryConnect(to, to.size)
	if errno == 0 || errno == unix.EINPROGRESS {
		var n int
		if n, errno = c.socket.Send(bytes); n == len(bytes) && errno == 0 {
			return to.family == unix.AF_UNIX || c.noDelay() == nil
		}
		if errno == unix.EAGAIN && to.family != unix.AF_UNIX {
			return false
		}
	}
	c.socket.HangUp() // DialWith will find out and say what it was
	return false
}

// dial connects to one socket, within limit if that is not 0, and sends the bytes.
func (c *Conn) dial(to *socketAddress, bytes []byte, limit time.Duration) error {
	if !c.socket.IsOpen() {
		if err := c.open(to, len(bytes) > 0); err != nil {
			return err
		}
	}
	sent, err := c.connect(to, bytes, limit)
	if err == nil && sent < len(bytes) {
		_, err = c.write(bytes[sent:])
	}
	if err != nil {
		c.socket.HangUp()
	}
	return err
}

// open makes the socket. We speak first: the word that completes the handshake waits for
// what we say, and is sent with it (as HAProxy's tcp-smart-connect has it).
func (c *Conn) open(to *socketAddress, weSpeakFirst bool) error {
	fd, _, errno := syscall.RawSyscall(unix.SYS_SOCKET, uintptr(to.family), unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if errno != 0 {
		return os.NewSyscallError("socket", errno)
	}
	c.socket.Open(int(fd))
	if weSpeakFirst && to.family != unix.AF_UNIX {
		_ = c.setOption(unix.TCP_QUICKACK, 0) // without it there is one packet more
	}
	return nil
}

func (c *Conn) tryConnect(to *socketAddress, size uint32) syscall.Errno {
	_, _, errno := syscall.RawSyscall(unix.SYS_CONNECT, uintptr(c.socket.FD()), uintptr(unsafe.Pointer(&to.raw)), uintptr(size))
	return errno
}

// connect connects, and tells how much of bytes it has already sent meanwhile.
func (c *Conn) connect(to *socketAddress, bytes []byte, limit time.Duration) (sent int, err error) {
	size := to.size
	for pause := time.Millisecond; ; pause = min(2*pause, 50*time.Millisecond) {
		switch errno := c.tryConnect(to, size); errno {
		case 0:
			if to.family != unix.AF_UNIX {
				return 0, c.noDelay()
			}
			return 0, nil
		case unix.EINTR:
		case unix.EAGAIN:
			// Nothing tells when a backlog has room again.
			if err := c.wait(pause); err == ErrTimeout && to.family == unix.AF_UNIX {
				return 0, ErrBusy
			} else if err != nil {
				return 0, err
			}
		case unix.EINPROGRESS:
			// On this machine it is made by the time the call has returned, which the next
			// one says: nothing to wait for, and nobody to wake.
			if len(bytes) == 0 {
				continue
			}
			switch n, errno := c.socket.Send(bytes); errno {
			case 0:
				return n, c.noDelay()
			case unix.EAGAIN:
			default:
				return 0, os.NewSyscallError("connect", errno)
			}
		case unix.EALREADY:
			// Afterwards the next call says that it is made, or what is wrong, or this
			// again after a wake for nothing.
			if err := c.awaitConnected(limit); err != nil {
				return 0, err
			}
		case unix.EISCONN:
			return 0, c.noDelay()
		case unix.ECONNREFUSED:
			if size == to.size && to.abstract() {
				// Everybody but uWSGI binds abstract names without the trailing NUL.
				size--
				continue
			}
			return 0, os.NewSyscallError("connect", errno)
		default:
			return 0, os.NewSyscallError("connect", errno)
		}
	}
}

func (c *Conn) noDelay() error { return c.setOption(unix.TCP_NODELAY, 1) }

// setOption sets one of TCP's options.
func (c *Conn) setOption(option uintptr, value int32) error {
	_, _, errno := syscall.RawSyscall6(unix.SYS_SETSOCKOPT, uintptr(c.socket.FD()), unix.IPPROTO_TCP, option, uintptr(unsafe.Pointer(&value)), unsafe.Sizeof(value), 0)
	if errno != 0 {
		return os.NewSyscallError("setsockopt", errno)
	}
	return nil
}

// awaitConnected waits for the outcome of a connect, for at most limit if that is
// not 0.
func (c *Conn) awaitConnected(limit time.Duration) error {
	if limit == 0 {
		return c.awaitWritable()
	}
	if err := c.watch(socket.ToWrite); err != nil {
		return err
	}
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case <-c.socket.Writable():
		return c.check()
	case <-timer.C:
		return errSlow
	}
}

// wait sleeps for at most d.
func (c *Conn) wait(d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-c.socket.Writable():
	case <-timer.C:
	}
	return c.check()
}

// dialName tries the addresses of a name. When none answers, the name may have
// moved since it was last asked for: it is asked for again, and what is new is
// tried, too.
func (c *Conn) dialName(a *Address, networks []netip.Prefix, bytes []byte) error {
	names := c.dialer.names.Load()
	if names == nil {
		return ErrName
	}
	var tried []netip.Addr
	var failure error
	for again := range 2 {
		addresses, err := c.addresses(*names, a.host)
		if err != nil {
			if failure != nil {
				return failure
			}
			return fmt.Errorf("%s: %w", a.host, err)
		}
		allowed := inside(addresses, networks)
		if len(allowed) == 0 && failure == nil {
			return fmt.Errorf("%s (%s): %w", a.host, list(addresses), ErrOutside)
		}
		addresses = without(allowed, tried)
		var asked <-chan struct{}
		for i, ip := range addresses {
			limit := time.Duration(0)
			if i < len(addresses)-1 {
				limit = patienceWithOne
			}
			var to socketAddress
			to.setTCP(netip.AddrPortFrom(ip, a.port))
			if err = c.dial(&to, bytes, limit); err == nil {
				return nil
			}
			failure = fmt.Errorf("%s (%v): %w", a.host, ip, err)
			if errors.Is(err, ErrAborted) || errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE) {
				return failure // nothing to do with the address
			}
			asked = (*names).Poke(a.host, ip)
			if errors.Is(err, ErrTimeout) {
				return failure
			}
		}
		if again > 0 || asked == nil {
			break
		}
		tried = addresses
		if err := c.awaitOr(asked); err != nil {
			break
		}
	}
	return failure
}

// addresses waits until the name is known.
func (c *Conn) addresses(names Names, host string) ([]netip.Addr, error) {
	for {
		addresses, pending, err := names.Addresses(host)
		if err != nil || pending == nil {
			return addresses, err
		}
		if err := c.awaitOr(pending); err != nil {
			return nil, err
		}
	}
}

// awaitOr waits for the channel to be closed.
func (c *Conn) awaitOr(closed <-chan struct{}) error {
	for {
		if err := c.check(); err != nil {
			return err
		}
		select {
		case <-closed:
			return nil
		case <-c.socket.Writable(): // woken by the Deadline or Abort, or for nothing
		}
	}
}

func without(addresses, tried []netip.Addr) []netip.Addr {
	if len(tried) == 0 {
		return addresses
	}
	var left []netip.Addr
	for _, a := range addresses {
		if !slices.Contains(tried, a) {
			left = append(left, a)
		}
	}
	return left
}
