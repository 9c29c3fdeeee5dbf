package router

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"emperor/internal/link"
)

// TestHoldAndRelease: between the end of Hold's wait and Release no request
// reaches the vassal, and none fails.
func TestHoldAndRelease(t *testing.T) {
	var closed atomic.Bool
	both(t, func(c *call) {
		if closed.Load() {
			t.Error("a request reached the vassal while it was held back")
		}
		echo(c)
	}, func(t *testing.T, f *front, v *vassal) {
		var clients sync.WaitGroup
		over := make(chan struct{})
		var answered atomic.Int64
		for i := range 8 {
			visitor := f.visit()
			clients.Go(func() {
				for n := 0; ; n++ {
					select {
					case <-over:
						return
					default:
					}
					text := fmt.Sprintf("%d-%d", i, n)
					visitor.send(fmt.Sprintf("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%s", len(text), text))
					visitor.want("POST", 200, text)
					answered.Add(1)
				}
			})
		}
		for range 30 {
			before := answered.Load()
			eventually(t, "requests to flow", func() bool { return answered.Load() > before+20 })
			f.Hold("v")()
			// What was sent before may still be in the vassal's hands; what comes now
			// would be seen.
			eventually(t, "the vassal to answer what it has", func() bool {
				return f.table.site("v").current.Load().inFlight.Load() == 0
			})
			closed.Store(true)
			eventually(t, "every client to wait", func() bool { return f.Count().InFlight == 8 })
			closed.Store(false)
			f.Release("v")
		}
		close(over)
		clients.Wait()
	})
}

// TestHoldOverTheLink: a Release right behind its Hold finds it done.
func TestHoldOverTheLink(t *testing.T) {
	f := newFront(t)
	v := uwsgiVassal(t, answering(okResponse))
	f.vassals(row("v", 1, link.Ready, v))
	for range 100 {
		settle := f.Hold("v")
		var waiting sync.WaitGroup
		waiting.Go(settle)
		f.Release("v")
		waiting.Wait()
		if f.table.site("v").gate.closed() {
			t.Fatal("the gate stayed closed")
		}
	}
}

// TestStates: what a request gets from a vassal in each state, and that nothing
// is sent before it is ready.
func TestStates(t *testing.T) {
	t.Parallel() // it waits
	v := uwsgiVassal(t, answering(okResponse))
	f := newFront(t, "route-run = vassal:v")
	f.adjust(func(s *Settings) { s.hold.time = time.Second })
	var woken atomic.Int64
	f.table.wake = func(name string) {
		if name != "v" {
			t.Errorf("woken: %q", name)
		}
		woken.Add(1)
	}
	visitor := f.visit()
	ask := func(status int, text string) reply {
		t.Helper()
		visitor.send(get("a"))
		return visitor.want("GET", status, text)
	}
	const later = "this site is starting or out of order; try again soon\n"
	ask(404, "no site of this name is served here\n")

	f.vassals(row("v", 1, link.Starting, v))
	ask(503, later) // after the whole of hold.time

	stopped := row("v", 1, link.Stopped, v)
	f.vassals(stopped)
	ask(503, later)

	failed := row("v", 1, link.Failed, v)
	failed.Reason, failed.Retry = "import error", 60_000
	f.vassals(failed)
	if r := ask(503, later); r.Header.Get("Retry-After") != "60" && r.Header.Get("Retry-After") != "61" {
		t.Errorf("Retry-After is %q, want about 60", r.Header.Get("Retry-After"))
	}
	if !strings.Contains(f.log.String(), "import error") {
		t.Error("the log does not say why")
	}
	if n := v.accepted.Load(); n != 0 {
		t.Fatalf("%d connections to a vassal that was never ready", n)
	}
	f.adjust(func(s *Settings) { s.hold.time = patience })
	for _, state := range []link.State{link.Starting, link.Failed, link.Asleep} {
		waiting := row("v", 1, state, v)
		waiting.Retry = 10
		f.vassals(waiting)
		visitor.send(get("a"))
		eventually(t, "the request to wait", func() bool { return f.table.held.Load() == 1 })
		f.vassals(row("v", 2, link.Ready, v))
		visitor.want("GET", 200, "ok")
	}
	if woken.Load() == 0 {
		t.Error("nobody was told that a sleeping vassal is wanted")
	}
	// Removed while somebody waits.
	f.vassals(row("v", 3, link.Starting, v))
	visitor.send(get("a"))
	eventually(t, "the request to wait", func() bool { return f.table.held.Load() == 1 })
	f.vassals(link.Vassal{Name: "v", Removed: true})
	visitor.want("GET", 404, "*")
	// And back.
	f.vassals(row("v", 4, link.Ready, v))
	ask(200, "ok")
	// A full table without it removes it.
	if err := f.Table(&link.Table{Full: true}); err != nil {
		t.Fatal(err)
	}
	ask(404, "*")
}

