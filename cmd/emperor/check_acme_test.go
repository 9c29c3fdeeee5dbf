package main

import (
	"os"
	"strings"
	"testing"
)

// TestExplainACME: explain says that the certificate is one that is ordered.
func TestExplainACME(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.write("main.ini", "[uwsgi]\nacme = on\nhttps = :443\nroute-host = ^example\\.com$ return:200\nroute-host = ^(\\w+)\\.example\\.org$ vassal:$1\n")
	text, _ := m.ask("explain", "main.ini", "https://example.com/")
	if want := "the certificate that the emperor orders for it (acme, "; !strings.Contains(text, want) {
		t.Errorf("explain says\n%swant %q", text, want)
	}
	text, _ = m.ask("explain", "main.ini", "https://a.example.org/")
	if strings.Contains(text, "orders") || !strings.Contains(text, "unrecognized_name") {
		t.Errorf("explain says of a host that is not ordered\n%s", text)
	}
}

// TestCheckACME: check says which certificates would be ordered, and what is in the
// way.
func TestCheckACME(t *testing.T) {
	t.Parallel()
	const rule = "route-host = ^(www\\.)?example\\.com$ return:200\n"
	const capture = "route-host = ^(\\w+)\\.example\\.org$ vassal:$1\n"
	for _, test := range []struct {
		lines string
		want  []string
	}{
		{"acme = on\nhttp-to-https = :80\nhttps = :443\n" + rule + capture, []string{
			"certificates are ordered from acme-v02.api.letsencrypt.org for example.com, www.example.com; they are kept in DIR/acme",
			"hosts of captures (main.ini:6) get no certificate", "no mistakes\n"}},
		{"acme = on\nacme-staging = true\nacme-allow = *.example.org\nhttp = :8080\nhttps = :8443\n" + rule, []string{
			"acme-staging-v02", "further hosts are ordered when somebody asks", "warning: acme: the authority looks at port 80"}},
		{"acme = on\nhttp = :80\n" + rule, []string{"warning: acme: no https listener would show the certificates"}},
		{"acme = on\n" + rule, []string{"warning: acme: nothing is ordered: the authority would look at port 80 or 443"}},
		{"acme = on\nhttps = :443\n" + capture, []string{"warning: acme: nothing is ordered: no rule spells a host"}},
		{"acme = on\nhttps = :443\nroute-host = ^a\\.test$ return:200\n", []string{"no public authority issues certificates for a.test"}},
		{"acme-email = a@example.com\nhttps = :443\n" + rule, []string{"acme-email: has no effect without acme = on"}},
		{"acme = on\nacme-dir = DIR/shared\nhttps = :443\n" + rule, []string{"main.ini:2: acme: acme-dir: DIR/shared is open to others (mode 0755) and has other things in it (backups)", "1 mistake"}},
	} {
		m := newMachine(t)
		if err := os.MkdirAll(m.path("shared/backups"), 0o755); err != nil {
			t.Fatal(err)
		}
		lines := test.lines
		if !strings.Contains(lines, "acme-dir") {
			lines += "acme-dir = DIR/acme\n"
		}
		m.write("main.ini", "[uwsgi]\n"+lines)
		text, _ := m.ask("check", "main.ini")
		for _, want := range test.want {
			if want = strings.ReplaceAll(want, "DIR", m.dir); !strings.Contains(text, want) {
				t.Errorf("%s\ncheck says\n%swant %q", test.lines, text, want)
			}
		}
	}
}
