package rule

import (
	"errors"
	"strings"
	"testing"
)

func TestCompileErrors(t *testing.T) {
	tests := []struct{ rule, want string }{
		{`route-host = ^a$`, `main.ini:1: route-host: "^a$": want PATTERN ACTION:ARGUMENTS with a space between them`},
		{`route-host = ^a$ uwsgi:/x.sock`, `main.ini:1: route-host: action uwsgi: "/x.sock": want ADDRESS,MODIFIER1,MODIFIER2 such as uwsgi:/run/sites/app.sock,0,0`},
		{`route-host = ^a$ uwsgi:/x.sock,0,256`, `modifier "256": want a number from 0 to 255`},
		{`route-host = ^a$ uwsgi:/x.sock,,0`, `modifier "": want a number from 0 to 255`},
		{`route-host = ^a$ uwsgi:127.0.0.1:http,0,0`, `want a unix path or host:port with a port from 1 to 65535`},
		{`route-host = ^a$ uwsgi:127.0.0.1:65536,0,0`, `want a unix path or host:port with a port from 1 to 65535`},
		{`route-host = ^(a)$ uwsgi:$1.x:,0,0`, `the port is missing`},
		{`route-host = ^a$ http:`, `want ADDRESS[,HOST[,URI]]`},
		{`route-host = ^a$ http:127.0.0.1:80,a b`, `want a host name`},
		{`route-host = ^a$ http:127.0.0.1:80,,x`, `want a path that begins with /`},
		{`route-host = ^a$ vassal:`, `want the name of a vassal`},
		{`route-host = ^a$ vassal:../x`, `want the name of a vassal`},
		{`route-host = ^a$ last`, `action last: want last: with a colon, and its arguments`},
		{`route-host = ^a$ nothing`, `"nothing" is no action, want ACTION:ARGUMENTS`},
		{`route-host = ^a b$ vassal:x`, `uwsgi vassal (the pattern ends at the first space: write a space in it as \x20)`},
		{`route-run = cache:key=x`, `action cache is uWSGI's and not available in the front: the front has no cache; the vassal itself can still use it`},
		{`route-run = disconnect:`, `write break:`},
		{`route-run = return:`, `want a status from 200 to 599`},
		{`route-run = return:4`, `want a status from 200 to 599`},
		{`route-run = return:299`, `status 299 has no standard text, want 299 and a text`},
		{`route-run = break:4`, `want a status from 200 to 599`},
		{`route-run = redirect:`, `want a URL such as https://${HTTP_HOST}${REQUEST_URI}`},
		{`route-run = redirect:http://x/${A`, `the ${ has no }`},
		{`route-run = addvar:X`, `want NAME=VALUE`},
		{`route-run = goto:`, `want the name of a label`},
		{`route-run = goto:$1`, `without captures or variables`},
		{`route-run = goto:x`, `there is no label "x", want route-label = x below`},
		{"route-label = x\nroute-run = goto:x", `main.ini:2: route-run: action goto: "x" is not below this rule, want a jump forward`},
		{"route-run = goto:0", `is not below this rule`},
		{"route-label = x\nroute-label = x", `main.ini:2: route-label: the label x stands already at main.ini:1, want another name`},
		{"route-label = a b", `want one word`},
		{`route-if = equal vassal:x`, `"equal" is no condition`},
		{`route-if = equal:a vassal:x`, `want two operands with a ; between them`},
		{`route-if = equals:a;b vassal:x`, `unknown condition "equals", want one of`},
		{`route-if = regexp:a;${B} vassal:x`, `want a fixed pattern`},
		{`route-if = equal:a;b`, `want CONDITION:ARGUMENTS ACTION:ARGUMENTS`},
		{`route-status = 200 vassal:x`, `there is no status before the response, want error-route-status`},
		{`error-route-run = vassal:x`, `action vassal can not stand in the error chain: the request has been to its vassal`},
		{`response-route = x vassal:x`, `action vassal can not stand in the response chain`},
	}
	for _, test := range tests {
		table, problems := Compile(sources(test.rule))
		if len(problems) != 1 || table != nil {
			t.Errorf("Compile(%s) = %v, %v, want one problem", test.rule, table, problems)
			continue
		}
		if got := problems[0].Error(); !strings.Contains(got, test.want) || !strings.HasPrefix(got, "main.ini:") {
			t.Errorf("Compile(%s):\n got %s\nwant %s", test.rule, got, test.want)
		}
	}
}

