package router

import (
	"cmp"
	"log/slog"
	"time"

	"golang.org/x/sys/unix"

	"emperor/router/balance"
	"emperor/router/relay"
	"emperor/router/stream"
	"emperor/router/upstream"
)

// flow is a connection whose bytes go on as they are, to where a rule of streams
// says. Once it is connected, nobody waits for its end if both sides are plain sockets.
type flow struct {
	c        *client
	settings *Settings
	decision stream.Decision
	asked    *stream.Client // nil: it does not begin with TLS
	asking   stream.Client  // what asked is
	began    time.Time
	connect  time.Duration // of which making the connection took that much
	number   int64         // how many streams there were with this one

	conn    *upstream.Conn
	nodes   *flowNodes
	tried   balance.Tried
	holding holding // of a vassal, of an address
	address string  // where it went
	vassal  string

	ahead  int64 // bytes of the client's that were sent before the others
	result relay.Result
}

// flow carries a connection, until it ends or goes on by itself (client.alone). nodes
// are where it may go; nil: where the decision says.
func (c *client) flow(s *Settings, d *stream.Decision, asked *stream.Client, nodes *flowNodes) {
	c.newFlow(s, d, asked, nodes).run()
}

func (c *client) newFlow(s *Settings, d *stream.Decision, asked *stream.Client, nodes *flowNodes) *flow {
	if nodes == nil {
		nodes = c.router.flowNodesOf(s, d)
	}
	f := &flow{c: c, settings: s, decision: *d, nodes: nodes, began: time.Now()}
	if asked != nil {
		f.asking = *asked
		f.asked = &f.asking
	}
	f.conn = c.router.dialer.NewConn()
	f.number = c.router.counters.streams.Add(1)
	return f
}

// run is all that there is to do in a flow up to where it goes on by itself, or ends.
func (f *flow) run() {
	c := f.c
	defer func() {
		if !c.alone {
			f.end()
		}
	}()
	if f.tooMany() {
		c.refuseWith(internalError, f.asked, &f.decision, "stream-connections")
		return
	}
	c.router.counters.streamsBegun.Add(1)
	if err := f.reach(); err != nil {
		f.result.Reason, f.result.Err = "not connected", err
		c.router.counters.streamsFailed.Add(1)
		c.router.complain(&c.peer, slog.LevelWarn, "stream not connected", f.attributes(slog.Any("err", err))...)
		c.letDown(f.unreached(), f.asked)
		f.log()
		return
	}
	f.connect = time.Since(f.began)
	f.carry()
}

func (f *flow) tooMany() bool {
	most := f.settings.streams.most
	return most > 0 && f.number > most
}

// carry lets the bytes go both ways.
func (f *flow) carry() {
	c := f.c
	if x := c.x; x != nil {
		// A stream that lasts for days holds no buffers of requests.
		f.ahead = int64(x.end - x.start)
		c.x = nil
		c.router.exchanges.giveBack(x)
	}
	if f.asked != nil {
		f.asked.Protocols = nil // they stood there
	}
	idle := cmp.Or(f.decision.Idle, f.settings.streams.idleTime(c.peer.option))
	if f.settings.streams.xclient && c.peer.option == optionRawRouter {
		if err := f.greet(idle); err != nil {
			f.result.Reason, f.result.Err = "no greeting", err
			f.log()
			return
		}
	}
	f.conn.Deadline.Clear()
	var client relay.Side = c.socket
	if c.tls != nil {
		client = c.tls
	}
	running := relay.New(client, f.conn, relay.Options{Idle: idle, Owner: f})
	c.flowing.Store(running)
	if c.aborted() {
		running.Stop(endShutDown)
	}
	if c.tls != nil {
		f.carried(running.Run())
		return
	}
	c.goAlone()
	if !running.Start() {
		f.Over(running.Run())
	}
}

// Spawn is for the Relay, as are Over and Lasts.
func (f *flow) Spawn(carry func()) { f.c.router.serving.Go(carry) }

// carried notes how the stream ended.
func (f *flow) carried(result relay.Result) {
	c := f.c
	c.flowing.Store(nil)
	f.result = result
	f.result.FromClient += f.ahead
	f.passReset()
	c.router.counters.streamsIn.Add(uint64(f.result.FromClient))
	c.router.counters.streamsOut.Add(uint64(f.result.FromUpstream))
	f.log()
}

// Over is called at the end of a stream that nobody waits for.
func (f *flow) Over(result relay.Result) {
	if f.vassal != "" {
		// Who is told that a vassal has served, and that it has one stream less, may
		// have us wait.
		f.c.router.serving.Go(func() { f.part(result) })
		return
	}
	f.part(result)
}

// part is the end of a client that was left to itself.
func (f *flow) part(result relay.Result) {
	defer func() {
		if v := recover(); v != nil {
			f.c.faulty(v)
		}
		f.end()
		f.c.depart()
	}()
	f.carried(result)
}

// end gives back what the flow has.
func (f *flow) end() {
	f.letGo()
	f.conn.Release()
	f.c.router.counters.streams.Add(-1)
}

// passReset has one side learn that the other broke off: what came of it is not all
// that was to come, and an end like any other would make it look so.
func (f *flow) passReset() {
	switch f.result.Reason {
	case relay.ClientReset, relay.ClientFailed:
		f.conn.Control(func(fd int) { _ = unix.SetsockoptLinger(fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1}) })
	case relay.UpstreamReset, relay.UpstreamFailed:
		f.c.resetAtEnd()
	}
}

// Reasons for an end that is ours.
const (
	endShutDown = "shut down"
	endDrained  = "drained"
)

// keepAliveTime is how long a silent TCP connection goes without being asked whether
// its other end is still there: less than address translators forget it in.
const keepAliveTime = 60

// Lasts has the kernel find out when either end has gone without a word. Six calls are a
// lot for a stream that is over in a moment: it is done for those that last.
func (f *flow) Lasts() {
	set := func(fd int) {
		_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1) // a unix socket does not mind
		_ = unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_KEEPIDLE, keepAliveTime)
		_ = unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_KEEPINTVL, keepAliveTime/4)
	}
	f.c.socket.Control(set)
	f.conn.Control(set)
}

// letGo gives back what the flow holds of a vassal and of an address.
func (f *flow) letGo() {
	f.leaveVassal()
	if f.holding.hasNode {
		f.holding.hasNode = false
		f.noted(f.holding.node.Done(balance.Works), nil)
	}
	f.c.sends(nil)
}

// attributes say what the flow is about.
func (f *flow) attributes(more ...slog.Attr) []slog.Attr {
	all := []slog.Attr{slog.String("listener", f.c.peer.listener)}
	if f.asked != nil {
		all = append(all, slog.String("sni", f.asked.Name))
	}
	if r := f.decision.Rule; r != nil {
		all = append(all, slog.String("rule", r.Place()))
	}
	return append(all, more...)
}
