package main

import (
	"testing"
)

// TestReplacedForItsMemory: a command that has grown too large is replaced while it is
// asked without pause, again and again, and no request fails.
func TestReplacedForItsMemory(t *testing.T) {
	t.Parallel()
	m := sitesMachine(t)
	m.vassal("big", "socket = DIR/%n.sock\nchdir = DIR\nenv = HOME=DIR\ncommand = gunicorn webapp:application\nreload-on-rss = 5\nmin-worker-lifetime = 1\n")
	m.start()
	load := m.visitors("big.test")
	m.waitLog(0, "big: ", "ready", "gen=3")
	report(t, load, "two replacements")
	m.waitLog(0, "big: ", "a new generation takes over", "reload-on-rss (big.ini:6) allows 5")
}