// TestArgumentErrors: what the actions, conditions and functions refuse.
func TestArgumentErrors(t *testing.T) {
	tests := []struct{ rule, want string }{
		// Functions and variables.
		{`route-run = log:${nofunc[x]}`, `${nofunc[x]}: there is no nofunc[…] in the front, want one of base64 cookie hex httptime lower mime qs time upper uwsgi`},
		{`route-run = log:${cookie[]}`, `${cookie[]}: want a name in the brackets`},
		{`route = (.) log:${cookie[$1]}`, `want a fixed text in the brackets, without captures or variables`},
		{`route-run = log:${hex[a b]}`, `want the name of a request variable in the brackets`},
		{`route-run = log:${httptime[x]}`, `want a number of seconds in the brackets`},
		{`route-run = log:${time[hours]}`, `want unix or micros in the brackets`},
		{`route-run = log:${uwsgi[wid]}`, `the front has no workers`},
		{`route-run = log:${uwsgi[pid]}`, `the front has no workers`},
		{`route-run = log:${uwsgi[lq]}`, `the front has no listen queue to tell`},
		{`route-run = log:${uwsgi[status]}`, `there is no status before the response, want it in an error-route, response-route or final-route`},
		{`response-route-run = log:${uwsgi[rsize]}`, `it is known when the response has been sent, want it in a final-route`},
		{`route-run = log:${uwsgi[x]}`, `want one of rsize rtime sor status uuid in the brackets`},

		// Conditions.
		{`route-if = isfile:${HTTP_X}/a vassal:x`, `condition isfile: ${HTTP_X}/a: want a directory before the first capture or variable, such as /srv/www/${HTTP_X}/a`},
		{`route-if = isfile:/${HTTP_X} vassal:x`, `want a directory before the first capture or variable`},
		{`route-if = isdir:/ vassal:x`, `"/": want the path of a file such as /srv/www/index.html`},
		{`route-if = isfile: vassal:x`, `want the path of a file`},
		{`route-if = exists:/srv/${HTTP_X}/../a vassal:x`, `want no . or .. after the first capture or variable`},
		{`route-if = lord:x vassal:x`, `condition lord is not available: there is no legion in the front`},
		{`route-if = incache:key=x vassal:x`, `condition incache is not available: the front has no cache`},
		{`route-if = regexp:a;(b vassal:x`, `missing closing )`},
		{`error-route-status = 40x return:500`, `"40x": want one status from 100 to 599; for several write error-route-if = regexp:${uwsgi[status]};^5`},
		{`response-route-status = 404`, `want STATUS ACTION:ARGUMENTS`},

		// Actions.
		{`route-run = addheader:X`, `"X": want NAME: VALUE`},
		{`route-run = addheader:: x`, `want the name of a header field`},
		{`route = (.) addheader:X-$1: x`, `"X-$1": want the name of a header field, spelled out, without captures or variables`},
		{`route-run = addheader:Content-Length: 5`, `Content-Length: the front writes this field itself, leave it out`},
		{`route-run = delheader:transfer-encoding`, `the front writes this field itself`},
		{`route-run = addheader:Connection: upgrade`, `want Connection: close`},
		{"route-run = addheader:X: a\x01b", `want a text without control characters`},
		{`route-run = setmethod:`, `"" can not be part of a method`},
		{`route-run = setmethod:CONNECT`, `"CONNECT" can not be part of a method`},
		{`route-run = setscheme:ftp`, `"ftp" can not be part of a scheme (http or https)`},
		{`route-run = seturi:http://x/`, `want a path that begins with /`},
		{`route-run = setdocroot:/${HTTP_X}`, `want a directory before the first capture or variable`},
		{`route-run = setmodifier1:256`, `want a number from 0 to 255`},
		{`route-run = rewrite:`, `want a path such as /new/$1`},
		{`route-run = rewrite:/a%zz`, `want two hexadecimal digits behind each %`},
		{`route-run = +:`, `want NAME or NAME,NUMBER`},
		{`route-run = +:A,x`, `"x": want a whole number`},
		{`route-run = /:A,0`, `can not divide by 0`},
		{`route-run = hash:key=a,var=b`, `want key=KEY,var=NAME,items=a;b;c with all three of them`},
		{`route-run = hash:key=a,var=b,items=a;;b`, `want a text on each side of a ;`},
		{`route-run = hash:key=a,var=b,items=a;${B}`, `want a fixed text`},
		{`route-run = hash:key=a,var=b,items=a,algo=md5`, `unknown algorithm "md5", want one of djb33x murmur2 random rr`},
		{`route-run = hash:key=a,var=b,items=a,weight=2`, `"weight=2": want KEY=VALUE with a comma between them, each KEY one of key var items algo`},
		{`route-run = hash:key=a,key=b,var=b,items=a`, `key= stands there twice`},
		{`route-run = logvar:x`, `want NAME=VALUE`},
		{`route-run = alarm:x`, `want NAME TEXT`},
		{`route-run = expires:value=soon`, `value=soon: want a number of seconds`},
		{`route-run = expires:unix=1,filename=/srv/x`, `want filename= or unix=, not both`},
		{`route-run = gzip:6`, `want nothing behind the colon`},
		{`route-run = file:/srv/x`, `"/srv/x": want KEY=VALUE`},
		{`route-run = file:status=200`, `want filename=FILE`},
		{`route-run = file:filename=/srv/x,status=20`, `want a status from 200 to 599`},
		{`route-run = file:filename=/srv/x,content_type=html`, `want a media type such as text/plain`},
		{`route-run = file:filename=/srv/x,no_headers=1`, `every response has a head here`},
		{`route-run = static:${DOCUMENT_ROOT}/x`, `want a directory before the first capture or variable`},
		{`route-run = basicauth:R`, `want REALM,USER:PASSWORD or REALM,FILE`},
		{`route-run = basicauth:${A},u:p`, `want a fixed text`},
		{`route-run = basicauth:R,:p`, `want a user before the colon`},
		{`route-run = basicauth:R,/etc/${HTTP_HOST}`, `want a fixed text`},
		{`route-run = fastcgi:/a,b`, `want an ADDRESS such as fastcgi:/run/php/fpm.sock`},
		{`route-run = https:`, `want ADDRESS[,HOST[,URI]] such as https:127.0.0.1:8000`},
		{`route-run = uwsgi:/a||/b,0,0`, `address /a||/b: want an address on each side of a |`},
		{`route-run = uwsgi:/a|127.0.0.1:x,0,0`, `address 127.0.0.1:x: want a unix path or host:port`},

		// Chains.
		{`route-run = clearheaders:404`, `action clearheaders: there is no response yet, want it in response-route or error-route; to answer here write return:CODE`},
		{`response-route-run = uwsgi:/x,0,0`, `action uwsgi can not stand in the response chain: the request has been to its vassal; to answer something else write return: redirect: static: or file:; want one of * + - /`},
		{`final-route-run = return:404`, `action return can not stand in the final chain: the response has been sent; want one of * + - / addvar alarm break continue donotlog goto hash last log logvar`},
		{`final-route-run = break:404 x`, `the response has been sent, want break: without a status`},
		{`error-routes = a`, `unknown route directive, want one of error-route error-route-host`},
		{`routing = a`, `unknown route directive, want one of error-route error-route-host`},
	}
	for _, test := range tests {
		table, problems := Compile(sources(test.rule))
		if len(problems) != 1 || table != nil {
			t.Errorf("Compile(%s) = %v, want one problem with %s", test.rule, problems, test.want)
			continue
		}
		if got := problems[0].Error(); !strings.Contains(got, test.want) {
			t.Errorf("Compile(%s):\n got %s\nwant %s", test.rule, got, test.want)
		}
	}
}

