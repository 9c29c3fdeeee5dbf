package resolve

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

// server is a name server on this machine that says what a test wants.
type server struct {
	at Server

	mu    sync.Mutex
	asked []string // "name type network"
}

// reply makes the answers to a question over "udp" or "tcp"; none is silence.
type reply func(q dnsmessage.Question, id uint16, network string) [][]byte

func newServer(t *testing.T, say reply) *server {
	t.Helper()
	udp, tcp := samePort(t)
	at := udp.LocalAddr().(*net.UDPAddr).AddrPort()
	s := &server{at: Server{Address: at.Addr(), Port: at.Port()}}
	answers := func(query []byte, network string) [][]byte {
		var p dnsmessage.Parser
		h, err := p.Start(query)
		if err != nil || !h.RecursionDesired || h.Response {
			t.Errorf("a query with %+v, %v", h, err)
			return nil
		}
		q, err := p.Question()
		if err != nil {
			t.Error(err)
			return nil
		}
		s.mu.Lock()
		s.asked = append(s.asked, fmt.Sprint(q.Name, " ", strings.TrimPrefix(q.Type.String(), "Type"), " ", network))
		s.mu.Unlock()
		return say(q, h.ID, network)
	}
	var working sync.WaitGroup
	working.Go(func() {
		for buffer := make([]byte, 1000); ; {
			n, from, err := udp.ReadFrom(buffer)
			if err != nil {
				return
			}
			for _, b := range answers(buffer[:n], "udp") {
				_, _ = udp.WriteTo(b, from)
			}
		}
	})
	working.Go(func() {
		for {
			conn, err := tcp.Accept()
			if err != nil {
				return
			}
			var size [2]byte
			_, _ = io.ReadFull(conn, size[:])
			query := make([]byte, binary.BigEndian.Uint16(size[:]))
			_, _ = io.ReadFull(conn, query)
			for _, b := range answers(query, "tcp") {
				_, _ = conn.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(b))), b...))
			}
			_ = conn.Close()
		}
	})
	t.Cleanup(func() {
		_ = udp.Close()
		_ = tcp.Close()
		working.Wait()
	})
	return s
}

func (s *server) questions() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	slices.Sort(s.asked)
	return s.asked
}

