package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// caddyVersion is what is measured: Debian's is years old.
const caddyVersion = "v2.11.9"

// buildCaddy returns Caddy's program, which it builds once, into the user's cache.
func buildCaddy(ctx context.Context, out io.Writer) (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("caddy: %w", err)
	}
	dir := filepath.Join(cache, "emperor-bench", "caddy-"+caddyVersion)
	path := filepath.Join(dir, "caddy")
	if _, err := os.Stat(path); err == nil {
		return path, nil
	}
	fmt.Fprintf(out, "building Caddy %s into %s: a few minutes, once\n", caddyVersion, dir)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", fmt.Errorf("caddy: %w", err)
	}
	command := exec.CommandContext(ctx, "go", "install", "github.com/caddyserver/caddy/v2/cmd/caddy@"+caddyVersion)
	command.Dir = dir // outside of this module
	command.Env = append(os.Environ(), "GOBIN="+dir, "CGO_ENABLED=0")
	if output, err := command.CombinedOutput(); err != nil {
		return "", fmt.Errorf("caddy cannot be built, leave it out with -only: %w:\n%s", err, output)
	}
	return path, nil
}

// prepareCaddy writes a Caddyfile. The log is JSON with Caddy's own choice of
// fields, a superset of the others': the combined format needs a plugin.
func prepareCaddy(s setup) (program, error) {
	host, port, err := net.SplitHostPort(s.address)
	if err != nil {
		return program{}, err
	}
	metrics, logging := "", ""
	if s.logged {
		metrics = "\n  metrics"
		logging = fmt.Sprintf("\n  log {\n    output file %s {\n      roll_disabled\n    }\n    format json\n  }", s.log)
	}
	var file strings.Builder
	fmt.Fprintf(&file, `{
  admin off
  persist_config off
  auto_https off
  storage file_system %s
  log {
    level WARN
  }
  servers {
    timeouts {
      read_header 10s
      idle %ds
    }
  }%s
}
`, s.dir, keepAlive, metrics)
	scheme, secure := "http", ""
	if s.pair != nil {
		scheme = "https"
		secure = fmt.Sprintf("\n  tls %s %s {\n    protocols tls1.3\n    curves x25519\n  }", s.pair.certificate, s.pair.key)
	}
	site := func(name, socket string) {
		fmt.Fprintf(&file, `%s://%s:%s {
  bind %s%s%s
  reverse_proxy unix/%s {
    transport http {
      dial_timeout 3s
      response_header_timeout 60s
      keepalive 30s
      keepalive_idle_conns_per_host 64
      compression off
    }
  }
}
`, scheme, name, port, host, secure, logging, socket)
	}
	for _, other := range s.otherHosts() {
		site(other, filepath.Join(s.dir, other+".sock"))
	}
	site(hostHTTP, s.httpSocket())
	if s.logged {
		statsHost, statsPort, err := net.SplitHostPort(s.stats)
		if err != nil {
			return program{}, err
		}
		fmt.Fprintf(&file, "http://:%s {\n  bind %s\n  metrics\n}\n", statsPort, statsHost)
	}
	path := filepath.Join(s.dir, "Caddyfile")
	return program{path: s.tools.path(toolCaddy), args: []string{"run", "--adapter", "caddyfile", "--config", path}, env: []string{"HOME=" + s.dir}},
		os.WriteFile(path, []byte(file.String()), 0o644)
}
