package rule

import (
	"encoding/base64"
	"fmt"
	"math"
	"net/netip"
	"strings"
	"testing"
)

func TestBasicAuth(t *testing.T) {
	const asked = `; answer 401 Authorization Required`
	basic := func(credentials string) string {
		return "Basic " + base64.StdEncoding.EncodeToString([]byte(credentials))
	}
	tests := []struct{ name, rules, authorization, want string }{
		{"106 wrong", "route-run = basicauth:R,u:p", basic("u:q"), `Basic realm="R"` + asked},
		{"106 right", "route-run = basicauth:R,u:p", basic("u:p"), "REMOTE_USER=u; the default"},
		{"none", "route-run = basicauth:R,u:p", "", `Basic realm="R"` + asked},
		{"another user", "route-run = basicauth:R,u:p", basic("v:p"), `Basic realm="R"` + asked},
		{"longer", "route-run = basicauth:R,u:p", basic("u:pp"), `Basic realm="R"` + asked},
		{"FIX: basic in any case", "route-run = basicauth:R,u:p", "bASIC   dTpw", "REMOTE_USER=u; the default"},
		{"another scheme", "route-run = basicauth:R,u:p", "Bearer dTpw", `Basic realm="R"` + asked},
		{"no base64", "route-run = basicauth:R,u:p", "Basic d=Tpw", `Basic realm="R"` + asked},
		{"scheme alone", "route-run = basicauth:R,u:p", "Basic", `Basic realm="R"` + asked},
		{"a colon in the password", "route-run = basicauth:R,u:p:q", basic("u:p:q"), "REMOTE_USER=u; the default"},
		{"FIX: quotes in a realm", `route-run = basicauth:My "\R,u:p`, "", `Basic realm="My \"\\R"` + asked},
		{"nobody", "route-run = basicauth:R,", basic(":"), `Basic realm="R"` + asked},
		{"file, right", "route-run = basicauth:R,/etc/htpasswd", "Basic good", "REMOTE_USER=filed; the default"},
		{"file, wrong", "route-run = basicauth:R,/etc/htpasswd", "Basic bad", `Basic realm="R"` + asked},
		{"file, busy", "route-run = basicauth:R,/etc/htpasswd", "Basic busy", `+Retry-After: 1; answer 503 Service Unavailable`},
		{"next, busy", "route-run = basicauth-next:R,/etc/htpasswd", "Basic busy", `+Retry-After: 1; answer 503 Service Unavailable`},
		{"next, wrong", "route-run = basicauth-next:R,u:p\nroute-run = return:404", basic("u:q"), "answer 404 Not Found"},
		{"next, the second", "route-run = basicauth-next:R,u:p\nroute-run = basicauth:R2,v:q", basic("v:q"), "REMOTE_USER=v; the default"},
		{"next, neither", "route-run = basicauth-next:R,u:p\nroute-run = basicauth:R2,v:q", basic("x:y"), `Basic realm="R2"` + asked},
		{"in already", "route-run = setuser:me\nroute-run = basicauth:R,u:p", "", "REMOTE_USER=me; the default"},
		{"later rules see the user", "route-run = basicauth:R,u:p\nroute-remote-user = ^u$ vassal:x", basic("u:p"), "REMOTE_USER=u; to vassal x"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			q := worldly("h/")
			q.Vars.(vars)["HTTP_AUTHORIZATION"] = test.authorization
			var d Decision
			mustCompile(t, test.rules).Match(q, &d)
			if got := everything(&d); got != test.want {
				t.Errorf("got %s, want %s", got, test.want)
			}
		})
	}
}

// TestNobodyToAsk: without files and passwords every question is answered no.
func TestNobodyToAsk(t *testing.T) {
	table := mustCompile(t, `
route-if = exists:/srv/x addvar:A=1
route-run = static-next:/srv/x
route-run = expires:filename=/srv/x
route-run = addvar:B=<${mime[PATH_INFO]}>
route-run = basicauth:R,/etc/htpasswd
`)
	var d Decision
	table.Match(queryFor("h/a.html"), &d)
	if got := everything(&d); got != `B=<>; Basic realm="R"; answer 401 Authorization Required` {
		t.Error(got)
	}
}

// TestNoPasswordShown: a password in a rule stays out of logs and explanations.
func TestNoPasswordShown(t *testing.T) {
	table := mustCompile(t, "route = ^/a basicauth:R,u:secret\nroute = ^/a vassal:x")
	steps, _ := table.Explain(queryFor("h/a"))
	shown := fmt.Sprint(table.Rules()[0], table.Rules()[0].Action(), steps[0].Text, table.Rules()[1])
	if strings.Contains(shown, "secret") || !strings.Contains(shown, "route = ^/a basicauth:R,u:…") {
		t.Error(shown)
	}
}

