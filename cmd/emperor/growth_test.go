package main

import (
	"testing"
)

// TestReplacedForItsMemory: a command that has grown too large, and a uWSGI whose workers
// have several threads, are replaced while they are asked without pause, again and again,
// and no request fails.
func TestReplacedForItsMemory(t *testing.T) {
	t.Parallel()
	m := sitesMachine(t)
	m.vassal("big", "socket = DIR/%n.sock\nchdir = DIR\nenv = HOME=DIR\ncommand = gunicorn webapp:application\nreload-on-rss = 5\nmin-worker-lifetime = 1\n")
	m.vassal("threads", "socket = DIR/%n.sock\nplugin = python3\nwsgi-file = DIR/webapp.py\nprocesses = 2\nthreads = 4\nmemory-limit = 5M\nmin-worker-lifetime = 1\n")
	m.start()
	big, threads := m.visitors("big.test"), m.visitors("threads.test")
	m.waitLog(0, "big: ", "ready", "gen=3")
	m.waitLog(0, "threads: ", "ready", "gen=4")
	report(t, big, "two replacements of a command")
	report(t, threads, "three replacements of a uWSGI")
	m.waitLog(0, "big: ", "a new generation takes over", "reload-on-rss (big.ini:6) allows 5 MiB")
	m.waitLog(0, "threads: ", "a new generation takes over", "memory-limit (threads.ini:7) allows 5 MiB")
}
