package router

import (
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"emperor/router/stream"
)

// Most streams that are passed through need nobody to wait for anything: the ClientHello
// has come with the connection, the rule names an address, and that is on this machine
// or nearby. Whoever accepts the connection then does it all himself: to wake a worker for
// it costs more than the router's own part of the work, on several processors most of
// all.

// serveNow is serve as far as nothing has to be waited for. false: serve goes on.
func (c *client) serveNow() (done bool) {
	s := c.router.current()
	if !s.streams.peeks || !isSecure(c.peer.option) || s.wantsProxyHeader(&c.peer) {
		return false
	}
	defer func() {
		if v := recover(); v != nil {
			c.faulty(v)
			if done = true; c.begun != nil && !c.alone {
				c.begun.end()
			}
		}
		if done && !c.alone {
			c.depart()
		}
	}()
	if !c.glance() {
		return false
	}
	asked, _ := c.asked(&c.x.hello)
	d, ok := s.streams.table.Find(&asked)
	if !ok || d.Refused != "" || d.Action != stream.Pass || !d.Fixed {
		return false
	}
	c.begun = c.newFlow(s, &d, &asked, nil)
	return c.begun.runNow()
}

// glance is peek for a ClientHello that is there, whole.
func (c *client) glance() bool {
	x := c.router.exchanges.borrow()
	n, err := c.socket.TryRead(x.in)
	if err != nil && err != unix.EAGAIN || n == 0 {
		c.router.exchanges.giveBack(x)
		return false
	}
	c.x, x.end = x, n
	complete, err := x.hello.Parse(x.in[:n])
	return complete && err == nil
}

// runNow is run as far as nothing has to be waited for. false: run goes on.
func (f *flow) runNow() bool {
	if f.tooMany() || !f.pick() {
		return false
	}
	i := f.holding.node.Index
	node := &f.nodes.nodes[i]
	if strings.HasPrefix(node.Address, "vassal:") || f.c.router.table.named(node.Address) != nil {
		return false
	}
	f.address = node.Address
	if !f.conn.DialNow(&f.nodes.addresses[i], node.Networks, f.opening()) {
		return false
	}
	f.c.sends(f.conn) // Dial forgets an abort that came before it
	f.c.router.counters.streamsBegun.Add(1)
	f.noted(f.holding.node.Connected(), nil)
	f.connect = time.Since(f.began)
	f.carry()
	return true
}
