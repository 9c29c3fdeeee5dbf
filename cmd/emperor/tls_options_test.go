package main

import (
	"bytes"
	"os"
	"slices"
	"strings"
	"testing"

	"emperor/emperor"
)

// TestTLSOptionsAreListed: of every TLS option that uWSGI's HTTPS router has (and of
// ours beside them) `emperor options` says what it does or why nothing; check accepts
// those without effect, with the reason, and refuses what would be dangerous.
func TestTLSOptionsAreListed(t *testing.T) {
	for _, name := range []string{
		"https", "https2", "https-socket", "https-export-cert", "https-session-context", "http-to-https", "https-hsts", "https-http2", "https-export-tls",
		"sni", "sni-regexp", "sni-dir", "sni-dir-ciphers", "sni-dir-require-client", "sni-cache",
		"ssl-verify-depth", "ssl-verbose", "ssl-enable3", "ssl-enable-sslv3", "ssl-enable-tlsv1", "ssl-i-know", "ssl-min-version", "ssl-option",
		"ssl-sessions-use-cache", "ssl-session-use-cache", "ssl-sessions-timeout", "ssl-tmp-dir", "http-subscription-sni-dir",
	} {
		var out bytes.Buffer
		if err := runOptions([]string{name}, &out); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		said := ""
		for head, text := "", out.String(); text != ""; {
			var line string
			line, text, _ = strings.Cut(text, "\n")
			if strings.HasPrefix(line, " ") {
				if slices.Contains(strings.FieldsFunc(head, func(r rune) bool { return strings.ContainsRune(" (),", r) }), name) {
					said += line
				}
				continue
			}
			head = line
		}
		if len(said) < 20 || strings.Contains(said, "the emperor does nothing with it itself") {
			t.Errorf("%s: %q", name, said)
		}
	}
	reader, err := newReader()
	if err != nil {
		t.Fatal(err)
	}
	t.Chdir(t.TempDir())
	const start = "[uwsgi]\nhttp = 127.0.0.1:8080\nroute-run = return:200\n"
	for line, want := range map[string]string{
		"ssl-verbose = true":           "accepted without effect: each handshake that fails is a line of the log anyway",
		"ssl-tmp-dir = /tmp":           "accepted without effect: certificates and keys are named by files",
		"ssl-sessions-use-cache = x":   "accepted without effect: TLS sessions are kept by the clients",
		"https-socket-modifier1 = 5":   "accepted without effect: see http-modifier1",
		"ssl-enable-tlsv1 = true":      "f.ini:4: ssl-enable-tlsv1: TLS 1.0 and 1.1 are broken and refused",
		"ssl-enable3 = true":           "f.ini:4: ssl-enable3: SSL 3 is broken",
		"ssl-verify-depth = 200":       "f.ini:4: ssl-verify-depth: ",
		"sni = a.test /x.crt":          "f.ini:4: sni: the key is missing",
		"sni-regexp = ^a /x.crt,/y":    "f.ini:4: warning: sni-regexp: the regular expression ^a does not end with",
		"https = 8443,/x.crt,/x.key":   "f.ini:4: https: ",
		"ssl-min-versoin = 1.3":        "did you mean ssl-min-version",
		"https-export-cret = true":     "did you mean https-export-cert",
		"http-subscription-sni-dir= x": "f.ini:4: http-subscription-sni-dir: want a whole path",
	} {
		if err := os.WriteFile("f.ini", []byte(start+line+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		dir, err := os.Getwd()
		if err != nil {
			t.Fatal(err)
		}
		r, err := check(reader, emperor.Source{Args: []string{"f.ini"}, Dir: dir})
		if err != nil {
			t.Fatal(err)
		}
		if said := r.problems.String() + strings.Join(r.notes, "\n"); !strings.Contains(said, want) {
			t.Errorf("%s: %s, want %q", line, said, want)
		}
	}
}
