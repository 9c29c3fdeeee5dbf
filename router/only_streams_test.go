package router

import (
	"crypto/tls"
	"strings"
	"testing"

	"emperor/internal/link"
)

// TestOnlyStreams: streams reach a vassal with protocol = tcp, and a request that a rule
// sends there does not, nor does it wake one that sleeps. One with other sockets beside
// gets each where it can be understood.
func TestOnlyStreams(t *testing.T) {
	plain := serveBehind(t, nil, parrot("plain"))
	site := httpVassal(t, func(c *call) { c.say("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n") })
	address := func(at, protocol string) link.Address { return link.Address{Address: at, Protocol: protocol} }
	database := address(plain.Addr().String(), link.TCP)
	requests := address(site.address, "http")
	f := newFront(t)
	woken := make(chan string, 10)
	f.table.wake = func(name string) { woken <- name }
	f.secured("route-uri = ^/by-address uwsgi:"+database.Address+",0,0",
		`route-host = ^(.+)\.test$ vassal:$1`,
		"route-sni = ~^(.+)\\.stream$ tcp:vassal:$1")
	f.vassals(link.Vassal{Name: "database", State: link.Ready, Generation: 1, Addresses: []link.Address{database}},
		link.Vassal{Name: "sleeper", State: link.Asleep, Generation: 1, Addresses: []link.Address{address("/run/sleeper", link.TCP)}},
		link.Vassal{Name: "both", State: link.Ready, Generation: 1, Addresses: []link.Address{address("/run/x", link.TCP), requests}},
		link.Vassal{Name: "site", State: link.Ready, Generation: 1, Addresses: []link.Address{requests}})
	ask := func(name, words string) string {
		t.Helper()
		conn, err := tls.Dial("tcp", f.tcp.Addr().String(), &tls.Config{ServerName: name, InsecureSkipVerify: true})
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		return talk(t, conn, words)
	}
	if got := ask("database.stream", "hello"); got != "plain\nhello" {
		t.Errorf("a stream: %q", got)
	}
	for url, want := range map[string]string{
		"database.test/": "502", "sleeper.test/": "502", "database.test/by-address": "502",
		"both.test/": "200", "site.test/": "200",
	} {
		host, path, _ := strings.Cut(url, "/")
		got := ask(host, "GET /"+path+" HTTP/1.1\r\nHost: "+host+"\r\nConnection: close\r\n\r\n")
		if !strings.HasPrefix(got, "HTTP/1.1 "+want) {
			t.Errorf("%s: %q, want %s", url, got, want)
		}
		if !strings.Contains(got, " 502") {
			continue
		}
		name, _, _ := strings.Cut(host, ".")
		if log := f.log.String(); !strings.Contains(log, "vassal="+name+" err=\"it has protocol = tcp, so it is asked nothing: only streams (route-sni, rawrouter-to) lead there") {
			t.Errorf("%s: the log does not say why", url)
		}
	}
	// TLS ends here in front of a program that speaks HTTP.
	if got := ask("site.stream", "GET / HTTP/1.1\r\nHost: site\r\nConnection: close\r\n\r\n"); !strings.HasPrefix(got, "HTTP/1.1 200") {
		t.Errorf("a stream to a site: %q", got)
	}
	select {
	case name := <-woken:
		t.Errorf("%s was woken by a request that it could not answer", name)
	default:
	}
	f.vassals(link.Vassal{Name: "both", State: link.Ready, Generation: 1, Addresses: []link.Address{requests, database}})
	if got := ask("both.stream", "hello"); got != "plain\nhello" {
		t.Errorf("a stream to one that speaks HTTP, too: %q", got)
	}
}
