package router

import (
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"emperor/internal/link"
)

// TestPooling: which connection to an HTTP vassal carries which request.
func TestPooling(t *testing.T) {
	answer := okResponse
	hangUp := false
	var mu sync.Mutex
	script := func(text string, after bool) {
		mu.Lock()
		defer mu.Unlock()
		answer, hangUp = text, after
	}
	v := httpVassal(t, func(c *call) {
		c.readBody()
		mu.Lock()
		defer mu.Unlock()
		c.hangUp = hangUp
		c.say(answer)
	})
	f := newFront(t, "route-run = vassal:v")
	f.vassals(row("v", 1, link.Ready, v))
	visitor := f.visit()
	connections := int64(0)
	ask := func(what, request string, fresh bool) {
		t.Helper()
		if fresh {
			connections++
		}
		visitor.send(request)
		visitor.want(request[:strings.IndexByte(request, ' ')], 200, "*")
		if n := v.accepted.Load(); n != connections {
			t.Errorf("%s: %d connections so far, want %d", what, n, connections)
			connections = n
		}
	}
	age := func(d time.Duration) { // what is idle has been for d
		t.Helper()
		eventually(t, "the connection to be given back", func() bool { return f.Count().InFlight == 0 })
		f.later.Add(int64(d))
	}
	const post = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx"
	ask("first", get("a"), true)
	ask("kept", get("a"), false)
	ask("POST after a moment", post, false)
	age(2 * time.Second)
	ask("POST after a while", post, true)
	age(2 * time.Second)
	ask("GET after a while", get("a"), false)
	age(time.Minute)
	ask("GET after a minute", get("a"), true)
	ask("HEAD", "HEAD / HTTP/1.1\r\nHost: a\r\n\r\n", false)
	script("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok", true)
	ask("the vassal will close", get("a"), true) // HEAD's connection has "ok" on it: not used
	ask("and has closed", get("a"), true)
	script(okResponse, true)
	ask("closes without saying so", get("a"), true)
	eventually(t, "the vassal to have closed", func() bool {
		v.mu.Lock()
		defer v.mu.Unlock()
		return len(v.conns) <= 2
	})
	ask("stale", get("a"), true)
	script("HTTP/1.1 200 OK\r\nKeep-Alive: timeout=10\r\nContent-Length: 2\r\n\r\nok", false)
	eventually(t, "the vassal to have closed", func() bool {
		v.mu.Lock()
		defer v.mu.Unlock()
		return len(v.conns) <= 2
	})
	ask("one that may wait for ten seconds", get("a"), true)
	ask("at once", get("a"), false)
	age(10 * time.Second)
	script(okResponse, false)
	ask("too late for it", get("a"), true)
	script(okResponse+"rest", false)
	ask("with bytes behind", get("a"), false)
	script(okResponse, false)
	ask("after them", get("a"), true)
	f.vassals(row("v", 2, link.Ready, v))
	ask("another generation", get("a"), true)
	ask("kept again", get("a"), false)
	f.Drained("v", 2, nil)
	ask("the new one's are not drained", get("a"), false)
	f.vassals(row("v", 2, link.Ready, v)) // another message about the same generation
	ask("the same generation", get("a"), false)
}

// TestVassalKeepAlive: for as long as http-vassal-keepalive says, unless the vassal
// wants less.
func TestVassalKeepAlive(t *testing.T) {
	var keepAlive atomic.Value
	v := httpVassal(t, func(c *call) {
		c.say("HTTP/1.1 200 OK\r\n" + keepAlive.Load().(string) + "Content-Length: 2\r\n\r\nok")
	})
	f := newFront(t, "route-run = http:"+v.address)
	for _, test := range []struct {
		option, keepAlive string
		age               time.Duration
		kept              bool
	}{
		{"http-vassal-keepalive = 5", "", 2 * time.Second, true},
		{"http-vassal-keepalive = 5", "", 6 * time.Second, false},
		{"http-vassal-keepalive = 90", "", time.Minute, true},
		{"http-vassal-keepalive = 90", "Keep-Alive: timeout=10\r\n", 5 * time.Second, true},
		{"http-vassal-keepalive = 90", "Keep-Alive: timeout=10\r\n", 10 * time.Second, false},
		{"http-vassal-keepalive = 0", "", 0, false},
	} {
		if err := f.configure("route-run = http:"+v.address, test.option); err != nil {
			t.Fatal(err)
		}
		f.later.Add(int64(time.Hour)) // what the test before has left
		keepAlive.Store(test.keepAlive)
		f.names(get("a"), 1)
		eventually(t, "the connection to be given back", func() bool { return f.Count().InFlight == 0 })
		before := v.accepted.Load()
		f.later.Add(int64(test.age))
		f.names(get("a"), 1)
		if kept := v.accepted.Load() == before; kept != test.kept {
			t.Errorf("%+v: kept is %v", test, kept)
		}
		eventually(t, "the request to end", func() bool { return f.Count().InFlight == 0 })
	}
}

