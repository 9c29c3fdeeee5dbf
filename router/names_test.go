package router

import (
	"encoding/binary"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"

	"emperor/internal/link"
)

// nameServer answers for the names it has been given, and says of others that they
// do not exist.
type nameServer struct {
	address string

	mu    sync.Mutex
	names map[string][]string // guarded by mu; "name." → addresses
	asked int                 // guarded by mu
}

func newNameServer(t *testing.T) *nameServer {
	t.Helper()
	socket, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &nameServer{address: socket.LocalAddr().String(), names: map[string][]string{}}
	var working sync.WaitGroup
	working.Go(func() {
		for b := make([]byte, 1500); ; {
			n, from, err := socket.ReadFrom(b)
			if err != nil {
				return
			}
			if n > 12 {
				_, _ = socket.WriteTo(s.reply(b[:n]), from)
			}
		}
	})
	t.Cleanup(func() {
		_ = socket.Close()
		working.Wait()
	})
	return s
}

func (s *nameServer) set(name string, addresses ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.names[name+"."] = addresses
}

// reply makes an answer of a query with one question (RFC 1035, 4).
func (s *nameServer) reply(query []byte) []byte {
	name, end := "", 12
	for query[end] != 0 {
		name += string(query[end+1:end+1+int(query[end])]) + "."
		end += 1 + int(query[end])
	}
	kind := binary.BigEndian.Uint16(query[end+1:])
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked++
	addresses, known := s.names[name]
	reply := append([]byte{}, query[:end+5]...) // without what may follow the question
	copy(reply[2:], []byte{0x81, 0x80, 0, 1, 0, 0, 0, 0, 0, 0})
	if !known {
		reply[3] |= 3
	}
	for _, text := range addresses {
		address := netip.MustParseAddr(text)
		if address.Is4() != (kind == 1) {
			continue
		}
		reply[7]++
		reply = append(reply, 0xc0, 12, 0, byte(kind), 0, 1, 0, 0, 0, 60, 0, byte(len(address.AsSlice())))
		reply = append(reply, address.AsSlice()...)
	}
	return reply
}

// TestNamesOfVassals: an address may have a name, whatever is spoken there. The
// name server's word counts, /etc/hosts before it, and a name that stands for
// several addresses is good as long as one answers.
func TestNamesOfVassals(t *testing.T) {
	dns := newNameServer(t)
	v := newVassal(t, "http", "tcp", "127.0.0.1:0", answering(okResponse))
	_, port, _ := net.SplitHostPort(v.address)
	six := newVassal(t, "http", "tcp", "[::1]:0", answering(okResponse))
	_, port6, _ := net.SplitHostPort(six.address)
	packets := newVassal(t, "uwsgi", "tcp", "127.0.0.1:0", answering(okResponse))
	_, portUwsgi, _ := net.SplitHostPort(packets.address)
	dns.set("one.test", "127.0.0.1")
	dns.set("two.test", "127.0.0.77", "127.0.0.1") // nobody is at the first
	dns.set("six.test", "::1")
	dns.set("both.test", "::1", "127.0.0.1")
	dns.set("none.test")
	dns.set("dead.test", "127.0.0.77")
	for _, test := range []struct {
		name, option string
		status       int
		log          string
	}{
		{"a name", "route-run = http:one.test:" + port, 200, ""},
		{"a capital one", "route-run = http:One.Test:" + port, 200, ""},
		{"of a uwsgi vassal", "route-run = uwsgi:one.test:" + portUwsgi + ",0,0", 200, ""},
		{"of http-to", "http-to = one.test:" + portUwsgi, 200, ""},
		{"made by a rule", "route-host = ^(one)$ http:$1.test:" + port, 200, ""},
		{"two addresses", "route-run = http:two.test:" + port, 200, ""},
		{"IPv6", "route-run = http:six.test:" + port6, 200, ""},
		{"both kinds", "route-run = http:both.test:" + port, 200, ""},
		{"an address", "route-run = http:[::1]:" + port6, 200, ""},
		{"/etc/hosts", "route-run = http:localhost:" + port, 200, ""},
		{"no such name", "route-run = http:no.test:" + port, 502, "no such host"},
		{"no address", "route-run = http:none.test:" + port, 502, "no such host"},
		{"nobody there", "route-run = http:dead.test:" + port, 502, "127.0.0.77"},
	} {
		t.Run(test.name, func(t *testing.T) {
			f := newFront(t, test.option, "resolver = "+dns.address)
			for range 3 {
				if r := f.ask(get("one")); r.StatusCode != test.status {
					t.Errorf("got %d %q, want %d", r.StatusCode, r.text, test.status)
				}
			}
			if log := f.log.String(); !strings.Contains(log, test.log) {
				t.Errorf("the log does not say %q", test.log)
			}
		})
	}
}

