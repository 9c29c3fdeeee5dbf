package link

import (
	"context"
	"testing"

	"golang.org/x/sys/unix"
)

// A conversation goes on with another Peer on the same socket, as after an exec, with
// a message of which only half had been read.
func TestConversationIsCarriedOn(t *testing.T) {
	conn, theirs, err := Pair()
	if err != nil {
		t.Fatal(err)
	}
	other, err := Open(theirs)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	first := NewPeer(conn)
	got := make(chan string, 10)
	running := make(chan error, 1)
	handle := func(m *Message, _ []int) { got <- m.Vassal }
	go func() { running <- first.Run(handle) }()
	if err := other.Send(&Message{Kind: Wake, Vassal: "before"}); err != nil {
		t.Fatal(err)
	}
	if v := <-got; v != "before" {
		t.Fatal(v)
	}
	// A call whose answer comes after the change.
	unanswered := make(chan error, 1)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go func() { unanswered <- first.Call(ctx, Message{Kind: Drained}) }()
	asked, _, err := other.Receive()
	if err != nil {
		t.Fatal(err)
	}
	// Half a frame.
	if _, err := other.unix.Write([]byte{40, 0}); err != nil {
		t.Fatal(err)
	}
	state := first.Pause()
	first.Resume()
	state = first.Pause()
	if state.FD, err = unix.Dup(state.FD); err != nil { // the number outlives the first
		t.Fatal(err)
	}
	second, err := AdoptPeer(state)
	if err != nil {
		t.Fatal(err)
	}
	defer second.Close()
	go func() { running <- second.Run(handle) }()
	text := `{"kind":"wake","vassal":"half"}`
	frame := append([]byte{0, 0, 0, 0, 0, 0}, text...)
	if len(state.Received) == 0 { // it was not read yet: all the same
		t.Log("nothing was read")
	}
	for len(text) < 40 {
		text += " "
		frame = append(frame, ' ')
	}
	if _, err := other.unix.Write(frame); err != nil {
		t.Fatal(err)
	}
	if v := <-got; v != "half" {
		t.Fatal(v)
	}
	// The late answer is nobody's, and a new call gets its own.
	if err := other.Send(&Message{Kind: Ack, Sequence: asked.Sequence, Error: "late"}); err != nil {
		t.Fatal(err)
	}
	answered := make(chan error, 1)
	go func() { answered <- second.Call(t.Context(), Message{Kind: Hold, Vassal: "x"}) }()
	m, _, err := other.Receive()
	if err != nil || m.Sequence <= asked.Sequence {
		t.Fatalf("%+v after %+v, %v", m, asked, err)
	}
	if err := other.Send(&Message{Kind: Ack, Sequence: m.Sequence}); err != nil {
		t.Fatal(err)
	}
	if err := <-answered; err != nil {
		t.Error(err)
	}
	first.Resume()
	first.Close()
	cancel()
	<-unanswered
	second.Close()
	<-running
	<-running
}
