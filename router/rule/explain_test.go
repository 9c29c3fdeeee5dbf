package rule

import (
	"strings"
	"testing"
)

func TestExplain(t *testing.T) {
	table := mustCompile(t, `
route-host = ^www\.example\.com$ uwsgi:/tmp/www.sock,0,0
route-host = ^a\.x:80$ vassal:x
route-uri = ^/b vassal:b
route-if = equal:${REQUEST_METHOD};POST return:405
route-run = log:from ${REMOTE_ADDR}
route-run = goto:sites
route-run = return:404
route-label = sites
route-host = ^([-\w]+)\.example\.com$ uwsgi:/tmp/$1.sock,0,0
route-run = return:404
`)
	steps, d := table.Explain(queryFor("site.example.com"))
	var got strings.Builder
	for _, step := range steps {
		mark := "- "
		if step.Matched {
			mark = "+ "
		}
		got.WriteString(mark + step.Rule.Pos().String() + " " + step.Text + "\n")
	}
	const want = `- main.ini:2 no match for host "site.example.com"
- main.ini:3 no match for host "site.example.com", which has no port
- main.ini:4 no match for URI "/"
- main.ini:5 "equal:${REQUEST_METHOD};POST" does not hold: it compares "GET" with "POST"
+ main.ini:6 always; log:from ${REMOTE_ADDR}: logs "from 192.0.2.7"
+ main.ini:7 always; on to sites (main.ini:9)
+ main.ini:10 matches host "site.example.com", $1 = "site"; uwsgi to /tmp/site.sock, modifiers 0,0
`
	if got.String() != want {
		t.Errorf("Explain:\n%s\nwant:\n%s", got.String(), want)
	}
	if d.Kind != Uwsgi || d.Rule.Pos().Line != 10 || len(d.Notes) != 1 || string(d.Notes[0].Text) != "from 192.0.2.7" {
		t.Errorf("decision %+v", d)
	}
}

// TestExplainEverything: every kind of test says why it does not hold, and every
// action what it did, in all chains.
func TestExplainEverything(t *testing.T) {
	table := mustCompile(t, `
route-remote-user = . vassal:x
route-if = empty:${REQUEST_METHOD} vassal:x
route-if-not = regexp:${PATH_INFO};^/(a) vassal:x
route-if = regexp:${PATH_INFO};^/(.) addvar:A=$1
route-if = isfile:/srv/maint/${HTTP_HOST}.flag return:503
route-if = isfile:/srv/maint/${QUERY_STRING} return:503
route-if-not = isfile:/srv/maint/x log:open
route-run = rewrite:/new?b=c
route-run = addheader:X-A: ${A}
route-run = delheader:Server
route-run = logvar:k=v
route-run = basicauth-next:R,u:p
route-run = https:127.0.0.1:443,x
error-route-status = 404 return:404
error-route-status = 502 file:filename=/srv/maint/502.html,status=502
response-route = ^/new$ last:
final-route-status = 404 log:lost
`)
	q := worldly("h/a?..")
	steps, d := table.Explain(q)
	q.Status = 502
	for _, c := range []Chain{ErrorChain, ResponseChain, FinalChain} {
		steps = append(steps, table.ExplainChain(c, q, d)...)
	}
	var got strings.Builder
	for _, step := range steps {
		got.WriteString(map[bool]string{true: "+ ", false: "- "}[step.Matched] + step.Text + "\n")
	}
	const want = `- no match for remote user ""
- "empty:${REQUEST_METHOD}" does not hold: it is "GET"
- not "regexp:${PATH_INFO};^/(a)" does not hold for "/a"
+ "regexp:${PATH_INFO};^/(.)" holds, $1 = "a"; addvar:A=$1: A = "a"
- "isfile:/srv/maint/${HTTP_HOST}.flag" does not hold for /srv/maint/h.flag
- "isfile:/srv/maint/${QUERY_STRING}" does not hold: ${QUERY_STRING} is "..", which can not be part of a file's path (no . or .. and no control character)
+ not "isfile:/srv/maint/x" holds; log:open: logs "open"
+ always; rewrite:/new?b=c: PATH_INFO = "/new", QUERY_STRING = "b=c&.."
+ always; addheader:X-A: ${A}: adds X-A: a
+ always; delheader:Server: removes Server
+ always; logvar:k=v: k = "v"
+ always; basicauth-next:R,u:…
+ always; HTTPS to 127.0.0.1:443, as host x
- no match for status 502
+ status is 502; answer 502 Bad Gateway with /srv/maint/502.html
+ matches path "/new"; no more rules
- no match for status 502
`
	if got.String() != want {
		t.Errorf("Explain:\n%s\nwant:\n%s", got.String(), want)
	}
}

