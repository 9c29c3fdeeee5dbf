package router

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"net/textproto"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"emperor/router/http1"
	"emperor/router/relay"
	"emperor/router/upstream"
)

// HTTP/2 comes in through net/http, which knows frames, flow control and what
// attackers do with them; each of its requests then goes the way of all requests
// (exchange.serve) with a stream as its downstream.

// Limits of an HTTP/2 connection.
const (
	mostStreams    = 128 // requests at a time
	streamBuffer   = 256 << 10
	connBuffer     = 1 << 20
	mostFrameBytes = 16 << 10
)

// multiplexed serves the HTTP/2 connections of a router.
type multiplexed struct {
	router  *Router
	leaving chan struct{} // closed when no more are taken
	once    sync.Once
	serving sync.WaitGroup
	workers streamWorkers

	mu       sync.Mutex
	servers  map[connLimits]*multiplexedServer // guarded by mu
	owner    map[net.Conn]*multiplexedConn     // guarded by mu
	closed   bool                              // guarded by mu
	requests sync.WaitGroup                    // the library does not wait for them when a connection ends
}

// connLimits are what a configuration says of a connection.
type connLimits struct {
	idle    time.Duration // without a request under way
	writing time.Duration // until the client takes something
}

// multiplexedServer is the library's server for connections of the same limits, which
// it can't be told later; and the listener that it accepts from.
type multiplexedServer struct {
	*multiplexed
	server *http.Server
	conns  chan net.Conn // to be served
}

// multiplexedConn is one connection that net/http serves.
type multiplexedConn struct {
	client *client
	ended  chan struct{}
}

func newMultiplexed(r *Router) *multiplexed {
	return &multiplexed{router: r, leaving: make(chan struct{}), servers: map[connLimits]*multiplexedServer{}, owner: map[net.Conn]*multiplexedConn{}}
}

// serverFor is the server for connections of these limits; nil when no more are served.
func (m *multiplexed) serverFor(limits connLimits) *multiplexedServer {
	m.mu.Lock()
	defer m.mu.Unlock()
	select {
	case <-m.leaving:
		return nil
	default:
	}
	s := m.servers[limits]
	if s != nil {
		return s
	}
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true) // TLS is done before
	s = &multiplexedServer{multiplexed: m, conns: make(chan net.Conn)}
	s.server = &http.Server{
		Handler:        http.HandlerFunc(m.request),
		Protocols:      protocols,
		MaxHeaderBytes: 64 << 10,

		DisableGeneralOptionsHandler: true, // OPTIONS * is a request like others

		ErrorLog:    log.New(&errorLines{log: m.router.log}, "", 0),
		ConnContext: m.describe,
		ConnState:   m.changed,
		IdleTimeout: limits.idle,
		HTTP2: &http.HTTP2Config{
			MaxConcurrentStreams:          mostStreams,
			MaxReadFrameSize:              mostFrameBytes,
			MaxReceiveBufferPerStream:     streamBuffer,
			MaxReceiveBufferPerConnection: connBuffer,
			WriteByteTimeout:              limits.writing,
			SendPingTimeout:               30 * time.Second, // a peer that is gone is noticed
			PingTimeout:                   15 * time.Second,
		},
	}
	m.servers[limits] = s
	m.serving.Go(func() { _ = s.server.Serve(s) })
	return s
}

func (s *multiplexedServer) Accept() (net.Conn, error) {
	select {
	case conn := <-s.conns:
		return conn, nil
	case <-s.leaving:
		return nil, net.ErrClosed
	}
}

func (s *multiplexedServer) Close() error { return nil }

func (s *multiplexedServer) Addr() net.Addr { return &net.TCPAddr{} }

// errorLines are what the library has to say, which concerns clients' faults.
type errorLines struct{ log *slog.Logger }

func (e *errorLines) Write(line []byte) (int, error) {
	e.log.Debug("http2: " + strings.TrimSpace(string(line)))
	return len(line), nil
}

// clientKey finds a request's connection in its context.
type clientKey struct{}

