package router

import (
	"strings"
	"testing"
	"time"

	"emperor/internal/link"
)

// TestUnused: the emperor may put a vassal to sleep when no request is under way and
// none has been for a while, and not before.
func TestUnused(t *testing.T) {
	s := startMain(t)
	if err := s.configure(link.Option{Key: "route-run", Value: "vassal:v", File: "uwsgi.ini", Line: 3}); err != nil {
		t.Fatal(err)
	}
	finish := make(chan struct{})
	arrived := make(chan struct{})
	v := uwsgiVassal(t, func(c *call) {
		close(arrived)
		<-finish
		c.say(okResponse)
	})
	s.table(row("v", 1, link.Ready, v))
	s.must(link.Message{Kind: link.Unused, Vassal: "v"})
	s.must(link.Message{Kind: link.Unused, Vassal: "nobody"})

	visitor := visit(t, s.socket.Addr())
	visitor.send(get("a"))
	<-arrived
	if err := s.call(link.Message{Kind: link.Unused, Vassal: "v"}); err == nil || !strings.Contains(err.Error(), "a request is under way") {
		t.Errorf("beside a request: %v", err)
	}
	// The same processes under another row: it is still theirs.
	s.table(link.Vassal{Name: "v", Generation: 1, State: link.Ready, Addresses: row("v", 1, link.Ready, v).Addresses, Reason: "another"})
	if err := s.call(link.Message{Kind: link.Unused, Vassal: "v"}); err == nil {
		t.Error("another row, and the request is not seen")
	}
	quiet := make(chan error, 1)
	go func() { quiet <- s.call(link.Message{Kind: link.Unused, Vassal: "v", Quiet: 20 * time.Millisecond}) }()
	finished := time.Now()
	close(finish)
	visitor.want("GET", 200, "ok")
	if err := <-quiet; err != nil {
		t.Error(err)
	}
	if waited := time.Since(finished); waited < 20*time.Millisecond {
		t.Errorf("quiet after %s already", waited)
	}
	s.must(link.Message{Kind: link.Unused, Vassal: "v"})
}

// TestSleeperThatDidNotStart: nobody waits for one that starts only when somebody comes
// again, and Retry-After says when that is worth it.
func TestSleeperThatDidNotStart(t *testing.T) {
	s := startMain(t)
	if err := s.configure(link.Option{Key: "route-run", Value: "vassal:v", File: "uwsgi.ini", Line: 3}); err != nil {
		t.Fatal(err)
	}
	v := uwsgiVassal(t, func(c *call) { t.Error("it was asked") })
	waiting := row("v", 1, link.Starting, v)
	s.table(waiting)
	visitor := visit(t, s.socket.Addr())
	visitor.send(get("a"))
	eventually(t, "it waits", func() bool {
		m := <-s.said
		return m.Kind == link.Counted && m.Counters.InFlight == 1
	})
	waiting.State, waiting.Retry, waiting.Refuse = link.Failed, 3000, true
	s.table(waiting)
	response := visitor.want("GET", 503, "*")
	if got := response.Header.Get("Retry-After"); got != "3" && got != "4" {
		t.Errorf("Retry-After %q", got)
	}
}
