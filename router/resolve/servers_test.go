package resolve

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/dns/dnsmessage"

	"emperor/internal/testlog"
)

// TestServerByName: a name server may have a name, which the system's servers or hosts
// file know; the names that requests need are asked for at the one it stands for.
func TestServerByName(t *testing.T) {
	cluster := newServer(t, zone(map[string][]string{"db.svc.test. A": {"db.svc.test. 60 A 10.0.0.9"}}))
	system := newServer(t, zone(map[string][]string{
		"dns.test. A":           {"dns.test. 60 A 127.0.0.1"},
		"dns.search.test. AAAA": {"dns.search.test. 60 AAAA ::1"},
		"dns.search.test. A":    {"dns.search.test. 60 A 127.0.0.1"},
	}))
	for _, test := range []struct{ servers, resolvConf, hosts string }{
		{"dns.test", "", ""},
		{"DNS.test.", "", ""},
		{"dns", "search search.test", ""},
		{"dns.lan", "", "127.0.0.1 dns.lan"},
		{"127.0.0.1:1 none.test dns.test", "", ""}, // others that can't be asked
	} {
		c := ParseConfig([]byte(test.resolvConf), []byte(test.hosts))
		c.System = []Server{system.at}
		for word := range strings.FieldsSeq(test.servers) {
			one, err := ParseServers(word)
			if err != nil {
				t.Fatal(err)
			}
			if one[0].Host != "" {
				one[0].Port = cluster.at.Port
			}
			c.Servers = append(c.Servers, one...)
		}
		c.Servers = c.Servers[len(c.Servers)-len(strings.Fields(test.servers)):]
		c.Timeout = 10 * time.Second
		run(t, c, slog.New(slog.DiscardHandler), func(r *Resolver) {
			if got, err := r.Lookup(t.Context(), "db.svc.test."); !slices.Equal(got, ips("10.0.0.9")) {
				t.Errorf("%s: %v, %v", test.servers, got, err)
			}
		})
	}
	if q := cluster.questions(); slices.ContainsFunc(q, func(q string) bool { return strings.HasPrefix(q, "dns") }) {
		t.Errorf("a name server was asked for its own name: %q", q)
	}
	if q := system.questions(); slices.ContainsFunc(q, func(q string) bool { return strings.HasPrefix(q, "db") }) {
		t.Errorf("the system's server was asked for what resolver is for: %q", q)
	}
}

// run runs f with a running Resolver.
func run(t *testing.T, c Config, log *slog.Logger, f func(*Resolver)) {
	r := New(c, log)
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { r.Run(ctx) })
	defer running.Wait()
	defer cancel()
	f(r)
}

// TestServerWithoutAddress: names are unknown, with the reason, and that the server is
// not known is said when the front starts, not by each request. A name that was known
// stays: that there is no such server is not that there is no such host.
func TestServerWithoutAddress(t *testing.T) {
	cluster := newServer(t, zone(map[string][]string{"db.test. A": {"db.test. 1 A 10.0.0.9"}}))
	var mu sync.Mutex
	var there bool
	turn := func(on bool) {
		mu.Lock()
		defer mu.Unlock()
		there = on
	}
	system := newServer(t, func(q dnsmessage.Question, id uint16, network string) [][]byte {
		mu.Lock()
		defer mu.Unlock()
		if !there {
			return [][]byte{message(q, id, dnsmessage.RCodeNameError, "test. 1 SOA 1")}
		}
		return zone(map[string][]string{"dns.test. A": {"dns.test. 1 A 127.0.0.1"}})(q, id, network)
	})
	var log testlog.Text
	c := Config{Servers: []Server{{Host: "dns.test", Port: cluster.at.Port}}, System: []Server{system.at}, Timeout: 10 * time.Second}
	const said = `level=WARN msg="a name server can't be asked until its own name is resolved" host=dns.test err="no such host"`
	run(t, c, slog.New(slog.NewTextHandler(&log, nil)), func(r *Resolver) {
		until(t, "the server's name to be missed", func() bool { return strings.Contains(log.String(), said) })
		for i := range 5 {
			_, err := r.Lookup(t.Context(), fmt.Sprint("db", i, ".test."))
			want := "name server dns.test: its own name can't be resolved: no such host"
			if err == nil || err.Error() != want || errors.Is(err, ErrNotFound) {
				t.Errorf("%v, want %s", err, want)
			}
		}
		turn(true)
		until(t, "the server to be found", func() bool {
			got, err := r.Lookup(t.Context(), "db.test.")
			return err == nil && slices.Equal(got, ips("10.0.0.9"))
		})
		turn(false)
		until(t, "the server to be missed again", func() bool {
			r.Addresses("db.test.")
			return strings.Count(log.String(), said) == 2 && strings.Contains(log.String(), `msg="a host name can't be resolved, its last answer stays in use" host=db.test.`)
		})
		if got, _, err := r.Addresses("db.test."); !slices.Equal(got, ips("10.0.0.9")) {
			t.Errorf("%v, %v: a known name is lost with the name server", got, err)
		}
	})
	if n := strings.Count(log.String(), `level=INFO msg="a name server's own name is resolved" host=dns.test`); n != 1 {
		t.Errorf("it was said %d times that the server was found:\n%s", n, log.String())
	}
}

