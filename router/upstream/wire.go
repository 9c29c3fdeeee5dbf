package upstream

import (
	"crypto/tls"
	"errors"
	"net"
	"time"
)

// StartTLS makes c, just dialled, a TLS connection, within the Deadline the
// caller has set. Everything else about c stays as it is: the same methods, the
// same limits. On error c is closed.
func (c *Conn) StartTLS(t *TLS) error {
	c.wire = wire{conn: c}
	c.tls = tls.Client(&c.wire, t.config)
	if err := c.tls.Handshake(); err != nil {
		c.tls = nil
		c.Close()
		return err
	}
	return nil
}

// endTLS tells the vassal that no more comes, if the socket takes that at once.
func (c *Conn) endTLS() {
	c.wire.hurry = true
	_ = c.tls.Close()
	c.tls, c.wire = nil, wire{}
}

// staleTLS: nothing was decrypted that nobody has read, and nothing came since.
// Late records that are no data (tickets) count as well: telling them from half
// an unasked response is not worth a connection.
func (c *Conn) staleTLS() bool {
	c.wire.hurry, c.wire.came = true, false
	defer func() { c.wire.hurry = false }()
	var b [1]byte
	n, err := c.tls.Read(b[:])
	return n > 0 || !errors.Is(err, errNothing) || c.wire.came
}

// wire is the net.Conn that crypto/tls is given: the Conn's own socket, with its
// waits and limits.
type wire struct {
	conn  *Conn
	hurry bool // do not wait
	came  bool // bytes were read in a hurry
}

func (w *wire) Read(b []byte) (int, error) {
	if w.hurry {
		return w.readNow(b)
	}
	return w.conn.read(b)
}

func (w *wire) readNow(b []byte) (int, error) {
	if w.conn.socket.ReadyToRead() {
		w.came = true
		return w.conn.read(b)
	}
	return 0, errNothing
}

func (w *wire) Write(b []byte) (int, error) {
	if w.hurry {
		return w.conn.writeNow(b)
	}
	return w.conn.write(b)
}

// The rest of net.Conn: the Conn closes its socket and keeps the time itself.
func (w *wire) Close() error                     { return nil }
func (w *wire) LocalAddr() net.Addr              { return nowhere{} }
func (w *wire) RemoteAddr() net.Addr             { return nowhere{} }
func (w *wire) SetDeadline(time.Time) error      { return nil }
func (w *wire) SetReadDeadline(time.Time) error  { return nil }
func (w *wire) SetWriteDeadline(time.Time) error { return nil }

type nowhere struct{}

func (nowhere) Network() string { return "" }
func (nowhere) String() string  { return "" }

// errNothing: nothing to be read just now. To crypto/tls it is Temporary, so that
// the connection lives on.
var errNothing net.Error = nothing{}

type nothing struct{}

func (nothing) Error() string   { return "nothing to read" }
func (nothing) Timeout() bool   { return true }
func (nothing) Temporary() bool { return true }
