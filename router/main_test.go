package router

import (
	"context"
	"io"
	"log/slog"
	"net"
	"sync"
	"testing"
	"time"

	"emperor/internal/link"
)

// spoken is the emperor's end of a conversation with a router that runs as Main
// runs it.
type spoken struct {
	t      *testing.T
	peer   *link.Peer
	said   chan link.Message
	stop   context.CancelFunc // a signal to the router
	ended  chan error         // what Main returned
	socket net.Listener
}

func startMain(t *testing.T) *spoken {
	t.Helper()
	ours, fd, err := link.Pair()
	if err != nil {
		t.Fatal(err)
	}
	s := &spoken{t: t, peer: link.NewPeer(ours), said: make(chan link.Message, 1000), ended: make(chan error, 1)}
	var ctx context.Context
	ctx, s.stop = context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { s.ended <- Main(ctx, fd, slog.New(slog.NewTextHandler(io.Discard, nil))) })
	running.Go(func() {
		_ = s.peer.Run(func(m *link.Message, descriptors []int) { s.said <- *m })
	})
	if s.socket, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		s.stop()
		_ = s.peer.Close()
		_ = s.socket.Close()
		running.Wait()
	})
	return s
}

func (s *spoken) call(m link.Message, descriptors ...int) error {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	return s.peer.Call(ctx, m, descriptors...)
}

func (s *spoken) must(m link.Message) {
	s.t.Helper()
	if err := s.call(m); err != nil {
		s.t.Fatalf("%s: %v", m.Kind, err)
	}
}

func (s *spoken) configure(options ...link.Option) error {
	s.t.Helper()
	fd := descriptor(s.t, s.socket)
	defer closeAll([]int{fd}) // the link duplicates it
	return s.call(link.Message{Kind: link.Configure, Configuration: &link.Configuration{
		Options: options, Listeners: []link.Listener{{Option: "http", Address: ":8080"}}}}, fd)
}

func (s *spoken) table(rows ...link.Vassal) {
	s.t.Helper()
	s.must(link.Message{Kind: link.Tabulate, Table: &link.Table{Vassals: rows}})
}

// TestConversation: what the emperor says takes effect before it is acknowledged.
func TestConversation(t *testing.T) {
	s := startMain(t)
	route := link.Option{Key: "route-run", Value: "vassal:v", File: "uwsgi.ini", Line: 3}
	if err := s.configure(route); err != nil {
		t.Fatal(err)
	}
	if err := s.configure(link.Option{Key: "route-run", Value: "nonsense:", File: "uwsgi.ini", Line: 4}); err == nil {
		t.Error("a bad configuration was taken")
	}
	if err := s.call(link.Message{Kind: link.Configure}); err == nil {
		t.Error("a configuration without its contents was taken")
	}
	finish := make(chan struct{})
	v := uwsgiVassal(t, func(c *call) {
		if c.vars["PATH_INFO"] == "/slow" {
			<-finish
		}
		c.say(okResponse)
	})
	s.table(row("v", 1, link.Asleep, v))
	var visitors []*visitor
	begun := time.Now()
	for range 5 {
		visitor := visit(t, s.socket.Addr())
		visitor.send(get("a"))
		visitors = append(visitors, visitor)
	}
	woken := 0
	eventually(t, "all to be counted", func() bool {
		m := <-s.said
		if m.Kind == link.Wake {
			// Once for all; and again when nothing came of it.
			if m.Vassal != "v" || time.Since(begun) < time.Duration(woken)*wakeAgain {
				t.Errorf("woken too often, or another: %+v", m)
			}
			woken++
		}
		return m.Kind == link.Counted && m.Counters.InFlight == 5
	})
	if woken == 0 {
		t.Error("the router did not say that somebody waits for a vassal that sleeps")
	}
	s.table(row("v", 1, link.Ready, v))
	for _, visitor := range visitors {
		visitor.want("GET", 200, "ok")
	}

	s.must(link.Message{Kind: link.Hold, Vassal: "v"})
	visitors[0].send(get("a"))
	if err := s.peer.Send(link.Message{Kind: link.Release, Vassal: "v"}); err != nil {
		t.Fatal(err)
	}
	visitors[0].want("GET", 200, "ok")

	visitors[0].send("GET /slow HTTP/1.1\r\nHost: a\r\n\r\n")
	eventually(t, "the vassal to have it", func() bool {
		calls := v.calls()
		return calls[len(calls)-1].vars["PATH_INFO"] == "/slow"
	})
	s.table(row("v", 2, link.Ready, v))
	ctx, cancel := context.WithCancel(context.Background())
	var draining sync.WaitGroup
	draining.Go(func() {
		if err := s.peer.Call(ctx, link.Message{Kind: link.Drained, Vassal: "v", Generation: 2}); err == nil {
			t.Error("drained while a request was under way")
		}
	})
	s.must(link.Message{Kind: link.Drained, Vassal: "v", Generation: 1}) // not behind the one that waits
	s.must(link.Message{Kind: link.Drained, Vassal: "unknown", Generation: 1})
	cancel()
	draining.Wait()
	draining.Go(func() { s.must(link.Message{Kind: link.Drained, Vassal: "v", Generation: 2}) })
	close(finish)
	visitors[0].want("GET", 200, "ok")
	draining.Wait()

	if err := s.peer.Send(link.Message{Kind: link.Quit}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the router to leave", func() bool { return s.configure(route) != nil })
	for _, visitor := range visitors {
		visitor.send(get("a"))
		if r := visitor.want("GET", 200, "ok"); !r.Close {
			t.Error("no Connection: close from a router that was told to quit")
		}
	}
	if err := <-s.ended; err != nil {
		t.Errorf("Main: %v", err)
	}
}

// TestEmperorGone: a router whose emperor died ends, with what is under way.
func TestEmperorGone(t *testing.T) {
	t.Parallel() // it waits
	s := startMain(t)
	if err := s.configure(link.Option{Key: "route-run", Value: "return:204"}); err != nil {
		t.Fatal(err)
	}
	visitor := visit(t, s.socket.Addr())
	visitor.send(get("a"))
	visitor.want("GET", 204, "")
	_ = s.peer.Close()
	if err := <-s.ended; err != nil {
		t.Errorf("Main: %v", err)
	}
	visitor.wantEnd()
}

// TestSignal: the emperor hears of it, so that it can start a successor.
func TestSignal(t *testing.T) {
	s := startMain(t)
	if err := s.configure(link.Option{Key: "route-run", Value: "return:204"}); err != nil {
		t.Fatal(err)
	}
	s.stop()
	for m := range s.said {
		if m.Kind == link.Leaving {
			break
		}
	}
	eventually(t, "a router that leaves to take no configuration", func() bool {
		return s.configure(link.Option{Key: "route-run", Value: "return:204"}) != nil
	})
	if err := <-s.ended; err != nil {
		t.Errorf("Main: %v", err)
	}
}