// TestChangedName: a vassal that has moved is looked for when it is found gone, not
// when the TTL ends; but the name server is not asked more than once a second.
func TestChangedName(t *testing.T) {
	dns := newNameServer(t)
	before := newVassal(t, "http", "tcp", "127.0.0.1:0", answering("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nbefore"))
	_, port, _ := net.SplitHostPort(before.address)
	dns.set("moving.test", "127.0.0.1")
	f := newFront(t, "route-run = http:moving.test:"+port, "resolver = "+dns.address)
	visitor := f.visit()
	for range 2 {
		visitor.send(get("a"))
		visitor.want("GET", 200, "before")
	}
	dns.set("moving.test", "127.0.0.3")
	newVassal(t, "http", "tcp", "127.0.0.3:"+port, answering("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nafter"))
	before.stop()
	eventually(t, "the vassal to be found where it is now", func() bool {
		visitor.send(get("a"))
		r, _ := visitor.receive("GET")
		return r.text == "after"
	})
	visitor.send(get("a"))
	visitor.want("GET", 200, "after")
}

// TestNameOfOurVassal: a rule's address is compared as it is written, so a name that
// a vassal's row has means that vassal.
func TestNameOfOurVassal(t *testing.T) {
	v := newVassal(t, "uwsgi", "tcp", "127.0.0.1:0", answering(okResponse))
	_, port, _ := net.SplitHostPort(v.address)
	f := newFront(t, "route-run = uwsgi:localhost:"+port+",0,0")
	v.address = "localhost:" + port
	f.vassals(row("v", 1, link.Starting, v))
	visitor := f.visit()
	visitor.send(get("a"))
	eventually(t, "the request to wait", func() bool { return f.table.held.Load() == 1 })
	f.vassals(row("v", 1, link.Ready, v))
	visitor.want("GET", 200, "ok")
}

// TestNamesAreAskedOnce: requests do not each ask the name server, and it need not
// be there any more once it has answered.
func TestNamesAreAskedOnce(t *testing.T) {
	dns := newNameServer(t)
	v := newVassal(t, "uwsgi", "tcp", "127.0.0.1:0", answering(okResponse))
	_, port, _ := net.SplitHostPort(v.address)
	dns.set("one.test", "127.0.0.1")
	f := newFront(t, "http-to = one.test:"+port, "resolver = "+dns.address)
	for range 20 {
		f.ask(get("a"))
	}
	dns.mu.Lock()
	asked := dns.asked
	dns.mu.Unlock()
	if asked != 2 { // A and AAAA
		t.Errorf("the name server was asked %d times, want 2", asked)
	}
	if err := f.configure("http-to = one.test:"+port, "resolver = 127.0.0.1:1"); err != nil {
		t.Fatal(err)
	}
	if r := f.ask(get("a")); r.StatusCode != 200 {
		t.Errorf("without a name server: %d", r.StatusCode)
	}
	if err := f.configure("resolver = 10.0.0"); err == nil || !strings.Contains(err.Error(), "uwsgi.ini:3: resolver") {
		t.Errorf("half an address for a name server: %v", err)
	}
}

// TestNamedNameServer: a name server may have a name, and what was not known without it
// is asked for at once when an edit names it.
func TestNamedNameServer(t *testing.T) {
	dns := newNameServer(t)
	_, dnsPort, _ := net.SplitHostPort(dns.address)
	v := newVassal(t, "http", "tcp", "127.0.0.1:0", answering(okResponse))
	_, port, _ := net.SplitHostPort(v.address)
	dns.set("one.test", "127.0.0.1")
	rule := "route-run = http:one.test:" + port
	f := newFront(t, rule, "resolver = 127.0.0.1:1")
	if r := f.ask(get("a")); r.StatusCode != 502 {
		t.Errorf("without a name server: %d", r.StatusCode)
	}
	if err := f.configure(rule, "resolver = localhost:"+dnsPort); err != nil {
		t.Fatal(err)
	}
	if r := f.ask(get("a")); r.StatusCode != 200 {
		t.Errorf("with a name server by name: %d", r.StatusCode)
	}
}

// TestHostsFile: /etc/hosts is read whenever the configuration is.
func TestHostsFile(t *testing.T) {
	dns := newNameServer(t)
	v := newVassal(t, "http", "tcp", "127.0.0.1:0", answering(okResponse))
	_, port, _ := net.SplitHostPort(v.address)
	dns.set("other.test", "127.0.0.1")
	rules := []string{"route-host = ^other$ http:other.test:" + port, "route-run = http:site.test:" + port, "resolver = " + dns.address, "http-vassal-keepalive = 0"}
	f := newFront(t, rules...)
	want := func(host string, status int) {
		t.Helper()
		if r := f.ask(get(host)); r.StatusCode != status {
			t.Errorf("%s with %v: %d, want %d", host, f.system, r.StatusCode, status)
		}
	}
	for _, edit := range []struct {
		hosts       string
		site, other int
	}{
		{"", 502, 200},
		{"127.0.0.1 site.test", 200, 200},
		{"127.0.0.1 site.test\n127.0.0.77 other.test", 200, 502},
		{"127.0.0.77 site.test", 502, 200},
	} {
		f.system = map[string]string{"/etc/hosts": edit.hosts}
		if err := f.configure(rules...); err != nil {
			t.Fatal(err)
		}
		want("site", edit.site)
		want("other", edit.other)
	}
}
