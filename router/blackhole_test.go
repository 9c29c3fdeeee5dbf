package router

import (
	"strings"
	"testing"
	"time"

	"emperor/internal/link"
	"emperor/internal/testport"
)

// TestAddressThatAnswersNothing: the next address of a group answers instead, and
// the silent one is passed over from then on; where there is no other, 504.
func TestAddressThatAnswersNothing(t *testing.T) {
	silent := testport.Silent(t)
	v := uwsgiVassal(t, answering(okResponse))
	for _, test := range []struct {
		name    string
		options []string
		status  int
	}{
		{"http-to", []string{"http-to = " + silent, "http-to = " + v.address}, 200},
		{"http-fallback", []string{"http-to = " + silent, "http-fallback = " + v.address}, 200},
		{"rule with two", []string{"route-run = uwsgi:" + silent + "|" + v.address + ",0,0"}, 200},
		{"only http-to", []string{"http-to = " + silent}, 504},
		{"only rule", []string{"route-run = uwsgi:" + silent + ",0,0"}, 504},
		{"rule with http", []string{"route-run = http:" + silent}, 504},
		{"vassal", []string{"route-run = vassal:v"}, 504},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			f := newFront(t, test.options...)
			f.adjust(func(s *Settings) { s.connectTimeout = time.Second })
			f.vassals(link.Vassal{Name: "v", Generation: 1, State: link.Ready, Addresses: []link.Address{{Address: silent, Protocol: "uwsgi"}}})
			// More than one, because the first turn may be the other's.
			for range 3 {
				if r := f.ask(get("a")); r.StatusCode != test.status {
					t.Errorf("got %d %q, want %d", r.StatusCode, r.text, test.status)
				}
			}
			if test.status == 200 && strings.Count(f.log.String(), "passed over") != 1 {
				t.Errorf("the silent address was tried again:\n%s", f.log)
			}
			if test.status == 504 && !strings.Contains(f.log.String(), "no connection within http-connect-timeout") {
				t.Errorf("the log does not say what took too long:\n%s", f.log)
			}
		})
	}
}
