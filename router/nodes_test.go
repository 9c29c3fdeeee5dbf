package router

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"emperor/internal/link"
	"emperor/internal/testport"
)

// deadPort is a TCP address at which nobody listens, and nobody will: the kernel gives
// its port to no other test.
func deadPort(t *testing.T) string {
	t.Helper()
	return "127.0.0.1:" + testport.Free(t)
}

// node is a vassal that answers with its name.
func node(t *testing.T, protocol, name string) *vassal {
	t.Helper()
	return newVassal(t, protocol, "unix", filepath.Join(t.TempDir(), name), func(c *call) {
		c.readBody()
		c.say(fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(name), name))
	})
}

// names asks n times and returns who answered, one letter each.
func (f *front) names(request string, n int) string {
	f.t.Helper()
	var names strings.Builder
	for range n {
		r := f.ask(request)
		if r.StatusCode == 200 {
			names.WriteString(r.text)
		} else {
			fmt.Fprintf(&names, "(%d)", r.StatusCode)
		}
	}
	return names.String()
}

// TestDeadNode: rows 43 to 46: an address that can't be reached, of any kind, costs
// nobody a request: the next one answers, it is passed over for http-gracetime, and
// then tried once. That is said once.
func TestDeadNode(t *testing.T) {
	dir := t.TempDir()
	stale := newVassal(t, "uwsgi", "unix", dir+"/stale", nil)
	stale.stop()
	if err := os.WriteFile(dir+"/file", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	a, b := node(t, "uwsgi", "a"), node(t, "uwsgi", "b")
	for name, dead := range map[string]string{
		"TCP": deadPort(t), "stale socket": stale.address, "missing socket": dir + "/missing", "missing folder": "/nowhere/at/all", "a file": dir + "/file",
		"abstract": "@nobody" + dir, "an unknown name": "host.invalid:1",
	} {
		t.Run(name, func(t *testing.T) {
			for _, options := range [][]string{
				{"http-to = " + a.address, "http-to = " + dead, "http-to = " + b.address, "http-gracetime = 3", "resolver = 127.0.0.1:1"},
				{"route-run = uwsgi:" + a.address + "|" + dead + "|" + b.address + ",0,0", "http-gracetime = 3", "resolver = 127.0.0.1:1"},
			} {
				f := newFront(t, options...)
				if got := f.names("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc", 12); strings.Count(got, "a") < 5 || strings.Count(got, "b") < 5 || len(got) != 12 {
					t.Errorf("%s answered", got)
				}
				said := func() int { return strings.Count(f.log.String(), "an address is passed over") }
				if said() != 1 || !strings.Contains(f.log.String(), "address=uwsgi:"+dead) {
					t.Errorf("said %d times:\n%s", said(), f.log)
				}
				f.later.Store(int64(3500 * time.Millisecond))
				if got := f.names(get("h"), 4); strings.Count(got, "a")+strings.Count(got, "b") != 4 || said() != 2 {
					t.Errorf("after its grace: %s answered, said %d times in all", got, said())
				}
				f.Close()
			}
		})
	}
}

// TestNodeThatIsNoAddress: what a visitor makes of a rule's address may be none; the
// others are not his to spoil.
func TestNodeThatIsNoAddress(t *testing.T) {
	a := node(t, "uwsgi", "a")
	f := newFront(t, `route-host = ^(.+)$ uwsgi:`+filepath.Dir(a.address)+`/$1|`+a.address+`,0,0`)
	if got := f.names(get(strings.Repeat("long", 40)), 3); got != "aaa" {
		t.Errorf("%s answered", got)
	}
}

// TestNodeComesBack: after its grace a node that answers again is used again, also
// when all were dead meanwhile, and after a reload in between.
func TestNodeComesBack(t *testing.T) {
	dir := t.TempDir()
	options := []string{"http-to = " + dir + "/a", "http-to = " + dir + "/b", "http-gracetime = 10"}
	f := newFront(t, options...)
	if got := f.names(get("h"), 2); got != "(502)(502)" {
		t.Errorf("%s with both dead", got)
	}
	start := func(name string) *vassal {
		return newVassal(t, "uwsgi", "unix", dir+"/"+name, answering("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n"+name))
	}
	b := start("b")
	// Trying costs less than an error that may not be needed: nobody waits for b's
	// grace as long as nothing else answers.
	if got := f.names(get("h"), 4); got != "bbbb" {
		t.Errorf("%s with one back", got)
	}
	start("a")
	if err := f.configure(append(options, "http-timeout = 7")...); err != nil {
		t.Fatal(err)
	}
	if got := f.names(get("h"), 4); got != "bbbb" {
		t.Errorf("%s before the other's grace is over", got)
	}
	f.later.Store(int64(time.Minute))
	eventually(t, "the address to be tried, and to count as working", func() bool {
		f.names(get("h"), 1)
		return strings.Contains(f.log.String(), `msg="an address works again" address=uwsgi:`+dir+"/a")
	})
	if got := f.names(get("h"), 4); strings.Count(got, "a") != 2 || strings.Count(got, "b") != 2 {
		t.Errorf("%s with both back", got)
	}
	b.stop()
	if got := f.names(get("h"), 4); got != "aaaa" {
		t.Errorf("%s with b dead again", got)
	}
}

// TestNodeServesBesideADownload: a node that is back has its share while the request
// that found out still goes on.
func TestNodeServesBesideADownload(t *testing.T) {
	for _, protocol := range []string{"uwsgi", "http"} {
		t.Run(protocol, func(t *testing.T) {
			dir := t.TempDir()
			slow := func(c *call) {
				if c.vars["PATH_INFO"] == "/slow" || strings.HasPrefix(c.head, "GET /slow ") {
					_, _ = c.in.ReadByte() // until the client goes
					return
				}
				c.say("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\na")
			}
			b := newVassal(t, protocol, "unix", dir+"/b", answering("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nb"))
			f := newFront(t, "http-to = "+dir+"/a", "http-to = "+b.address, "http-backend-http = "+fmt.Sprint(protocol == "http"))
			if got := f.names(get("h"), 2); got != "bb" {
				t.Errorf("%s with a dead", got)
			}
			a := newVassal(t, protocol, "unix", dir+"/a", slow)
			f.later.Store(int64(time.Minute))
			var visitors []*visitor
			for range 2 { // one of them finds out
				visitor := f.visit()
				visitor.send("GET /slow HTTP/1.1\r\nHost: h\r\n\r\n")
				visitors = append(visitors, visitor)
			}
			eventually(t, "the download to begin", func() bool { return len(a.calls()) == 1 })
			if got := f.names(get("h"), 8); strings.Count(got, "a") < 3 || strings.Count(got, "b") < 3 {
				t.Errorf("%s beside a download", got)
			}
			for _, visitor := range visitors {
				_ = visitor.Close()
			}
		})
	}
}

// TestFallback: row 47, in the order of the lines, as long as no http-to address
// works, and not longer.
func TestFallback(t *testing.T) {
	dir := t.TempDir()
	d, e := node(t, "uwsgi", "d"), node(t, "uwsgi", "e")
	f := newFront(t, "http-to = "+dir+"/a", "http-to = "+dir+"/b", "http-gracetime = 10",
		"http-fallback = /nowhere/1", "http-fallback = /nowhere/2", "http-fallback = /nowhere/3", "http-fallback = "+d.address, "http-fallback = "+e.address)
	if got := f.names("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n\r\nx", 6); got != "dddddd" {
		t.Errorf("%s answered", got)
	}
	d.stop()
	if got := f.names(get("h"), 3); got != "eee" {
		t.Errorf("%s answered without d", got)
	}
	newVassal(t, "uwsgi", "unix", dir+"/a", answering("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\na"))
	f.later.Store(int64(time.Minute))
	if got := f.names(get("h"), 1); got != "a" {
		t.Errorf("%s answered with a back", got)
	}
	// It has all of them again once the one that tried it has ended.
	eventually(t, "the address to count as working", func() bool {
		return strings.Contains(f.log.String(), `msg="an address works again" address=uwsgi:`+dir+"/a")
	})
	if got := f.names(get("h"), 2); got != "aa" {
		t.Errorf("%s answered then", got)
	}
}

// TestShares: weight= and backup, and the algorithms by the names of uWSGI.
func TestShares(t *testing.T) {
	a, b, c := node(t, "uwsgi", "a"), node(t, "uwsgi", "b"), node(t, "uwsgi", "c")
	share := func(options ...string) string {
		f := newFront(t, options...)
		defer f.Close()
		got := f.names(get("h"), 12)
		return fmt.Sprintf("a%d b%d c%d", strings.Count(got, "a"), strings.Count(got, "b"), strings.Count(got, "c"))
	}
	to := func(v *vassal, more string) string { return "http-to = " + v.address + more }
	for _, test := range []struct {
		options []string
		want    string
	}{
		{[]string{to(a, ""), to(b, ""), to(c, "")}, "a4 b4 c4"},
		{[]string{to(a, " weight=3"), to(b, ""), to(c, " backup")}, "a9 b3 c0"},
		{[]string{to(a, " backup"), "http-to = /nowhere", to(c, " backup weight=2")}, "a4 b0 c8"},
		{[]string{to(a, ""), to(b, ""), to(c, ""), "http-balance = iphash"}, "a0 b0 c12"},
		{[]string{"route-run = uwsgi:" + a.address + "|" + c.address + ",0,0"}, "a6 b0 c6"},
		{[]string{`route-host = ^(.)$ uwsgi:` + filepath.Dir(a.address) + `/$1|` + filepath.Dir(a.address) + `/a,0,0`}, "a12 b0 c0"}, // /h is nobody
	} {
		if got := share(test.options...); got != test.want {
			t.Errorf("%q: %s, want %s", test.options, got, test.want)
		}
	}
	f := newFront(t)
	for option, want := range map[string]string{
		"http-balance = fastest":    "http-balance",
		"http-to = /a weight=0":     "weight=1 to 1000",
		"http-to = /a heavy":        `got "heavy"`,
		"http-to = 127.0.0.1:99999": "port",
	} {
		if err := f.configure(option); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "uwsgi.ini:3") {
			t.Errorf("%s: %v, want %s", option, err, want)
		}
	}
}