// TestHeldLimits: so many may wait, the others get 503 at once.
func TestHeldLimits(t *testing.T) {
	v := uwsgiVassal(t, answering(okResponse))
	f := newFront(t, "route-host = ^(.)$ vassal:$1", "http-hold = 5", "http-hold-vassal = 3")
	f.vassals(row("a", 1, link.Starting, v), row("b", 1, link.Starting, v))
	var visitors []*visitor
	wait := func(host string) {
		t.Helper()
		visitor := f.visit()
		visitor.send(get(host))
		visitors = append(visitors, visitor)
		eventually(t, "the request to wait", func() bool { return f.table.held.Load() == int64(len(visitors)) })
	}
	refused := func(host string) {
		t.Helper()
		if r := f.ask(get(host)); r.StatusCode != 503 || r.Header.Get("Retry-After") == "" {
			t.Errorf("one too many for %s got %d", host, r.StatusCode)
		}
	}
	wait("a")
	wait("a")
	wait("a")
	refused("a")
	wait("b")
	wait("b")
	refused("b")
	f.vassals(row("a", 2, link.Ready, v), row("b", 2, link.Ready, v))
	for _, visitor := range visitors {
		visitor.want("GET", 200, "ok")
	}
	if n := f.table.held.Load(); n != 0 {
		t.Errorf("%d are still counted as waiting", n)
	}
}

// TestClientGoneIsNotExecuted: the request of one that left while it waited for a
// start; and it gives its place up.
func TestClientGoneIsNotExecuted(t *testing.T) {
	t.Parallel() // it waits
	v := uwsgiVassal(t, answering(okResponse))
	f := newFront(t, "route-run = vassal:v", "http-hold-vassal = 1")
	f.vassals(row("v", 1, link.Starting, v))
	visitor := f.visit()
	visitor.send("POST / HTTP/1.1\r\nHost: a\r\n\r\n")
	eventually(t, "the request to wait", func() bool { return f.table.held.Load() == 1 })
	_ = visitor.Close()
	eventually(t, "its place to be free", func() bool { return f.table.held.Load() == 0 })
	f.vassals(row("v", 1, link.Ready, v))
	eventually(t, "the request to end", func() bool { return f.Count().InFlight == 0 })
	if n := len(v.calls()); n != 0 {
		t.Errorf("%d requests of clients that had left were executed", n)
	}
}

// TestClientGoneAtAGateIsNotExecuted: nor that of one that left during a hand-over.
func TestClientGoneAtAGateIsNotExecuted(t *testing.T) {
	v := uwsgiVassal(t, answering(okResponse))
	f := newFront(t, "route-run = vassal:v")
	f.vassals(row("v", 1, link.Ready, v))
	f.Hold("v")()
	visitor := f.visit()
	visitor.send("POST / HTTP/1.1\r\nHost: a\r\n\r\n")
	stacks := make([]byte, 1<<20)
	eventually(t, "the request to wait", func() bool {
		return bytes.Contains(stacks[:runtime.Stack(stacks, true)], []byte("waitForGate"))
	})
	_ = visitor.Conn.(*net.TCPConn).SetLinger(0)
	_ = visitor.Close() // with a reset: the front may not find out more at a gate
	eventually(t, "the front to learn of it", func() bool { return f.eachClient(func(over, _ bool) bool { return over }) })
	f.Release("v")
	eventually(t, "the request to end", func() bool { return f.Count().InFlight == 0 })
	if n := len(v.calls()); n != 0 {
		t.Errorf("%d requests of clients that had left were executed", n)
	}
}

// TestDrained waits for the old generation's requests and for nothing else.
func TestDrained(t *testing.T) {
	finish := make(chan struct{})
	both(t, func(c *call) {
		if c.vars["PATH_INFO"] == "/slow" || strings.HasPrefix(c.head, "GET /slow ") {
			<-finish
		}
		c.say(okResponse)
	}, func(t *testing.T, f *front, v *vassal) {
		visitor := f.visit()
		visitor.send("GET /slow HTTP/1.1\r\nHost: a\r\n\r\n")
		eventually(t, "the vassal to have it", func() bool { return len(v.calls()) == 1 })
		next := uwsgiVassal(t, answering("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nnew"))
		f.vassals(row("v", 2, link.Ready, next))
		done := make(chan struct{})
		var waiting sync.WaitGroup
		waiting.Go(func() { f.Drained("v", 2, nil); close(done) })
		if r := f.ask(get("a")); r.text != "new" {
			t.Errorf("a new request got %q", r.text)
		}
		f.Drained("v", 1, nil) // nothing is older
		cancel := make(chan struct{})
		close(cancel)
		f.Drained("v", 2, cancel) // returns though the request is under way
		select {
		case <-done:
			t.Error("drained before its request had ended")
		default:
		}
		finish <- struct{}{}
		visitor.want("GET", 200, "ok")
		waiting.Wait()
		eventually(t, "no idle connection to the old generation", func() bool {
			v.mu.Lock()
			defer v.mu.Unlock()
			return len(v.conns) == 0
		})
	})
}

