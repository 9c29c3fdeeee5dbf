package main

import "slices"

// benchCase is one way from the client to the backend. All fronts that know it
// are measured with it.
type benchCase struct {
	name   string
	meant  string // one line for the table
	host   string // Host of the requests: it chooses the rule
	path   string // what the backend answers, see request.answer
	upload int64  // bytes of body of each request

	key        string // of the front's certificate: HTTPS instead of HTTP
	http2      bool
	handshakes string // every request on a connection of its own: full handshakes, or resumed
	websocket  bool
	stream     bool // the front looks at the ClientHello that comes first, and passes all bytes through

	connections int     // kept busy; 0 is what -connections says
	mebibytes   float64 // of body in each request or answer, where that is the figure to read
	latency     bool    // measured at a fixed rate too
	fronts      []string
}

var (
	uwsgiFronts = []string{frontEmperor, frontEmperorAll, frontNginx, frontNginxOne, frontUWSGI, frontUWSGIAll, frontRouteHost}
	httpFronts  = []string{frontEmperor, frontEmperorAll, frontNginx, frontNginxOne, frontHAProxy, frontCaddy}
	uwsgiBodies = []string{frontEmperor, frontNginx, frontNginxOne, frontUWSGI, frontRouteHost}
	httpBodies  = []string{frontEmperor, frontNginx, frontNginxOne, frontHAProxy, frontCaddy}
	ruleFronts  = []string{frontEmperor, frontManyRules}
	tlsFronts   = httpFronts

	streamFronts = []string{frontEmperor, frontEmperorAll, frontNginx, frontNginxOne, frontHAProxy, frontSNIProxy}
)

const (
	hostUWSGI   = "uwsgi.bench.test"
	hostHTTP    = "http.bench.test"
	hostCapture = "uwsgi.capture.test"
	hostStream  = "stream.bench.test"
)

var benchCases = []benchCase{
	{name: "uwsgi", meant: "28 bytes, uwsgi over a unix socket", host: hostUWSGI, path: pathSmall, latency: true, fronts: uwsgiFronts},
	{name: "http", meant: "28 bytes, HTTP over a unix socket, connections kept", host: hostHTTP, path: pathSmall, latency: true, fronts: httpFronts},
	{name: "capture", meant: "28 bytes, uwsgi, socket path made of the host by a regular expression", host: hostCapture, path: pathSmall, latency: true,
		fronts: []string{frontEmperor, frontNginx, frontNginxOne, frontRouteHost}},
	{name: "uwsgi-64k", meant: "64 KiB, uwsgi", host: hostUWSGI, path: path64K, latency: true, fronts: uwsgiBodies},
	{name: "http-64k", meant: "64 KiB, HTTP", host: hostHTTP, path: path64K, latency: true, fronts: httpBodies},
	{name: "uwsgi-download", meant: "10 MiB download, uwsgi", host: hostUWSGI, path: path10M, connections: 8, mebibytes: 10, fronts: uwsgiBodies},
	{name: "http-download", meant: "10 MiB download, HTTP", host: hostHTTP, path: path10M, connections: 8, mebibytes: 10, fronts: httpBodies},
	{name: "uwsgi-upload", meant: "10 MiB upload, uwsgi", host: hostUWSGI, path: pathUpload, upload: size10M, connections: 8, mebibytes: 10, fronts: uwsgiBodies},
	{name: "http-upload", meant: "10 MiB upload, HTTP", host: hostHTTP, path: pathUpload, upload: size10M, connections: 8, mebibytes: 10, fronts: httpBodies},
	{name: "websocket", meant: "64-byte messages echoed over open websockets, HTTP (uWSGI's router: uwsgi)", host: hostHTTP, path: pathWebsocket, websocket: true,
		fronts: []string{frontEmperor, frontEmperorAll, frontNginx, frontNginxOne, frontHAProxy, frontCaddy, frontUWSGI}},
	{name: "rules", meant: "28 bytes, uwsgi, 10 rules and 10,000: the host spelled out", host: hostUWSGI, path: pathSmall, fronts: ruleFronts},
	{name: "rules-capture", meant: "28 bytes, uwsgi, 10 rules and 10,000: the regular expression at the end", host: hostCapture, path: pathSmall, fronts: ruleFronts},
	{name: "https", meant: "28 bytes, kept connections, HTTP/1.1 over TLS 1.3", host: hostHTTP, path: pathSmall, key: keyECDSA, fronts: tlsFronts},
	{name: "https2", meant: "28 bytes, 16 kept connections with 4 requests at a time each, HTTP/2 over TLS 1.3", host: hostHTTP, path: pathSmall, key: keyECDSA, http2: true, connections: 16, fronts: tlsFronts},
	{name: "handshake-ecdsa", meant: "new connections with one request each, full handshake of TLS 1.3, ECDSA P-256", host: hostHTTP, path: pathSmall,
		key: keyECDSA, handshakes: handshakesFull, connections: 16, fronts: tlsFronts},
	{name: "handshake-rsa", meant: "new connections with one request each, full handshake of TLS 1.3, RSA-2048", host: hostHTTP, path: pathSmall,
		key: keyRSA, handshakes: handshakesFull, connections: 16, fronts: tlsFronts},
	{name: "handshake-resumed", meant: "new connections with one request each, resumed sessions of TLS 1.3", host: hostHTTP, path: pathSmall,
		key: keyECDSA, handshakes: handshakesResumed, connections: 16, fronts: tlsFronts},
	{name: "stream-connections", meant: "TLS passed through by name: new connections with one small answer each", host: hostStream, path: pathOnce,
		stream: true, handshakes: handshakesPassed, connections: 16, fronts: streamFronts},
	{name: "stream-messages", meant: "TLS passed through by name: 64-byte messages echoed on open connections", host: hostStream, path: pathWebsocket,
		stream: true, websocket: true, latency: true, fronts: streamFronts},
	{name: "stream-download", meant: "TLS passed through by name: to the client, 10 MiB after 10 MiB", host: hostStream, path: path10M,
		stream: true, connections: 8, mebibytes: 10, fronts: streamFronts},
	{name: "stream-upload", meant: "TLS passed through by name: from the client, 10 MiB after 10 MiB", host: hostStream, path: pathUpload, upload: size10M,
		stream: true, connections: 8, mebibytes: 10, fronts: streamFronts},
}