// TestHashes: what uWSGI 2.0.21 chooses from 256 and from 251 items.
func TestHashes(t *testing.T) {
	tests := []struct {
		key                            string
		murmur256, murmur251, djbOf256 uint32
	}{
		{"a", 94, 84, 196}, {"ab", 99, 164, 38}, {"abc", 155, 54, 133}, {"abcd", 33, 115, 65}, {"abcde", 86, 90, 4},
		{"hello", 138, 51, 231}, {"example.com", 37, 48, 130}, {"example.co", 39, 132, 15}, {"é", 135, 69, 143}, {"\xe9bcd", 96, 214, 201}, {"ab\xe9", 181, 192, 15},
	}
	for _, test := range tests {
		m, d := murmur2([]byte(test.key)), djb33x([]byte(test.key))
		if m%256 != test.murmur256 || m%251 != test.murmur251 || d%256 != test.djbOf256 {
			t.Errorf("%s: murmur2 %d %d, djb33x %d, want %d %d %d", test.key, m%256, m%251, d%256, test.murmur256, test.murmur251, test.djbOf256)
		}
	}
}

// TestHashAlgorithms: each can be asked for.
func TestHashAlgorithms(t *testing.T) {
	table := mustCompile(t, "route-run = hash:key=a,var=A,items=a;b;c\nroute-run = hash:key=b,var=A,items=a;b;c,algo=murmur2")
	var d Decision
	table.Match(queryFor("h/"), &d)
	if got := everything(&d); got != "A=b; A=c; the default" {
		t.Error(got)
	}
	table = mustCompile(t, "route-run = hash:key=k,var=A,items=a;b;c,algo=rr\nroute-run = hash:key=k,var=B,items=a;b,algo=random\nroute-run = hash:key=k,var=B,items=a;b,algo=rand")
	var turns string
	for range 5 {
		table.Match(queryFor("h/"), &d)
		turns += string(d.Vars[0].Value)
	}
	if turns != "abcab" {
		t.Errorf("rr chose %s, want abcab", turns)
	}
}

func TestCalculate(t *testing.T) {
	tests := []struct {
		a        int64
		operator byte
		b, want  int64
		ok       bool
	}{
		{2, '+', 3, 5, true}, {2, '+', 0, 2, true}, {2, '+', -3, -1, true}, {math.MaxInt64, '+', 1, 0, false}, {math.MinInt64, '+', -1, 0, false},
		{2, '-', 3, -1, true}, {2, '-', 0, 2, true}, {math.MinInt64, '-', 1, 0, false}, {math.MaxInt64, '-', -1, 0, false},
		{-2, '*', 3, -6, true}, {math.MaxInt64, '*', 2, 0, false}, {math.MinInt64, '*', 1, 0, false}, {1 << 32, '*', 1 << 32, 0, false}, {0, '*', 5, 0, true},
		{75, '/', 5, 15, true}, {-7, '/', 2, -3, true}, {1, '/', 0, 0, false}, {math.MinInt64, '/', -1, 0, false},
	}
	for _, test := range tests {
		got, ok := calculate(test.operator, test.a, test.b)
		if ok != test.ok || ok && got != test.want {
			t.Errorf("%d %c %d = %d, %v, want %d, %v", test.a, test.operator, test.b, got, ok, test.want, test.ok)
		}
	}
}

// TestParseIPv4: it takes what package netip takes, and no other.
func TestParseIPv4(t *testing.T) {
	for _, text := range []string{"", "1.2.3.4", "0.0.0.0", "255.255.255.255", "256.1.1.1", "1.2.3", "1.2.3.4.5", "1.2.3.4 ", "01.2.3.4", "1..2.3", ".1.2.3", "1.2.3.", "1.2.3.00", "1111.1.1.1", "a.b.c.d", "1.2.3.4:80", "::1"} {
		want, err := netip.ParseAddr(text)
		got, ok := parseIPv4([]byte(text))
		if ok != (err == nil && want.Is4()) || ok && got != want {
			t.Errorf("%q: %v, %v, want %v, %v", text, got, ok, want, err)
		}
	}
}

// TestUUID: ${uwsgi[uuid]} is a random one each time.
func TestUUID(t *testing.T) {
	table := mustCompile(t, "route-run = addvar:A=${uwsgi[uuid]}\nroute-run = addvar:A=${uwsgi[uuid]}")
	var d Decision
	table.Match(queryFor("h/"), &d)
	a, b := string(d.Vars[0].Value), string(d.Vars[1].Value)
	if len(a) != 36 || a[14] != '4' || strings.Count(a, "-") != 4 || a == b {
		t.Errorf("%s and %s", a, b)
	}
}

