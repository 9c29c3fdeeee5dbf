package router

import (
	"errors"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"emperor/router/http1"
	"emperor/router/upstream"
)

// relayTunnel delivers a 101 and then carries bytes both ways until either side
// ends or both are silent for too long.
func (c *client) relayTunnel(conn *upstream.Conn) outcome {
	x := c.x
	c.closeAfter()
	if x.request.Upgrade == nil {
		return outcome{err: errors.New("the vassal switched protocols, which nobody asked for"), sent: true}
	}
	head := http1.ResponseHead{ContentLength: -1, Upgrade: x.response.Upgrade}
	x.answer = head.Append(x.answer[:0], &x.response)
	if err := c.writeWithHead(x.back[x.first:x.last]); err != nil {
		return outcome{err: err, sent: true, answered: true}
	}
	if err := conn.Share(); err != nil {
		return outcome{err: err, sent: true, answered: true}
	}
	c.router.counters.tunnels.Add(1)
	defer c.router.counters.tunnels.Add(-1)

	t := &tunnel{client: c, conn: conn}
	t.alive()
	var up sync.WaitGroup
	up.Go(t.up)
	err := t.down()
	conn.Abort()
	c.interrupted.Store(true)
	c.interrupt()
	up.Wait()
	c.revive()
	return outcome{err: err, sent: true, answered: true}
}

// tunnel is an upgraded connection: one goroutine each way.
type tunnel struct {
	client *client
	conn   *upstream.Conn
	ended  atomic.Bool // the client has sent its last byte
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
	t.conn.Deadline.Set(t.client.settings.tunnelTimeout)
}

// up carries the client's bytes. When the client has sent its last, the vassal
// is told (half-close) and may finish.
func (t *tunnel) up() {
	c, x := t.client, t.client.x
	for {
		if x.start == x.end {
			n, err := c.read(x.in)
			x.start, x.end = 0, n
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
		}
		t.alive()
		if _, err := t.conn.Write(x.in[x.start:x.end]); err != nil {
			return
		}
		x.start = x.end
	}
}

// down carries the vassal's bytes until it ends.
func (t *tunnel) down() error {
	x := t.client.x
	for {
		n, err := t.conn.Read(x.back)
		if n > 0 {
			t.alive()
			if err := t.client.write(x.back[:n]); err != nil {
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
