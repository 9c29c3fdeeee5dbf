package main

import (
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"emperor/internal/testcert"
	"emperor/internal/testdns"
	"emperor/internal/testport"
)

// TestDNSOverTLS: a port for DNS over TLS, asked by Knot's kdig, in front of three name
// servers that speak plain TCP. A question is answered whichever of them is dead, also
// by the first client after it died; stream-check finds that out before a client does,
// and finds it back.
func TestDNSOverTLS(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	ports := []string{testport.Free(t), testport.Free(t), testport.Free(t)}
	// Who answers says so in the answer.
	first := testdns.Dnsmasq(t, testdns.Wanted{Port: ports[0], Hosts: "10.0.0.1 who.test"})
	testdns.Unbound(t, testdns.Wanted{Port: ports[1], Records: []string{"who.test. 60 A 10.0.0.2"}})
	testcert.SelfSigned(t, testcert.Wanted{Names: []string{"dns.test"}}).Put(t, m.path("dns"))
	config := fmt.Sprintf("[uwsgi]\nemperor = DIR/vassals\nhttps = 127.0.0.1:PORT,DIR/dns.crt,DIR/dns.key\n"+
		"route-sni = dns.test tcp:127.0.0.1:%s|127.0.0.1:%s|127.0.0.1:%s\n", ports[0], ports[1], ports[2])
	m.write("vassals/.keep", "")
	m.write("uwsgi.ini", config)
	m.start()
	m.waitReady()
	who := func(questions int) map[string]int {
		t.Helper()
		seen := map[string]int{}
		for range questions {
			out, err := exec.Command("kdig", "@127.0.0.1", "-p", m.port, "+tls", "+tls-ca="+m.path("dns.crt"), "+tls-hostname=dns.test", "+retry=0", "+timeout=30", "+short", "who.test", "A").CombinedOutput()
			if err != nil {
				t.Fatalf("kdig: %v\n%s", err, out)
			}
			seen[strings.TrimSpace(string(out))]++
		}
		return seen
	}
	want := func(seen map[string]int, servers ...string) {
		t.Helper()
		all := 0
		for _, s := range servers {
			all += seen[s]
			if seen[s] == 0 {
				t.Errorf("%s answered nothing: %v", s, seen)
			}
		}
		for _, n := range seen {
			all -= n
		}
		if all != 0 {
			t.Errorf("answers are by %v, want only %v", seen, servers)
		}
	}
	want(who(6), "10.0.0.1", "10.0.0.2")
	m.waitLog(0, "an address is passed over for a while", "127.0.0.1:"+ports[2], "connection refused")

	mark := m.mark()
	testdns.Dnsmasq(t, testdns.Wanted{Port: ports[2], Hosts: "10.0.0.3 who.test"})
	m.write("uwsgi.ini", config+"stream-check = 1\n")
	m.waitLog(mark, "a node passes its check again", "127.0.0.1:"+ports[2])
	want(who(6), "10.0.0.1", "10.0.0.2", "10.0.0.3")

	mark = m.mark()
	first.Stop()
	m.waitLog(mark, "a node fails its check", "127.0.0.1:"+ports[0], "connection refused")
	want(who(6), "10.0.0.2", "10.0.0.3")
	if m.logged("stream not connected") {
		t.Error("a client was not connected")
	}
}

