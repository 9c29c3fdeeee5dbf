package stream

import (
	"iter"
	"maps"
	"strings"
	"testing"
)

// ending are names that are served here, and where they are written.
func ending(names ...string) iter.Seq2[string, string] {
	return func(yield func(string, string) bool) {
		for _, name := range names {
			if !yield(name, "sites.ini:1") {
				return
			}
		}
	}
}

func TestCoalescing(t *testing.T) {
	for _, test := range []struct {
		name, rules string
		ends        []string
		want        []string // how each warning begins, without what is the same in all
	}{
		{"two targets in a domain", `route-sni = a.example.com pass:10.0.0.1:443
route-sni = b.example.com pass:10.0.0.2:443`, nil,
			[]string{"main.ini:1: route-sni: a.example.com goes to 10.0.0.1:443, b.example.com goes to 10.0.0.2:443 (main.ini:2)"}},
		{"one target", `route-sni = a.example.com pass:10.0.0.1:443
route-sni = b.example.com pass:10.0.0.1:443`, nil, nil},
		{"one group of targets", `route-sni = a.example.com pass:10.0.0.1:443|10.0.0.2:443
route-sni = b.example.com pass:10.0.0.2:443
route-sni = b.example.com pass:10.0.0.1:443`, nil, nil},
		{"groups that differ", `route-sni = a.example.com pass:10.0.0.1:443|10.0.0.2:443
route-sni = b.example.com pass:10.0.0.2:443`, nil,
			[]string{"main.ini:1: route-sni: a.example.com goes to 10.0.0.1:443|10.0.0.2:443, b.example.com goes to 10.0.0.2:443 (main.ini:2)"}},
		{"a name alone", `route-sni = a.example.com pass:10.0.0.1:443`, nil, nil},
		{"two domains", `route-sni = a.example.com pass:10.0.0.1:443
route-sni = a.example.org pass:10.0.0.2:443
route-sni = a.b.example.com pass:10.0.0.2:443`, nil, nil},
		{"neighbours that are strangers", `route-sni = example.com pass:10.0.0.1:443
route-sni = other.com pass:10.0.0.2:443
route-sni = example.co.uk pass:10.0.0.1:443
route-sni = other.co.uk pass:10.0.0.2:443`, nil, nil},
		{"a domain and a name in it", `route-sni = example.com pass:10.0.0.1:443
route-sni = www.example.com pass:10.0.0.2:443`, nil,
			[]string{"main.ini:1: route-sni: example.com goes to 10.0.0.1:443, www.example.com goes to 10.0.0.2:443 (main.ini:2)"}},
		{"a wildcard and a name", `route-sni = *.example.com pass:10.0.0.1:443
route-sni = b.example.com pass:10.0.0.2:443`, nil,
			[]string{"main.ini:1: route-sni: *.example.com goes to 10.0.0.1:443, b.example.com goes to 10.0.0.2:443 (main.ini:2)"}},
		{"a wildcard with its domain", `route-sni = .example.com pass:10.0.0.1:443
route-sni = b.example.com pass:10.0.0.2:443`, nil,
			[]string{"main.ini:1: route-sni: example.com goes to 10.0.0.1:443, *.example.com goes to 10.0.0.1:443, b.example.com goes to 10.0.0.2:443 (main.ini:2)"}},
		{"a wildcard alone", `route-sni = .example.com pass:10.0.0.1:443`, nil, nil},
		{"captures", `route-sni = ^(?<app>.+)-(?<ns>[^-]+)\.example\.com$ pass:${app}.${ns}.svc.cluster.local:443`, nil,
			[]string{`main.ini:1: route-sni: ^(?<app>.+)-(?<ns>[^-]+)\.example\.com$ goes to ${app}.${ns}.svc.cluster.local:443: `}},
		{"a forward proxy", "stream-allow = .cloud.test\n" + `route-sni = ~^(.+\.cloud\.test)$ pass:$1:443`, nil,
			[]string{`main.ini:2: route-sni: ~^(.+\.cloud\.test)$ goes to $1:443: `}},
		{"a pattern with one target", `route-sni = ^[^.]+\.example\.com$ pass:10.0.0.1:443`, nil, nil},
		{"a pattern for few names", `route-sni = ^(a|b)\.example\.com$ pass:10.0.0.1:443
route-sni = c.example.com pass:10.0.0.2:443`, nil,
			[]string{`main.ini:1: route-sni: ^(a|b)\.example\.com$ goes to 10.0.0.1:443, c.example.com goes to 10.0.0.2:443 (main.ini:2)`}},
		{"one that ends here by a rule", `route-sni = *.example.com http
route-sni = b.example.com pass:10.0.0.2:443`, nil,
			[]string{"main.ini:2: route-sni: *.example.com ends here (main.ini:1), b.example.com goes to 10.0.0.2:443: "}},
		{"TLS ends here, and the bytes go on", `route-sni = a.example.com pass:10.0.0.1:443
route-sni = b.example.com tcp:10.0.0.2:80`, nil,
			[]string{"main.ini:1: route-sni: a.example.com goes to 10.0.0.1:443, b.example.com goes to 10.0.0.2:80 (main.ini:2)"}},
		{"nothing is passed", `route-sni = a.example.com tcp:10.0.0.1:80
route-sni = b.example.com tcp:10.0.0.2:80
route-sni = c.example.com http`, []string{"d.example.com"}, nil},
		{"a site", `route-sni = a.example.com pass:10.0.0.1:443`, []string{"other.test", "WWW.example.com."},
			[]string{"main.ini:1: route-sni: a.example.com goes to 10.0.0.1:443, www.example.com ends here (sites.ini:1)"}},
		{"a site of a wildcard", `route-sni = a.example.com pass:10.0.0.1:443`, []string{"*.example.com"},
			[]string{"main.ini:1: route-sni: a.example.com goes to 10.0.0.1:443, *.example.com ends here (sites.ini:1)"}},
		{"a site that is passed", `route-sni = a.example.com pass:10.0.0.1:443`, []string{"a.example.com"}, nil},
		{"sites that a wildcard passes", `route-sni = *.example.com pass:10.0.0.1:443`, []string{"a.example.com", "*.example.com"}, nil},
		{"a site that is rejected", `route-sni = a.example.com pass:10.0.0.1:443
route-sni = www.example.com reject`, []string{"www.example.com"}, nil},
		{"without HTTP/2", `route-sni = a.example.com pass:10.0.0.1:443,alpn=http/1.1
route-sni = b.example.com pass:10.0.0.2:443,alpn=!h2
route-sni = c.example.com pass:10.0.0.3:443,alpn=dot`, []string{"d.example.com"}, nil},
		{"one of two without HTTP/2", `route-sni = a.example.com pass:10.0.0.1:443,alpn=http/1.1
route-sni = b.example.com pass:10.0.0.2:443`, nil, nil},
		{"with HTTP/2 only", `route-sni = a.example.com pass:10.0.0.1:443,alpn=h2
route-sni = b.example.com pass:10.0.0.2:443`, nil,
			[]string{"main.ini:1: route-sni: a.example.com goes to 10.0.0.1:443, b.example.com goes to 10.0.0.2:443 (main.ini:2)"}},
		{"each client to its own", `route-sni = a.example.com pass:10.0.0.1:443,remote-addr=10.0.0.0/8
route-sni = a.example.com pass:10.0.0.2:443
route-sni = b.example.com pass:10.0.0.1:443,remote-addr=10.0.0.0/8
route-sni = b.example.com pass:10.0.0.2:443`, nil, nil},
		{"others and none", `route-sni = default pass:10.0.0.1:443
stream-default = pass:10.0.0.2:443
route-alpn = acme-tls/1 pass:10.0.0.3:443
route-sni = a.example.com pass:10.0.0.4:443`, nil, nil},
		{"many names, many domains", `route-sni = a.example.com pass:10.0.0.1:443
route-sni = a.example.org pass:10.0.0.1:443
route-sni = b.example.com pass:10.0.0.2:443
route-sni = b.example.org pass:10.0.0.2:443
route-sni = c.example.com pass:10.0.0.3:443
route-sni = d.example.com pass:10.0.0.4:443
route-sni = e.example.com pass:10.0.0.5:443
route-sni = f.example.com pass:10.0.0.6:443`, nil,
			[]string{
				"main.ini:1: route-sni: a.example.com goes to 10.0.0.1:443, b.example.com goes to 10.0.0.2:443 (main.ini:3), c.example.com goes to 10.0.0.3:443 (main.ini:5), d.example.com goes to 10.0.0.4:443 (main.ini:6) and 2 more: ",
				"main.ini:2: route-sni: a.example.org goes to 10.0.0.1:443, b.example.org goes to 10.0.0.2:443 (main.ini:4): ",
			}},
	} {
		t.Run(test.name, func(t *testing.T) {
			problems := compile(t, test.rules).Coalescing(ending(test.ends...))
			if len(problems) != len(test.want) {
				t.Fatalf("%d warnings, want %d: %v", len(problems), len(test.want), problems)
			}
			for i, p := range problems {
				if text := p.Error(); !strings.HasPrefix(text, test.want[i]) || !p.Warning || !strings.Contains(text, KeyShared) {
					t.Errorf("%s\nwant %s…", text, test.want[i])
				}
			}
		})
	}
	if problems := (*Table)(nil).Coalescing(maps.All(map[string]string{"a.example": ""})); problems != nil {
		t.Errorf("without rules: %v", problems)
	}
}

