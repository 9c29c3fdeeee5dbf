package router

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"emperor/internal/config"
	"emperor/internal/link"
	"emperor/router/http1"
)

// What comes in by a listener depends on the option that asked for it.
const (
	optionHTTP    = "http"
	optionToHTTPS = "http-to-https"
	optionStats   = "http-stats"
	optionZerg    = "http-zerg"
)

// ListenerOptions are the options whose values are addresses that the emperor
// opens for the router.
var ListenerOptions = []string{optionHTTP, optionHTTPS, optionHTTPS2, optionSSLRouter, optionSSLRouter2, optionRawRouter, optionToHTTPS, optionStats, optionSubscriptions, optionSSLSubscriptions, optionRawSubscriptions, optionZerg}

var listenerOptions = []config.Option{
	{Name: optionHTTP, Aliases: []string{"httprouter", "http-socket", "http11-socket"}, Type: config.Address, Repeat: true, Where: config.Main,
		Help: "Listen for HTTP on ADDRESS: \":8080\", \"127.0.0.1:8080\", \"[::1]:8080\", a unix path, fd://N, or =N for a shared-socket. In the main file http-socket and http11-socket mean the same."},
	{Name: optionToHTTPS, Type: config.String, Repeat: true, Where: config.Main,
		Help: "\"ADDRESS[,PORT]\": listen there and redirect requests for hosts that are served to https, on that port if it is not 443."},
	{Name: optionZerg, Type: config.String, Repeat: true, Where: config.Main,
		Help: "Listen for HTTP on the sockets of the uWSGI whose zerg-server or zerg-pool is the unix socket PATH. They are fetched once, and kept also when that uWSGI ends."},
	{Name: optionStats, Aliases: []string{"http-stats-server", "http-ss"}, Type: config.Address, Repeat: true, Where: config.Main,
		Help: "Write the router's figures, as JSON, to whoever connects to ADDRESS."},
	{Name: "stats-http", Type: config.Bool, Default: "false", Where: config.Main,
		Help: "Let http-stats and emperor-stats speak HTTP, so that a browser can show them."},
	{Name: "http-stud-prefix", Type: config.String, Repeat: true, Where: config.Main,
		Help: "Connections of ADDRESS begin with the address of the visitor, as stud and hitch (--write-ip) write it, who came by https; without it they are closed. The PROXY protocol says more."},
	{Name: "http-enable-proxy-protocol", Type: config.Bool, Argument: config.Optional, Default: "false", Where: config.Main,
		Help: "Connections of http-proxy-protocol-from begin with a PROXY header (version 1 or 2) that names the visitor; without one they are closed."},
	{Name: "http-proxy-protocol-from", Type: config.String, Repeat: true, Where: config.Main,
		Help: "Who sends PROXY headers: addresses, networks, unix, default (as http-trusted-proxies); the default is whoever http-trusted-proxies names. Connections of others are taken as they are."},
}

// readListeners takes the listeners out of a main file.
func readListeners(c *config.Config) (all []link.Listener, problems config.Problems) {
	for _, v := range c.All(ListenerOptions...) {
		address := v.Value
		switch v.Key {
		case optionHTTPS, optionHTTPS2, optionSSLRouter, optionSSLRouter2:
			h, err := parseSecure(v)
			if err != nil {
				continue // compile tells
			}
			address = h.Address
		case optionToHTTPS:
			var port string
			if address, port, _ = strings.Cut(address, ","); port != "" {
				if n, err := strconv.Atoi(port); err != nil || n < 1 || n > 65535 {
					problems = append(problems, config.Problem{Pos: v.Pos, Key: v.Key, Text: fmt.Sprintf("want ADDRESS[,PORT], got the port %q", port)})
				}
			}
		}
		all = append(all, link.Listener{Option: v.Key, Address: address, Datagrams: isSubscriptions(v.Key), Zerg: v.Key == optionZerg, File: v.Pos.File, Line: v.Pos.Line})
	}
	return all, problems
}

