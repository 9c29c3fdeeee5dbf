package main

import (
	"encoding/json"
	"net"
	"syscall"
	"testing"

	"emperor/internal/testport"
)

// TestStreamsThatBeginThroughChanges: a client that has come, and has not said yet what
// it wants, or only half of it, or whose handshake or connection behind is not made, is
// served by the rules that held when it came, whatever is changed meanwhile.
func TestStreamsThatBeginThroughChanges(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.certify("own", 1, "plain.test")
	secret := behind(t, overTLS(t, certified(t, 2, "pass.test"), greeting("pass")))
	plain := behind(t, greeting("plain"))
	silent := testport.Silent(t)
	const main = `[uwsgi]
https = 127.0.0.1:PORT,DIR/own.crt,DIR/own.key
sni-timeout = 60
http-gracetime = 1
http-stats = DIR/stats.sock
`
	rules := "route-sni = pass.test pass:" + secret.address + "\nroute-sni = plain.test tcp:" + plain.address + "\n" +
		"route-sni = slow.test pass:" + silent + ",connect-timeout=2\nroute-sni = slow.test pass:" + secret.address + ",backup\n" +
		"stream-default = " + plain.address + "\n"
	m.write("main.ini", main+rules)
	m.start("main.ini")
	m.waitReady()

	// begun is a client that has sent the beginning of its hello, and waits with the rest.
	type begun struct {
		name string
		rest chan struct{} // closed: it may be sent
		done chan conversation
	}
	begin := func(name string, first int) *begun {
		b := &begun{name: name, rest: make(chan struct{}), done: make(chan conversation, 1)}
		sent := make(chan struct{})
		raw := &hesitant{TCPConn: dialStream(t, m.address()), first: first, sent: sent, rest: b.rest}
		go func() { // ends with the connection
			b.done <- converseOn(raw, by(name), "words")
			_ = raw.Close()
		}()
		<-sent
		return b
	}
	for name, change := range map[string]func(){
		"an edit that takes the rules away": func() {
			mark := m.mark()
			m.write("main.ini", main+"route-run = return:204\n")
			m.waitLog(mark, "the main file was applied")
			mark = m.mark()
			m.write("main.ini", main+rules)
			m.waitLog(mark, "the main file was applied")
		},
		"an upgrade": func() {
			mark := m.mark()
			m.upgrade()
			m.waitLog(mark, "the router is replaced by that of the new version")
		},
		"the router's end": func() {
			mark := m.mark()
			if err := syscall.Kill(m.router(), syscall.SIGTERM); err != nil {
				t.Fatal(err)
			}
			m.waitLog(mark, "the router is back")
		},
	} {
		m.eventually("nobody is left of the last round", func() bool { return m.sessions() == 0 })
		var waiting []*begun
		for _, first := range []int{0, 1, 200} {
			waiting = append(waiting, begin("pass.test", first), begin("plain.test", first))
		}
		// The kernel keeps those back for a while that say nothing.
		m.eventually("all of them are with the router", func() bool { return m.sessions() == len(waiting) })
		slow := begin("slow.test", 1<<20) // all of it: its connection is being made
		close(slow.rest)
		m.eventually("and that one, or it has ended", func() bool { return m.sessions() > len(waiting) || len(slow.done) > 0 })
		change()
		for _, b := range append(waiting, slow) {
			want := conversation{2, "220 pass", "words221 pass\r\n", nil}
			if b.name == "plain.test" {
				want = conversation{1, "220 plain", "words221 plain\r\n", nil}
			}
			if b != slow {
				close(b.rest)
			}
			if got := <-b.done; got != want {
				t.Errorf("%s, meanwhile %s: %+v, want %+v", b.name, name, got, want)
			}
		}
	}
	m.stop()
}

// sessions is how many clients the router has; -1 while another is about to take its
// place.
func (m *machine) sessions() int {
	conn, err := net.Dial("unix", m.path("stats.sock"))
	if err != nil {
		return -1
	}
	defer conn.Close()
	var figures struct {
		Sessions int `json:"active_sessions"`
	}
	if json.NewDecoder(conn).Decode(&figures) != nil {
		return -1
	}
	return figures.Sessions
}

// hesitant is a client's connection that sends the beginning of what it sends first, and
// waits then until it may go on.
type hesitant struct {
	*net.TCPConn
	first int
	sent  chan struct{} // closed when the beginning is sent; nil afterwards
	rest  <-chan struct{}
}

func (h *hesitant) Write(b []byte) (int, error) {
	if h.sent == nil {
		return h.TCPConn.Write(b)
	}
	first := min(h.first, len(b))
	n, err := h.TCPConn.Write(b[:first])
	close(h.sent)
	h.sent = nil
	if err != nil {
		return n, err
	}
	<-h.rest
	rest, err := h.TCPConn.Write(b[first:])
	return first + rest, err
}