func TestCovered(t *testing.T) {
	table := compile(t, `route-sni = a.example.com pass:10.0.0.1:443
route-sni = .shop.example.com pass:10.0.0.2:443
route-sni = b.example.com pass:10.0.0.3:443,alpn=http/1.1
route-sni = c.example.com tcp:10.0.0.4:80`)
	for _, test := range []struct {
		names string
		want  string // the names that are found
	}{
		{"*.example.com example.com", "a.example.com (main.ini:1), shop.example.com (main.ini:2)"},
		{"*.Example.COM", "a.example.com (main.ini:1), shop.example.com (main.ini:2)"},
		{"www.example.com a.example.com", "a.example.com (main.ini:1)"},
		{"a.example.com", ""},
		{"a.example.com *.shop.example.com", ""},
		{"www.example.com x.shop.example.com", "*.shop.example.com (main.ini:2)"},
		{"www.example.com", ""},
		{"*.x.example.com", ""},
		{"other.test", ""},
	} {
		text := table.Covered(strings.Fields(test.names))
		_, found, _ := strings.Cut(text, "is passed on, too: ")
		found, _, _ = strings.Cut(found, ";")
		if found != test.want || (text == "") != (test.want == "") {
			t.Errorf("%s: %q, want %q", test.names, text, test.want)
		}
	}
}
