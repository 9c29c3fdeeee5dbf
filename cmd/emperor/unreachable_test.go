package main

import (
	"os"
	"strings"
	"testing"

	"emperor/emperor"
)

// TestVassalsThatTheFrontCannotAsk: check says so of vassals that rules name, or whose
// sockets the front has no use for; others do something else than answer requests.
func TestVassalsThatTheFrontCannotAsk(t *testing.T) {
	reader, err := newReader()
	if err != nil {
		t.Fatal(err)
	}
	t.Chdir(t.TempDir())
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct{ rule, vassal, want string }{
		{`^site\.test$ vassal:site`, "https-socket = 127.0.0.1:8443,/a.crt,/a.key", "the front cannot ask vassal site, which has only https:127.0.0.1:8443 (TLS ends in uWSGI): want socket or http-socket in "},
		{`^(\w+)\.test$ vassal:$1`, "raw-socket = 127.0.0.1:8443", "the front cannot ask vassal site, which has only raw:127.0.0.1:8443"},
		{`^site\.test$ vassal:site`, "http = 127.0.0.1:8443", "the front cannot ask vassal site, which has no socket: want"},
		{`^(\w+)\.test$ vassal:$1`, "http = 127.0.0.1:8443", ""},
		{`^(\w+)\.test$ vassal:$1`, "https-socket = 127.0.0.1:8443,/a.crt,/a.key\nsocket = /tmp/no-such.sock", ""},
	} {
		for name, text := range map[string]string{
			"f.ini":    "[uwsgi]\nhttp = 127.0.0.1:8080\nemperor = site.ini\nroute-host = " + test.rule + "\n",
			"site.ini": "[uwsgi]\nmule = x.py\n" + test.vassal + "\n",
		} {
			if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		r, err := check(reader, emperor.Source{Args: []string{"f.ini"}, Dir: dir})
		if err != nil {
			t.Fatal(err)
		}
		if said := r.problems.String(); strings.Contains(said, "cannot ask") != (test.want != "") || !strings.Contains(said, test.want) {
			t.Errorf("%s, %s: %s, want %q", test.rule, test.vassal, said, test.want)
		}
	}
}
