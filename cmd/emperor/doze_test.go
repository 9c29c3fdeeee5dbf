package main

import (
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"
)

// TestVisitorsOfAUWSGIThatFallsAsleep: who comes in the very moment in which a uWSGI says
// that it is idle and is told to end is answered: by the old generation or by the next
// one, through the front and without it. What is under way is finished.
func TestVisitorsOfAUWSGIThatFallsAsleep(t *testing.T) {
	t.Parallel()
	const rounds = 8
	m := newMachine(t)
	m.write("app.py", `
import time
def application(environ, start_response):
    time.sleep(0.03)
    start_response("200 OK", [("Content-Length", "2")])
    return [b"ok"]
`)
	m.rules(byName)
	sites := []string{"front1", "front2", "direct1", "direct2"}
	for i, name := range sites {
		m.vassal(name, fmt.Sprintf("http-socket = DIR/%%n.sock\nplugin = python3\nwsgi-file = DIR/app.py\nprocesses = %d\nidle = 1\ndie-on-idle = true\non-demand = true\nsocket-timeout = 60\n", 1+i%2))
	}
	m.start()
	m.waitReady()
	visit := func(name string) error {
		if strings.HasPrefix(name, "direct") {
			text, err := m.direct(name + ".sock")
			if err == nil && text != "ok" {
				err = fmt.Errorf("%q", text)
			}
			return err
		}
		status, body, err := m.get(name+".test", "/")
		if err == nil && (status != 200 || body != "ok") {
			err = fmt.Errorf("%d %q", status, body)
		}
		return err
	}
	var all sync.WaitGroup
	for at, name := range sites {
		all.Go(func() {
			for round := range rounds {
				mark := m.mark()
				if err := visit(name); err != nil {
					t.Errorf("%s, round %d, awake: %v", name, round, err)
				}
				// uWSGI's own words, just before its byte reaches the emperor, which then
				// holds requests for some 30 ms. It says it once: if somebody came just then,
				// the emperor counts, and the next to hear is that it sleeps.
				asleep := []string{name + ": vassal asleep gen="}
				m.waitEither(mark, []string{name + " | workers have been inactive for more than 1 seconds"}, asleep)
				var visitors sync.WaitGroup
				if strings.HasPrefix(name, "direct") {
					visitors.Go(func() {
						if err := m.slowly(mark, name); err != nil {
							t.Errorf("%s, round %d, who connected first and asked later: %v", name, round, err)
						}
					})
				}
				for n := range 4 {
					pause := time.Duration(round*8+n*2+at%2) * time.Millisecond
					visitors.Go(func() {
						time.Sleep(pause)
						if err := visit(name); err != nil {
							t.Errorf("%s, round %d, %s after it was idle: %v", name, round, pause, err)
						}
					})
				}
				visitors.Wait()
				// While it ends it says once more that it is idle.
				m.eventually(name+" has ended as often as it fell asleep", func() bool {
					return m.count(asleep...) == m.count(name+" | goodbye to uWSGI.")
				})
			}
		})
	}
	all.Wait()
	for _, name := range sites {
		slept := m.count(name + ": vassal asleep gen=")
		t.Logf("%s fell asleep %d times", name, slept)
		if slept == 0 {
			t.Errorf("%s never slept", name)
		}
		if told, gracefully := m.count(name+" | ", "received message "), m.count(name+" | ", "received message 2 from emperor"); told != gracefully {
			t.Errorf("%s was told to end %d times, %d times gracefully", name, told, gracefully)
		}
	}
}

// slowly connects to a vassal's socket, and says what it wants when that has gone to sleep.
func (m *machine) slowly(mark int, name string) error {
	conn, err := net.Dial("unix", m.path(name+".sock"))
	if err != nil {
		return err
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(patience))
	asleep := []string{name + ": vassal asleep gen="}
	m.waitEither(mark, asleep, asleep)
	if _, err := fmt.Fprint(conn, "GET / HTTP/1.0\r\n\r\n"); err != nil {
		return err
	}
	answer, err := io.ReadAll(conn)
	if err == nil && !strings.HasSuffix(string(answer), "ok") {
		err = fmt.Errorf("%q", answer)
	}
	return err
}

// count is how many lines hold all the words.
func (m *machine) count(words ...string) int {
	m.mu.Lock()
	defer m.mu.Unlock()
	n := 0
	for _, line := range m.lines {
		if holdsAll(line, words) {
			n++
		}
	}
	return n
}

// waitEither is waitLog for a line with all words of the one or all of the other.
func (m *machine) waitEither(mark int, one, other []string) {
	m.t.Helper()
	timeout := time.NewTimer(patience)
	defer timeout.Stop()
	for {
		m.mu.Lock()
		lines, more := m.lines, m.more
		m.mu.Unlock()
		for ; mark < len(lines); mark++ {
			if holdsAll(lines[mark], one) || holdsAll(lines[mark], other) {
				return
			}
		}
		select {
		case <-more:
		case <-timeout.C:
			m.t.Errorf("the emperor logged neither %q nor %q", one, other)
			return
		}
	}
}