// TestDrainedAfterRemoval: a removed vassal's requests are waited for.
func TestDrainedAfterRemoval(t *testing.T) {
	finish := make(chan struct{})
	v := uwsgiVassal(t, func(c *call) { <-finish; c.say(okResponse) })
	f := newFront(t, "route-run = vassal:v")
	f.vassals(row("v", 7, link.Ready, v))
	visitor := f.visit()
	visitor.send(get("a"))
	eventually(t, "the vassal to have it", func() bool { return len(v.calls()) == 1 })
	f.vassals(link.Vassal{Name: "v", Removed: true})
	if r := f.ask(get("a")); r.StatusCode != 404 {
		t.Errorf("a removed vassal: %d", r.StatusCode)
	}
	f.vassals() // any message: rows without requests are forgotten with it
	cancel := make(chan struct{})
	close(cancel)
	if s := f.table.site("v"); s == nil || !s.busy(8) {
		t.Fatal("a removed vassal with a request under way is forgotten")
	}
	var waiting sync.WaitGroup
	waiting.Go(func() { f.Drained("v", 8, nil) })
	close(finish)
	visitor.want("GET", 200, "ok")
	waiting.Wait()
	f.vassals()
	if f.table.site("v") != nil {
		t.Error("a removed vassal without requests is kept")
	}
}

// TestTableDoesNotGrow: whatever a flapping vassal does.
func TestTableDoesNotGrow(t *testing.T) {
	f := newFront(t)
	for i := range 1000 {
		f.vassals(link.Vassal{Name: "v", State: link.Failed, Generation: uint64(i)}, link.Vassal{Name: fmt.Sprint("v", i), State: link.Ready})
		f.vassals(link.Vassal{Name: fmt.Sprint("v", i), Removed: true})
	}
	f.vassals()
	s := f.table.site("v")
	s.mu.Lock()
	n := len(s.retired)
	s.mu.Unlock()
	if n > 1 || len(f.table.all()) != 1 || len(f.table.byAddress) != 0 {
		t.Errorf("%d retired generations, %d sites, %d addresses", n, len(f.table.all()), len(f.table.byAddress))
	}
}

// TestBadRow harms its own vassal only.
func TestBadRow(t *testing.T) {
	v := uwsgiVassal(t, answering(okResponse))
	f := newFront(t, "route-host = ^(.+)$ vassal:$1")
	bad := row("bad", 1, link.Ready, v)
	bad.Addresses[0].Protocol = "gopher"
	err := f.Table(&link.Table{Full: true, Vassals: []link.Vassal{bad, row("good", 1, link.Ready, v)}})
	if err == nil || !strings.Contains(err.Error(), `vassal bad: protocol "gopher"`) {
		t.Errorf("got %v", err)
	}
	if r := f.ask(get("good")); r.StatusCode != 200 {
		t.Errorf("the good one: %d", r.StatusCode)
	}
}

// TestRestartOfAVassal: connections refused for a moment are not the visitor's
// business when the emperor is about to say that something new is there.
func TestRestartOfAVassal(t *testing.T) {
	both(t, answering(okResponse), func(t *testing.T, f *front, v *vassal) {
		v.stop()
		visitor := f.visit()
		visitor.send(get("a"))
		eventually(t, "the request to be under way", func() bool { return f.Count().InFlight == 1 })
		next := uwsgiVassal(t, answering(okResponse))
		f.vassals(row("v", 2, link.Ready, next))
		visitor.want("GET", 200, "ok")
	})
}