// redirectPorts are the ports of http-to-https lines that name one, by the
// listener's address.
func redirectPorts(c *config.Config) map[string]string {
	ports := map[string]string{}
	for _, v := range c.All(optionToHTTPS) {
		if address, port, ok := strings.Cut(v.Value, ","); ok && port != "443" {
			ports[address] = ":" + port
		}
	}
	return ports
}

// goesToHTTPS: it came in by http-to-https. What a certificate authority looks for
// when a site is to get its first certificate is there in the clear.
func (x *exchange) goesToHTTPS() bool {
	return x.peer.option == optionToHTTPS && !bytes.HasPrefix(x.path, acmePath)
}

var acmePath = []byte("/.well-known/acme-challenge/")

// redirectToHTTPS answers a request that came in by http-to-https. Only for
// hosts that are served: anything else would be an open redirect.
func (x *exchange) redirectToHTTPS() {
	host := x.request.Host.Name
	if len(host) == 0 {
		x.answerNoRule()
		return
	}
	uri := x.scratch[:0]
	uri = append(append(append(uri, "Location: https://"...), host...), x.settings.redirectPorts[x.peer.listener]...)
	if string(x.request.Path) != "*" {
		uri = append(uri, x.request.Path...)
	}
	if x.request.Query != nil {
		uri = append(append(uri, '?'), x.request.Query...)
	}
	x.scratch = append(uri, "\r\n"...)
	// A client repeats what it sent only with 308.
	status := 308
	if m := string(x.request.Method); m == "GET" || m == "HEAD" {
		status = 301
	}
	x.mine = http1.Response{Minor: 1, Status: status, Fields: x.mine.Fields[:0]}
	x.reply(nil, x.scratch)
}

// serveStats writes the figures to a connection of http-stats, and closes it.
func (r *Router) serveStats(conn net.Conn) {
	defer func() { _ = conn.Close() }()
	_ = conn.SetDeadline(time.Now().Add(statsTime))
	text, err := json.MarshalIndent(r.figures(), "", "\t")
	if err != nil {
		r.log.Error("http-stats", "err", err)
		return
	}
	text = append(text, '\n')
	if r.current().statsHTTP {
		// The request says nothing that matters, but a connection that is closed with
		// unread bytes is reset.
		_, _ = conn.Read(make([]byte, 16<<10))
		head := fmt.Sprintf("HTTP/1.0 200 OK\r\nConnection: close\r\nAccess-Control-Allow-Origin: *\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n", len(text))
		text = append([]byte(head), text...)
	}
	_, _ = conn.Write(text)
}

const statsTime = 5 * time.Second

// figures are uWSGI's keys, which existing scripts read, and some of ours.
func (r *Router) figures() map[string]any {
	directory, _ := os.Getwd()
	out := map[string]any{
		"version": "emperor", "pid": os.Getpid(), "uid": os.Getuid(), "gid": os.Getgid(), "cwd": directory,
		"active_sessions": r.counters.connections.Load(), "subscriptions": r.announcedFigures(), "cheap": r.cheapNow(),
		"streams": r.streamFigures(), "requests": r.counters.requests.Load(), "in_flight": r.counters.inFlight.Load(), "tunnels": r.counters.tunnels.Load(),
		"refused_peers": r.peers.Refused(),
	}
	r.mu.Lock()
	addresses := []string{}
	for _, l := range r.listeners {
		if l.described.Option != optionStats && l.datagrams == nil {
			addresses = append(addresses, l.described.Address)
		}
	}
	r.mu.Unlock()
	slices.Sort(addresses)
	out["http"] = addresses
	out["static_nodes"] = r.current().defaults.figures()
	sites := []any{}
	all := r.table.all()
	slices.SortFunc(all, func(a, b *site) int { return strings.Compare(a.name, b.name) })
	for _, s := range all {
		g := s.current.Load()
		row := map[string]any{"name": s.name, "state": g.state, "generation": g.number, "requests": s.served.Load(), "in_flight": g.inFlight.Load(), "held": s.held.Load()}
		if turns := s.turns.Load(); turns != nil {
			row["running"], row["waiting"] = turns.Load()
			row["refused"] = s.refused()
		}
		sites = append(sites, row)
	}
	out["vassals"] = sites
	out["certificates"] = r.certificateFigures(time.Now())
	return out
}