// TestLeastBusyNode: with lrc a node that is slow gets no more requests than it
// works on.
func TestLeastBusyNode(t *testing.T) {
	release := make(chan struct{})
	slow := uwsgiVassal(t, func(c *call) {
		select {
		case <-release:
		case <-time.After(patience):
		}
		c.say(okResponse)
	})
	fast := node(t, "uwsgi", "f")
	f := newFront(t, "http-balance = lrc", "http-to = "+slow.address, "http-to = "+fast.address)
	waiting := f.visit()
	waiting.send(get("h"))
	eventually(t, "the slow one to have a request", func() bool { return len(slow.calls()) == 1 })
	for range 10 {
		if got := f.names(get("h"), 1); got != "f" {
			t.Errorf("%s answered", got)
		}
		eventually(t, "the request to be counted out", func() bool { return f.Count().InFlight == 1 })
	}
	close(release)
	waiting.want("GET", 200, "ok")
}

// TestVisitorStays: iphash goes by the visitor, whom a trusted proxy names.
func TestVisitorStays(t *testing.T) {
	a, b := node(t, "uwsgi", "a"), node(t, "uwsgi", "b")
	f := newFront(t, "http-balance = iphash", "http-to = "+a.address, "http-to = "+b.address)
	seen := map[string]bool{}
	for i := range 8 {
		got := f.names(fmt.Sprintf("GET / HTTP/1.1\r\nHost: h\r\nX-Forwarded-For: %d.0.0.1\r\n\r\n", i+1), 3)
		if got != "aaa" && got != "bbb" {
			t.Errorf("visitor %d: %s", i, got)
		}
		seen[got] = true
	}
	if len(seen) != 2 {
		t.Errorf("all visitors are at one address: %v", seen)
	}
}