// TestStaleConnections: the vassal restarts under 32 kept connections; requests
// that may be repeated do not fail.
func TestStaleConnections(t *testing.T) {
	path := t.TempDir() + "/v.sock"
	v := newVassal(t, "http", "unix", path, echo)
	f := newFront(t, "route-run = http:"+path)
	var visitors []*visitor
	for range 32 {
		visitor := f.visit()
		visitors = append(visitors, visitor)
		visitor.wantAlive("a")
	}
	for range 5 {
		var clients sync.WaitGroup
		for _, visitor := range visitors {
			clients.Go(func() { visitor.wantAlive("a") })
		}
		clients.Wait()
		v.stop()
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		v = newVassal(t, "http", "unix", path, echo)
	}
}

// TestTimeouts: each says what it is.
func TestTimeouts(t *testing.T) {
	t.Parallel() // it waits
	busy := busySocket(t)
	f := newFront(t, "route-host = ^busy$ uwsgi:"+busy+",0,0", "route-host = ^http$ http:"+busy)
	f.adjust(func(s *Settings) { s.connectTimeout = time.Second })
	for _, host := range []string{"busy", "http"} {
		if r := f.ask(get(host)); r.StatusCode != 504 || r.text != "this site took too long to answer\n" {
			t.Errorf("%s: got %d %q, want 504", host, r.StatusCode, r.text)
		}
	}
	if !strings.Contains(f.log.String(), "no connection within http-connect-timeout") {
		t.Error("the log does not say what took too long")
	}
}

// TestIdleConnectionsEnd after http-keepalive seconds, and hold no buffers until
// then.
func TestIdleConnectionsEnd(t *testing.T) {
	t.Parallel() // it waits
	v := uwsgiVassal(t, answering(okResponse))
	f := newFront(t, "http-to = "+v.address, "http-keepalive = 2")
	if f.current().clientIdle != 2*time.Second {
		t.Errorf("http-keepalive = 2 means %v", f.current().clientIdle)
	}
	var visitors []*visitor
	for range 50 {
		visitor := f.visit()
		visitor.wantAlive("a")
		visitors = append(visitors, visitor)
	}
	eventually(t, "every buffer to be back", func() bool {
		f.mu.Lock()
		defer f.mu.Unlock()
		for c := range f.clients {
			if !c.idle.Load() {
				return false
			}
		}
		return true
	})
	f.exchanges.mu.Lock()
	if n := len(f.exchanges.kept); n > 50 {
		t.Errorf("%d exchanges for one request at a time", n)
	}
	f.exchanges.mu.Unlock()
	for _, visitor := range visitors {
		visitor.wantEnd()
	}
}

// TestDefaultsTakeTurns: rows 45 and 46. The one that is dead is passed over, is
// said to be once, and is tried again when its time is over.
func TestDefaultsTakeTurns(t *testing.T) {
	a := uwsgiVassal(t, answering("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\na"))
	b := uwsgiVassal(t, answering("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nb"))
	dead := uwsgiVassal(t, nil)
	dead.stop()
	f := newFront(t, "http-to = "+a.address, "http-to = "+dead.address, "http-to = "+b.address)
	var clients sync.WaitGroup
	for range 8 {
		clients.Go(func() {
			visitor := f.visit()
			for range 50 {
				visitor.wantAlive("x")
			}
		})
	}
	clients.Wait()
	if na, nb := len(a.calls()), len(b.calls()); na+nb != 400 || na < 100 || nb < 100 {
		t.Errorf("a got %d, b got %d", na, nb)
	}
	if n := strings.Count(f.log.String(), "is passed over"); n != 1 || !strings.Contains(f.log.String(), dead.address) {
		t.Errorf("it was said %d times", n)
	}
	if err := os.Remove(dead.address); err != nil {
		t.Fatal(err)
	}
	back := newVassal(t, "uwsgi", "unix", dead.address, answering(okResponse))
	f.later.Store(int64(time.Hour)) // its time is over
	eventually(t, "the one that is back to get requests", func() bool {
		f.ask(get("x"))
		return len(back.calls()) > 0
	})
}

// TestDefaultsAllDead: row 47, and that an address alone is tried whatever
// happened before.
func TestDefaultsAllDead(t *testing.T) {
	a := uwsgiVassal(t, answering(okResponse))
	dead := uwsgiVassal(t, nil)
	dead.stop()
	f := newFront(t, "http-to = "+dead.address, "http-fallback = "+a.address)
	for range 5 {
		if r := f.ask(get("x")); r.StatusCode != 200 {
			t.Errorf("with a fallback: %d", r.StatusCode)
		}
	}
	if err := f.configure("http-to = " + dead.address); err != nil {
		t.Fatal(err)
	}
	if r := f.ask(get("x")); r.StatusCode != 502 {
		t.Errorf("without: %d", r.StatusCode)
	}
	if err := os.Remove(dead.address); err != nil {
		t.Fatal(err)
	}
	newVassal(t, "uwsgi", "unix", dead.address, answering(okResponse))
	if r := f.ask(get("x")); r.StatusCode != 200 {
		t.Errorf("the only one is back: %d", r.StatusCode)
	}
}
