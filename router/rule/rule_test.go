package rule

import (
	"strings"
	"testing"
)

// sources turns "key = value" lines into directives of the file main.ini.
func sources(text string) []Source {
	var list []Source
	for n, line := range strings.Split(text, "\n") {
		key, value, found := strings.Cut(line, "=")
		if !found {
			continue
		}
		list = append(list, Source{strings.TrimSpace(key), strings.TrimSpace(value), "main.ini", n + 1})
	}
	return list
}

// mustCompile compiles lines that have no mistake.
func mustCompile(t testing.TB, text string) *Table {
	t.Helper()
	table, problems := Compile(sources(text))
	for _, problem := range problems {
		t.Errorf("Compile: %v", problem)
	}
	if table == nil {
		t.FailNow()
	}
	return table
}

// vars are request variables for tests.
type vars map[string]string

func (v vars) Var(name string) ([]byte, bool) {
	value, ok := v[name]
	return []byte(value), ok
}

// queryFor makes a query as the engine would for "host[:port]/path[?query]".
func queryFor(url string) *Query {
	host, target := url, "/"
	if i := strings.IndexByte(url, '/'); i >= 0 {
		host, target = url[:i], url[i:]
	}
	host = strings.ToLower(host)
	q := &Query{URI: []byte(target), RemoteAddr: []byte("192.0.2.7")}
	name, port, hasPort := strings.Cut(host, ":")
	name = strings.TrimSuffix(name, ".")
	q.Host = []byte(name)
	if hasPort {
		q.HostPort = []byte(name + ":" + port)
	}
	path, query, _ := strings.Cut(target, "?")
	path = strings.ReplaceAll(path, "%20", " ")
	path = strings.ReplaceAll(path, "%0d%0a", "\r\n")
	q.Path, q.QueryString = []byte(path), []byte(query)
	q.Vars = vars{"REQUEST_METHOD": "GET", "HTTP_HOST": host, "HTTP_USER_AGENT": "curl/8", "HTTP_X": "x y"}
	return q
}

const article = `
route-host = ^www\.example\.com$ uwsgi:/tmp/uwsgi_example_vassal.sock,0,0
route-host = ^([-\w]+)\.example\.com$ uwsgi:/tmp/uwsgi_$1.sock,0,0
`