func (m *multiplexed) describe(ctx context.Context, conn net.Conn) context.Context {
	m.mu.Lock()
	defer m.mu.Unlock()
	if o := m.owner[conn]; o != nil {
		return context.WithValue(ctx, clientKey{}, o.client)
	}
	return ctx
}

func (m *multiplexed) changed(conn net.Conn, state http.ConnState) {
	if state != http.StateClosed && state != http.StateHijacked {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if o := m.owner[conn]; o != nil {
		delete(m.owner, conn)
		close(o.ended)
	}
}

// serve serves a connection on which HTTP/2 was agreed, or that begins with its
// preface, until it ends.
func (m *multiplexed) serve(agreed net.Conn, c *client) {
	settings := m.router.current()
	server := m.serverFor(connLimits{idle: max(settings.clientIdle, time.Second), writing: settings.responseTimeout})
	if server == nil {
		_ = agreed.Close()
		return
	}
	// The library would wait for the rest of the preface without end.
	c.socket.Reading.Set(settings.headTimeout)
	conn := newMetered(agreed, c)
	o := &multiplexedConn{client: c, ended: make(chan struct{})}
	m.mu.Lock()
	m.owner[conn] = o
	m.mu.Unlock()
	select {
	case server.conns <- conn:
		<-o.ended
	case <-m.leaving:
		m.mu.Lock()
		delete(m.owner, conn)
		m.mu.Unlock()
		_ = conn.Close()
	}
}

// leave tells every connection that no new request is taken (GOAWAY), and ends
// those that have nothing under way.
func (m *multiplexed) leave(ctx context.Context) {
	var leaving sync.WaitGroup
	for _, s := range m.stop() {
		leaving.Go(func() { _ = s.server.Shutdown(ctx) })
	}
	leaving.Wait()
}

// close ends the servers and waits for them. Every connection has ended before.
func (m *multiplexed) close() {
	for _, s := range m.stop() {
		_ = s.server.Close()
	}
	m.serving.Wait()
	m.mu.Lock()
	m.closed = true
	m.mu.Unlock()
	m.requests.Wait()
	m.workers.close()
}

// stop has no more connections taken, and returns the servers that have some.
func (m *multiplexed) stop() []*multiplexedServer {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.once.Do(func() { close(m.leaving) })
	return slices.Collect(maps.Values(m.servers))
}

// begins counts a request in, which m.requests.Done ends; false when it comes too
// late.
func (m *multiplexed) begins() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.closed {
		m.requests.Add(1)
	}
	return !m.closed
}

// request has one stream's request answered.
func (m *multiplexed) request(w http.ResponseWriter, r *http.Request) {
	c, ok := r.Context().Value(clientKey{}).(*client)
	if !ok || !m.begins() {
		panic(http.ErrAbortHandler)
	}
	defer m.requests.Done()
	if !m.workers.do(m, streamRequest{w, r, c}) {
		// Resets the stream: the client must see that something is missing. The library
		// would make an empty 200 of a request that got no answer.
		panic(http.ErrAbortHandler)
	}
}

// answer answers one request, and returns whether the answer is whole.
func (m *multiplexed) answer(q streamRequest) (whole bool) {
	c, r := q.c, q.r
	x := m.router.exchanges.borrow()
	s := &http2Stream{w: q.w, request: r, control: http.NewResponseController(q.w), x: x}
	defer func() {
		v := recover()
		if v != nil {
			m.router.logPanic(v, &c.peer)
			x.own.Release()
			whole = false
			return
		}
		x.own.Close()
		m.router.exchanges.giveBack(x)
		whole = !s.broken && s.begun
	}()
	x.settings = m.router.current()
	peer := c.peer
	if err := s.parse(); err != nil {
		s.refuse(err, &peer)
		return whole // decided above, at the end
	}
	stop := context.AfterFunc(r.Context(), s.abort)
	defer stop()
	x.serve(s, &peer)
	return whole
}