func caseNames() []string {
	var names []string
	for _, c := range benchCases {
		names = append(names, c.name)
	}
	return names
}

func caseNamed(name string) benchCase {
	i := slices.IndexFunc(benchCases, func(c benchCase) bool { return c.name == name })
	if i < 0 {
		return benchCase{name: name}
	}
	return benchCases[i]
}

// wanted tells whether the settings ask for this front in this case.
func (c benchCase) wanted(s settings, front string) bool {
	return slices.Contains(s.cases, c.name) && slices.Contains(c.fronts, front) && s.wants(front)
}

// measured tells whether any front is wanted in this case.
func (c benchCase) measured(s settings) bool {
	return slices.ContainsFunc(c.fronts, func(front string) bool { return c.wanted(s, front) })
}

// plan is the load of this case, as fast as the front answers.
func (c benchCase) plan(s settings, address string) loadPlan {
	plan := loadPlan{Address: address, Host: c.host, Path: c.path, Upload: c.upload,
		Connections: s.connections, Duration: s.duration, Websocket: c.websocket, Secure: c.key != "", Handshakes: c.handshakes, Stream: c.stream}
	if c.connections > 0 {
		plan.Connections = c.connections
	}
	return plan
}

// byWrk: wrk, which everyone knows, makes the load where it can at no great cost
// of its own.
func (c benchCase) byWrk() bool { return c.path == pathSmall && c.handshakes == "" && !c.http2 }

// unit is what PerSecond counts.
func (c benchCase) unit() string {
	switch {
	case c.mebibytes > 0:
		return "MiB/s"
	case c.websocket:
		return "messages/s"
	case c.handshakes == handshakesPassed:
		return "connections/s"
	case c.handshakes != "":
		return "handshakes/s"
	}
	return "requests/s"
}

// kind is the key of the certificate, or what else a front is configured anew for.
func (c benchCase) kind() string {
	if c.stream {
		return "stream"
	}
	return c.key
}

// perUnit is how many of the unit one request is.
func (c benchCase) perUnit() float64 {
	if c.mebibytes > 0 {
		return c.mebibytes
	}
	return 1
}
