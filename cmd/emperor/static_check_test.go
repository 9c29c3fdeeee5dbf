package main

import (
	"os"
	"strings"
	"testing"
)

// TestFoldersForeseen has one vassal of static files each, and all that check says
// about it.
func TestFoldersForeseen(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Fatal("only root can see what other users may do: run the tests as root")
	}
	for _, test := range []struct {
		name, file string
		prepare    func(d *desk)
		want       string // empty: in order
	}{
		{name: "in order", file: "static = DIR/www"},
		{name: "named as the rules expect", file: "static = DIR/www\nsocket = DIR/run/site.sock"},
		{name: "relative", file: "static = ../www"},
		{name: "missing", file: "static = DIR/closd", want: "v/site.ini:2: static: there is no DIR/closd; did you mean DIR/closed?"},
		{name: "home", file: "static = ~/www", want: "v/site.ini:2: static: there is no DIR/v/~/www (not even DIR/v/~) (~ is a shell's: write the directory's name)"},
		{name: "a file", file: "static = DIR/app.py", want: "v/site.ini:2: static: DIR/app.py is a file, want a directory"},
		{name: "closed to the router", file: "static = DIR/www", prepare: func(d *desk) { d.mode("www", 0o700) },
			want: "v/site.ini:2: static: the router (user nobody) may not enter DIR/www (mode 0700, owner root, group root): open it (chmod o+x DIR/www)"},
		{name: "below what is closed to the router", file: "static = DIR/closed/www", prepare: func(d *desk) { d.mode("closed", 0o700) },
			want: "v/site.ini:2: warning: static: the router (user nobody) may not enter DIR/closed (mode 0700, owner root, group root): a folder that takes the place of www is served after a reload only (or chmod o+x DIR/closed)"},
		{name: "page closed to the router", file: "static = DIR/www\nstatic-index = page.html", prepare: func(d *desk) { d.mode("www/page.html", 0o640) },
			want: "v/site.ini:2: warning: static: the router (user nobody) may not read DIR/www/page.html (mode 0640, owner root, group root): it would be answered 403"},
		{name: "closed to the tenant", file: "static = DIR/closed/www", prepare: func(d *desk) {
			d.mode("closed", 0o700)
			if err := os.Chown(d.path("v/site.ini"), 2, -1); err != nil {
				d.Fatal(err)
			}
		}, want: "v/site.ini:2: static: user bin may not enter DIR/closed (mode 0700, owner root, group root)"},
		{name: "expires", file: "static = DIR/www\nstatic-expires = css", want: `v/site.ini:3: static-expires: want a regular expression, a blank and a number of seconds, got "css"`},
		{name: "try", file: "static = DIR/www\nstatic-try = $url", want: `v/site.ini:3: static-try: "$url" is not known here: want names made of $uri, or fixed ones as /index.html; =404 may stand at the end`},
		{name: "index", file: "static = DIR/www\nstatic-index = a/b", want: `v/site.ini:3: static-index: want the name of a file such as index.html, got "a/b"`},
		{name: "404", file: "static = DIR/www\nstatic-404 = ../x", want: `v/site.ini:3: static-404: want a file below the folder, such as 404.html, got "../x"`},
		{name: "types", file: "static = DIR/www\nmimefile = DIR/app.py", want: `app.py: mimefile: line 1: want a type as text/html and its extensions, got "def" (vassal site)`},
		{name: "no rule", file: "static = DIR/www\nsocket = DIR/run/other-site.txt", want: "v/site.ini:2: warning: static: no rule reaches vassal site: that of main.ini:5 looks for one of its name at DIR/run/site.sock; route-host = ^site\\.example\\.com$ vassal:site would"},
		{name: "a name that another has", file: "static = DIR/www\nsocket = DIR/run/app.sock", prepare: func(d *desk) {
			d.write("v/app.ini", "[uwsgi]\nsocket = DIR/run/app.sock\ncommand = DIR/serve\n")
		}, want: "v/site.ini:3: socket: DIR/run/app.sock belongs to vassal app (DIR/v/app.ini:2) already: choose another path (%n in it stands for the file's name)"},
		{name: "what another has by the rules", file: "static = DIR/www", prepare: func(d *desk) {
			d.write("v/app.ini", "[uwsgi]\nsocket = DIR/run/site.sock\ncommand = DIR/serve\n")
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			d := newDesk(t)
			for _, dir := range []string{"www", "closed", "closed/www"} {
				if err := os.Mkdir(d.path(dir), 0o755); err != nil {
					t.Fatal(err)
				}
			}
			d.write("www/page.html", "")
			d.write("v/site.ini", "[uwsgi]\n"+test.file+"\n")
			if test.prepare != nil {
				test.prepare(d)
			}
			problems, code := d.check()
			if problems = strings.TrimSpace(problems); problems != test.want || code != exitOf(test.want) {
				t.Errorf("exit %d\n%s\nwant %d\n%s", code, problems, exitOf(test.want), test.want)
			}
		})
	}
}
