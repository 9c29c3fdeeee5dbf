package stream

import (
	"fmt"
	"strings"
	"testing"
)

func TestExplain(t *testing.T) {
	table := compile(t, `route-sni = ^(?<app>.+)-(?<ns>[^-]+)\.example\.com$ pass:${app}-public.${ns}.svc.cluster.local:443
route-sni = *.org pass:10.0.0.1:443
route-sni = *.example.org pass:10.0.0.2:443|10.0.0.3:443,proxy=v1
route-sni = a.example.com http,alpn=h2
route-alpn = acme-tls/1 reject
route-remote-addr = 192.0.2.0/24 reject
route-sni = default tcp:10.0.0.9:80
stream-default = pass:10.0.0.8:22`)
	tests := []struct{ who, want string }{
		{"shop-eu.example.com alpn=h2,http/1.1", `
no 5: no match: alpn, and the client offers "h2", "http/1.1"
no 6: no match: the client's address is not known
no 4: no match for shop-eu.example.com
no 3: no match for shop-eu.example.com
no 2: no match for shop-eu.example.com
yes 1: matches shop-eu.example.com, $1 = "shop", $2 = "eu"; the bytes go untouched to shop-public.eu.svc.cluster.local:443`},
		{"www.example.org from=10.0.0.1", `
no 5: no match: alpn, and the client offers no protocol
no 6: no match: the client's address is 10.0.0.1
no 4: no match for www.example.org
yes 3: matches www.example.org; the bytes go untouched to 10.0.0.2:443 or 10.0.0.3:443, after a PROXY header v1`},
		{"a.example.com from=192.0.2.1", `
no 5: no match: alpn, and the client offers no protocol
yes 6: the client's address is 192.0.2.1; rejected`},
		{"a.example.com alpn=h2", `
no 5: no match: alpn, and the client offers "h2"
no 6: no match: the client's address is not known
yes 4: matches a.example.com, the client offers "h2"; on to the HTTP rules`},
		{"x.y-z.example.com", `
no 5: no match: alpn, and the client offers no protocol
no 6: no match: the client's address is not known
no 4: no match for x.y-z.example.com
no 3: no match for x.y-z.example.com
no 2: no match for x.y-z.example.com
yes 1: matches x.y-z.example.com, $1 = "x.y", $2 = "z"; refused: $1 is "x.y", which can not be part of a host name's label (letters, digits, - and _)`},
		{"other", `
no 5: no match: alpn, and the client offers no protocol
no 6: no match: the client's address is not known
no 4: no match for other
no 3: no match for other
no 2: no match for other
no 1: no match for other
yes 7: takes any name; TLS ends here, the plain bytes go to 10.0.0.9:80`},
		{"- alpn=imap", `
no 5: no match: alpn, and the client offers "imap"
no 6: no match: the client's address is not known
yes 8: no name is asked for; the bytes go untouched to 10.0.0.8:22`},
	}
	for _, test := range tests {
		steps, _, _ := table.Explain(client(test.who))
		got := ""
		for _, step := range steps {
			mark := "no"
			if step.Matched {
				mark = "yes"
			}
			_, line := step.Rule.Pos()
			got += fmt.Sprintf("\n%s %d: %s", mark, line, step.Text)
		}
		if got != test.want {
			t.Errorf("%s:%s\nwant%s", test.who, got, test.want)
		}
	}
}

// FuzzExplain: Explain and Find ask in the same order, whatever the rules.
func FuzzExplain(f *testing.F) {
	f.Add("route-sni = a.test http\nroute-sni = *.test reject\nroute-sni = ^a pass:/x", "a.test")
	f.Add("route-sni = .a.test http,alpn=h2\nroute-sni = *.a.test reject\nroute-alpn = h2 pass:/x", "a.test alpn=h2")
	f.Fuzz(func(t *testing.T, rules, who string) {
		if strings.Contains(who, "from=") {
			return
		}
		table, _ := Compile(lines(rules))
		c := client(who)
		d, ok := table.Find(c)
		_, explained, found := table.Explain(c)
		if found != ok || explained.Rule != d.Rule || outcome(explained, found) != outcome(d, ok) {
			t.Errorf("found %s, explained %s", outcome(d, ok), outcome(explained, found))
		}
	})
}
