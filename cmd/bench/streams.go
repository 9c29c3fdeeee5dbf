package main

import (
	"context"
	"crypto/ecdh"
	"crypto/rand"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// Cases with streams: a front reads the name in a client's ClientHello and passes
// all bytes through to where that name is served. What comes behind the hello is
// plain HTTP here (see streamRequest), so that load and backend are those of the
// other cases, and do not pay for TLS more than the fronts do for passing it on.

// clientHello is a record that a client of TLS 1.3 begins with.
func clientHello(host string) []byte {
	private, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		panic(err) // no randomness
	}
	return newTLSClient(host, private, nil, nil).start()
}

// helloFirst has a client send a hello on each of its connections.
func helloFirst(client *http.Client, host string) {
	transport := client.Transport.(*http.Transport)
	dial := transport.DialContext
	transport.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := dial(ctx, network, address)
		if err != nil {
			return nil, err
		}
		if _, err := conn.Write(clientHello(host)); err != nil {
			conn.Close()
			return nil, err
		}
		return conn, nil
	}
}

// streamIdle is how many seconds a stream may be silent.
const streamIdle = 600

// streamNowhere is where the other names would be served.
func (s setup) streamNowhere(host string) string { return "unix:" + filepath.Join(s.dir, host+".sock") }

func prepareEmperorStreams(s setup, env []string) (program, error) {
	var ini strings.Builder
	fmt.Fprintf(&ini, "[uwsgi]\nemperor = %s/*.ini\ncontrol = %s\nsslrouter = %s\nstream-timeout = %d\n",
		filepath.Join(s.dir, "vassals.d"), filepath.Join(s.dir, "control.sock"), s.address, streamIdle)
	for _, host := range s.otherHosts() {
		fmt.Fprintf(&ini, "route-sni = %s pass:%s\n", host, strings.TrimPrefix(s.streamNowhere(host), "unix:"))
	}
	fmt.Fprintf(&ini, "route-sni = %s pass:%s\n", hostStream, s.stream)
	return writeEmperor(s, env, ini.String())
}

// nginxStreamModule is where Debian has it; elsewhere it is often built in.
const nginxStreamModule = "/usr/lib/nginx/modules/ngx_stream_module.so"

// prepareNginxStreams is nginx's own example for ssl_preread: a map from names to
// upstreams. A stream takes two of the connections that a worker may have.
func prepareNginxStreams(s setup, workers int) (program, error) {
	module := ""
	if _, err := os.Stat(nginxStreamModule); err == nil {
		module = "load_module " + nginxStreamModule + ";\n"
	}
	var names, upstreams strings.Builder
	for i, host := range s.otherHosts() {
		fmt.Fprintf(&names, "    %s other%d;\n", host, i)
		fmt.Fprintf(&upstreams, "  upstream other%d { server %s; }\n", i, s.streamNowhere(host))
	}
	conf := fmt.Sprintf(`%sdaemon off;
worker_processes %d;
pid %[3]s/nginx.pid;
error_log %[3]s/error.log;
events { worker_connections %[4]d; }
stream {
  map $ssl_preread_server_name $to {
%[5]s    %[6]s passed;
  }
%[7]s  upstream passed { server %[8]s; }
  server {
    listen %[9]s;
    ssl_preread on;
    preread_timeout 5s;
    proxy_connect_timeout 3s;
    proxy_timeout %[10]ds;
    proxy_pass $to;
  }
}
`, module, workers, s.dir, 2*maxConnections, names.String(), hostStream, upstreams.String(), s.stream, s.address, streamIdle)
	file := filepath.Join(s.dir, "nginx.conf")
	return program{path: s.tools.path(toolNginx), args: []string{"-e", filepath.Join(s.dir, "error.log"), "-p", s.dir, "-c", file}},
		os.WriteFile(file, []byte(conf), 0o644)
}

// prepareHAProxyStreams waits for a whole hello, as its manual says, and lets HAProxy
// splice when it thinks that it pays.
func prepareHAProxyStreams(s setup) (program, error) {
	var hosts strings.Builder
	for _, host := range s.otherHosts() {
		fmt.Fprintf(&hosts, "%s nobody\n", host)
	}
	fmt.Fprintf(&hosts, "%s passed\n", hostStream)
	hostMap := filepath.Join(s.dir, "hosts.map")
	if err := os.WriteFile(hostMap, []byte(hosts.String()), 0o644); err != nil {
		return program{}, err
	}
	conf := fmt.Sprintf(`global
  maxconn %d
  no strict-limits
defaults
  mode tcp
  option splice-auto
  timeout connect 3s
  timeout client %[2]ds
  timeout server %[2]ds
frontend names
  bind %[3]s
  tcp-request inspect-delay 5s
  tcp-request content accept if { req.ssl_hello_type 1 }
  use_backend %%[req.ssl_sni,lower,map(%[4]s)]
backend passed
  server only %[5]s
backend nobody
  server only unix@%[6]s
`, maxConnections, streamIdle, s.address, hostMap, s.stream, filepath.Join(s.dir, "nobody.sock"))
	file := filepath.Join(s.dir, "haproxy.cfg")
	return program{path: s.tools.path(toolHAProxy), args: []string{"-db", "-f", file}}, os.WriteFile(file, []byte(conf), 0o644)
}

// prepareSNIProxy: its names are regular expressions always, and its times cannot be
// set.
func prepareSNIProxy(s setup) (program, error) {
	var table strings.Builder
	entry := func(host, to string) {
		fmt.Fprintf(&table, "  ^%s$ %s\n", strings.ReplaceAll(host, ".", `\.`), to)
	}
	for _, host := range s.otherHosts() {
		entry(host, s.streamNowhere(host))
	}
	entry(hostStream, s.stream)
	conf := fmt.Sprintf(`pidfile %[1]s/sniproxy.pid
error_log {
  filename %[1]s/error.log
  priority notice
}
listen %[2]s {
  proto tls
  table names
}
table names {
%[3]s}
`, s.dir, s.address, table.String())
	file := filepath.Join(s.dir, "sniproxy.conf")
	return program{path: s.tools.path(toolSNIProxy), args: []string{"-f", "-c", file, "-n", strconv.Itoa(3 * maxConnections / 2)}}, os.WriteFile(file, []byte(conf), 0o644)
}
