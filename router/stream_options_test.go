package router

import (
	"strings"
	"testing"

	"emperor/internal/config"
	"emperor/internal/link"
)

// TestRemarksOnStreamOptions: lines that do nothing, and listeners that take nobody in,
// are remarked on before somebody wonders.
func TestRemarksOnStreamOptions(t *testing.T) {
	set, err := config.NewSet(Options)
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct{ lines, want string }{
		{"http = :80\nroute-sni = a.test reject", "f.ini:2: warning: route-sni: no listener speaks TLS"},
		{"rawrouter = :22", "f.ini:1: warning: rawrouter: nothing says where its connections go"},
		{"rawrouter = :22\nroute-sni = default pass:/x", "f.ini:1: warning: rawrouter: nothing says where its connections go"},
		{"sslrouter = :443", "f.ini:1: warning: sslrouter: nothing says where its connections go"},
		{"sslrouter2 = addr=:443", "f.ini:1: warning: sslrouter2: nothing says where its connections go"},
		{"https = :443\nsslrouter-to = /x", "f.ini:2: warning: sslrouter-to: has no effect: no listener is a sslrouter"},
		{"https = :443\nrawrouter-fallback = /x", "f.ini:2: warning: rawrouter-fallback: has no effect"},
		{"sslrouter = :443\nroute-sni = a.test reject", ""},
		{"sslrouter = :443\nroute-remote-addr = 10.0.0.0/8 pass:/x", ""},
		{"sslrouter = :443\nsslrouter-use-base = /x/", ""},
		{"rawrouter = :22\nrawrouter-fallback = /x", ""},
		{"rawrouter = :22\nrawrouter-subscription-server = 127.0.0.1:7000", ""},
		{"rawrouter = :22\nrawrouter-to = /x\nstream-log-format = xml", `f.ini:3: stream-log-format: want text or json, got "xml"`},
	} {
		var lines []link.Option
		for i, line := range strings.Split(test.lines, "\n") {
			key, value, _ := strings.Cut(line, " = ")
			lines = append(lines, link.Option{Key: key, Value: value, File: "f.ini", Line: i + 1})
		}
		_, problems := compile(options(set, lines), &supply{checking: true})
		if got := problems.String(); test.want == "" && got != "" || !strings.Contains(got, test.want) {
			t.Errorf("%s:\n%s\nwant %q", test.lines, got, test.want)
		}
	}
}
