package resolve

import (
	"fmt"
	"testing"
)

func TestParseConfig(t *testing.T) {
	for _, test := range []struct{ resolvConf, hosts, want string }{
		{"", "", "[127.0.0.1:53] [] 1 1s 3 false map[]"},
		{
			"# comment\n; comment\nnameserver 10.0.0.1\nnameserver\t10.0.0.2 \nnameserver fe80::1%eth0\nnameserver 10.0.0.4\ndomain x.test\nsearch a.test b.test\n" +
				"options ndots:5 timeout:2 attempts:1 rotate single-request edns0\nsortlist 10.0.0.0\n",
			"", "[10.0.0.1:53 10.0.0.2:53 [fe80::1%eth0]:53] [a.test b.test] 5 2s 1 true map[]",
		},
		{"domain a.test b.test", "", "[127.0.0.1:53] [a.test] 1 1s 3 false map[]"},
		{"nameserver x\nnameserver\noptions ndots:x timeout:-1 attempts:0 ndots\nsearch", "", "[127.0.0.1:53] [] 1 1s 3 false map[]"},
		{"options ndots:99 timeout:99 attempts:99", "", "[127.0.0.1:53] [] 15 30s 5 false map[]"},
		{"", "127.0.0.1 localhost # me\n\n#10.0.0.1 x\n::1 localhost ip6\n10.0.0.2\nx y\n10.0.0.3 Printer printer.lan\r\n",
			"[127.0.0.1:53] [] 1 1s 3 false map[ip6:[::1] localhost:[127.0.0.1 ::1] printer:[10.0.0.3] printer.lan:[10.0.0.3]]"},
	} {
		c := ParseConfig([]byte(test.resolvConf), []byte(test.hosts))
		if got := fmt.Sprint(c.Servers, c.Search, c.Dots, c.Timeout, c.Attempts, c.Rotate, c.Hosts); got != test.want {
			t.Errorf("%q, %q:\ngot  %s\nwant %s", test.resolvConf, test.hosts, got, test.want)
		}
	}
}

func TestParseServers(t *testing.T) {
	const want = ": want an IP address or the name of a host, with :port if it is not 53"
	for _, test := range []struct{ text, want string }{
		{"10.0.0.1", "[10.0.0.1:53]"},
		{"10.0.0.1:5353, ::1 [::2] [::3]:54", "[10.0.0.1:5353 [::1]:53 [::2]:53 [::3]:54]"},
		{"kube-dns.kube-system.svc.cluster.local", "[kube-dns.kube-system.svc.cluster.local:53]"},
		{"10.0.0.1 DNS.test:5353, dns", "[10.0.0.1:53 dns.test:5353 dns:53]"},
		{"", "no name server, want one like 10.0.0.2, 10.0.0.2:5353 or dns.example"},
		{"10.0.0.1:0", `name server "10.0.0.1:0"` + want},
		{"10.0.0.1:x", `name server "10.0.0.1:x"` + want},
		{"10.0.0", `name server "10.0.0"` + want},
		{"dns.test:", `name server "dns.test:"` + want},
		{"dns.test:70000", `name server "dns.test:70000"` + want},
		{"valid=5s", `name server "valid=5s"` + want},
		{"dns..test", `name server "dns..test"` + want},
		{"dns.test;", `name server "dns.test;"` + want},
		{"/run/dns", `name server "/run/dns"` + want},
	} {
		servers, err := ParseServers(test.text)
		got := fmt.Sprint(servers)
		if err != nil {
			got = err.Error()
		}
		if got != test.want {
			t.Errorf("%q: %s, want %s", test.text, got, test.want)
		}
	}
}

func FuzzParseConfig(f *testing.F) {
	f.Add([]byte("nameserver 10.0.0.1\noptions ndots:2"), []byte("127.0.0.1 localhost"))
	f.Fuzz(func(t *testing.T, resolvConf, hosts []byte) {
		c := ParseConfig(resolvConf, hosts)
		if len(c.Servers) == 0 || len(c.Servers) > 3 || c.Timeout <= 0 || c.Attempts <= 0 {
			t.Fatalf("%+v", c)
		}
		for _, name := range c.candidates("a") {
			if len(name) > 254 || name[len(name)-1] != '.' {
				t.Fatalf("%q", name)
			}
		}
	})
}
