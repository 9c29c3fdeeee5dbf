package router

import (
	"slices"
	"testing"
)

// TestOneHSTS: every response by TLS has one Strict-Transport-Security: the vassal's or
// the rule's where they have one; none in clear, where browsers would not believe it.
func TestOneHSTS(t *testing.T) {
	own := uwsgiVassal(t, answering("HTTP/1.1 200 OK\r\nstrict-transport-security: max-age=1\r\nContent-Length: 2\r\n\r\nok"))
	none := uwsgiVassal(t, answering(okResponse))
	options := []string{"https-hsts = max-age=9",
		"route-host = ^own$ uwsgi:" + own.address + ",0,0", "route-host = ^none$ uwsgi:" + none.address + ",0,0",
		"route-host = ^rule$ addheader:Strict-Transport-Security: max-age=2", "route-host = ^rule$ uwsgi:" + none.address + ",0,0",
		"route-host = ^gone$ return:410"}
	f := newFront(t, options...)
	ask := func(scheme, host string) []string {
		t.Helper()
		for _, way := range ways {
			if way.scheme != scheme {
				continue
			}
			r, err := secureClient(f, way.protocols).Get(scheme + "://" + host + "/")
			if err != nil {
				t.Fatal(err)
			}
			_ = r.Body.Close()
			return r.Header.Values("Strict-Transport-Security")
		}
		return nil
	}
	if got := ask("http", "none"); got != nil {
		t.Errorf("in clear: %q", got)
	}
	f.secured(options...)
	for host, want := range map[string]string{"own": "max-age=1", "rule": "max-age=2", "none": "max-age=9", "gone": "max-age=9", "nobody": "max-age=9"} {
		if got := ask("https", host); !slices.Equal(got, []string{want}) {
			t.Errorf("%s: %q, want %q", host, got, want)
		}
	}
}
