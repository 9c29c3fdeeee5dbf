package main

import (
	"strings"
	"sync"
	"testing"

	"emperor/internal/testport"
)

// TestSleeperThatWouldAnnounceItself: a uWSGI that is known only by what it announces, and
// that has never run, is woken by a request for its key; and again after it
// has gone to sleep, and by a new emperor, which has not heard what the earlier was told.
// Its keys may be in a file, also those that are added to it while it sleeps.
func TestSleeperThatWouldAnnounceItself(t *testing.T) {
	t.Parallel()
	m := sitesMachine(t)
	server := "127.0.0.1:" + testport.Free(t)
	m.rules("http-subscription-server = " + server + "\nhttp-subscription-server = DIR/announce.sock\nsubscription-tolerance = 3\n")
	const sleeper = "plugin = python3\nchdir = DIR\nwsgi-file = DIR/webapp.py\nprocesses = 2\nlisten = 100\non-demand = true\nidle = 1\ndie-on-idle = true\n"
	m.vassal("path", "socket = DIR/%n.sock\nsubscribe-to = "+server+":path.test\n"+sleeper)
	m.vassal("port", "socket = 127.0.0.1:"+testport.Free(t)+"\nsubscribe2 = server="+server+",key=port.test\n"+sleeper)
	m.vassal("local", "socket = DIR/%n.sock\nsubscribe-to = DIR/announce.sock:local.test,0\n"+sleeper)
	m.vassal("broken", "socket = DIR/%n.sock\nsubscribe-to = "+server+":broken.test\nplugin = python3\nwsgi-file = DIR/nothing.py\non-demand = true\n")
	m.write("keys", "first.test\nlisted.test,0\n")
	m.vassal("listed", "socket = DIR/%n.sock\nsubscribe-to = "+server+":@keys\n"+sleeper)
	names := []string{"path", "port", "local", "listed"}
	for _, added := range []string{"added.test", "another.test"} {
		m.start()
		m.waitReady()
		for _, name := range append(names, "broken") {
			m.untilState(name, "asleep")
		}
		for range 2 {
			var all sync.WaitGroup
			for _, name := range names {
				for range 10 {
					all.Go(func() {
						if status, body, err := m.get(name+".test", "/"); err != nil || status != 200 || !strings.HasPrefix(body, "release 0") {
							t.Errorf("%s: %d %q %v", name, status, body, err)
						}
					})
				}
			}
			all.Wait()
			for _, name := range names {
				m.untilState(name, "asleep")
			}
		}
		m.write("keys", "first.test\nlisted.test,0\n"+added+"\n")
		m.eventually("a request for a key that was added to the file is answered", func() bool {
			status, _, err := m.get(added, "/")
			return err == nil && status == 200
		})
		if status, _, err := m.get("broken.test", "/"); err != nil || status != 503 {
			t.Errorf("one that does not start: %d %v", status, err)
		}
		if status, _, err := m.get("unknown.test", "/"); err != nil || status != 404 {
			t.Errorf("a host that nobody announces: %d %v", status, err)
		}
		m.stop()
	}
}
