package router

import (
	"sync"
	"testing"

	"emperor/internal/link"
)

// TestAnswered: the emperor hears that a generation answers, also when it has only
// begun to, and nothing of another's answers; a row more is not an answer.
func TestAnswered(t *testing.T) {
	begun, rest := make(chan struct{}), make(chan struct{})
	v := uwsgiVassal(t, func(c *call) {
		c.say("HTTP/1.0 200 OK\r\n\r\no")
		begun <- struct{}{}
		<-rest
		c.say("k")
	})
	f := newFront(t, "route-run = vassal:v")
	f.vassals(row("v", 1, link.Ready, v))
	var waits sync.WaitGroup
	heard := func(generation uint64, cancel <-chan struct{}) <-chan struct{} {
		wait, over := f.Answered("v", generation), make(chan struct{})
		waits.Go(func() { wait(cancel); close(over) })
		return over
	}
	never := make(chan struct{})
	other := heard(2, never)
	head := heard(1, nil)
	visitor := f.visit()
	visitor.send(get("a"))
	<-begun
	<-head
	f.vassals(link.Vassal{Name: "v", Generation: 1, State: link.Ready, Reason: "another row", Addresses: row("v", 1, link.Ready, v).Addresses})
	late := heard(1, nil)
	close(rest)
	visitor.want("GET", 200, "ok")
	<-late
	select {
	case <-other:
		t.Error("what generation 1 answered was taken for generation 2's")
	default:
	}
	close(never)
	waits.Wait()
}

// TestAnsweredOverTheLink: who does not wait any more is not waited for.
func TestAnsweredOverTheLink(t *testing.T) {
	s := startMain(t)
	if err := s.configure(); err != nil {
		t.Fatal(err)
	}
	for _, m := range []link.Message{{Kind: link.Answered, Vassal: "nobody", Sequence: 77, Generation: 1}, {Kind: link.Forget, Sequence: 77}} {
		if err := s.peer.Send(m); err != nil {
			t.Fatal(err)
		}
	}
	s.must(link.Message{Kind: link.Unused, Vassal: "v"}) // and the test ends when the router does
}
