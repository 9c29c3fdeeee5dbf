package main

import (
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// current is a stream in which bytes are on their way at any moment, in both directions:
// what is lost, doubled or put in another order is seen, which a conversation that pauses
// while something changes would not show.
type current struct {
	conn net.Conn
	name string
	stop chan struct{}

	flowing sync.WaitGroup
	sent    int
	err     error // the first of either direction; guarded by flowing
	broken  error
}

// flow begins one on a connection to an echo (greeting).
func flow(t testing.TB, name string, conn net.Conn) *current {
	t.Helper()
	if _, err := line(conn); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	_ = conn.SetDeadline(time.Now().Add(5 * patience))
	c := &current{conn: conn, name: name, stop: make(chan struct{})}
	c.flowing.Go(c.write)
	c.flowing.Go(c.read)
	t.Cleanup(func() { _ = conn.Close(); c.flowing.Wait() })
	return c
}

// at is the byte at a place of the text that flows.
func at(place int) byte { return byte(place) ^ byte(place>>8) ^ byte(place>>16)*31 }

func (c *current) write() {
	tick := time.NewTicker(3 * time.Millisecond)
	defer tick.Stop()
	for size := 1; ; size = size*5%8191 + 1 {
		select {
		case <-c.stop:
			c.err = closeWrite(c.conn)
			return
		case <-tick.C:
		}
		piece := make([]byte, size)
		for i := range piece {
			piece[i] = at(c.sent + i)
		}
		n, err := c.conn.Write(piece)
		if c.sent += n; err != nil {
			c.err = err
			return
		}
	}
}

func (c *current) read() {
	var rest []byte
	for place, buffer := 0, make([]byte, 32<<10); ; {
		n, err := c.conn.Read(buffer)
		for i, b := range buffer[:n] {
			if b != at(place) { // or the echo's good bye
				rest = append(rest, buffer[i:n]...)
				break
			}
			place++
		}
		if len(rest) > 0 || err != nil {
			more, _ := io.ReadAll(c.conn)
			c.broken = fmt.Errorf("after %d bytes: %.100q, %w", place, append(rest, more...), err)
			if err == nil || err == io.EOF {
				c.broken = fmt.Errorf("after %d bytes: %.100q", place, append(rest, more...))
			}
			return
		}
	}
}

// end ends it, and fails the test unless all that was sent has come back.
func (c *current) end(t testing.TB, server string) {
	t.Helper()
	close(c.stop)
	c.flowing.Wait()
	want := fmt.Sprintf("after %d bytes: %q", c.sent, "221 "+server+"\r\n")
	if got := fmt.Sprint(c.broken); c.err != nil || got != want || c.sent == 0 {
		t.Errorf("%s: %s, %v; want the end %s", c.name, got, c.err, want)
	}
	_ = c.conn.Close()
}

// keptAlive counts the connections of this machine from a port, or to it, of which the
// kernel asks within a minute whether the other end is still there. The key is the port of
// the other end where it is from the port, else the own.
func keptAlive(t testing.TB, from string, to ...string) (ports map[string]bool, others int) {
	t.Helper()
	text, err := os.ReadFile("/proc/net/tcp")
	if err != nil {
		t.Fatal(err)
	}
	port := func(address string) string {
		_, text, _ := strings.Cut(address, ":")
		n, _ := strconv.ParseUint(text, 16, 16)
		return strconv.FormatUint(n, 10)
	}
	ports = map[string]bool{}
	for row := range strings.Lines(string(text)) {
		// sl local_address rem_address st tx_queue:rx_queue tr:tm->when …
		fields := strings.Fields(row)
		if len(fields) < 6 || fields[3] != "01" { // established
			continue
		}
		kind, left, _ := strings.Cut(fields[5], ":")
		ticks, err := strconv.ParseUint(left, 16, 32)
		if err != nil || kind != "02" || ticks > 6100 { // a timer that is not of a segment; hundredths of a second
			continue
		}
		local, remote := port(fields[1]), port(fields[2])
		if local == from {
			ports[remote] = true
		}
		for _, one := range to {
			if remote == one {
				others++
			}
		}
	}
	return ports, others
}
