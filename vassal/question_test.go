package vassal

import (
	"io"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// touchy is a program that dies when whoever it answers has gone, and the first time
// before it has accepted anybody.
const touchy = `
import os, select, signal, socket, time
signal.signal(signal.SIGPIPE, signal.SIG_DFL)
s = socket.socket(fileno=3)
if not os.path.exists('again'):
    while not os.path.exists('visited'):
        time.sleep(.01)
    select.select([s], [], [])
    open('again', 'w').close()
    raise SystemExit(1)
while True:
    c, _ = s.accept()
    c.recv(65536)
    c.sendall(b'HTTP/1.0 200 OK\r\n\r\nwell')
    c.close()
`

// TestQuestionLeftBehind: what the emperor asked a program that ended first does not
// harm the next one, and no visitor who came meanwhile is lost.
func TestQuestionLeftBehind(t *testing.T) {
	t.Parallel()
	s := newSite(t, "[uwsgi]\nsocket = DIR/s\nchdir = DIR\ncommand = python3 DIR/touchy.py\n", func(d *Deps) { d.Defaults.Throttle = time.Millisecond })
	if err := os.WriteFile(filepath.Join(s.dir, "touchy.py"), []byte(touchy), 0o644); err != nil {
		t.Fatal(err)
	}
	var visitor net.Conn
	eventually(t, "the socket", func() (ok bool) {
		var err error
		visitor, err = net.Dial("unix", filepath.Join(s.dir, "s"))
		return err == nil
	})
	defer visitor.Close()
	_ = visitor.SetDeadline(time.Now().Add(deadline))
	if _, err := io.WriteString(visitor, "GET / HTTP/1.0\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(s.dir, "visited"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	s.ready(2)
	if answer, err := io.ReadAll(visitor); err != nil || string(answer) != "HTTP/1.0 200 OK\r\n\r\nwell" {
		t.Errorf("who came before is answered by %q, %v", answer, err)
	}
}
