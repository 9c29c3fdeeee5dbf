package router

import (
	"strings"
	"testing"
	"time"

	"emperor/internal/link"
)

// TestExplainTheWholeWay: what comes before the rules, every rule, where the
// request goes, and the rules that see the response.
func TestExplainTheWholeWay(t *testing.T) {
	configuration := &link.Configuration{Listeners: []link.Listener{{Option: "http", Address: ":80", File: "f.ini", Line: 1}, {Option: "https", Address: ":443", File: "f.ini", Line: 9}, {Option: "https", Address: ":444", File: "f.ini", Line: 12}}}
	dir := t.TempDir()
	soon := time.Now().Add(30 * 24 * time.Hour)
	pairFiles(t, dir, "default", soon, "default")
	wild := pairFiles(t, dir, "wild", soon, "*.example.com")
	pairFiles(t, dir, "broken", soon, "broken.test")
	write(t, dir+"/broken.key", "no key")
	certificate, _, _ := strings.Cut(wild, ",")
	for i, line := range []string{
		"http-health = /up",
		"http-limit-rate = *.example.com 10/s",
		`route-host = ^a\.example\.com$ uwsgi:/run/a.sock|/run/b.sock,0,0`,
		`route-host = ^s\.example\.com$ return:403`,
		"error-route-status = 403 redirect:https://www.example.com/",
		"response-route-run = addheader:X-A: 1",
		"http-to = 127.0.0.1:3031 weight=2",
		"https = :443,DIR/default.crt,DIR/default.key",
		"sni = *.example.com DIR/wild.crt,DIR/wild.key,HIGH,!" + certificate,
		"sni = broken.test DIR/broken.crt,DIR/broken.key",
		"https = :444",
	} {
		key, value, _ := strings.Cut(strings.ReplaceAll(line, "DIR", dir), " = ")
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
		{"https://other/up", []string{"listener   f.ini:9: https = :443", "handshake  name \"other\": certificate DIR/default.crt (default, f.ini:9): unknown name", "answer     200"}, "wild"},
		{"https://A.example.com/", []string{"handshake  name \"A.example.com\": certificate DIR/wild.crt (wildcard *.example.com, f.ini:10), clients need one of DIR/wild.crt\n", "yes  f.ini:4"}, "default.crt"},
		{"https://broken.test/", []string{"handshake  name \"broken.test\": certificate DIR/default.crt (default, f.ini:9): DIR/broken.crt, DIR/broken.key: ", "key"}, "wild"},
		{"https://broken.test:444/", []string{"handshake  name \"broken.test\": no certificate: DIR/broken.crt, DIR/broken.key: ", "unrecognized_name"}, "wild"},
		{"https://other:8443/", []string{"listener   none for https on port 8443", "no certificate: unknown name", "unrecognized_name"}, "default.crt"},
		{"http://other/up", []string{"answer     200 ok: http-health = /up"}, "http-to"},
	} {
		got, err := Explain(configuration, vassals, Asking{}, "GET", test.url)
		if err != nil {
			t.Fatal(err)
		}
		rest := got
		for _, want := range test.want {
			want = strings.ReplaceAll(want, "DIR", dir)
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
