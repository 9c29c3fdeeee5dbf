package subscription

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"fmt"
	mathrand "math/rand/v2"
	"strings"
	"testing"
	"time"

	"emperor/router/balance"
)

// clock is a time that only moves when told to.
type clock struct{ at time.Time }

func (c *clock) now() time.Time          { return c.at }
func (c *clock) advance(d time.Duration) { c.at = c.at.Add(d) }

// world is a table, which prepares its addresses as a text, and its clock.
type world struct {
	*Table[string]
	t *testing.T
	*clock
}

func newWorld(t *testing.T, o Options) *world {
	w := &world{t: t, clock: &clock{time.Unix(1700000000, 0)}}
	w.Table = New(w.clock.now, func(v *View[string]) string {
		var all []string
		for _, n := range v.Nodes {
			all = append(all, fmt.Sprintf("%s*%d", n.Address, n.Weight))
		}
		return strings.Join(all, " ")
	})
	if o.Tolerance == 0 {
		o.Tolerance = 17 * time.Second
	}
	w.Configure(o)
	w.Watch()
	return w
}

// say sends a packet of items; "-" first withdraws.
func (w *world) say(from string, items ...string) error {
	command := byte(0)
	if items[0] == "-" {
		command, items = 1, items[1:]
	}
	p, err := Parse(datagram(224, command, items...))
	if err != nil {
		w.t.Fatal(err)
	}
	_, err = w.Apply(&p, from)
	return err
}

func (w *world) announce(key string, addresses ...string) {
	w.t.Helper()
	for _, a := range addresses {
		if err := w.say("x", "key="+key, "address="+a); err != nil {
			w.t.Error(err)
		}
	}
}

// serves tells who serves a host: addresses, "" for nobody, "none" for an unknown
// one.
func (w *world) serves(host string) string {
	name, _, ok := strings.Cut(host, ":")
	if !ok {
		host = ""
	}
	v := w.Lookup([]byte(name), []byte(host))
	if v == nil {
		return "none"
	}
	return v.Prepared
}

func (w *world) want(host, want string) {
	w.t.Helper()
	if got := w.serves(host); got != want {
		w.t.Errorf("%s is served by %q, want %q", host, got, want)
	}
}

func TestAnnounceAndWithdraw(t *testing.T) {
	w := newWorld(t, Options{})
	w.want("a", "none")
	w.announce("A.", "1", "2")
	w.want("a", "1*1 2*1")
	before := w.Lookup([]byte("a"), nil)
	_ = w.say("x", "key=a", "address=1", "weight=3", "load=9")
	w.want("a", "1*3 2*1")
	_ = w.say("y", "-", "key=a", "address=1")
	w.want("a", "2*1")
	_ = w.say("y", "-", "key=a", "address=unknown")
	_ = w.say("y", "-", "key=unknown", "address=2")
	w.want("a", "2*1")
	_ = w.say("y", "-", "key=a", "address=2")
	w.want("a", "") // there is such a site, it is out of order
	if before.Prepared != "1*1 2*1" || len(before.Nodes) != 2 {
		t.Error("a view changed")
	}
	w.announce("a", "1")
	w.want("a", "1*1")
	_ = w.say("y", "-", "key=a", "address=1")
	w.advance(remembered + time.Second)
	w.Expire()
	w.want("a", "none")
	if w.nodes != 0 || len(w.senders) != 0 || len(w.slots) != 0 {
		t.Errorf("not forgotten: %d nodes, %d senders, %d keys", w.nodes, len(w.senders), len(w.slots))
	}
}

// Silence ends a node by the clock, without a request that looks it up.
func TestTolerance(t *testing.T) {
	w := newWorld(t, Options{Tolerance: 2 * time.Second})
	w.announce("a", "1", "2")
	w.advance(2 * time.Second)
	w.announce("a", "2")
	if gone := w.Expire(); len(gone) != 0 {
		t.Errorf("too early: %v", gone)
	}
	w.advance(time.Second)
	if gone := w.Expire(); len(gone) != 1 || gone[0] != (Gone{"a", "1", 3 * time.Second, false}) {
		t.Errorf("%+v", gone)
	}
	w.want("a", "2*1")
	w.advance(4 * time.Second)
	if gone := w.Expire(); len(gone) != 1 || !gone[0].Last {
		t.Errorf("%+v", gone)
	}
	w.want("a", "")
	w.announce("a", "1")
	w.want("a", "1*1")
}

// Who does not read the datagrams does not take silence for an end, and who begins
// to read gives everybody the time to speak.
func TestRest(t *testing.T) {
	w := newWorld(t, Options{})
	w.announce("a", "1")
	w.Rest()
	w.advance(time.Hour)
	w.Expire()
	w.want("a", "1*1")
	w.Watch()
	w.advance(17 * time.Second)
	w.Expire()
	w.want("a", "1*1")
	w.advance(time.Second)
	w.Expire()
	w.want("a", "")
}

