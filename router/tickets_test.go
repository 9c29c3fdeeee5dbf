package router

import (
	"bytes"
	"testing"

	"emperor/internal/link"
	"emperor/router/sni"
)

// tickets waits for the next secrets of session tickets that the router tells.
func (s *spoken) tickets() []byte {
	s.t.Helper()
	for {
		if m := <-s.said; m.Kind == link.Tickets {
			return m.Tickets
		}
	}
}

// TestTicketsAreHandedOn: the emperor has what sessions are sealed with before the
// first connection; the next router takes exactly that over; what one of two makes
// anew, the other is told.
func TestTicketsAreHandedOn(t *testing.T) {
	first := startMain(t)
	if err := first.configure(); err != nil {
		t.Fatal(err)
	}
	kept := first.tickets() // sent before the acknowledgement

	second := startMain(t)
	if err := second.peer.Send(link.Message{Kind: link.Tickets, Tickets: kept}); err != nil {
		t.Fatal(err)
	}
	if err := second.configure(); err != nil {
		t.Fatal(err)
	}
	if got := second.tickets(); !bytes.Equal(got, kept) {
		t.Error("the next router has other secrets")
	}
	// The first, which answers who is connected to it, rotates.
	ring, err := sni.NewRing(sni.RingOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if err := ring.Replace(kept); err != nil {
		t.Fatal(err)
	}
	if err := ring.Rotate(); err != nil {
		t.Fatal(err)
	}
	if err := second.peer.Send(link.Message{Kind: link.Tickets, Tickets: ring.Export()}); err != nil {
		t.Fatal(err)
	}
	if got := second.tickets(); !bytes.Equal(got, ring.Export()) {
		t.Error("a router that was told of new secrets does not have them")
	}
	// What is none is refused, and nothing is lost.
	if err := second.peer.Send(link.Message{Kind: link.Tickets, Tickets: []byte("nonsense")}); err != nil {
		t.Fatal(err)
	}
	if err := second.configure(); err != nil {
		t.Fatal(err)
	}
}
