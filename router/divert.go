package router

import (
	"errors"
	"io"
	"log/slog"
	"os"

	"golang.org/x/sys/unix"

	"emperor/router/hello"
	"emperor/router/sni"
	"emperor/router/stream"
)

// way is where a connection goes, once its first bytes are known.
type way uint8

const (
	toRules way = iota // requests are read from it
	toEnd              // it went elsewhere, or nowhere, and is over
)

// divert decides where a connection goes whose listener, or whose ClientHello, may
// send it past the rules of requests. What it has read of it is not consumed.
func (c *client) divert(s *Settings) way {
	switch {
	case c.peer.option == optionRawRouter && s.streams.subscribed[optionRawRouter]:
		return c.followAnnounced(s, stream.Pass, optionRawRouter, nil)
	case c.peer.option == optionRawRouter:
		d, ok := s.streams.table.Listener(optionRawRouter, c.peer.listener, &stream.Client{Remote: c.peer.remote})
		return c.follow(s, &d, ok, nil)
	case !isSecure(c.peer.option):
		return toRules
	case isHTTPS(c.peer.option) && !s.streams.peeks:
		return toRules
	}
	var h hello.Hello
	err := c.peek(s, &h)
	if errors.Is(err, hello.ErrNotTLS) {
		d, ok := s.streams.table.DefaultFor(&stream.Client{Remote: c.peer.remote})
		if !ok && isHTTPS(c.peer.option) {
			return toRules // where a client that speaks plain HTTP is told so
		}
		return c.follow(s, &d, ok, nil)
	}
	if err != nil {
		if c.x != nil && c.x.end > c.x.start || errors.Is(err, os.ErrDeadlineExceeded) {
			c.router.counters.handshakesFailed.Add(1)
			c.router.complain(&c.peer, slog.LevelInfo, "connection closed: no ClientHello", slog.Any("err", err))
		}
		if _, malformed := errors.AsType[malformedHello](err); malformed {
			c.alert(decodeError)
			c.linger() // closing with bytes unread would take the alert away from the client
		}
		return toEnd // else a port check
	}
	asked, unnamed := c.asked(&h)
	d, ok := s.streams.table.Find(&asked)
	if !ok && c.onlyStreams() {
		action := stream.Pass
		if c.hasCertificate(s, asked.Name) {
			action = stream.TCP
		}
		if s.streams.subscribed[optionSSLRouter] {
			return c.followAnnounced(s, action, optionSSLRouter, &asked)
		}
		d, ok = s.streams.table.Listener(optionSSLRouter, c.peer.listener, &asked)
		d.Action = action
		if !ok && unnamed != nil {
			c.refuseHello(&h, "no host name: "+unnamed.Error())
			return toEnd
		}
	}
	return c.follow(s, &d, ok, &asked)
}

// asked is what a client says about itself in its ClientHello. An address, or what else
// is no host name, names nobody: rules that are for every client are for this one, too;
// unnamed says why.
func (c *client) asked(h *hello.Hello) (asked stream.Client, unnamed error) {
	asked = stream.Client{Protocols: h.Protocols, Remote: c.peer.remote}
	if len(h.ServerName) > 0 {
		asked.Name, unnamed = sni.CanonicalName(string(h.ServerName))
	}
	return asked, unnamed
}

// followAnnounced sends the connection to the nodes that have announced themselves.
func (c *client) followAnnounced(s *Settings, action stream.Action, kind string, asked *stream.Client) way {
	name := ""
	if asked != nil {
		name = asked.Name
	}
	nodes, err := c.announcedFor(s, kind, name)
	if err != nil {
		c.refuseStream(asked, nil, err.Error())
		return toEnd
	}
	c.carryOn(s, &stream.Decision{Action: action, Fixed: true}, asked, nodes) // nodes name themselves, no client does
	return toEnd
}

// onlyStreams: there are no requests on connections of this listener, unless a rule
// says so.
func (c *client) onlyStreams() bool { return !isHTTPS(c.peer.option) }

// hasCertificate tells whether TLS can end here for that name.
func (c *client) hasCertificate(s *Settings, name string) bool {
	l := s.certificates.byName[c.peer.listener]
	if l == nil {
		return false
	}
	_, ok := l.Find(name)
	return ok
}