// http2Stream is one request of an HTTP/2 connection: a downstream.
type http2Stream struct {
	w       http.ResponseWriter
	control *http.ResponseController
	request *http.Request
	x       *exchange

	head, all int64 // bytes sent; of heads, about
	begun     bool  // there is a final head
	broken    bool
	failed    bool
	stopped   atomic.Bool // the rest of the body is not wanted

	mu    sync.Mutex
	conn  *upstream.Conn // guarded by mu; the vassal's side
	ended bool           // guarded by mu; the client or the connection has gone
}

var _ downstream = (*http2Stream)(nil)

// parse writes the request as HTTP/1.1 and has it read by the engine's own
// parser: what is refused there is refused here.
func (s *http2Stream) parse() error {
	r, x := s.request, s.x
	if err := consistent(r); err != nil {
		return err
	}
	b := x.in[:0]
	target := r.RequestURI
	b = append(append(append(append(b, r.Method...), ' '), target...), " HTTP/1.1\r\nHost: "...)
	b = append(append(b, r.Host...), "\r\n"...)
	written := 1
	for name, values := range r.Header {
		switch name {
		case "Host", "Content-Length", "Transfer-Encoding", "Connection", "Upgrade", "Keep-Alive", "Proxy-Connection":
			continue
		}
		if name == "Cookie" && len(values) > 1 {
			// HTTP/2 may send each in a field of its own (RFC 9113 §8.2.3).
			values = []string{strings.Join(values, "; ")}
		}
		for _, value := range values {
			b = append(append(append(append(b, name...), ": "...), value...), "\r\n"...)
		}
		written += len(values)
	}
	switch {
	case r.ContentLength > 0:
		b = append(strconv.AppendInt(append(b, "Content-Length: "...), r.ContentLength, 10), "\r\n"...)
		written++
	case r.ContentLength < 0:
		b = append(b, "Transfer-Encoding: chunked\r\n"...)
		written++
	case r.Method == http.MethodPost || r.Method == http.MethodPut || r.Method == http.MethodPatch:
		b = append(b, "Content-Length: 0\r\n"...)
		written++
	}
	b = append(b, "\r\n"...)
	x.in = b[:cap(b)]
	n, err := x.request.Parse(b, &x.settings.head)
	if err == nil && (n != len(b) || len(x.request.Fields) != written) {
		// The library lets no line end through; were it to, this is not what was sent.
		err = &http1.Error{Status: 400, Reason: "malformed request"}
	}
	x.start, x.end, x.headEnd = len(b), len(b), len(b)
	return err
}

// consistent refuses what HTTP/1.1 has no words for, or what the library has settled
// without a word and another program could settle otherwise.
func consistent(r *http.Request) error {
	if r.Method == http.MethodConnect {
		return &http1.Error{Status: 501, Reason: "CONNECT is not served"}
	}
	if !strings.HasPrefix(r.RequestURI, "/") && (r.RequestURI != "*" || r.Method != http.MethodOptions) {
		return &http1.Error{Status: 400, Reason: "the path does not begin with a slash"}
	}
	for _, host := range r.Header["Host"] {
		if !strings.EqualFold(host, r.Host) {
			return &http1.Error{Status: 400, Reason: "host and :authority differ"}
		}
	}
	for _, value := range r.Header["Content-Length"] {
		if n, err := strconv.ParseUint(value, 10, 63); err != nil || int64(n) != r.ContentLength {
			return &http1.Error{Status: 400, Reason: "malformed Content-Length"}
		}
	}
	return nil
}

// refuse answers a request that could not be taken apart.
func (s *http2Stream) refuse(err error, from *peer) {
	bad := &http1.Error{Status: 400, Reason: "malformed request"}
	_ = errors.As(err, &bad)
	s.begun = true
	defer s.x.logRefusal(s, from, bad.Status)
	s.x.router.complain(from, slog.LevelInfo, "request refused", slog.Int("status", bad.Status), slog.String("reason", bad.Reason))
	s.w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	s.w.WriteHeader(bad.Status)
	n, _ := io.WriteString(s.w, bad.Reason+"\n")
	s.all = int64(n)
}