// TestListenersExchanged: 64 clients without pause, half of them on kept
// connections, while the configuration is exchanged 50 times: no request fails,
// no kept connection ends.
func TestListenersExchanged(t *testing.T) {
	v := uwsgiVassal(t, answering(okResponse))
	f := newFront(t, "http-to = "+v.address)
	other := &front{Router: f.Router, t: t, unix: f.unix}
	var err error
	if other.tcp, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = other.tcp.Close() }()
	var clients sync.WaitGroup
	over := make(chan struct{})
	var answered, failed atomic.Int64
	for i := range 64 {
		kept := i%2 == 0
		address := f.tcp.Addr()
		if i%4 == 1 {
			address = f.unix.Addr()
		}
		visitor := visit(t, address)
		clients.Go(func() {
			for {
				select {
				case <-over:
					return
				default:
				}
				if !kept {
					conn, err := net.Dial(address.Network(), address.String())
					if err != nil {
						t.Errorf("connecting: %v", err)
						failed.Add(1)
						return
					}
					_ = conn.SetDeadline(time.Now().Add(patience))
					visitor = newVisitor(t, conn)
				}
				if _, err := io.WriteString(visitor.Conn, get("a")); err != nil {
					t.Errorf("sending (kept: %v): %v", kept, err)
					failed.Add(1)
					return
				}
				if text, err := visitor.read(len(okResponse)); err != nil || text != okResponse {
					t.Errorf("got %q, %v (kept: %v)", text, err, kept)
					failed.Add(1)
					return
				}
				answered.Add(1)
				if !kept {
					_ = visitor.Close()
				}
			}
		})
	}
	for i := range 50 {
		before := answered.Load()
		eventually(t, "requests to flow", func() bool { return failed.Load() > 0 || answered.Load() > before+64 })
		if i%5 == 3 {
			// One listener less, another one more; what is queued at the first one
			// stays there, as the emperor keeps the socket.
			err = other.configure("http-to = " + v.address)
		} else {
			err = f.configure("http-to = "+v.address, fmt.Sprint("http-timeout = ", 50+i))
		}
		if err != nil {
			t.Fatal(err)
		}
		if i%5 == 3 {
			if err = f.configure("http-to = " + v.address); err != nil {
				t.Fatal(err)
			}
		}
	}
	close(over)
	clients.Wait()
	if failed.Load() > 0 {
		t.Errorf("%d of %d requests failed", failed.Load(), answered.Load())
	}
	if err := f.configure("http-to = 127.0.0.300:80", "http-timeout = 5"); err == nil || !strings.Contains(err.Error(), "uwsgi.ini:3") {
		t.Errorf("a bad configuration: %v", err)
	}
	if f.current().responseTimeout == 5*time.Second {
		t.Error("a bad configuration changed something")
	}
	if r := f.ask(get("a")); r.StatusCode != 200 {
		t.Errorf("after a bad configuration: %d", r.StatusCode)
	}
}

// TestSameAddressTwice is refused and leaks nothing.
func TestSameAddressTwice(t *testing.T) {
	f := newFront(t)
	c := &link.Configuration{Listeners: []link.Listener{{Option: "http", Address: ":1", File: "a.ini", Line: 1}, {Option: "http", Address: ":1", File: "a.ini", Line: 2}}}
	err := f.Configure(c, []int{descriptor(t, f.tcp), descriptor(t, f.tcp)})
	if err == nil || err.Error() != "a.ini:2: http = :1: the address is given twice" {
		t.Errorf("got %v", err)
	}
	f.ask(get("a"))
}

// TestDrain: what is queued, under way or idle is served once more; then
// connections end.
func TestDrain(t *testing.T) {
	t.Parallel() // it waits
	finish := make(chan struct{})
	v := uwsgiVassal(t, func(c *call) {
		if c.vars["PATH_INFO"] == "/slow" {
			<-finish
		}
		c.say(okResponse)
	})
	f := newFront(t, "http-to = "+v.address)
	f.adjust(func(s *Settings) { s.drainIdle = 2 * time.Second })
	slow, idle, silent, late := f.visit(), f.visit(), f.visit(), f.visit()
	late.wantAlive("a")
	idle.wantAlive("a")
	silent.wantAlive("a")
	slow.send("GET /slow HTTP/1.1\r\nHost: a\r\n\r\n")
	eventually(t, "the slow request to be under way", func() bool { return f.Count().InFlight == 1 })
	drained := make(chan struct{})
	var draining sync.WaitGroup
	draining.Go(func() { f.Drain(context.Background()); close(drained) })
	eventually(t, "draining to begin", func() bool { return f.leaving.Load() })
	idle.send(get("a"))
	if r := idle.want("GET", 200, "ok"); !r.Close {
		t.Error("the last answer does not say that the connection ends")
	}
	idle.wantEnd()
	if err := f.configure(); err == nil {
		t.Error("a router that goes took a configuration")
	}
	// A client that is silent keeps its connection until the front goes as a whole.
	late.send(get("a"))
	late.want("GET", 200, "ok")
	f.Hurry()
	silent.wantEnd()
	select {
	case <-drained:
		t.Error("drained with a request under way")
	default:
	}
	close(finish)
	if r := slow.want("GET", 200, "ok"); !r.Close {
		t.Error("an answer given while draining does not say that the connection ends")
	}
	draining.Wait()
}

