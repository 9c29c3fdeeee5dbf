package stream

import (
	"net/netip"
	"strings"
	"testing"
)

// seedRules are lines of each kind.
var seedRules = []string{
	"route-sni = a.test pass:10.0.0.1:443,proxy=v1,backup,weight=3,timeout=10m",
	"route-sni = *.a.test tcp:vassal:shop|unix:/run/x.sock",
	"route-sni = .b.test http,alpn=http/1.1|!h2,remote-addr=!10.0.0.0/8",
	`route-sni = ^(?<app>.+)-(?<ns>[^-]+)\.example\.com$ pass:${app}-public.${ns}.svc.cluster.local:443`,
	"stream-allow = .cloud.test\nstream-allow = 10.0.0.0/8\n" + `route-sni = ~^(.+)\.x$ pass:$1:443`,
	`route-sni = ~*^(.*)\.s$ tcp:/run/$1/${1}.sock`,
	`route-sni = ^(.*)\.p$ tcp:10.0.0.1:$1`,
	"route-alpn = acme-tls/1 reject\nroute-remote-addr = ^10\\.(\\d+) pass:vassal:$1\nstream-default = reject",
	"sslrouter-sni = true\nsslrouter-use-pattern = /run/%s.sock\nsslrouter-fallback = :80",
}

// FuzzCompile: whatever is written, there is a table or a mistake that says where.
func FuzzCompile(f *testing.F) {
	for _, rules := range seedRules {
		f.Add(rules)
	}
	f.Fuzz(func(t *testing.T, rules string) {
		table, problems := Compile(lines(rules))
		mistakes := 0
		for _, p := range problems {
			if p.Text == "" || p.Line == 0 {
				t.Errorf("a problem without text or place: %+v", p)
			}
			if !p.Warning {
				mistakes++
			}
		}
		if mistakes > 0 && table != nil {
			t.Errorf("a table in spite of %v", problems)
		}
		for _, r := range table.Rules() {
			if nodes, fixed := r.Fixed(); fixed && len(nodes) != len(r.Addresses()) || !fixed && nodes != nil {
				t.Errorf("%s: fixed %t, but %v", r, fixed, nodes)
			}
		}
	})
}

// FuzzFind: whatever a client asks for, it gets no further than the rules mean.
// Each rule has one place for a capture, given as what is before and behind it.
func FuzzFind(f *testing.F) {
	for _, name := range []string{"x", "..", "a.b", "a/b", "10.0.0.1", "evil.org", "x.cloud.test", "cloud.test", "443", "0", "", "a b", "x\x00y", "127.1", "::1", "a:1", "A.CLOUD.TEST", "%2e%2e", "$1"} {
		f.Add(name)
	}
	const suffix = ".svc.cluster.local"
	table := compile(f, `stream-allow = .cloud.test
stream-allow = 10.0.0.0/8
route-sni = ^host\.((?s:.*))$ pass:$1`+suffix+`:443
route-sni = ^mix\.((?s:.*))$ pass:x-$1:443
route-sni = ^open\.((?s:.*))$ pass:$1:443
route-sni = ^path\.((?s:.*))$ pass:/run/sites/$1.sock
route-sni = ^bare\.((?s:.*))$ pass:/run/sites/$1
route-sni = ^dir\.((?s:.*))$ pass:/run/sites/.$1/x.sock
route-sni = ^vassal\.((?s:.*))$ pass:vassal:$1
route-sni = ^port\.((?s:.*))$ pass:10.0.0.1:$1
sslrouter-sni = true
sslrouter-use-base = /run/sites/`)
	limited := compile(f, `route-sni = ^((?s:.*))$ pass:$1`+suffix+`:443`)
	networks := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}
	f.Fuzz(func(t *testing.T, name string) {
		checkPath := func(address string) {
			rest, ok := strings.CutPrefix(address, "/run/sites/")
			for part := range strings.SplitSeq(strings.TrimSuffix(rest, "/x.sock"), "/") {
				if part == "" || part == "." || part == ".." || strings.ContainsRune(part, 0) {
					ok = false
				}
			}
			if !ok || strings.Count(rest, "/") > 1 || strings.Count(rest, "/") == 1 && !strings.HasSuffix(rest, "/x.sock") {
				t.Errorf("%q leaves its directory", address)
			}
		}
		checkHost := func(n Node) {
			host, port, ok := strings.Cut(n.Address, ":")
			if number, valid := parsePort(port); !ok || !valid || number < 1 {
				t.Errorf("%q has no port", n.Address)
			}
			if address, err := netip.ParseAddr(host); err == nil {
				if !networks[0].Contains(address) {
					t.Errorf("%q is not allowed", n.Address)
				}
			} else if err := checkName(host); err != nil {
				t.Errorf("%q is no host", n.Address)
			} else if host != "cloud.test" && !strings.HasSuffix(host, ".cloud.test") && !strings.HasSuffix(host, suffix) && len(n.Networks) != 1 {
				t.Errorf("%q may be anywhere", n.Address)
			}
		}
		for _, kind := range []string{"host", "mix", "open", "path", "bare", "dir", "vassal", "port"} {
			d, ok := table.Find(&Client{Name: kind + "." + name})
			if !ok {
				t.Fatalf("%s.%q: no rule", kind, name)
			}
			if d.Refused != "" {
				if len(d.Nodes) > 0 {
					t.Errorf("refused, but %v", d.Nodes)
				}
				continue
			}
			switch n := d.Nodes[0]; kind {
			case "path", "bare", "dir":
				checkPath(n.Address)
			case "vassal":
				if !isFileName(strings.TrimPrefix(n.Address, "vassal:")) {
					t.Errorf("%q is no vassal", n.Address)
				}
			case "port":
				if !strings.HasPrefix(n.Address, "10.0.0.1:") {
					t.Errorf("%q is another host", n.Address)
				}
				fallthrough
			default:
				checkHost(n)
			}
		}
		if d, _ := table.Listener("sslrouter", "127.0.0.1:443", &Client{Name: name}); d.Refused == "" {
			checkPath(d.Nodes[0].Address)
		}
		if d, ok := limited.Find(&Client{Name: name}); ok && d.Refused == "" {
			if label, found := strings.CutSuffix(d.Nodes[0].Address, suffix+":443"); !found || !isLabelText(label) {
				t.Errorf("%q is more than a label", d.Nodes[0].Address)
			}
		}
	})
}
