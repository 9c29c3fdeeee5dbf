package rule

import (
	"net/url"
	"strings"
	"testing"
)

func TestConfinement(t *testing.T) {
	const (
		loose = `route-host = ^(.*)\.x$ uwsgi:/run/sites/$1.sock,0,0`
		dir   = `route-host = ^(.*)\.x$ uwsgi:/run/$1/app.sock,0,0`
		tcp   = `route-host = ^(.*)\.x$ http:$1.internal:80`
		port  = `route-host = ^(.*)\.x$ http:127.0.0.1:$1`
	)
	tests := []struct {
		rule, host string
		want       string // the address, "" for Unsafe
	}{
		{loose, "a.x", "/run/sites/a.sock"},
		{loose, "a.b.x", "/run/sites/a.b.sock"},
		{loose, "..x", ""},
		{loose, "...x", ""},
		{loose, ".x", ""},
		{loose, "d/../../evil.x", ""},
		{loose, "d/../uwsgi_site.x", ""},
		{loose, "/etc/x.x", ""},
		{loose, "a\x00.x", ""},
		{loose, "a\x7f.x", ""},
		{loose, "a:1.x", ""},
		{dir, "a.x", "/run/a/app.sock"},
		{dir, "..x", ""},
		{dir, "...x", ""},
		{dir, ".x", ""},
		{tcp, "a-b_1.x", "a-b_1.internal:80"},
		{tcp, "10.0.0.1:80/.x", ""},
		{tcp, "a.b.x", ""},
		{tcp, ".x", ""},
		{tcp, "evil:81.x", ""},
		{port, "8000.x", "127.0.0.1:8000"},
		{port, "0.x", ""},
		{port, "70000.x", ""},
		{port, "80a.x", ""},
		{port, ".x", ""},
		{`route-run = uwsgi:${HTTP_HOST},0,0`, "/etc/x", ""},
		{`route-run = uwsgi:${HTTP_HOST},0,0`, "127.0.0.1:80", ""},
		{`route-run = uwsgi:${HTTP_MISSING}/x,0,0`, "a", ""},
		{"route-host = (.*) addvar:A=/run/$1\nroute-run = uwsgi:${A},0,0", "x", ""},
	}
	for _, test := range tests {
		table := mustCompile(t, test.rule)
		var d Decision
		table.Match(&Query{Host: []byte(test.host), Vars: vars{"HTTP_HOST": test.host}}, &d)
		if test.want == "" && (d.Kind != Unsafe || d.Why == "" || d.Rule == nil || d.Address != nil) ||
			test.want != "" && string(d.Address) != test.want {
			t.Errorf("%s with host %q: %s, want %q", test.rule, test.host, &d, test.want)
		}
	}
}

// FuzzSubstitute: whatever is captured, a path keeps the directories that the
// rule spells, an address its host and port, a URL its host, and nothing breaks a line.
func FuzzSubstitute(f *testing.F) {
	f.Add("/run/uwsgi_$1.sock", "site.example.com", "/a")
	f.Add("/run/$1/$2/x.sock", "..", "//evil.example/")
	f.Add("run/.$1", "a/../../b", "/a\r\nX: y")
	f.Add("127.0.0.1:$1", "80", "/%0d%0a")
	f.Add("$1.internal:8$2", "a.b", "/.evil.example/")
	f.Add("@$1", "\x00", "@evil.example")
	f.Add("/run/$0${HTTP_X}${x}", "${HTTP_X}", `/\evil.example`)
	f.Fuzz(func(t *testing.T, address, host, path string) {
		q := &Query{Host: []byte(host), Path: []byte(path), URI: []byte(path), Vars: vars{"HTTP_X": path}}
		for _, pattern := range []string{`^(?s)(.*)$`, `(?s)^([^.]*)\.?(.*)$`, `^(a)?(.*)`} {
			checkAddress(t, pattern, address, q)
		}
		checkLocations(t, q)
	})
}

func checkAddress(t *testing.T, pattern, address string, q *Query) {
	if strings.ContainsAny(address, ",") || address == "" {
		return
	}
	table, problems := Compile([]Source{{"route-host", pattern + " uwsgi:" + address + ",0,0", "", 0}})
	if problems != nil {
		return
	}
	var d Decision
	table.Match(q, &d)
	if d.Kind != Uwsgi {
		return
	}
	result := string(d.Address)
	parts := table.chains[RequestChain].rules[0].action.(*uwsgiAction).address
	// The same template with the letter x in every place.
	spelled := parts.literal
	for _, p := range parts.list() {
		if p.isLiteral() {
			spelled += p.literal
		} else {
			spelled += "x"
		}
	}
	if strings.Count(result, ":") != strings.Count(spelled, ":") || Network([]byte(result)) != Network([]byte(spelled)) {
		t.Fatalf("%s with %q: %q is another kind of address", address, q.Host, result)
	}
	if Network([]byte(result)) == "tcp" {
		if strings.Count(result, ".") != strings.Count(spelled, ".") || strings.Count(result, "/") != strings.Count(spelled, "/") {
			t.Fatalf("%s with %q: %q is another host", address, q.Host, result)
		}
		return
	}
	got, want := strings.Split(result, "/"), strings.Split(spelled, "/")
	if len(got) != len(want) {
		t.Fatalf("%s with %q: %q has other directories", address, q.Host, result)
	}
	for i := range got {
		if got[i] != want[i] && (got[i] == "" || got[i] == "." || got[i] == "..") {
			t.Fatalf("%s with %q: %q leaves its directory", address, q.Host, result)
		}
	}
}

// locations are redirects, compiled for a decoded and for a raw subject, and the
// host (or, with a dot, its end) that each must keep.
var locations = func() []*redirection {
	list := []*redirection{
		{"http://x.com$1", "x.com", nil}, {"http://x.com/$1", "x.com", nil}, {"http://x.com/?q=$1", "x.com", nil}, {"http://x.com:80$1", "x.com:80", nil},
		{"//x.com$1", "x.com", nil}, {"http://$1.x.com/", ".x.com", nil}, {"http://a-$1.x.com:80/$1", ".x.com:80", nil},
		{"/$1", "", nil}, {"/a/$1", "", nil}, {"/?$1", "", nil},
	}
	for _, r := range list {
		for _, key := range []string{"route", "route-uri"} {
			table, problems := Compile([]Source{{key, "^(?s)/?(.*)$ redirect:" + r.location, "", 0}})
			if problems != nil {
				panic(problems[0])
			}
			r.tables = append(r.tables, table)
		}
	}
	return list
}()

type redirection struct {
	location, host string
	tables         []*Table
}

func checkLocations(t *testing.T, q *Query) {
	for _, test := range locations {
		for _, table := range test.tables {
			var d Decision
			table.Match(q, &d)
			if d.Kind != Redirect {
				continue
			}
			for _, c := range d.Location {
				if c <= ' ' || c >= 0x7f {
					t.Fatalf("%s with %q: %q", test.location, q.Path, d.Location)
				}
			}
			u, err := url.Parse(string(d.Location))
			if err != nil {
				continue // no browser takes it for another host
			}
			fixed := !strings.HasPrefix(test.host, ".")
			if fixed && u.Host != test.host || !fixed && !strings.HasSuffix(u.Host, test.host) && u.Host != "a-" {
				t.Fatalf("%s with %q: %q goes to host %q", test.location, q.Path, d.Location, u.Host)
			}
		}
	}
}
