package router

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"emperor/router/upstream"
)

// relayTunnel delivers a 101 and then carries bytes both ways until either side
// ends or both are silent for too long.
func (x *exchange) relayTunnel(conn *upstream.Conn) outcome {
	if x.upgrade() == nil {
		return outcome{err: fmt.Errorf("%w to this request: it switches protocols, which nobody asked for", errGarbage), sent: true}
	}
	x.head = answerHead{response: &x.response, length: -1, noBody: true}
	x.status, x.entry.Status = x.response.Status, x.response.Status
	if err := x.down.tunnel(&x.head, x.back[x.first:x.last]); err != nil {
		return outcome{err: err, sent: true, answered: true}
	}
	if err := conn.Share(); err != nil {
		return outcome{err: err, sent: true, answered: true}
	}
	x.router.counters.tunnels.Add(1)
	defer x.router.counters.tunnels.Add(-1)

	t := &tunnel{x: x, conn: conn}
	t.alive()
	t.running.Go(t.up)
	defer t.stop() // also when down panics: up must not outlive the request
	return outcome{err: t.down(), sent: true, answered: true}
}

// upgrade is the protocol that the client offers to switch to, nil when it does
// not or may not. HTTP/2 and TLS are not let through: requests inside of them
// would pass by the rules. Nor is an offer beside a body, which would have to be
// sent to its end first.
func (x *exchange) upgrade() []byte {
	r := &x.request
	if !x.settings.websockets || r.HasBody() || len(r.Upgrade) == 0 {
		return nil
	}
	for _, b := range r.Upgrade {
		if b == ',' {
			return nil // a choice that we could not look into
		}
	}
	for _, no := range [...]string{"h2", "HTTP/", "TLS/"} {
		if len(r.Upgrade) >= len(no) && bytes.EqualFold(r.Upgrade[:len(no)], []byte(no)) {
			return nil
		}
	}
	return r.Upgrade
}

// tunnel is an upgraded connection: one goroutine each way.
type tunnel struct {
	x       *exchange
	conn    *upstream.Conn
	ended   atomic.Bool // the client has sent its last byte
	running sync.WaitGroup
}

// stop ends the way up and waits for it.
func (t *tunnel) stop() {
	t.conn.Abort()
	t.x.down.stopReading()
	t.running.Wait()
	t.x.down.revive()
}

// tunnelGrace is how long a vassal may take to end after its client has.
const tunnelGrace = 10 * time.Second

// alive pushes the limit away that both directions share: silence means silence
// of both.
func (t *tunnel) alive() {
	if t.ended.Load() {
		t.conn.Deadline.Set(tunnelGrace)
		return
	}
	t.conn.Deadline.Set(t.x.settings.tunnelTimeout)
}

// up carries the client's bytes. When the client has sent its last, the vassal
// is told (half-close) and may finish.
func (t *tunnel) up() {
	defer t.x.guard(t.conn)
	for buffer := make([]byte, 16<<10); ; {
		n, err := t.x.down.readTunnel(buffer)
		if n == 0 {
			if err == nil || err == io.EOF {
				t.ended.Store(true)
				t.alive()
				_ = t.conn.CloseWrite()
			} else {
				t.conn.Abort()
			}
			return
		}
		t.alive()
		if _, err := t.conn.Write(buffer[:n]); err != nil {
			return
		}
	}
}

// down carries the vassal's bytes until it ends.
func (t *tunnel) down() error {
	x := t.x
	for {
		n, err := t.conn.Read(x.back)
		if n > 0 {
			t.alive()
			x.hear()
			if err := x.down.writeTunnel(x.back[:n]); err != nil {
				return err
			}
		}
		switch {
		case err == nil:
		case err == io.EOF, errors.Is(err, upstream.ErrAborted), t.ended.Load():
			return nil
		default:
			return err
		}
	}
}
