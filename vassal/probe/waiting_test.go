package probe

import (
	"context"
	"testing"

	"golang.org/x/sys/unix"

	"emperor/internal/link"
)

// TestQuestionWaits: a question that nobody has taken before the program ended is the
// next program's, and its answer is heard. What was taken is no proof of the next program.
func TestQuestionWaits(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"unix", "tcp"} {
		for _, protocol := range []string{"http", link.TCP} {
			listening, network, to := heldSocket(t, kind)
			accept := func() int {
				t.Helper()
				awaitVisitor(t, listening)
				fd, _, err := unix.Accept4(listening, unix.SOCK_CLOEXEC)
				if err != nil {
					t.Fatal(err)
				}
				return fd
			}
			answer := func(fd int) {
				if protocol == "http" {
					_, _ = unix.Read(fd, make([]byte, 1000))
				}
				_, _ = unix.Write(fd, []byte("HTTP/1.0 200 OK\r\n\r\n"))
				unix.Close(fd)
			}
			var w Waiting
			ask := func() (answered chan error, end func()) {
				ctx, cancel := context.WithTimeout(t.Context(), deadline)
				answered = make(chan error, 1)
				go func() { answered <- w.Ask(ctx, network, to, protocol, "", "") }()
				return answered, cancel
			}
			unanswered := func(taken bool) (fd int) {
				t.Helper()
				answered, end := ask()
				awaitVisitor(t, listening)
				if taken {
					fd = accept()
				}
				end()
				if err := <-answered; err == nil {
					t.Errorf("%s, %s: nobody has answered, and it is content", kind, protocol)
				}
				if w.Waits() == taken {
					t.Errorf("%s, %s: waits: %t, taken: %t", kind, protocol, w.Waits(), taken)
				}
				return fd
			}
			isAnswered := func(what string) {
				t.Helper()
				answered, end := ask()
				defer end()
				for waits := true; waits; {
					select {
					case err := <-answered:
						if waits = false; err != nil {
							t.Errorf("%s, %s, %s: %v", kind, protocol, what, err)
						}
					default:
						// The program may be quicker than who asks it: then it is asked again.
						if n, _ := unix.Poll([]unix.PollFd{{Fd: int32(listening), Events: unix.POLLIN}}, 1); n == 1 {
							answer(accept())
						}
					}
				}
				left := []unix.PollFd{{Fd: int32(listening), Events: unix.POLLIN}}
				if n, _ := unix.Poll(left, 0); n != 0 || w.Waits() {
					t.Errorf("%s, %s, %s: a question is left", kind, protocol, what)
				}
			}
			unanswered(false)
			unanswered(false)
			isAnswered("asked by two before")
			if protocol == "http" { // of the other no more is wanted than that it is taken
				unix.Close(unanswered(true))
				isAnswered("taken from the one before")
			}
			unanswered(false)
			answer(accept())
			isAnswered("answered when nobody asked")
			unanswered(false)
			if err := w.Close(); err != nil || w.Waits() {
				t.Errorf("%s, %s: %v", kind, protocol, err)
			}
			unix.Close(accept())
		}
	}
}