// TestActionText: each action has a normal form, which means the same again.
func TestActionText(t *testing.T) {
	for _, test := range reference {
		table := mustCompile(t, test.rules)
		for _, r := range table.Rules() {
			if _, isLabel := r.action.(*labelAction); isLabel {
				continue
			}
			again, problems := Compile([]Source{{"route", "(.)(.) " + r.Action(), "", 0}})
			if _, isJump := r.action.(*gotoAction); isJump {
				continue
			}
			if problems != nil || again.Rules()[0].Action() != r.Action() {
				t.Errorf("%s becomes %s: %v", r, r.Action(), problems)
			}
		}
	}
}

func TestCatching(t *testing.T) {
	tests := []struct{ rules, host, want string }{
		{article, "blog.example.org", `route-host = ^blog\.example\.org$ uwsgi:/tmp/uwsgi_blog.sock,0,0`},
		{article, "example.com", `route-host = ^example\.com$ uwsgi:/tmp/uwsgi_example.sock,0,0`},
		{"", "blog.example.org", `route-host = ^blog\.example\.org$ vassal:blog`},
		{article, "", ""},
		{article, "..", ""},
		{article, "a\nb", ""},
		{article, "[::1]", ""},
	}
	for _, test := range tests {
		table := mustCompile(t, test.rules)
		got := table.Catching(test.host)
		if got != test.want {
			t.Errorf("Catching(%q) = %s, want %s", test.host, got, test.want)
		}
		if got == "" {
			continue
		}
		var d Decision
		mustCompile(t, got).Match(&Query{Host: []byte(test.host)}, &d)
		if d.Kind == None {
			t.Errorf("%s does not catch %s", got, test.host)
		}
	}
}

func TestAddressOf(t *testing.T) {
	table := mustCompile(t, article)
	address, r, ok := table.AddressOf("blog")
	if !ok || address != "/tmp/uwsgi_blog.sock" || r.Pos().Line != 3 {
		t.Errorf("AddressOf(blog) = %s, %v, %v", address, r, ok)
	}
	for _, name := range []string{"", "..", "a/b"} {
		if address, _, ok := table.AddressOf(name); ok {
			t.Errorf("AddressOf(%q) = %s", name, address)
		}
	}
}

func TestCapitals(t *testing.T) {
	table := mustCompile(t, article+"\nroute-host = ^b$ uwsgi:/tmp/uwsgi_Own.sock,0,0")
	tests := []struct{ address, want string }{
		{"/tmp/uwsgi_Blog.sock", "/tmp/uwsgi_blog.sock"},
		{"/tmp/uwsgi_blog.sock", ""},
		{"/tmp/Other", ""},
		{"/tmp/uwsgi_a/B.sock", ""},
		{"/tmp/uwsgi_Own.sock", ""},
	}
	for _, test := range tests {
		if got, _, _ := table.Capitals(test.address); got != test.want {
			t.Errorf("Capitals(%s) = %q, want %q", test.address, got, test.want)
		}
	}
}

func TestRuleText(t *testing.T) {
	table := mustCompile(t, `
route-host = ^(?<n>\w+)\.x$ uwsgi:/tmp/${n}.sock,5,6,app
route-run = http:127.0.0.1:80,,/x$${A}
route-run = redirect:http://${HTTP_HOST}/
route-run = break:
route-run = addvar:A=${REMOTE_ADDR}
route-run = uwsgi:,1,2
`)
	var got []string
	for _, r := range table.Rules() {
		kind, target, literal := r.Target()
		got = append(got, r.Action())
		switch {
		case kind == Uwsgi && (target != "/tmp/${n}.sock" || literal), kind == HTTP && (target != "127.0.0.1:80" || !literal):
			t.Errorf("Target of %s = %v %s %v", r, kind, target, literal)
		}
	}
	want := "uwsgi:/tmp/${n}.sock,5,6,app http:127.0.0.1:80,,/x$${A} redirect-302:http://${HTTP_HOST}/ break: addvar:A=${REMOTE_ADDR} uwsgi:,1,2"
	if strings.Join(got, " ") != want {
		t.Errorf("actions %s\nwant %s", strings.Join(got, " "), want)
	}
	if r := table.Rules()[3]; r.String() != "route-run = break:" || r.Pos().String() != "main.ini:5" {
		t.Errorf("%s: %s", r.Pos(), r)
	}
}