// samePort listens for both kinds of questions on one port. A port that is free
// for the one may be taken for the other.
func samePort(t *testing.T) (net.PacketConn, net.Listener) {
	t.Helper()
	var failure error
	for range 100 {
		udp, err := net.ListenPacket("udp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		tcp, err := net.Listen("tcp", udp.LocalAddr().String())
		if err == nil {
			return udp, tcp
		}
		failure = err
		_ = udp.Close()
	}
	t.Fatal(failure)
	return nil, nil
}

// message makes a reply of records written as "name ttl A 10.0.0.1", "name ttl
// CNAME to", and of "name ttl SOA minimum" for the authority section.
func message(q dnsmessage.Question, id uint16, code dnsmessage.RCode, records ...string) []byte {
	b := dnsmessage.NewBuilder(nil, dnsmessage.Header{ID: id, Response: true, RCode: code})
	b.EnableCompression()
	check := func(err error) {
		if err != nil {
			panic(err)
		}
	}
	check(b.StartQuestions())
	check(b.Question(q))
	check(b.StartAnswers())
	for _, r := range records {
		var name, kind, value string
		var ttl uint32
		if _, err := fmt.Sscan(r, &name, &ttl, &kind, &value); err != nil {
			panic(err)
		}
		h := dnsmessage.ResourceHeader{Name: dnsmessage.MustNewName(name), Class: dnsmessage.ClassINET, TTL: ttl}
		switch kind {
		case "A":
			check(b.AResource(h, dnsmessage.AResource{A: netip.MustParseAddr(value).As4()}))
		case "AAAA":
			check(b.AAAAResource(h, dnsmessage.AAAAResource{AAAA: netip.MustParseAddr(value).As16()}))
		case "CNAME":
			check(b.CNAMEResource(h, dnsmessage.CNAMEResource{CNAME: dnsmessage.MustNewName(value)}))
		case "SOA":
			check(b.StartAuthorities())
			var minimum uint32
			_, _ = fmt.Sscan(value, &minimum)
			check(b.NSResource(h, dnsmessage.NSResource{NS: h.Name}))
			check(b.SOAResource(h, dnsmessage.SOAResource{NS: h.Name, MBox: h.Name, MinTTL: minimum}))
		}
	}
	out, err := b.Finish()
	check(err)
	return out
}

// zone answers from what is written for "name type"; other names are not there.
func zone(records map[string][]string) reply {
	return func(q dnsmessage.Question, id uint16, _ string) [][]byte {
		name := q.Name.String() + " " + strings.TrimPrefix(q.Type.String(), "Type")
		if answer, ok := records[name]; ok {
			return [][]byte{message(q, id, dnsmessage.RCodeSuccess, answer...)}
		}
		for other := range records {
			if strings.HasPrefix(other, q.Name.String()+" ") {
				return [][]byte{message(q, id, dnsmessage.RCodeSuccess)}
			}
		}
		return [][]byte{message(q, id, dnsmessage.RCodeNameError, "test. 60 SOA 7")}
	}
}

func summary(f found) string {
	var words []string
	for _, a := range f.addresses {
		words = append(words, a.String())
	}
	if f.err != nil {
		words = append(words, f.err.Error())
	}
	if f.ttl != 0 && f.ttl != unsaid {
		words = append(words, f.ttl.String())
	}
	return strings.Join(words, " ")
}

func TestLookup(t *testing.T) {
	s := newServer(t, zone(map[string][]string{
		"both.test. A":         {"both.test. 300 A 10.0.0.1", "both.test. 200 A 10.0.0.2"},
		"both.test. AAAA":      {"both.test. 100 AAAA fd00::1"},
		"four.test. A":         {"four.test. 300 A 10.0.0.4"},
		"six.test. AAAA":       {"SIX.test. 300 AAAA fd00::6"},
		"alias.test. A":        {"b.test. 50 CNAME c.test.", "alias.test. 60 CNAME b.test.", "c.test. 70 A 10.0.0.3", "other.test. 5 A 6.6.6.6"},
		"loop.test. A":         {"loop.test. 5 CNAME loop.test."},
		"dangling.test. A":     {"dangling.test. 5 CNAME nowhere.test."},
		"nothing.test. TXT":    {},
		"host.lan.test. A":     {"host.lan.test. 9 A 10.0.0.9"},
		"db.site.corp.test. A": {"db.site.corp.test. 9 A 10.0.1.9"},
		"deep.db.lan.test. A":  {"deep.db.lan.test. 9 A 10.0.2.9"},
	}))
	c := Config{Servers: []Server{s.at}, Search: []string{"lan.test", "corp.test."}, Dots: 2, Timeout: 10 * time.Second}
	for _, test := range []struct{ name, want string }{
		{"both.test.", "10.0.0.1 10.0.0.2 fd00::1 1m40s"},
		{"four.test.", "10.0.0.4 5m0s"},
		{"six.test.", "fd00::6 5m0s"},
		{"Alias.Test.", "10.0.0.3 50s"},
		{"loop.test.", "no such host"},
		{"dangling.test.", "no such host"},
		{"nothing.test.", "no such host"},
		{"missing.test.", "no such host 7s"},
		{"host", "10.0.0.9 9s"},
		{"host.", "no such host 7s"},
		{"db.site", "10.0.1.9 9s"},
		{"deep.db", "10.0.2.9 9s"},
		{"four.test", "10.0.0.4 5m0s"},
		{"a..b", "no such host"},
	} {
		if got := summary((&asker{}).lookup(t.Context(), &c, strings.ToLower(test.name))); got != test.want {
			t.Errorf("%s: %s, want %s", test.name, got, test.want)
		}
	}
}

func TestSearchOrder(t *testing.T) {
	for _, test := range []struct {
		name string
		dots int
		want string
	}{
		{"db", 1, "db.a.test. db.b.test. db."},
		{"db.site", 1, "db.site. db.site.a.test. db.site.b.test."},
		{"db.site", 2, "db.site.a.test. db.site.b.test. db.site."},
		{"db.site", 5, "db.site.a.test. db.site.b.test. db.site."},
		{"db", 0, "db.a.test. db.b.test. db."},
		{"db.", 1, "db."},
	} {
		c := Config{Search: []string{"a.test", "b.test.", "."}, Dots: test.dots}
		if got := strings.Join(c.candidates(test.name), " "); got != test.want {
			t.Errorf("%s with ndots %d: %s, want %s", test.name, test.dots, got, test.want)
		}
	}
}

// TestLongAnswers come over TCP.
func TestLongAnswers(t *testing.T) {
	var records []string
	for i := range 100 {
		records = append(records, fmt.Sprintf("many.test. 60 A 10.0.1.%d", i))
	}
	s := newServer(t, func(q dnsmessage.Question, id uint16, network string) [][]byte {
		if q.Type != dnsmessage.TypeA {
			return [][]byte{message(q, id, dnsmessage.RCodeSuccess)}
		}
		if network == "tcp" {
			return [][]byte{message(q, id, dnsmessage.RCodeSuccess, records...)}
		}
		b := message(q, id, dnsmessage.RCodeSuccess, records[:10]...)
		b[2] |= 2 // truncated
		return [][]byte{b}
	})
	c := Config{Servers: []Server{s.at}, Timeout: 10 * time.Second}
	if f := (&asker{}).lookup(t.Context(), &c, "many.test."); len(f.addresses) != 100 || f.err != nil {
		t.Errorf("%d addresses, %v", len(f.addresses), f.err)
	}
	if got, want := s.questions(), []string{"many.test. A tcp", "many.test. A udp", "many.test. AAAA udp"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

// TestOtherServers: one that is broken or silent is not the end, and the one that
// answered is asked first from then on.
func TestOtherServers(t *testing.T) {
	good := zone(map[string][]string{"a.test. A": {"a.test. 60 A 10.0.0.1"}})
	broken := newServer(t, func(q dnsmessage.Question, id uint16, _ string) [][]byte {
		return [][]byte{message(q, id, dnsmessage.RCodeServerFailure)}
	})
	refuses := newServer(t, func(q dnsmessage.Question, id uint16, _ string) [][]byte {
		return [][]byte{message(q, id, dnsmessage.RCodeRefused)}
	})
	silent := newServer(t, func(dnsmessage.Question, uint16, string) [][]byte { return nil })
	works := newServer(t, good)
	c := Config{Servers: []Server{broken.at, refuses.at, silent.at, works.at}, Timeout: time.Second, Attempts: 5}
	a := &asker{}
	if got := summary(a.lookup(t.Context(), &c, "a.test.")); got != "10.0.0.1 1m0s" {
		t.Error(got)
	}
	before := len(broken.questions())
	if got := summary(a.lookup(t.Context(), &c, "a.test.")); got != "10.0.0.1 1m0s" {
		t.Error(got)
	}
	if got := len(broken.questions()); got != before {
		t.Errorf("the broken server is asked first again: %d questions, then %d", before, got)
	}
	c = Config{Servers: []Server{broken.at}}
	f := a.lookup(t.Context(), &c, "a.test.")
	if want := fmt.Sprintf("name server %v: it answers ServerFailure", broken.at); f.err == nil || f.err.Error() != want {
		t.Errorf("%v, want %s", f.err, want)
	}
	if got := len(broken.questions()) - before; got != 2*defaultAttempts {
		t.Errorf("%d questions, want %d", got, 2*defaultAttempts)
	}
	if f := a.lookup(t.Context(), &Config{}, "a.test."); f.err == nil || errors.Is(f.err, ErrNotFound) {
		t.Errorf("without servers: %v", f.err)
	}
}

// TestOneKindFails: addresses of one kind are enough; that there are none is not
// believed before both kinds have been answered.
func TestOneKindFails(t *testing.T) {
	s := newServer(t, func(q dnsmessage.Question, id uint16, _ string) [][]byte {
		if q.Type == dnsmessage.TypeAAAA {
			return [][]byte{message(q, id, dnsmessage.RCodeServerFailure)}
		}
		if q.Name.String() == "four.test." {
			return [][]byte{message(q, id, dnsmessage.RCodeSuccess, "four.test. 60 A 10.0.0.4")}
		}
		return [][]byte{message(q, id, dnsmessage.RCodeSuccess)}
	})
	c := Config{Servers: []Server{s.at}, Timeout: 10 * time.Second, Attempts: 1}
	if got := summary((&asker{}).lookup(t.Context(), &c, "four.test.")); got != "10.0.0.4 1m0s" {
		t.Error(got)
	}
	if f := (&asker{}).lookup(t.Context(), &c, "six.test."); f.err == nil || errors.Is(f.err, ErrNotFound) {
		t.Error(f.err)
	}
}

// TestForgedAnswers: what does not answer the question is passed over.
func TestForgedAnswers(t *testing.T) {
	s := newServer(t, func(q dnsmessage.Question, id uint16, _ string) [][]byte {
		if q.Type != dnsmessage.TypeA {
			return [][]byte{message(q, id, dnsmessage.RCodeSuccess)}
		}
		forged := "a.test. 60 A 6.6.6.6"
		otherName, otherType := q, q
		otherName.Name = dnsmessage.MustNewName("b.test.")
		otherType.Type = dnsmessage.TypeAAAA
		query := message(q, id, dnsmessage.RCodeSuccess, forged)
		query[2] &^= 0x80
		return [][]byte{
			[]byte("x"), {},
			message(q, id+1, dnsmessage.RCodeSuccess, forged),
			message(otherName, id, dnsmessage.RCodeSuccess, forged),
			message(otherType, id, dnsmessage.RCodeSuccess, forged),
			query,
			message(q, id, dnsmessage.RCodeSuccess, "a.test. 60 A 10.0.0.1"),
		}
	})
	c := Config{Servers: []Server{s.at}, Timeout: 10 * time.Second}
	if got := summary((&asker{}).lookup(t.Context(), &c, "a.test.")); got != "10.0.0.1 1m0s" {
		t.Error(got)
	}
}

func TestQuestionsEndWithTheirContext(t *testing.T) {
	s := newServer(t, func(dnsmessage.Question, uint16, string) [][]byte { return nil })
	ctx, cancel := context.WithCancel(t.Context())
	var canceling sync.WaitGroup
	canceling.Go(cancel)
	c := Config{Servers: []Server{s.at}, Timeout: time.Hour}
	if f := (&asker{}).lookup(ctx, &c, "a.test."); !errors.Is(f.err, context.Canceled) {
		t.Error(f.err)
	}
	canceling.Wait()
}

// TestWhole: a Resolver and a server, with nothing in between replaced.
func TestWhole(t *testing.T) {
	s := newServer(t, zone(map[string][]string{"a.test. A": {"a.test. 60 A 10.0.0.1"}}))
	r := New(ParseConfig(nil, nil), nil)
	c := ParseConfig([]byte("search test\n"), nil)
	c.Servers = []Server{s.at}
	r.Configure(c)
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { r.Run(ctx) })
	defer running.Wait()
	defer cancel()
	if got, err := r.Lookup(t.Context(), "a"); !slices.Equal(got, ips("10.0.0.1")) || err != nil {
		t.Errorf("%v, %v", got, err)
	}
}

func FuzzReply(f *testing.F) {
	q, err := newQuestion("a.test.", dnsmessage.TypeA)
	if err != nil {
		f.Fatal(err)
	}
	q.id = 1
	f.Add(message(q.asked, 1, dnsmessage.RCodeSuccess, "a.test. 60 CNAME b.test.", "b.test. 60 A 10.0.0.1"))
	f.Add(message(q.asked, 1, dnsmessage.RCodeNameError, "test. 60 SOA 7"))
	f.Fuzz(func(t *testing.T, reply []byte) {
		f, err := q.read(reply)
		if err == nil && f.err == nil && len(f.addresses) == 0 {
			t.Fatalf("%+v", f)
		}
		for _, a := range f.addresses {
			if !a.Is4() {
				t.Fatalf("%v", a)
			}
		}
	})
}
