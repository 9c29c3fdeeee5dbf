package router

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"emperor/internal/link"
	"emperor/router/subscription"
)

// announced is a front that takes announcements; they come by hear, not by a
// socket.
func announced(t *testing.T, options ...string) *front {
	t.Helper()
	f := newFront(t, append([]string{"http-subscription-server = 127.0.0.1:7000"}, options...)...)
	f.announced.Watch()
	return f
}

// announce says that nodes serve a key.
func (f *front) announce(key string, nodes ...*vassal) {
	for _, v := range nodes {
		f.tell(subscription.Packet{Key: key, Node: subscription.Node{Address: v.address, HTTP: v.protocol == "http"}})
	}
}

func (f *front) withdraw(key string, nodes ...*vassal) {
	for _, v := range nodes {
		f.tell(subscription.Packet{Withdraw: true, Key: key, Node: subscription.Node{Address: v.address}})
	}
}

func (f *front) tell(p subscription.Packet) {
	f.hear(optionSubscriptions, p.Append(nil), origin{who: "127.0.0.1", local: true})
}

var wanted = get("k.test")

// TestAnnouncedNodes: rows 73 to 80: who has announced himself for a host serves it.
func TestAnnouncedNodes(t *testing.T) {
	f := announced(t, "http-to = /nowhere.sock", "route-host = ^ruled$ return:204", "http-gracetime = 30")
	a, b := node(t, "uwsgi", "A"), node(t, "http", "B")
	if got := f.ask(wanted); got.StatusCode != 404 {
		t.Errorf("unknown: %d", got.StatusCode)
	}
	f.announce("k.test", a, b)
	f.announce("k.test:8080", a)
	if got := f.names(wanted, 4); got != "ABAB" {
		t.Errorf("in turns: %s", got)
	}
	if got := f.names(get("K.test.:8080"), 2); got != "AA" {
		t.Errorf("by port: %s", got)
	}
	if got := f.ask(get("ruled")); got.StatusCode != 204 {
		t.Errorf("rules come first: %d", got.StatusCode)
	}
	f.withdraw("k.test", a)
	if got := f.names(wanted, 2); got != "BB" {
		t.Errorf("withdrawn: %s", got)
	}
	f.announce("k.test", a)
	a.stop() // without a word
	if got := f.names(wanted, 6); got != "BBBBBB" {
		t.Errorf("one is dead: %s", got)
	}
	b.stop()
	got := f.ask(wanted)
	if got.StatusCode != 503 || got.Header.Get("Retry-After") == "" {
		t.Errorf("both are dead: %d %v", got.StatusCode, got.Header)
	}
	f.withdraw("k.test", a, b)
	f.later.Store(int64(time.Minute)) // nobody is waited for any more
	if got = f.ask(wanted); got.StatusCode != 503 || got.Header.Get("Retry-After") == "" {
		t.Errorf("both withdrew: %d %v", got.StatusCode, got.Header)
	}
	f.later.Store(int64(time.Hour))
	f.announced.Expire()
	if got = f.ask(wanted); got.StatusCode != 404 {
		t.Errorf("long ago: %d", got.StatusCode)
	}
}

// TestReturningNode: the moment between an instance's withdrawal and its return, when
// it is reloaded, costs nobody a request.
func TestReturningNode(t *testing.T) {
	f := announced(t)
	a := node(t, "uwsgi", "A")
	f.announce("k.test", a)
	f.withdraw("k.test", a)
	dead := node(t, "uwsgi", "D")
	dead.stop()
	for range 2 {
		answer := make(chan string)
		go func() { answer <- f.names(wanted, 1) }()
		eventually(t, "the request waits", func() bool { return f.table.held.Load() == 1 })
		f.announce("k.test", a)
		if got := <-answer; got != "A" {
			t.Error(got)
		}
		// Once more, beside one that died and could not say so.
		f.announce("k.test", dead)
		f.withdraw("k.test", a)
	}
}

