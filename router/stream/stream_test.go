package stream

import (
	"net/netip"
	"strings"
	"testing"
)

// lines makes sources of "key = value" lines.
func lines(text string) (sources []Source) {
	for i, line := range strings.Split(text, "\n") {
		key, value, found := strings.Cut(line, "=")
		if !found {
			continue
		}
		sources = append(sources, Source{strings.TrimSpace(key), strings.TrimSpace(value), "main.ini", i + 1})
	}
	return sources
}

// compile compiles rules that have no mistake.
func compile(t testing.TB, text string) *Table {
	t.Helper()
	table, problems := Compile(lines(text))
	for _, p := range problems {
		if !p.Warning {
			t.Fatal(p)
		}
	}
	return table
}

// client reads "NAME [from=ADDRESS] [alpn=A,B]"; the name "-" is none.
func client(text string) *Client {
	c := &Client{}
	for i, word := range strings.Fields(text) {
		key, value, _ := strings.Cut(word, "=")
		switch {
		case key == "from":
			c.Remote = netip.MustParseAddr(value)
		case key == "alpn":
			for one := range strings.SplitSeq(value, ",") {
				c.Protocols = append(c.Protocols, []byte(one))
			}
		case i == 0 && word != "-":
			c.Name = word
		}
	}
	return c
}

// outcome says in few words what was decided: "pass 10.0.0.1:443|/x.sock*2".
func outcome(d Decision, ok bool) string {
	if !ok {
		return "none"
	}
	if d.Refused != "" {
		return "refused: " + d.Refused
	}
	text := d.Action.String()
	for i := range d.Nodes {
		n := &d.Nodes[i]
		if i == 0 {
			text += " "
		} else {
			text += "|"
		}
		text += n.String()
	}
	return text
}

// checkFind compares what clients get, and that Explain says the same. Each line of
// cases is "client -> outcome".
func checkFind(t *testing.T, rules, cases string) {
	t.Helper()
	table := compile(t, rules)
	for _, line := range strings.Split(strings.TrimSpace(cases), "\n") {
		who, want, _ := strings.Cut(strings.TrimSpace(line), " -> ")
		c := client(who)
		d, ok := table.Find(c)
		if got := outcome(d, ok); got != want {
			t.Errorf("%s: got  %s\nwant %s", who, got, want)
		}
		steps, explained, found := table.Explain(c)
		if outcome(explained, found) != outcome(d, ok) {
			t.Errorf("%s: explained as %s, but found %s", who, outcome(explained, found), outcome(d, ok))
		}
		if ok && (len(steps) == 0 || steps[len(steps)-1].Rule != d.Rule || !steps[len(steps)-1].Matched) {
			t.Errorf("%s: the last step of Explain is not the rule found", who)
		}
	}
}

// TestMapRules: nginx's map with hostnames, row by row: exact, longest wildcard,
// patterns in their order, default; what nginx got wrong is right.
func TestMapRules(t *testing.T) {
	checkFind(t, `route-sni = ~^(?<app>.+)-(?<ns>\d+)\.example\.com$ pass:127.0.0.1:${ns}
route-sni = ~*^UP-(.+)\.example\.com$ pass:10.9.0.1:443
route-sni = ~^up-(.+)\.example\.com$ pass:10.9.0.2:443
route-sni = *.example.net pass:10.1.0.1:443
route-sni = *.deep.example.net pass:10.1.0.2:443
route-sni = .example.org pass:10.2.0.1:443
route-sni = A.Example.COM. pass:10.0.0.1:443
route-sni = b.example.com tcp:/run/b.sock
route-sni = web.example.com http
route-sni = bad.example.com reject
route-sni = default pass:10.3.0.1:443`, `
a.example.com -> pass 10.0.0.1:443
b.example.com -> tcp /run/b.sock
web.example.com -> http
bad.example.com -> reject
x.example.net -> pass 10.1.0.1:443
x.y.example.net -> pass 10.1.0.1:443
x.deep.example.net -> pass 10.1.0.2:443
deep.example.net -> pass 10.1.0.1:443
example.net -> pass 10.3.0.1:443
example.org -> pass 10.2.0.1:443
www.example.org -> pass 10.2.0.1:443
badexample.org -> pass 10.3.0.1:443
x-y-22802.example.com -> pass 127.0.0.1:22802
x-y-z.example.com -> pass 10.3.0.1:443
x-70000.example.com -> refused: "70000" is no port from 1 to 65535
x-0.example.com -> refused: "0" is no port from 1 to 65535
up-1x.example.com -> pass 10.9.0.1:443
- -> pass 10.3.0.1:443`)
}

