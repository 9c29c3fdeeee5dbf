package router

import (
	"strings"
	"testing"
	"time"

	"emperor/internal/link"
)

// announcing is a row of a vassal that announces itself for keys to 127.0.0.1:7000.
func announcing(r link.Vassal, keys ...string) link.Vassal {
	for _, key := range keys {
		r.Announces = append(r.Announces, link.Announcement{Server: "127.0.0.1:7000", Key: key})
	}
	return r
}

// waits asks, and returns when the request waits.
func (f *front) waits(request string) (answer chan string) {
	f.t.Helper()
	answer = make(chan string, 1)
	go func() { answer <- f.names(request, 1) }()
	eventually(f.t.(*testing.T), "the request waits", func() bool { return f.table.held.Load() == 1 })
	return answer
}

// TestSleepingAnnouncer: a vassal that would announce itself for a host is woken by a
// request for it, and has the request once it has announced itself. Others are better
// than 404, and worse than who serves the host now.
func TestSleepingAnnouncer(t *testing.T) {
	f := announced(t, "subscription-dotsplit = true", "http-subscription-fallback-key = rest")
	woken := make(chan string, 10)
	f.table.wake = func(name string) { woken <- name }
	a, b := node(t, "uwsgi", "A"), node(t, "uwsgi", "B")
	f.vassals(announcing(row("app", 0, link.Asleep, a), "K.test", ".wild.test"))
	if got := f.names(get("other.test"), 1); got != "(404)" {
		t.Errorf("a host of nobody: %s", got)
	}
	for _, request := range []string{wanted, get("a.wild.test")} {
		answer := f.waits(request)
		if name := <-woken; name != "app" {
			t.Errorf("%s was woken", name)
		}
		f.vassals(announcing(row("app", 1, link.Starting, a), "K.test", ".wild.test"))
		f.vassals(announcing(row("app", 1, link.Ready, a), "K.test", ".wild.test"))
		eventually(t, "it has not announced itself, and the request waits", func() bool { return f.table.held.Load() == 1 && f.table.site("app").held.Load() == 0 })
		if len(answer) > 0 {
			t.Fatalf("it has not announced itself, and the answer is %s", <-answer)
		}
		f.announce("k.test", a)
		f.announce(".wild.test", a)
		if got := <-answer; got != "A" {
			t.Errorf("%s", got)
		}
		f.later.Add(int64(time.Hour)) // its node is forgotten
		f.announced.Expire()
		f.vassals(announcing(row("app", 1, link.Asleep, a), "K.test", ".wild.test"))
	}

	// Nodes of a key that is less exact, or only stands in, do not come first.
	f.announce("rest", b)
	answer := f.waits(wanted)
	f.vassals(announcing(row("app", 2, link.Ready, a), "k.test"))
	f.announce("k.test", a)
	if got := <-answer; got != "A" {
		t.Errorf("beside the fallback: %s", got)
	}
	f.later.Add(int64(time.Hour))
	f.announced.Expire()
	f.announce("rest", b)
	f.vassals(announcing(row("app", 2, link.Stopped, a), "k.test"))
	if got := f.names(wanted, 1); got != "B" {
		t.Errorf("it is stopped, and there is a fallback: %s", got)
	}
	f.later.Add(int64(time.Hour))
	f.announced.Expire()
	if got := f.names(wanted, 1); got != "(503)" {
		t.Errorf("it is stopped: %s", got)
	}
	// One that runs, and has said nothing for a while, announces something else.
	f.vassals(announcing(row("new", 1, link.Ready, a), "mute.test"))
	f.table.site("new").current.Load().since = time.Now().Add(-2 * returning)
	f.announce("rest", b)
	if got := f.names(get("mute.test"), 1); got != "B" {
		t.Errorf("it is mute: %s", got)
	}
	f.vassals(link.Vassal{Name: "new", Removed: true}, link.Vassal{Name: "app", Removed: true})
	if n := len(f.table.byKey); n > 0 {
		t.Errorf("%d keys of vassals that are gone", n)
	}
}

// TestAnnouncerWithoutWord: one that is woken and does not announce itself.
func TestAnnouncerWithoutWord(t *testing.T) {
	f := announced(t, "http-hold-timeout = 1")
	a := node(t, "uwsgi", "A")
	f.vassals(announcing(row("app", 1, link.Ready, a), "k.test"))
	if got := f.names(wanted, 1); got != "(503)" {
		t.Errorf("%s", got)
	}
	if !strings.Contains(f.log.String(), "the vassal runs, but has not announced itself") {
		t.Error("nothing is said of it")
	}
}

func TestHears(t *testing.T) {
	for _, test := range []struct {
		server, address string
		want            bool
	}{
		{"127.0.0.1:7000", "127.0.0.1:7000", true},
		{"127.0.0.1:7000", "127.0.0.1:7001", false},
		{"127.0.0.1:7000", "10.0.0.1:7000", false},
		{"localhost:7000", "127.0.0.1:7000", true},
		{"0.0.0.0:7000", "127.0.0.1:7000", true},
		{":7000", "10.0.0.1:7000", true},
		{"[::]:7000", "127.0.0.1:7000", true},
		{"/run/nodes.sock", "/run/nodes.sock", true},
		{"/run/nodes.sock", "/run/other.sock", false},
		{"/run/nodes.sock", "127.0.0.1:7000", false},
	} {
		s := subscriptions{servers: []announcementServer{{text: test.server, at: announcedTo(test.server)}}}
		if got := s.hears(test.address); got != test.want {
			t.Errorf("%s, told to %s: %t", test.server, test.address, got)
		}
	}
}

func TestExplainAnnouncer(t *testing.T) {
	c := &link.Configuration{Options: []link.Option{{Key: optionSubscriptions, Value: "127.0.0.1:7000"}}}
	text, err := Explain(c, []link.Vassal{announcing(link.Vassal{Name: "app"}, "K.test")}, Asking{}, "GET", "http://k.test/")
	if err != nil || !strings.Contains(text, "vassal app announces itself for it") {
		t.Errorf("%s %v", text, err)
	}
}
