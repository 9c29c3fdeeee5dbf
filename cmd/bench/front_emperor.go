package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

func prepareEmperor(env ...string) func(setup) (program, error) {
	return func(s setup) (program, error) {
		if s.stream != "" {
			return prepareEmperorStreams(s, env)
		}
		var ini strings.Builder
		listener := "http = " + s.address
		if s.pair != nil {
			listener = fmt.Sprintf("https = %s,%s,%s\nssl-min-version = 1.3", s.address, s.pair.certificate, s.pair.key)
			if s.pair.folder != "" {
				listener = fmt.Sprintf("https = %s\nsni-dir = %s\nssl-min-version = 1.3", s.address, s.pair.folder)
			}
		}
		fmt.Fprintf(&ini, "[uwsgi]\nemperor = %s/*.ini\ncontrol = %s\n%s\nhttp-keepalive = %d\n",
			filepath.Join(s.dir, "vassals.d"), filepath.Join(s.dir, "control.sock"), listener, keepAlive)
		if s.logged {
			fmt.Fprintf(&ini, "http-log = %s\nhttp-log-format = combined\nhttp-stats = %s\n", s.log, s.stats)
		}
		for _, host := range s.otherHosts() {
			fmt.Fprintf(&ini, "route-host = ^%s$ uwsgi:%s,0,0\n", strings.ReplaceAll(host, ".", `\.`), filepath.Join(s.dir, host+".sock"))
		}
		// The regular expression is the last one, as in a file where the special
		// cases come before the general one.
		fmt.Fprintf(&ini, "route-host = ^uwsgi\\.bench\\.test$ uwsgi:%s,0,0\n", s.uwsgiSocket())
		fmt.Fprintf(&ini, "route-host = ^http\\.bench\\.test$ http:%s\n", s.httpSocket())
		fmt.Fprintf(&ini, "route-host = ^([-\\w]+)\\.capture\\.test$ uwsgi:%s,0,0\n", filepath.Join(s.backend, "$1.sock"))
		if s.pair != nil && s.pair.folder != "" {
			fmt.Fprintf(&ini, "route-host = ^[-\\w]+\\.massive\\.test$ http:%s\n", s.httpSocket())
		}
		return writeEmperor(s, env, ini.String())
	}
}

func writeEmperor(s setup, env []string, ini string) (program, error) {
	if err := os.Mkdir(filepath.Join(s.dir, "vassals.d"), 0o755); err != nil {
		return program{}, err
	}
	file := filepath.Join(s.dir, "emperor.ini")
	return program{path: s.tools.path(toolEmperor), args: []string{"run", file}, env: env}, os.WriteFile(file, []byte(ini), 0o644)
}

// manyRules asks for 10,000 rules instead of ten.
func manyRules(prepare func(setup) (program, error)) func(setup) (program, error) {
	return func(s setup) (program, error) {
		s.many = 10_000
		return prepare(s)
	}
}
