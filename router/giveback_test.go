package router

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"emperor/internal/link"
)

// idle complains if something is still counted as used when no request is under
// way.
func (f *front) wantIdle(t *testing.T) {
	t.Helper()
	eventually(t, "requests to end", func() bool { return f.Count().InFlight == 0 })
	if n := f.compressors.Lent(); n != 0 {
		t.Errorf("%d compressors are lent", n)
	}
	if n := f.room.Waiting(); n != 0 {
		t.Errorf("%d requests wait for their turn", n)
	}
	if n := f.table.held.Load(); n != 0 {
		t.Errorf("%d requests are held", n)
	}
	if n := f.spooled.Load(); n != 0 {
		t.Errorf("%d bytes are spooled", n)
	}
	for _, s := range f.table.all() {
		if n := s.current.Load().inFlight.Load(); n != 0 || s.gate.state.Load()&(closedBit-1) != 0 {
			t.Errorf("%s: %d requests are pinned, the gate's state is %d", s.name, n, s.gate.state.Load())
		}
		if turns := s.turns.Load(); turns != nil {
			if running, waiting := turns.Load(); running+waiting > 0 {
				t.Errorf("%s: %d turns are taken, %d are waited for", s.name, running, waiting)
			}
		}
	}
	if n := f.current().defaults.nodes; n != nil {
		for _, s := range n.group.Status() {
			if s.InFlight != 0 {
				t.Errorf("%s: %d requests under way", s.Node.Address, s.InFlight)
			}
		}
	}
}

// TestRefusedGivesBack: a request that is refused after it was given its turn, or
// an address, gives both back.
func TestRefusedGivesBack(t *testing.T) {
	v := uwsgiVassal(t, answering(okResponse))
	w := uwsgiVassal(t, answering(okResponse))
	f := newFront(t, "http-limit-vassal = 1", "route-host = ^v$ vassal:v", "http-to = "+v.address, "http-to = "+w.address)
	visitor := f.visit()
	f.vassals(row("v", 1, link.Failed, v), row("w", 1, link.Failed, w))
	for range 3 {
		visitor.send(get("v"))
		visitor.want("GET", 503, "*")
		visitor.send(get("both"))
		visitor.want("GET", 503, "*")
		f.wantIdle(t)
	}
	f.vassals(row("v", 2, link.Ready, v))
	for range 3 {
		visitor.send(get("both"))
		visitor.want("GET", 200, "*")
		visitor.send(get("v"))
		visitor.want("GET", 200, "*")
	}
	f.wantIdle(t)
}

// TestWaitingForAStartTakesNoTurn: while a vassal starts, requests wait as long as
// they may for a start, however few it may work on at a time.
func TestWaitingForAStartTakesNoTurn(t *testing.T) {
	v := uwsgiVassal(t, answering(okResponse))
	f := newFront(t, "http-limit-vassal = 1", "http-limit-vassal-queue = 5", "route-run = vassal:v")
	f.vassals(row("v", 1, link.Starting, v))
	statuses := make(chan int, 5)
	for range cap(statuses) {
		visitor := f.visit()
		go func() {
			visitor.send(get("v"))
			r, _ := visitor.receive("GET")
			statuses <- r.StatusCode
		}()
	}
	eventually(t, "all to be held", func() bool { return f.table.held.Load() == int64(cap(statuses)) })
	f.vassals(row("v", 1, link.Ready, v))
	for range cap(statuses) {
		if s := <-statuses; s != 200 {
			t.Errorf("%d", s)
		}
	}
	f.wantIdle(t)
}

// TestLimitChangedMeanwhile: a vassal that meets its first request of the old
// configuration while a new one comes into force has the new limit.
func TestLimitChangedMeanwhile(t *testing.T) {
	v := uwsgiVassal(t, answering(okResponse))
	f := newFront(t, "http-limit-vassal = 1", "route-run = vassal:v")
	f.vassals(row("v", 1, link.Ready, v))
	x := newExchange(f.Router)
	defer x.own.Release()
	x.settings = f.current()
	if err := f.configure("http-limit-vassal = 2", "http-limit-vassal-queue = 0", "route-run = vassal:v"); err != nil {
		t.Fatal(err)
	}
	s := f.table.site("v")
	for i := range 3 {
		x.turn = nil
		if err := x.takeTurn(s); (err == nil) != (i < 2) {
			t.Errorf("turn %d: %v", i+1, err)
		}
	}
}

// TestReloadsLeaveNothing: the folders that a configuration opened are closed when
// it is gone, also where nothing comes in any more.
func TestReloadsLeaveNothing(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "a.html"), "hello")
	f := newFront(t, "route-run = static:"+dir+"/a.html")
	opened := func() (n int) {
		links, err := filepath.Glob("/proc/self/fd/*")
		if err != nil {
			t.Fatal(err)
		}
		for _, l := range links {
			if to, _ := os.Readlink(l); strings.HasPrefix(to, dir) {
				n++
			}
		}
		return n
	}
	once := opened()
	for range 10 {
		visitors := []*visitor{f.visit(), f.visit(), f.visit()}
		for _, v := range visitors {
			v.send("GET /a.html HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\n")
		}
		for _, v := range visitors {
			v.send("x")
			v.want("GET", 200, "hello")
			_ = v.Close()
		}
		if err := f.configure("route-run = static:" + dir + "/a.html"); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "the old folders to be closed", func() bool { runtime.GC(); return opened() <= once })
}

// TestTurnsAreOfAGeneration: what a replaced generation still works on takes no turn
// at its successor, neither from who waits already nor from who comes.
func TestTurnsAreOfAGeneration(t *testing.T) {
	release := make(chan struct{})
	old := uwsgiVassal(t, func(c *call) { <-release; c.say(okResponse) })
	t.Cleanup(func() { close(release) })
	successor := uwsgiVassal(t, answering("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nnew"))
	f := newFront(t, "http-limit-vassal = 1", "http-limit-vassal-queue = 1", "route-run = vassal:v")
	f.vassals(row("v", 1, link.Ready, old))
	long, waiting := f.visit(), f.visit()
	long.send(get("a"))
	eventually(t, "the long request", func() bool { return len(old.calls()) == 1 })
	waiting.send(get("a"))
	turns := f.table.site("v").turns.Load()
	eventually(t, "one that waits", func() bool { _, n := turns.Load(); return n == 1 })
	if r := f.ask(get("a")); r.StatusCode != 503 {
		t.Errorf("beyond the queue: %d", r.StatusCode)
	}
	f.vassals(row("v", 1, link.Ready, old)) // nothing new
	if _, n := turns.Load(); n != 1 {
		t.Errorf("%d wait", n)
	}
	f.vassals(row("v", 2, link.Ready, successor))
	waiting.want("GET", 200, "new")
	for range 3 {
		if r := f.ask(get("a")); r.text != "new" {
			t.Errorf("afterwards: %d %q", r.StatusCode, r.text)
		}
	}
	release <- struct{}{}
	long.want("GET", 200, "ok")
	if n := f.table.site("v").refused(); n != 1 {
		t.Errorf("%d were refused, want 1", n)
	}
	f.wantIdle(t)
}