// TestCheap: with http-cheap requests wait while there is no node at all, and only
// then; uWSGI's key tells of it.
func TestCheap(t *testing.T) {
	f := announced(t, "http-cheap = true")
	a := node(t, "uwsgi", "A")
	if f.figures()["cheap"] != 1 {
		t.Error("the figures do not say that it is cheap")
	}
	answer := make(chan string)
	go func() { answer <- f.names(wanted, 1) }()
	eventually(t, "the request waits", func() bool { return f.table.held.Load() == 1 })
	f.announce("other.test", a)
	f.announce("k.test", a)
	if got := <-answer; got != "A" {
		t.Error(got)
	}
	if got := f.names(get("unknown"), 1); got != "(404)" || f.figures()["cheap"] != 0 {
		t.Errorf("beside nodes of others: %s", got)
	}
	f.withdraw("k.test", a)
	f.withdraw("other.test", a)
	f.adjust(func(s *Settings) { s.hold.time = time.Millisecond })
	if got := f.names(get("unknown"), 1); got != "(503)" {
		t.Errorf("nobody came: %s", got)
	}
}

// TestAnnouncedModifiers: a node's own, unless the front says.
func TestAnnouncedModifiers(t *testing.T) {
	a := node(t, "uwsgi", "A")
	for _, test := range []struct {
		option string
		m1, m2 byte
	}{{"http-date = false", 5, 7}, {"http-modifier1 = 9", 9, 7}} {
		f := announced(t, test.option)
		f.tell(subscription.Packet{Key: "k.test", Node: subscription.Node{Address: a.address, Modifier1: 5, Modifier2: 7}})
		f.names(wanted, 1)
		all := a.calls()
		if c := all[len(all)-1]; c.modifier1 != test.m1 || c.modifier2 != test.m2 {
			t.Errorf("%s: %d, %d; want %d, %d", test.option, c.modifier1, c.modifier2, test.m1, test.m2)
		}
	}
}

// TestAnnouncedOrder: http-use-pattern comes before, http-use-base after announced
// nodes, as in uWSGI.
func TestAnnouncedOrder(t *testing.T) {
	a := node(t, "uwsgi", "A")
	p := node(t, "uwsgi", "k.test")
	folder := filepath.Dir(p.address)
	f := announced(t, "http-use-pattern = "+folder+"/%s")
	f.announce("k.test", a)
	if got := f.names(wanted, 1); got != "k.test" {
		t.Errorf("pattern: %s", got)
	}
	f = announced(t, "http-use-base = "+folder+"/")
	f.announce("k.test", a)
	if got := f.names(wanted, 1) + f.names(get("other"), 1); got != "A(404)" {
		t.Errorf("base: %s", got)
	}
}

// TestAnnouncedVassal: a node at the socket of a vassal of ours is that vassal: it is
// waited for, and the last word of its previous generation is not its end.
func TestAnnouncedVassal(t *testing.T) {
	f := announced(t)
	a := node(t, "uwsgi", "A")
	f.vassals(row("app", 1, link.Ready, a))
	f.announce("k.test", a)
	f.withdraw("k.test", a)
	if got := f.names(wanted, 1); got != "A" {
		t.Errorf("after the last word: %s", got)
	}
	f.vassals(row("app", 2, link.Starting, a))
	answer := make(chan string)
	go func() { answer <- f.names(wanted, 1) }()
	eventually(t, "the request waits", func() bool { return f.table.held.Load() == 1 })
	f.vassals(row("app", 2, link.Ready, a))
	if got := <-answer; got != "A" {
		t.Error(got)
	}
}

