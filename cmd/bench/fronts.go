package main

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
)

// benchCase is one way from the client to the backend. All fronts that know it
// are measured with it.
type benchCase struct {
	name   string
	host   string // Host of the request: it chooses the rule
	meant  string // one line for the table
	fronts []string
}

var benchCases = []benchCase{
	{"uwsgi", "uwsgi.bench.test", "uwsgi over a unix socket, host spelled out", []string{frontEmperor, frontNginx, frontUWSGI}},
	{"http", "http.bench.test", "HTTP over a unix socket, connections kept", []string{frontEmperor, frontNginx}},
	{"capture", "uwsgi.capture.test", "uwsgi, socket path made of the host by a regular expression", []string{frontEmperor, frontNginx}},
}

func caseNames() []string {
	var names []string
	for _, c := range benchCases {
		names = append(names, c.name)
	}
	return names
}

// keepAlive is how long every front keeps an idle client connection.
const keepAlive = 95

// front is a program under test.
type front struct {
	name string
	// prepare writes what the front reads into dir, a folder of its own, and
	// returns the program and its arguments. address is where it has to
	// listen; backend is the folder with the sockets uwsgi.sock and http.sock.
	prepare func(t tools, dir, address, backend string) (path string, args []string, err error)
}

var fronts = []front{
	{frontEmperor, prepareEmperor},
	{frontNginx, prepareNginx},
	{frontUWSGI, prepareUWSGI},
}

// otherHosts are sites that nobody asks for in the benchmark: a front with
// rules for one host only would not be what people run.
func otherHosts() []string {
	var hosts []string
	for i := range 7 {
		hosts = append(hosts, fmt.Sprintf("www.site%d.test", i+1))
	}
	return hosts
}

func prepareEmperor(t tools, dir, address, backend string) (string, []string, error) {
	var ini strings.Builder
	fmt.Fprintf(&ini, "[uwsgi]\nemperor = %s/*.ini\ncontrol = %s\nhttp = %s\nhttp-keepalive = %d\n",
		filepath.Join(dir, "vassals.d"), filepath.Join(dir, "control.sock"), address, keepAlive)
	for _, host := range otherHosts() {
		fmt.Fprintf(&ini, "route-host = ^%s$ uwsgi:%s,0,0\n", strings.ReplaceAll(host, ".", `\.`), filepath.Join(dir, host+".sock"))
	}
	// Three more make ten. The regular expression is the last one, as in a
	// file where the special cases come before the general one.
	fmt.Fprintf(&ini, "route-host = ^uwsgi\\.bench\\.test$ uwsgi:%s,0,0\n", filepath.Join(backend, "uwsgi.sock"))
	fmt.Fprintf(&ini, "route-host = ^http\\.bench\\.test$ http:%s\n", filepath.Join(backend, "http.sock"))
	fmt.Fprintf(&ini, "route-host = ^([-\\w]+)\\.capture\\.test$ uwsgi:%s,0,0\n", filepath.Join(backend, "$1.sock"))
	if err := os.Mkdir(filepath.Join(dir, "vassals.d"), 0o755); err != nil {
		return "", nil, err
	}
	file := filepath.Join(dir, "emperor.ini")
	return t.emperor, []string{"run", file}, os.WriteFile(file, []byte(ini.String()), 0o644)
}

// prepareNginx writes the configuration that a careful administrator would: kept
// connections, no access log, the variables of Debian's uwsgi_params, the
// customary X-Forwarded headers, and the emperor's limits.
func prepareNginx(t tools, dir, address, backend string) (string, []string, error) {
	var servers strings.Builder
	server := func(name, location string) {
		fmt.Fprintf(&servers, "  server {\n    listen %s;\n    server_name %s;\n    location / {%s}\n  }\n", address, name, location)
	}
	uwsgiTo := func(socket string) string {
		return fmt.Sprintf(`
      uwsgi_pass unix:%s;
      uwsgi_connect_timeout 3s; uwsgi_read_timeout 60s;
      uwsgi_param QUERY_STRING $query_string; uwsgi_param REQUEST_METHOD $request_method;
      uwsgi_param CONTENT_TYPE $content_type; uwsgi_param CONTENT_LENGTH $content_length;
      uwsgi_param REQUEST_URI $request_uri; uwsgi_param PATH_INFO $document_uri;
      uwsgi_param DOCUMENT_ROOT $document_root; uwsgi_param SERVER_PROTOCOL $server_protocol;
      uwsgi_param REQUEST_SCHEME $scheme; uwsgi_param HTTPS $https if_not_empty;
      uwsgi_param REMOTE_ADDR $remote_addr; uwsgi_param REMOTE_PORT $remote_port;
      uwsgi_param SERVER_PORT $server_port; uwsgi_param SERVER_NAME $server_name;
      uwsgi_param HTTP_X_FORWARDED_FOR $proxy_add_x_forwarded_for; uwsgi_param HTTP_X_FORWARDED_PROTO $scheme;
    `, socket)
	}
	for _, host := range otherHosts() {
		server(host, uwsgiTo(filepath.Join(dir, host+".sock")))
	}
	server("uwsgi.bench.test", uwsgiTo(filepath.Join(backend, "uwsgi.sock")))
	server("http.bench.test", `
      proxy_pass http://kept;
      proxy_connect_timeout 3s; proxy_read_timeout 60s;
      proxy_http_version 1.1; proxy_set_header Connection ""; proxy_set_header Host $host;
      proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for; proxy_set_header X-Forwarded-Proto $scheme;
    `)
	server(`~^(?<captured>[-\w]+)\.capture\.test$`, uwsgiTo(filepath.Join(backend, "$captured.sock")))

	conf := fmt.Sprintf(`daemon off;
worker_processes %d;
pid %[2]s/nginx.pid;
error_log %[2]s/error.log;
events { worker_connections 4096; }
http {
  access_log off;
  keepalive_timeout %[3]ds;
  keepalive_requests 1000000000;
  client_header_timeout 10s;
  large_client_header_buffers 4 32k;
  client_body_temp_path %[2]s/body;
  proxy_temp_path %[2]s/proxy;
  uwsgi_temp_path %[2]s/uwsgi;
  fastcgi_temp_path %[2]s/fastcgi;
  scgi_temp_path %[2]s/scgi;
  upstream kept {
    server unix:%[4]s;
    keepalive 64;
    keepalive_timeout 30s;
    keepalive_requests 1000000000;
  }
%[5]s}
`, runtime.NumCPU(), dir, keepAlive, filepath.Join(backend, "http.sock"), servers.String())
	file := filepath.Join(dir, "nginx.conf")
	return t.nginx, []string{"-e", filepath.Join(dir, "error.log"), "-p", dir, "-c", file}, os.WriteFile(file, []byte(conf), 0o644)
}

// prepareUWSGI needs no file. Its router speaks uwsgi only, and has no rules:
// all requests go to one address.
func prepareUWSGI(t tools, dir, address, backend string) (string, []string, error) {
	return t.uwsgi, []string{
		"--plugin", "http", // a package of its own in Debian; where it is built in, this is a warning
		"--http", address,
		"--http-to", filepath.Join(backend, "uwsgi.sock"),
		"--http-keepalive=" + strconv.Itoa(keepAlive),
		"--http-timeout", "60",
		"--http-processes", strconv.Itoa(runtime.NumCPU()),
		"--master", "--die-on-term", "--disable-logging",
	}, nil
}

// wanted tells whether the settings ask for this front in this case.
func (c benchCase) wanted(s settings, front string) bool {
	return slices.Contains(s.cases, c.name) && slices.Contains(c.fronts, front) && s.wants(front)
}
