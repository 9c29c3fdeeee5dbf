package spec

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"emperor/internal/config"
)

// TestReadSleep: when a vassal sleeps, by its file and by the main file's lines.
func TestReadSleep(t *testing.T) {
	for _, test := range []struct {
		name, file string
		onDemand   OnDemandReading
		neighbour  string // what is in FILE.od
		want       string // on demand, idle in seconds, sockets
		problem    string
	}{
		{name: "nothing", file: "command = a\nsocket = /run/a\n", want: "awake 0 /run/a"},
		{name: "ours", file: "command = a\nsocket = /run/a\non-demand = true\n", want: "on-demand (site.ini:4) 0 /run/a"},
		{name: "ours, off", file: "command = a\nsocket = /run/a\non-demand = false\n", want: "awake 0 /run/a"},
		{name: "a command that is cheap", file: "command = a\nsocket = /run/a\ncheap = true\n", want: "cheap (site.ini:4) 0 /run/a"},
		{name: "a command that is idle", file: "command = a\nsocket = /run/a\nidle = 5\n", want: "awake 5 /run/a"},
		{name: "a uWSGI that is cheap", file: "module = a\nsocket = /run/a\ncheap = true\nidle = 5\n", want: "awake 0 /run/a"},
		{name: "a uWSGI that ends", file: "module = a\nsocket = /run/a\ndie-on-idle = true\nidle = 5\n", want: "awake 5 /run/a"},
		{name: "a uWSGI that nobody could wake", file: "module = a\nhttp = :8080\nsocket = /run/a\ndie-on-idle = true\nidle = 5\n", want: "awake 0 /run/a", problem: "no effect: it listens by itself (http (site.ini:3))"},
		{name: "no idle", file: "module = a\nsocket = /run/a\ndie-on-idle = true\n", want: "awake 0 /run/a", problem: "idle says after how many seconds"},
		{name: "idle for ever", file: "command = a\nsocket = /run/a\nidle = 0\n", want: "awake 0 /run/a"},
		{name: "a port", file: "command = a\nport = auto\non-demand = true\n", want: "on-demand (site.ini:4) 0", problem: "its port is chosen when it starts"},
		{name: "a socket of its own", file: "command = a --bind /run/a\nsocket = /run/a\non-demand = true\n", want: "on-demand (site.ini:4) 0 /run/a", problem: "names its socket itself"},
		{name: "a folder", file: "static = /tmp\non-demand = true\n", want: "awake 0", problem: "no process that could sleep"},
		{name: "no number", file: "command = a\nsocket = /run/a\nidle = soon\n", problem: "idle"},

		{name: "a neighbour", file: "module = a\n", onDemand: OnDemandReading{Extension: ".od"}, neighbour: "/run/b\nmore\n", want: "emperor-on-demand-extension (site.ini.od:1) 0 /run/b"},
		{name: "a neighbour with a port", file: "module = a\n", onDemand: OnDemandReading{Extension: ".od"}, neighbour: ":7000\x01", want: "emperor-on-demand-extension (site.ini.od:1) 0 :7000"},
		{name: "an empty one", file: "module = a\nsocket = /run/a\n", onDemand: OnDemandReading{Extension: ".od"}, neighbour: "\n", want: "awake 0 /run/a"},
		{name: "none", file: "module = a\nsocket = /run/a\n", onDemand: OnDemandReading{Extension: ".od"}, want: "awake 0 /run/a"},
		{name: "the same address", file: "module = a\nsocket = /run/a\n", onDemand: OnDemandReading{Extension: ".od"}, neighbour: "/run/a", want: "emperor-on-demand-extension (site.ini.od:1) 0 /run/a"},
		{name: "nonsense", file: "module = a\n", onDemand: OnDemandReading{Extension: ".od"}, neighbour: "host.example:80", problem: "want a path, ip:port or :port"},
		{name: "abstract", file: "module = a\n", onDemand: OnDemandReading{Extension: ".od"}, neighbour: "@a", problem: "want a path, ip:port or :port"},
		{name: "a directory", file: "module = a\n", onDemand: OnDemandReading{Directory: "/run/od"}, want: "emperor-on-demand-directory 0 /run/od/site.socket"},
		{name: "the neighbour first", file: "module = a\n", onDemand: OnDemandReading{Extension: ".od", Directory: "/run/od", Output: "/run/c"}, neighbour: "/run/b", want: "emperor-on-demand-extension (site.ini.od:1) 0 /run/b"},
		{name: "a program", file: "module = a\n", onDemand: OnDemandReading{Output: "/run/c", Exec: config.Value{Key: "emperor-on-demand-exec", Pos: config.Pos{File: "main.ini", Line: 7}}}, want: "emperor-on-demand-exec (main.ini:7) 0 /run/c"},
		{name: "a program for a command", file: "command = a\n", onDemand: OnDemandReading{Output: "/run/c", Exec: config.Value{Key: "emperor-on-demand-exec", Pos: config.Pos{File: "main.ini", Line: 7}}}, want: "emperor-on-demand-exec (main.ini:7) 0 /run/c"},
		{name: "a program that was not asked", file: "module = a\n", onDemand: OnDemandReading{Unasked: true, Exec: config.Value{Value: "x"}}, want: "awake 0"},
	} {
		dir := t.TempDir()
		file := filepath.Join(dir, "site.ini")
		write := func(path, text string) {
			if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		write(file, "[uwsgi]\n"+test.file)
		if test.neighbour != "" {
			write(file+".od", test.neighbour)
		}
		result := Read(Reading{Name: "site", File: file, OnDemand: test.onDemand})
		if test.problem == "" && len(result.Problems) > 0 || !strings.Contains(result.Problems.String(), test.problem) {
			t.Errorf("%s: problems %s", test.name, result.Problems)
		}
		if test.want == "" {
			if result.Spec != nil {
				t.Errorf("%s: it was taken", test.name)
			}
			continue
		}
		s := result.Spec
		if s == nil {
			t.Errorf("%s: %s", test.name, result.Problems)
			continue
		}
		words := []string{"awake", s.Idle.String()}
		if s.OnDemand {
			words[0] = s.OnDemandReason
		}
		words[1] = strings.TrimSuffix(words[1], "s")
		for _, socket := range s.Sockets {
			words = append(words, socket.Address)
		}
		if got := strings.Join(words, " "); got != test.want {
			t.Errorf("%s: %q, want %q", test.name, got, test.want)
		}
		if test.onDemand.Extension != "" && !strings.Contains(strings.Join(result.Files, " "), file+".od") {
			t.Errorf("%s: its neighbour is not watched: %v", test.name, result.Files)
		}
		if s.OnDemand && s.Kind == UWSGI && test.name != "the same address" {
			if last := s.UWSGI.Arguments[len(s.UWSGI.Arguments)-1]; last != "socket="+s.Sockets[0].Address {
				t.Errorf("%s: uWSGI is told %q", test.name, s.UWSGI.Arguments)
			}
		}
	}
}
