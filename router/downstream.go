package router

import (
	"net/netip"
	"time"

	"emperor/router/http1"
	"emperor/router/relay"
	"emperor/router/upstream"
)

// downstream is the client's side of one request: where its body comes from and
// where the answer goes. It is all that the way of a request (exchange) knows of
// the protocol the client speaks, so that rules, waiting, upstreams, retries,
// limits and the log exist once. An HTTP/1 connection is one (client).
//
// An answer is any number of interim heads, then begin, body and one end, or
// cut where it can't be completed. Except where it is said otherwise, only the
// goroutine that serves the request calls it.
type downstream interface {
	// version is the major version of HTTP that the client speaks.
	version() int
	// readBody reads decoded bytes of the request body, waiting at most so long;
	// io.EOF, also beside the last bytes, ends a whole body. Other errors are
	// *http1.Error, os.ErrDeadlineExceeded, errUnread after stopReading, errShort.
	// One goroutine at a time, not always the request's own.
	readBody(p []byte, wait time.Duration) (int, error)
	// invite answers a client that waits for 100 Continue; otherwise it does nothing.
	invite() error
	// stopReading makes a readBody of another goroutine return;
	// revive makes them possible again, also after a limit was over.
	stopReading()
	revive()
	// gone tells that the client has given up while it waited for an answer.
	gone() bool

	interim(r *http1.Response) error
	// begin takes the final head. It may be kept until there is more to send.
	begin(h *answerHead)
	// body sends the bytes b[from:to] of the answer at once, with a head that was
	// kept. Where the head has been sent already they have bodyRoom bytes to spare
	// on both sides, which may be overwritten.
	body(b []byte, from, to int) error
	// flush sends a head that was kept.
	flush() error
	// end is body with the last bytes, of which there may be none.
	end(b []byte, from, to int) error
	// cut ends an answer that began and can't be completed, so that the client
	// notices.
	cut()

	// tunnel takes the head that switches protocols, and the first bytes after it.
	tunnel(h *answerHead, first []byte) error
	// relay carries the bytes of an upgraded connection until that is over.
	relay(conn *upstream.Conn, o relay.Options) relay.Result

	// closeAfter makes this request the last of its connection, where the protocol
	// has such a thing.
	closeAfter()
	// sends names the vassal's side of the request, nil for none, so that it ends
	// when the router closes the connection.
	sends(conn *upstream.Conn)
	// sent is how many bytes of the answer went to the client: of its heads, and in
	// all.
	sent() (head, all int64)
	// aborted tells that the router is closing the connection, and lost that the
	// client takes no more bytes.
	aborted() bool
	lost() bool
}

// bodyRoom is how much room an answer's bytes have before and after them, for
// the framing of a downstream's protocol.
const bodyRoom = http1.ChunkHeaderSize

// answerHead is a final response head on its way to the client, before it is
// framed.
type answerHead struct {
	response *http1.Response // status, reason, fields
	length   int64           // of the body, also of one that is not sent (HEAD, 304); -1: not known, or there is none
	noBody   bool            // ends with its head
	extra    []byte          // complete lines "Name: value\r\n" after the response's own
}

// peer is who is at the other end of a connection, and at which of our doors.
type peer struct {
	remote     netip.Addr // invalid on a unix socket
	remoteAddr []byte     // REMOTE_ADDR
	remotePort []byte     // REMOTE_PORT
	port16     uint16     // remotePort
	// local is what the visitor has connected to, if a PROXY header said so.
	local    netip.AddrPort
	port     string   // SERVER_PORT
	scheme   string   // "http"
	secured  *secured // nil on a plain connection
	option   string   // the option that made the listener
	listener string   // its address
}