// follow does what was decided; ok is false when no rule said anything. asked is nil
// where there was no ClientHello.
func (c *client) follow(s *Settings, d *stream.Decision, ok bool, asked *stream.Client) way {
	switch {
	case ok && d.Refused != "":
		c.refuseStream(asked, d, d.Refused)
	case ok && d.Action == stream.HTTP, !ok && asked != nil && !c.onlyStreams():
		return toRules
	case !ok && c.peer.option == optionRawRouter:
		c.refuseStream(nil, nil, "no address for it: want rawrouter-to")
	case !ok && asked == nil:
		c.router.complain(&c.peer, slog.LevelInfo, "connection closed: it does not begin with TLS, and there is no stream-default", slog.String("listener", c.peer.listener))
	case !ok:
		c.refuseStream(asked, nil, "no rule and no address for it")
	case d.Action == stream.Reject:
		c.refuseStream(asked, d, "reject")
	default:
		c.carryOn(s, d, asked, nil)
	}
	return toEnd
}

// carryOn has the bytes go on, decrypted if the decision says so and there is something
// to decrypt.
func (c *client) carryOn(s *Settings, d *stream.Decision, asked *stream.Client, nodes *flowNodes) {
	if d.Action == stream.TCP && asked != nil && !c.secure(s, true) {
		return
	}
	c.flow(s, d, asked, nodes)
}

// Alerts that a client gets instead of a handshake (RFC 6066 §3, RFC 8446 §6.2).
const (
	decodeError      = 50 // what began as TLS is no ClientHello
	internalError    = 80 // who was to answer it can't be reached, or there are too many streams
	unrecognizedName = 112
)

// refuseStream closes a connection with a line that says why, and a word to a client
// that speaks TLS.
func (c *client) refuseStream(asked *stream.Client, d *stream.Decision, why string) {
	c.refuseWith(unrecognizedName, asked, d, why)
}

// refuseWith says why by that alert.
func (c *client) refuseWith(alert byte, asked *stream.Client, d *stream.Decision, why string) {
	attributes := []slog.Attr{slog.String("why", why), slog.String("listener", c.peer.listener)}
	if asked != nil {
		attributes = append(attributes, slog.String("sni", asked.Name))
	}
	if d != nil && d.Rule != nil {
		attributes = append(attributes, slog.String("rule", d.Rule.Place()))
	}
	c.router.counters.streamsRefused.Add(1)
	c.router.complain(&c.peer, slog.LevelInfo, "stream refused", attributes...)
	c.letDown(alert, asked)
}

// letDown shows a client that its stream came to nothing: by an alert as long as there is
// no TLS, and behind TLS by an end without its goodbye, which would make it look like a
// whole answer that is empty.
func (c *client) letDown(alert byte, asked *stream.Client) {
	switch {
	case c.tls != nil:
		c.resetAtEnd()
	case asked != nil:
		c.alert(alert)
	}
}

func (c *client) refuseHello(h *hello.Hello, why string) {
	c.router.counters.streamsRefused.Add(1)
	c.router.complain(&c.peer, slog.LevelInfo, "stream refused", slog.String("why", why), slog.String("listener", c.peer.listener), slog.String("sni", string(h.ServerName)))
	c.alert(unrecognizedName)
}

// alert tells a client whose ClientHello has been read, or can't be, why there is no
// handshake: a fatal alert, before a version was agreed upon.
func (c *client) alert(description byte) {
	c.socket.Writing.Set(lingerSilence)
	_, _ = c.socket.Write([]byte{21, 3, 1, 0, 2, 2, description})
	c.socket.Writing.Clear()
}

// malformedHello: what a connection begins with is TLS, but no ClientHello, and no byte
// behind it will make it one.
type malformedHello struct{ error }

// peek reads until the connection's ClientHello is complete, and consumes nothing.
func (c *client) peek(s *Settings, h *hello.Hello) error {
	c.socket.Reading.Set(s.streams.hello)
	defer c.socket.Reading.Clear()
	for c.x == nil { // who sends nothing gets no buffer
		if err := c.socket.AwaitReadable(); err != nil {
			return err
		}
		x := c.router.exchanges.borrow()
		n, err := c.socket.TryRead(x.in)
		if n > 0 {
			c.x, x.end = x, n
			break
		}
		c.router.exchanges.giveBack(x)
		if err == nil {
			return io.EOF
		}
		if err != unix.EAGAIN {
			return err
		}
	}
	x := c.x
	for {
		if x.end > x.start {
			switch complete, err := h.Parse(x.in[x.start:x.end]); {
			case err != nil && !errors.Is(err, hello.ErrNotTLS):
				return malformedHello{err}
			case complete || err != nil:
				return err
			}
		}
		if x.end == len(x.in) {
			x.makeRoom(hello.MaxSize)
		}
		c.socket.Confirm()
		n, err := c.socket.Read(x.in[x.end:])
		x.end += n
		if n == 0 {
			if err == nil || err == io.EOF {
				err = errors.New("the connection ended before its ClientHello was complete")
			}
			return err
		}
	}
}
