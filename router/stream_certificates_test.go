package router

import (
	"strings"
	"testing"

	"emperor/internal/config"
	"emperor/internal/link"
)

// TestStreamsWithoutCertificate: a rule that ends TLS for a name without a certificate
// is warned of.
func TestStreamsWithoutCertificate(t *testing.T) {
	const why = "no certificate is for it"
	set, err := config.NewSet(Options)
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		lines string
		warns bool
	}{
		{"https = :443\nroute-sni = db.test tcp:/x", true},
		{"https = :443\nroute-sni = db.test pass:/x", false},
		{"https = :443\nroute-sni = db.test http", false},
		{"https = :443\nroute-sni = *.test tcp:/x", false}, // it may have some
		{"https = :443\nsni = DB.test /a.crt,/a.key\nroute-sni = db.test tcp:/x", false},
		{"https = :443\nsni = *.test /a.crt,/a.key\nroute-sni = db.test tcp:/x", false},
		{"https = :443\nsni = *.test /a.crt,/a.key\nroute-sni = db.b.org tcp:/x", true},
		{"https = :443,/a.crt,/a.key\nroute-sni = db.test tcp:/x", false},
		{"sslrouter = :443\nsslrouter-to = /x", false}, // passed through
		{"sslrouter = :443\nsslrouter-to = /x\nroute-sni = db.test tcp:/y", true},
	} {
		var lines []link.Option
		for i, line := range strings.Split(test.lines, "\n") {
			key, value, _ := strings.Cut(line, " = ")
			lines = append(lines, link.Option{Key: key, Value: value, File: "f.ini", Line: i + 1})
		}
		_, problems := compile(options(set, lines), &supply{checking: true})
		if got := strings.Contains(problems.String(), why); got != test.warns {
			t.Errorf("%s:\n%s", test.lines, problems.String())
		}
	}
}