// TestEveryAction: each action that uWSGI documents either works here or says what
// to do instead.
func TestEveryAction(t *testing.T) {
	const documented = `log logvar donotlog donotoffload addvar addheader delheader remheader clearheaders resetheaders disableheaders send send-crnl
setapp setuser sethome setscriptname setmethod seturi setremoteaddr setpathinfo setdocroot setscheme setprocname setfile fixpathinfo setmodifier1 setmodifier2
harakiri chdir signal alarm + - * / flush fixcl forcecl redirect redirect-302 redirect-permanent redirect-301 rewrite rewrite-last uwsgi proxyuwsgi http proxyhttp
httpdumb httpconnect proxyhttpconnect static static-next file file-next sendfile sendfile-next fastfile fastfile-next basicauth basicauth-next radius ldapauth spnego access
cache cache-continue cachestore cacheset cachevar cacheinc cachedec cachemul cachediv memcached memcached-continue memcachedstore redis redis-continue redisstore
rpc call rpcret rpcnext rpcblob rpcraw rpcvar expires hash chunked gzip toupper template tofile offload metricinc metricdec metricmul metricdiv metricset cgi cgihelper xattr
last continue break return break-with-status goto`
	for _, name := range strings.Fields(documented) {
		_, has := actions[name]
		instead, refused := otherActions[name]
		if has == refused || refused && len(instead) < 10 {
			t.Errorf("action %s: available %v, instead %q", name, has, instead)
		}
	}
}