// TestRepeating: what may be sent again, and to whom. Where nothing was sent,
// everything may; where a node may have worked on it, only what does no harm twice;
// a body that has been streamed is gone.
func TestRepeating(t *testing.T) {
	small := "Content-Length: 3\r\n\r\nabc"
	large := fmt.Sprintf("Content-Length: %d\r\n\r\n%s", 100_000, pattern(100_000))
	chunked := fmt.Sprintf("Transfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n", 100_000, pattern(100_000))
	for _, protocol := range []string{"uwsgi", "http"} {
		for _, test := range []struct {
			name, request string
			dead, silent  bool // answered although the first node is dead, although it closes without a word
		}{
			{"GET", get("h"), true, true},
			{"PUT", "PUT / HTTP/1.1\r\nHost: h\r\n" + small, true, true},
			{"POST", "POST / HTTP/1.1\r\nHost: h\r\n" + small, true, false},
			{"large POST", "POST / HTTP/1.1\r\nHost: h\r\n" + large, true, false},
			{"large PUT", "PUT / HTTP/1.1\r\nHost: h\r\n" + large, true, false},
			{"PATCH", "PATCH / HTTP/1.1\r\nHost: h\r\n" + small, true, false},
			{"POST in chunks", "POST / HTTP/1.1\r\nHost: h\r\n" + chunked, true, false},
			{"PUT in chunks", "PUT / HTTP/1.1\r\nHost: h\r\n" + chunked, true, protocol == "uwsgi"}, // spooled, because uwsgi wants the length
		} {
			t.Run(protocol+"/"+test.name, func(t *testing.T) {
				var asked atomic.Int64
				silent := newVassal(t, protocol, "unix", filepath.Join(t.TempDir(), "v"), func(c *call) {
					c.readBody()
					asked.Add(1)
					c.hangUp = true
				})
				good := newVassal(t, protocol, "unix", filepath.Join(t.TempDir(), "v"), echo)
				kind := protocol + ":%s|%s"
				if protocol == "uwsgi" {
					kind += ",0,0"
				}
				want := func(f *front, ok bool) {
					t.Helper()
					r := f.ask(test.request)
					if ok != (r.StatusCode == 200) || !ok && r.StatusCode != 502 {
						t.Errorf("got %d %q, answered should be %v", r.StatusCode, cut(r.text), ok)
					}
				}
				f := newFront(t, "route-run = "+fmt.Sprintf(kind, "/nowhere", good.address))
				want(f, test.dead)
				f.Close()
				f = newFront(t, "route-run = "+fmt.Sprintf(kind, silent.address, good.address))
				want(f, test.silent)
				if n := asked.Load(); n != 1 {
					t.Errorf("the first node was asked %d times", n)
				}
				got := good.calls()
				if n := len(got); n != map[bool]int{false: 1, true: 2}[test.silent] {
					t.Errorf("the second node was asked %d times in all", n)
				}
				good.stop()
				for _, c := range got {
					if len(c.body) > 3 && string(c.body) != string(pattern(100_000)) {
						t.Error("the body is not what was sent")
					}
				}
			})
		}
	}
}

