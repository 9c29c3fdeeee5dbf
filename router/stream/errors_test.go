package stream

import (
	"strings"
	"testing"
)

// TestErrors: each mistake says what was expected. Of want only the beginning is
// compared where it ends with "…".
func TestErrors(t *testing.T) {
	tests := []struct{ rules, want string }{
		// Lines.
		{"route-sni = a.test", `main.ini:1: route-sni: "a.test": want NAME ACTION with a space between them, such as www.example.com pass:10.0.0.1:443`},
		{"route-alpn = h2", `"h2": want PROTOCOL ACTION with a space between them, such as acme-tls/1 pass:10.0.0.1:443`},
		{"route-remote-addr = 10.0.0.0/8", `"10.0.0.0/8": want NETWORK ACTION with a space between them, such as 10.0.0.0/8 pass:10.0.0.1:443`},
		{"route-snj = a.test http", `unknown directive, want one of rawrouter-fallback…`},

		// Names.
		{"route-sni = * http", `* can never be asked for: '*' can not be in a name; want www.example.com, *.example.com, .example.com, default or a regular expression that begins with ^ or ~ (default is what takes any name)`},
		{"route-sni = _ http", `_ can never be asked for: it is no name; …`},
		{"route-sni = www.* http", `www.* can never be asked for: '*' can not be in a name; want www.example.com, *.example.com, .example.com, default or a regular expression that begins with ^ or ~ (^www\..+$ is any name that begins with www.)`},
		{"route-sni = a*.b.test http", `a*.b.test can never be asked for: '*' can not be in a name; want www.example.com, *.example.com, .example.com, default or a regular expression that begins with ^ or ~ (^a[^.]+\.b\.test$)`},
		{"route-sni = *b.test http", `*b.test can never be asked for…`},
		{"route-sni = *.*.test http", `*.*.test can never be asked for…`},
		{`route-sni = (.+)\.test http`, `(.+)\.test can never be asked for: '(' can not be in a name; want www.example.com, *.example.com, .example.com, default or a regular expression that begins with ^ or ~ (^(.+)\.test)`},
		{`route-sni = "a.test" http`, `"a.test" can never be asked for: '"' can not be in a name; want www.example.com, *.example.com, .example.com, default or a regular expression that begins with ^ or ~ (without quotes)`},
		{"route-sni = a.test:443 http", `a.test:443 can never be asked for: ':' can not be in a name; want www.example.com, *.example.com, .example.com, default or a regular expression that begins with ^ or ~ (without the port: a listener has one)`},
		{"route-sni = 10.0.0.1 http", `10.0.0.1 can never be asked for: it is an IP address, not a name…`},
		{"route-sni = [::1] http", `[::1] can never be asked for: it is an IP address, not a name…`},
		{"route-sni = a..test http", `a..test can never be asked for: a part between dots is empty or longer than 63 bytes…`},
		{"route-sni = bücher.test http", `bücher.test can never be asked for: clients ask for such a name in ASCII (xn--…); want…`},
		{"route-sni = . http", `. can never be asked for…`},
		{`route-sni = ^(?!www).+$ http`, `pattern ^(?!www).+$, column 2: negative look-ahead (?!…) is PCRE only; write an earlier rule that catches the exception`},
		{`route-sni = ~*(a http`, `pattern (a: missing closing ), want an RE2 regular expression`},
		{`route-sni = ~ http`, `~: want a regular expression behind it…`},
		{`route-sni = ^a:443$ http`, `pattern ^a:443$: a name that a client asks for has no port`},

		// Actions.
		{"route-sni = a.test 10.0.0.1:443", `10.0.0.1:443: want what to do with it in front: pass:10.0.0.1:443 (the bytes untouched) or tcp:10.0.0.1:443 (TLS ends here)`},
		{"route-sni = a.test vassal:x", `vassal:x: want what to do with it in front: pass:vassal:x (the bytes untouched) or tcp:vassal:x (TLS ends here)`},
		{"route-sni = a.test pass:10.0.0.1:443;", `pass:10.0.0.1:443;: a line has no ; at its end`},
		{"route-sni = a.test pas:10.0.0.1:443", `pas:10.0.0.1:443: did you mean pass:? want pass:ADDRESS (the bytes untouched), tcp:ADDRESS (TLS ends here), http (on to the HTTP rules) or reject`},
		{"route-sni = a.test rejcet", `rejcet: did you mean reject? …`},
		{"route-sni = a.test pass", `pass: want pass:ADDRESS, such as pass:10.0.0.1:443`},
		{"route-sni = a.test http:10.0.0.1:80", `http:10.0.0.1:80: http has no address here, it goes on to the HTTP rules: route-host = … http:10.0.0.1:80`},
		{"route-sni = a.test reject:403", `reject:403: reject has no address`},
		{"route-sni = a.test udp:10.0.0.1:53", `udp:10.0.0.1:53: TCP only: datagrams (UDP, QUIC, DTLS) are not routed`},
		{"route-sni = a.test pass:quic:10.0.0.1:443", `quic:10.0.0.1:443: TCP only: datagrams (UDP, QUIC, DTLS) are not routed`},
		{"route-sni = a.test tcp:dtls:10.0.0.1:443", `dtls:10.0.0.1:443: TCP only: datagrams (UDP, QUIC, DTLS) are not routed`},
		{"route-sni = a.test pass:10.0.0.1:53,udp", `udp: TCP only: datagrams (UDP, QUIC, DTLS) are not routed`},
		{"route-alpn = h3 reject", `h3: TCP only: datagrams (UDP, QUIC, DTLS) are not routed (HTTP/3 is QUIC, over UDP)`},

		// Options.
		{"route-sni = a.test pass:10.0.0.1:443,prox=v1", `unknown option prox=v1, did you mean proxy=? want one of alpn= backup connect-timeout= proxy= remote-addr= timeout= weight=`},
		{"route-sni = a.test pass:10.0.0.1:443,10.0.0.2:443", `unknown option 10.0.0.2:443, want one of alpn= backup connect-timeout= proxy= remote-addr= timeout= weight= (several addresses have a | between them)`},
		{"route-sni = a.test pass:10.0.0.1:443,proxy", `proxy: want proxy=VALUE`},
		{"route-sni = a.test pass:10.0.0.1:443,proxy=v3", `want proxy=v1 or proxy=v2, got "proxy=v3"`},
		{"route-sni = a.test pass:10.0.0.1:443,backup=1", `backup=1: want backup without a value`},
		{"route-sni = a.test pass:10.0.0.1:443,", `an option is missing behind the comma…`},
		{"route-sni = a.test pass:10.0.0.1:443,weight=0", `want weight=1 to 1000, got "weight=0"`},
		{"route-sni = a.test pass:10.0.0.1:443,timeout=0", `want a number of seconds such as 3, 0.5 or 10m, got timeout=0`},
		{"route-sni = a.test pass:10.0.0.1:443,connect-timeout=1d", `want a number of seconds such as 3, 0.5 or 10m, got connect-timeout=1d`},
		{"route-sni = a.test http,backup", `backup does nothing for http, want one of alpn= remote-addr=`},
		{"route-sni = a.test http,alpn=http/2", `alpn=http/2: write h2, which is what HTTP/2 is called there`},
		{"route-sni = a.test http,alpn=", `alpn=: want a protocol such as h2, http/1.1 or !h2`},
		{"route-sni = a.test http,remote-addr=10.0.0/8", `remote-addr=10.0.0/8: "10.0.0/8" is no address or network, want one such as 10.0.0.7, 10.0.0.0/8 or fd00::/8`},
		{"route-remote-addr = 10.0.0.0/33 reject", `"10.0.0.0/33" is no address or network, want one such as 10.0.0.7, 10.0.0.0/8 or fd00::/8, or a regular expression such as ^10\.0\.\d`},
		{"route-remote-addr = 10.0.0.0/8 reject,remote-addr=10.0.0.1", `remote-addr=10.0.0.1/32 beside 10.0.0.0/8: want a line for each network, or exceptions as remote-addr=!10.0.0.1/32`},
		{"route-alpn = h2 reject,alpn=imap", `alpn=imap beside h2: want several protocols as h2|imap in front, or exceptions as alpn=!imap`},

		// Addresses.
		{"route-sni = default pass:$ssl_preread_server_name", `$ssl_preread_server_name: $ssl_preread_server_name is nginx's, write $0 for the name that the client asks for, and a port behind it: $0:443`},
		{"route-sni = default pass:$0", `$0: the port is missing, want $0:443`},
		{"route-sni = a.test pass:service1", `service1: the port is missing, want service1:443`},
		{"route-sni = a.test pass:service1:", `service1:: the port is missing, want service1:443`},
		{"route-sni = a.test pass:::1", `::1: the port is missing, want [::1]:443`},
		{"route-sni = a.test pass:[::1]", `[::1]: the port is missing, want [::1]:443`},
		{"route-sni = a.test pass:fe80:1:443", `fe80:1:443: want host:port, an IPv6 address in brackets`},
		{"route-sni = a.test pass:a.test:https", `a.test:https: the port is "https", want a number from 1 to 65535`},
		{"route-sni = a.test pass:a.test:65536", `a.test:65536: the port is "65536", want a number from 1 to 65535`},
		{"route-sni = a.test pass:127.1:80", `127.1:80: 127.1 is no host: it is an IP address, not a name`},
		{"route-sni = a.test pass:https://a.test/", `https://a.test/: want an address without https://: a.test`},
		{"route-sni = a.test pass:10.0.0.1:443|", `the address is empty, want one such as…`},
		{"route-sni = a.test pass:/run/", `/run/: want the path of a unix socket, such as /run/x.sock`},
		{"route-sni = a.test pass:unix:", `: want the path of a unix socket, such as /run/x.sock`},
		{"route-sni = a.test pass:/" + strings.Repeat("a", 107), `/` + strings.Repeat("a", 107) + `: the path of a unix socket has 107 bytes at most, this one has 108`},
		{"route-sni = a.test pass:vassal:", `"": want the name of a vassal: its file's name without extension`},
		{"route-sni = a.test pass:vassal:../x", `"../x": want the name of a vassal: its file's name without extension`},

		// Captures.
		{`route-sni = ^(?<app>.+)\.test$ pass:$app-public.svc.cluster.local:443`, `$app-public.svc.cluster.local:443: write ${app} for the group (?<app>…): a name is in braces`},
		{`route-sni = ^(.+)\.test$ pass:${app}.svc.cluster.local:443`, `${app}.svc.cluster.local:443: there is no group (?<app>…) in the pattern`},
		{`route-sni = ^(.+)\.test$ pass:$2.svc.cluster.local:443`, `$2.svc.cluster.local:443: there is no group $2, the pattern has one`},
		{`route-sni = ^(.+)\.test$ pass:${1.svc.cluster.local:443`, `${1.svc.cluster.local:443: the ${ has no }, want ${NAME}`},
		{`route-sni = *.test pass:$1.svc.cluster.local:443`, `$1.svc.cluster.local:443: there is no pattern to capture $1; want a NAME such as ^(.+)\.example\.com$, or $0 for the whole name`},
		{`stream-default = pass:$0:443`, `$0:443: there is nothing to capture: no name was asked for`},
		{`route-sni = ^(.+)\.test$ pass:10.0.0.1:4x$1`, `10.0.0.1:4x$1: want digits only in the port`},
		{`route-sni = ^(.+)\.test$ pass:/run/$1/../x.sock`, `/run/$1/../x.sock: want a path without .. where a client decides a part of it`},

		// No open proxy.
		{`route-sni = ~^(.+\.cloud\.test)$ pass:$1:443`, `$1:443: clients would choose the host, and the front be an open proxy: want a domain of two labels or more behind the last capture, such as $1.svc.cluster.local, or stream-allow = .cloud.test (a domain or a network that the host must be in)`},
		{`route-sni = ^(.+)\.a\.test$ pass:$1.local:443`, `$1.local:443: clients would choose the host…`},
		{`route-sni = ^(.+)\.a\.test$ pass:10.0.0.$1:443`, `10.0.0.$1:443: clients would choose the host…`},
		{`route-sni = ^(.+)\.a\.test$ pass:$1.0.0.1:443`, `$1.0.0.1:443: clients would choose the host…`},
		{`route-sni = ^(.+)\.a\.test$ pass:db.internal.$1:443`, `db.internal.$1:443: clients would choose the host…`},
		{`route-sni = ^(.+)\.a\.test$ pass:[fd00::$1]:443`, `[fd00::$1]:443: clients would choose the host…`},
		{`route-sni = default pass:$0:443`, `$0:443: clients would choose the host…`},
		{"stream-allow = *", `* would make the front an open proxy, want a domain such as .example.com or a network such as 10.0.0.0/8`},
		{"stream-allow = 10.0.0/8", `"10.0.0/8" is neither a domain such as .example.com nor a network such as 10.0.0.0/8 ('/' can not be in a name)`},

		// Lines that contradict each other.
		{"route-sni = a.test http\nroute-sni = A.test. pass:10.0.0.1:443", `main.ini:2: route-sni: a.test has http already at main.ini:1, want one kind of action for a name`},
		{"route-sni = a.test http,alpn=h2\nroute-sni = a.test reject,alpn=h2", `a.test with alpn=h2 has http already at main.ini:1, want one kind of action for a name`},
		{"route-sni = a.test pass:10.0.0.1:443,proxy=v1\nroute-sni = a.test pass:10.0.0.2:443", `proxy=v1 at main.ini:1, want the same proxy= in all lines of a.test`},
		{"route-sni = a.test pass:10.0.0.1:443,timeout=1\nroute-sni = a.test pass:10.0.0.2:443,timeout=2", `timeout=1 at main.ini:1, want one for all lines of a.test`},
		{"route-sni = a.test pass:10.0.0.1:443,connect-timeout=1\nroute-sni = a.test pass:10.0.0.2:443,connect-timeout=0.5", `connect-timeout=1 at main.ini:1, want one for all lines of a.test`},

		// uWSGI's routers.
		{"sslrouter-to = 10.0.0.1", ``},
		{"sslrouter-to = 10.0.0.1:0", `10.0.0.1:0: the port is "0", want a number from 1 to 65535`},
		{"sslrouter-to = 10.0.0.1:80 heavy", `want ADDRESS [weight=N] [backup], got "heavy"`},
		{"rawrouter-to = 10.0.0.1:80 weight=x", `want weight=1 to 1000, got "weight=x"`},
		{"rawrouter-to =", `want an address`},
		{"sslrouter-sni = perhaps", `"perhaps": want true or false`},
		{"sslrouter-use-pattern = /run/x.sock", `"/run/x.sock": want one %s, which becomes the name that the client asks for (sslrouter-sni) or else the listening address; in a file it is written %%s`},
		{"sslrouter-use-pattern = %s.a.test:443", `%s.a.test:443: the key is the listening address here, which is no host; want a path, or sslrouter-sni = true`},
		{"sslrouter-sni = true\nsslrouter-use-pattern = %s.local:443", `%s.local:443: clients would choose the host…`},
		{"sslrouter-sni = true\nsslrouter-use-base = 127.0.0.1:", `127.0.0.1:: the client would choose the port by the name it asks for`},
	}
	for _, test := range tests {
		table, problems := Compile(lines(test.rules))
		if test.want == "" {
			if len(problems) > 0 {
				t.Errorf("Compile(%s) = %v", test.rules, problems)
			}
			continue
		}
		if len(problems) != 1 || table != nil || problems[0].Warning {
			t.Errorf("Compile(%s) = %v, %v, want one problem: %s", test.rules, table, problems, test.want)
			continue
		}
		got := problems[0].Error()
		want, beginning := strings.CutSuffix(test.want, "…")
		if !strings.HasPrefix(want, "main.ini:") {
			_, got, _ = strings.Cut(got, ": ")
			_, got, _ = strings.Cut(got, ": ")
		}
		if beginning && !strings.HasPrefix(got, want) || !beginning && got != want {
			t.Errorf("Compile(%s):\n got %s\nwant %s", test.rules, got, test.want)
		}
	}
}

