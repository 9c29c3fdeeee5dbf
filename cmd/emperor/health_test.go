package main

import (
	"context"
	"strings"
	"sync"
	"syscall"
	"testing"
)

// healthMachine has vassals in folders of their own, asked each second.
func healthMachine(t *testing.T) *machine {
	m := newMachine(t)
	m.rules(byName + "emperor-required-heartbeat = 2\nhttp-timeout = 60\n")
	for _, name := range []string{"ill", "hung", "block", "busy", "beat", "next", "mute"} {
		m.copyFile("testdata/health.py", name+"/health_"+name+".py")
		m.copyFile("testdata/health.js", name+"/health.js")
	}
	const asked = "health-path = /up\nhealth-interval = 1\nhealth-timeout = 1\nhealth-threshold = 2\nboot-timeout = 10\nreload-mercy = 2\nstop-timeout = 1\n"
	const uwsgi = "socket = DIR/%n.sock\nplugin = python3\nchdir = DIR/%n\nmodule = health_%n\ndisable-logging = true\n"
	const gunicorn = "socket = DIR/%n.sock\nchdir = DIR/%n\ncommand = gunicorn --worker-class gthread --threads 16 health_%n:application\n"
	m.vassal("ill", gunicorn+asked+"boot-timeout = 8\n")
	m.vassal("hung", gunicorn+asked)
	m.vassal("block", "socket = DIR/%n.sock\nchdir = DIR/%n\ncommand = node health.js\nharakiri = 1\n"+asked)
	m.vassal("mute", "socket = DIR/%n.sock\nchdir = DIR/%n\ncommand = node health.js\nharakiri = 1\nhealth-interval = 1\nhealth-timeout = 1\nhealth-threshold = 2\nreload-mercy = 2\nstop-timeout = 1\n")
	m.vassal("busy", uwsgi+asked)
	m.vassal("beat", uwsgi+"heartbeat = 1\nreload-mercy = 2\n")
	m.vassal("next", uwsgi+"ready-path = /up\nboot-timeout = 8\n")
	return m
}

// stopAll stops every process whose command line holds the text.
func (m *machine) stopAll(text string) {
	m.t.Helper()
	stopped := 0
	for pid, words := range m.processes() {
		if strings.Contains(words, text) && syscall.Kill(pid, syscall.SIGSTOP) == nil {
			stopped++
		}
	}
	if stopped == 0 {
		m.t.Fatalf("no process of %s among %v", text, m.processes())
	}
}

// TestHealth: vassals that do not work any more are replaced, those that are busy are
// not, and nothing gets worse.
func TestHealth(t *testing.T) {
	t.Parallel()
	m := healthMachine(t)
	m.start()
	m.waitReady()
	replaced := func(name string, words ...string) {
		t.Helper()
		m.waitLog(0, append([]string{name + ": the vassal is unhealthy and is replaced"}, words...)...)
		m.waitLog(0, name+": vassal ready", "gen=2")
		m.page(name+".test", "/")
	}
	m.eventually("why says what came of the last question", func() bool {
		text, _ := m.order("why", "hung")
		return strings.Contains(text, "health ") && strings.Contains(text, "GET /up: well after")
	})

	// One worker and more visitors than it can serve: each question waits for longer than
	// it may, and behind answers to others. And one worker in a single long request.
	ctx, cancel := context.WithCancel(t.Context())
	var crowd sync.WaitGroup
	for range 8 {
		crowd.Go(func() {
			for ctx.Err() == nil {
				if text, err := once(m.address(), "busy.test", "GET", "/work?s=0.25", nil); err != nil {
					t.Errorf("busy: %q, %v", text, err)
				}
			}
		})
	}
	var long sync.WaitGroup
	long.Go(func() {
		if text, err := once(m.address(), "beat.test", "GET", "/work?s=12", nil); err != nil || !strings.HasPrefix(text, "release") {
			t.Errorf("beat: %q, %v", text, err)
		}
	})

	// It says that it is not well: its next does no better and is not taken, until one does.
	visitors := m.visitors("ill.test")
	m.write("ill/ill", "")
	m.waitLog(0, "ill: the vassal is unhealthy and is replaced", "GET /up: /up is answered with status 500 (2 times in a row)")
	m.waitLog(0, "ill: the new generation did not come up, the old one goes on", "not ready within 8s (boot-timeout): /up is answered with status 500")
	m.eventually("status says so", func() bool {
		text, _ := m.order("why", "ill")
		return strings.Contains(text, "generation 2 was to take its place and did not come up")
	})
	mark := m.mark()
	m.write("ill/cured", "")

	// An edit whose new generation is not well changes nothing.
	m.write("next/ill", "")
	old := m.answering("next.test")
	m.touch("vassals.d/next.ini")
	m.waitLog(0, "next: the new generation did not come up, the old one goes on", "not ready within 8s (boot-timeout): /up is answered with status 500")
	if pid := m.answering("next.test"); pid != old {
		t.Errorf("next: %d answers, want %d", pid, old)
	}

	// The event loop goes round in circles: the visitor is told, the next generation serves.
	if status, _, err := m.get("block.test", "/block"); err != nil || status != 504 {
		t.Errorf("GET /block: %d, %v", status, err)
	}
	m.waitLog(0, "block: harakiri: a request took too long", "uri=/block", "harakiri of 1s", "duration=")
	replaced("block", "GET /up: no answer within 1s")

	// So does this one, which is asked nothing before three visitors got no answer.
	for range 3 {
		if status, _, err := m.get("mute.test", "/block"); err != nil || status != 504 {
			t.Errorf("GET /block: %d, %v", status, err)
		}
	}
	replaced("mute", "any answer: no answer within 1s (2 times in a row)")

	// Its processes are there and do nothing; they are gone when their mercy is over.
	stopped := m.answering("hung.test")
	m.stopAll("health_hung")
	replaced("hung", "GET /up: no answer within 1s")
	m.untilGone(stopped)

	m.waitLog(mark, "ill: vassal ready")
	report(t, visitors, "illness and cure")
	if text, _ := m.order("status", "--json", "ill"); !strings.Contains(text, `"question": "GET /up"`) {
		t.Errorf("status --json:\n%s", text)
	}

	m.waitLog(0, "busy: the vassal is busy: it answers visitors")
	m.waitLog(0, "beat: the vassal does not answer the question for its health", "heartbeat")
	long.Wait()
	cancel()
	crowd.Wait()
	for _, name := range []string{"busy", "beat"} {
		if m.logged(name+": the vassal is unhealthy", "replaced") {
			t.Errorf("%s was replaced, and it was busy", name)
		}
	}
	m.stopAll("beat.ini")
	replaced("beat", "heartbeat: no answer within 1s")
}
