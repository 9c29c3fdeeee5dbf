package logsink

import (
	"errors"
	"fmt"
	"net"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// datagramWait is how long a receiver that takes nothing is waited for at once.
const datagramWait = time.Second

// Datagrams says where a record each is sent.
type Datagrams struct {
	Network string // "udp", "unixgram"
	Address string
	// Largest is how many bytes a record may have; the rest is cut off. 0: as many as
	// the socket takes.
	Largest int
	// LargeByFile: what is larger than the socket takes is sent as a descriptor, as the
	// journal takes it.
	LargeByFile bool
}

// datagrams is a socket to which each record is sent as one datagram.
type datagrams struct {
	Datagrams
	conn net.Conn
}

// NewDatagrams makes the device of a datagram socket; it is opened at the first Write.
// The sink must be Framed.
func NewDatagrams(d Datagrams) Device { return &datagrams{Datagrams: d} }

func (d *datagrams) Write(p []byte) (n int, err error) {
	if d.conn == nil {
		if d.conn, err = net.DialTimeout(d.Network, d.Address, datagramWait); err != nil {
			d.conn = nil
			return 0, err
		}
	}
	_ = d.conn.SetWriteDeadline(time.Now().Add(datagramWait))
	for len(p) > 0 {
		record, size := nextFrame(p)
		if d.Largest > 0 && len(record) > d.Largest {
			record = record[:d.Largest]
		}
		if err := d.send(record); err != nil {
			if errors.Is(err, os.ErrDeadlineExceeded) {
				return n, fmt.Errorf("%s takes no more: %w", d.Address, syscall.EAGAIN)
			}
			if !errors.Is(err, syscall.EMSGSIZE) { // one that is too large for ever is dropped
				d.Close()
				return n, err
			}
		}
		n, p = n+size, p[size:]
	}
	return n, nil
}

func (d *datagrams) send(record []byte) error {
	_, err := d.conn.Write(record)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, syscall.ECONNREFUSED) && d.Network == "udp":
		return nil // the answer to an earlier one: nobody listens there, and with UDP nobody says so in time
	case !errors.Is(err, syscall.EMSGSIZE) && !errors.Is(err, syscall.ENOBUFS):
		return err
	}
	if d.LargeByFile {
		return d.sendFile(record)
	}
	for len(record) > 1024 { // as much of it as goes through
		record = record[:len(record)/2]
		if _, err = d.conn.Write(record); !errors.Is(err, syscall.EMSGSIZE) {
			return err
		}
	}
	return syscall.EMSGSIZE
}

// sendFile sends a record in a sealed piece of memory (systemd's "Native Journal
// Protocol").
func (d *datagrams) sendFile(record []byte) error {
	fd, err := unix.MemfdCreate("journal", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	for rest := record; len(rest) > 0; {
		n, err := unix.Write(fd, rest)
		if err != nil {
			return err
		}
		rest = rest[n:]
	}
	if _, err := unix.FcntlInt(uintptr(fd), unix.F_ADD_SEALS, unix.F_SEAL_SEAL|unix.F_SEAL_SHRINK|unix.F_SEAL_GROW|unix.F_SEAL_WRITE); err != nil {
		return err
	}
	_, _, err = d.conn.(*net.UnixConn).WriteMsgUnix(nil, unix.UnixRights(fd), nil)
	return err
}

func (d *datagrams) Reopen() error { d.Close(); return nil }
func (d *datagrams) Rotate() error { return nil }
func (d *datagrams) Look()         {}

func (d *datagrams) Close() {
	if d.conn != nil {
		d.conn.Close()
		d.conn = nil
	}
}
