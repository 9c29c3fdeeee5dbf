package main

import (
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"emperor/internal/testport"
)

// TestNodesOfStreams: a dead address is passed over for one that lives, a backup is for
// when nothing else is left, and where nobody is left the client is told by an end.
func TestNodesOfStreams(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.certify("own", 1, "plain.test")
	dead := "127.0.0.1:" + testport.Free(t)
	one := behind(t, overTLS(t, certified(t, 2, "one"), greeting("one")))
	two := behind(t, overTLS(t, certified(t, 3, "two"), greeting("two")))
	backup := behindAt(t, "unix", m.path("backup.sock"), overTLS(t, certified(t, 4, "backup"), greeting("backup")))
	plain := behind(t, greeting("plain"))
	m.write("main.ini", `[uwsgi]
https = 127.0.0.1:PORT,DIR/own.crt,DIR/own.key
route-sni = both.test pass:`+one.address+`|`+two.address+`
route-sni = dead.test pass:`+dead+`|`+one.address+`
route-sni = weights.test pass:`+one.address+`,weight=3
route-sni = weights.test pass:`+two.address+`,weight=1
route-sni = backup.test pass:`+dead+`
route-sni = backup.test pass:`+backup.address+`,backup
route-sni = nobody.test pass:`+dead+`|DIR/missing.sock
route-sni = plain.test tcp:`+dead+`|DIR/missing.sock|`+plain.address+`
`)
	m.start("main.ini")
	m.waitReady()
	for range 20 {
		if s := converse(t, m.address(), by("both.test"), ""); s.err != nil {
			t.Errorf("of two: %+v", s)
		}
	}
	if n, k := one.accepted.Load(), two.accepted.Load(); n != 10 || k != 10 {
		t.Errorf("two that live got %d and %d streams", n, k)
	}
	one.accepted.Store(0)
	two.accepted.Store(0)
	for range 40 {
		if s := converse(t, m.address(), by("weights.test"), ""); s.err != nil {
			t.Errorf("of two: %+v", s)
		}
	}
	if n, k := one.accepted.Load(), two.accepted.Load(); n != 30 || k != 10 {
		t.Errorf("weights 3 and 1 got %d and %d streams", n, k)
	}
	for range 6 {
		m.wantStream("dead.test", 2, "one")
		m.wantStream("backup.test", 4, "backup")
		m.wantStream("plain.test", 1, "plain")
	}
	mark := m.mark()
	if s := converse(t, m.address(), by("nobody.test"), ""); s.err == nil {
		t.Errorf("nobody is there: %+v", s)
	}
	m.waitLog(mark, "nobody.test")
}

// TestNodesThatAnswerNothing: who does not even refuse is given up after
// stream-connect-timeout, and the next one takes over.
func TestNodesThatAnswerNothing(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	hole := testport.Silent(t)
	one := behind(t, overTLS(t, certified(t, 2, "one"), greeting("one")))
	m.write("main.ini", `[uwsgi]
sslrouter = 127.0.0.1:PORT
stream-connect-timeout = 1
route-sni = hole.test pass:`+hole+`
route-sni = next.test pass:`+hole+`
route-sni = next.test pass:`+one.address+`,backup
route-sni = slow.test pass:`+hole+`,connect-timeout=600
`)
	m.start("main.ini")
	m.waitReady()
	// Who waits for the third must not hold up anybody.
	waiting := tls.Client(dialStream(t, m.address()), by("slow.test"))
	done := make(chan struct{})
	go func() { defer close(done); _ = waiting.Handshake() }() // ends with the connection
	mark := m.mark()
	conn := dialStream(t, m.address())
	hello := helloFor(t, by("hole.test"))
	if _, err := conn.Write(hello); err != nil {
		t.Fatal(err)
	}
	wantEnd(t, conn, internalError)
	m.waitLog(mark, "hole.test", hole)
	m.wantStream("next.test", 2, "one")
	select {
	case <-done:
		t.Error("a line's own connect-timeout was not kept")
	default:
	}
	_ = waiting.NetConn().Close()
	<-done
}

