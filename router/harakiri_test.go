package router

import (
	"fmt"
	"strings"
	"testing"

	"emperor/internal/link"
)

// TestHarakiri: a request whose answer has not begun in time gets 504, and says whose
// limit it was; an answer that has begun goes on, and a visitor who is slow to send is
// not the vassal's fault.
func TestHarakiri(t *testing.T) {
	t.Parallel() // it waits
	release := make(chan struct{})
	arrived := make(chan struct{}, 10)
	both(t, func(c *call) {
		switch path := c.vars["PATH_INFO"] + c.head; {
		case strings.Contains(path, "/silent"):
			<-release
		case strings.Contains(path, "/begun"):
			c.say("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\no")
			arrived <- struct{}{}
			<-release
			c.say("k")
		default:
			text := fmt.Sprint(len(c.readBody()))
			c.say(fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(text), text))
		}
	}, func(t *testing.T, f *front, v *vassal) {
		impatient := row("v", 1, link.Ready, v)
		impatient.Harakiri = 100
		f.vassals(impatient)
		release = make(chan struct{})
		begun, slow, silent := f.visit(), f.visit(), f.visit()
		begun.send("GET /begun HTTP/1.1\r\nHost: a\r\n\r\n")
		<-arrived
		const length = 300_000
		slow.send(fmt.Sprintf("POST /upload HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n", length) + strings.Repeat("x", length/2))
		silent.send("GET /silent HTTP/1.1\r\nHost: a\r\n\r\n")
		silent.want("GET", 504, "*")
		close(release) // the others have taken longer by now
		begun.want("GET", 200, "ok")
		slow.send(strings.Repeat("x", length/2))
		slow.want("POST", 200, fmt.Sprint(length))
		if log := f.log.String(); !strings.Contains(log, "harakiri: a request took too long") || !strings.Contains(log, "no answer within its harakiri of 100ms") || !strings.Contains(log, "duration=") || strings.Count(log, "harakiri: ") != 1 {
			t.Errorf("log:\n%s", log)
		}
	})
}

// TestSilence: a program that leaves several requests in a row without an answer, while
// nothing comes from it, is reported; one that answers others in between is not.
func TestSilence(t *testing.T) {
	t.Parallel() // it waits
	release := make(chan struct{})
	v := httpVassal(t, func(c *call) {
		if strings.Contains(c.head, "/silent") {
			<-release
			return
		}
		c.say("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
	})
	defer close(release)
	f := newFront(t, "route-run = vassal:v")
	reported := make(chan string, 10)
	f.table.silent = func(name string, generation uint64) { reported <- fmt.Sprint(name, " ", generation) }
	impatient := row("v", 7, link.Ready, v)
	impatient.Harakiri = 50
	f.vassals(impatient)
	for _, path := range []string{"/silent", "/silent", "/", "/silent", "/silent", "/silent"} {
		if len(reported) > 0 {
			t.Errorf("%s too early", <-reported)
		}
		want := 504
		if path == "/" {
			want = 200
		}
		if got := f.ask("GET " + path + " HTTP/1.1\r\nHost: a\r\n\r\n"); got.StatusCode != want {
			t.Errorf("%s: %d", path, got.StatusCode)
		}
	}
	if got := <-reported; got != "v 7" || len(reported) > 0 {
		t.Errorf("reported: %s and %d more", got, len(reported))
	}
}