// TestAnnouncementsOutlive: what a router has heard another one can take over, before
// or after it is configured.
func TestAnnouncementsOutlive(t *testing.T) {
	f := announced(t)
	f.announce("k.test", node(t, "uwsgi", "A"), node(t, "http", "B"))
	text, version := f.announcements(0)
	if again, _ := f.announcements(version); again != nil {
		t.Errorf("nothing is new: %s", again)
	}
	next := newFront(t)
	if err := next.takeAnnouncements(text); err != nil {
		t.Fatal(err)
	}
	if err := next.configure("http-subscription-server = 127.0.0.1:7000"); err != nil {
		t.Fatal(err)
	}
	if got := next.names(wanted, 4); got != "ABAB" {
		t.Error(got)
	}
	if err := next.takeAnnouncements(json.RawMessage("{")); err == nil {
		t.Error("nonsense was taken")
	}
	// Options may change while nodes are there.
	if err := next.configure("http-subscription-server = 127.0.0.1:7000", "subscription-algo = lrc", "http-subscription-fallback-key = k.test"); err != nil {
		t.Fatal(err)
	}
	next.wantIdle(t) // a node whose answer is here already may count as busy for a moment
	if got := next.names(get("other"), 2); !strings.Contains("ABA", got) {
		t.Error(got)
	}
}

// TestAnnouncedFigures: what scripts read in uWSGI's stats.
func TestAnnouncedFigures(t *testing.T) {
	f := announced(t)
	a := node(t, "uwsgi", "A")
	f.announce("k.test", a)
	f.names(wanted, 3)
	text, err := json.Marshal(f.figures())
	if err != nil {
		t.Fatal(err)
	}
	var got struct {
		Subscriptions []struct {
			Key   string
			Hits  int
			Nodes []struct {
				Name   string
				Weight int
				Last   int64 `json:"last_check"`
			}
		}
	}
	if err := json.Unmarshal(text, &got); err != nil {
		t.Fatal(err)
	}
	if len(got.Subscriptions) != 1 || got.Subscriptions[0].Hits != 3 || got.Subscriptions[0].Nodes[0].Name != a.address || got.Subscriptions[0].Nodes[0].Last == 0 {
		t.Errorf("%s", text)
	}
}

// TestRefusedAnnouncement is said, not too often, and does no harm.
func TestRefusedAnnouncement(t *testing.T) {
	f := announced(t)
	long := subscription.Packet{Key: strings.Repeat("k", 1000), Node: subscription.Node{Address: "/s"}}
	for range 1000 {
		f.tell(long)
		f.hear(optionSubscriptions, []byte("hello"), origin{who: "unix"})
	}
	f.tell(subscription.Packet{Key: "k.test", Node: subscription.Node{Address: "/" + strings.Repeat("x", 200)}})
	if lines := strings.Count(f.log.String(), "announcement refused"); lines == 0 || lines > 3*complaintsPerSecond {
		t.Errorf("%d lines", lines)
	}
	if got := f.ask(wanted); got.StatusCode != 404 {
		t.Error(got.StatusCode)
	}
}

// TestResubscribe: others are told that we serve what is announced here, until the
// last node is gone.
func TestResubscribe(t *testing.T) {
	upper, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer upper.Close()
	hears := func() string {
		t.Helper()
		b := make([]byte, 5000)
		_ = upper.SetReadDeadline(time.Now().Add(patience))
		n, _, err := upper.ReadFrom(b)
		if err != nil {
			t.Fatal(err)
		}
		p, err := subscription.Parse(b[:n])
		if err != nil || !p.HTTP {
			t.Fatal(p, err)
		}
		if p.Withdraw {
			return "-" + p.Key + " " + p.Address
		}
		return p.Key + " " + p.Address
	}
	f := announced(t, "http = :8099", "http-resubscribe = "+upper.LocalAddr().String(), "subscription-tolerance = 17")
	a, b := node(t, "uwsgi", "A"), node(t, "uwsgi", "B")
	f.announce("k.test", a, b)
	f.withdraw("k.test", a)
	f.announce("k.test", b)
	f.withdraw("k.test", b)
	for _, want := range []string{"", "", "", "-"} {
		if got := hears(); got != want+"k.test 127.0.0.1:8099" {
			t.Errorf("told %q, want %q", got, want)
		}
	}
	f.announce("k.test", a)
	hears()
	f.later.Store(int64(time.Minute)) // the Router's own ticker finds out
	if got := hears(); got != "-k.test 127.0.0.1:8099" {
		t.Errorf("told %q", got)
	}
}

