package vassal

import (
	"fmt"
	"net"
	"path/filepath"
	"testing"
	"time"
)

// TestWhoHasNotAskedYet: somebody has connected to a uWSGI's socket without the front, and
// says what he wants when the next generation has taken over and the old one was told to end:
// he is answered.
func TestWhoHasNotAskedYet(t *testing.T) {
	t.Parallel()
	s := uwsgiTest(t, "[uwsgi]\nplugin = python3\nprocesses = 2\nwsgi-file = DIR/app.py\nhttp-socket = DIR/s\nsocket-timeout = 60\n") // a slow machine is no slow client
	s.want()
	s.ready(1)
	conn, err := net.Dial("unix", filepath.Join(s.dir, "s"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(deadline))
	s.want()
	s.ready(2)
	s.logged("Gracefully killing worker", 2) // uWSGI's words
	fmt.Fprint(conn, "GET / HTTP/1.0\r\n\r\n")
	answer := make([]byte, 12)
	if n, err := conn.Read(answer); err != nil || string(answer[:n]) != "HTTP/1.0 200" && string(answer[:n]) != "HTTP/1.1 200" {
		t.Errorf("%q, %v", answer[:n], err)
	}
	_ = conn.Close()
	s.until("the old generation has gone", func(st Status) bool { return len(st.Draining) == 0 })
}
