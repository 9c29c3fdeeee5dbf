package router

import (
	"fmt"
	"strings"
	"testing"

	"emperor/internal/link"
)

// TestSharedSockets: a listener may name its address by number.
func TestSharedSockets(t *testing.T) {
	const two = "shared-socket = :80|undeferred-shared-socket = 127.0.0.1:443|"
	for _, test := range []struct{ lines, listeners, problem string }{
		{two + "http = =0|https = =1,/a.crt,/a.key", "http :80, https 127.0.0.1:443", ""},
		{two + "http-to-https = =0,8443|https2 = addr==1,cert=/a.crt,key=/a.key", "http-to-https :80, https2 127.0.0.1:443", ""},
		{two + "http = =1|http = :8080", "http 127.0.0.1:443, http :8080", "f.ini:1: warning: shared-socket: nobody listens there: no line says http = =0"},
		{"shared-socket = :80|http = =1", "http =1", "f.ini:2: http: =1: there are 1 lines of shared-socket, counted from 0"},
		{"http = =0", "http =0", "f.ini:1: http: =0: there are 0 lines"},
	} {
		var sent []link.Option
		for i, line := range strings.Split(test.lines, "|") {
			key, value, _ := strings.Cut(line, " = ")
			sent = append(sent, link.Option{Key: key, Value: value, File: "f.ini", Line: i + 1})
		}
		c, problems := ReadConfiguration(mustOptions(t, sent))
		var listeners []string
		for _, l := range c.Listeners {
			listeners = append(listeners, l.Option+" "+l.Address)
		}
		if got := strings.Join(listeners, ", "); got != test.listeners {
			t.Errorf("%s: %s, want %s", test.lines, got, test.listeners)
		}
		if text := fmt.Sprint(problems); test.problem == "" && len(problems) > 0 || !strings.Contains(text, test.problem) {
			t.Errorf("%s: %s, want %q", test.lines, text, test.problem)
		}
	}
}
