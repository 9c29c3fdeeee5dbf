// Package router is the front: it accepts connections, reads requests, decides
// by the rules which vassal answers, and carries the bytes both ways.
//
// The one idea: a request meets an immutable world. Options and rules are
// compiled into Settings, which a request loads once; the vassal table has one
// site per vassal, whose generation a request pins while it works with it. What
// the emperor changes, changes for the next request, never for one under way.
//
// The way of the bytes, one file each:
//
//	listener.go       accept
//	client.go         one HTTP/1 connection: idle without buffers, then one request after the other
//	client_body.go    the request's body, decoded
//	client_answer.go  the answer, framed
//	downstream.go     what a request needs of its client, whatever protocol that speaks
//	exchange.go       the working set and the way of one request
//	decide.go         request head → rule → destination
//	nodes.go          several addresses for one request: whose turn it is
//	admit.go          a site that is not ready: wait, within limits
//	forward.go        destination → upstream connection, retry
//	cgi.go            the same for FastCGI and SCGI; scripts.go: which script a path means
//	body.go           the request's body, collected or streamed
//	respond.go        the response, relayed
//	tunnel.go         upgraded connections
//	divert.go         a connection by its ClientHello: to the rules of requests, or past them
//	flow.go           one that goes on as it is: flow_reach.go where to, flow_ahead.go what goes ahead; package relay carries it
//	secure.go         TLS on a connection
//	h2.go             HTTP/2: a stream as the client of a request
//	files.go          a file as the answer; folder.go: vassals of static files; client_file.go: by the kernel
//	answer.go         answers of our own, and the one log line that explains each
//
// One goroutine serves a client connection; a request that is only head and
// small body costs no other. A second one runs while a large body or a tunnel
// goes both ways, and the first waits for it.
//
// The router runs as a child of the emperor (Main), which sends it everything
// over internal/link, or alone (Standalone). It starts no process, opens files
// named by a request only below folders that it was handed open, and nothing the network sends may make it exit.
package router
