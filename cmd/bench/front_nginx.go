package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// prepareNginx writes the configuration that a careful administrator would: kept
// connections, the variables of Debian's uwsgi_params, the customary X-Forwarded
// headers, and the emperor's limits. Bodies are streamed in both directions, as
// the other fronts do: by default nginx writes those that are large to files.
func prepareNginx(workers int) func(setup) (program, error) {
	return func(s setup) (program, error) {
		if s.stream != "" {
			return prepareNginxStreams(s, workers)
		}
		logging := "access_log off;"
		if s.logged {
			logging = fmt.Sprintf("access_log %s combined;", s.log)
		}
		conf := fmt.Sprintf(`daemon off;
worker_processes %d;
pid %[2]s/nginx.pid;
error_log %[2]s/error.log;
events { worker_connections %[3]d; }
http {
  %[4]s
  keepalive_timeout %[5]ds;
  keepalive_requests 1000000000;
  client_header_timeout 10s;
  large_client_header_buffers 4 32k;
  client_max_body_size 0;
  uwsgi_request_buffering off; uwsgi_max_temp_file_size 0;
  proxy_request_buffering off; proxy_max_temp_file_size 0;
  client_body_temp_path %[2]s/body;
  proxy_temp_path %[2]s/proxy;
  uwsgi_temp_path %[2]s/uwsgi;
  fastcgi_temp_path %[2]s/fastcgi;
  scgi_temp_path %[2]s/scgi;
  map $http_upgrade $connection_upgrade { default upgrade; '' ''; }
  upstream kept {
    server unix:%[6]s;
    keepalive 64;
    keepalive_timeout 30s;
    keepalive_requests 1000000000;
  }
%[8]s%[7]s}
`, workers, s.dir, maxConnections, logging, keepAlive, s.httpSocket(), nginxServers(s), nginxTLS(s))
		file := filepath.Join(s.dir, "nginx.conf")
		return program{path: s.tools.path(toolNginx), args: []string{"-e", filepath.Join(s.dir, "error.log"), "-p", s.dir, "-c", file}},
			os.WriteFile(file, []byte(conf), 0o644)
	}
}

func nginxServers(s setup) string {
	var servers strings.Builder
	secure := ""
	if s.pair != nil {
		secure = " ssl http2"
	}
	server := func(address, name, location string) {
		fmt.Fprintf(&servers, "  server {\n    listen %s%s;\n    server_name %s;\n    location / {%s}\n  }\n", address, secure, name, location)
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
	for _, host := range s.otherHosts() {
		server(s.address, host, uwsgiTo(filepath.Join(s.dir, host+".sock")))
	}
	server(s.address, hostUWSGI, uwsgiTo(s.uwsgiSocket()))
	names := hostHTTP
	if s.pair != nil && s.pair.folder != "" {
		names += ` ~\.massive\.test$`
	}
	server(s.address, names, `
      proxy_pass http://kept;
      proxy_connect_timeout 3s; proxy_read_timeout 60s;
      proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection $connection_upgrade;
      proxy_set_header Host $host;
      proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for; proxy_set_header X-Forwarded-Proto $scheme;
    `)
	server(s.address, `~^(?<captured>[-\w]+)\.capture\.test$`, uwsgiTo(filepath.Join(s.backend, "$captured.sock")))
	if s.logged {
		secure = ""
		server(s.stats, "statistics", " stub_status; ")
	}
	return servers.String()
}

// nginxTLS is what the other fronts do by themselves, spelled out; session tickets
// are on.
func nginxTLS(s setup) string {
	if s.pair == nil {
		return ""
	}
	certificate, key := s.pair.certificate, s.pair.key
	if s.pair.folder != "" {
		certificate = filepath.Join(s.pair.folder, "$ssl_server_name.crt")
		key = filepath.Join(s.pair.folder, "$ssl_server_name.key")
	}
	return fmt.Sprintf("  ssl_certificate %s; ssl_certificate_key %s;\n  ssl_protocols TLSv1.3; ssl_ecdh_curve X25519; ssl_conf_command Ciphersuites %s;\n",
		certificate, key, tlsSuite)
}
