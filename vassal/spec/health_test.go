package spec

import (
	"strings"
	"testing"
	"time"
)

// TestHealthOptions: what is watched, what is not, and what is said about it.
func TestHealthOptions(t *testing.T) {
	plain := Health{Interval: 10 * time.Second, Timeout: 5 * time.Second, Threshold: 3}
	with := func(change func(*Health)) Health { h := plain; change(&h); return h }
	for _, test := range []struct {
		text, warning string
		want          Health
	}{
		{"socket = /tmp/x\ncommand = x\n", "", plain},
		{"socket = /tmp/x\ncommand = x\nhealth-path = /up\nhealth-interval = 2\nharakiri = 7\n", "",
			with(func(h *Health) { h.Path, h.Interval, h.Harakiri = "/up", 2*time.Second, 7*time.Second })},
		{"command = x\nhealth-path = /up\n", "", with(func(h *Health) { h.Path = "/up" })}, // a port of its own
		{"socket = /tmp/x\ncommand = x\nheartbeat = 3\n", "heartbeat: no effect: only a uWSGI has one", plain},
		{"socket = /tmp/x\nmodule = x\nheartbeat = 3\nharakiri = 9\nidle = 60\n", "", with(func(h *Health) { h.Heartbeat, h.OnlyUsed = 3*time.Second, true })},
		{"socket = /tmp/x\nmodule = x\nhealth-path = up\n", "health-path: want a path that begins with /", plain},
		{"raw-socket = /tmp/x\nmodule = x\nhealth-path = /up\n", "health-path: no effect: it has no socket on which it could be asked", plain},
		{"static = /tmp\nsocket = /tmp/x\nhealth-path = /up\n", "health-path: no effect: a folder has no process", Health{}},
	} {
		spec, problems, _ := readText(t, "site.ini", "[uwsgi]\n"+test.text, nil)
		if spec == nil {
			t.Errorf("%q: %s", test.text, problems)
			continue
		}
		got := spec.Health
		got.PathReason = ""
		if got != test.want || !strings.Contains(problems.Warnings().String(), test.warning) {
			t.Errorf("%q: %+v, want %+v; warnings:\n%s", test.text, got, test.want, problems)
		}
	}
}
