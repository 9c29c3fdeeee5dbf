package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// haproxyCommands is the socket of its Runtime API, in the front's folder.
const haproxyCommands = "commands.sock"

// prepareHAProxy uses a map for the hosts, as HAProxy's manual advises. It speaks
// no uwsgi, and no part of a socket's path can come from the request. Its log
// goes to the standard output: it writes to no other file. Strict limits would ask
// for two open files for each connection, though few of them need the second.
func prepareHAProxy(s setup) (program, error) {
	if s.stream != "" {
		return prepareHAProxyStreams(s)
	}
	var hosts strings.Builder
	for _, host := range s.otherHosts() {
		fmt.Fprintf(&hosts, "%s nobody\n", host)
	}
	fmt.Fprintf(&hosts, "%s backend\n", hostHTTP)
	hostMap := filepath.Join(s.dir, "hosts.map")
	if err := os.WriteFile(hostMap, []byte(hosts.String()), 0o644); err != nil {
		return program{}, err
	}
	logging, stats := "", ""
	if s.logged {
		logging = `
  log stdout format raw local0
  log-format "%ci - - [%trl] \"%HM %HU %HV\" %ST %B \"%[capture.req.hdr(0)]\" \"%[capture.req.hdr(1)]\""
  capture request header Referer len 128
  capture request header User-Agent len 128`
		stats = fmt.Sprintf(`
frontend statistics
  bind %s
  stats enable
  stats uri /`, s.stats)
	}
	secure, global, massive, scheme := "", "", "", "http"
	if s.pair != nil {
		crt := s.pair.bundle
		if s.pair.folder != "" {
			crt = s.pair.folder
			// NAME.key beside NAME.crt, and a socket by which pairs are replaced.
			global = fmt.Sprintf("\n  ssl-load-extra-del-ext\n  ssl-load-extra-files key\n  stats socket %s level admin", filepath.Join(s.dir, haproxyCommands))
			massive = "\n  use_backend backend if { req.hdr(host),field(1,:) -m end .massive.test }"
		}
		secure = fmt.Sprintf(" ssl crt %s alpn h2,http/1.1 ssl-min-ver TLSv1.3 curves X25519 ciphersuites %s", crt, tlsSuite)
		scheme = "https"
	}
	conf := fmt.Sprintf(`global
  maxconn %d
  no strict-limits%s
defaults
  mode http
  timeout http-request 10s
  timeout http-keep-alive %ds
  timeout connect 3s
  timeout client 60s
  timeout server 60s
  timeout tunnel 1h
  http-reuse always
frontend sites
  bind %s%s%s
  option forwardfor
  http-request set-header X-Forwarded-Proto %s%s
  use_backend %%[req.hdr(host),field(1,:),lower,map(%s)]
backend backend
  server only unix@%s
backend nobody
  server only unix@%s%s
`, maxConnections, global, keepAlive, s.address, secure, logging, scheme, massive, hostMap, s.httpSocket(), filepath.Join(s.dir, "nobody.sock"), stats)
	file := filepath.Join(s.dir, "haproxy.cfg")
	p := program{path: s.tools.path(toolHAProxy), args: []string{"-db", "-f", file}}
	if s.logged {
		p.output = s.log
	}
	return p, os.WriteFile(file, []byte(conf), 0o644)
}
