package spec

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"emperor/internal/config"
	"emperor/internal/link"
)

// TestDocumentRoot: a command that is told files has them in its addresses, and
// those that are not scripts are the front's to send.
func TestDocumentRoot(t *testing.T) {
	for _, test := range []struct{ name, text, addresses, options string }{
		{"absolute", "socket = /run/a.sock\nprotocol = fastcgi\ndocument-root = /srv/site/", "fastcgi:/run/a.sock /srv/site", ".php .phtml .phar"},
		{"relative", "chdir = /srv\nsocket = /run/a.sock\nprotocol = scgi\ndocument-root = site", "scgi:/run/a.sock /srv/site", ".php .phtml .phar"},
		{"one socket of two", "socket = /run/a.sock\nfastcgi-socket = /run/b.sock\ndocument-root = /srv/site", "http:/run/a.sock  fastcgi:/run/b.sock /srv/site", ".php .phtml .phar"},
		{"with options", "socket = /run/a.sock\nprotocol = fastcgi\nstatic-skip-ext = .inc\ndocument-root = /srv/site", "fastcgi:/run/a.sock /srv/site", ".inc .php .phtml .phar"},
		{"without", "socket = /run/a.sock\nprotocol = fastcgi", "fastcgi:/run/a.sock ", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "site.ini")
			if err := os.WriteFile(file, []byte("[uwsgi]\ncommand = php-fpm\n"+test.text+"\n"), 0o644); err != nil {
				t.Fatal(err)
			}
			spec, problems := readSpec(Reading{Name: "site", File: file})
			if spec == nil || len(problems) > 0 {
				t.Fatalf("problems:\n%s", problems)
			}
			var addresses, options []string
			for _, a := range spec.Addresses() {
				addresses = append(addresses, a.Protocol+":"+a.Address+" "+a.Root)
			}
			for _, o := range spec.Static.Files.Options {
				options = append(options, o.Value)
			}
			if got := strings.Join(addresses, " "); got != test.addresses {
				t.Errorf("addresses %q, want %q", got, test.addresses)
			}
			if got := strings.Join(options, " "); got != test.options {
				t.Errorf("not sent: %q, want %q", got, test.options)
			}
			if spec.StaticFiles() != nil || spec.FollowsRules() {
				t.Error("it is taken for a folder without a program")
			}
		})
	}
	check := func(options []link.Option) (problems config.Problems) { return nil }
	for text, want := range map[string]string{
		"socket = /run/a.sock\ndocument-root = /srv":                            "site.ini:4: document-root: only a program that speaks FastCGI or SCGI",
		"socket = /run/a.sock\nprotocol = fastcgi\ndocument-root = /":           "site.ini:5: document-root: want a folder",
		"socket = /run/a.sock\nprotocol = fastcgi\ndocument-root = @(call://x)": "site.ini:5: document-root: the value depends on something",
	} {
		spec, problems, _ := readText(t, "site.ini", "[uwsgi]\ncommand = x\n"+text+"\n", func(r *Reading) { r.CheckFiles = check })
		if spec != nil || !strings.Contains(errorsOf(problems), want) {
			t.Errorf("%s: %swant %q", text, errorsOf(problems), want)
		}
	}
}
