package spec

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"emperor/internal/config"
)

// TestReadTouch: which files the emperor watches, and when it leaves that to uWSGI, which
// then is told of them as ever.
func TestReadTouch(t *testing.T) {
	for _, test := range []struct {
		name, file, text, set string
		touch                 string // the files, of us
		foreign               string // why they are uWSGI's
	}{
		{name: "a command", text: "command = a\nsocket = /run/a\ntouch-reload = /run/t\ntouch-chain-reload = t\nchdir = /srv\n", touch: "/run/t /srv/t"},
		{name: "a folder", text: "static = DIR\ntouch-reload = t\n", touch: "DIR/t"},
		{name: "a uWSGI", text: "module = a\nsocket = /run/a\n touch-reload = /run/t\ntouch-workers-reload=/run/u\n", touch: "/run/t /run/u"},
		{name: "below its directory", text: "module = a\nsocket = /run/a\nchdir = /srv\ntouch-reload = t\n", touch: "/srv/t"},
		{name: "the file itself", text: "module = a\nsocket = /run/a\ntouch-reload = %p\n", touch: "DIR/site.ini"},
		{name: "the same file twice", text: "command = a\nsocket = /run/a\ntouch-reload = /run/t\ntouch-workers-reload = /run/x/../t\n", touch: "/run/t"},
		{name: "set for all", text: "module = a\nsocket = /run/a\n", set: "touch-reload=/run/t", touch: "/run/t"},
		{name: "none", text: "module = a\nsocket = /run/a\n"},
		{name: "a directory known to uWSGI", text: "module = a\nsocket = /run/a\nchdir = @(exec://echo x)\ntouch-reload = t\n", foreign: "known to uWSGI only"},
		{name: "a file known to uWSGI", text: "module = a\nsocket = /run/a\ntouch-reload = @(exec://echo x)\n", foreign: "known to uWSGI only"},
		{name: "included", text: "module = a\nsocket = /run/a\ninclude = more.ini\n", foreign: "the line stands in more.ini"},
		{name: "a jail", text: "module = a\nsocket = /run/a\nchroot = /srv\ntouch-reload = /run/t\n", foreign: "in its jail"},
		{name: "no ini file", file: "site.yml", text: "uwsgi:\n  module: a\n  socket: /run/a\n  touch-reload: /run/t\n", foreign: "no ini file"},
		{name: "a name with a quote", file: "it's.ini", text: "module = a\nsocket = /run/a\ntouch-reload = /run/t\n", foreign: "has a character"},
		{name: "another section", text: "module = a\nsocket = /run/a\nini = :more\ntouch-reload = /run/t\n[more]\ntouch-reload = /run/u\n", touch: "/run/t /run/u"},
	} {
		t.Run(test.name, func(t *testing.T) {
			if test.file == "" {
				test.file = "site.ini"
			}
			text := test.text
			if !strings.HasPrefix(text, "uwsgi:") {
				text = "[uwsgi]\n" + text
			}
			spec, problems, dir := readText(t, test.file, text, func(r *Reading) {
				r.Env = append(r.Env, "PATH="+os.Getenv("PATH"))
				if key, value, ok := strings.Cut(test.set, "="); ok {
					r.Set = []config.Value{{Key: key, Value: value, HasValue: true}}
				}
				if strings.Contains(text, "more.ini") {
					if err := os.WriteFile(filepath.Join(filepath.Dir(r.File), "more.ini"), []byte("[uwsgi]\ntouch-reload = /run/t\n"), 0o644); err != nil {
						t.Fatal(err)
					}
				}
			})
			if spec == nil {
				t.Fatal(problems)
			}
			in := func(text string) string { return strings.ReplaceAll(text, "DIR", dir) }
			if got := strings.Join(spec.Touch, " "); got != in(test.touch) {
				t.Errorf("the emperor watches %q, want %q", got, in(test.touch))
			}
			if said := problems.String(); test.foreign == "" && strings.Contains(said, "by itself") || !strings.Contains(said, in(test.foreign)) {
				t.Errorf("said %q, want %q", said, in(test.foreign))
			}
			if spec.Kind != UWSGI {
				return
			}
			arguments := strings.Join(spec.UWSGI.Arguments, " ")
			filtered := strings.Contains(arguments, "exec://sed ")
			if filtered != (test.touch != "") || strings.Contains(arguments, "touch-reload=") {
				t.Errorf("uWSGI is told %s", arguments)
			}
		})
	}
}