// TestAllErrors: every mistake is reported, in the order of the lines.
func TestAllErrors(t *testing.T) {
	_, problems := Compile(lines("route-sni = a\nsslrouter-to = x:\nroute-sni = b.test http\nstream-allow = *\nroute-sni = c"))
	var got []string
	for _, p := range problems {
		got = append(got, position(p.File, p.Line))
	}
	if strings.Join(got, " ") != "main.ini:1 main.ini:2 main.ini:4 main.ini:5" {
		t.Errorf("problems at %v", got)
	}
}

func TestWarnings(t *testing.T) {
	tests := []struct{ rules, want string }{
		{`route-sni = ^(\w+)\.a\.test pass:vassal:$1`, `the pattern has no $ at its end: it also matches longer names such as .a.test.evil.example`},
		{`route-sni = ~a\.test$ pass:vassal:x`, `the pattern has no ^ at its beginning: it also matches longer names such as evila.test`},
		{`route-sni = ^www.a\.test$ pass:vassal:x`, `a . in the pattern matches any character, write \. for a dot`},
		{`route-sni = ^(\w+)\.Test$ pass:vassal:$1`, `the pattern has capital letters: hosts are compared in lower case, and what is captured is in lower case`},
		{"route-sni = defualt http", `defualt is a host's name here, did you mean default?`},
		{"route-sni = a.test http\nroute-sni = a.test http", `a.test has http already at main.ini:1`},
		{"route-sni = a.test pass:/x\nroute-sni = a.test pass:/x", `a.test has the address /x already at main.ini:1`},
		{"route-sni = a.test pass:/x,backup", `backup does nothing: there is no other address`},
		{"route-sni = a.test pass:/x,backup\nroute-sni = a.test pass:/y", ``},
		{`route-sni = ^(\d+)\.a\.test$ pass:10.0.0.1:$1`, `10.0.0.1:$1: clients choose the port, 22 too: write those it may be into the pattern, such as (443|8443)`},
		{`route-sni = ^(443|8443)\.a\.test$ pass:10.0.0.1:$1`, ``},
		{"stream-allow = .test\nroute-sni = a.test http", `does nothing: no capture decides a host`},
		{"stream-allow = 0.0.0.0/0\nroute-sni = default pass:$0:443", `allows every address: the front is an open proxy to all of them`},
		{"stream-allow = .Com\nroute-sni = default pass:$0:443", `allows every host in com: the front is an open proxy to all of them`},
		{"stream-allow = .internal\nstream-allow = 10.0.0.7\nstream-allow = a.com\nroute-sni = default pass:$0:443", ``},

		// Never reached.
		{"route-sni = a.test pass:/x\nroute-sni = a.test http,alpn=h2", `never reached: "route-sni = a.test pass:/x" (main.ini:1) takes every client first`},
		{"route-sni = a.test http,alpn=h2\nroute-sni = a.test pass:/x", ``},
		{"route-sni = .a.test pass:/x\nroute-sni = *.a.test http", `never reached: "route-sni = .a.test pass:/x" (main.ini:1) takes every client first`},
		{"route-sni = *.a.test pass:/x\nroute-sni = .a.test http", ``},
		{"route-sni = ^(.+)-(.+)\\.a\\.test$ pass:/x\nroute-sni = *.a.test http", `never reached: "route-sni = *.a.test http" (main.ini:2) takes every client first`},
		{"route-sni = ^(.+)-(.+)\\.a\\.test$ pass:/x\nroute-sni = *.a.test http,alpn=h2", ``},
		{"route-sni = ^(a|b)\\.test$ pass:/x\nroute-sni = a.test http\nroute-sni = b.test http", `never reached: "route-sni = b.test http" (main.ini:3) takes every client first`},
		{"route-sni = ^(a|b)\\.test$ pass:/x\nroute-sni = a.test http", ``},
		{"route-sni = ^(.+)\\.a\\.test$ pass:/x\nroute-sni = ^(.+)-(.+)\\.b\\.a\\.test$ http", `never reached: "route-sni = ^(.+)\\.a\\.test$ pass:/x" (main.ini:1) takes every client first`},
		{"route-sni = ^.+$ pass:/x\nroute-sni = ^c\\.test$ http", `never reached: "route-sni = ^.+$ pass:/x" (main.ini:1) takes every client first`},
		{"route-remote-addr = 10.0.0.0/8 reject\nroute-remote-addr = 10.1.0.0/16 pass:/x", `never reached: "route-remote-addr = 10.0.0.0/8 reject" (main.ini:1) takes every client first`},
		{"route-remote-addr = 10.0.0.0/8 reject,alpn=!h2\nroute-remote-addr = 10.1.0.0/16 pass:/x", ``},
		{"stream-default = reject\nstream-default = pass:/x,remote-addr=10.0.0.0/8", `never reached: "stream-default = reject" (main.ini:1) takes every client first`},

		// uWSGI's routers.
		{"sslrouter-to = /x\nsslrouter-use-base = /run/", `does nothing beside sslrouter-use-base (main.ini:2)`},
		{"rawrouter-use-base = /run/\nrawrouter-use-pattern = /run/%s.sock", `does nothing beside rawrouter-use-pattern (main.ini:2)`},
	}
	for _, test := range tests {
		_, problems := Compile(lines(test.rules))
		var got []string
		for _, p := range problems {
			got = append(got, p.Text)
			if !p.Warning {
				t.Errorf("%s: %v", test.rules, p)
			}
		}
		if strings.Join(got, "\n") != test.want {
			t.Errorf("warnings of %s:\n got %s\nwant %s", test.rules, strings.Join(got, "\n"), test.want)
		}
	}
}