func TestLookup(t *testing.T) {
	w := newWorld(t, Options{})
	w.announce("k.example.com", "plain")
	w.announce("k.example.com:8080", "port")
	w.announce(".example.com", "wild")
	w.announce(".com", "com")
	for host, want := range map[string]string{
		"k.example.com": "plain*1", "k.example.com:8080": "port*1", "k.example.com:81": "plain*1",
		"x.k.example.com": "none", "b.example.com": "none", "": "none",
	} {
		w.want(host, want)
	}
	w.Configure(Options{Tolerance: 17 * time.Second, DotSplit: true})
	for host, want := range map[string]string{
		"k.example.com": "plain*1", "b.example.com": "wild*1", "b.a.example.com": "wild*1", "example.com": "com*1",
		"example.org": "none", "1.2.3.4.example.com": "wild*1", "1.2.3.4.5.example.com": "none", // five tries, as in uWSGI
	} {
		w.want(host, want)
	}
	w.Configure(Options{Tolerance: 17 * time.Second, FallbackKey: "K.example.com"})
	w.want("example.org", "plain*1")
	w.announce("z", "1")
	_ = w.say("x", "-", "key=z", "address=1")
	w.want("z", "plain*1")
}

func TestAlgorithms(t *testing.T) {
	w := newWorld(t, Options{Algorithm: balance.LRC})
	w.announce("a", "1")
	_ = w.say("x", "key=b", "address=1", "algo=iphash")
	_ = w.say("x", "key=b", "address=2", "algo=wrr") // as in uWSGI the first one counts
	for key, want := range map[string]balance.Algorithm{"a": balance.LRC, "b": balance.IPHash} {
		if got := w.Lookup([]byte(key), nil).Algorithm; got != want {
			t.Errorf("%s: %v, want %v", key, got, want)
		}
	}
}

// The last word of an instance whose successor has its socket does not take the
// site away; but when nobody speaks any more it is gone.
func TestHeldSocket(t *testing.T) {
	w := newWorld(t, Options{Held: func(a string) bool { return a == "held" }})
	w.announce("a", "held")
	w.advance(15 * time.Second)
	_ = w.say("x", "-", "key=a", "address=held")
	w.want("a", "held*1")
	w.advance(10 * time.Second)
	w.Expire()
	w.want("a", "held*1")
	w.advance(10 * time.Second)
	w.Expire()
	w.want("a", "")
}

// Who sleeps is silent, and is not forgotten for that; when nobody wakes it any more, as
// its vassal has gone, it is.
func TestAsleep(t *testing.T) {
	asleep := true
	w := newWorld(t, Options{Asleep: func(a string) bool { return a == "sleeper" && asleep }})
	w.announce("a", "sleeper", "other")
	for range 4 {
		w.advance(20 * time.Second)
		w.Expire()
		w.want("a", "sleeper*1")
	}
	asleep = false
	w.advance(20 * time.Second)
	w.Expire()
	w.want("a", "")
}

// Floods: what is held is bounded, and nobody's flood keeps others out.
func TestBounds(t *testing.T) {
	w := newWorld(t, Options{})
	w.announce("mine", "1")
	refused := 0
	for i := range 2 * maxSender {
		if w.say("flood", fmt.Sprintf("key=k%d", i), "address=/s") != nil {
			refused++
		}
	}
	if refused != maxSender {
		t.Errorf("%d of %d refused", refused, 2*maxSender)
	}
	// One that withdraws what it announced has room again, but is not remembered for it.
	for i := range 2 * maxSender {
		_ = w.say("flood", "-", fmt.Sprintf("key=k%d", i), "address=/s")
	}
	for i := range 2 * maxSender {
		if err := w.say("flood", fmt.Sprintf("key=l%d", i), "address=/s"); i < maxSender && err != nil {
			t.Fatal(i, err)
		}
	}
	w.announce("mine", "2")
	w.want("mine", "1*1 2*1")
	for i := range 2 * maxSlot {
		err := w.say("crowd", "key=crowd", fmt.Sprintf("address=/%d", i))
		if (err != nil) != (i >= maxSlot) {
			t.Fatal(i, err)
		}
	}
	for i := range 5 {
		for j := range maxSender {
			_ = w.say(fmt.Sprint("many", i), fmt.Sprintf("key=m%d-%d", i, j), "address=/s")
		}
	}
	if w.nodes > maxNodes {
		t.Errorf("%d nodes, the limit is %d", w.nodes, maxNodes)
	}
	w.announce("mine", "1") // who is there stays
	if gone := len(w.slots); gone > maxNodes {
		t.Error(gone)
	}
}