// greeter accepts TLS on an address, says a word to who comes, and repeats what it is
// told. It counts connections.
func greeter(t *testing.T, address, word string) *atomic.Int64 {
	t.Helper()
	pair := testcert.SelfSigned(t, testcert.Wanted{Names: []string{word}})
	l, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	var came atomic.Int64
	var working sync.WaitGroup
	working.Go(func() {
		for {
			raw, err := l.Accept()
			if err != nil {
				return
			}
			came.Add(1)
			working.Go(func() {
				conn := tls.Server(raw, &tls.Config{Certificates: []tls.Certificate{pair.TLS(t)}})
				defer func() { _ = conn.Close() }()
				_ = conn.SetDeadline(time.Now().Add(2 * patience))
				_, _ = fmt.Fprintln(conn, word)
				_, _ = io.Copy(conn, conn)
			})
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		working.Wait()
	})
	return &came
}

// TestStreamNames: names in the rules' addresses mean what the name server says, while
// it changes its word; what a client names may be asked for, but is connected to only
// where stream-allow lets it.
func TestStreamNames(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	behind := testport.Free(t)
	inside := greeter(t, "127.0.0.1:"+behind, "own")
	greeter(t, "127.0.0.8:"+behind, "old")
	greeter(t, "127.0.0.9:"+behind, "new")
	hosts := "127.0.0.8 moving.test\n127.0.0.9 good.cloud.test\n127.0.0.1 evil.cloud.test\n::1 evil.cloud.test\n::ffff:127.0.0.1 mapped.cloud.test\n"
	dns := testdns.Dnsmasq(t, testdns.Wanted{Hosts: hosts})
	testcert.SelfSigned(t, testcert.Wanted{Names: []string{"front.test"}}).Put(t, m.path("front"))
	m.write("vassals/.keep", "")
	m.write("uwsgi.ini", fmt.Sprintf(`[uwsgi]
emperor = DIR/vassals
https = 127.0.0.1:PORT,DIR/front.crt,DIR/front.key
resolver = localhost:%d
route-sni = moving.test pass:moving.test:%s
route-sni = ~^(.+\.cloud\.test)$ pass:$1:%s
stream-allow = 127.0.0.8/29
stream-log = DIR/streams.log
`, dns.Address.Port(), behind, behind))
	if said, code := m.ask("check", "uwsgi.ini"); code != 0 {
		t.Fatalf("check: %s", said)
	}
	m.start()
	m.waitReady()
	visit := func(name string) (*tls.Conn, string) {
		t.Helper()
		raw, err := net.DialTimeout("tcp", m.address(), patience)
		if err != nil {
			t.Fatal(err)
		}
		_ = raw.SetDeadline(time.Now().Add(patience))
		conn := tls.Client(raw, &tls.Config{ServerName: name, InsecureSkipVerify: true})
		word := make([]byte, 4)
		if _, err := io.ReadFull(conn, word); err != nil {
			_ = raw.Close()
			return nil, err.Error()
		}
		return conn, strings.TrimSpace(string(word))
	}
	leave := func(name string) string {
		t.Helper()
		conn, word := visit(name)
		if conn != nil {
			_ = conn.Close()
		}
		return word
	}

	stays, word := visit("moving.test")
	if word != "old" {
		t.Fatalf("before the change: %s", word)
	}
	defer func() { _ = stays.Close() }()
	dns.Change(strings.Replace(hosts, "127.0.0.8 moving", "127.0.0.9 moving", 1))
	m.eventually("the name to stand for the new address", func() bool { return leave("moving.test") == "new" })
	echo := make([]byte, 5)
	if _, err := stays.Write([]byte("still")); err != nil {
		t.Error(err)
	} else if _, err := io.ReadFull(stays, echo); err != nil || string(echo) != "still" {
		t.Errorf("a stream to the old address: %q, %v", echo, err)
	}
	if got := leave("good.cloud.test"); got != "new" {
		t.Errorf("a name that a client may name: %s", got)
	}

	const alert = "remote error: tls: unrecognized name"
	for name, why := range map[string]string{
		"evil.cloud.test":    "(127.0.0.1, ::1): outside of the networks that are allowed",
		"mapped.cloud.test":  "(::ffff:127.0.0.1): outside of the networks that are allowed",
		"missing.cloud.test": "no such host",
	} {
		mark := m.mark()
		if got := leave(name); got != alert {
			t.Errorf("%s: %s, want %s", name, got, alert)
		}
		m.waitLog(mark, "stream not connected", "sni="+name, name+":"+behind, why, "rule=")
	}
	if n := inside.Load(); n != 0 {
		t.Errorf("%d connections to a machine that stream-allow does not name", n)
	}
	// The name server is gone, and a name that is known is not.
	dns.Stop()
	for range 3 {
		if got := leave("moving.test"); got != "new" {
			t.Errorf("without the name server: %s", got)
		}
	}
	if m.logged("an address is passed over", "cloud.test") {
		t.Error("a name of a client's is in the log as a failed address")
	}
}