func until(t *testing.T, what string, f func() bool) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); !f(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

// serversBubble runs f with servers' names in a bubble of time; what says is the
// system's word.
func serversBubble(t *testing.T, f func(t *testing.T, s *serverNames, say func(found), asked func() int)) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		s := newServerNames(slog.New(slog.NewTextHandler(&log, nil)))
		var mu sync.Mutex
		var word found
		asked := 0
		s.resolver.lookup = func(context.Context, *Config, string) found {
			mu.Lock()
			defer mu.Unlock()
			asked++
			f := word
			f.addresses = slices.Clone(f.addresses)
			return f
		}
		ctx, cancel := context.WithCancel(context.Background())
		var running sync.WaitGroup
		running.Go(func() { s.resolver.Run(ctx) })
		defer running.Wait()
		defer cancel()
		f(t, s, func(f found) {
			mu.Lock()
			defer mu.Unlock()
			word = f
		}, func() int {
			mu.Lock()
			defer mu.Unlock()
			return asked
		})
	})
}

// TestServerMoves: by its TTL, and at once when it does not answer where it was.
func TestServerMoves(t *testing.T) {
	serversBubble(t, func(t *testing.T, s *serverNames, say func(found), asked func() int) {
		named := []Server{{Host: "dns.test", Port: 5353}}
		want := func(text string) {
			t.Helper()
			got, err := s.find(t.Context(), named, false, time.Second)
			if fmt.Sprint(got) != text {
				t.Errorf("%v, %v, want %s", got, err, text)
			}
		}
		say(found{addresses: ips("10.0.0.1"), ttl: 30 * time.Second})
		want("[dns.test (10.0.0.1:5353)]")
		say(found{addresses: ips("10.0.0.2"), ttl: 30 * time.Second})
		pass(29 * time.Second)
		want("[dns.test (10.0.0.1:5353)]")
		pass(time.Second)
		want("[dns.test (10.0.0.2:5353)]")
		// The system's servers fail, the last answer is good.
		say(found{err: errors.New("no answer")})
		pass(time.Hour)
		say(found{addresses: ips("10.0.0.3"), ttl: 300 * time.Second})
		pass(time.Minute)
		want("[dns.test (10.0.0.3:5353)]")

		pass(10 * time.Second)
		say(found{addresses: ips("10.0.0.4", "fd00::4"), ttl: 300 * time.Second})
		before := asked()
		gone := Server{Host: "dns.test", Address: ips("10.0.0.3")[0], Port: 5353}
		s.failed(gone, errors.New("it answers ServerFailure"))
		synctest.Wait()
		if asked() != before {
			t.Error("the name of a server that is there was asked for again")
		}
		s.failed(gone, fmt.Errorf("wrapped: %w", &net.OpError{Op: "read", Err: context.DeadlineExceeded}))
		synctest.Wait()
		want("[dns.test (10.0.0.4:5353) dns.test ([fd00::4]:5353)]")
	})
}

// TestServersAreNotWaitedFor while another one can be asked, and not for longer than a
// question may take.
func TestServersAreNotWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServerNames(slog.New(slog.DiscardHandler)) // nobody runs it: nothing is answered
		numeric := Server{Address: netip.MustParseAddr("10.0.0.1"), Port: 53}
		begin := time.Now()
		if got, err := s.find(t.Context(), []Server{{Host: "dns.test", Port: 53}, numeric}, false, time.Second); !slices.Equal(got, []Server{numeric}) {
			t.Errorf("%v, %v", got, err)
		}
		if waited := time.Since(begin); waited != 0 {
			t.Errorf("waited for %v", waited)
		}
		begin = time.Now()
		if got, err := s.find(t.Context(), []Server{{Host: "dns.test", Port: 53}, numeric}, true, time.Second); !slices.Equal(got, []Server{numeric}) {
			t.Errorf("%v, %v", got, err)
		}
		if waited := time.Since(begin); waited != time.Second {
			t.Errorf("all were wanted: waited for %v", waited)
		}
		begin = time.Now()
		_, err := s.find(t.Context(), []Server{{Host: "dns.test", Port: 53}, {Host: "b.test", Port: 53}}, false, time.Second)
		if want := "name server dns.test, b.test: its own name is not resolved yet"; err == nil || err.Error() != want || time.Since(begin) != time.Second {
			t.Errorf("%v after %v, want %s", err, time.Since(begin), want)
		}
	})
}