// TestMatch compares decisions in words. Rows named "3.8", "93" … are those of
// the reference's tables of what uWSGI does, with the outcome that is wanted here.
func TestMatch(t *testing.T) {
	const loose = `route-host = ^(.+)\.loose\.com$ uwsgi:/tmp/uwsgi_$1.sock,0,0`
	tests := []struct{ name, rules, url, want string }{
		{"3.8 literal first", article, "www.example.com", "uwsgi to /tmp/uwsgi_example_vassal.sock, modifiers 0,0"},
		{"93 capture", article, "site.example.com", "uwsgi to /tmp/uwsgi_site.sock, modifiers 0,0"},
		{"94 port", article, "site.example.com:80", "uwsgi to /tmp/uwsgi_site.sock, modifiers 0,0"},
		{"3.8 port of a literal", article, "www.example.com:8080", "uwsgi to /tmp/uwsgi_example_vassal.sock, modifiers 0,0"},
		{"3.8 capitals", article, "WWW.EXAMPLE.COM", "uwsgi to /tmp/uwsgi_example_vassal.sock, modifiers 0,0"},
		{"3.8 capital capture", article, "Site.example.com", "uwsgi to /tmp/uwsgi_site.sock, modifiers 0,0"},
		{"3.8 trailing dot", article, "site.example.com.", "uwsgi to /tmp/uwsgi_site.sock, modifiers 0,0"},
		{"3.8 two labels", article, "a.b.example.com", "the default"},
		{"3.8 bare domain", article, "example.com", "the default"},
		{"95 other", article, "other.org", "the default"},
		{"3.8 no host", article, "/", "the default"},
		{"3.8 two hosts", article, "www.example.com, site.example.com", "the default"},
		{"3.8 hostile", article, "../../x.example.com", "the default"},
		{"3.8 last rule", article + "route-run = return:404", "other.org", "answer 404 Not Found"},
		{"underscore", article, "my_site.example.com", "uwsgi to /tmp/uwsgi_my_site.sock, modifiers 0,0"},
		{"97 traversal", loose, "d\\.loose.com", "uwsgi to /tmp/uwsgi_d\\.sock, modifiers 0,0"},
		{"dots in a capture", loose, "a.b.loose.com", "uwsgi to /tmp/uwsgi_a.b.sock, modifiers 0,0"},
		{"101", "route-run = break:403 No", "h/", "answer 403 No"},
		{"102", "route-run = return:404", "h/", "answer 404 Not Found"},
		{"104", "route-run = redirect:http://x/", "h/", "answer 302 to http://x/"},

		{"capitals in a pattern", `route-host = ^WWW\.Example\.COM$ vassal:a`, "www.example.com", "to vassal a"},
		{"capitals in a class", `route-host = ^([A-Z]+)\.Example\.com$ vassal:$1`, "abc.example.com", "to vassal abc"},
		{"exclusion stays", `route-host = ^([^A-Z]+)\.x$ vassal:$1`, "abc.x", "to vassal abc"},
		{"pattern with port", `route-host = ^a\.x:8080$ vassal:a`, "a.x:8080", "to vassal a"},
		{"pattern with other port", `route-host = ^a\.x:8080$ vassal:a`, "a.x:80", "the default"},
		{"pattern with port, none sent", `route-host = ^a\.x:8080$ vassal:a`, "a.x", "the default"},
		{"any port", `route-host = ^(\w+)\.x:(\d+)$ vassal:$1-$2`, "a.x:80", "to vassal a-80"},
		{"optional port", `route-host = ^a\.x(:80)?$ vassal:a`, "a.x:81", "to vassal a"},
		{"dot is no port", `route-host = ^a.x.*$ vassal:a`, "a.x:80", "to vassal a"},

		{"modifiers", "route-run = uwsgi:127.0.0.1:3031,5,7", "h/", "uwsgi to 127.0.0.1:3031, modifiers 5,7"},
		{"modifiers only", "route-run = uwsgi:,5,7\nroute-run = return:404", "h/", "the default, with modifiers 5,7"},
		{"local port", "route-run = uwsgi::3031,0,0", "h/", "uwsgi to :3031, modifiers 0,0"},
		{"http", "route-run = http:127.0.0.1:8000", "h/", "HTTP to 127.0.0.1:8000"},
		{"http host", "route-run = http:127.0.0.1:8000,b.x", "h/", "HTTP to 127.0.0.1:8000, as host b.x"},
		{"http uri", "route = ^/old/(.*)$ http:[::1]:80,,/new/$1", "h/old/a%20b", "HTTP to [::1]:80, for /new/a%20b"},
		{"http uri of a capture", "route = ^/old(.*)$ http:[::1]:80,,$1", "h/old", "HTTP to [::1]:80, for /"},
		{"http uri has commas", "route-run = http:[::1]:80,,/a,b", "h/", "HTTP to [::1]:80, for /a,b"},
		{"http label", `route-host = ^(\w+)\.x$ http:$1.internal:80`, "a.x", "HTTP to a.internal:80"},
		{"http port", `route-host = ^p(\d+)\.x$ http:127.0.0.1:$1`, "p81.x", "HTTP to 127.0.0.1:81"},

		{"order", "route-uri = ^/a vassal:uri\nroute-host = ^h$ vassal:host", "h/a", "to vassal uri"},
		{"order 2", "route-host = ^h$ vassal:host\nroute-uri = ^/a vassal:uri", "h/a", "to vassal host"},
		{"path", "route = ^/a b$ vassal:x", "h/", ""},
		{"path with a space", `route = ^/a\x20b$ vassal:x`, "h/a%20b", "to vassal x"},
		{"unanchored", "route = b vassal:x", "h/abc", "to vassal x"},
		{"uri is raw", "route-uri = ^/a%20b$ vassal:x", "h/a%20b", "to vassal x"},
		{"query", "route-qs = (?:^|&)v=(\\w+) vassal:$1", "h/?v=two", "to vassal two"},
		{"client", `route-remote-addr = ^192\.0\.2\. vassal:x`, "h/", "to vassal x"},
		{"user agent", `route-user-agent = ^curl vassal:x`, "h/", "to vassal x"},
		{"referer", `route-referer = . vassal:x`, "h/", "the default"},
		{"remote user", `route-remote-user = ^$ vassal:x`, "h/", "to vassal x"},
		{"dollar is the end", `route = ^/a$ vassal:x`, "h/a%0d%0a", "the default"},

		{"last", "route-run = last:\nroute-run = return:404", "h/", "the default"},
		{"continue", "route-run = continue:\nroute-run = return:404", "h/", "the default"},
		{"goto", "route-uri = ^/a goto:end\nroute-run = vassal:x\nroute-label = end\nroute-run = vassal:y", "h/a", "to vassal y"},
		{"goto not taken", "route-uri = ^/a goto:end\nroute-run = vassal:x\nroute-label = end\nroute-run = vassal:y", "h/b", "to vassal x"},
		{"goto number", "route-run = goto:2\nroute-run = vassal:x\nroute-run = vassal:y", "h/a", "to vassal y"},
		{"break", "route-run = break:", "h/", "close the connection without an answer"},
		{"return text", "route-run = return:404 Gone fishing", "h/", "answer 404 Gone fishing"},
		{"addvar", "route-run = addvar:V=site\nroute-run = vassal:${V}", "h/", "to vassal site"},
		{"addvar twice", "route-run = addvar:V=a\nroute-run = addvar:V=b\nroute-run = vassal:${V}", "h/", "to vassal b"},
		{"addvar leaves the subject", "route-run = addvar:HTTP_HOST=n\nroute-host = ^n$ vassal:x", "h/", "the default"},
		{"address in a variable of the rules", "route-run = addvar:V=/tmp/a.sock\nroute-run = uwsgi:${V},0,0", "h/", "uwsgi to /tmp/a.sock, modifiers 0,0"},
		{"field value", "route = ^/(?s)(.*) addvar:HTTP_X=$1\nroute-run = vassal:x", "h/a%0d%0ab", `refused: $1 is "a\r\nb", which can not be part of a header field (no control characters)`},

		{"if", "route-if = equal:${REQUEST_METHOD};GET vassal:x", "h/", "to vassal x"},
		{"if not", "route-if-not = equal:${REQUEST_METHOD};GET vassal:x", "h/", "the default"},
		{"if regexp", `route-if = regexp:${HTTP_USER_AGENT};^(\w+)/ vassal:$1`, "h/", "to vassal curl"},
		{"if empty", "route-if = empty:${HTTP_COOKIE} vassal:x", "h/", "to vassal x"},
		{"if starts", "route-if = startswith:${PATH_INFO};/a vassal:x", "h/ab", "to vassal x"},
		{"if ends", "route-if = endswith:${PATH_INFO};b vassal:x", "h/ab", "to vassal x"},
		{"if contains", "route-if = contains:${PATH_INFO};b vassal:x", "h/abc", "to vassal x"},
		{"if higher", "route-if = ishigher:${QUERY_STRING};9 vassal:x", "h/?10", "to vassal x"},
		{"if in network", "route-if = ipv4in:${REMOTE_ADDR};192.0.2.0/24 vassal:x", "h/", "to vassal x"},
		{"if not in network", "route-if = ipv4in:${REMOTE_ADDR};192.0.3.0/24 vassal:x", "h/", "the default"},

		{"$0", "route = /b redirect:http://x$0", "h/a/b", "answer 302 to http://x/b"},
		{"$10", "route = /(b) redirect:http://x/$10", "h/b", "answer 302 to http://x/b0"},
		{"absent group", "route = /(b) redirect:http://x/-$2", "h/b", "answer 302 to http://x/-"},
		{"dollars stay", "route = /(b) redirect:http://x/$$1-$x$", "h/b", "answer 302 to http://x/$$1-$x$"},
		{"named", `route-host = ^(?<site>\w+)\.x$ vassal:${site}`, "a.x", "to vassal a"},
		{"named, P", `route-host = ^(?P<site>\w+)\.x$ vassal:${site}-1`, "a.x", "to vassal a-1"},
		{"followed by letters", `route-host = ^(\w+)\.x$ vassal:$1_prod`, "a.x", "to vassal a_prod"},
		{"one pass", "route = ^/(.*)$ redirect:http://x/$1", "h/${REMOTE_ADDR}$0", "answer 302 to http://x/$%7BREMOTE_ADDR%7D$0"},
		{"whole request", "route-run = redirect-permanent:https://${HTTP_HOST}${REQUEST_URI}", "h:81/a%20b?c=d", "answer 301 to https://h:81/a%20b?c=d"},
		{"no header injection", "route = ^/(?s)(.*)$ redirect:http://x/$1", "h/a%0d%0aInj:1", "answer 302 to http://x/a%0D%0AInj:1"},
		{"no other host", "route = ^/old/(.*)$ redirect:/$1", "h/old//evil.com", "answer 302 to /evil.com"},
		{"no other host 2", "route-uri = ^/old(/.*)$ redirect:$1", "h/old///evil.com", "answer 302 to /evil.com"},
		{"no other host 3", "route = ^/u/(.*)$ redirect:http://$1.x/", "h/u/evil.com/", `refused: $1 is "evil.com/", which can not be part of a host (letters, digits and .-_:[])`},
		{"no other host 4", "route = ^/old(.*)$ redirect:http://x.com$1", "h/old.evil.com/", `refused: $1 is ".evil.com/", which can not be part of a URL's path (it must begin with a slash)`},
		{"path after host", "route = ^/old(.*)$ redirect:http://x.com$1", "h/old/b", "answer 302 to http://x.com/b"},
		{"no path after host", "route = ^/old(.*)$ redirect:http://x.com$1", "h/old", "answer 302 to http://x.com"},
		{"file in a path", "route = ^/old(.*)$ redirect:https://x.com$1index.html", "h/old/b/", "answer 302 to https://x.com/b/index.html"},
		{"file in a path 2", "route-run = redirect:https://${HTTP_HOST}${REQUEST_URI}index.html", "h/old/", "answer 302 to https://h/old/index.html"},
		{"no other host 5", "route = ^/(\\w+)(.*)$ redirect:https://$1$2.x.com/", "h/evil/x", `refused: $2 is "/x", which can not be part of a host (letters, digits and .-_:[])`},
		{"optional host part", `route-host = ^(www\.)?(\w+)\.x$ redirect:https://$1$2.y${REQUEST_URI}`, "a.x/b", "answer 302 to https://a.y/b"},
		{"optional group", `route-host = ^(www\.)?(\w+)\.x$ uwsgi:/tmp/$1$2.sock,0,0`, "a.x", "uwsgi to /tmp/a.sock, modifiers 0,0"},
		{"optional group alone", `route-host = ^(?:(\w+)\.)?x$ uwsgi:/tmp/$1/a.sock,0,0`, "x", `refused: an optional group took no part, and "/tmp//a.sock" is no name to use`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if test.want == "" {
				if _, problems := Compile(sources(test.rules)); problems == nil {
					t.Error("Compile: no problem found")
				}
				return
			}
			table := mustCompile(t, test.rules)
			var d Decision
			table.Match(queryFor(test.url), &d)
			if got := d.String(); got != test.want {
				t.Errorf("Match(%s) = %s, want %s", test.url, got, test.want)
			}
			if _, explained := table.Explain(queryFor(test.url)); explained.String() != test.want {
				t.Errorf("Explain(%s) = %s, want %s", test.url, explained, test.want)
			}
		})
	}
}
