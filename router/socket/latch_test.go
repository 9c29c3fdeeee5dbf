package socket

import (
	"sync"
	"testing"
)

// TestLatch: a note is received once, whether or not somebody waited when it came.
func TestLatch(t *testing.T) {
	for range 10000 {
		var l latch
		var setting sync.WaitGroup
		setting.Go(l.set)
		<-l.wait()
		setting.Wait()
		if l.isSet() {
			t.Fatal("one note was received twice")
		}
		l.set()
		if !l.isSet() {
			t.Fatal("a note is missing")
		}
		l.clear()
		select {
		case <-l.wait():
			t.Fatal("a note that was taken back is received")
		default:
		}
	}
	var l latch // nobody has waited so far
	l.set()
	l.clear()
	l.set()
	l.set()
	<-l.wait()
	if l.isSet() {
		t.Error("two notes are one")
	}
}
