package spec

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestMemoryLimit: what the lines mean. reload-on-rss is uWSGI's business in its files.
func TestMemoryLimit(t *testing.T) {
	const command, uwsgi, folder = "socket = /tmp/x\ncommand = x\n", "socket = /tmp/x\nmodule = x\n", "static = /tmp\n"
	for _, test := range []struct {
		text  string
		limit uint64
		floor time.Duration
		said  string
	}{
		{command, 0, 0, ""},
		{command + "memory-limit = 100", 100 << 20, time.Minute, ""},
		{command + "memory-limit = 100m", 100 << 20, time.Minute, ""},
		{command + "memory-limit = 900K\nmin-worker-lifetime = 5", 900 << 10, 5 * time.Second, ""},
		{command + "memory-limit = 2G\nreload-on-rss = 300", 300 << 20, time.Minute, ""},
		{uwsgi + "memory-limit = 2G\nreload-on-rss = 300", 2 << 30, time.Minute, ""},
		{uwsgi + "reload-on-rss = 300", 0, 0, ""},
		{uwsgi + "threads = 1\nreload-on-rss = 300", 0, 0, ""},
		{command + "threads = 8\nreload-on-rss = 300", 300 << 20, time.Minute, ""},
		{uwsgi + "threads = 8\nreload-on-rss = 300", 0, 0, "site.ini:5: warning: reload-on-rss: uWSGI ends a worker in the middle of what its other threads do (/site.ini:4 says threads = 8): memory-limit cuts no request"},
		{uwsgi + "memory-limit = much", 0, 0, `site.ini:4: memory-limit: want a number of MiB, or one with K, M, G or T such as 512M or 2G, got "much"`},
		{command + "memory-limit = unlimited", 0, 0, "site.ini:4: memory-limit: want a number of MiB"},
		{command + "memory-limit = 0", 0, 0, "site.ini:4: memory-limit: want a number of MiB"},
		{folder + "memory-limit = 1", 0, 0, "site.ini:3: warning: memory-limit: no effect: a folder has no process of its own"},
	} {
		dir := t.TempDir()
		file := filepath.Join(dir, "site.ini")
		if err := os.WriteFile(file, []byte("[uwsgi]\n"+test.text), 0o644); err != nil {
			t.Fatal(err)
		}
		got := Read(Reading{Name: "site", File: file})
		if said := strings.ReplaceAll(got.Problems.String(), "("+dir, "("); (said == "") != (test.said == "") || !strings.Contains(said, test.said) {
			t.Errorf("%q: said %q, want %q", test.text, said, test.said)
		}
		var m Memory
		if got.Spec != nil {
			m = got.Spec.Memory
		}
		if m.Limit != test.limit || m.Floor != test.floor {
			t.Errorf("%q: limit %d, floor %s; want %d, %s", test.text, m.Limit, m.Floor, test.limit, test.floor)
		}
	}
}