// TestSubscriptionOptions: what is refused and what is warned of.
func TestSubscriptionOptions(t *testing.T) {
	for option, want := range map[string]string{
		"subscription-algo = best":               "want wrr",
		"subscriptions-sign-skip-uid = www-data": "want a user's number",
		"subscriptions-sign-check = SHA256":      "want DIGEST:FOLDER",
		"subscriptions-sign-check = rot13:/tmp":  "want SHA256",
		"http-resubscribe = other:7000":          "want IP:PORT",
		"http-resubscribe = 127.0.0.1:7001":      "want one at IP:PORT",
	} {
		key, value, _ := strings.Cut(option, " = ")
		_, problems := compile(mustOptions(t, []link.Option{{Key: key, Value: value}}), &supply{checking: true})
		if err := problems.Err(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", option, err, want)
		}
	}
	for value, warned := range map[string]bool{"0.0.0.0:7000": true, ":7000": true, "127.0.0.1:7000": false, "[::1]:7000": false, "/run/s": false, "10.0.0.1:7000": true} {
		_, problems := compile(mustOptions(t, []link.Option{{Key: optionSubscriptions, Value: value}}), &supply{checking: true})
		if problems.Err() != nil || len(problems.Warnings()) > 0 != warned {
			t.Errorf("%s: %v", value, problems)
		}
	}
	for value, warned := range map[string]string{"/etc/owners/": "", "/etc/owners": "does not end with a slash"} {
		_, problems := compile(mustOptions(t, []link.Option{{Key: optionSubscriptions, Value: "/s"}, {Key: "subscriptions-credentials-check", Value: value}}), &supply{checking: true})
		if w := problems.Warnings(); problems.Err() != nil || len(w) > 0 != (warned != "") || warned != "" && !strings.Contains(w[0].Text, warned) {
			t.Errorf("%s: %v", value, problems)
		}
	}
	_, problems := compile(mustOptions(t, []link.Option{{Key: optionSubscriptions, Value: ":7000"}, {Key: "subscriptions-credentials-check", Value: "/etc/owners/"}}), &supply{checking: true})
	if w := problems.Warnings(); len(w) != 1 || !strings.Contains(w[0].Text, "nothing that comes here is believed") {
		t.Errorf("%v", problems)
	}
	_, problems = compile(mustOptions(t, []link.Option{{Key: optionSubscriptions, Value: "/s"}, {Key: "http-to", Value: "/x"}}), &supply{checking: true})
	if w := problems.Warnings(); len(w) != 1 || !strings.Contains(w[0].Text, "has no effect") {
		t.Errorf("%v", problems)
	}
}

