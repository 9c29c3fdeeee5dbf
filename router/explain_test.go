package router

import (
	"strings"
	"testing"

	"emperor/internal/link"
)

// TestExplainTheWholeWay: what comes before the rules, every rule, where the
// request goes, and the rules that see the response.
func TestExplainTheWholeWay(t *testing.T) {
	configuration := &link.Configuration{Listeners: []link.Listener{{Option: "http", Address: ":80", File: "f.ini", Line: 1}, {Option: "https", Address: ":443", File: "f.ini", Line: 9}}}
	for i, line := range []string{
		"http-health = /up",
		"http-limit-rate = *.example.com 10/s",
		`route-host = ^a\.example\.com$ uwsgi:/run/a.sock|/run/b.sock,0,0`,
		`route-host = ^s\.example\.com$ return:403`,
		"error-route-status = 403 redirect:https://www.example.com/",
		"response-route-run = addheader:X-A: 1",
		"http-to = 127.0.0.1:3031 weight=2",
		"https = :443,/etc/default.crt,/etc/default.key",
		"sni = *.example.com /etc/wild.crt,/etc/wild.key,HIGH,!/etc/ca.pem",
	} {
		key, value, _ := strings.Cut(line, " = ")
		configuration.Options = append(configuration.Options, link.Option{Key: key, Value: value, File: "f.ini", Line: i + 2})
	}
	vassals := []link.Vassal{{Name: "a", Addresses: []link.Address{{Address: "/run/a.sock", Protocol: "http"}}}}
	for _, test := range []struct {
		url  string
		want []string // in this order
		not  string
	}{
		{"http://a.example.com/", []string{"http-limit-rate = *.example.com 10/s", "yes  f.ini:4", "goes to    http:/run/a.sock, vassal a", "goes to    uwsgi:/run/b.sock, a socket of no vassal", "response rules, for a response with status 200", "X-A: 1"}, "403"},
		{"http://s.example.com/", []string{"no   f.ini:4", "answer     403 Forbidden", "error rules", "answer     302 to https://www.example.com/", "response rules, for a response with status 302"}, "goes to"},
		{"http://other/", []string{"goes to    http-to 127.0.0.1:3031"}, "limit"},
		{"https://other/up", []string{"listener   f.ini:9: https = :443", "certificate /etc/default.crt", "the listener's own", "answer     200"}, "wild"},
		{"https://A.example.com/", []string{"certificate /etc/wild.crt", "f.ini:10", "*.example.com", "clients are asked for a certificate of /etc/ca.pem", "yes  f.ini:4"}, "default.crt"},
		{"https://other:8443/", []string{"listener   none for https on port 8443", "certificate none"}, "default.crt"},
		{"http://other/up", []string{"answer     200 ok: http-health = /up"}, "http-to"},
	} {
		got, err := Explain(configuration, vassals, "GET", test.url)
		if err != nil {
			t.Fatal(err)
		}
		rest := got
		for _, want := range test.want {
			_, after, ok := strings.Cut(rest, want)
			if !ok {
				t.Errorf("%s: %q is missing, or not in its place, in\n%s", test.url, want, got)
			}
			rest = after
		}
		if strings.Contains(got, test.not) {
			t.Errorf("%s: %q in\n%s", test.url, test.not, got)
		}
	}
}
