package rule

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// now is the time of every request in these tests.
var now = time.Date(2026, 11, 21, 14, 35, 47, 491000, time.UTC)

// everything spells all that a decision says.
func everything(d *Decision) string {
	var out []string
	for _, v := range d.Vars {
		out = append(out, fmt.Sprintf("%s=%s", v.Name, v.Value))
	}
	for _, v := range d.LogVars {
		out = append(out, fmt.Sprintf("logvar %s=%s", v.Name, v.Value))
	}
	for _, h := range d.Response.Headers {
		if h.Remove {
			out = append(out, "-"+h.Name)
		} else {
			out = append(out, fmt.Sprintf("+%s: %s", h.Name, h.Value))
		}
	}
	r := &d.Response
	for text, set := range map[string]bool{"gzip": r.Gzip, "chunked": r.Chunked, "close": r.Close, "unlogged": d.Unlogged} {
		if set {
			out = append(out, text) // at most one of them in a test
		}
	}
	if r.Reset {
		out = append(out, fmt.Sprintf("reset to %d %s", r.Code, r.Reason))
	}
	for _, n := range d.Notes {
		text := "log"
		if n.Warning {
			text = "warn"
		}
		if n.Alarm != "" {
			text = "alarm " + n.Alarm
		}
		out = append(out, fmt.Sprintf("%s: %s", text, n.Text))
	}
	if d.Kind == File {
		out = append(out, fmt.Sprintf("type %s guess %v", d.ContentType, d.GuessType))
	}
	if d.Kind == Challenge {
		out = append(out, string(d.Challenge))
	}
	return strings.Join(append(out, d.String()), "; ")
}

