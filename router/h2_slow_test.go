package router

import (
	"io"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/http2"
)

// TestHTTP2ThatDoesNotBegin: who agrees on HTTP/2 and does not go on loses the
// connection when a request's head would have had to be there.
func TestHTTP2ThatDoesNotBegin(t *testing.T) {
	t.Parallel() // it waits
	for _, scheme := range []string{"http", "https"} {
		for _, length := range []int{0, 16, 17, len(preface) - 1} {
			if scheme == "http" && length == 0 {
				continue // that is an idle connection
			}
			f := newFront(t)
			if scheme == "https" {
				f.secured()
			}
			f.adjust(func(s *Settings) { s.headTimeout = 300 * time.Millisecond })
			c := f.connect()
			_, _ = c.Write(preface[:length])
			c.wantEnd()
		}
	}
}

// TestIdleHTTP2: a connection without requests is told to go and closed when its time is
// over, though it sends pings.
func TestIdleHTTP2(t *testing.T) {
	t.Parallel() // it waits
	for _, scheme := range []string{"http", "https"} {
		v := uwsgiVassal(t, answering(okResponse))
		f := newFront(t, "http-to = "+v.address, "http-keepalive-timeout = 1")
		if scheme == "https" {
			f.secured("http-to = "+v.address, "http-keepalive-timeout = 1")
		}
		c := f.frames()
		_ = c.request(1, true, asking...)
		if o := c.outcome(1); o.status != "200" {
			t.Errorf("%+v", o)
		}
		stop := make(chan struct{})
		pinging := make(chan struct{})
		go func() {
			defer close(pinging)
			for c.WritePing(false, [8]byte{}) == nil {
				select {
				case <-stop:
					return
				case <-time.After(50 * time.Millisecond):
				}
			}
		}()
		if o := c.outcome(3); !o.ended || o.reset != http2.ErrCodeNo {
			t.Errorf("%+v", o)
		}
		c.wantEnd()
		close(stop)
		<-pinging
	}
}

// TestWindowThatStaysShut: what a client does not take stays at the vassals; its
// requests end when their time is over, and its connection with them.
func TestWindowThatStaysShut(t *testing.T) {
	const size = 4 << 20
	for name, test := range map[string]struct {
		window uint32 // of each stream
		read   bool   // what comes by the connection
	}{"no window": {0, true}, "a window of a byte": {1, true}, "a connection that is not read": {1 << 30, false}} {
		t.Run(name, func(t *testing.T) {
			var taken atomic.Int64
			v := uwsgiVassal(t, func(c *call) {
				if c.vars["REQUEST_URI"] == "/small" {
					c.say(okResponse)
					return
				}
				c.say("HTTP/1.1 200 OK\r\n\r\n")
				n, _ := io.Copy(c, io.LimitReader(zeros{}, size))
				taken.Add(n)
			})
			options := []string{"http-to = " + v.address, "http-keepalive-timeout = 1"}
			f := newFront(t, options...)
			f.secured(options...)
			f.adjust(func(s *Settings) { s.responseTimeout = 1500 * time.Millisecond })
			c := f.frames(http2.Setting{ID: http2.SettingInitialWindowSize, Val: test.window})
			_ = c.WriteWindowUpdate(0, 1<<30)
			for i := range mostStreams {
				_ = c.request(uint32(2*i+1), true, asking...)
			}
			eventually(t, "the requests", func() bool { return len(v.calls()) == mostStreams })
			neighbour := f.frames()
			_ = neighbour.request(1, true, slices.Concat(asking[:3], []field{{":path", "/small"}})...)
			if o := neighbour.outcome(1); o.body != "ok" {
				t.Errorf("a neighbour: %+v", o)
			}
			if test.read {
				c.wantEnd()
			}
			eventually(t, "the connection to be over", func() bool {
				f.mu.Lock()
				defer f.mu.Unlock()
				return len(f.clients) <= 1
			})
			v.stop()
			// Two sockets' buffers and one of ours for each, where all of it would be 512 MB.
			if n := taken.Load(); n > mostStreams*1<<20 {
				t.Errorf("the vassal got rid of %d bytes", n)
			}
		})
	}
}

// zeros are without end.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// TestHeadsThatGrow: a head that is too large, or becomes so when it is unpacked, is
// refused without being kept.
func TestHeadsThatGrow(t *testing.T) {
	v := uwsgiVassal(t, answering(okResponse))
	f := newFront(t, "http-to = "+v.address)
	for _, test := range []struct {
		name   string
		fields []field
	}{
		{"large", append(slices.Clone(asking), field{"x", strings.Repeat("x", 70_000)})},
		{"many", append(slices.Clone(asking), slices.Repeat([]field{{"x", strings.Repeat("x", 100)}, {"y", strings.Repeat("y", 100)}}, 400)...)},
		// One field of 4 KB, and each time a byte that means it: 32 MB.
		{"packed", append(slices.Clone(asking), slices.Repeat([]field{{"x", strings.Repeat("x", 4000)}}, 8000)...)},
	} {
		c := f.frames()
		send(c, 1, test.fields, "")
		if o := c.outcome(1); o.status != "431" && !o.ended {
			t.Errorf("%s: %+v", test.name, o)
		}
	}
	if n := len(v.calls()); n != 0 {
		t.Errorf("the vassal got %d requests", n)
	}
}

// TestNoAnswerIsNone: a request that gets no answer has its stream reset, where an empty
// answer would look like one.
func TestNoAnswerIsNone(t *testing.T) {
	f := newFront(t, "route-run = break:")
	c := f.frames()
	_ = c.request(1, true, asking...)
	if o := c.outcome(1); o.reset == 0 || o.status != "" {
		t.Errorf("%+v", o)
	}
}