func TestCheck(t *testing.T) {
	w := newWorld(t, Options{Check: func(n *Node) error {
		if n.Address == "bad" {
			return fmt.Errorf("no")
		}
		return nil
	}})
	if w.say("x", "key=a", "address=bad") == nil {
		t.Error("accepted")
	}
	w.want("a", "none")
}

type signer struct {
	key *rsa.PrivateKey
}

func (s *signer) packet(withdraw bool, unix int64, items ...string) Packet {
	command := byte(0)
	if withdraw {
		command = 1
	}
	items = append(items, fmt.Sprint("unix=", unix))
	sum := sha256.Sum256(datagram(224, command, items...)[4:])
	sign, err := rsa.SignPKCS1v15(nil, s.key, crypto.SHA256, sum[:])
	if err != nil {
		panic(err)
	}
	p, err := Parse(datagram(224, command, append(items, "sign="+string(sign))...))
	if err != nil {
		panic(err)
	}
	return p
}

func TestSignatures(t *testing.T) {
	mine, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	other, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	signatures := &Signatures{Digest: crypto.SHA256, Tolerance: 24 * time.Hour, Keys: map[string]*rsa.PublicKey{"a_80": &mine.PublicKey}}
	w := newWorld(t, Options{})
	w.announce("a:80", "unsigned")
	w.Configure(Options{Tolerance: time.Hour, Signatures: signatures})
	w.want("a:80", "none") // it has not shown who it is
	s, now := signer{mine}, w.at.Unix()
	apply := func(want string, p Packet) {
		t.Helper()
		_, err := w.Apply(&p, "x")
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
	unsigned, _ := Parse(datagram(224, 0, "key=a:80", "address=1", fmt.Sprint("unix=", now)))
	apply("not signed", unsigned)
	unsigned.Withdraw = true
	apply("not signed", unsigned)
	foreign := signer{other}
	apply("not of its key", foreign.packet(false, now, "key=a:80", "address=1"))
	apply("no b.pem", s.packet(false, now, "key=b", "address=1"))
	apply("no .._etc_passwd.pem", s.packet(false, now, "key=../etc/passwd", "address=1"))
	apply("another time", s.packet(false, now-2*86400, "key=a:80", "address=1"))
	apply("another time", s.packet(false, now+2*86400, "key=a:80", "address=1"))
	first := s.packet(false, now, "key=a:80", "address=1")
	apply("", first)
	w.want("a:80", "1*1")
	apply("replay", first)
	tampered := s.packet(false, now+1, "key=a:80", "address=1")
	tampered.signed = append([]byte(nil), tampered.signed...)
	tampered.signed[len(tampered.signed)-1]++
	apply("not of its key", tampered)
	apply("not of its key", foreign.packet(true, now+1, "key=a:80", "address=1"))
	apply("", s.packet(true, now+1, "key=a:80", "address=1"))
	w.want("a:80", "")
	apply("replay", first) // of what was withdrawn since
	w.advance(time.Hour)
	w.Expire()
	apply("replay", first) // also later
	apply("", s.packet(false, now+3600, "key=a:80", "address=1"))

	// Who need not sign is known by the kernel's word only.
	w.Configure(Options{Tolerance: time.Hour, Signatures: signatures, Unsigned: []uint32{7}})
	unsigned = Packet{Key: "a:80", Node: Node{Address: "2", Weight: 1}}
	apply("not signed", unsigned)
	unsigned.From = Credentials{Known: true, UID: 8}
	apply("not signed", unsigned)
	unsigned.From.UID = 7
	apply("", unsigned)
	w.want("a:80", "1*1 2*1")
	unsigned.Withdraw = true
	apply("", unsigned)
	w.Configure(Options{Tolerance: time.Hour, Signatures: signatures})

	// All of this holds for the next router too, before and after it is configured.
	records, _ := w.Records()
	next := newWorld(t, Options{})
	next.at = w.at
	next.Merge(records)
	next.Configure(Options{Tolerance: time.Hour, Signatures: signatures})
	next.want("a:80", "1*1")
	if _, err := next.Apply(&first, "x"); err == nil {
		t.Error("the next router takes a replay")
	}
	forged := Record{Key: "a:80", Address: "2", Seen: w.at.UnixNano()}
	next.Merge([]Record{forged})
	next.want("a:80", "1*1")
}

// TestOwners: a key is announced and withdrawn by its owners, also in the next router,
// and nobody stays who is none any more.
func TestOwners(t *testing.T) {
	w := newWorld(t, Options{})
	w.announce("a", "anybody")
	owners := Owners{"a": {{UID: 1, GID: 2}, {UID: 3, GID: 3}}}
	w.Configure(Options{Tolerance: time.Hour, Owners: owners})
	w.want("a", "none")
	apply := func(want string, p Packet) {
		t.Helper()
		_, err := w.Apply(&p, "x")
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
	of := func(key string, uid, gid uint32) Packet {
		return Packet{Key: key, Node: Node{Address: "1", Weight: 1, From: Credentials{Known: true, UID: uid, GID: gid}}}
	}
	apply("is not known", Packet{Key: "a", Node: Node{Address: "1", Weight: 1}})
	apply("do not own", of("a", 1, 3))
	apply("do not own", of("a", 0, 0))
	apply("no file", of("../a", 1, 2))
	apply("", of("a", 3, 3))
	w.want("a", "1*1")
	gone := of("a", 0, 0)
	gone.Withdraw = true
	apply("do not own", gone)
	w.want("a", "1*1")

	records, _ := w.Records()
	for _, first := range []bool{true, false} {
		next := newWorld(t, Options{})
		next.at = w.at
		if first {
			next.Merge(records)
		}
		next.Configure(Options{Tolerance: time.Hour, Owners: owners})
		next.Merge(append(records, Record{Key: "a", Address: "2", Seen: w.at.UnixNano()}))
		next.want("a", "1*1")
	}
	w.Configure(Options{Tolerance: time.Hour, Owners: Owners{"a": {{UID: 1, GID: 2}}}})
	w.want("a", "none")
}

// Records carry everything to a table that begins, and news to one that rests.
func TestRecords(t *testing.T) {
	w := newWorld(t, Options{})
	w.announce("a", "2", "1")
	_ = w.say("y", "key=b", "address=@b", "modifier1=5", "weight=4", "backup=1", "algo=lrc", "proto=http", "vassal=v")
	records, version := w.Records()
	other := newWorld(t, Options{})
	other.Merge(records)
	other.want("a", "2*1 1*1")
	other.want("b", "@b*4")
	if again, _ := other.Records(); fmt.Sprint(again) != fmt.Sprint(records) {
		t.Errorf("%v\n%v", again, records)
	}
	v := other.Version()
	other.Merge(records)
	if other.Version() != v {
		t.Error("the same again is news")
	}
	w.announce("a", "1")
	if w.Version() != version {
		t.Error("an announcement that changes nothing is news")
	}
	w.advance(time.Second)
	_ = w.say("x", "-", "key=a", "address=2")
	if w.Version() == version {
		t.Error("a withdrawal is no news")
	}
	// What the other one knows from later is not undone.
	other.at = w.at
	other.announce("b", "@b")
	records, _ = w.Records()
	other.Merge(records)
	other.want("a", "1*1")
	other.want("b", "@b*1")
	w.advance(time.Second)
	w.announce("a", "2")
	records, _ = w.Records()
	other.Merge(records)
	other.want("a", "1*1 2*1")
}

// Whatever is said in whatever order: who spoke within the tolerance and was not
// withdrawn since is served, nobody else; the books agree.
func TestSimulation(t *testing.T) {
	random := mathrand.New(mathrand.NewPCG(1, 2))
	w := newWorld(t, Options{})
	type id struct{ key, address string }
	spoke := map[id]time.Time{}
	for range 20000 {
		n := id{fmt.Sprint("k", random.IntN(5)), fmt.Sprint("a", random.IntN(4))}
		switch random.IntN(4) {
		case 0:
			_ = w.say("x", "-", "key="+n.key, "address="+n.address)
			delete(spoke, n)
		case 1, 2:
			w.announce(n.key, n.address)
			spoke[n] = w.at
		case 3:
			w.advance(time.Duration(random.IntN(5000)) * time.Millisecond)
			w.Expire()
		}
		if random.IntN(50) == 0 {
			w.advance(remembered)
			w.Expire()
		}
		live, known := 0, 0
		for key := range 5 {
			v := w.Lookup(fmt.Append(nil, "k", key), nil)
			if v == nil {
				continue
			}
			for _, node := range v.Nodes {
				at, ok := spoke[id{v.Key, node.Address}]
				if !ok || w.at.Sub(at) > 17*time.Second {
					t.Fatalf("%s %s is served, spoke %v", v.Key, node.Address, at)
				}
				live++
			}
		}
		for n, at := range spoke {
			if w.at.Sub(at) > 17*time.Second {
				delete(spoke, n)
			}
		}
		for _, s := range w.slots {
			known += len(s.entries)
		}
		if live != len(spoke) || known != w.nodes || known > 0 && w.senders["x"].nodes != known {
			t.Fatalf("%d served, %d spoke; %d entries, %d counted", live, len(spoke), known, w.nodes)
		}
	}
}
