package vassal

import (
	"io"
	"net"
	"strings"
	"testing"

	"emperor/internal/link"
	"emperor/internal/testport"
)

// TestTCPVassal: a program of which nothing is known is ready when it takes connections,
// wherever it listens, and one that does not never takes the place of one that does.
func TestTCPVassal(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ name, lines, words string }{
		{"a path", "socket = DIR/s\n", "fd=3"},
		{"a port", "socket = 127.0.0.1:TCP\n", "fd=3"},
		{"a port of its own", "port = auto\n", "port"},
		{"several processes", "socket = DIR/s\nprocesses = 3\n", "fd=3"},
		{"its own socket", "socket = DIR/s\n", "unix=DIR/s"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			head := "[uwsgi]\nprotocol = tcp\nenv = GORACE=atexit_sleep_ms=0\n" + strings.Replace(test.lines, "TCP", testport.Free(t), 1)
			s := newSite(t, head+"command = "+play(t, "serve", "ready-after=100ms", test.words)+"\n", nil)
			st := s.ready(1)
			if len(st.Addresses) != 1 || st.Addresses[0].Protocol != link.TCP {
				t.Fatalf("addresses %+v", st.Addresses)
			}
			answers := func() {
				t.Helper()
				network, to := "unix", s.Status().Addresses[0].Address
				if !strings.HasPrefix(to, "/") {
					network = "tcp"
				}
				c, err := net.Dial(network, to)
				if err != nil {
					t.Fatal(err)
				}
				defer c.Close()
				io.WriteString(c, "GET / HTTP/1.0\r\n\r\n")
				if answer, err := io.ReadAll(c); err != nil || !strings.HasPrefix(string(answer), "HTTP/1.0 200") {
					t.Errorf("it answers %q, %v", answer, err)
				}
			}
			answers()
			if !st.Overlap {
				return // nobody is left while its successor tries
			}
			s.write(head + "boot-timeout = 1\ncommand = " + play(t, "wait") + "\n")
			s.want()
			st = s.until("refused", func(st Status) bool { return st.Problem != "" })
			if st.Generation != 1 || !strings.Contains(st.Problem, "did not come up: not ready within 1s") {
				t.Errorf("generation %d, %q; want 1, and that the other did not come up", st.Generation, st.Problem)
			}
			answers()
			s.write(head + "command = " + play(t, "serve", test.words) + "\n")
			s.want()
			s.until("replaced", func(st Status) bool { return st.State == Ready && st.Generation == 3 && len(st.Draining) == 0 })
			answers()
		})
	}
}