// TestVassalsBehindStreams: a stream can lead to a vassal, which is woken for it, and
// which may be reloaded over and over while connections come: each ends at the new
// process or the old one, and those that are open stay where they are.
func TestVassalsBehindStreams(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.certify("own", 1, "vassal.test", "sleeper.test")
	m.write("greeter.py", greetingVassal)
	m.write("vassals.d/vassal.ini", "[uwsgi]\nsocket = DIR/vassal.sock\ncommand = python3 DIR/greeter.py vassal\nreload-mercy = 60\n")
	m.write("vassals.d/sleeper.ini", "[uwsgi]\nsocket = DIR/sleeper.sock\ncommand = python3 DIR/greeter.py sleeper\non-demand = true\n")
	m.write("main.ini", `[uwsgi]
emperor = DIR/vassals.d/*.ini
https = 127.0.0.1:PORT,DIR/own.crt,DIR/own.key
route-sni = vassal.test tcp:vassal:vassal
route-sni = sleeper.test tcp:vassal:sleeper
`)
	m.start("main.ini")
	m.waitReady()
	m.untilState("sleeper", "asleep")
	visit := func(name string) (string, error) {
		return speakFirst(tls.Client(dialStream(t, m.address()), by(name+".test")), "x")
	}
	for _, name := range []string{"sleeper", "vassal"} {
		if said, err := visit(name); said != "220 "+name+"\r\nx221 "+name+"\r\n" || err != nil {
			t.Errorf("%s: %q, %v", name, said, err)
		}
	}

	open := tls.Client(dialStream(t, m.address()), by("vassal.test"))
	_, _ = io.WriteString(open, "first\n")
	for _, want := range []string{"220 vassal", "first"} {
		if said, err := line(open); err != nil || said != want {
			t.Fatalf("%q, %v", said, err)
		}
	}
	stop := make(chan struct{})
	var clients sync.WaitGroup
	streams := 0
	clients.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
			}
			streams++
			if said, err := visit("vassal"); said != "220 vassal\r\nx221 vassal\r\n" || err != nil {
				t.Errorf("stream %d during reloads: %q, %v", streams, said, err)
			}
		}
	})
	for generation := range 3 {
		mark := m.mark()
		m.touch("vassals.d/vassal.ini")
		m.waitLog(mark, "vassal: ", "ready", fmt.Sprintf("gen=%d", generation+2))
	}
	close(stop)
	clients.Wait()
	_, _ = io.WriteString(open, "still there")
	_ = open.CloseWrite()
	if rest, err := io.ReadAll(open); err != nil || string(rest) != "still there221 vassal\r\n" {
		t.Errorf("the open stream, after the reloads: %q, %v", rest, err)
	}
	t.Logf("%d streams", streams)
	m.stop()
}

// greetingVassal is a vassal that is asked by HTTP whether it is ready, and greets whoever says
// something else, each in a thread of its own. It ends when it is told to and all have
// ended.
const greetingVassal = `
import signal, socket, sys, threading
name = sys.argv[1].encode()
listener = socket.socket(fileno=3)
def stop(*_):
    raise SystemExit
signal.signal(signal.SIGTERM, stop)
def serve(c):
    with c:
        b = c.recv(65536)
        if b.startswith(b"HEAD "):
            c.sendall(b"HTTP/1.0 204 No Content\r\n\r\n")
            return
        c.sendall(b"220 " + name + b"\r\n")
        while b:
            c.sendall(b)
            b = c.recv(65536)
        c.sendall(b"221 " + name + b"\r\n")
while True:
    c, _ = listener.accept()
    threading.Thread(target=serve, args=(c,)).start()
`

// TestFloodOfSilentConnections: a thousand that connect and then say nothing, or not
// enough, harm neither sites nor streams beside them.
func TestFloodOfSilentConnections(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.certify("own", 1, "site.test", "plain.test")
	plain := behind(t, greeting("plain"))
	m.write("main.ini", `[uwsgi]
https = 127.0.0.1:PORT,DIR/own.crt,DIR/own.key
sni-timeout = 60
route-sni = plain.test tcp:`+plain.address+`
route-run = return:204
`)
	m.start("main.ini")
	m.waitReady()
	before := m.routerDescriptors()
	const silent = 1000
	hello := helloFor(t, by("plain.test"))
	for n := range silent {
		conn := dialStream(t, m.address())
		// Nothing, the beginning of a record, or most of a hello.
		if _, err := conn.Write(hello[:[]int{0, 3, 200}[n%3]]); err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
	}
	m.eventually("all were accepted", func() bool { return m.routerDescriptors() >= before+silent })
	for range 20 {
		if status, err := siteStatus(dialStream(t, m.address()), by("site.test", "h2")); err != nil || status != 204 {
			t.Errorf("a site beside the flood: %d, %v", status, err)
		}
		m.wantStream("plain.test", 1, "plain")
	}
	// Nobody has to wait for the silent ones at the end.
	m.stop()
}

