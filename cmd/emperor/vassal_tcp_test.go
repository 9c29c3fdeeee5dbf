package main

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"
)

// greetingProgram takes its socket as descriptor 3. It greets with a word and its number,
// and repeats what it is told. It knows nothing of a graceful end.
const greetingProgram = `
import os, socket, sys, threading
def serve(c):
    c.sendall(("%s %d\n" % (sys.argv[1], os.getpid())).encode())
    while True:
        said = c.recv(4096)
        if not said:
            break
        c.sendall(said)
    c.close()
l = socket.socket(fileno=3)
while True:
    c, _ = l.accept()
    threading.Thread(target=serve, args=(c,), daemon=True).start()
`

// tcpMachine has a front for streams, to the vassal that the first label of the name says.
func tcpMachine(t *testing.T, lines string) *machine {
	t.Helper()
	m := newMachine(t)
	m.write("greet.py", greetingProgram)
	m.certify("front", 1, "*.test")
	m.write("vassals/.keep", "")
	m.write("uwsgi.ini", "[uwsgi]\nemperor = DIR/vassals/*.ini\nhttps = 127.0.0.1:PORT,DIR/front.crt,DIR/front.key\n"+
		"route-sni = ^([a-z]+)\\.test$ tcp:vassal:$1\n"+lines)
	return m
}

// lineClient is a client of a program that speaks lines, over TLS.
type lineClient struct {
	t    *testing.T
	conn net.Conn
	in   *bufio.Reader
}

func (m *machine) streamTo(name string) *lineClient {
	m.t.Helper()
	conn, err := tls.DialWithDialer(&net.Dialer{Timeout: patience}, "tcp", m.address(), &tls.Config{ServerName: name + ".test", InsecureSkipVerify: true})
	if err != nil {
		m.t.Fatalf("%s: %v", name, err)
	}
	m.t.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(2 * patience))
	return &lineClient{m.t, conn, bufio.NewReader(conn)}
}

func (c *lineClient) close() { _ = c.conn.Close() }

// line is the next that the program says.
func (c *lineClient) line() string {
	c.t.Helper()
	line, err := c.in.ReadString('\n')
	if err != nil {
		c.t.Fatalf("%q, %v", line, err)
	}
	return strings.TrimSpace(line)
}

func (c *lineClient) say(words string) string {
	c.t.Helper()
	if _, err := fmt.Fprintf(c.conn, "%s\r\n", words); err != nil {
		c.t.Fatal(err)
	}
	return c.line()
}

func (c *lineClient) wants(words, answer string) {
	c.t.Helper()
	if got := c.say(words); got != answer {
		c.t.Errorf("%q is answered %q, want %q", words, got, answer)
	}
}

// word is what the program greets with, without its number.
func (c *lineClient) word() string {
	c.t.Helper()
	word, _, _ := strings.Cut(c.line(), " ")
	return word
}

const redisVassal = "[uwsgi]\nprotocol = tcp\nport = auto\nchdir = DIR\ncommand = redis-server --bind 127.0.0.1 --port %(port) --save \"\" --loglevel warning\n"

// TestTCPVassals: programs that speak no HTTP, one on the socket that is held for it and
// one with a port of its own, are reached by streams. Their next generations get what
// comes, and no stream is cut; one that takes no connections never serves, and one that
// does not start harms nobody else.
func TestTCPVassals(t *testing.T) {
	t.Parallel()
	m := tcpMachine(t, "emperor-throttle = 100000\n")
	greet := func(word string) string {
		return "[uwsgi]\nprotocol = tcp\nsocket = DIR/greet.sock\nprocesses = 2\nchdir = DIR\ncommand = python3 greet.py " + word + "\n"
	}
	m.write("vassals/greet.ini", greet("first"))
	m.write("vassals/redis.ini", redisVassal)
	m.start()
	m.waitReady()

	greeted, kept := m.streamTo("greet"), m.streamTo("redis")
	if got := greeted.word(); got != "first" {
		t.Fatalf("greeted with %q", got)
	}
	kept.wants("SET color red", "+OK")

	// Both are replaced under open streams.
	mark := m.mark()
	m.write("vassals/greet.ini", greet("second"))
	m.write("vassals/redis.ini", redisVassal+"; another\n")
	m.eventually("the next generation greets", func() bool {
		c := m.streamTo("greet")
		defer c.close()
		return c.word() == "second"
	})
	m.eventually("the next Redis is asked, which knows nothing", func() bool {
		c := m.streamTo("redis")
		defer c.close()
		return c.say("GET color") == "$-1"
	})
	greeted.wants("still there", "still there")
	kept.wants("GET color", "$3")
	if got := kept.line(); got != "red" {
		t.Errorf("the old Redis says %q", got)
	}
	const ended = "Redis is now ready to exit"
	if m.pidOf("greet.py first") == 0 || m.logged(ended) {
		t.Error("an old one has ended before its last stream")
	}
	for _, c := range []*lineClient{greeted, kept} {
		c.close()
	}
	m.eventually("the old one ends with its last stream", func() bool { return m.pidOf("greet.py first") == 0 })
	m.waitLog(mark, "redis | ", ended)
	if m.logged("did not end in time") || m.logged("stream not connected") {
		t.Error("a stream was cut or not connected")
	}

	// One that runs, and takes no connections.
	stays := m.streamTo("greet")
	stays.word()
	m.write("sleep.py", "import time\ntime.sleep(1000)\n")
	mark = m.mark()
	m.write("vassals/greet.ini", strings.Replace(greet("third"), "greet.py", "sleep.py", 1)+"boot-timeout = 1\n")
	m.waitLog(mark, "greet: the new generation did not come up", "not ready within 1s")
	if got := m.streamTo("greet").word(); got != "second" {
		t.Errorf("greeted with %q after a generation that takes no connections", got)
	}

	// One that does not start at all: who asks for it is told at once.
	mark = m.mark()
	m.write("vassals/broken.ini", "[uwsgi]\nprotocol = tcp\nsocket = DIR/broken.sock\ncommand = false\n")
	m.waitLog(mark, "broken: ", "exit status 1")
	m.untilState("broken", "failed")
	mark = m.mark()
	if line, err := m.streamTo("broken").in.ReadString('\n'); err == nil {
		t.Errorf("what does not run says %q", line)
	}
	m.waitLog(mark, "stream not connected", "sni=broken.test", "vassal:broken: not running", "rule=")
	stays.wants("still there", "still there")
}

