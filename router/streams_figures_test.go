package router

import (
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"testing"
)

// TestStreamFigures: http-stats tells how many streams there are and have been, which
// came to nothing and why, the bytes of both directions, and what is known of each
// address.
func TestStreamFigures(t *testing.T) {
	plain := serveBehind(t, nil, parrot("plain")) // six bytes of greeting
	dead := deadPort(t)
	f := newFront(t)
	raw, stats := f.listen(optionRawRouter, "127.0.0.1:0").String(), f.listen(optionStats, "127.0.0.1:0")
	f.secured("http-stats = "+stats.String(), "rawrouter = "+raw, "stream-connections = 3",
		"route-sni = plain.test tcp:"+plain.Addr().String(),
		"route-sni = passed.test pass:"+plain.Addr().String(),
		"route-sni = dead.test pass:"+dead,
		"route-sni = no.test reject",
		"rawrouter-to = "+dead, "rawrouter-to = "+plain.Addr().String()+" weight=7")
	type node struct {
		Rule, Name                       string
		Hits, Failures, Weight, InFlight int
	}
	type counts struct{ Open, Begun, Failed, Refused, Received, Sent int }
	read := func() (c counts, nodes []node) {
		t.Helper()
		var all struct {
			Streams struct {
				Open, Begun, Failed, Refused, Received, Sent int
				Nodes                                        []struct {
					Rule, Name             string
					Hits, Failures, Weight int
					InFlight               int `json:"in_flight"`
				}
			}
		}
		if err := json.Unmarshal([]byte(visit(t, stats).rest()), &all); err != nil {
			t.Fatal(err)
		}
		s := all.Streams
		for _, n := range s.Nodes {
			nodes = append(nodes, node{n.Rule, n.Name, n.Hits, n.Failures, n.Weight, n.InFlight})
		}
		return counts{s.Open, s.Begun, s.Failed, s.Refused, s.Received, s.Sent}, nodes
	}
	// Bytes, and that a stream is over, are counted when it has ended, which its client
	// may see before.
	want := func(what string, want counts) {
		t.Helper()
		var got counts
		defer func() {
			if got != want {
				t.Errorf("%s: %+v, want %+v", what, got, want)
			}
		}()
		eventually(t, what, func() bool { got, _ = read(); return got == want })
	}
	dial := func(address string) net.Conn {
		t.Helper()
		conn, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
		return conn
	}
	https := f.tcp.Addr().String()
	want("at first", counts{})

	// Of what is decrypted here the plain bytes are counted.
	if got := talk(t, overTLS(t, https, "plain.test", nil), strings.Repeat("x", 1000)); len(got) != 1006 {
		t.Errorf("%d bytes came back", len(got))
	}
	want("one that was decrypted", counts{Begun: 1, Received: 1000, Sent: 1006})
	if got := talk(t, dial(raw), strings.Repeat("y", 70_000)); len(got) != 70_006 {
		t.Errorf("%d bytes came back", len(got))
	}
	want("plain bytes", counts{Begun: 2, Received: 71_000, Sent: 71_012})

	// What is passed counts from the ClientHello's first byte.
	passed := dial(https)
	hello := clientHello(t, "passed.test")
	if got := talk(t, passed, hello+"behind it"); got != "plain\n"+hello+"behind it" {
		t.Errorf("%d bytes came back", len(got))
	}
	now := counts{Begun: 3, Received: 71_009 + len(hello), Sent: 71_012 + len("plain\nbehind it") + len(hello)}
	want("passed bytes", now)

	for range 2 {
		if _, err := tls.Dial("tcp", https, &tls.Config{ServerName: "dead.test", InsecureSkipVerify: true}); err == nil {
			t.Error("nobody is there, and answers")
		}
	}
	now.Begun, now.Failed = now.Begun+2, 2
	want("nobody is there", now)
	if _, err := tls.Dial("tcp", https, &tls.Config{ServerName: "no.test", InsecureSkipVerify: true}); err == nil {
		t.Error("who is rejected gets in")
	}
	now.Refused++
	want("rejected", now)

	var open []*chat
	for range 3 {
		open = append(open, greeted(t, dial(raw), "plain"))
	}
	now.Begun, now.Open = now.Begun+3, 3
	want("open ones", now)
	if text, _ := io.ReadAll(dial(raw)); len(text) > 0 {
		t.Errorf("the fourth at a time hears %q", text)
	}
	now.Refused++
	want("one too many", now)
	// What is known of an address is so by whatever rule it was come to.
	_, nodes := read()
	at := func(line int, address string, weight, hits, failures, inFlight int) node {
		return node{fmt.Sprintf("uwsgi.ini:%d", line), address, hits, failures, weight, inFlight}
	}
	if want := []node{at(6, plain.Addr().String(), 1, 6, 0, 3), at(7, plain.Addr().String(), 1, 6, 0, 3), at(8, dead, 1, 2, 1, 0), at(10, dead, 1, 2, 1, 0), at(10, plain.Addr().String(), 7, 6, 0, 3)}; !slices.Equal(nodes, want) {
		t.Errorf("addresses: %+v, want %+v", nodes, want)
	}
	for _, s := range open {
		_ = s.Close()
	}
	now.Open, now.Sent = 0, now.Sent+3*len("plain\n")
	want("at last", now)
}

// clientHello is what a client sends first that asks for that name.
func clientHello(t testing.TB, name string) string {
	t.Helper()
	ours, theirs := net.Pipe()
	defer func() { _ = ours.Close() }()
	go func() {
		_ = tls.Client(theirs, &tls.Config{ServerName: name, InsecureSkipVerify: true}).Handshake()
		_ = theirs.Close()
	}()
	head := make([]byte, 5)
	if _, err := io.ReadFull(ours, head); err != nil {
		t.Fatal(err)
	}
	body := make([]byte, int(head[3])<<8|int(head[4]))
	if _, err := io.ReadFull(ours, body); err != nil {
		t.Fatal(err)
	}
	return string(head) + string(body)
}