// TestClose ends everything at once: idle, held, waiting for a vassal, uploading,
// upgraded, slow to read.
func TestClose(t *testing.T) {
	started := make(chan struct{}, 10)
	both(t, func(c *call) {
		if strings.Contains(c.vars["PATH_INFO"]+c.head, "/ws") {
			c.say("HTTP/1.1 101 x\r\nUpgrade: websocket\r\n\r\n")
		}
		if strings.Contains(c.vars["PATH_INFO"]+c.head, "/flood") {
			c.say("HTTP/1.1 200 OK\r\n\r\n")
			started <- struct{}{}
			for {
				if _, err := c.Write(make([]byte, 1<<16)); err != nil {
					return
				}
			}
		}
		started <- struct{}{}
		_, _ = io.Copy(io.Discard, c.in)
	}, func(t *testing.T, f *front, v *vassal) {
		sleeping := uwsgiVassal(t, nil)
		f.vassals(row("sleeping", 1, link.Asleep, sleeping))
		if err := f.configure("route-uri = ^/sleeping vassal:sleeping", "route-run = vassal:v"); err != nil {
			t.Fatal(err)
		}
		for _, request := range []string{
			"",
			"GET / HTTP/1.1\r\n",
			get("a"),
			"GET /sleeping HTTP/1.1\r\nHost: a\r\n\r\n",
			"GET /flood HTTP/1.0\r\nHost: a\r\n\r\n",
			"GET /ws HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
			"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\nabc",
			"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n" + strings.Repeat("x", 100_000),
		} {
			f.visit().send(request)
		}
		for range 4 {
			<-started
		}
		eventually(t, "all to be there", func() bool { return f.Count().Connections == 8 && f.Count().InFlight == 6 && f.table.held.Load() == 1 })
		f.Close()
		if n := f.Count(); n.Connections != 0 || n.InFlight != 0 {
			t.Errorf("after Close: %+v", n)
		}
		for _, s := range f.table.all() {
			if n := s.current.Load().inFlight.Load(); n != 0 || s.gate.state.Load() != 0 {
				t.Errorf("%s: %d requests, gate %d", s.name, n, s.gate.state.Load())
			}
		}
	})
}

// TestNoDescriptorIsLost over the life of a router with every kind of traffic.
func TestNoDescriptorIsLost(t *testing.T) {
	open := func() int {
		entries, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Fatal(err)
		}
		return len(entries)
	}
	life := func(t *testing.T) {
		both(t, echo, func(t *testing.T, f *front, v *vassal) {
			for i := range 20 {
				visitor := f.visit()
				visitor.wantAlive("a")
				visitor.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n20000\r\n" + strings.Repeat("x", 0x20000) + "\r\n0\r\n\r\n")
				visitor.want("POST", 200, "*")
				if i%2 == 0 {
					_ = visitor.Close()
				}
				if err := f.configure("route-run = vassal:v"); err != nil {
					t.Fatal(err)
				}
			}
			v.stop()
			visitor := f.visit()
			visitor.send(get("a"))
			visitor.want("GET", 502, "*")
		})
	}
	t.Run("warm up", life)
	before := open()
	t.Run("life", life)
	if after := open(); after > before {
		t.Errorf("%d descriptors before, %d after", before, after)
	}
}

// TestRemovedByAddress: a rule that names a removed vassal's socket says that the
// site is gone; one that names a socket that never was says that it is broken.
func TestRemovedByAddress(t *testing.T) {
	v := uwsgiVassal(t, answering(okResponse))
	never := filepath.Join(t.TempDir(), "never.sock")
	f := newFront(t, "route-host = ^a$ uwsgi:"+v.address+",0,0", "route-host = ^b$ uwsgi:"+never+",0,0")
	f.vassals(row("v", 1, link.Ready, v))
	for _, step := range []struct {
		change func()
		host   string
		status int
	}{
		{func() {}, "a", 200},
		{func() { v.stop(); _ = os.Remove(v.address); f.vassals(link.Vassal{Name: "v", Removed: true}) }, "a", 404},
		{func() {}, "b", 502},
	} {
		step.change()
		if r := f.ask(get(step.host)); r.StatusCode != step.status {
			t.Errorf("%s: %d, want %d", step.host, r.StatusCode, step.status)
		}
	}
}