// TestSignedAnnouncements: with subscriptions-sign-check nobody else is believed, and
// who was believed before has to sign.
func TestSignedAnnouncements(t *testing.T) {
	folder := t.TempDir()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	der, _ := x509.MarshalPKIXPublicKey(&key.PublicKey)
	file := filepath.Join(folder, "k.test.pem")
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	f := announced(t)
	a := node(t, "uwsgi", "A")
	f.announce("k.test", a)
	signed := []string{"http-subscription-server = 127.0.0.1:7000", "subscriptions-sign-check = SHA256:" + folder}
	if err := f.configure(signed...); err != nil {
		t.Fatal(err)
	}
	f.announce("k.test", a)
	if got := f.ask(wanted); got.StatusCode != 404 || len(f.current().subscriptions.options.Signatures.Keys) != 1 {
		t.Errorf("an unsigned announcement: %d", got.StatusCode)
	}
	if err := os.WriteFile(file, []byte("no key"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := f.configure(signed...); err == nil || !strings.Contains(err.Error(), "k.test.pem") {
		t.Errorf("a file that is no key: %v", err)
	}
}

// TestAnnouncementsOfUsers: with subscriptions-credentials-check a key is announced,
// and withdrawn, by who owns its file; who sends is what the kernel says. And who
// asks for it is told that his node is known.
func TestAnnouncementsOfUsers(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "k.test"), "")
	write(t, filepath.Join(dir, "other"), "")
	write(t, filepath.Join(dir, "early"), "")
	if err := errors.Join(os.Chown(filepath.Join(dir, "other"), os.Getuid()+1, -1), os.Chown(filepath.Join(dir, "early"), noUser, noUser)); err != nil {
		t.Fatal(err)
	}
	f := newFront(t)
	path := filepath.Join(dir, "announce.sock")
	socket, err := net.ListenPacket("unixgram", path)
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close()
	raw, err := socket.(*net.UnixConn).File()
	if err != nil {
		t.Fatal(err)
	}
	defer raw.Close()
	options := []string{"http-subscription-server = " + path, "subscriptions-credentials-check = " + dir + "/"}
	if err := f.configure(options...); err != nil {
		t.Fatal(err)
	}
	to, err := net.Dial("unixgram", path)
	if err != nil {
		t.Fatal(err)
	}
	defer to.Close()
	a := node(t, "uwsgi", "A")
	say := func(p subscription.Packet) {
		t.Helper()
		if _, err := to.Write(p.Append(nil)); err != nil {
			t.Fatal(err)
		}
	}
	// Of what comes before we ask, the kernel says that nobody has sent it.
	say(subscription.Packet{Key: "early", Node: subscription.Node{Address: a.address}})
	fd, err := unix.Dup(int(raw.Fd()))
	if err != nil {
		t.Fatal(err)
	}
	l, err := openDatagrams(link.Listener{Option: optionSubscriptions, Address: path, Datagrams: true}, fd)
	if err != nil {
		t.Fatal(err)
	}
	var receiving sync.WaitGroup
	receiving.Go(func() { l.receive(f.Router) })
	defer receiving.Wait()
	defer func() { _ = l.datagrams.Close() }()

	told := filepath.Join(dir, "told.sock")
	ears, err := net.ListenPacket("unixgram", told)
	if err != nil {
		t.Fatal(err)
	}
	defer ears.Close()
	say(subscription.Packet{Key: "other", Node: subscription.Node{Address: a.address}})
	say(subscription.Packet{Key: "k.test", Notify: told, Node: subscription.Node{Address: a.address}})
	b := make([]byte, 200)
	_ = ears.SetReadDeadline(time.Now().Add(patience))
	n, _, err := ears.ReadFrom(b)
	if want := "[subscription ack] k.test => new node: " + a.address; err != nil || string(b[:n]) != want {
		t.Errorf("told %q, %v; want %q", b[:n], err, want)
	}
	if got := f.names(wanted, 1) + f.names(get("other"), 1) + f.names(get("early"), 1); got != "A(404)(404)" {
		t.Error(got)
	}
	if text, err := json.Marshal(f.figures()); !strings.Contains(string(text), fmt.Sprintf(`"pid":%d`, os.Getpid())) {
		t.Errorf("the figures do not tell who announced it: %s %v", text, err)
	}
	// What came by another way is not believed, also not to withdraw.
	f.withdraw("k.test", a)
	// Nor is who does not own the file any more.
	if got := f.names(wanted, 1); got != "A" {
		t.Errorf("withdrawn by somebody: %s", got)
	}
	if err := os.Chown(filepath.Join(dir, "k.test"), os.Getuid()+1, -1); err != nil {
		t.Fatal(err)
	}
	if err := f.configure(options...); err != nil {
		t.Fatal(err)
	}
	say(subscription.Packet{Key: "k.test", Node: subscription.Node{Address: a.address}})
	eventually(t, "two refusals", func() bool { return strings.Count(f.log.String(), "do not own the file") == 2 })
	if got := f.names(wanted, 1); got != "(404)" {
		t.Errorf("the file is somebody else's: %s", got)
	}
}

func TestExplainAnnounced(t *testing.T) {
	c := &link.Configuration{Options: []link.Option{{Key: optionSubscriptions, Value: "127.0.0.1:7000"}, {Key: "http-to", Value: "/x"}}}
	text, err := Explain(c, nil, Asking{}, "GET", "http://k.test/")
	if err != nil || !strings.Contains(text, "announced themselves for k.test") {
		t.Errorf("%s %v", text, err)
	}
}