// TestTCPVassalSleeps: a stream wakes such a vassal, whoever binds its socket; an open one
// is life, however silent it is, and when it ends the vassal sleeps again.
func TestTCPVassalSleeps(t *testing.T) {
	t.Parallel()
	m := tcpMachine(t, "")
	sleepy := "on-demand = true\nidle = 1\n"
	m.write("vassals/kept.ini", "[uwsgi]\nprotocol = tcp\nsocket = DIR/kept.sock\nchdir = DIR\ncommand = python3 greet.py kept\n"+sleepy)
	m.write("vassals/redis.ini", redisVassal+sleepy)
	m.start()
	m.waitReady()
	m.untilState("kept", "asleep")
	m.untilState("redis", "asleep")
	if n := m.pidOf("greet.py"); n != 0 {
		t.Fatalf("process %d runs although nobody has come", n)
	}

	kept := m.streamTo("kept")
	woken := kept.line()
	// What is woken after it, and left, falls asleep first.
	redis := m.streamTo("redis")
	redis.wants("PING", "+PONG")
	redis.close()
	m.untilState("redis", "asleep")
	kept.wants("still there", "still there")
	if state := m.state("kept"); state != "ready" {
		t.Errorf("with an open stream it is %s", state)
	}
	kept.close()
	m.untilState("kept", "asleep")

	// And without the front, by its socket.
	direct, err := net.Dial("unix", m.path("kept.sock"))
	if err != nil {
		t.Fatal(err)
	}
	defer direct.Close()
	_ = direct.SetDeadline(time.Now().Add(patience))
	if line, err := bufio.NewReader(direct).ReadString('\n'); err != nil || !strings.HasPrefix(line, "kept ") || strings.TrimSpace(line) == woken {
		t.Errorf("its socket says %q, %v", line, err)
	}
}

// TestVassalsThatEndTLS: pass:vassal:NAME leads to a program that has the certificate
// itself. A stream wakes it, and stays with its generation when the next, with another
// certificate, gets those that come.
func TestVassalsThatEndTLS(t *testing.T) {
	t.Parallel()
	m := tcpMachine(t, "route-sni = secure.test pass:vassal:secure\n")
	m.certify("old", 7, "secure.test")
	m.certify("new", 8, "secure.test")
	m.write("secure.py", secureProgram)
	write := func(pair string) {
		m.write("vassals/secure.ini", "[uwsgi]\nprotocol = tcp\nsocket = DIR/secure.sock\non-demand = true\nchdir = DIR\ncommand = python3 secure.py "+pair+"\n")
	}
	write("old")
	m.start()
	m.waitReady()
	m.untilState("secure", "asleep")
	serial := func(c *lineClient) int64 {
		return c.conn.(*tls.Conn).ConnectionState().PeerCertificates[0].SerialNumber.Int64()
	}
	old := m.streamTo("secure")
	old.wants("hello", "hello")
	if n := serial(old); n != 7 {
		t.Errorf("the certificate has number %d", n)
	}
	write("new")
	m.eventually("the next generation shows its certificate", func() bool {
		c := m.streamTo("secure")
		defer c.close()
		return serial(c) == 8
	})
	old.wants("still there", "still there")
}

// secureProgram repeats what it is told by TLS, which ends in it.
const secureProgram = `
import socket, ssl, sys, threading
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(sys.argv[1] + ".crt", sys.argv[1] + ".key")
def serve(raw):
    with raw, context.wrap_socket(raw, server_side=True) as c:
        while True:
            said = c.recv(4096)
            if not said:
                break
            c.sendall(said)
def safely(raw):
    try:
        serve(raw)
    except OSError:
        pass
l = socket.socket(fileno=3)
while True:
    c, _ = l.accept()
    threading.Thread(target=safely, args=(c,), daemon=True).start()
`