// reference are the rows of uWSGI's documented and observed behaviour that this
// package has to keep, and of what it does better on purpose ("FIX").
var reference = []struct{ name, rules, url, want string }{
	// Substitution.
	{"$1", `route = ^/(\w+)/(x)?b addvar:A=$1-$2`, "h/a/b", "A=a-; the default"},
	{"$N above the groups", `route = ^/(\w+) addvar:A=<$2>`, "h/a", "A=<>; the default"},
	{"$N without a pattern", `route-run = addvar:A=<$1>`, "h/a", "A=<>; the default"},
	{"FIX: $0 without groups", `route = /b addvar:X=$0`, "h/a/b", "X=/b; the default"},
	{"$10", `route = /(b) addvar:X=$10`, "h/a/b", "X=b0; the default"},
	{"$$ and $x", `route = /(b) addvar:X=$$ $x $$1 $`, "h/a/b", "X=$$ $x $$1 $; the default"},
	{"${VAR}", `route-run = addvar:X=<${HTTP_X}><${HTTP_Y}>`, "h/", "X=<x y><>; the default"},
	{"${cookie[n]}: the first, as sent", `route-run = addvar:X=${cookie[n]} ${cookie[a]} ${cookie[z]}`, "h/", "X=x%20y 1 ; the default"},
	{"${qs[n]}: the first, as sent", `route-run = addvar:X=${qs[n]} ${qs[m]} ${qs[z]}`, "h/?n=a%20b&n=3&m", "X=a%20b  ; the default"},
	{"${mime[VAR]}", `route-run = addvar:X=${mime[PATH_INFO]}`, "h/a.html", "X=text/html; the default"},
	{"${base64[VAR]}", `route-run = addvar:X=${base64[PATH_INFO]}`, "h/ck", "X=L2Nr; the default"},
	{"${hex[VAR]}", `route-run = addvar:X=${hex[PATH_INFO]}`, "h/ck", "X=2F636B; the default"},
	{"${httptime[n]}", `route-run = addvar:X=${httptime[10]}`, "h/", "X=Sat, 21 Nov 2026 14:35:57 GMT; the default"},
	{"${time[…]}", `route-run = addvar:X=${time[unix]} ${time[micros]}`, "h/", "X=1795271747 1795271747000491; the default"},
	{"${upper[VAR]} ${lower[VAR]}", `route-run = addvar:X=${upper[HTTP_X]} ${lower[REQUEST_METHOD]}`, "h/", "X=X Y get; the default"},
	{"${uwsgi[sor]}", `route-run = addvar:X=${uwsgi[sor]}`, "h/", "X=1795271746000491; the default"},
	{"FIX: a capture is not expanded", `route = ^/(.*) addvar:X=$1`, "h/${HTTP_X}", "X=${HTTP_X}; the default"},
	{"a function of what a rule added", "route-run = addvar:A=Site\nroute-run = uwsgi:/run/${lower[A]}.sock,0,0", "h/", "A=Site; uwsgi to /run/site.sock, modifiers 0,0"},
	{"groups of a condition", `route-if = regexp:${PATH_INFO};^/(\w+)/(\w+) addvar:X=$2 $1 $0`, "h/a/b", "X=b a /a/b; the default"},

	// Flow.
	{"last", "route-run = last:\nroute-run = return:404", "h/", "the default"},
	{"continue", "route-run = continue:\nroute-run = return:404", "h/", "the default"},
	{"break", "route-run = break:", "h/", "close the connection without an answer"},
	{"break with a status", "route-run = break:404 Not Found", "h/", "answer 404 Not Found"},
	{"break is not translated", "route-run = break:404 ${HTTP_X}", "h/", "answer 404 ${HTTP_X}"},
	{"return", "route-run = return:403", "h/", "answer 403 Forbidden"},
	{"break-with-status", "route-run = break-with-status:503", "h/", "answer 503 Service Unavailable"},
	{"goto", "route-run = goto:a\nroute-run = return:404\nroute-label = a\nroute-run = vassal:x", "h/", "to vassal x"},

	// Conditions.
	{"equal", "route-if = equal:${PATH_INFO};/a vassal:x", "h/a", "to vassal x"},
	{"isequal", "route-if = isequal:${PATH_INFO};/a vassal:x", "h/b", "the default"},
	{"eq", "route-if = eq:${PATH_INFO};/a vassal:x", "h/a", "to vassal x"},
	{"==", "route-if = ==:${PATH_INFO};/a vassal:x", "h/a", "to vassal x"},
	{"startswith", "route-if = startswith:${PATH_INFO};/a vassal:x", "h/ab", "to vassal x"},
	{"endswith", "route-if = endswith:${PATH_INFO};b vassal:x", "h/ab", "to vassal x"},
	{"contains", "route-if = contains:${PATH_INFO};b vassal:x", "h/abc", "to vassal x"},
	{"contain", "route-if = contain:${PATH_INFO};d vassal:x", "h/abc", "the default"},
	{"regexp", "route-if = regexp:${PATH_INFO};b$ vassal:x", "h/ab", "to vassal x"},
	{"re, not", "route-if-not = re:${PATH_INFO};b$ vassal:x", "h/ab", "the default"},
	{">", "route-if = >:${QUERY_STRING};9 vassal:x", "h/?10", "to vassal x"},
	{"ishigher of no number", "route-if = ishigher:${QUERY_STRING};0 vassal:x", "h/?ten", "the default"},
	{"<", "route-if = <:${QUERY_STRING};9 vassal:x", "h/?-10", "to vassal x"},
	{"islower", "route-if = islower:${QUERY_STRING};9 vassal:x", "h/?9", "the default"},
	{">=", "route-if = >=:${QUERY_STRING};9 vassal:x", "h/?9", "to vassal x"},
	{"ishigherequal", "route-if = ishigherequal:${QUERY_STRING};9 vassal:x", "h/?8", "the default"},
	{"<=", "route-if = <=:${QUERY_STRING};9 vassal:x", "h/?9", "to vassal x"},
	{"islowerequal", "route-if = islowerequal:${QUERY_STRING};9 vassal:x", "h/?10", "the default"},
	{"empty", "route-if = empty:${HTTP_Y} vassal:x", "h/", "to vassal x"},
	{"empty, not", "route-if-not = empty:${HTTP_X} vassal:x", "h/", "to vassal x"},
	{"ipv4in", "route-if = ipv4in:${REMOTE_ADDR};192.0.2.0/24 vassal:x", "h/", "to vassal x"},
	{"ipv4in, one address", "route-if = ipv4in:${REMOTE_ADDR};192.0.2.7 vassal:x", "h/", "to vassal x"},
	{"ipv4in of no address", "route-if = ipv4in:${HTTP_X};0.0.0.0/0 vassal:x", "h/", "the default"},
	{"ipv6in", "route-run = addvar:A=2001:db8::1\nroute-if = ipv6in:${A};2001:db8::/32 vassal:x", "h/", "A=2001:db8::1; to vassal x"},
	{"exists", "route-if = exists:/srv/dir vassal:x", "h/", "to vassal x"},
	{"exists, not", "route-if = exists:/srv/gone vassal:x", "h/", "the default"},
	{"isfile", "route-if = isfile:/srv/file${PATH_INFO} vassal:x", "h/a.txt", "to vassal x"},
	{"isfile of a folder", "route-if = isfile:/srv/dir vassal:x", "h/", "the default"},
	{"isdir", "route-if = isdir:/srv/dir/ vassal:x", "h/", "to vassal x"},
	{"islink", "route-if = islink:/srv/link vassal:x", "h/", "to vassal x"},
	{"isexec", "route-if = isexec:/srv/exec vassal:x", "h/", "to vassal x"},
	{"isfile, not", "route-if-not = isfile:/srv/maint/${HTTP_HOST}.flag vassal:x", "h/", "to vassal x"},
	{"maintenance", "route-if = isfile:/srv/maint/${HTTP_HOST}.flag return:503", "closed/", "answer 503 Service Unavailable"},
	{"no file by a name that is none", "route-if = exists:/srv/maint/${QUERY_STRING} vassal:x", "h/?../maint/closed.flag", "the default"},

	// Actions.
	{"log", "route-run = log:${PATH_INFO} of ${HTTP_HOST}", "h/a", "log: /a of h; the default"},
	{"log escapes", "route-run = log:${PATH_INFO}", "h/a%0d%0ab", `log: /a\x0D\x0Ab; the default`},
	{"logvar", "route-run = logvar:k=${PATH_INFO}", "h/a", "logvar k=/a; the default"},
	{"donotlog", "route-run = donotlog:", "h/", "unlogged; the default"},
	{"addvar", "route-run = addvar:K=${PATH_INFO}", "h/a", "K=/a; the default"},
	{"addvar leaves subjects alone", "route-run = addvar:PATH_INFO=/new\nroute = ^/new vassal:x", "h/a", "PATH_INFO=/new; the default"},
	{"addheader", "route-run = addheader:X-A: ${PATH_INFO}", "h/a", "+X-A: /a; the default"},
	{"FIX: addheader with a line break", "route = ^/(?s)(.*) addheader:X-A: $1", "h/a%0d%0ab", `refused: $1 is "a\r\nb", which can not be part of a header field (no control characters)`},
	{"addheader Connection: close", "route-run = addheader:Connection: close", "h/a", "close; the default"},
	{"delheader", "route-run = delheader:Server", "h/a", "-Server; the default"},
	{"remheader", "route-run = remheader:Server", "h/a", "-Server; the default"},
	{"setmethod", "route-run = setmethod:PUT\nroute-if = eq:${REQUEST_METHOD};PUT vassal:x", "h/", "REQUEST_METHOD=PUT; to vassal x"},
	{"setmethod by a client", "route-run = setmethod:${HTTP_X}", "h/", `refused: ${HTTP_X} is "x y", which can not be part of a method (letters, digits and hyphens)`},
	{"setmethod with nothing", "route-run = setmethod:${HTTP_NONE}", "h/", "the default"},
	{"seturi", "route-run = seturi:/uri?x=y\nroute-uri = ^/uri vassal:x", "h/", "REQUEST_URI=/uri?x=y; to vassal x"},
	{"seturi leaves the rest", "route-run = seturi:/uri?x=y\nroute-qs = x vassal:q\nroute = uri vassal:p", "h/", "REQUEST_URI=/uri?x=y; the default"},
	{"seturi of a decoded text", `route = ^/(.*)$ seturi:/new/$1`, "h/a%20b", "REQUEST_URI=/new/a%20b; the default"},
	{"seturi without another host", `route = ^/(.*)$ seturi:/$1`, "h//evil.example", "REQUEST_URI=/evil.example; the default"},
	{"setpathinfo", "route-run = setpathinfo:/a/../p\nroute = ^/p$ vassal:x", "h/", "PATH_INFO=/p; to vassal x"},
	{"setremoteaddr", "route-run = setremoteaddr:1.2.3.4\nroute-remote-addr = ^1\\.2 vassal:x", "h/", "REMOTE_ADDR=1.2.3.4; to vassal x"},
	{"setuser", "route-run = setuser:us:er\nroute-remote-user = ^us$ vassal:x", "h/", "REMOTE_USER=us; to vassal x"},
	{"setscriptname", "route-run = setscriptname:/sc", "h/", "SCRIPT_NAME=/sc; the default"},
	{"setdocroot by a client", "route-run = setdocroot:${HTTP_X}", "h/", `refused: ${HTTP_X} is "x y", which can not be part of a path that somebody else opens (only a rule can spell it, or else begin it: /srv/apps/…)`},
	{"setdocroot by a rule", "route-run = addvar:A=/srv/a\nroute-run = addvar:B=${A}/b\nroute-run = setdocroot:${B}", "h/", "A=/srv/a; B=/srv/a/b; DOCUMENT_ROOT=/srv/a/b; the default"},
	{"code for a worker", "route = ^/(.*)$ addvar:UWSGI_FILE=/srv/apps/$1.py", "h/a/../../x", `refused: $1 is "a/../../x", which can not be part of a file's path (no . or .. and no control character)`},
	{"setdocroot", "route-run = setdocroot:/srv/${HTTP_HOST}", "h/", "DOCUMENT_ROOT=/srv/h; the default"},
	{"setscheme", "route-run = setscheme:https", "h/", "UWSGI_SCHEME=https; the default"},
	{"setapp", "route-run = setapp:a", "h/", "UWSGI_APPID=a; the default"},
	{"sethome", "route-run = sethome:/venv", "h/", "UWSGI_HOME=/venv; the default"},
	{"FIX: setfile", "route-run = setfile:/app.py", "h/", "UWSGI_FILE=/app.py; the default"},
	{"setmodifier1/2", "route-run = setmodifier1:5\nroute-run = setmodifier2:7", "h/", "the default, with modifiers 5,7"},
	{"+", "route-run = addvar:A=10\nroute-run = +:A,5", "h/", "A=10; A=15; the default"},
	{"-", "route-run = addvar:A=6\nroute-run = -:A,${QUERY_STRING}", "h/?15", "A=6; A=-9; the default"},
	{"*", "route-run = addvar:A=6\nroute-run = *:A", "h/", "A=6; A=6; the default"},
	{"FIX: /", "route-run = addvar:A=75\nroute-run = /:A,5", "h/", "A=75; A=15; the default"},
	{"FIX: an unset variable is 0", "route-run = +:A,5", "h/", "A=5; the default"},
	{"FIX: division by a zero", "route-run = /:A,${QUERY_STRING}", "h/", "warn: no result: A stays as it is; the default"},
	{"alarm", "route-run = alarm:disk full at ${PATH_INFO}", "h/a", "alarm disk: full at /a; the default"},
	{"redirect", "route-run = redirect:http://x/", "h/", "answer 302 to http://x/"},
	{"redirect-permanent", "route-run = redirect-permanent:http://x/", "h/", "answer 301 to http://x/"},
	{"uwsgi, modifiers only", "route-run = uwsgi:,5,7,app$1", "h/", "UWSGI_APPID=app$1; the default, with modifiers 5,7"},
	{"proxyuwsgi", "route-run = proxyuwsgi:/x,0,0", "h/", "uwsgi to /x, modifiers 0,0"},
	{"proxyhttp", "route-run = proxyhttp:127.0.0.1:80", "h/", "HTTP to 127.0.0.1:80"},
	{"FIX: http with a decoded path", `route = (?s)^/(.*)$ http:127.0.0.1:80,,/new/$1`, "h/a%20b%0d%0a", "HTTP to 127.0.0.1:80, for /new/a%20b%0D%0A"},
	{"https", "route-run = https:192.0.2.1:443,www.example.com,/x", "h/", "HTTPS to 192.0.2.1:443, as host www.example.com, for /x"},
	{"fastcgi", `route-host = ^(\w+)$ fastcgi:/run/php/$1.sock`, "h/", "FastCGI to /run/php/h.sock"},
	{"scgi", "route-run = scgi:127.0.0.1:4000", "h/", "SCGI to 127.0.0.1:4000"},
	{"several nodes", `route-host = ^(\w+)$ uwsgi:/run/a/$1.sock|/run/b/$1.sock|10.0.0.1:3031,0,0`, "h/", "uwsgi to /run/a/h.sock|/run/b/h.sock|10.0.0.1:3031, modifiers 0,0"},
	{"static", "route = ^/s/(.*) static:/srv/www/$1", "h/s/css/a.css", `serve /srv/www/css/a.css`},
	{"static of PATH_INFO", "route-run = static:/srv/www${PATH_INFO}", "h/css/", `serve /srv/www/css/`},
	{"static of the folder itself", "route-run = static:/srv/www${PATH_INFO}", "h/", `serve /srv/www/`},
	{"FIX: static with traversal", "route-uri = ^/s/(.*) static:/srv/www/$1", "h/s/a/../../b", `refused: $1 is "a/../../b", which can not be part of a file's path (no . or .. and no control character)`},
	{"FIX: static to a sibling", "route-uri = ^/s(.*) static:/srv/www$1", "h/s2/x/../y", `refused: $1 is "2/x/../y", which can not be part of a file's name (no slash but at the beginning, no . or .. and no control character)`},
	{"static-next, there", "route-run = static-next:/srv/file${PATH_INFO}\nroute-run = return:405", "h/a.txt", `serve /srv/file/a.txt`},
	{"static-next, missing", "route-run = static-next:/srv/file${PATH_INFO}\nroute-run = return:405", "h/b.txt", "answer 405 Method Not Allowed"},
	{"file", "route-run = file:filename=/srv/f.txt", "h/", `type text/html guess false; answer 200 OK with /srv/f.txt`},
	{"file with a status", "route-run = file:filename=/srv/f.txt,status=503 Foo Bar,content_type=text/plain", "h/", `type text/plain guess false; answer 503 Foo Bar with /srv/f.txt`},
	{"sendfile, mime", "route-run = sendfile:filename=/srv/f.txt,mime=1", "h/", `type  guess true; answer 200 OK with /srv/f.txt`},
	{"fastfile-next", "route-run = fastfile-next:filename=/srv/gone\nroute-run = return:418", "h/", "answer 418 I'm a teapot"},
	{"expires, FIX: from now", "route-run = expires:value=3600", "h/", "+Expires: Sat, 21 Nov 2026 15:35:47 GMT; the default"},
	{"expires unix", "route-run = expires:unix=1000,value=60", "h/", "+Expires: Thu, 01 Jan 1970 00:17:40 GMT; the default"},
	{"expires filename", "route-run = expires:filename=/srv/file/a.txt,value=60", "h/", "+Expires: Sat, 21 Nov 2026 14:36:47 GMT; the default"},
	{"expires of no file", "route-run = expires:filename=/srv/gone,value=60", "h/", "the default"},
	{"hash", "route-run = hash:key=hello,var=V,items=a;b;c\nroute-run = vassal:${V}", "h/", "V=b; to vassal b"},
	{"hash to a whole address", "route-run = hash:key=${HTTP_HOST},var=V,items=/run/a.sock;127.0.0.1:3031\nroute-run = uwsgi:${V},0,0", "h/", "V=127.0.0.1:3031; uwsgi to 127.0.0.1:3031, modifiers 0,0"},
	{"gzip", "route-run = gzip:", "h/", "gzip; the default"},
	{"chunked", "route-run = chunked:", "h/", "chunked; the default"},

	// Rewriting.
	{"105", `route = ^/rw/(.*)$ rewrite:/new/$1?k=v`, "h/rw/abc?o=1", "PATH_INFO=/new/abc; QUERY_STRING=k=v&o=1; the default"},
	{"rewrite without a query", `route = ^/rw rewrite:/new`, "h/rw?q=1", "PATH_INFO=/new; QUERY_STRING=q=1; the default"},
	{"FIX: rewrite with an empty query", `route = ^/rw rewrite:/new?`, "h/rw?q=1", "PATH_INFO=/new; QUERY_STRING=q=1; the default"},
	{"rewrite decodes the rule", `route = ^/rw rewrite:/a%20b?c%20d`, "h/rw", "PATH_INFO=/a b; QUERY_STRING=c%20d; the default"},
	{"FIX: decoded once", `route = ^/rw/(.*)$ rewrite:/new/$1?x=$1`, "h/rw/a%25b", "PATH_INFO=/new/a%25b; QUERY_STRING=x=a%2525b; the default"},
	{"rewrite of a raw text", `route-uri = ^/rw/(.*)$ rewrite:/new/$1`, "h/rw/a%20b?c=d", "PATH_INFO=/new/a b; QUERY_STRING=c=d&c=d; the default"},
	{"rewrite of a raw text and a query", `route-uri = ^/rw/(.*)$ rewrite:/new/$1?x=1`, "h/rw/a?c=d", "PATH_INFO=/new/a; QUERY_STRING=c=d&x=1&c=d; the default"},
	{"FIX: decoded once, by way of a variable", "route = ^/rw/(.*)$ addvar:A=$1\nroute-run = addvar:B=x${A}\nroute-run = rewrite:/new/${B}", "h/rw/a%25b", "A=a%25b; B=xa%25b; PATH_INFO=/new/xa%25b; QUERY_STRING=; the default"},
	{"FIX: rewrite to a relative path", `route-run = rewrite:foo`, "h/", "PATH_INFO=/foo; QUERY_STRING=; the default"},
	{"rewrite normalises", `route-run = rewrite:/a/./b/../../../c/..`, "h/", "PATH_INFO=/; QUERY_STRING=; the default"},
	{"rewrite of an escaped NUL", `route-uri = ^/(.*) rewrite:/$1`, "h/a%00", `refused: $1 is "a%00", which can not be part of text`},
	{"later rules see it", "route-run = rewrite:/new?a=b\nroute = ^/new addvar:A=1\nroute-qs = ^a=b$ addvar:B=1\nroute-uri = ^/old vassal:x", "h/old", "PATH_INFO=/new; QUERY_STRING=a=b; A=1; B=1; to vassal x"},
	{"rewrite-last", "route-run = rewrite-last:/new\nroute-run = return:404", "h/old", "PATH_INFO=/new; QUERY_STRING=; the default"},
}