// routerDescriptors is how many the router has.
func (m *machine) routerDescriptors() int {
	entries, _ := os.ReadDir(fmt.Sprintf("/proc/%d/fd", m.pidOf("router --link")))
	return len(entries)
}

// TestConnectionCap: more than stream-connections at once are refused, and said; when
// one ends, there is room again.
func TestConnectionCap(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	b := behind(t, overTLS(t, certified(t, 2, "pass.test"), greeting("pass")))
	m.write("main.ini", "[uwsgi]\nsslrouter = 127.0.0.1:PORT\nstream-connections = 3\nroute-sni = pass.test pass:"+b.address+"\n")
	m.start("main.ini")
	m.waitReady()
	var open []*tls.Conn
	for range 3 {
		conn := tls.Client(dialStream(t, m.address()), by("pass.test"))
		if _, err := line(conn); err != nil {
			t.Fatal(err)
		}
		open = append(open, conn)
	}
	mark := m.mark()
	if s := converse(t, m.address(), by("pass.test"), ""); s.err == nil || !strings.Contains(s.err.Error(), "remote error: tls: internal error") {
		t.Errorf("a fourth stream: %+v", s)
	}
	m.waitLog(mark, "stream-connections")
	_ = open[0].NetConn().Close()
	m.eventually("there is room again", func() bool { return converse(t, m.address(), by("pass.test"), "").err == nil })
	_, _ = io.WriteString(open[1], "still there\n")
	if text, err := line(open[1]); err != nil || text != "still there" {
		t.Errorf("a stream beside: %q, %v", text, err)
	}
}

// TestIdleStreams: a stream in which nothing moves ends after stream-timeout, or its
// line's; one in which something moves now and then does not.
func TestIdleStreams(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.certify("own", 1, "plain.test", "patient.test")
	b := behind(t, greeting("plain"))
	const limit = 2 * time.Second
	m.write("main.ini", `[uwsgi]
https = 127.0.0.1:PORT,DIR/own.crt,DIR/own.key
stream-timeout = 2
stream-log = DIR/streams.log
route-sni = plain.test tcp:`+b.address+`
route-sni = patient.test tcp:`+b.address+`,timeout=600
`)
	m.start("main.ini")
	m.waitReady()
	patient := tls.Client(dialStream(t, m.address()), by("patient.test"))
	if _, err := line(patient); err != nil {
		t.Fatal(err)
	}
	var busy *tls.Conn
	for lively := false; !lively; { // again, if this machine did not let the test be busy
		busy = tls.Client(dialStream(t, m.address()), by("plain.test"))
		idle := tls.Client(dialStream(t, m.address()), by("plain.test"))
		for _, conn := range []*tls.Conn{busy, idle} {
			if _, err := line(conn); err != nil {
				t.Fatal(err)
			}
		}
		over := make(chan struct{})
		go func() { defer close(over); _, _ = io.ReadAll(idle) }() // ends with the connection
		lively = tickUntil(t, over, busy, limit/2)
		m.untilStreamEnds(idle, "idle")
	}
	for _, conn := range []*tls.Conn{patient, busy} {
		_, _ = io.WriteString(conn, "still there")
		_ = conn.CloseWrite()
		if rest, err := io.ReadAll(conn); err != nil || string(rest) != "still there221 plain\r\n" {
			t.Errorf("who was not idle: %q, %v", rest, err)
		}
	}
	for _, conn := range []*tls.Conn{patient, busy} {
		_ = conn.NetConn().Close()
		m.untilStreamEnds(conn, "closed")
	}
}

// tickUntil has a conversation until over, and tells whether it never paused for longer.
func tickUntil(t *testing.T, over <-chan struct{}, conn net.Conn, longest time.Duration) bool {
	t.Helper()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	last := time.Now()
	for {
		select {
		case <-over:
			return true
		case <-tick.C:
		}
		_, _ = io.WriteString(conn, "tick\n")
		text, err := line(conn)
		if time.Since(last) > longest {
			return false
		}
		if text != "tick" || err != nil {
			t.Fatalf("a stream that was not idle: %q, %v", text, err)
		}
		last = time.Now()
	}
}