// TestRepeatedAtTheOnlyNode: where the others are dead, a request that may be
// repeated is repeated at the node that closed without a word, once.
func TestRepeatedAtTheOnlyNode(t *testing.T) {
	var asked atomic.Int64
	v := uwsgiVassal(t, func(c *call) {
		if asked.Add(1) > 1 {
			c.say(okResponse)
		}
	})
	f := newFront(t, "route-run = uwsgi:/nowhere|"+v.address+",0,0")
	if r := f.ask(get("h")); r.StatusCode != 200 {
		t.Errorf("got %d", r.StatusCode)
	}
	if n := asked.Load(); n != 2 {
		t.Errorf("asked %d times", n)
	}
}

// TestBusyNode: a node whose queue is full is busy, not broken: it is waited for as
// long as connecting may take, then another is asked, and it is not passed over.
func TestBusyNode(t *testing.T) {
	t.Parallel() // it waits
	v := node(t, "uwsgi", "a")
	f := newFront(t, "http-to = "+busySocket(t), "http-to = "+v.address)
	f.adjust(func(s *Settings) { s.connectTimeout = time.Second })
	if got := f.names(get("h"), 2); got != "aa" {
		t.Errorf("%s answered", got)
	}
	if strings.Contains(f.log.String(), "passed over") {
		t.Errorf("busy is taken for broken:\n%s", f.log)
	}
}

