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
func (c *Conn) Dial(a *Address) error {
	c.aborted.Store(false)
	var err error
	if a.host != "" {
		err = c.dialName(a)
	} else {
		err = c.dial(&a.socket, 0)
	}
	if err != nil {
		c.Close()
	}
	return err
}

// dial connects to one socket, within limit if that is not 0.
func (c *Conn) dial(to *socketAddress, limit time.Duration) error {
	fd, _, errno := syscall.RawSyscall(unix.SYS_SOCKET, uintptr(to.family), unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if errno != 0 {
		return os.NewSyscallError("socket", errno)
	}
	c.socket.Open(int(fd))
	if err := c.connect(to, limit); err != nil {
		c.socket.HangUp()
		return err
	}
	return nil
}

func (c *Conn) connect(to *socketAddress, limit time.Duration) error {
	size := to.size
	for pause := time.Millisecond; ; pause = min(2*pause, 50*time.Millisecond) {
		_, _, errno := syscall.RawSyscall(unix.SYS_CONNECT, uintptr(c.socket.FD()), uintptr(unsafe.Pointer(&to.raw)), uintptr(size))
		switch errno {
		case 0:
			if to.family != unix.AF_UNIX {
				return c.noDelay()
			}
			return nil
		case unix.EINTR:
		case unix.EAGAIN:
			// Nothing tells when a backlog has room again.
			if err := c.wait(pause); err == ErrTimeout && to.family == unix.AF_UNIX {
				return ErrBusy
			} else if err != nil {
				return err
			}
		case unix.EINPROGRESS:
			if err := c.awaitConnected(limit); err != nil {
				return err
			}
			// Connected, or failed with the error; a wake for nothing comes back here
			// as EALREADY.
			value, err := unix.GetsockoptInt(c.socket.FD(), unix.SOL_SOCKET, unix.SO_ERROR)
			if err != nil {
				return os.NewSyscallError("getsockopt", err)
			}
			if value != 0 {
				return os.NewSyscallError("connect", syscall.Errno(value))
			}
		case unix.EALREADY:
			if err := c.awaitConnected(limit); err != nil {
				return err
			}
		case unix.EISCONN:
			return c.noDelay()
		case unix.ECONNREFUSED:
			if size == to.size && to.abstract() {
				// Everybody but uWSGI binds abstract names without the trailing NUL.
				size--
				continue
			}
			return os.NewSyscallError("connect", errno)
		default:
			return os.NewSyscallError("connect", errno)
		}
	}
}

func (c *Conn) noDelay() error {
	return os.NewSyscallError("setsockopt", unix.SetsockoptInt(c.socket.FD(), unix.IPPROTO_TCP, unix.TCP_NODELAY, 1))
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
func (c *Conn) dialName(a *Address) error {
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
		addresses = without(addresses, tried)
		var asked <-chan struct{}
		for i, ip := range addresses {
			limit := time.Duration(0)
			if i < len(addresses)-1 {
				limit = patienceWithOne
			}
			var to socketAddress
			to.setTCP(netip.AddrPortFrom(ip, a.port))
			if err = c.dial(&to, limit); err == nil {
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