// TestPrecedence: the order of kinds does not depend on the order of lines.
func TestPrecedence(t *testing.T) {
	checkFind(t, `route-sni = default pass:10.0.0.5:1
route-sni = ^a\.b\.test$ pass:10.0.0.4:1
route-sni = ^[ax]\..* pass:10.0.0.6:1
route-sni = *.test pass:10.0.0.3:1
route-sni = *.b.test pass:10.0.0.2:1
route-sni = a.b.test pass:10.0.0.1:1
route-alpn = acme-tls/1 pass:10.0.0.7:1
stream-default = pass:10.0.0.8:1`, `
a.b.test -> pass 10.0.0.1:1
c.b.test -> pass 10.0.0.2:1
a.c.test -> pass 10.0.0.3:1
x.org -> pass 10.0.0.6:1
y.org -> pass 10.0.0.5:1
a.b.test alpn=acme-tls/1 -> pass 10.0.0.7:1
- -> pass 10.0.0.8:1
- alpn=acme-tls/1 -> pass 10.0.0.7:1`)
}

func TestNoDecision(t *testing.T) {
	checkFind(t, `route-sni = a.test http`, `
b.test -> none
- -> none
a.test.evil.org -> none
xa.test -> none`)
	if d, ok := (*Table)(nil).Find(&Client{Name: "a.test"}); ok {
		t.Errorf("a nil Table decided %v", d)
	}
	if table, problems := Compile(nil); table != nil || problems != nil {
		t.Errorf("Compile(nil) = %v, %v", table, problems)
	}
}

func TestGroups(t *testing.T) {
	checkFind(t, `route-sni = a.test pass:10.0.0.1:443|10.0.0.2:443,weight=3,proxy=v2
route-sni = a.test pass:unix:/run/a.sock,proxy=v2,backup,timeout=1h
route-sni = b.test tcp:vassal:shop|[2001:DB8::1]:5432|@abstract|db.Internal.:5432|:8080|localhost:80`, `
a.test -> pass 10.0.0.1:443 (weight 3)|10.0.0.2:443 (weight 3)|/run/a.sock (backup)
b.test -> tcp vassal:shop|[2001:db8::1]:5432|@abstract|db.internal:5432|127.0.0.1:8080|localhost:80`)
	table := compile(t, `route-sni = a.test pass:10.0.0.1:443,connect-timeout=1s,timeout=10m,proxy=v1
route-sni = a.test pass:10.0.0.2:443,proxy=v1`)
	d, _ := table.Find(&Client{Name: "a.test"})
	if d.Proxy != 1 || d.Connect.Seconds() != 1 || d.Idle.Minutes() != 10 || !d.Fixed || len(d.Nodes) != 2 {
		t.Errorf("%+v", d)
	}
	if rules := table.Rules(); len(rules) != 1 || rules[0].Place() != "main.ini:1" || rules[0].String() != "route-sni = a.test pass:10.0.0.1:443,connect-timeout=1s,timeout=10m,proxy=v1" {
		t.Errorf("%v", rules)
	}
}

// TestConditions: a rule is passed over when its conditions do not hold. HTTP/1.1
// means a client that will speak it, so that browsers with HTTP/2 go elsewhere.
func TestConditions(t *testing.T) {
	checkFind(t, `route-sni = a.test pass:10.0.0.1:443,alpn=http/1.1
route-sni = a.test http
route-sni = *.b.test pass:10.0.0.2:443,alpn=!h2,remote-addr=10.0.0.0/8|fd00::/8
route-sni = *.b.test pass:10.0.0.3:443,remote-addr=10.0.0.0/8,remote-addr=!10.0.0.9
route-sni = ^c\d*\.test$ pass:10.0.0.4:443,alpn=h2|imap
route-sni = ^c\d*\.test$ pass:10.0.0.5:443
route-sni = default reject,alpn=evil`, `
a.test alpn=h2,http/1.1 -> http
a.test alpn=http/1.1 -> pass 10.0.0.1:443
a.test alpn=http/1.1,http/1.0 -> pass 10.0.0.1:443
a.test -> pass 10.0.0.1:443
a.test alpn=imap -> http
x.b.test from=10.1.1.1 -> pass 10.0.0.2:443
x.b.test from=::ffff:10.1.1.1 -> pass 10.0.0.2:443
x.b.test from=10.1.1.1 alpn=h2 -> pass 10.0.0.3:443
x.b.test from=10.0.0.9 alpn=h2 -> none
x.b.test from=fd00::1 -> pass 10.0.0.2:443
x.b.test from=192.0.2.1 -> none
x.b.test -> none
c.test alpn=imap -> pass 10.0.0.4:443
c.test alpn=h2 -> pass 10.0.0.4:443
c.test -> pass 10.0.0.5:443
- alpn=evil -> reject
- -> none`)
}