// TestVassalAsNode: an address of a group that is a vassal's means that vassal. It
// is held during a hand-over, skipped while it is not ready as long as another can
// answer, and waited for when none can.
func TestVassalAsNode(t *testing.T) {
	a, b := node(t, "uwsgi", "a"), node(t, "http", "b")
	f := newFront(t, "http-to = "+a.address, "http-to = "+b.address)
	f.vassals(row("a", 1, link.Ready, a), row("b", 1, link.Ready, b)) // b speaks HTTP, whatever http-to says
	if got := f.names(get("h"), 4); strings.Count(got, "a") != 2 || strings.Count(got, "b") != 2 {
		t.Errorf("%s answered", got)
	}
	for _, state := range []link.State{link.Starting, link.Stopped, link.Failed} {
		f.vassals(row("a", 2, state, a))
		if got := f.names("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n\r\nx", 4); got != "bbbb" {
			t.Errorf("%s answered while a is %s", got, state)
		}
	}
	if strings.Contains(f.log.String(), "passed over") {
		t.Errorf("what the emperor knows better is taken for a failure:\n%s", f.log)
	}

	// None is ready: one is waited for.
	f.vassals(row("a", 3, link.Starting, a), row("b", 3, link.Starting, b))
	waiting := f.visit()
	waiting.send(get("h"))
	eventually(t, "the request to wait", func() bool { return f.table.held.Load() == 1 })
	f.vassals(row("a", 3, link.Ready, a), row("b", 3, link.Ready, b))
	waiting.want("GET", 200, "*")

	// Both hand over: the request is held at the gate, and not lost.
	f.Hold("a")()
	f.Hold("b")()
	waiting.send(get("h"))
	before := len(a.calls()) + len(b.calls())
	f.Release("a")
	f.Release("b")
	waiting.want("GET", 200, "*")
	if n := len(a.calls()) + len(b.calls()); n != before+1 {
		t.Errorf("%d requests arrived, want 1", n-before)
	}

	// Both gone: who waited is told.
	f.vassals(row("a", 4, link.Stopped, a), row("b", 4, link.Stopped, b))
	waiting.send(get("h"))
	waiting.want("GET", 503, "*")
	f.wantIdle(t)
}

// TestFullVassalAsNode: a vassal that is at its limit is busy; another answers, and
// when all are at their limit the client is told to come back.
func TestFullVassalAsNode(t *testing.T) {
	release := make(chan struct{})
	blocking := func(c *call) {
		<-release
		c.say(okResponse)
	}
	a, b := uwsgiVassal(t, blocking), uwsgiVassal(t, blocking)
	f := newFront(t, "http-to = "+a.address, "http-to = "+b.address, "http-limit-vassal = 1", "http-limit-vassal-queue = 0")
	f.vassals(row("a", 1, link.Ready, a), row("b", 1, link.Ready, b))
	var busy []*visitor
	for range 2 {
		visitor := f.visit()
		visitor.send(get("h"))
		busy = append(busy, visitor)
	}
	eventually(t, "both to be busy", func() bool { return len(a.calls()) == 1 && len(b.calls()) == 1 })
	if r := f.ask(get("h")); r.StatusCode != 503 || r.Header.Get("Retry-After") == "" {
		t.Errorf("got %d %v", r.StatusCode, r.Header)
	}
	close(release)
	for _, visitor := range busy {
		visitor.want("GET", 200, "ok")
	}
	if r := f.ask(get("h")); r.StatusCode != 200 {
		t.Errorf("afterwards: %d", r.StatusCode)
	}
	if strings.Contains(f.log.String(), "passed over") {
		t.Errorf("busy is taken for broken:\n%s", f.log)
	}
	f.wantIdle(t)
}
