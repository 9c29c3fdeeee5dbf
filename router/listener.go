package router

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"runtime"
	"strings"
	"time"

	"emperor/internal/link"
	"emperor/router/socket"
)

// listener accepts on one inherited socket.
type listener struct {
	described link.Listener
	socket    *socket.Listener
	datagrams net.PacketConn // instead of socket
	port      string         // SERVER_PORT
	done      chan struct{}
}

// openListener takes over a descriptor from the emperor. The socket itself
// stays the emperor's: closing our descriptor never closes the port.
func (r *Router) openListener(described link.Listener, fd int) (*listener, error) {
	if described.Datagrams {
		return openDatagrams(described, fd)
	}
	socket, err := r.poller.Listen(fd)
	if err != nil {
		return nil, fmt.Errorf("listener %s: %w", described.Address, err)
	}
	socket.ForSpokenTo(isSecure(described.Option))
	return &listener{described: described, socket: socket, port: serverPort(socket.Addr()), done: make(chan struct{})}, nil
}

// serverPort is the text after the last colon of the listening address, "" for
// a unix socket (uWSGI's SERVER_PORT).
func serverPort(address net.Addr) string {
	if address.Network() == "unix" {
		return ""
	}
	text := address.String()
	return text[strings.LastIndexByte(text, ':')+1:]
}

// acceptsAtOnce is how many connections of a burst are accepted before those that
// are there get a turn; one that is served on the spot counts for more.
const (
	acceptsAtOnce = 64
	servedCounts  = 8
)

// mayServe tells whether who accepts should serve a connection as far as that needs no
// waiting. In a burst that does not end it is left to the workers, of whom each
// processor can have one.
func (l *listener) mayServe() bool {
	return l.socket.InARow() <= acceptsAtOnce/4 || runtime.GOMAXPROCS(0) == 1
}

// run accepts until the listener is closed.
func (l *listener) run(r *Router) {
	defer close(l.done)
	if l.datagrams != nil {
		l.receive(r)
		return
	}
	said := false
	for accepted := 0; ; {
		conn, err := l.socket.Accept()
		switch {
		case err == nil:
			said = false
			accepted++
			if r.serve(conn, l) {
				accepted += servedCounts - 1
			}
			if accepted >= acceptsAtOnce {
				accepted = 0
				runtime.Gosched()
			}
		case errors.Is(err, net.ErrClosed), err == io.EOF:
			l.close()
			return
		default:
			// Out of descriptors or memory: the kernel keeps the queue, we take a breath.
			if !said {
				r.log.Error("cannot accept connections; trying again until it works", slog.String("listener", l.described.Address), slog.Any("err", err))
				said = true
			}
			time.Sleep(50 * time.Millisecond)
		}
	}
}

// drain makes run take what the kernel has queued and end: those clients have
// been told that they are connected.
func (l *listener) drain() {
	if l.datagrams != nil {
		_ = l.datagrams.SetReadDeadline(time.Unix(1, 0))
	} else {
		l.socket.Drain()
	}
	<-l.done
}

// close ends it without taking what is queued.
func (l *listener) close() {
	if l.datagrams != nil {
		_ = l.datagrams.Close()
		return
	}
	_ = l.socket.Close()
}