// TestAllProblems: every mistake is reported, in the order of the file.
func TestAllProblems(t *testing.T) {
	_, problems := Compile(sources("route-run = goto:nowhere\nroute-host = ( vassal:x\nroute-run = vassal:x\nroute-run = nonsense:"))
	var lines []int
	for _, err := range problems {
		var p *Problem
		if !errors.As(err, &p) {
			t.Fatalf("%v is %T, want *Problem", err, err)
		}
		lines = append(lines, p.Pos.Line)
	}
	if len(lines) != 3 || lines[0] != 1 || lines[1] != 2 || lines[2] != 4 {
		t.Errorf("problems in lines %v, want 1 2 4", lines)
	}
}

// TestPCRE: what RE2 has not is named with its column and a way to write it.
func TestPCRE(t *testing.T) {
	tests := []struct{ pattern, want string }{
		{`^(?!www\.)(.+)\.a$`, `column 2: negative look-ahead (?!…) is PCRE only; write an earlier rule that catches the exception: ` +
			`route-host = ^www\. goto:NAME above this one without the look-ahead, and route-label = NAME below it (or last: in place of goto: when no other rule shall see it)`},
		{`(?!(a|\)))b`, `: route-host = (a|\)) goto:NAME above`},
		{`a(?!b)`, `column 2: negative look-ahead`},
		{`a(?=b)`, `column 2: look-ahead`},
		{`(?<=a)b`, `column 1: look-behind`},
		{`(?<!a)b`, `column 1: negative look-behind`},
		{`a(?>b)`, `column 2: the atomic group`},
		{`(?|a)`, `column 1: the branch reset`},
		{`a(?#b)`, `column 2: the comment`},
		{`(a)\1`, `column 4: the back-reference \1`},
		{`(?<n>a)\k<n>`, `column 8: the back-reference \k`},
		{`(?P<n>a)(?P=n)`, `column 9: the back-reference (?P=…)`},
		{`(a)\g1`, `column 4: the back-reference \g`},
		{`[\w]++`, `column 6: the possessive quantifier`},
		{`a*+`, `column 3: the possessive quantifier`},
		{`a?+`, `column 3: the possessive quantifier`},
		{`a{2}+`, `column 5: the possessive quantifier`},
		{`a\h`, `column 2: \h is PCRE only`},
		{`a\R`, `column 2: \R is PCRE only`},
		{`a\Kb`, `column 2: \K is PCRE only`},
		{`\Ga`, `column 1: \G is PCRE only; write ^`},
		{`a\Z`, `column 2: \Z is PCRE only; write $`},
		{`\e`, `\x1b`},
		{`\cA`, `column 1: \c`},
		{`(?x)a`, `column 1: the flag (?x)`},
		{`(?ix:a)`, `column 1: the flag (?x)`},
		{`a(?R)?`, `column 2: recursion`},
		{`(a)(?1)`, `column 4: recursion`},
		{`a{1001}`, `column 2: a repeat count above 1000`},
		{`\Q(?=\E(?=a)`, `column 8: look-ahead`},
		{`[(?=](?=a)`, `column 6: look-ahead`},
		{`[]\]](?=a)`, `column 6: look-ahead`},
		{`[[:alpha:]](?=a)`, `column 12: look-ahead`},
		{`*.example.com`, `column 1: missing argument to repetition operator at *, want an RE2 regular expression`},
		{`(a`, `missing closing )`},
		{`[a`, `missing closing ]`},
		{`a{2}{3}`, `invalid nested repetition operator`},
	}
	for _, test := range tests {
		_, problems := Compile(sources("route-host = " + test.pattern + " vassal:x"))
		if len(problems) != 1 || !strings.Contains(problems[0].Error(), test.want) {
			t.Errorf("pattern %s: %v, want %s", test.pattern, problems, test.want)
		}
	}
}

