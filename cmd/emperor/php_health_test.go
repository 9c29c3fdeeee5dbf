package main

import (
	"strings"
	"syscall"
	"testing"
)

// TestHealthOfPHP: a pool is asked for its ping.path; one whose workers do nothing any
// more is replaced, and a visitor who waits for them is answered by the next.
func TestHealthOfPHP(t *testing.T) {
	t.Parallel()
	m := phpMachine(t)
	m.put(m.path("pool.conf"), strings.ReplaceAll(pool, "LISTEN", "/dev/fd/3")+"ping.path = /ping\n")
	// The front controller is not well: only the pool itself knows the path.
	m.put(m.path("site/index.php"), "<?php if ($_SERVER['REQUEST_URI'] === '/ping') http_response_code(500); echo 'release 0 pid ', getmypid();")
	m.vassal("php", phpVassal+"health-path = /ping\nhealth-interval = 1\nhealth-timeout = 1\nhealth-threshold = 2\nreload-mercy = 1\nstop-timeout = 1\n")
	m.start()
	m.waitReady()
	m.eventually("why says that it is well", func() bool {
		text, _ := m.order("why", "php")
		return strings.Contains(text, "GET /ping: well after")
	})
	master := m.masters()[0]
	for _, worker := range m.childrenOf(master) {
		if err := syscall.Kill(number(worker), syscall.SIGSTOP); err != nil {
			t.Fatal(err)
		}
	}
	m.waitLog(0, "php: the vassal is unhealthy and is replaced", "GET /ping: no answer within 1s")
	m.waitLog(0, "php: vassal ready", "gen=2")
	m.page("php.test", "/")
	m.untilGone(master)
	m.stop()
}