func (s *http2Stream) readBody(p []byte, wait time.Duration) (int, error) {
	_ = s.control.SetReadDeadline(time.Now().Add(wait))
	n, err := s.request.Body.Read(p)
	switch {
	case err == nil || err == io.EOF:
		return n, err
	case s.stopped.Load():
		return n, errUnread
	case errors.Is(err, os.ErrDeadlineExceeded):
		return n, os.ErrDeadlineExceeded
	}
	return n, errShort // or longer than it was to be, which means the same
}

// invite does nothing: the library does it with the first read.
func (s *http2Stream) invite() error { return nil }

func (s *http2Stream) stopReading() {
	s.stopped.Store(true)
	_ = s.control.SetReadDeadline(time.Unix(1, 0))
}

// revive can't undo it: a stream that was stopped is not read again.
func (s *http2Stream) revive() {}

func (s *http2Stream) gone() bool { return s.request.Context().Err() != nil }

func (s *http2Stream) interim(r *http1.Response) error {
	header := s.w.Header()
	for i := range r.Fields {
		if f := &r.Fields[i]; f.Flags == 0 {
			header.Add(string(f.Name), string(f.Value))
		}
	}
	s.w.WriteHeader(r.Status)
	clear(header)
	return nil
}

func (s *http2Stream) begin(h *answerHead) {
	header := s.w.Header()
	// The library would guess a type and add a date.
	header["Content-Type"], header["Date"] = nil, nil
	r := h.response
	for i := range r.Fields {
		f := &r.Fields[i]
		if f.Flags == 0 && f.Kind != http1.ContentLength {
			name := textproto.CanonicalMIMEHeaderKey(string(f.Name))
			header[name] = append(header[name], string(f.Value))
		}
	}
	for rest := h.extra; len(rest) > 0; {
		line, after, _ := bytes.Cut(rest, crlf)
		rest = after
		if name, value, ok := bytes.Cut(line, colon); ok {
			key := textproto.CanonicalMIMEHeaderKey(string(name))
			header[key] = append(header[key], string(bytes.TrimSpace(value)))
		}
	}
	if h.length >= 0 {
		header.Set("Content-Length", strconv.FormatInt(h.length, 10))
	}
	for name, values := range header {
		for _, value := range values {
			s.head += int64(len(name) + len(value) + 4)
		}
	}
	s.all += s.head
	s.begun = true
	s.w.WriteHeader(r.Status)
}

var crlf, colon = []byte("\r\n"), []byte(":")

func (s *http2Stream) write(p []byte) error {
	if len(p) == 0 {
		return nil
	}
	_ = s.control.SetWriteDeadline(time.Now().Add(s.x.settings.responseTimeout))
	n, err := s.w.Write(p)
	s.all += int64(n)
	if err != nil {
		s.failed = true
	}
	return err
}

func (s *http2Stream) body(b []byte, from, to int) error {
	if err := s.write(b[from:to]); err != nil {
		return err
	}
	return s.flush()
}

func (s *http2Stream) flush() error {
	err := s.control.Flush()
	if err != nil {
		s.failed = true
	}
	return err
}

// end leaves the last bytes to the library, which sends them with the end of the
// stream.
func (s *http2Stream) end(b []byte, from, to int) error { return s.write(b[from:to]) }

func (s *http2Stream) cut() { s.broken = true }

var errNoTunnel = errors.New("HTTP/2 streams are not upgraded")

func (s *http2Stream) tunnel(*answerHead, []byte) error { return errNoTunnel }
func (s *http2Stream) relay(*upstream.Conn, relay.Options) relay.Result {
	return relay.Result{Reason: relay.ClientFailed, Err: errNoTunnel}
}
func (s *http2Stream) version() int            { return 2 }
func (s *http2Stream) closeAfter()             {}
func (s *http2Stream) sent() (head, all int64) { return s.head, s.all }
func (s *http2Stream) lost() bool              { return s.failed || s.gone() }
func (s *http2Stream) sends(conn *upstream.Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.conn = conn
	if conn != nil && s.ended {
		conn.Abort()
	}
}

// abort ends what is under way at the vassal: nobody wants the answer.
func (s *http2Stream) abort() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ended = true
	if s.conn != nil {
		s.conn.Abort()
	}
}

func (s *http2Stream) aborted() bool { return s.gone() }