// TestRegexAccepted: what PCRE users write and RE2 has too.
func TestRegexAccepted(t *testing.T) {
	for _, pattern := range []string{
		`[-\w]+`, `[\w-.]+`, `\/`, `\-`, `\_`, `(?P<n>a)`, `(?<n>a)`, `[[:alnum:]]`, `\Qa.b\E`, `a\z`, `(?i)a`, `a+?`, `a{2,3}?`, `a??`, `\x20`, `a{,3}`, `(?U)a+`,
	} {
		mustCompile(t, "route-host = "+pattern+" vassal:x")
	}
}

func TestWarnings(t *testing.T) {
	const capitals = "the pattern has capital letters: hosts are compared in lower case, and what is captured is in lower case"
	tests := []struct{ rules, want string }{
		{article, ""},
		{`route-host = ^example\.com vassal:x`, "the pattern has no $ at its end: it also matches longer names such as example.com.evil.example"},
		{`route-host = example\.com$ vassal:x`, "the pattern has no ^ at its beginning: it also matches longer names such as evilexample.com"},
		{`route-host = \.example\.com$ vassal:x`, ""},
		{`route-host = (^|\.)example\.com$ vassal:x`, ""},
		{`route-host = ^www\. vassal:x`, ""},
		{`route-host = . vassal:x`, ""},
		{`route-host = ^www.example\.com$ vassal:x`, `a . in the pattern matches any character, write \. for a dot`},
		{`route-host = ^(Blog|Site)\.example\.com$ vassal:$1`, capitals},
		{`route-host = ^([A-Z]+)\.example\.com$ vassal:$1`, capitals},
		{`route-host = ^([A-Za-z]+)\.example\.com$ vassal:$1`, ""},
		{`route-host = (?i)^(blog)\.example\.com$ vassal:$1`, ""},
		{`route-host = ^WWW\.example\.com$ vassal:x`, ""},
		{`route-host = ^(a)$ vassal:x$2`, "$2 is always empty: the pattern has 1 group"},
		{`route-run = vassal:x$1`, "$1 is always empty: there is no pattern"},
		{"route-host = ^(\\w+)\\.x$ vassal:$1\nroute-host = ^a\\.x$ vassal:b", `never reached: "route-host = ^(\\w+)\\.x$ vassal:$1" (main.ini:1) takes a.x first`},
		{"route-host = ^a\\.x$ log:b\nroute-host = ^a\\.x$ vassal:b", ``},
		{"route-if = ipv4in:${REMOTE_ADDR};10.0.0/8 vassal:x", "ipv4in:…;10.0.0/8 never holds: want an address or a network such as 10.0.0.0/8"},
		{"route-run = file:filename=/srv/x,nocl=1", "nocl does nothing: the front frames every response by itself"},
		{"route-run = addheader:Connection: Keep-Alive", "addheader:Connection: Keep-Alive does nothing: connections are kept anyway, see http-keepalive"},
		{"error-route-status = 200 log:x", "never runs: the error chain is for a status of 400 or more; write response-route-status for 200"},
		{"response-route-run = return:404\nroute-run = vassal:x\nresponse-route-run = return:403", `never reached, nor any rule below: return:404 Not Found (main.ini:1) takes every request`},
		{"route-run = static-next:/srv/x\nroute-run = basicauth:R,u:p\nroute-run = vassal:x", ""},
		{"route-run = return:404\nroute-host = ^a\\.x$ vassal:b", `never reached, nor any rule below: return:404 Not Found (main.ini:1) takes every request`},
	}
	for _, test := range tests {
		table := mustCompile(t, test.rules)
		var got []string
		for _, warning := range table.Warnings() {
			var p *Problem
			if errors.As(warning, &p) {
				got = append(got, p.Text)
			}
		}
		if strings.Join(got, "\n") != test.want {
			t.Errorf("warnings of %s:\n got %s\nwant %s", test.rules, strings.Join(got, "\n"), test.want)
		}
	}
}
