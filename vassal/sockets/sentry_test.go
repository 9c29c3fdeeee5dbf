package sockets

import (
	"fmt"
	"net"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"emperor/vassal/spec"
)

// TestSentry: of many watched sockets the one is reported, once, at which somebody
// connects, or waits already; and watching many takes no goroutine for each.
func TestSentry(t *testing.T) {
	dir := t.TempDir()
	s := newSentry()
	reported := make(chan int, 100)
	before := runtime.NumGoroutine()
	var listeners []*Listener
	var stops []func()
	watch := func(i int) func() {
		stop, err := s.watch(listeners[i].FD, func() { reported <- i })
		if err != nil {
			t.Fatal(err)
		}
		return stop
	}
	const sockets = 300
	for i := range sockets {
		path := filepath.Join(dir, fmt.Sprint(i))
		l, err := listen(spec.Address{Text: path, Path: path}, spec.SocketRules{Umask: -1, UID: -1, GID: -1, Backlog: 5})
		if err != nil {
			t.Fatal(err)
		}
		defer l.Release()
		listeners = append(listeners, l)
		stops = append(stops, watch(i))
	}
	if n := runtime.NumGoroutine() - before; n > 5 {
		t.Errorf("%d goroutines for %d sockets", n, sockets)
	}
	connect := func(i int) {
		c, err := net.Dial("unix", listeners[i].Path)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
	}
	want := func(i int, when string) {
		t.Helper()
		select {
		case got := <-reported:
			if got != i {
				t.Errorf("%s: %d was reported, want %d", when, got, i)
			}
		case <-time.After(time.Minute):
			t.Fatalf("%s: %d was not reported", when, i)
		}
	}
	connect(7)
	want(7, "a first connection")
	connect(7) // it was reported
	connect(8)
	want(8, "another")
	stops[7]()
	stops[7] = watch(7)
	want(7, "watched again, and somebody waits")
	stops[9]()
	connect(9) // nobody watches
	connect(10)
	want(10, "beside one that nobody watches")
	stops[9] = func() {}
	for _, stop := range stops {
		stop()
	}
	if s.file != nil || len(s.watched) > 0 {
		t.Error("the epoll outlives the last watch")
	}
	connect(11)
	defer watch(11)()
	want(11, "a new epoll")
}
