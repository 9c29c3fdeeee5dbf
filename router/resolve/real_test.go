package resolve

import (
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"emperor/internal/testdns"
	"emperor/internal/testlog"
)

func at(s *testdns.Server) Server { return Server{Address: s.Address.Addr(), Port: s.Address.Port()} }

// TestRealServers: what two real name servers answer, in the ways that they do.
func TestRealServers(t *testing.T) {
	var hosts strings.Builder
	var records []string
	for i := range 300 {
		ip := fmt.Sprintf("10.1.%d.%d", i/200, i%200+1)
		fmt.Fprintf(&hosts, "%s many.test\n", ip)
		records = append(records, "many.test. 60 A "+ip)
	}
	hosts.WriteString("10.0.0.1 both.test\nfd00::1 both.test\n10.0.0.2 four.test\n")
	masq := testdns.Dnsmasq(t, testdns.Wanted{Hosts: hosts.String(), Args: []string{"--cname=alias.test,middle.test,four.test", "--txt-record=text.test,x"}})
	unbound := testdns.Unbound(t, testdns.Wanted{Forward: masq, Records: append(records,
		"both.test. 60 A 10.0.0.1", "both.test. 50 AAAA fd00::1", "four.test. 60 A 10.0.0.2",
		"text.test. 60 TXT x", "four.example. 3600 A 10.0.0.4", "test. 60 SOA ns.test. me.test. 1 60 60 60 3")})
	for name, server := range map[string]*testdns.Server{"dnsmasq": masq, "unbound": unbound} {
		c := Config{Servers: []Server{at(server)}, Timeout: 10 * time.Second}
		ask := func(name string) found { return (&asker{}).lookup(t.Context(), &c, name) }
		for _, test := range []struct{ name, masq, unbound string }{
			{"four.test.", "10.0.0.2 1s", "10.0.0.2 1m0s"},
			{"FOUR.Test.", "10.0.0.2 1s", "10.0.0.2 1m0s"},
			{"both.test.", "10.0.0.1 fd00::1 1s", "10.0.0.1 fd00::1 50s"},
			{"text.test.", "no such host", "no such host 3s"},
			{"missing.test.", "no such host", "no such host 3s"},
		} {
			want := test.masq
			if server != masq {
				want = test.unbound
			}
			if got := summary(ask(test.name)); got != want {
				t.Errorf("%s, %s: %s, want %s", name, test.name, got, want)
			}
		}
		// Too many for one datagram, so they come over TCP.
		f := ask("many.test.")
		slices.SortFunc(f.addresses, netip.Addr.Compare)
		if f.addresses = slices.Compact(f.addresses); len(f.addresses) != 300 || f.err != nil {
			t.Errorf("%s: %d addresses, %v, want 300", name, len(f.addresses), f.err)
		}
		// Neither knows names elsewhere, and neither says that there are none.
		says := map[*testdns.Server]string{masq: "it answers Refused", unbound: "it answers ServerFailure"}[server]
		if f := ask("elsewhere.example."); f.err == nil || !strings.HasSuffix(f.err.Error(), says) {
			t.Errorf("%s about a name elsewhere: %v, want %s", name, f.err, says)
		}
	}
	if got := summary((&asker{}).lookup(t.Context(), &Config{Servers: []Server{at(masq)}, Timeout: 10 * time.Second}, "alias.test.")); got != "10.0.0.2 1s" {
		t.Errorf("an alias of an alias: %s", got)
	}
	// Those that are not there, refuse, and do not answer are made good by another.
	nobody := Server{Address: at(masq).Address, Port: 1}
	c := Config{Servers: []Server{nobody, at(masq), at(unbound)}, Timeout: time.Second, Attempts: 5}
	if got := summary((&asker{}).lookup(t.Context(), &c, "four.example.")); got != "10.0.0.4 1h0m0s" {
		t.Errorf("with others that refuse: %s", got)
	}
	masq.Pause()
	if got := summary((&asker{}).lookup(t.Context(), &c, "four.example.")); got != "10.0.0.4 1h0m0s" {
		t.Errorf("with one that is stopped: %s", got)
	}
}

// TestRealServerChanges: addresses follow a server's change when the TTL ends, and stay
// when it is gone.
func TestRealServerChanges(t *testing.T) {
	masq := testdns.Dnsmasq(t, testdns.Wanted{Hosts: "10.0.0.1 site.test"})
	var log testlog.Text
	run(t, Config{Servers: []Server{at(masq)}, Timeout: time.Second}, slog.New(slog.NewTextHandler(&log, nil)), func(r *Resolver) {
		stands := func(want string) func() bool {
			return func() bool {
				got, err := r.Lookup(t.Context(), "site.test")
				return fmt.Sprint(got) == want && err == nil
			}
		}
		until(t, "the first address", stands("[10.0.0.1]"))
		masq.Change("10.0.0.2 site.test")
		until(t, "the second address", stands("[10.0.0.2]"))
		masq.Stop()
		until(t, "the server to be missed", func() bool {
			if !stands("[10.0.0.2]")() {
				t.Fatal("the last answer is lost with the server")
			}
			return strings.Contains(log.String(), "its last answer stays in use")
		})
	})
}