func TestFirstRules(t *testing.T) {
	checkFind(t, `route-sni = a.test http
route-remote-addr = 192.0.2.0/24 reject
route-remote-addr = ^10\.0\.(\d+)\. pass:10.1.$1.1:443
route-remote-addr = !10.0.0.0/8 tcp:10.0.0.2:443,alpn=imap
route-alpn = postgresql|dot tcp:10.0.0.1:5432,remote-addr=!10.0.0.7
stream-allow = 10.1.0.0/16
stream-default = pass:10.0.0.3:22,remote-addr=10.0.0.0/8
stream-default = reject`, `
a.test from=192.0.2.7 -> reject
a.test from=10.0.7.1 -> pass 10.1.7.1:443
a.test from=198.51.100.1 alpn=imap -> tcp 10.0.0.2:443
a.test from=10.9.9.9 alpn=imap -> http
a.test from=10.9.9.9 alpn=dot -> tcp 10.0.0.1:5432
a.test from=10.9.9.9 -> http
- from=10.9.9.9 -> pass 10.0.0.3:22
- from=198.51.100.1 -> reject
- -> reject`)
	table := compile(t, "stream-default = pass:10.0.0.3:22,remote-addr=10.0.0.0/8\nstream-default = reject")
	if d, ok := table.Default(); outcome(d, ok) != "reject" {
		t.Error(outcome(d, ok))
	}
	if d, ok := table.DefaultFor(client("- from=10.0.0.1")); outcome(d, ok) != "pass 10.0.0.3:22" {
		t.Error(outcome(d, ok))
	}
	table = compile(t, "route-remote-addr = 10.0.0.7 reject\nroute-remote-addr = ::ffff:10.9.0.0/112 reject\nroute-remote-addr = 10.0.0.8 tcp:10.0.0.3:80\nroute-alpn = imap reject,remote-addr=10.0.0.9\nstream-default = pass:10.0.0.3:22")
	for from, want := range map[string]string{"10.0.0.7": "reject", "10.9.1.1": "reject", "10.0.0.8": "pass 10.0.0.3:22", "10.0.0.9": "pass 10.0.0.3:22"} {
		if d, ok := table.DefaultFor(client("- from=" + from)); outcome(d, ok) != want {
			t.Errorf("no TLS from %s: %s, want %s", from, outcome(d, ok), want)
		}
	}
	if d, ok := compile(t, "route-sni = default http").Default(); ok {
		t.Error(outcome(d, ok))
	}
}

// TestBareDefault: stream-default may have an address alone.
func TestBareDefault(t *testing.T) {
	for _, test := range []struct{ value, want string }{
		{"10.0.0.1:22", "pass 10.0.0.1:22"},
		{":22|rdp.internal:3389,weight=2", "pass 127.0.0.1:22 (weight 2)|rdp.internal:3389 (weight 2)"},
		{"[::1]:22", "pass [::1]:22"},
		{"/run/ssh.sock", "pass /run/ssh.sock"},
		{"unix:/run/ssh.sock", "pass /run/ssh.sock"},
		{"vassal:ssh", "pass vassal:ssh"},
		{"tcp:10.0.0.1:22", "tcp 10.0.0.1:22"},
		{"http", "http"},
	} {
		if d, ok := compile(t, "stream-default = "+test.value).Default(); outcome(d, ok) != test.want {
			t.Errorf("%s: got %s, want %s", test.value, outcome(d, ok), test.want)
		}
	}
}

// TestSeed: the maps of the article about SNI in nginx and of its readers.
func TestSeed(t *testing.T) {
	checkFind(t, `route-sni = ^(?<app>.+)-(?<namespace>[^-.]+)\.example\.com$ pass:${app}-public.${namespace}.svc.cluster.local:443
route-sni = ~^(?<service>.+)-(?<namespace>[^-]+)-(?<port>\d+)\.k8s\.example\.net$ pass:${service}-public.${namespace}.svc.cluster.local:${port}
route-sni = test1.myapps.local pass:service1:443
route-sni = test2.myapps.local pass:service2:443
route-sni = ~^(.+\.cloud\.test)$ pass:$1:443
route-sni = default pass:$0:443
stream-allow = .cloud.test
stream-allow = 203.0.113.0/24`, `
shop-api-staging.example.com -> pass shop-api-public.staging.svc.cluster.local:443
shop-staging-9999.k8s.example.net -> pass shop-public.staging.svc.cluster.local:9999
test1.myapps.local -> pass service1:443
test2.myapps.local -> pass service2:443
eu.storage.cloud.test -> pass eu.storage.cloud.test:443
www.example.org -> pass www.example.org:443 if it is in 203.0.113.0/24
- -> refused: the client asks for no name`)
}