func TestRoots(t *testing.T) {
	table := mustCompile(t, `
route-if = isfile:/srv/maint/${HTTP_HOST}.flag return:503
route-if = exists:/srv/maint/all.flag return:503
route-if = exists:/srv/maint/all.flag log:maintenance
route = ^/s(/.*)$ static:/srv/www$1
route = ^/t/(.*)$ static:/srv/www/$1
route-run = static-next:/srv/www${PATH_INFO}
route-host = ^(\w+)\.x$ file:filename=/srv/sites-$1/index.html
error-route-status = 404 file:filename=pages/404.html,status=404
route-run = basicauth:R,/etc/emperor/htpasswd
route-run = expires:filename=/srv/www/a
route-run = setdocroot:/srv/${HTTP_HOST}
route-if = isdir:/srv/d/ vassal:x
`)
	var got []string
	for _, r := range table.Roots() {
		got = append(got, fmt.Sprintf("%d %s %s %d", r.Use, r.Dir, r.Name, r.Pos.Line))
	}
	want := []string{
		"0 /srv/maint  2", "0 /srv/maint all.flag 3", "1 /srv/www  5", "1 /srv  8", "1 pages 404.html 9",
		"2 /etc/emperor htpasswd 10", "0 /srv/www a 11", "0 /srv d 13",
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("roots\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// TestFilePaths: what a client sends leads nowhere but down.
func TestFilePaths(t *testing.T) {
	tests := []struct{ path, uri, want string }{
		{"/srv/www$1", "/a/b", "a/b"}, // of root /srv/www, since $1 begins with a slash
		{"/srv/www/$1", "/a//b/", "a/b/"},
		{"/srv/www/$1", "//", ""},
		{"/srv/www/$1", "/..", "refused"},
		{"/srv/www/$1", "/a/..", "refused"},
		{"/srv/www/$1", "/./a", "refused"},
		{"/srv/www/$1", "/a/.../b", "a/.../b"},
		{"/srv/www/$1", "/a\x00", "refused"},
		{"/srv/www/$1", "/a\tb", "refused"},
		{"/srv/www/$1.html", "/a/b", "a/b.html"},
		{"/srv/www/.$1", "/.", "refused"},
		{"/srv/www/.$2", "/a", ".a"},
		{"/srv/www/..$2", "//a", "refused"},
		{"/srv/www/x$2", "/a", "xa"},
		{"/srv/www/x$2", "/a/b", "refused"},
		{"/srv/www/x$2", "//b", "x/b"},
		{"/srv/www/$2$2", "/.", "refused"},
		{"/srv/www/.$2", "/.", "refused"},
		{"/srv/www/x${PATH_INFO}", "/../x", "refused"},
		{"/srv/www/$1/x/$1", "/a", "a/x/a"},
	}
	for _, test := range tests {
		table, problems := Compile([]Source{{"route-uri", `(?s)^(/(.*))$ static:` + test.path, "", 0}})
		if problems != nil {
			if test.want != "refused" {
				t.Errorf("%s: %v", test.path, problems)
			}
			continue
		}
		var d Decision
		table.Match(&Query{URI: []byte(test.uri), Path: []byte(test.uri)}, &d)
		if got := string(d.Path); d.Kind != Static && test.want != "refused" || d.Kind == Static && got != test.want {
			t.Errorf("%s with %q: %s, want %s", test.path, test.uri, &d, test.want)
		}
	}
}

func TestNodes(t *testing.T) {
	var got []string
	for node, rest := NextNode([]byte("/a|b:1|@c")); ; node, rest = NextNode(rest) {
		got = append(got, string(node)+" "+Network(node))
		if len(rest) == 0 {
			break
		}
	}
	if want := "/a unix, b:1 tcp, @c unix"; strings.Join(got, ", ") != want {
		t.Errorf("got %s, want %s", strings.Join(got, ", "), want)
	}
	// A client can not make two of one.
	table := mustCompile(t, `route-host = ^(.+)\.x$ uwsgi:/run/$1.sock,0,0`)
	var d Decision
	table.Match(&Query{Host: []byte("a|b.x")}, &d)
	if d.Kind != Unsafe {
		t.Errorf("%s", &d)
	}
	// Each port of several is looked at.
	table = mustCompile(t, `route-host = ^p(\d+)\.x$ http:127.0.0.1:$1|127.0.0.2:80`)
	for host, want := range map[string]Kind{"p81.x": HTTP, "p99999.x": Unsafe} {
		table.Match(&Query{Host: []byte(host)}, &d)
		if d.Kind != want {
			t.Errorf("%s: %s", host, &d)
		}
	}
}