func TestReference(t *testing.T) {
	for _, test := range reference {
		t.Run(test.name, func(t *testing.T) {
			table := mustCompile(t, test.rules)
			var d Decision
			table.Match(worldly(test.url), &d)
			if got := everything(&d); got != test.want {
				t.Errorf("%s\non %s\n got %s\nwant %s", test.rules, test.url, got, test.want)
			}
			if _, explained := table.Explain(worldly(test.url)); everything(explained) != test.want {
				t.Errorf("%s\non %s, explained\n got %s\nwant %s", test.rules, test.url, everything(explained), test.want)
			}
		})
	}
}

// worldly is queryFor with a clock, files, passwords and media types.
func worldly(url string) *Query {
	q := queryFor(url)
	q.Now, q.Started = now, now.Add(-time.Second)
	q.Vars.(vars)["HTTP_COOKIE"] = "a=1; n=x%20y; n=2"
	q.Files, q.Passwords, q.Types = world{}, world{}, world{}
	return q
}

// world is a file system with a few names in any root, and an htpasswd file with
// one user in any root.
type world struct{}

func (world) Is(kind FileKind, root int, name []byte) bool {
	switch string(name) {
	case "dir":
		return kind == Exists || kind == Directory
	case "link":
		return kind == Exists || kind == Symlink
	case "exec":
		return kind == Exists || kind == Regular || kind == Executable
	case "a.txt", "file/a.txt", "closed.flag":
		return kind == Exists || kind == Regular || kind == Readable
	}
	return false
}

func (w world) ModTime(root int, name []byte) (time.Time, bool) {
	return now, w.Is(Exists, root, name)
}

func (world) Check(root int, authorization []byte) (user string, verdict Verdict) {
	switch string(authorization) {
	case "Basic good":
		return "filed", Accepted
	case "Basic busy":
		return "", Busy
	}
	return "", Denied
}

func (world) TypeOf(name []byte) string {
	if strings.HasSuffix(string(name), ".html") {
		return "text/html"
	}
	return ""
}
